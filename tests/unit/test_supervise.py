"""One driver kept running: lost and back, faulty, and handed the latest set-point only."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import pytest

from drivers.base import ConnectionLost, Emit
from gateway import clock, supervise
from gateway.image import Image, Snapshot
from gateway.model import Instant, Point, Quality, SetPoint
from gateway.supervise import Supervisor
from tests.contract.fake import FakeDriver

POWER, LIMIT = "inv1.active_power", "inv1.active_power_limit"
POINTS = (Point(POWER, "W"), Point(LIMIT, "W", writable=True))


@dataclass
class Rig:
    driver: FakeDriver
    image: Image
    supervisor: Supervisor
    woken: asyncio.Event

    def snapshot(self) -> Snapshot:
        return self.image.snapshot(clock.now())

    def offer(self, value: float, lifetime_s: float = 5.0) -> None:
        self.supervisor.offer(SetPoint(LIMIT, value, clock.now().mono + lifetime_s, "test"))

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not true():  # noqa: ASYNC110 - what is awaited is looked at from outside, it sets no event
                await asyncio.sleep(0)


@asynccontextmanager
async def rig(driver: FakeDriver | None = None) -> AsyncIterator[Rig]:
    driver = driver or FakeDriver("fake", POINTS, rated_power_w=60_000.0)
    image, woken = Image(driver.nameplates), asyncio.Event()
    supervisor = Supervisor(driver, image, now=clock.now, wake=woken.set)
    running = asyncio.create_task(supervisor.run())
    try:
        yield Rig(driver, image, supervisor, woken)
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervise, "PAUSE_MIN_S", 0.01)


async def test_what_the_driver_emits_is_in_the_image() -> None:
    async with rig() as one:
        await one.until(lambda: one.driver.connected)
        one.driver.set(POWER, 5.0)

        assert one.snapshot().number(POWER) == 5.0


async def test_a_lost_connection_takes_the_worth_of_the_values_and_comes_back(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with rig() as one:
        await one.until(lambda: one.driver.connected)
        one.driver.reachable = False
        one.driver.lose()
        await one.until(lambda: one.snapshot().readings[POWER].quality is Quality.OFFLINE)
        one.driver.reachable = True
        await one.until(lambda: one.snapshot().readings[POWER].quality is Quality.GOOD)

    assert [message for message in caplog.messages if message.endswith("connected")] == ["fake: connected"] * 2


async def test_a_device_that_stays_away_is_one_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    driver = FakeDriver("fake", POINTS)
    driver.reachable = False
    tries = 0
    run = driver.run

    async def counted(emit: object) -> None:
        nonlocal tries
        tries += 1
        await run(emit)  # type: ignore[arg-type]  # handed on as it came

    driver.run = counted  # type: ignore[method-assign]  # to count
    async with rig(driver) as one:
        await one.until(lambda: tries >= 3)

    assert len([message for message in caplog.messages if "offline" in message]) == 1


async def test_a_fault_in_the_driver_is_a_loss_like_any_other(caplog: pytest.LogCaptureFixture) -> None:
    driver = FakeDriver("fake", POINTS)
    run, faults = driver.run, 0

    async def faulty(emit: object) -> None:
        nonlocal faults
        if faults == 0:
            faults += 1
            raise ZeroDivisionError
        await run(emit)  # type: ignore[arg-type]  # handed on as it came

    driver.run = faulty  # type: ignore[method-assign]  # the fault under test
    async with rig(driver) as one:
        await one.until(lambda: one.driver.connected)

    assert "fault in the driver" in caplog.text


async def test_a_connection_lost_in_a_task_of_the_driver_is_opened_again() -> None:
    """As the real drivers lose theirs: a child of their TaskGroup fails while the group waits for it."""
    driver = FakeDriver("fake", POINTS)
    run, runs = driver.run, 0

    async def in_a_group(emit: Emit) -> None:
        nonlocal runs
        runs += 1
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(run(emit))
        except* ConnectionLost:
            pass
        raise ConnectionLost("reset by peer")

    driver.run = in_a_group  # type: ignore[method-assign]  # to lose it as they do
    async with rig(driver) as one:
        for count in (1, 2, 3):
            await one.until(lambda: driver.connected and runs == count)  # noqa: B023 - awaited within the turn
            driver.lose()
            await one.until(lambda: not driver.connected)


async def test_it_ends_when_the_connection_is_lost_as_it_is_cancelled() -> None:
    """Everything goes at once when a host is stopped: the loss must not hide that we were asked to end."""
    driver = FakeDriver("fake", POINTS)
    run = driver.run

    async def lost_when_cancelled(emit: Emit) -> None:
        try:
            await run(emit)
        except asyncio.CancelledError:
            raise ConnectionLost("reset by peer") from None

    driver.run = lost_when_cancelled  # type: ignore[method-assign]  # the coincidence under test
    supervisor = Supervisor(driver, Image(driver.nameplates), now=clock.now, wake=lambda: None)
    running = asyncio.create_task(supervisor.run())
    async with asyncio.timeout(5):
        while not driver.connected:  # noqa: ASYNC110 - the driver sets no event
            await asyncio.sleep(0)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running


async def test_a_setpoint_is_written_and_its_read_back_is_known() -> None:
    async with rig() as one:
        await one.until(lambda: one.driver.connected)
        one.woken.clear()
        one.offer(30_000.0)
        await one.until(lambda: LIMIT in one.snapshot().writes)
        snapshot = one.snapshot()

        assert (snapshot.writes[LIMIT].readback, snapshot.writes[LIMIT].error) == (30_000.0, None)
        assert snapshot.number(LIMIT) == 30_000.0
        assert one.woken.is_set()


async def test_only_the_latest_of_a_point_is_written() -> None:
    """A slot, never a queue: what came before is not what is meant any more."""
    async with rig() as one:
        await one.until(lambda: one.driver.connected)
        for value in (10_000.0, 20_000.0, 30_000.0):
            one.offer(value)
        await one.until(lambda: LIMIT in one.snapshot().writes)

        assert [setpoint.value for setpoint in one.driver.written] == [30_000.0]


async def test_a_device_that_takes_its_time_keeps_no_other_waiting() -> None:
    driver = FakeDriver("fake", (*POINTS, Point("inv2.active_power_limit", "W", writable=True)))
    write, never = driver.write, asyncio.Event()

    async def slow(setpoint: SetPoint) -> float | None:
        if setpoint.point == LIMIT:
            await never.wait()
        return await write(setpoint)

    driver.write = slow  # type: ignore[method-assign]  # a device that settles for long
    async with rig(driver) as one:
        await one.until(lambda: one.driver.connected)
        one.offer(10_000.0)
        one.supervisor.offer(SetPoint("inv2.active_power_limit", 1.0, clock.now().mono + 5, "test"))
        await one.until(lambda: "inv2.active_power_limit" in one.snapshot().writes)

        assert LIMIT not in one.snapshot().writes


async def test_an_expired_setpoint_is_never_written() -> None:
    async with rig() as one:
        await one.until(lambda: one.driver.connected)
        one.offer(10_000.0, lifetime_s=0.0)
        one.supervisor.offer(SetPoint("inv1.other", 1.0, clock.now().mono + 5, "test"))
        await one.until(lambda: "inv1.other" in one.snapshot().writes)

        assert one.driver.written == []


@pytest.mark.parametrize("connected", [True, False])
async def test_a_write_that_fails_says_why(connected: bool) -> None:
    driver = FakeDriver("fake", POINTS)
    driver.refuse.add(LIMIT)
    driver.reachable = connected
    async with rig(driver) as one:
        if connected:
            await one.until(lambda: one.driver.connected)
        one.offer(10_000.0)
        await one.until(lambda: LIMIT in one.snapshot().writes)

        error = one.snapshot().writes[LIMIT].error
        assert error is not None
        assert ("refused" if connected else "not connected") in error


@pytest.mark.parametrize(
    ("lasted_s", "pauses_s"),
    [
        pytest.param(0.0, [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0], id="refused"),
        pytest.param(0.4, [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0], id="kicked-at-once"),
        pytest.param(2.0, [0.5] * 8, id="flapping"),
        pytest.param(10.0, [0.5] * 8, id="steady"),
    ],
)
async def test_how_soon_a_lost_device_is_tried_again(
    lasted_s: float, pauses_s: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A link that flaps, two seconds up and a moment down, is worth its next chance; one that never holds is not."""
    now, waited = 100.0, []
    sleep = asyncio.sleep

    async def lost(_: Emit) -> None:
        nonlocal now
        now += lasted_s
        raise ConnectionLost("gone")

    async def paused(seconds: float) -> None:
        waited.append(seconds)
        await sleep(0)

    monkeypatch.setattr(supervise, "PAUSE_MIN_S", 0.5)
    monkeypatch.setattr(supervise.random, "uniform", lambda *_: 1.0)
    monkeypatch.setattr(supervise.asyncio, "sleep", paused)
    driver = FakeDriver("fake", POINTS)
    driver.run = lost  # type: ignore[method-assign]  # a connection as the table says
    supervisor = Supervisor(driver, Image(driver.nameplates), now=lambda: Instant(now, now), wake=lambda: None)
    running = asyncio.create_task(supervisor.run())
    while len(waited) < len(pauses_s):
        await sleep(0)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running

    assert waited[: len(pauses_s)] == pauses_s
