"""
Modbus RTU servers over registers that a simulation holds: behind a serial server, and on a line of this machine.

Frames are taken apart and built by pymodbus, as in hil.faces.modbus. On a serial line nobody answers for a unit that is
not there: silence is the answer.
"""

from __future__ import annotations

import asyncio
import os
import tty
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from pymodbus.framer import FramerRTU
from pymodbus.pdu import DecodePDU

from hil.faces.modbus import ModbusFace, Registers

_TORN_S = 0.05
"""What is left of a request after this long a silence is dropped: the next one begins anew."""


class ModbusRtuFace(ModbusFace):
    """Serves RTU frames on a TCP port, as a transparent serial server with devices behind it."""

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self.respond(reader, writer.write)

    async def respond(self, reader: asyncio.StreamReader, write: Callable[[bytes], None]) -> None:
        """Answer what is read until its end."""
        framer = FramerRTU(DecodePDU(True))
        buffer = b""
        while True:
            try:
                async with asyncio.timeout(_TORN_S if buffer else None):
                    data = await reader.read(256)
            except TimeoutError:
                buffer = b""
                continue
            if not data:
                return
            used, unit, _, request = framer.decode(buffer + data)
            buffer = (buffer + data)[used:]
            if not request or self.silent or unit not in self._units:
                continue
            answer = await self._answer(unit, request)
            answer.dev_id = unit
            if self.delay_s:
                await asyncio.sleep(self.delay_s)
            if not self.silent:
                write(framer.buildFrame(answer))


class ModbusSerialFace:
    """
    The same at the far end of a pseudo-terminal; `path` is a link to the near end, for a master to open.

    Stopping it is pulling the adapter: the terminal is gone, and a new one stands at the same path after the start.
    """

    def __init__(self, units: Mapping[int, Registers], path: Path) -> None:
        self._face = ModbusRtuFace(units)
        self._fds: tuple[int, int] | None = None
        self._task: asyncio.Task[None] | None = None
        self.path = path

    @property
    def silent(self) -> bool:
        return self._face.silent

    @silent.setter
    def silent(self, silent: bool) -> None:
        self._face.silent = silent

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Plug in; nothing happens when it is."""
        if self._fds is not None:
            return
        far, near = self._fds = os.openpty()  # the near end is kept open, so that the far end sees no hang-up
        tty.setraw(near)
        os.set_blocking(far, False)
        self.path.symlink_to(os.ttyname(near))
        reader = asyncio.StreamReader()
        asyncio.get_running_loop().add_reader(far, lambda: reader.feed_data(os.read(far, 4096)))
        self._task = asyncio.create_task(
            self._face.respond(reader, lambda data: _send(far, data)), name="modbus serial face"
        )

    async def stop(self) -> None:
        """Unplug; nothing happens when it is."""
        if self._fds is None or self._task is None:
            return
        self._task.cancel()
        await asyncio.wait({self._task})
        asyncio.get_running_loop().remove_reader(self._fds[0])
        for fd in self._fds:
            os.close(fd)
        self.path.unlink()
        self._fds = self._task = None


def _send(fd: int, data: bytes) -> None:
    if os.write(fd, data) != len(data):  # the kernel takes 4096 bytes, an answer has 256 at most
        raise BlockingIOError("the master has stopped reading")
