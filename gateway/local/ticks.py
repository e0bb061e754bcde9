"""How long the ticks take, and how many came too late."""

from __future__ import annotations

from bisect import bisect_left

from gateway.local.look import TicksLook

BOUNDS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
"""From a small site on a workstation to a tick that no period of the loop allows."""


class Ticks:
    """Counts; a tick is only counted once it is completed."""

    def __init__(self) -> None:
        self._within = [0] * (len(BOUNDS_S) + 1)
        self._total_s = 0.0
        self._overruns = 0
        self._ended: float | None = None

    def completed(self, begun: float, ended: float) -> None:
        """Monotonic seconds."""
        self._within[bisect_left(BOUNDS_S, ended - begun)] += 1
        self._total_s += ended - begun
        self._ended = ended

    def overran(self, turns: int) -> None:
        """So many turns of the period were skipped before the next tick."""
        self._overruns += turns

    def look(self) -> TicksLook:
        return TicksLook(tuple(self._within), self._total_s, self._overruns, self._ended)
