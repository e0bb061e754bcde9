"""One connection to a Modbus TCP endpoint, and the devices behind it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from drivers.base import ConnectionLost, Driver, Emit, PlannedDevice, WriteRefused
from drivers.modbus.config import ModbusDevice
from drivers.modbus.link import Link
from drivers.modbus.plan import planned
from drivers.modbus.unit import Unit
from gateway.model import SetPoint


class ModbusDriver:
    """Keeps drivers.base.Driver for all units of one endpoint."""

    def __init__(self, address: tuple[str, int], devices: Sequence[ModbusDevice], *, revert_s: float | None) -> None:
        self._host, self._port = address
        self.name = f"modbus tcp://{self._host}:{self._port}"
        self._units = {device.id: Unit(device, revert_s) for device in devices}
        self.nameplates = tuple(unit.nameplate for unit in self._units.values())
        self._link: Link | None = None
        self._emit: Emit | None = None
        self._writing = asyncio.Lock()

    def plan(self) -> tuple[PlannedDevice, ...]:
        requests = {name: unit.requests() for name, unit in self._units.items()}
        on_line = sum(map(len, requests.values()))
        return tuple(planned(name, each, on_line) for name, each in requests.items())

    async def run(self, emit: Emit) -> None:
        link = await Link.connect(self._host, self._port)
        self._link, self._emit = link, emit
        lost: ConnectionLost | None = None
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(_watch(link), name=f"{self.name} watch")
                for index, (name, unit) in enumerate(self._units.items()):
                    tasks.create_task(
                        unit.run(link, emit, phase=index / len(self._units), all_down=self._all_down),
                        name=f"{self.name} {name}",
                    )
        except* ConnectionLost as group:
            lost = _first(group)
        finally:
            self._link = self._emit = None
            link.close(f"{self.name}: closed by dergate")
            await link.ended()
        if lost is not None:
            raise lost

    async def write(self, setpoint: SetPoint) -> float | None:
        unit = self._units.get(setpoint.point.partition(".")[0])
        if unit is None:
            raise WriteRefused(f"{setpoint.point}: no such device behind {self.name}")
        if self._link is None:
            raise ConnectionLost(f"{self.name}: not connected")
        async with self._writing:  # the steps of one set-point follow each other
            if (link := self._link) is None or (emit := self._emit) is None:
                raise ConnectionLost(f"{self.name}: not connected")
            return await unit.write(setpoint, link, emit)

    def _all_down(self) -> bool:
        return all(unit.down for unit in self._units.values())


def build(devices: Sequence[ModbusDevice], *, revert_s: float | None) -> list[Driver]:
    """One driver for each endpoint; `revert_s` as in drivers.build."""
    lines: dict[tuple[str, int], list[ModbusDevice]] = {}
    for device in devices:
        lines.setdefault(device.address, []).append(device)
    return [ModbusDriver(address, line, revert_s=revert_s) for address, line in lines.items()]


async def _watch(link: Link) -> None:
    raise ConnectionLost(await link.ended())


def _first(group: BaseExceptionGroup[ConnectionLost]) -> ConnectionLost:
    """Why all of it ended: whichever task noticed first."""
    return next(error for error in group.exceptions if isinstance(error, ConnectionLost))
