"""
Frames on their way to the head end, in two lanes, until they are acknowledged.

What is committed while we are connected goes out at once, in the live lane. Everything else that is not acknowledged
(from before this connection, held back because the window was full, or not acknowledged in time) goes out in the
backfill lane: oldest first, at a bounded rate, and only while there is nothing live to send.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from math import inf

from gateway.model import Block, Instant
from gateway.uplink.in_doubt import InDoubt, Range
from gateway.uplink.link import Link
from gateway.uplink.message_lane import REFUSED
from gateway.uplink.messages import json as messages
from gateway.uplink.outbox import Outbox
from gateway.uplink.timing import Timing

TOPIC = "measurements"
MESSAGE_MAX = 128 * 1024
"""Bytes. The least that the large brokers take; a block that needs more is sent in parts."""
NOBODY_LISTENS = 0x10
"""The reason of a PUBACK for a message without a subscriber: taken, and gone."""
BATCH = 20
"""Blocks of one reading: what is read ahead may be acknowledged before its turn comes."""

log = logging.getLogger(__name__)


class FrameLanes:
    """
    One uplink's frames. `run` is for one connection, `settle` for all of them.

    With `by_application` the head end's own acknowledgement frees a frame, without it the broker's PUBACK does.
    """

    def __init__(
        self,
        outbox: Outbox,
        uplink: str,
        *,
        site: str,
        prefix: str,
        by_application: bool,
        now: Callable[[], Instant],
        timing: Timing,
    ) -> None:
        self._outbox = outbox
        self._uplink = uplink
        self._site = site
        self._topic = prefix + TOPIC
        self._by_application = by_application
        self._now = now
        self._timing = timing
        self._in_doubt = InDoubt()
        self._live_at = 0  # every frame up to here is either sent or left to backfill
        self._live_is_idle = False
        self._committed = asyncio.Event()
        self._backfill_unanswered = 0
        self._changed = asyncio.Event()  # what backfill waits for may have come
        self._backfill_at = 0  # every frame up to here is acknowledged or in doubt
        self._is_behind = True  # there may be frames between the two positions
        self._last_answer = 0
        self._arrived: list[Range] = []
        self._has_arrived = asyncio.Event()

    def committed(self) -> None:
        """There may be more to send."""
        self._committed.set()

    def acknowledged(self, epoch: str, ranges: Sequence[Range]) -> None:
        """The head end holds these frames. It frees only what it names, and only what was sent to it."""
        if not self._by_application or epoch != self._outbox.epoch:
            return
        named = self._in_doubt.named(ranges)
        if named:
            self._arrive(named)
            self._in_doubt.hasten(self._time() + self._timing.resend_after(1))

    async def run(self, link: Link) -> None:
        """Send what is there and what comes, until cancelled."""
        self._live_at = self._outbox.last_frame
        self._backfill_unanswered = 0
        self._backfill_at = 0
        self._is_behind = True
        self._in_doubt.reconnect()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._live(link), name=f"{self._uplink} live")
            group.create_task(self._backfill(link), name=f"{self._uplink} backfill")

    async def settle(self) -> None:
        """Write down what has arrived, many at once, for ever: also what arrived just before a connection was lost."""
        while True:
            await self._has_arrived.wait()
            self._has_arrived.clear()
            ranges, self._arrived = self._arrived, []
            await self._outbox.acknowledge_frames(self._uplink, ranges)
            self._in_doubt.release(ranges)
            self._changed.set()

    async def _live(self, link: Link) -> None:
        while True:
            self._committed.clear()
            blocks = await self._outbox.blocks(self._uplink, after=self._live_at, limit=BATCH)
            for block in blocks:
                if len(self._in_doubt) < self._timing.window_blocks:
                    self._publish(link, block, "live")
                else:
                    self._is_behind = True
                self._live_at = block.last
            if not blocks:
                self._live_is_idle = True
                self._changed.set()
                await self._committed.wait()
                self._live_is_idle = False

    async def _backfill(self, link: Link) -> None:
        pace = _Pace(self._timing.backfill_per_s)
        while True:
            await self._until(lambda: self._overdue() is not None or (self._is_behind and not self._is_full()))
            overdue = self._overdue()
            if overdue is not None:
                await self._send_again(link, pace, overdue)
            else:
                await self._catch_up(link, pace)

    async def _send_again(self, link: Link, pace: _Pace, overdue: Range) -> None:
        blocks = await self._outbox.blocks(self._uplink, after=overdue[0] - 1, upto=overdue[1], limit=BATCH)
        if not blocks:  # acknowledged or dropped meanwhile: nobody waits for them any more
            self._in_doubt.release([overdue])
        for block in blocks:
            await self._turn(pace)
            if self._in_doubt.attempts(block.first, block.last):
                self._publish_backfill(link, block)

    async def _catch_up(self, link: Link, pace: _Pace) -> None:
        """The next blocks that were never sent. They only ever lie above those that were, up to where live has come."""
        self._is_behind = False
        room = self._timing.backfill_window_blocks - len(self._in_doubt)
        blocks = await self._outbox.blocks(
            self._uplink, after=self._backfill_at, upto=self._live_at, limit=min(BATCH, room)
        )
        self._is_behind = self._is_behind or bool(blocks)  # live may have left something behind during the reading
        for block in blocks:
            for first, last in self._in_doubt.missing(block.first, block.last):
                await self._turn(pace)
                start = block.first
                self._publish_backfill(link, Block(first, block.frames[first - start : last + 1 - start]))
            self._backfill_at = block.last

    async def _turn(self, pace: _Pace) -> None:
        """Live first, few unanswered, not too fast."""
        await self._until(self._may_backfill)
        await pace.wait()

    def _publish_backfill(self, link: Link, block: Block) -> None:
        self._backfill_unanswered += 1
        self._publish(link, block, "backfill")

    def _overdue(self) -> Range | None:
        return self._in_doubt.oldest_due(self._time())

    def _is_full(self) -> bool:
        return len(self._in_doubt) >= self._timing.backfill_window_blocks

    def _may_backfill(self) -> bool:
        idle = self._live_is_idle and not self._committed.is_set()
        return idle and self._backfill_unanswered < self._timing.backfill_in_flight

    async def _until(self, condition: Callable[[], bool]) -> None:
        """Only backfill waits here; what becomes due by time alone is seen within the shortest resend time."""
        while not condition():
            self._changed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._timing.resend_min_s / 2):
                    await self._changed.wait()

    def _publish(self, link: Link, block: Block, lane: str) -> None:
        payload = messages.measurements(self._site, self._now().wall, self._outbox.epoch, lane, [block])
        if len(payload) > min(MESSAGE_MAX, link.packet_max // 2) and len(block.frames) > 1:
            middle = len(block.frames) // 2
            self._backfill_unanswered += lane == "backfill"
            self._publish(link, Block(block.first, block.frames[:middle]), lane)
            self._publish(link, Block(block.first + middle, block.frames[middle:]), lane)
            return
        due = inf
        if self._by_application:
            attempts = self._in_doubt.attempts(block.first, block.last) + 1
            due = self._time() + self._timing.resend_after(attempts)
        self._in_doubt.add(block.first, block.last, due)
        link.publish(self._topic, payload, partial(self._answered, (block.first, block.last), lane))

    def _answered(self, sent: Range, lane: str, code: int) -> None:
        if lane == "backfill":
            self._backfill_unanswered -= 1
            self._changed.set()
        if code >= REFUSED:
            self._in_doubt.postpone(*sent, self._time() + self._timing.resend_max_s)
        else:
            self._in_doubt.deliver(*sent)
            if not self._by_application:
                self._arrive([sent])
        if code != self._last_answer:
            self._last_answer = code
            self._log_answer(sent, code)

    def _log_answer(self, sent: Range, code: int) -> None:
        if code >= REFUSED:
            log.error(
                "%s: the broker refuses frames %d to %d with reason 0x%02x; they are kept and sent again in %.0f s",
                self._uplink,
                *sent,
                code,
                self._timing.resend_max_s,
            )
        elif code == NOBODY_LISTENS:
            log.warning("%s: nobody is subscribed to %s: frames go nowhere", self._uplink, self._topic)
        else:
            log.info("%s: the broker takes frames", self._uplink)

    def _arrive(self, ranges: Sequence[Range]) -> None:
        self._arrived += ranges
        self._has_arrived.set()

    @staticmethod
    def _time() -> float:
        return asyncio.get_running_loop().time()


class _Pace:
    """At most so many a second, evenly."""

    def __init__(self, per_s: float) -> None:
        self._interval_s = 1.0 / per_s
        self._next = 0.0

    async def wait(self) -> None:
        now = asyncio.get_running_loop().time()
        self._next = max(self._next, now)
        await asyncio.sleep(self._next - now)
        self._next += self._interval_s
