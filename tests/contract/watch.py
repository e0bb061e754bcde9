"""Runs a driver beside a test, keeps what it emits, and awaits states of it with a deadline."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress

from drivers.base import ConnectionLost, Driver, Emission
from gateway.model import Measurement, Nameplate

DEADLINE_S = 5.0
"""Far above what any state here takes, so that a loaded machine fails no test."""
WHOLE_S = 20.0
"""For all of a test's dealings with one run, so that a write that never returns fails and does not hang."""


class Watch:
    """Everything one run of a driver emitted."""

    def __init__(self) -> None:
        self.measurements: list[Measurement] = []
        self.batches: list[list[Emission]] = []
        self.nameplates: dict[str, Nameplate] = {}
        self._changed = asyncio.Event()
        self.task: asyncio.Task[None]

    def emit(self, emissions: Iterable[Emission]) -> None:
        batch = list(emissions)
        self.batches.append(batch)
        for each in batch:
            if isinstance(each, Nameplate):
                self.nameplates[each.device] = each
            else:
                self.measurements.append(each)
        self._changed.set()

    def latest(self, point: str) -> Measurement | None:
        return next((each for each in reversed(self.measurements) if each.point == point), None)

    def value(self, point: str) -> object:
        latest = self.latest(point)
        return None if latest is None else latest.value

    async def until(self, condition: Callable[[], bool]) -> None:
        """Await a state of what was emitted; a run that ends first, or the deadline, fails the test."""
        async with asyncio.timeout(DEADLINE_S):
            while not condition():
                self._changed.clear()
                changed = asyncio.ensure_future(self._changed.wait())
                try:
                    await asyncio.wait({changed, self.task}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    changed.cancel()
                if self.task.done() and not condition():
                    await self.task
                    raise AssertionError("the run ended by itself")

    async def lost(self) -> str:
        """Await the end of the run by a loss; returns its text."""
        async with asyncio.timeout(DEADLINE_S):
            try:
                await self.task
            except ConnectionLost as error:
                return str(error)
        raise AssertionError("the run ended without ConnectionLost")


@asynccontextmanager
async def running(driver: Driver) -> AsyncIterator[Watch]:
    """A driver that runs until the block ends."""
    watch = Watch()
    watch.task = asyncio.create_task(driver.run(watch.emit), name="driver under test")
    try:
        async with asyncio.timeout(WHOLE_S):
            yield watch
    finally:
        watch.task.cancel()
        with suppress(asyncio.CancelledError, ConnectionLost):
            await watch.task
