"""Keeps one driver running, and hands it set-points: the latest of each point, never a queue."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Iterable

from drivers.base import ConnectionLost, Driver, Emission, WriteRefused
from gateway.image import Image
from gateway.model import Instant, Nameplate, SetPoint, Setting, WriteResult

PAUSE_MIN_S = 0.5
PAUSE_MAX_S = 30.0
"""A device that is off for the night is asked twice a minute: soon enough when it wakes, no storm while it sleeps."""
STEADY_S = 10.0
"""A connection that lasted this long was a good one: the next pause is short again."""

log = logging.getLogger(__name__)


def _end_if_cancelled() -> None:
    """Before Python 3.13, a TaskGroup whose child fails as it is cancelled tells of the failure only."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


class Supervisor:
    """One driver, its pauses, and one set-point slot a point."""

    def __init__(self, driver: Driver, image: Image, *, now: Callable[[], Instant], wake: Callable[[], None]) -> None:
        self._driver = driver
        self._image = image
        self._now = now
        self._wake = wake
        self._devices = tuple(nameplate.device for nameplate in driver.nameplates)
        self._slots: dict[str, dict[str, SetPoint]] = {device: {} for device in self._devices}
        self._filled = {device: asyncio.Event() for device in self._devices}
        self._connected = False

    @property
    def devices(self) -> tuple[str, ...]:
        return self._devices

    def offer(self, setpoint: SetPoint) -> None:
        """Put a set-point into its slot; one that is still there was not yet written and is superseded."""
        device = setpoint.point.partition(".")[0]
        self._slots[device][setpoint.point] = setpoint
        self._filled[device].set()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_running(), name=f"driver {self._driver.name}")
            for device in self._devices:  # one that takes its time over a write keeps no other waiting
                group.create_task(self._write_slots(device), name=f"writes {device}")

    def _emit(self, items: Iterable[Emission]) -> None:
        items = list(items)
        if not self._connected:
            self._connected = True
            log.info("%s: connected", self._driver.name)
        self._image.emit(items, self._now())
        if any(isinstance(item, Nameplate) for item in items):
            self._wake()

    async def _keep_running(self) -> None:
        pause = PAUSE_MIN_S
        reason = ""
        while True:
            started = self._now().mono
            try:
                # In a task of its own: what a TaskGroup of the driver does to its task's cancellations stays there.
                await asyncio.create_task(self._driver.run(self._emit), name=f"run {self._driver.name}")
                lost = "the driver ended"
            except ConnectionLost as error:
                lost = str(error)
            except Exception as error:  # one faulty driver must not stop the other devices
                lost = f"fault in the driver: {error!r}"
                if lost != reason:  # once: a fault that stays must not fill the log
                    log.exception("%s: fault in the driver", self._driver.name)
            _end_if_cancelled()
            self._image.offline(self._devices, self._now())
            if self._connected or lost != reason:
                log.warning("%s: offline: %s", self._driver.name, lost)
            self._connected, reason = False, lost
            if self._now().mono - started >= min(STEADY_S, 2 * pause):  # a link that flaps is worth its next chance
                pause = PAUSE_MIN_S
            await asyncio.sleep(pause * random.uniform(0.8, 1.2))  # noqa: S311 - spreads reconnects, guards nothing
            pause = min(pause * 2, PAUSE_MAX_S)

    async def _write_slots(self, device: str) -> None:
        slots, filled = self._slots[device], self._filled[device]
        while True:
            await filled.wait()
            filled.clear()
            while slots:
                point = next(iter(slots))
                await self._write(slots.pop(point))

    async def _write(self, setpoint: SetPoint) -> None:
        if self._now().mono >= setpoint.expires:
            return
        readback: Setting | None = None
        error: str | None = None
        try:
            readback = await self._driver.write(setpoint)
        except (ConnectionLost, WriteRefused) as failure:
            error = str(failure) or type(failure).__name__
        now = self._now()
        self._image.wrote(WriteResult(setpoint.point, setpoint.value, readback, error, now.mono), now)
        self._wake()
