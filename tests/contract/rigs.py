"""
What the contract suite needs of each driver: a peer that can be read, set, cut and silenced.

A rig names four points, the same for every protocol: `d.reading`, signed and scaled; `d.other`, its neighbour;
`d.setpoint`, which can be written; `d.refused`, whose writes the peer refuses.
"""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol

from drivers.base import Driver
from drivers.modbus.config import ModbusDevice
from drivers.modbus.driver import build as build_modbus
from gateway.model import Point, Quality
from hil.faces.modbus import MemoryRegisters, ModbusFace
from tests.contract.fake import FakeDriver


class Rig(Protocol):
    """One driver and the other end of its connection."""

    driver: Driver

    def set(self, point: str, value: float) -> None:
        """The peer's own value of a point changes."""

    def deny(self, point: str) -> None:
        """The peer says from now on that it has no such value."""

    def get(self, point: str) -> float:
        """What stands at the peer."""

    async def cut(self) -> None:
        """The peer closes the connection and takes no new one."""

    async def heal(self) -> None:
        """The peer is as at the start."""

    async def silence(self) -> None:
        """The peer keeps the connection and says nothing any more."""


@dataclass
class ModbusRig:
    driver: Driver
    face: ModbusFace
    registers: MemoryRegisters
    _at: dict[str, int] = field(default_factory=lambda: {"d.reading": 10, "d.other": 12, "d.setpoint": 20})

    def set(self, point: str, value: float) -> None:
        high, low = struct.unpack(">HH", struct.pack(">i", round(value * 10)))
        self.registers.holding |= {self._at[point]: high, self._at[point] + 1: low}

    def deny(self, point: str) -> None:
        self.registers.refuse.add(("holding", self._at[point]))

    def get(self, point: str) -> float:
        words = self.registers.read("holding", self._at[point], 2)
        raw: int = struct.unpack(">i", struct.pack(">HH", *words))[0]
        return raw / 10

    async def cut(self) -> None:
        await self.face.stop()

    async def heal(self) -> None:
        self.face.silent = False
        self.registers.refuse -= {("holding", address) for address in self._at.values()}
        await self.face.start()

    async def silence(self) -> None:
        self.face.silent = True


@asynccontextmanager
async def modbus() -> AsyncIterator[Rig]:
    """Four int32 with one decimal behind the face; register 30 does not exist."""
    registers = MemoryRegisters(holding=dict.fromkeys((10, 11, 12, 13, 20, 21), 0))
    async with ModbusFace({1: registers}) as face:
        places = {
            "reading": (10, "read"),
            "other": (12, "read"),
            "setpoint": (20, "read-write"),
            "refused": (30, "write"),
        }
        device = ModbusDevice.model_validate(
            {
                "id": "d",
                "driver": "modbus",
                "role": "pv",
                "endpoint": f"tcp://127.0.0.1:{face.port}",
                "poll": "50ms",
                "timeout": "200ms",
                "points": [
                    {"name": name, "register": f"holding:{address}", "type": "int32", "scale": 0.1, "access": access}
                    for name, (address, access) in places.items()
                ],
            }
        )
        (driver,) = build_modbus([device], revert_s=None)
        yield ModbusRig(driver, face, registers)


@dataclass
class FakeRig:
    driver: FakeDriver

    def set(self, point: str, value: float) -> None:
        self.driver.set(point, value)

    def deny(self, point: str) -> None:
        self.driver.set(point, None, Quality.INVALID)

    def get(self, point: str) -> float:
        value = self.driver.values[point].value
        assert isinstance(value, float)
        return value

    async def cut(self) -> None:
        self.driver.reachable = False
        self.driver.lose()

    async def heal(self) -> None:
        self.driver.reachable = True

    async def silence(self) -> None:
        self.driver.lose()


@asynccontextmanager
async def fake() -> AsyncIterator[Rig]:
    driver = FakeDriver(
        "fake",
        [
            Point("d.reading", "W"),
            Point("d.other", "W"),
            Point("d.setpoint", "W", writable=True),
            Point("d.refused", "W", readable=False, writable=True),
        ],
    )
    driver.refuse.add("d.refused")
    yield FakeRig(driver)


RIGS: dict[str, Callable[[], AbstractAsyncContextManager[Rig]]] = {"modbus": modbus, "fake": fake}
"""By the name of the protocol in `drivers`; `fake` stands for none."""
