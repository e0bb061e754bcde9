"""
What the contract suite needs of each driver: a peer that can be read, set, cut and silenced.

A rig names four points, the same for every protocol: `d.reading`, signed and scaled; `d.other`, its neighbour;
`d.setpoint`, which can be written; `d.refused`, whose writes the peer refuses.
"""

from __future__ import annotations

import struct
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from drivers.base import Driver
from drivers.modbus.config import ModbusDevice
from drivers.modbus.driver import build as build_modbus
from gateway.model import Point, Quality
from hil.faces.modbus import MemoryRegisters, ModbusFace
from hil.faces.modbus_rtu import ModbusRtuFace, ModbusSerialFace
from hil.faces.tls import ModbusTlsFace, server_context
from tests.contract.fake import FakeDriver
from tests.contract.pki import pki


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
    face: ModbusFace | ModbusSerialFace
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


def memory() -> MemoryRegisters:
    """Three int32; register 30 does not exist."""
    return MemoryRegisters(holding=dict.fromkeys((10, 11, 12, 13, 20, 21), 0))


def modbus_driver(endpoint: str, **keys: Any) -> Driver:
    """Four int32 with one decimal."""
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
            "endpoint": endpoint,
            "poll": "50ms",
            "timeout": "200ms",
            "points": [
                {"name": name, "register": f"holding:{address}", "type": "int32", "scale": 0.1, "access": access}
                for name, (address, access) in places.items()
            ],
        }
        | keys
    )
    (driver,) = build_modbus([device], revert_s=None)
    return driver


@asynccontextmanager
async def modbus() -> AsyncIterator[Rig]:
    registers = memory()
    async with ModbusFace({1: registers}) as face:
        yield ModbusRig(modbus_driver(f"tcp://127.0.0.1:{face.port}"), face, registers)


@asynccontextmanager
async def modbus_rtu() -> AsyncIterator[Rig]:
    """On a pseudo-terminal; cutting is pulling the adapter."""
    registers = memory()
    with tempfile.TemporaryDirectory() as folder:
        async with ModbusSerialFace({1: registers}, Path(folder) / "ttyUSB0") as face:
            yield ModbusRig(modbus_driver(f"rtu://{face.path}?baudrate=115200"), face, registers)


@asynccontextmanager
async def modbus_rtu_over_tcp() -> AsyncIterator[Rig]:
    registers = memory()
    async with ModbusRtuFace({1: registers}) as face:
        yield ModbusRig(modbus_driver(f"rtu-over-tcp://127.0.0.1:{face.port}"), face, registers)


@asynccontextmanager
async def modbus_tls() -> AsyncIterator[Rig]:
    """Certificates on both sides."""
    registers = memory()
    device, ours = pki().files("device"), pki().files("gateway")
    async with ModbusTlsFace(
        {1: registers}, server_context(**{key: Path(file) for key, file in device.items()})
    ) as face:
        yield ModbusRig(modbus_driver(f"tls://127.0.0.1:{face.port}", tls=ours), face, registers)


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


RIGS: dict[str, Callable[[], AbstractAsyncContextManager[Rig]]] = {
    "modbus": modbus,
    "modbus-rtu": modbus_rtu,
    "modbus-rtu-over-tcp": modbus_rtu_over_tcp,
    "modbus-tls": modbus_tls,
    "fake": fake,
}
"""By the name of the protocol in `drivers`, and of each further transport of it; `fake` stands for none."""
