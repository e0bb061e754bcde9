"""Faults of a link: a TCP proxy that can be cut, go dark or be slow, in front of simulated and real devices alike."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from types import TracebackType
from typing import Self

from hil.faces.tcp import TcpListener, closing

_CHUNK = 65536


class TcpProxy:
    """
    Passes the bytes of each connection to a target and back; asyncio sets TCP_NODELAY on both sides.

    When one side ends a connection, the other one is closed, too. A client whose target cannot be reached is accepted
    and closed.

    Attributes:
        latency_s: How long each piece of data is held back, in each direction.
    """

    def __init__(self, target_host: str, target_port: int, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self._target = (target_host, target_port)
        self._listener = TcpListener(self._serve, host=host, port=port, name="tcp proxy")
        self._passing = asyncio.Event()
        self._passing.set()
        self.latency_s = 0.0

    @property
    def port(self) -> int:
        return self._listener.port

    @property
    def blackhole(self) -> bool:
        """
        While true, connections stay open and nothing passes.

        What was sent meanwhile passes afterwards, as TCP repeats it when a dead link is back.
        """
        return not self._passing.is_set()

    @blackhole.setter
    def blackhole(self, on: bool) -> None:
        if on:
            self._passing.clear()
        else:
            self._passing.set()

    async def __aenter__(self) -> Self:
        await self._listener.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._listener.__aexit__(kind, error, trace)

    async def cut(self) -> None:
        """Close every connection on both sides and refuse new ones, until healed."""
        await self._listener.stop()

    async def heal(self) -> None:
        """Accept connections again, on the same port."""
        await self._listener.start()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        target_reader, target_writer = await asyncio.open_connection(*self._target)
        async with closing(target_writer):
            pumps = [
                asyncio.create_task(self._pump(reader, target_writer), name="tcp proxy to target"),
                asyncio.create_task(self._pump(target_reader, writer), name="tcp proxy to client"),
            ]
            try:
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for pump in pumps:
                    pump.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):  # one side is gone: the other one is closed for it
            while data := await reader.read(_CHUNK):
                if self.latency_s:
                    await asyncio.sleep(self.latency_s)
                await self._passing.wait()
                writer.write(data)
                await writer.drain()
