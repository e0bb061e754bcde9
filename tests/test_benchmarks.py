"""Each benchmark runs, loses nothing, and has a reference beside each figure; how fast is not asked here."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from benchmarks import memory, modbus, order_to_write, start, tick
from benchmarks.rig.compiled import MissingError
from benchmarks.rig.table import Result, Row, quantile


def is_sound(result: Result) -> None:
    """Everything that was sent arrived, and each figure and its reference was really taken."""
    assert result.sent > 0
    assert result.lost == 0, str(result)
    assert result.rows
    for row in result.rows:
        assert row.value > 0
        assert row.reference is not None
        assert row.reference > 0


def test_every_order_is_written_and_acknowledged() -> None:
    result = asyncio.run(order_to_write.measure(5))
    is_sound(result)
    assert result.sent == 5 + 3 + 3 + 3 * order_to_write.WARM_UP
    moments = ("register write", "received", "started")
    assert [row.name for row in result.rows] == [
        f"publish -> {moment} {share}" for moment in moments for share in ("p50", "p90", "p99", "max")
    ]
    assert result.row("publish -> started p50").value > result.row("publish -> register write p50").value


def test_memory_is_taken_while_every_frame_arrives() -> None:
    result = asyncio.run(memory.measure(1.0))
    is_sound(result)
    assert [row.name for row in result.rows] == ["resident (VmRSS)", "proportional (PSS)"]
    assert all(row.value > (row.reference or 0) for row in result.rows)


def test_every_start_ends_in_measurements() -> None:
    result = asyncio.run(start.measure(1))
    is_sound(result)
    assert [row.name for row in result.rows] == ["median", "max"]
    assert "gateway" in result.notes[-1]


def test_the_tick_is_taken_with_all_orders_in_force() -> None:
    result = tick.measure(3)
    is_sound(result)
    assert result.sent == tick.ORDERS
    assert {row.name.split()[0] for row in result.rows} == {"tick", "snapshot"}


needs_c = pytest.mark.skipif(
    shutil.which("gcc") is None or not Path("/usr/include/modbus/modbus.h").exists(),
    reason="gcc and libmodbus-dev build the reference",
)


@needs_c
def test_every_client_reads_what_the_registers_hold() -> None:
    result = asyncio.run(modbus.measure(20))
    is_sound(result)
    clients, runs = len(modbus.REGISTERS) * 4, modbus.ROUNDS
    assert result.sent == clients * runs * (20 + modbus.WARM_UP)
    assert {row.name.partition(",")[0] for row in result.rows} == {"link", "pymodbus"}


@needs_c
def test_no_device_misses_a_turn_while_others_are_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(modbus, "DEVICES", 8)
    monkeypatch.setattr(modbus, "DEAD", 2)
    monkeypatch.setattr(modbus, "PERIOD_MS", 250)
    result = asyncio.run(modbus.poll(1))
    is_sound(result)
    assert result.sent == (8 + 8 + 6) * 5
    assert result.row("6 alive, 2 dead: mean period off, worst").aim == modbus.AIM_PERIOD_MS


def test_without_a_compiler_the_modbus_benchmark_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MissingError, match="is not installed; run: apt-get install gcc"):
        asyncio.run(modbus.measure(1))


def test_a_schedule_that_moves_is_seen() -> None:
    steady = tuple(range(10))
    slow = tuple(1.01 * turn for turn in range(10))
    gap = (0.0, 1.0, 3.0, 4.0)
    assert modbus.Polled(9.0, 0.9, (steady,)).core_percent == pytest.approx(10)
    assert modbus.Polled(9.0, 0.9, (steady, slow)).period_off_ms == pytest.approx(10)
    assert modbus.Polled(9.0, 0.9, (steady, slow)).drift_ms == pytest.approx(60)
    assert modbus.Polled(9.0, 0.9, (steady, gap)).missed == 1


@pytest.mark.parametrize(
    ("share", "expected"), [(0.5, 50), (0.9, 90), (0.99, 99), (1.0, 100)], ids=["p50", "p90", "p99", "max"]
)
def test_a_quantile_is_a_value_that_was_taken(share: float, expected: int) -> None:
    assert quantile(list(range(100, 0, -1)), share) == expected


def test_a_table_says_whether_an_aim_was_met() -> None:
    rows = (Row("fast", 1.0, "ms", 0.5, aim=2.0), Row("slow", 3.0, "ms", 0.5, aim=2.0))
    text = str(Result("title", "a script", rows, sent=4, lost=1))
    assert "| fast   | 1.00  | 0.50      | 2.0   | ms   | < 2: met" in text
    assert "| slow   | 3.00  | 0.50      | 6.0   | ms   | < 2: MISSED" in text
    assert "- reference: a script" in text
    assert "- 4 sent, 1 lost" in text


def test_of_a_rate_more_is_better() -> None:
    assert "> 2: met" in str(Result("title", "a script", (Row("rate", 3.0, "k/s", 4.0, aim=2.0, more=True),)))
    assert "> 2: MISSED" in str(Result("title", "a script", (Row("rate", 1.0, "k/s", 4.0, aim=2.0, more=True),)))
