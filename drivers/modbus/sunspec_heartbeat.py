"""The two heartbeats of model 715: ours, that a device listens for, and its own, by which it shows that it works."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from drivers.base import ConnectionLost
from drivers.modbus import plan
from drivers.modbus.pdu import NoAnswerError, RefusalError
from drivers.modbus.wire import Wire, words_of

BEAT_S = 1.0
"""Model 715: "incremented every second by the controller"."""
FROZEN_S = 5.0
"""A device counts every second as well; one busy moment is no fault."""
REFUSED_RETRY_S = 60.0
"""Between two tries of a device that refuses it: it may be operated locally for a while."""
_END = 2**32 - 1
"""Is "not implemented"; the count begins at 0 again before it."""

_log = logging.getLogger(__name__)


class Heart:
    """Counts up ControllerHb of one device while something of ours stands in it."""

    def __init__(self, peer: str) -> None:
        self._peer = peer
        self._refused = False

    async def run(self, wire: Wire, address: Callable[[], int | None]) -> None:
        """Beat until cancelled or the connection ends, whenever there is an `address` to write to."""
        loop = asyncio.get_running_loop()
        anchor, count = loop.time(), None
        while True:
            await asyncio.sleep(plan.next_due(anchor, BEAT_S, loop.time()) - loop.time())
            if (at := address()) is None:
                count = None
                continue
            try:
                if count is None:
                    high, low = words_of(await wire.read("holding", at, 2, first=True))
                    count = high << 16 | low
                count = (count + 1) % _END
                await wire.write("holding", at, (count >> 16, count & 0xFFFF))
                self._refused = False
            except NoAnswerError:
                count = None  # what the device counts then is not known
            except RefusalError as error:
                if not self._refused:
                    _log.warning("%s: refuses our heartbeat (ControllerHb at %d): %s", self._peer, at, error)
                self._refused, count = True, None
                await asyncio.sleep(REFUSED_RETRY_S)
            except ConnectionLost:
                return  # whoever reads notices, too, and says so


class Pulse:
    """The heartbeat of one device, as it is read. Pure."""

    def __init__(self) -> None:
        self._count: float | None = None
        self._since = 0.0
        self.frozen = False

    def forget(self) -> None:
        self._count, self.frozen = None, False

    def beat(self, count: float | None, now: float) -> bool:
        """
        Takes what DERHb holds; returns whether `frozen` has just changed. A count that stays at 0 is none.
        """
        if count != self._count:
            self._count, self._since = count, now
        was = self.frozen
        self.frozen = bool(count) and now - self._since >= FROZEN_S
        return self.frozen is not was
