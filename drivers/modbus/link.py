"""One Modbus connection, whatever its transport: one request in flight, an immediate end when it is lost."""

from __future__ import annotations

import asyncio
import select
import ssl
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import cast

from drivers.base import ConnectionLost
from drivers.modbus import tls
from drivers.modbus.framing import Framing, TcpFraming
from drivers.modbus.pdu import FrameError, NoAnswerError, Request
from drivers.modbus.traffic import Count

CONNECT_TIMEOUT_S = 3.0
"""Long enough for one lost SYN, which Linux repeats after 1 s; the supervisor tries again anyway."""
QUIET_MAX_S = 10.0
"""The longest wait for a late answer; a device with a longer time-out than this is not for a shared line."""
RESTLESS_MAX_S = 10.0
"""How long a line may go on talking after it should be quiet: longer than any frame and its echo, many times over."""

TIMER_EARLY_S = 0.001
"""How much too early a loop may call: uvloop counts in milliseconds."""


@dataclass(frozen=True, slots=True)
class Pace:
    """
    What a line needs to be left in peace, in seconds.

    `pause_after_connect_s`: before the first request. `gap_s`: between an answer and the next request. `quiet_s`: how
    late an answer to a request of an earlier connection may come, where answers carry no number.
    """

    pause_after_connect_s: float = 0.0
    gap_s: float = 0.0
    quiet_s: float = 0.0


UNHURRIED = Pace()


_Waiting = tuple[Request, float, asyncio.Future[bytes]]
"""A request that is not yet under way, its time-out in seconds, and what becomes its data."""


