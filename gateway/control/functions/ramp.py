"""How fast a set-point moves towards its goal."""

from __future__ import annotations

from gateway.model import Ramp


def toward(current: float, goal: float, ramp: Ramp, dt: float) -> float:
    """
    The value after *dt* seconds on the way from *current* to *goal*; it never passes the goal.

    Args:
        current, goal: W or var.
        ramp: Rates in W/s or var/s; None is unlimited.
        dt: Seconds, not negative.

    >>> toward(100.0, 60.0, Ramp(down=0.5), dt=40.0)
    80.0
    """
    if goal >= current:
        return goal if ramp.up is None else min(goal, current + ramp.up * dt)
    return goal if ramp.down is None else max(goal, current - ramp.down * dt)
