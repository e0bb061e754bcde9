"""
Ten Modbus TCP devices as one light process: `python -m benchmarks.rig.devices COUNT`.

It prints `ready PORT…`, one port a device, and then a line `NANOSECONDS DEVICE VALUE` for each register written,
stamped on the monotonic clock at the arrival of the request. Each reading leaves the deadband around the one before.
"""

from __future__ import annotations

import asyncio
import struct
import sys
import time
from functools import partial
from typing import cast

import uvloop

POINTS = 50
LIMIT_ADDRESS = 1000
"""Where `active_power_limit` stands, in %; the float32 points stand from 0 on."""
_HEADER = struct.Struct(">HHHBBHH")  # transaction, protocol, length, unit, function, address, count or value
_READINGS = tuple(
    struct.pack(f">{POINTS}f", *(w + 10.0 * n for n in range(POINTS))) for w in range(5_000, 25_000, 1_000)
)


class Device(asyncio.Protocol):
    """One connection to one device; answers FC 3 and FC 6."""

    def __init__(self, number: int, limit: list[int]) -> None:
        self._number = number
        self._limit = limit
        self._turn = 0
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        stamp = time.monotonic_ns()
        self._buffer += data
        while len(self._buffer) >= _HEADER.size:
            request, self._buffer = self._buffer[: _HEADER.size], self._buffer[_HEADER.size :]
            self._answer(request, stamp)

    def _answer(self, request: bytes, stamp: int) -> None:
        if self._transport is None:
            return
        transaction, _, _, unit, function, address, count = _HEADER.unpack(request)
        if function == 6:
            self._limit[0] = count
            self._transport.write(request)
            print(stamp, self._number, count, flush=True)
            return
        if address == LIMIT_ADDRESS:
            data = struct.pack(">H", self._limit[0])
        else:
            self._turn += 1
            data = _READINGS[self._turn % len(_READINGS)][2 * address : 2 * (address + count)]
        self._transport.write(struct.pack(">HHHBBB", transaction, 0, 3 + len(data), unit, function, len(data)) + data)


async def serve(count: int) -> None:
    """Serve until ended; each device has a port of its own."""
    loop = asyncio.get_running_loop()
    limits = [[100] for _ in range(count)]  # what stood there before any order
    servers = [
        await loop.create_server(partial(Device, number, limits[number]), "127.0.0.1", 0) for number in range(count)
    ]
    print("ready", *(server.sockets[0].getsockname()[1] for server in servers), flush=True)
    await loop.create_future()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
