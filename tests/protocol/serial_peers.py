"""Peers at the far end of a pseudo-terminal: libmodbus, and a device that answers whatever a test makes up."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import tty
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from drivers.base import Driver
from drivers.modbus.config import ModbusDevice
from drivers.modbus.driver import build
from drivers.modbus.rtu import frame

SOURCE = Path(__file__).with_name("modbus_rtu_server.c")
Answer = Callable[[bytes, "ScriptedLine"], Awaitable[None]]
"""Takes one request frame and writes what the line says to it, right or wrong."""


def driver(path: Path, *addresses: int, units: tuple[int, ...] = (1,), options: str = "", **changes: Any) -> Driver:
    """Devices u1, u2 … on one line, each with points `r<address>`, polled and timed out fast."""
    given = {
        "driver": "modbus",
        "role": "meter",
        "endpoint": f"rtu://{path}?baudrate=19200{options}",
        "poll": "20ms",
        "timeout": "100ms",
        "points": [
            {"name": f"r{at}", "register": f"holding:{at}", "type": "uint16", "access": "read-write"}
            for at in addresses
        ],
    }
    devices = [ModbusDevice.model_validate(given | {"id": f"u{unit}", "unit": unit} | changes) for unit in units]
    (built,) = build(devices, revert_s=None)
    return built


class ScriptedLine:
    """
    A line that reads whole requests and leaves the rest to `answer`. `path` is what the driver opens.

    Attributes:
        requests: All requests so far, with their checksum.
        echo: Whether the driver hears itself.
    """

    def __init__(self, path: Path, answer: Answer, *, echo: bool = False) -> None:
        self.path = path
        self.requests: list[bytes] = []
        self.echo = echo
        self._answer = answer
        self._buffer = b""
        self._fds: tuple[int, int] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self.plug()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.unplug()
        for task in self._tasks:
            task.cancel()
        for result in await asyncio.gather(*self._tasks, return_exceptions=True):
            if isinstance(result, Exception):
                raise result

    def plug(self) -> None:
        far, near = self._fds = os.openpty()  # the near end is kept open, so that the far end sees no hang-up
        tty.setraw(near)
        self.path.symlink_to(os.ttyname(near))
        asyncio.get_running_loop().add_reader(far, self._read)

    def unplug(self) -> None:
        if self._fds is not None:
            asyncio.get_running_loop().remove_reader(self._fds[0])
            for fd in self._fds:
                os.close(fd)
            self.path.unlink()
            self._fds = None

    def write(self, data: bytes) -> None:
        """What the driver hears; nothing when it is unplugged."""
        if self._fds is not None:
            os.write(self._fds[0], data)

    def _read(self) -> None:
        assert self._fds is not None
        data = os.read(self._fds[0], 4096)
        if self.echo:
            self.write(data)
        self._buffer += data
        while len(self._buffer) >= 8:
            request, self._buffer = self._buffer[:8], self._buffer[8:]  # FC 3 and 6, both eight bytes long
            self.requests.append(request)
            self._tasks.add(asyncio.ensure_future(self._answer(request, self)))


def right_answer(request: bytes) -> bytes:
    """Each holding register holds its own address plus 1000; a write is echoed."""
    if request[1] == 6:
        return request
    address, count = int.from_bytes(request[2:4], "big"), int.from_bytes(request[4:6], "big")
    data = b"".join((1000 + at).to_bytes(2, "big") for at in range(address, address + count))
    return frame(request[0], bytes((3, len(data))) + data)


def compile_server(folder: Path) -> Path:
    """The C server as a program; skips when this machine has no compiler or no libmodbus."""
    compiler, pkg_config = shutil.which("gcc"), shutil.which("pkg-config")
    if compiler is None or pkg_config is None:
        pytest.skip("gcc and pkg-config are needed to build the libmodbus server")
    flags = subprocess.run([pkg_config, "--cflags", "--libs", "libmodbus"], capture_output=True, text=True, check=False)
    if flags.returncode:
        pytest.skip("libmodbus is not installed (libmodbus-dev)")
    program = folder / "modbus_rtu_server"
    subprocess.run([compiler, "-o", program, SOURCE, *flags.stdout.split()], check=True)
    return program


@contextmanager
def libmodbus(program: Path, path: str) -> Iterator[None]:
    """A running C server on a serial line, which ends with its standard input."""
    with subprocess.Popen([program, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "ready\n"
            yield
        finally:
            process.stdin.close()


@contextmanager
def null_modem() -> Iterator[tuple[str, str]]:
    """Two pseudo-terminals joined by the event loop: the paths of their near ends."""
    loop = asyncio.get_running_loop()
    left, left_near = os.openpty()
    right, right_near = os.openpty()
    for near in (left_near, right_near):
        tty.setraw(near)
    loop.add_reader(left, lambda: os.write(right, os.read(left, 4096)))
    loop.add_reader(right, lambda: os.write(left, os.read(right, 4096)))
    try:
        yield os.ttyname(left_near), os.ttyname(right_near)
    finally:
        loop.remove_reader(left)
        loop.remove_reader(right)
        for fd in (left, left_near, right, right_near):
            os.close(fd)
