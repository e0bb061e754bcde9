"""Every driver keeps the contract: one test a clause, run for each protocol."""

from __future__ import annotations

import asyncio
import gc
import threading
from pathlib import Path

import pytest

import drivers
from drivers.base import ConnectionLost, WriteRefused
from gateway.model import Measurement, Quality, SetPoint
from tests.contract.rigs import RIGS, Rig
from tests.contract.watch import running

CANCEL_S = 1.0
READABLE = ("d.reading", "d.other", "d.setpoint")


def setpoint(point: str, value: float | None) -> SetPoint:
    return SetPoint(point, value, expires=asyncio.get_running_loop().time() + 60, cause="test")


def footprint() -> tuple[set[str], int, int]:
    """Names of tasks, number of threads, number of open files of this process."""
    gc.collect()
    tasks = {task.get_name() for task in asyncio.all_tasks()}
    return tasks, threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))


def test_every_protocol_has_a_rig() -> None:
    """A driver without a peer to test it against is not part of the product."""
    assert set(drivers._DRIVERS) <= set(RIGS)


async def test_plans_without_a_connection(rig: Rig) -> None:
    """What reading costs is known from configuration alone, for each device behind the connection."""
    (planned,) = rig.driver.plan()

    assert planned.device == "d"
    assert planned.requests
    assert planned.requests_per_s > 0
    assert planned.worst_age_s > 0


async def test_emits_every_point_after_connecting(rig: Rig) -> None:
    """The nameplate comes first; every readable point of it follows."""
    async with running(rig.driver) as watch:
        await watch.until(lambda: all(watch.latest(point) for point in READABLE))

        assert {point.id for point in watch.nameplates["d"].points} == {*READABLE, "d.refused"}
        assert watch.batches[0][0] is watch.nameplates["d"]


@pytest.mark.parametrize("value", [0.0, 59800.5, -1234.5], ids=["zero", "positive", "negative"])
async def test_value_sign_and_scale_are_those_of_the_peer(rig: Rig, value: float) -> None:
    rig.set("d.other", 1.5)
    rig.set("d.reading", value)
    async with running(rig.driver) as watch:
        await watch.until(lambda: watch.latest("d.other") is not None and watch.value("d.reading") == value)

        assert watch.latest("d.reading") == Measurement("d.reading", value, Quality.GOOD)
        assert watch.value("d.other") == 1.5


async def test_a_change_at_the_peer_is_emitted(rig: Rig) -> None:
    async with running(rig.driver) as watch:
        await watch.until(lambda: watch.latest("d.reading") is not None)
        rig.set("d.reading", 42.5)

        await watch.until(lambda: watch.value("d.reading") == 42.5)


@pytest.mark.parametrize("value", [1200.5, -1200.5, 0.0], ids=["positive", "negative", "zero"])
async def test_what_was_emitted_as_writable_can_be_written_exactly(rig: Rig, value: float) -> None:
    """Written at once, read back, emitted, and only there."""
    rig.set("d.other", 7.5)
    async with running(rig.driver) as watch:
        await watch.until(lambda: watch.latest("d.setpoint") is not None and watch.value("d.other") == 7.5)
        assert any(point.id == "d.setpoint" and point.writable for point in watch.nameplates["d"].points)

        assert await rig.driver.write(setpoint("d.setpoint", value)) == value
        assert rig.get("d.setpoint") == value
        assert watch.value("d.setpoint") == value
        assert rig.get("d.other") == 7.5


async def test_a_refused_write_raises_and_the_connection_stays(rig: Rig) -> None:
    async with running(rig.driver) as watch:
        await watch.until(lambda: watch.latest("d.setpoint") is not None)

        with pytest.raises(WriteRefused, match=r"d\.refused"):
            await rig.driver.write(setpoint("d.refused", 1.0))
        rig.set("d.reading", 3.5)
        await watch.until(lambda: watch.value("d.reading") == 3.5)


async def test_a_point_that_is_not_writable_is_refused(rig: Rig) -> None:
    async with running(rig.driver) as watch:
        await watch.until(lambda: watch.latest("d.reading") is not None)

        with pytest.raises(WriteRefused, match=r"d\.reading"):
            await rig.driver.write(setpoint("d.reading", 1.0))


async def test_a_point_the_peer_does_not_have_is_invalid_and_its_neighbours_are_good(rig: Rig) -> None:
    rig.set("d.other", 5.5)
    rig.deny("d.reading")
    async with running(rig.driver) as watch:
        await watch.until(lambda: watch.latest("d.reading") is not None and watch.value("d.other") == 5.5)

        assert watch.latest("d.reading") == Measurement("d.reading", None, Quality.INVALID)
        assert watch.latest("d.other") == Measurement("d.other", 5.5, Quality.GOOD)


async def test_a_peer_that_goes_away_ends_the_run(rig: Rig) -> None:
    async with running(rig.driver) as watch:
        await watch.until(lambda: watch.latest("d.reading") is not None)
        await rig.cut()

        assert await watch.lost()


async def test_a_peer_that_is_not_there_ends_the_run(rig: Rig) -> None:
    await rig.cut()
    async with running(rig.driver) as watch:
        assert await watch.lost()


async def test_a_peer_that_says_nothing_any_more_ends_the_run(rig: Rig) -> None:
    """An open connection is no sign of life."""
    async with running(rig.driver) as watch:
        await watch.until(lambda: watch.latest("d.reading") is not None)
        await rig.silence()

        assert await watch.lost()


async def test_a_second_run_works_like_the_first(rig: Rig) -> None:
    async with running(rig.driver) as watch:
        await watch.until(lambda: watch.latest("d.reading") is not None)
        await rig.cut()
        await watch.lost()
    await rig.heal()
    rig.set("d.reading", 8.5)
    async with running(rig.driver) as watch:
        await watch.until(lambda: watch.value("d.reading") == 8.5)

        assert "d" in watch.nameplates
        assert await rig.driver.write(setpoint("d.setpoint", 9.5)) == 9.5


async def test_cancelling_returns_in_time_and_leaves_nothing_behind(rig: Rig) -> None:
    """No task, no thread, no socket; a silent peer delays nothing."""
    before = footprint()
    async with running(rig.driver) as watch:
        await watch.until(lambda: watch.latest("d.reading") is not None)
        await rig.silence()
        watch.task.cancel()
        done, _ = await asyncio.wait({watch.task}, timeout=CANCEL_S)

        assert done
    await rig.cut()  # the peer's own end of the connection goes, too
    await rig.heal()
    assert footprint() == before


async def test_a_write_while_down_raises_at_once(rig: Rig) -> None:
    """Never run, or lost: nothing is queued, and nothing arrives afterwards."""
    rig.set("d.setpoint", 2.5)
    with pytest.raises(ConnectionLost):
        await rig.driver.write(setpoint("d.setpoint", 1.0))
    async with running(rig.driver) as watch:
        await watch.until(lambda: watch.latest("d.reading") is not None)
        await rig.cut()
        await watch.lost()
    with pytest.raises(ConnectionLost):
        await rig.driver.write(setpoint("d.setpoint", 1.0))

    assert rig.get("d.setpoint") == 2.5
