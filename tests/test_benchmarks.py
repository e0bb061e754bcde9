"""Each benchmark runs, loses nothing, and has a reference beside each figure; how fast is not asked here."""

from __future__ import annotations

import asyncio

import pytest

from benchmarks import memory, order_to_write, start, tick
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
