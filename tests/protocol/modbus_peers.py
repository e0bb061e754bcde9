"""Peers of the Modbus driver: a libmodbus server in C, and a server that answers whatever a test makes up."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from drivers.base import Driver
from drivers.modbus.config import ModbusDevice
from drivers.modbus.driver import build

SOURCE = Path(__file__).with_name("modbus_server.c")
Answer = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]
"""Takes one request frame and writes what the peer says to it, right or wrong."""


def driver(port: int, *points: dict[str, Any], revert_s: float | None = None, **changes: Any) -> Driver:
    """One device `d` with these points, polled and timed out fast; `changes` are further keys of the site file."""
    given = {
        "id": "d",
        "driver": "modbus",
        "role": "meter",
        "endpoint": f"tcp://127.0.0.1:{port}",
        "poll": "20ms",
        "timeout": "150ms",
        "points": list(points),
    } | changes
    (built,) = build([ModbusDevice.model_validate(given)], revert_s=revert_s)
    return built


def compile_server(folder: Path) -> Path:
    """The C server as a program; skips when this machine has no compiler or no libmodbus."""
    compiler, pkg_config = shutil.which("gcc"), shutil.which("pkg-config")
    if compiler is None or pkg_config is None:
        pytest.skip("gcc and pkg-config are needed to build the libmodbus server")
    flags = subprocess.run([pkg_config, "--cflags", "--libs", "libmodbus"], capture_output=True, text=True, check=False)
    if flags.returncode:
        pytest.skip("libmodbus is not installed (libmodbus-dev)")
    program = folder / "modbus_server"
    subprocess.run([compiler, "-o", program, SOURCE, *flags.stdout.split()], check=True)
    return program


@contextmanager
def libmodbus(program: Path) -> Iterator[int]:
    """The port of a running C server, which ends with its standard input."""
    with subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.stdin.close()


@asynccontextmanager
async def scripted(answer: Answer) -> AsyncIterator[int]:
    """The port of a server that reads whole request frames and leaves the rest to `answer`."""
    clients: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        clients.add(asyncio.current_task())  # type: ignore[arg-type]  # start_server runs it in a task
        try:
            while True:
                head = await reader.readexactly(6)
                await answer(head + await reader.readexactly(int.from_bytes(head[4:], "big")), writer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            return  # cancelled by the end of the block below: asyncio's streams log a handler that ends as cancelled
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for client in clients:
            client.cancel()
        await asyncio.gather(*clients, return_exceptions=True)
        await server.wait_closed()


def right_answer(request: bytes) -> bytes:
    """Each holding register holds its own address plus 1000: a value of another address is a wrong value."""
    address, count = int.from_bytes(request[8:10], "big"), int.from_bytes(request[10:12], "big")
    data = b"".join((1000 + at).to_bytes(2, "big") for at in range(address, address + count))
    return frame(request[:2], request[6], bytes((3, len(data))) + data)


def frame(transaction: bytes, unit: int, pdu: bytes) -> bytes:
    return transaction + b"\0\0" + (len(pdu) + 1).to_bytes(2, "big") + bytes((unit,)) + pdu
