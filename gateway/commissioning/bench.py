"""The drivers of a site, kept running; what they said is kept as series, and what is to be written is written now."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager

from drivers.base import ConnectionLost, Driver, Emission
from gateway.commissioning.result import Sample
from gateway.image import KNOWN, Image, Snapshot
from gateway.model import Instant, Measurement, SetPoint, Setting
from gateway.supervise import Supervisor

KEPT = 20_000
"""Samples of a point: over an hour at five a second, longer than any device is under test."""
WRITE_S = 10.0
"""A write with its read-back takes no longer on the slowest serial line."""


class Bench:
    """All devices under test on one event loop."""

    def __init__(self, drivers: Sequence[Driver], now: Callable[[], Instant]) -> None:
        self._drivers = {plate.device: driver for driver in drivers for plate in driver.nameplates}
        self._series: dict[str, deque[Sample]] = {}
        self._changed = asyncio.Event()
        self.now = now
        self.image = _Recorder((plate for driver in drivers for plate in driver.nameplates), self._record)

    def snapshot(self) -> Snapshot:
        return self.image.snapshot(self.now())

    def number(self, point: str) -> float | None:
        """The value of a point now, when it is known and a number."""
        return self.snapshot().number(point)

    def series(self, point: str, since: float = 0.0) -> list[Sample]:
        """Its numbers that arrived after *since*, monotonic seconds."""
        return [sample for sample in self._series.get(point, ()) if sample.mono > since]

    async def until(self, true: Callable[[], bool], timeout_s: float) -> bool:
        """Wait for something that measurements tell; whether it came within *timeout_s*."""
        try:
            async with asyncio.timeout(timeout_s):
                while not true():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return False
        return True

    async def write(self, point: str, value: Setting | None, cause: str) -> Setting | None:
        """
        As Driver.write.

        Raises:
            ConnectionLost: Also when there was no answer within WRITE_S.
            WriteRefused: As Driver.write.
        """
        setpoint = SetPoint(point, value, self.now().mono + WRITE_S, cause)
        try:
            async with asyncio.timeout(WRITE_S):
                return await self._drivers[setpoint.point.partition(".")[0]].write(setpoint)
        except TimeoutError:
            raise ConnectionLost(f"{point}: no answer to a write within {WRITE_S:g} s") from None

    def _record(self, items: Iterable[Emission], now: Instant) -> None:
        for item in items:
            if isinstance(item, Measurement) and item.quality in KNOWN and type(item.value) in {int, float}:
                series = self._series.setdefault(item.point, deque(maxlen=KEPT))
                series.append(Sample(now.mono, float(item.value or 0.0)))
        self._changed.set()


class _Recorder(Image):
    """The image, with an ear for what comes in."""

    def __init__(self, nameplates: Iterable[Emission], heard: Callable[[Iterable[Emission], Instant], None]) -> None:
        super().__init__(())
        super().emit(nameplates, Instant(0.0, 0.0))
        self._heard = heard

    def emit(self, items: Iterable[Emission], now: Instant) -> None:
        items = list(items)
        super().emit(items, now)
        self._heard(items, now)


@asynccontextmanager
async def running(drivers: Sequence[Driver], now: Callable[[], Instant]) -> AsyncIterator[Bench]:
    """A bench whose drivers run, and come back after a loss, until it is left."""
    bench = Bench(drivers, now)
    supervisors = [Supervisor(driver, bench.image, now=now, wake=lambda: None) for driver in drivers]
    tasks = [asyncio.create_task(one.run(), name=f"supervisor {one.devices}") for one in supervisors]
    try:
        yield bench
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
