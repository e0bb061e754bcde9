"""A driver in memory that keeps the contract: for tests that need a driver and no wire."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from drivers.base import ConnectionLost, Emit, PlannedDevice, WriteRefused
from gateway.model import Measurement, Nameplate, Point, Quality, SetPoint, Value


class FakeDriver:
    """
    Holds a value for each point; `set` emits it, `write` keeps it in `written` and reads it back.

    Attributes:
        refuse: Ids of points whose writes the device refuses.
        reachable: False makes a run fail at once, as a closed port does.
        limits: The highest value the device takes for a point; a higher one is held there, and so refused.
        written: Every set-point that reached the device, in order.
    """

    def __init__(self, name: str, points: Iterable[Point], *, rated_power_w: float | None = None) -> None:
        self.name = name
        devices: dict[str, list[Point]] = {}
        for point in points:
            devices.setdefault(point.device, []).append(point)
        self.nameplates = tuple(
            Nameplate(device, tuple(own), rated_power_w=rated_power_w) for device, own in devices.items()
        )
        self.refuse: set[str] = set()
        self.limits: dict[str, float] = {}
        self.written: list[SetPoint] = []
        self.reachable = True
        self.values = {
            point.id: Measurement(point.id, None if point.writable else 0.0)
            for plate in self.nameplates
            for point in plate.points
        }
        self._emit: Emit | None = None
        self._lost: asyncio.Future[None] | None = None

    @property
    def connected(self) -> bool:
        return self._emit is not None

    def plan(self) -> tuple[PlannedDevice, ...]:
        return tuple(PlannedDevice(plate.device, 1.0, 0.0, 1.0, ("everything every 1 s",)) for plate in self.nameplates)

    def set(self, point: str, value: Value | None, quality: Quality = Quality.GOOD) -> None:
        """What the device says of a point from now on; emitted at once when connected."""
        measurement = Measurement(point, value, quality)
        self.values[point] = measurement
        if self._emit is not None:
            self._emit([measurement])

    def lose(self) -> None:
        """The peer goes away: a run ends with ConnectionLost."""
        if self._lost is not None and not self._lost.done():
            self._lost.set_exception(ConnectionLost(f"{self.name}: the peer is gone"))

    async def run(self, emit: Emit) -> None:
        if not self.reachable:
            raise ConnectionLost(f"{self.name}: connection refused")
        self._lost = asyncio.get_running_loop().create_future()
        self._emit = emit
        try:
            emit(self.nameplates)
            emit(list(self.values.values()))
            await self._lost
        finally:
            self._emit = self._lost = None

    async def write(self, setpoint: SetPoint) -> float | None:
        if self._emit is None:
            raise ConnectionLost(f"{self.name}: not connected")
        if setpoint.point in self.refuse or not self._writable(setpoint.point):
            raise WriteRefused(f"{setpoint.point}: refused by the device")
        self.written.append(setpoint)
        held = setpoint.value
        if held is not None:
            held = min(held, self.limits.get(setpoint.point, held))
        self.set(setpoint.point, held)
        if held != setpoint.value:
            raise WriteRefused(f"{setpoint.point}: wrote {setpoint.value}, the device holds {held}")
        return held

    def _writable(self, point: str) -> bool:
        return any(each.id == point and each.writable for plate in self.nameplates for each in plate.points)
