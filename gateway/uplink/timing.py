"""How long an uplink waits, and how much it sends at once."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Seconds, unless said otherwise."""

    reconnect_min_s: float = 0.2
    """A broker that restarts is back within a second, and orders wait for it."""
    reconnect_max_s: float = 30.0
    """Gateways that have lost the same broker come back spread over this time."""
    refused_min_s: float = 5.0
    """A wrong password or certificate takes a person; a quarrel over a client id, a slower one of the two."""
    steady_s: float = 2.0
    """A connection that lasted this long has carried something: the next pause is short again."""
    kicked_s: float = 30.0
    """A connection that the broker ends before, and takes anew at once, was not ended by a fault of the line."""
    resend_min_s: float = 5.0
    """A head end that is well acknowledges within a second."""
    resend_max_s: float = 300.0
    """A head end that is back after days is sent what it lacks within minutes."""
    retry_s: float = 30.0
    """A broker that cannot take a message just now is asked again after this time."""
    farewell_s: float = 1.0
    """For the last word before we go; the will says the same."""
    window_blocks: int = 200
    """Published and not acknowledged: minutes of live data, and no flood for a head end that is dead."""
    backfill_window_blocks: int = 100
    """The part of the window that backfill may fill: the rest is for what is live."""
    backfill_in_flight: int = 4
    """Backfill that the broker has not yet taken: all that live data and acknowledgements ever wait behind."""
    backfill_per_s: float = 50.0
    """Blocks. A day of outage (86 400 blocks of one second) drains in half an hour, at a few percent of a core."""

    def resend_after(self, attempts: int) -> float:
        """How long to wait for an acknowledgement after so many attempts: growing, and spread."""
        wait = min(self.resend_max_s, self.resend_min_s * 2.0 ** min(attempts - 1, 16))
        return wait * random.uniform(0.8, 1.2)  # noqa: S311 - spreads load, guards nothing


KICKS = 3
"""Connections ended early in a row, from which on a broker is not trusted to be well: twice may be a restart."""


class Pause:
    """
    The time between two connections: decorrelated jitter, each pause between the shortest and three times the last.

    A broker that accepts and then closes is not stormed: a connection makes the next pause short again only when it
    lasted, and when it does so again and again (as with two clients of one client id) each pause is a long one.
    """

    def __init__(self, timing: Timing, uniform: Callable[[float, float], float] = random.uniform) -> None:
        self._timing = timing
        self._uniform = uniform
        self._last_s = timing.reconnect_min_s
        self._kicks = 0

    @property
    def is_kicked(self) -> bool:
        """Whether connections are made and ended again and again."""
        return self._kicks >= KICKS

    def after(self, lasted_s: float, *, refused: bool) -> float:
        """Seconds to wait after a connection that lasted so long (0: there was none)."""
        timing = self._timing
        if lasted_s >= timing.steady_s:
            self._last_s = timing.reconnect_min_s
        if lasted_s == 0.0 or lasted_s >= timing.kicked_s:
            self._kicks = 0
        else:
            self._kicks += 1
        least = timing.refused_min_s if refused or self.is_kicked else timing.reconnect_min_s
        self._last_s = min(timing.reconnect_max_s, self._uniform(least, max(least, self._last_s * 3)))
        return self._last_s
