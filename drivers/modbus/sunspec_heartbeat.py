"""The heartbeats of models 715 and 802: ours, that a device listens for, and its own, by which it shows it works."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from drivers.base import ConnectionLost
from drivers.modbus import plan
from drivers.modbus.pdu import NoAnswerError, RefusalError
from drivers.modbus.sunspec_fields import Counter
from drivers.modbus.wire import Wire, words_of

BEAT_S = 1.0
"""Model 715: "incremented every second by the controller"; 802 alike."""
FROZEN_S = 5.0
"""A device counts every second as well; one busy moment is no fault."""
REFUSED_RETRY_S = 60.0
"""Between two tries of a device that refuses it: it may be operated locally for a while."""

_log = logging.getLogger(__name__)


class Heart:
    """Counts up the controller's heartbeats of one device while something of ours stands in it."""

    def __init__(self, peer: str) -> None:
        self._peer = peer
        self._refused: set[str] = set()
        self._counts: dict[Counter, int] = {}
        self._retry_at: dict[Counter, float] = {}

    async def run(self, wire: Wire, counters: Callable[[], Sequence[Counter]]) -> None:
        """Beat until cancelled or the connection ends, whenever there are `counters` to count up."""
        loop = asyncio.get_running_loop()
        anchor = loop.time()
        self._counts.clear()
        self._retry_at.clear()
        while True:
            await asyncio.sleep(plan.next_due(anchor, BEAT_S, loop.time()) - loop.time())
            wanted = counters()
            self._counts = {each: count for each, count in self._counts.items() if each in wanted}
            for counter in wanted:
                if self._retry_at.get(counter, 0.0) > loop.time():
                    continue
                try:
                    await self._beat(counter, wire)
                except NoAnswerError:
                    self._counts.pop(counter, None)  # what the device counts then is not known
                except RefusalError as error:
                    self._refusal(counter, error, loop.time())
                except ConnectionLost:
                    return  # whoever reads notices, too, and says so

    async def _beat(self, counter: Counter, wire: Wire) -> None:
        name, at, registers = counter
        if counter not in self._counts:
            self._counts[counter] = _number(words_of(await wire.read("holding", at, registers, first=True)))
        count = (self._counts[counter] + 1) % (2 ** (16 * registers) - 1)  # which is "not implemented"
        self._counts[counter] = count
        await wire.write("holding", at, (count >> 16, count & 0xFFFF)[-registers:])
        self._refused.discard(name)

    def _refusal(self, counter: Counter, error: RefusalError, now: float) -> None:
        if counter.name not in self._refused:
            _log.warning("%s: refuses our heartbeat (%s at %d): %s", self._peer, counter.name, counter.address, error)
        self._refused.add(counter.name)
        self._counts.pop(counter, None)
        self._retry_at[counter] = now + REFUSED_RETRY_S


class Pulse:
    """One heartbeat of a device, as it is read. Pure."""

    def __init__(self) -> None:
        self._count: float | None = None
        self._since = 0.0
        self.frozen = False

    def beat(self, count: float | None, now: float) -> bool:
        """
        Takes what the device counted up to; returns whether `frozen` has just changed. A count that stays at 0 is none.
        """
        if count != self._count:
            self._count, self._since = count, now
        was = self.frozen
        self.frozen = bool(count) and now - self._since >= FROZEN_S
        return self.frozen is not was


def _number(words: Sequence[int]) -> int:
    return sum(word << 16 * place for place, word in enumerate(reversed(words)))
