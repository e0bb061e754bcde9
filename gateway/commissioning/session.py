"""The tests of a site, one after the other: reading, consent, steps, and giving back whatever happens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Protocol

from drivers.base import ConnectionLost, WriteRefused
from gateway.commissioning import follow
from gateway.commissioning.bench import Bench
from gateway.commissioning.effect import Phase
from gateway.commissioning.plan import NoStep, StepPlan, plan_step, step_point
from gateway.commissioning.readings import Seen, reading_tests
from gateway.commissioning.result import Device, Result, Verdict
from gateway.control.capability import LIMIT, to_point
from gateway.image import KNOWN
from gateway.model import Hold, Point, Quality, Setting

STEP, BACK = "step test", "given back"
RETRY_S = 0.5
LATER_S = 10.0
"""Once a device did not follow in time, it is not waited for any longer than this."""
SAMPLES_LEAST = 3
"""Values of a phase that a mean is taken of."""


@dataclass(frozen=True, slots=True)
class Timing:
    """
    How long things take: `read_s` each device is read, `follow_s` waited for it to follow, `hold_s` both for what
    trails behind and then for a mean; `cycles` repetitions of a step. Giving back is tried for `give_back_s`: a
    connection that was cut has come back by then, or somebody must go and look.
    """

    read_s: float = 5.0
    appear_s: float = 15.0
    follow_s: float = 30.0
    hold_s: float = 3.0
    cycles: int = 3
    give_back_s: float = 20.0

    @property
    def step_s(self) -> float:
        """About how long the steps of one device take."""
        return (2 * self.cycles + 1) * (2 * self.hold_s + 2.0)


class Keeper(Protocol):
    """Keeps what stood in a point before the first write, so that it outlives this process."""

    async def take(self, hold: Hold) -> None: ...

    async def release(self, point: str) -> None: ...


Consent = Callable[[Device, str], Awaitable[bool]]
"""Whether these writes to this device are agreed to."""


class Session:
    """The tests of one site; `results` grows as they run, `tell` hears of each."""

    def __init__(
        self,
        bench: Bench,
        devices: Sequence[Device],
        *,
        pcc: str | None,
        nominal_v: float,
        timing: Timing,
        keeper: Keeper,
        consent: Consent | None,
        tell: Callable[[Result], None],
        no_consent: str = "",
    ) -> None:
        self._bench = bench
        self._devices = devices
        self._pcc = pcc
        self._nominal_v = nominal_v
        self._timing = timing
        self._keeper = keeper
        self._consent = consent
        self._no_consent = no_consent
        self._tell = tell
        self._written = False
        self.results: list[Result] = []

    async def run(self) -> None:
        """All tests; when cancelled, what was written is given back before it ends."""
        await self._appear()
        for device in self._devices:
            for result in reading_tests(self._seen(device)):
                self._add(result)
        for device in self._devices:
            if device.controlled:
                await self._step_test(device)
        if self._pcc is not None:
            readings = [sample.value for sample in self._bench.series(f"{self._pcc}.active_power")]
            sign = follow.judge_sign(self._pcc, self.results, readings)
            if sign is not None:
                self._add(sign)

    def _add(self, result: Result) -> None:
        self.results.append(result)
        self._tell(result)

    # Reading

    async def _appear(self) -> None:
        """Let every device be known, or have its chance, and then be read for a while."""

        def known() -> bool:
            snapshot = self._bench.snapshot()
            answered = {point.partition(".")[0] for point, one in snapshot.readings.items() if one.quality in KNOWN}
            return answered >= {device.id for device in self._devices}

        await self._bench.until(known, self._timing.appear_s)
        await asyncio.sleep(self._timing.read_s)

    def _rated(self, device: Device) -> Device:
        plate = self._bench.snapshot().nameplates.get(device.id)
        return device if device.rated_w or plate is None else replace(device, rated_w=plate.rated_power_w)

    def _points(self, device: str) -> tuple[Point, ...]:
        plate = self._bench.snapshot().nameplates.get(device)
        return plate.points if plate else ()

    def _seen(self, device: Device) -> Seen:
        snapshot = self._bench.snapshot()
        points = self._points(device.id)
        return Seen(
            device=self._rated(device),
            points=points,
            readings={one.name: snapshot.readings[one.id] for one in points if one.id in snapshot.readings},
            series={one.name: self._bench.series(one.id) for one in points},
            mono=snapshot.now.mono,
            nominal_v=self._nominal_v,
        )

    # Stepping

    async def _step_test(self, device: Device) -> None:
        device = self._rated(device)
        point = step_point(device, self._points(device.id))
        if point is None:
            advice = "has it answered, and does its profile have a limit or a set-point?"
            self._add(Result(device.id, STEP, Verdict.NOT_RUN, measured="nothing to write", advice=advice))
            return
        if self._consent is None:
            self._add(Result(device.id, STEP, Verdict.NOT_RUN, measured=self._no_consent))
            return
        plan = self._plan(device, point)
        if isinstance(plan, NoStep):
            self._add(Result(device.id, STEP, Verdict.INCONCLUSIVE, measured=plan.reason, advice=plan.advice))
            return
        told = f"{plan.told()}; about {self._timing.step_s:.0f} s"
        if not await self._consent(device, told):
            self._add(Result(device.id, STEP, Verdict.NOT_RUN, told, "the operator did not agree"))
            return
        await self._step(device, plan)

    def _plan(self, device: Device, point: Point) -> StepPlan | NoStep:
        snapshot = self._bench.snapshot()
        reading = snapshot.readings.get(point.id)
        before: Setting | None
        if not point.readable:  # a limit gives back all, a set-point nothing: what the daemon does, too
            before = to_point(point, device.rated_w or 0.0) if point.name == LIMIT else 0.0
        elif reading is None or reading.quality not in KNOWN:
            quality = reading.quality if reading else Quality.OFFLINE
            return NoStep(f"what stands in {point.id} is {quality}, so it could not be given back")
        else:
            before = snapshot.number(point.id)
        power, soc = (snapshot.number(f"{device.id}.{name}") for name in ("active_power", "state_of_charge"))
        return plan_step(device, point, power, before, soc)

    async def _step(self, device: Device, plan: StepPlan) -> None:
        phases: list[Phase] = []
        await self._keeper.take(Hold(plan.point.id, plan.before))
        self._written = False
        fault = ""
        try:
            await self._go_through(plan, phases)
        except (ConnectionLost, WriteRefused) as error:
            fault = str(error)
        finally:
            asked_to_stop = await self._end_step(device, plan, phases, fault)
        if asked_to_stop:
            raise asyncio.CancelledError

    async def _end_step(self, device: Device, plan: StepPlan, phases: Sequence[Phase], fault: str) -> bool:
        """Give back what was written, then tell of the step; whether we were asked to stop meanwhile."""
        if not self._written:
            await self._keeper.release(plan.point.id)
            return False
        back, asked_to_stop = await _whatever_happens(self._give_back(plan))
        self._add_step(device, plan, phases, fault)
        self._add(back)
        return asked_to_stop

    async def _go_through(self, plan: StepPlan, phases: list[Phase]) -> None:
        patience = self._timing.follow_s
        for number in range(2 * self._timing.cycles + 1):
            stepped = number % 2 == 1
            if stepped and phases:
                plan = self._renewed(plan, phases[-1])
            phase = await self._phase(plan, stepped=stepped, first=number == 0, patience=patience)
            phases.append(phase)
            if not phase.settled:
                patience = min(patience, LATER_S)

    def _renewed(self, plan: StepPlan, rest: Phase) -> StepPlan:
        values = [one.value for one in self._bench.series(_power(plan), rest.since) if one.mono <= rest.until]
        return plan.from_power(fmean(values)) if values else plan

    async def _phase(self, plan: StepPlan, *, stepped: bool, first: bool, patience: float) -> Phase:
        bench, setting = self._bench, plan.setting(stepped=stepped)
        if not (first and plan.is_limit):  # what stands there stands already
            self._written = True
            await bench.write(plan.point.id, setting, "commission")
        written = bench.now().mono

        def reached() -> bool:
            series = bench.series(_power(plan), written)
            return bool(series) and plan.reached(series[-1].value, stepped=stepped)

        async with _refreshed(bench, plan.point, setting if stepped or not plan.is_limit else None):
            settled = await bench.until(reached, patience)
            await asyncio.sleep(self._timing.hold_s)
            since = bench.now().mono
            await asyncio.sleep(self._timing.hold_s)
            powers = [_power(plan), *([f"{self._pcc}.active_power"] if self._pcc else [])]
            watched = [power for power in powers if bench.number(power) is not None]
            enough_s = SAMPLES_LEAST * max((bench.image.point(power).max_age for power in watched), default=0.0)
            await bench.until(lambda: all(len(bench.series(p, since)) >= SAMPLES_LEAST for p in watched), enough_s)
        return Phase(stepped, plan.level_w(stepped=stepped), written, settled, since, bench.now().mono)

    def _add_step(self, device: Device, plan: StepPlan, phases: Sequence[Phase], fault: str) -> None:
        meter = self._pcc if self._pcc != device.id else None
        start = phases[0].written if phases else self._bench.now().mono
        record = follow.Record(
            device_id=device.id,
            meter_id=meter,
            rated_w=plan.rated_w,
            limit=plan.is_limit,
            phases=phases,
            device=self._bench.series(_power(plan), start),
            meter=self._bench.series(f"{meter}.active_power", start) if meter else (),
        )
        if fault:
            self._add(
                Result(device.id, follow.FOLLOWS, Verdict.FAIL, plan.told(), fault, "the write was not done or refused")
            )
            return
        followed = replace(follow.judge_device(record), trace=follow.trace(record))
        self._add(followed)
        self._add(follow.judge_meter(record, followed))

    async def _give_back(self, plan: StepPlan) -> Result:
        """What stood in the point stands there again, by the device's own read-back; or why not."""
        point, before = plan.point, plan.before
        expected = "nothing in force" if before is None else f"{before} {point.unit}".rstrip()
        error = "never tried"
        try:
            async with asyncio.timeout(self._timing.give_back_s):
                while True:
                    try:
                        found = await self._bench.write(point.id, before, "release")
                    except (ConnectionLost, WriteRefused) as failure:
                        error = str(failure)
                        await asyncio.sleep(RETRY_S)
                    else:
                        break
        except TimeoutError:
            advice = f"COULD NOT BE GIVEN BACK: {point.id}; dergate run gives it back when it starts, or set it by hand"
            return Result(point.device, BACK, Verdict.FAIL, expected, error, advice)
        await self._keeper.release(point.id)
        stands = "nothing in force" if found is None else f"{found} {point.unit}".rstrip()
        return Result(point.device, BACK, Verdict.PASS, expected, stands)


def _power(plan: StepPlan) -> str:
    return f"{plan.point.device}.active_power"


async def _whatever_happens(giving_back: Coroutine[None, None, Result]) -> tuple[Result, bool]:
    """Bring it to its end, which is bounded, also while we are asked to stop; whether we were."""
    task = asyncio.create_task(giving_back, name="giving back")
    asked_to_stop = False
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            asked_to_stop = True
    return task.result(), asked_to_stop


@asynccontextmanager
async def _refreshed(bench: Bench, point: Point, setting: Setting | None) -> AsyncIterator[None]:
    """While inside, a set-point that lapses by itself is written again, at half of its time."""
    period_s = point.refresh_s

    async def refresh(period_s: float) -> None:
        while True:
            await asyncio.sleep(period_s / 2)
            with suppress(ConnectionLost, WriteRefused):  # the next write that counts tells
                await bench.write(point.id, setting, "commission")

    if period_s is None or setting is None:
        yield
        return
    task = asyncio.create_task(refresh(period_s), name=f"refresh {point.id}")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
