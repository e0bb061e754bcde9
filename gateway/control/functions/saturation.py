"""What is left of active and reactive power where both together are more than the rated apparent power."""

from __future__ import annotations

from math import hypot, sqrt
from typing import Literal

Priority = Literal["reactive", "active", "power_factor"]
"""
What is kept: reactive power under volt-var and constant Q, the ratio of both under a constant power factor (IEEE
1547-2018), active power where the grid code lets Q stand back.
"""


def within_s(p: float, q: float, s: float, priority: Priority) -> tuple[float, float]:
    """
    Active and reactive power within the circle of *s*, in W, var and VA; signs stay.

    >>> p, q = within_s(0.95, 0.44, 1.0, "reactive")
    >>> round(p, 4), q
    (0.898, 0.44)
    """
    if priority == "reactive":
        return _beside(p, q, s)
    if priority == "active":
        q, p = _beside(q, p, s)
        return p, q
    size = hypot(p, q)
    return (p, q) if size <= s else (p * s / size, q * s / size)


def _beside(cut: float, kept: float, s: float) -> tuple[float, float]:
    """(what is left of *cut* beside *kept*, *kept* itself within *s*)."""
    kept = min(max(kept, -s), s)
    room = sqrt(s * s - kept * kept)
    return min(max(cut, -room), room), kept
