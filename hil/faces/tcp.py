"""A TCP port that can be shut, opened again and cleared of its clients: what faces and the fault proxy listen on."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from types import TracebackType
from typing import Self

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
"""Talks to one client until it is done; its connection is closed when it returns, raises an OSError or is cancelled."""


@asynccontextmanager
async def closing(writer: asyncio.StreamWriter) -> AsyncIterator[None]:
    """Close a connection on leaving: what was written still leaves, unless an error or a cancellation ends it."""
    try:
        yield
        writer.close()
        await writer.wait_closed()
    finally:
        writer.transport.abort()


class TcpListener:
    """
    Serves every client in a task of its own, and leaves no task and no socket behind.

    A port given as 0 is chosen by the first start and then kept: while the listener is stopped, the port stays bound,
    so that connecting is refused and no other process can take it.
    """

    def __init__(self, serve: Serve, *, host: str = "127.0.0.1", port: int = 0, name: str) -> None:
        self._serve = serve
        self._host = host
        self._name = name
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()
        self._bound: socket.socket | None = None
        self.port = port

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()
        if self._bound is not None:
            self._bound.close()
            self._bound = None

    async def start(self) -> None:
        """Listen; nothing happens when it does already."""
        if self._server is None:
            self._bound = self._bound or self._bind()
            self._server = await asyncio.start_server(self._accept, sock=self._bound)

    async def stop(self) -> None:
        """Close every connection and refuse new ones; nothing happens when it is stopped already."""
        if self._server is None:
            return
        server, self._server = self._server, None
        server.close()
        self._bound = self._bind()
        await self.drop()
        await server.wait_closed()

    async def drop(self) -> None:
        """Close every connection; new ones are accepted."""
        clients = list(self._clients)
        for client in clients:
            client.cancel()
        await asyncio.gather(*clients, return_exceptions=True)

    def _bind(self) -> socket.socket:
        # The protocol is named because asyncio sets TCP_NODELAY only on sockets that say it, and on what they accept.
        bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.setblocking(False)
        try:
            bound.bind((self._host, self.port))
        except OSError:
            bound.close()
            raise
        self.port = bound.getsockname()[1]
        return bound

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._server is None:  # accepted by the kernel before the stop, handed over after it
            writer.transport.abort()
            return
        client = asyncio.create_task(self._run(reader, writer), name=f"{self._name} client")
        self._clients.add(client)
        client.add_done_callback(self._clients.discard)

    async def _run(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):  # the peer is gone
            async with closing(writer):
                await self._serve(reader, writer)
