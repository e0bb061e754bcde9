"""What is written, what is given back, and what is said when a device or its connection does not do its part."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from drivers.base import ConnectionLost, Emit, PlannedDevice, Traffic, WriteRefused
from gateway import clock
from gateway.commissioning.bench import running
from gateway.commissioning.result import Device, Result, Verdict
from gateway.commissioning.session import Session, Timing
from gateway.model import Hold, Measurement, Nameplate, Point, Quality, SetPoint, Setting

TIMING = Timing(read_s=0.02, appear_s=1.0, follow_s=0.3, hold_s=0.03, cycles=2, give_back_s=0.3)
LIMIT = Point("inv1.active_power_limit", "W", writable=True)
POWER = Point("inv1.active_power", "W")
PCC = Point("pcc.active_power", "W")
INV1 = Device("inv1", "pv", 10_000.0, controlled=True)
METER = Device("pcc", "meter", 10_000.0, controlled=False)
SUN_W = 8_000.0


@dataclass
class Rig:
    """An inverter behind a driver of its own, and a meter; `fail(n)` may raise at the n-th write, counted from 1."""

    limit: Point = LIMIT
    stands: Setting | None = None
    quality: Quality = Quality.GOOD
    fail: Callable[[int], None] = lambda n: None
    written: list[Setting | None] = field(default_factory=list)
    name: str = "rig"

    @property
    def nameplates(self) -> tuple[Nameplate, ...]:
        return (Nameplate("inv1", (POWER, self.limit), rated_power_w=10_000.0), Nameplate("pcc", (PCC,)))

    def plan(self) -> tuple[PlannedDevice, ...]:
        return ()

    def traffic(self) -> tuple[Traffic, ...]:
        return ()

    async def run(self, emit: Emit) -> None:
        emit(self.nameplates)
        while True:
            power = SUN_W if self.stands is None else min(SUN_W, float(self.stands))
            emit([Measurement(POWER.id, power), Measurement(PCC.id, power - 9_000.0)])
            if self.limit.readable:
                emit([Measurement(self.limit.id, self.stands, self.quality)])
            await asyncio.sleep(0.005)

    async def write(self, setpoint: SetPoint) -> Setting | None:
        self.written.append(setpoint.value)
        self.fail(len(self.written))
        self.stands = setpoint.value
        return self.stands


@dataclass
class Journal:
    """Keeps holds, with the number of writes at which each was taken."""

    rig: Rig
    taken: list[tuple[Hold, int]] = field(default_factory=list)
    released: list[str] = field(default_factory=list)

    async def take(self, hold: Hold) -> None:
        self.taken.append((hold, len(self.rig.written)))

    async def release(self, point: str) -> None:
        self.released.append(point)


@dataclass
class Outcome:
    """What came of a session."""

    results: list[Result]
    journal: Journal
    cancelled: bool

    def of(self, test: str) -> Result:
        return next(result for result in self.results if result.test == test)


async def agreed(device: Device, told: str) -> bool:
    return True


async def session(rig: Rig, *, stop: Callable[[], bool] | None = None, **wiring: Any) -> Outcome:
    """One session over the rig; it is cancelled as soon as *stop()*."""
    journal = Journal(rig)
    wired: dict[str, Any] = {"pcc": "pcc", "consent": agreed, "timing": TIMING, **wiring}
    async with running([rig], clock.now) as bench:
        one = Session(bench, [METER, INV1], nominal_v=400.0, keeper=journal, tell=lambda result: None, **wired)
        task = asyncio.create_task(one.run())
        if stop is not None:
            async with asyncio.timeout(10):
                while not stop():  # noqa: ASYNC110 - a list of writes does not tell
                    await asyncio.sleep(0.002)
            task.cancel()
        await asyncio.wait({task}, timeout=20)
        if not task.cancelled():
            task.result()
        return Outcome(one.results, journal, task.cancelled())


def at(first: int, last: float, error: Exception) -> Callable[[int], None]:
    """Fail at these writes."""

    def fail(n: int) -> None:
        if first <= n <= last:
            raise error

    return fail


async def test_a_limit_is_stepped_by_a_tenth_of_the_rating_and_let_go_after_it() -> None:
    rig = Rig()
    outcome = await session(rig)
    assert rig.written == [7_000.0, None, 7_000.0, None, None]
    for test in ("follows its set-point", "seen by the PCC meter", "given back"):
        assert outcome.of(test).verdict is Verdict.PASS, outcome.results


async def test_what_stands_is_journaled_before_the_first_write_and_released_after_the_last() -> None:
    outcome = await session(Rig(stands=9_500.0))
    assert outcome.journal.taken == [(Hold(LIMIT.id, 9_500.0), 0)]
    assert outcome.journal.released == [LIMIT.id]


async def test_a_limit_that_stood_before_is_what_is_rested_at_and_given_back() -> None:
    rig = Rig(stands=6_000.0)
    await session(rig)
    assert rig.written == [5_000.0, 6_000.0, 5_000.0, 6_000.0, 6_000.0]


async def test_a_limit_that_cannot_be_read_is_given_back_as_the_whole_rating() -> None:
    rig = Rig(limit=Point(LIMIT.id, "%", readable=False, writable=True, base=10_000.0), stands=None)
    rig.write = percent(rig)  # type: ignore[method-assign]
    await session(rig)
    assert rig.written == [70.0, 100.0, 70.0, 100.0, 100.0]


def percent(rig: Rig) -> Any:
    async def write(setpoint: SetPoint) -> Setting | None:
        rig.written.append(setpoint.value)
        rig.stands = None if setpoint.value is None else float(setpoint.value) * 100.0
        return setpoint.value

    return write


@pytest.mark.parametrize("quality", [Quality.INVALID, Quality.OFFLINE])
async def test_what_could_not_be_given_back_is_not_written(quality: Quality) -> None:
    rig = Rig(quality=quality)
    outcome = await session(rig)
    assert rig.written == []
    assert outcome.of("step test").verdict is Verdict.INCONCLUSIVE
    assert "could not be given back" in outcome.of("step test").measured


async def test_a_refused_write_fails_the_device_in_its_own_words_and_is_given_back() -> None:
    rig = Rig(fail=at(1, 1, WriteRefused("illegal data address")))
    outcome = await session(rig)
    assert outcome.of("follows its set-point").verdict is Verdict.FAIL
    assert "illegal data address" in outcome.of("follows its set-point").measured
    assert outcome.of("given back").verdict is Verdict.PASS
    assert rig.written == [7_000.0, None]


async def test_giving_back_is_tried_again_until_the_connection_is_back() -> None:
    rig = Rig(fail=at(2, 3, ConnectionLost("cable")))
    outcome = await session(rig, timing=replace(TIMING, give_back_s=5.0))
    assert outcome.of("given back").verdict is Verdict.PASS
    assert rig.stands is None


async def test_what_cannot_be_given_back_stays_journaled_and_is_told() -> None:
    outcome = await session(Rig(fail=at(2, float("inf"), ConnectionLost("cable"))))
    assert outcome.of("given back").verdict is Verdict.FAIL
    assert "COULD NOT BE GIVEN BACK: inv1.active_power_limit" in outcome.of("given back").advice
    assert outcome.journal.released == []


async def test_cancelled_in_a_step_it_gives_back_before_it_ends() -> None:
    rig = Rig()
    outcome = await session(rig, stop=lambda: bool(rig.written))
    assert outcome.cancelled
    assert rig.written == [7_000.0, None]
    assert outcome.of("given back").verdict is Verdict.PASS
    assert outcome.of("follows its set-point").verdict is Verdict.INCONCLUSIVE


async def test_cancelled_before_the_first_write_nothing_is_written_at_all() -> None:
    asked: list[str] = []

    async def note(device: Device, told: str) -> bool:
        asked.append(told)
        return True

    rig = Rig()
    slow = replace(TIMING, hold_s=0.5)
    outcome = await session(rig, stop=lambda: bool(asked), consent=note, timing=slow)
    assert outcome.cancelled
    assert rig.written == []
    assert outcome.journal.released == [LIMIT.id]


async def test_a_refused_consent_writes_nothing() -> None:
    async def no(device: Device, told: str) -> bool:
        return False

    rig = Rig()
    outcome = await session(rig, consent=no)
    assert rig.written == []
    assert outcome.of("step test").verdict is Verdict.NOT_RUN


async def test_a_set_point_that_lapses_by_itself_is_written_again_meanwhile() -> None:
    rig = Rig(limit=Point(LIMIT.id, "W", writable=True, refresh_s=0.04))
    await session(rig)
    assert rig.written.count(7_000.0) > 2
    assert rig.written[-1] is None


async def test_a_device_that_does_not_follow_is_waited_for_and_fails() -> None:
    rig = Rig()

    async def deaf(setpoint: SetPoint) -> Setting | None:
        rig.written.append(setpoint.value)
        return setpoint.value

    rig.write = deaf  # type: ignore[method-assign]
    outcome = await session(rig)
    assert outcome.of("follows its set-point").verdict is Verdict.FAIL
    assert outcome.of("seen by the PCC meter").verdict is Verdict.INCONCLUSIVE