class Link(asyncio.Protocol):
    """
    Sends requests one after another, because few devices take a second one before they answered the first.

    Where answers carry no number, the line must be quiet for as long as the device's time-out after every time-out and
    every answer that did not fit, and all that comes meanwhile is discarded: only then is the next answer the one to
    the next request.

    What waits here is bounded by its callers: each device has one task that reads, and one write is under way at once.
    """

    __slots__ = (
        "_alarm",
        "_alarm_s",
        "_count",
        "_ended",
        "_fileno",
        "_framing",
        "_future",
        "_gap_s",
        "_holds",
        "_in_flight",
        "_limit_s",
        "_loop",
        "_numbered",
        "_pace",
        "_peer",
        "_quiet_s",
        "_reads",
        "_ready_at",
        "_reason",
        "_restless_until",
        "_sent_at",
        "_time",
        "_timeout_s",
        "_transport",
        "_wake",
        "_write",
        "_writes",
        "counts",
        "unanswered",
    )

    def __init__(self, peer: str, framing: Framing, pace: Pace = UNHURRIED) -> None:
        self._loop = asyncio.get_running_loop()
        self._time = self._loop.time
        self._future: Callable[[], asyncio.Future[bytes]] = partial(asyncio.Future, loop=self._loop)
        self._peer = peer
        self._framing = framing
        self._numbered = framing.numbered
        self._pace = pace
        self._gap_s = pace.gap_s
        self._transport: asyncio.Transport | None = None
        self._write: Callable[[bytes], None]
        self._in_flight: asyncio.Future[bytes] | None = None
        self._count = Count()
        self._timeout_s = self._limit_s = 0.0
        self._sent_at = 0.0
        self._writes: deque[_Waiting] = deque()
        self._reads: deque[_Waiting] = deque()
        self._holds = 0
        self._quiet_s = pace.quiet_s
        self._restless_until: float | None = None
        self._fileno = -1
        self._ready_at = inf
        self._wake: asyncio.TimerHandle | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_s = inf
        self._reason: str | None = None
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self.unanswered = 0
        """Time-outs in a row with no frame received in between."""
        self.counts: defaultdict[int, Count] = defaultdict(Count)
        """What the requests of each unit id have come to; whoever keeps it over several links puts its own here."""

    @classmethod
    async def connect(
        cls,
        host: str,
        port: int,
        *,
        peer: str | None = None,
        framing: Framing | None = None,
        pace: Pace = UNHURRIED,
        context: ssl.SSLContext | None = None,
    ) -> Link:
        """
        Over TCP, or TLS with a `context`; plain Modbus TCP unless another framing is given.

        Raises:
            ConnectionLost: Nobody accepted the connection; the text says where and why.
        """
        peer = peer or f"tcp://{host}:{port}"
        limit_s = CONNECT_TIMEOUT_S + (tls.HANDSHAKE_S if context else 0)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(limit_s):
                _, link = await loop.create_connection(
                    lambda: cls(peer, framing or TcpFraming(), pace), host, port, ssl=context
                )
        except TimeoutError:
            raise ConnectionLost(f"{peer}: no connection within {limit_s:g} s") from None
        except OSError as error:
            raise ConnectionLost(f"{peer}: {tls.reason(error)}") from error
        return link

    def request(self, request: Request, timeout_s: float, *, first: bool = False) -> asyncio.Future[bytes]:
        """
        What becomes the data of the answer. `timeout_s` runs from the sending, without the time that the bytes need on
        the line. `first`: before all that wait without it.

        Raises:
            ConnectionLost: The connection is gone; at once when it goes.
            RefusalError: The device refused.
            NoAnswerError: Nothing came in time, or what came does not fit.
        """
        if self._reason is not None:
            raise ConnectionLost(self._reason)
        answer = self._future()
        # When nothing is under way, nothing else keeps a request waiting: each end of one sends the next.
        if self._in_flight is None and not self._ready_at and (first or not self._holds):
            self._send(request, timeout_s, answer)
        else:
            (self._writes if first else self._reads).append((request, timeout_s, answer))
            self._send_next()
        return answer

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
        self._write = self._transport.write
        descriptor = transport.get_extra_info("serial") or transport.get_extra_info("socket")
        self._fileno = descriptor.fileno()
        self._ready_at = 0.0
        self._not_before(self._pace.pause_after_connect_s)
        if not self._numbered:
            self._keep_quiet()

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(f"{self._peer}: {tls.reason(exc)}" if exc else f"{self._peer}: closed by the device")
        self._ended.set_result(None)

    def data_received(self, data: bytes) -> None:
        answer = self._in_flight
        if answer is None or self._gap_s or (whole := self._framing.whole(data)) is None:
            self._received(data)
            return
        self._in_flight = None
        self.unanswered = 0
        self._count.busy_s += self._time() - self._sent_at
        if not answer.done():  # else whoever waited for it was cancelled
            answer.set_result(whole)
        if self._writes or self._reads:
            self._send_next()

    def _received(self, data: bytes) -> None:
        """Whatever is not the whole of the right answer, and nothing else."""
        if self._reason is not None:
            return
        doubt = self._in_flight is None
        try:
            for answer in self._framing.received(data):
                self.unanswered = 0
                if self._in_flight is None:
                    doubt = True
                elif answer is not None:
                    doubt = isinstance(answer, NoAnswerError)
                    self._settle(answer)
                    self._not_before(self._gap_s)
        except FrameError as error:
            self.close(f"{self._peer}: {error}")
            return
        if doubt and not self._numbered:
            self._keep_quiet()
        if self._writes or self._reads:
            self._send_next()

    def _look_in(self, delay_s: float) -> None:
        """
        One timer for many requests: set and cancelled for each, it took 5 % of a read back to back. It is early for
        every later request that may take as long or longer, and is then set again for what is left.
        """
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm, self._alarm_s = self._loop.call_later(delay_s, self._look), delay_s

    def _look(self) -> None:
        self._alarm, self._alarm_s = None, inf
        if self._in_flight is None:
            return
        left_s = self._sent_at + self._limit_s - self._time()
        if left_s > TIMER_EARLY_S:
            self._look_in(left_s)
        else:
            self._timed_out()

    def _timed_out(self) -> None:
        self.unanswered += 1
        self._settle(NoAnswerError(f"no answer within {self._timeout_s:g} s{self._framing.instead()}"))
        self._not_before(self._gap_s)
        if not self._numbered:
            self._keep_quiet()
        self._send_next()

    def _not_before(self, pause_s: float) -> None:
        if pause_s:
            self._ready_at = max(self._ready_at, self._loop.time() + pause_s)

    def _keep_quiet(self) -> None:
        """Nothing is sent until the line has been silent for the quiet time; each byte that comes starts it anew."""
        now = self._loop.time()
        if self._restless_until is None or now >= self._ready_at:  # it had been quiet
            self._restless_until = now + RESTLESS_MAX_S
        elif now > self._restless_until:
            self.close(f"{self._peer}: talks without being asked for {RESTLESS_MAX_S:g} s; is there a second master?")
        self._not_before(self._quiet_s)

    def _settle(self, result: bytes | Exception) -> None:
        """The request under way has come to its end."""
        answer = self._in_flight
        if answer is None:
            return
        self._in_flight = None
        self._count.busy_s += self._time() - self._sent_at
        if answer.done():  # whoever waited for it was cancelled
            return
        if isinstance(result, bytes):
            answer.set_result(result)
        else:
            answer.set_exception(result)

    def _send_next(self) -> None:
        while self._in_flight is None and self._reason is None and self._transport is not None:
            if not self._writes and (self._holds or not self._reads):
                return
            if self._ready_at and self._must_wait():
                return
            request, timeout_s, answer = (self._writes or self._reads).popleft()
            if not answer.done():
                self._send(request, timeout_s, answer)

    def _send(self, request: Request, timeout_s: float, answer: asyncio.Future[bytes]) -> None:
        self._in_flight = answer
        self._count = count = self.counts[request.unit]
        count.requests += 1
        self._sent_at = self._time()
        self._timeout_s = self._limit_s = timeout_s
        if not self._numbered:
            self._restless_until = None
            self._quiet_s = min(timeout_s, QUIET_MAX_S)
            self._limit_s += self._framing.air_time_s(request)
        if self._limit_s < self._alarm_s:
            self._look_in(self._limit_s)
        self._write(self._framing.frame(request))

    def _must_wait(self) -> bool:
        if self._wake is not None:
            self._wake.cancel()
            self._wake = None
        if self._loop.time() >= self._ready_at:
            if self._numbered or not self._unread():
                self._ready_at = 0.0
                return False
            self._ready_at = self._loop.time() + self._quiet_s
        self._wake = self._loop.call_at(self._ready_at, self._send_next)
        return True

    def _unread(self) -> bool:
        """
        Whether bytes have come that the loop has not handed on: after a stall uvloop runs its timers first, and the
        line would pass for quiet while a late answer lies in the kernel.
        """
        come = select.poll()
        come.register(self._fileno, select.POLLIN)
        return bool(come.poll(0))

    def _fail(self, reason: str) -> None:
        if self._reason is None:
            self._reason = reason
        for timer in (self._wake, self._alarm):
            if timer is not None:
                timer.cancel()
        waiting = [answer for _, _, answer in (*self._writes, *self._reads)]
        self._writes.clear()
        self._reads.clear()
        self._settle(ConnectionLost(self._reason))
        for answer in waiting:
            if not answer.done():
                answer.set_exception(ConnectionLost(self._reason))
