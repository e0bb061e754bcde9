"""Serves the local API on our own event loop, within bounds that no client can stretch."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from uvicorn import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from drivers.base import Driver
from gateway.local.api import application
from gateway.local.documents import View
from gateway.local.health import Health
from gateway.local.lines import SAMPLE_S, Lines
from gateway.local.look import Look

CONNECTIONS_MAX = 32
"""A browser, a scraper and some shells; of more, the oldest gives way, so that idle ones keep nobody out."""
REQUESTS_MAX = 2 * CONNECTIONS_MAX
"""Being answered at a time, with those whose connection had to give way; beyond it the answer is 503."""
CONNECTION_S = 30.0
"""How long a connection may be open: whoever sends or takes a byte now and then is not waited for."""
KEEP_ALIVE_S = 5
HEAD_BYTES_MAX = 16 * 1024
GRACE_S = 1.0
"""What a connection is given to finish its answer when it has to end."""

log = logging.getLogger(__name__)


class LocalServer:
    """
    Answers what comes in at `listening`; all calls on the event loop.

    `look` shows the daemon as it is now; `drivers` are asked for their plans and counters.
    """

    def __init__(self, listening: socket.socket, *, look: Callable[[], Look], drivers: Sequence[Driver]) -> None:
        self._socket = listening
        self._look = look
        self._health = Health()
        self._lines = Lines(drivers)
        self._open: dict[_Connection, None] = {}  # the oldest first

    async def run(self) -> None:
        """Serve until cancelled; what is being answered then has GRACE_S."""
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="local api") as workers:
            config = Config(
                application(self._view, self._socket.getsockname()[0], workers),
                http="h11",
                ws="none",
                lifespan="off",
                log_config=None,
                log_level="error",  # what a client does wrong is told to the client
                access_log=False,
                server_header=False,
                limit_concurrency=REQUESTS_MAX,
                timeout_keep_alive=KEEP_ALIVE_S,
                h11_max_incomplete_event_size=HEAD_BYTES_MAX,
            )
            config.load()
            state = ServerState()
            server = await loop.create_server(lambda: _Connection(config, state, self._open), sock=self._socket)
            try:
                await self._watch()
            finally:
                server.close()
                await self._end(state)

    async def _watch(self) -> None:
        """What is only seen over time has to be looked at, also when nobody asks."""
        while True:
            look = self._look()
            self._health.reasons(look)
            self._lines.sample(look.now.mono)
            await asyncio.sleep(SAMPLE_S)

    def _view(self) -> View:
        look = self._look()
        return View(look, self._health.reasons(look), self._lines.look(look.now.mono, look.snapshot.nameplates))

    async def _end(self, state: ServerState) -> None:
        for connection in list(self._open):
            connection.shutdown()
        if state.tasks:
            await asyncio.wait(state.tasks, timeout=GRACE_S)
        for connection in list(self._open):
            connection.abort()


class _Connection(H11Protocol):
    """uvicorn's, with a bound on how many there are and on how long each may last: it has none for a slow head."""

    def __init__(self, config: Config, state: ServerState, others: dict[_Connection, None]) -> None:
        super().__init__(config, state, {})
        self._others = others
        self._timers: list[asyncio.TimerHandle] = []

    def connection_made(self, transport: Any) -> None:  # uvicorn's own signature is narrower than asyncio's
        super().connection_made(transport)
        if len(self._others) >= CONNECTIONS_MAX:
            oldest = next(iter(self._others))
            del self._others[oldest]
            oldest.abort()
        self._others[self] = None
        self._timers = [
            self.loop.call_later(CONNECTION_S, self.shutdown),
            self.loop.call_later(CONNECTION_S + GRACE_S, self.abort),
        ]

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in self._timers:
            timer.cancel()
        self._others.pop(self, None)
        super().connection_lost(exc)

    def abort(self) -> None:
        self.transport.abort()
