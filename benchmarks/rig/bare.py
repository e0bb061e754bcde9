"""
The reference, the least that takes an order to a register: `python -m benchmarks.rig.bare BROKER DEVICE PREFIX`, both
of them ports.

One process, one event loop; an order comes in, `received` goes out, the register is written, `started` goes out. It
keeps no journal, checks nothing, polls nothing and reads nothing back.
"""

from __future__ import annotations

import asyncio
import struct
import sys
from typing import cast

import msgspec
import uvloop

from benchmarks.rig.devices import LIMIT_ADDRESS
from benchmarks.rig.mqtt import Client


class Writer(asyncio.Protocol):
    """A Modbus connection that knows FC 6, one request at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._echo: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:  # noqa: ARG002 - the echo is believed unseen
        if self._echo is not None:
            self._echo.set_result(None)

    async def write(self, value: int) -> None:
        if self._transport is None:
            raise RuntimeError("not connected")
        self._echo = asyncio.get_running_loop().create_future()
        self._transport.write(struct.pack(">HHHBBHH", 1, 0, 6, 1, 6, LIMIT_ADDRESS, value))
        await self._echo


async def serve(broker_port: int, device_port: int, prefix: str) -> None:
    """Carry out orders until ended."""
    _, writer = await asyncio.get_running_loop().create_connection(Writer, "127.0.0.1", device_port)
    orders: asyncio.Queue[bytes] = asyncio.Queue()
    client = await Client.connect(
        broker_port, "bare", lambda _topic, payload, _stamp: orders.put_nowait(payload), prefix + "activations"
    )
    print("ready", flush=True)
    while True:
        order = msgspec.json.decode(await orders.get())
        client.publish(prefix + "acks", msgspec.json.encode({"id": order["id"], "status": "received"}))
        await writer.write(int(order["value"]))
        client.publish(prefix + "acks", msgspec.json.encode({"id": order["id"], "status": "started"}))


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
