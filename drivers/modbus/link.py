"""One Modbus TCP connection: one request in flight, answers by transaction id, an immediate end when it is lost."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

from drivers.base import ConnectionLost
from drivers.modbus.pdu import FrameError, NoAnswerError, RefusalError, Request, WrongAnswerError, next_frame

CONNECT_TIMEOUT_S = 3.0
"""Long enough for one lost SYN, which Linux repeats after 1 s; the supervisor tries again anyway."""


@dataclass(slots=True, eq=False)
class _Exchange:
    """A request on its way, and who waits for its data."""

    request: Request
    timeout_s: float
    answer: asyncio.Future[bytes]
    timer: asyncio.TimerHandle | None = None


class Link(asyncio.Protocol):
    """
    Sends requests one after another, because few devices take a second one before they answered the first.

    What waits here is bounded by its callers: each device has one task that reads, and one write is under way at once.
    """

    def __init__(self, peer: str) -> None:
        self._loop = asyncio.get_running_loop()
        self._peer = peer
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._transaction = 0
        self._in_flight: _Exchange | None = None
        self._writes: deque[_Exchange] = deque()
        self._reads: deque[_Exchange] = deque()
        self._holds = 0
        self._reason: str | None = None
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self.unanswered = 0
        """Time-outs in a row with nothing received in between."""

    @classmethod
    async def connect(cls, host: str, port: int) -> Link:
        """
        Raises:
            ConnectionLost: Nobody accepted the connection; the text says where and why.
        """
        peer = f"tcp://{host}:{port}"
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                _, link = await loop.create_connection(lambda: cls(peer), host, port)
        except TimeoutError:
            raise ConnectionLost(f"{peer}: no connection within {CONNECT_TIMEOUT_S:g} s") from None
        except OSError as error:
            raise ConnectionLost(f"{peer}: {error.strerror or error}") from error
        return link

    async def request(self, request: Request, timeout_s: float, *, first: bool = False) -> bytes:
        """
        The data of the answer; `timeout_s` runs from the sending. `first`: before all that wait without it.

        Raises:
            ConnectionLost: The connection is gone; at once when it goes.
            RefusalError: The device refused.
            NoAnswerError: Nothing came in time, or what came does not fit.
        """
        if self._reason is not None:
            raise ConnectionLost(self._reason)
        exchange = _Exchange(request, timeout_s, self._loop.create_future())
        (self._writes if first else self._reads).append(exchange)
        self._send_next()
        return await exchange.answer

    @contextmanager
    def reads_held(self) -> Iterator[None]:
        """Keeps reads waiting while the steps of one write follow each other."""
        self._holds += 1
        try:
            yield
        finally:
            self._holds -= 1
            self._send_next()

    def close(self, reason: str) -> None:
        """End the connection; whoever waits on it fails with `reason`."""
        self._fail(reason)
        if self._transport is not None:
            self._transport.abort()

    async def ended(self) -> str:
        """Why the connection ended, once it did and nothing of it is left."""
        await asyncio.shield(self._ended)
        return self._reason or ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(f"{self._peer}: {exc}" if exc else f"{self._peer}: closed by the device")
        self._ended.set_result(None)

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer + data if self._buffer else data
        start = 0
        try:
            while frame := next_frame(buffer, start):
                start = frame.end
                self.unanswered = 0
                if self._in_flight is not None and frame.transaction == self._transaction:
                    self._answered(self._in_flight, frame.unit, frame.pdu)
                # Any other transaction timed out or was never ours: its answer is nobody's value.
        except FrameError as error:
            self.close(f"{self._peer}: {error}")
            return
        self._buffer = buffer[start:]

    def _answered(self, exchange: _Exchange, unit: int, pdu: bytes) -> None:
        try:
            data = exchange.request.check(unit, pdu)
        except (RefusalError, WrongAnswerError) as error:
            self._settle(exchange, error)
        else:
            self._settle(exchange, data)
        self._send_next()

    def _timed_out(self, exchange: _Exchange) -> None:
        self.unanswered += 1
        self._settle(exchange, NoAnswerError(f"no answer within {exchange.timeout_s:g} s"))
        self._send_next()

    def _settle(self, exchange: _Exchange, result: bytes | Exception) -> None:
        if exchange.timer is not None:
            exchange.timer.cancel()
            self._in_flight = None
        if exchange.answer.done():  # whoever waited for it was cancelled
            return
        if isinstance(result, bytes):
            exchange.answer.set_result(result)
        else:
            exchange.answer.set_exception(result)

    def _send_next(self) -> None:
        while self._in_flight is None and self._reason is None and self._transport is not None:
            if self._writes:
                exchange = self._writes.popleft()
            elif self._reads and not self._holds:
                exchange = self._reads.popleft()
            else:
                return
            if exchange.answer.done():
                continue
            self._in_flight = exchange
            self._transaction = self._transaction % 0xFFFF + 1
            exchange.timer = self._loop.call_later(exchange.timeout_s, self._timed_out, exchange)
            self._transport.write(exchange.request.frame(self._transaction))

    def _fail(self, reason: str) -> None:
        if self._reason is None:
            self._reason = reason
        open_exchanges = [*self._writes, *self._reads]
        if self._in_flight is not None:
            open_exchanges.append(self._in_flight)
        self._writes.clear()
        self._reads.clear()
        for exchange in open_exchanges:
            self._settle(exchange, ConnectionLost(self._reason))
