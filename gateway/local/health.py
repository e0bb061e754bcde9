"""
Does every part make progress? A device or a broker that cannot be reached is the world's state, not ours: it makes no
gateway unhealthy, and starting it afresh would not help.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.local.look import Look

TICK_PERIODS_MAX = 5
TICK_LATE_MIN_S = 2.0
"""A tick is stalled after five periods, but never before two seconds: a busy host is not a fault."""
STANDSTILL_S = 15.0
"""Work that waits this long without any of it being done: above the commit interval and a slow card's worst sync."""


@dataclass(slots=True)
class Standstill:
    """For how long work has been waiting while none of it was done, as far as it was looked at."""

    _position: object = None
    _since: float | None = None

    def seconds(self, mono: float, position: object, *, pending: bool) -> float:
        if not pending:
            self._since = None
        elif self._since is None or position != self._position:
            self._since = mono
        self._position = position
        return 0.0 if self._since is None else mono - self._since


@dataclass(slots=True)
class Health:
    """Looks again and again; what stands still is only seen over time."""

    _frames: Standstill = field(default_factory=Standstill)
    _journal: Standstill = field(default_factory=Standstill)

    def reasons(self, look: Look) -> tuple[str, ...]:
        """One sentence a part that makes no progress; none: all is well."""
        now, store = look.now.mono, look.store
        found = []
        late = now - (look.site.started.mono if look.ticks.ended is None else look.ticks.ended)
        if late > max(TICK_PERIODS_MAX * look.site.period_s, TICK_LATE_MIN_S):
            found.append(f"tick: none was completed for {late:.1f} s, the period is {look.site.period_s:g} s")
        if store.fault is not None:
            found.append(f"store: commits fail: {store.fault}")
        waited = self._frames.seconds(now, store.last_frame, pending=store.waiting > 0)
        if waited > STANDSTILL_S:
            found.append(f"store: {store.waiting} frames wait for the disk, none was written for {waited:.0f} s")
        waited = self._journal.seconds(now, store.journaled, pending=store.unjournaled > 0)
        if waited > STANDSTILL_S:
            found.append(f"journal: {store.unjournaled} outcomes wait for the disk, the first for {waited:.0f} s")
        return tuple(found)
