"""One connection to a Modbus endpoint, and the devices behind it."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from drivers.base import ConnectionLost, Driver, Emit, Now, PlannedDevice, Traffic, WriteRefused
from drivers.modbus.config import ModbusDevice
from drivers.modbus.connect import connect
from drivers.modbus.endpoint import SerialLine
from drivers.modbus.endurance import Endurance
from drivers.modbus.link import Link, Pace
from drivers.modbus.plan import phases, planned
from drivers.modbus.rtu import silence_s
from drivers.modbus.traffic import Count
from drivers.modbus.unit import Unit
from gateway.model import SetPoint, Setting


class ModbusDriver:
    """Keeps drivers.base.Driver for all units of one endpoint."""

    def __init__(self, devices: Sequence[ModbusDevice], *, revert_s: float | None, endurance: Endurance) -> None:
        self._line = devices[0].line
        self._tls = devices[0].tls
        self._pace = _pace(devices)
        self.name = f"modbus {self._line}"
        self._units = {device.id: Unit(device, revert_s, endurance) for device in devices}
        self.nameplates = tuple(unit.nameplate for unit in self._units.values())
        self._phases = phases(self.name, len(self._units))
        self._counts: defaultdict[int, Count] = defaultdict(Count)
        self._link: Link | None = None
        self._emit: Emit | None = None
        self._writing = {name: asyncio.Lock() for name in self._units}

    def plan(self) -> tuple[PlannedDevice, ...]:
        requests = {name: unit.requests() for name, unit in self._units.items()}
        line_time_s = sum(asked.time_s for each in requests.values() for asked in each)
        return tuple(planned(name, each, line_time_s) for name, each in requests.items())

    def traffic(self) -> tuple[Traffic, ...]:
        return tuple(self._counts[unit.device.unit].of(name) for name, unit in self._units.items())

    async def run(self, emit: Emit) -> None:
        link = await connect(self._line, self._pace, self._tls)
        link.counts = self._counts
        self._link, self._emit = link, emit
        lost: ConnectionLost | None = None
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(_watch(link), name=f"{self.name} watch")
                for (name, unit), phase in zip(self._units.items(), self._phases, strict=True):
                    tasks.create_task(
                        unit.run(link, emit, phase=phase, all_down=self._all_down),
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

    async def write(self, setpoint: SetPoint) -> Setting | None:
        name = setpoint.point.partition(".")[0]
        unit = self._units.get(name)
        if unit is None:
            raise WriteRefused(f"{setpoint.point}: no such device behind {self.name}")
        if self._link is None:
            raise ConnectionLost(f"{self.name}: not connected")
        async with self._writing[name]:  # the steps of one set-point follow each other; other devices do not wait
            if (link := self._link) is None or (emit := self._emit) is None:
                raise ConnectionLost(f"{self.name}: not connected")
            return await unit.write(setpoint, link, emit)

    def _all_down(self) -> bool:
        return all(unit.down for unit in self._units.values())


def build(
    devices: Sequence[ModbusDevice],
    *,
    revert_s: float | None,
    state_dir: Path | None = None,
    now: Now | None = None,
) -> list[Driver]:
    """
    One driver for each line; arguments as in drivers.build.

    Raises:
        ValueError: Two devices name the same line and say different things of it.
    """
    lines: dict[tuple[str, int | str], list[ModbusDevice]] = {}
    for device in devices:
        line = lines.setdefault(device.address, [])
        line.append(device)
        if (device.line, device.tls) != (line[0].line, line[0].tls):
            raise ValueError(
                f"devices {line[0].id} and {device.id} share one line and should say the same of it, "
                f"found {_told(line[0])} and {_told(device)}"
            )
    endurance = Endurance(state_dir, now)
    return [ModbusDriver(line, revert_s=revert_s, endurance=endurance) for line in lines.values()]


def _told(device: ModbusDevice) -> str:
    return device.endpoint if device.tls is None else f"{device.endpoint} with tls {device.tls}"


def _pace(devices: Sequence[ModbusDevice]) -> Pace:
    """What the most sensitive device of a line needs is what all of them get."""
    line = devices[0].line
    return Pace(
        pause_after_connect_s=max(device.quirks.pause_after_connect for device in devices),
        gap_s=max(device.quirks.gap for device in devices) + (silence_s(line) if isinstance(line, SerialLine) else 0.0),
        quiet_s=max(device.timeout for device in devices),
    )


async def _watch(link: Link) -> None:
    raise ConnectionLost(await link.ended())


def _first(group: BaseExceptionGroup[ConnectionLost]) -> ConnectionLost:
    """Why all of it ended: whichever task noticed first."""
    return next(error for error in group.exceptions if isinstance(error, ConnectionLost))
