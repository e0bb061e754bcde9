"""Acknowledgements, events and reports on their way to the broker: oldest first, each until it has arrived."""

from __future__ import annotations

import asyncio
import logging
from functools import partial

from gateway.model import Outgoing
from gateway.uplink.link import Link
from gateway.uplink.outbox import Outbox
from gateway.uplink.timing import Timing

WINDOW = 20
"""Messages that the broker has not yet answered: mosquitto's own default, and enough to fill a slow line."""
REFUSED = 0x80
"""Reason codes from here on mean that the broker did not take the message."""
REFUSED_FOR_GOOD = frozenset({0x87, 0x90, 0x95, 0x97, 0x99})
"""Not authorised, topic name invalid, packet too large, quota exceeded, payload format invalid: it never goes."""

log = logging.getLogger(__name__)


class MessageLane:
    """One uplink's messages. `run` is for one connection, `settle` for all of them."""

    def __init__(self, outbox: Outbox, uplink: str, prefix: str, timing: Timing) -> None:
        self._outbox = outbox
        self._uplink = uplink
        self._prefix = prefix
        self._timing = timing
        self._more = asyncio.Event()
        self._position = 0
        self._held: set[int] = set()  # on its way, being written down as arrived, or parked until the next connection
        self._arrived: list[int] = []
        self._has_arrived = asyncio.Event()

    def committed(self) -> None:
        """There may be more to send."""
        self._more.set()

    async def run(self, link: Link) -> None:
        """Send what is there and what comes, until cancelled."""
        self._position = 0
        self._held = set(self._arrived)
        free = asyncio.Semaphore(WINDOW)
        while True:
            self._more.clear()
            batch = await self._outbox.messages(self._uplink, after=self._position, limit=WINDOW)
            for number, message in batch:
                if number not in self._held:
                    await free.acquire()
                    self._publish(link, free, number, message)
                self._position = max(self._position, number)
            if not batch:
                await self._more.wait()

    def _publish(self, link: Link, free: asyncio.Semaphore, number: int, message: Outgoing) -> None:
        self._held.add(number)
        link.publish(
            self._prefix + message.topic, message.payload, partial(self._answered, link, free, number, message)
        )
        if message.response_topic is not None:
            answered = partial(self._response_answered, number, message.response_topic)
            link.publish(message.response_topic, message.payload, answered, correlation=message.correlation)

    def _answered(self, link: Link, free: asyncio.Semaphore, number: int, message: Outgoing, code: int) -> None:
        free.release()
        if code < REFUSED:
            self._arrived.append(number)
            self._has_arrived.set()
            return
        parked = code in REFUSED_FOR_GOOD
        log.error(
            "%s: the broker refuses message %d on %s with reason 0x%02x; it is kept and %s",
            self._uplink,
            number,
            message.topic,
            code,
            "sent again with the next connection" if parked else f"sent again in {self._timing.retry_s:.0f} s",
        )
        if not parked:
            asyncio.get_running_loop().call_later(self._timing.retry_s, self._again, link, number)

    def _again(self, link: Link, number: int) -> None:
        if not link.lost.done():
            self._held.discard(number)
            self._position = min(self._position, number - 1)
            self._more.set()

    def _response_answered(self, number: int, topic: str, code: int) -> None:
        if code >= REFUSED:  # the acknowledgement itself went to its own topic, where it counts
            log.warning(
                "%s: the broker refuses the response topic %s of message %d with reason 0x%02x",
                self._uplink,
                topic,
                number,
                code,
            )

    async def settle(self) -> None:
        """Write down what has arrived, many at once, for ever; a lost connection does not lose what the broker said."""
        while True:
            await self._has_arrived.wait()
            self._has_arrived.clear()
            numbers = list(self._arrived)
            await self._outbox.acknowledge_messages(self._uplink, numbers)
            del self._arrived[: len(numbers)]
            self._held.difference_update(numbers)
