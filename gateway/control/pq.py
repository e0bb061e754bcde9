"""
Where a device can be in the plane of active and reactive power.

Every shape is drawn the same way: corners over P between which Q may lie, cut by the circle of the apparent power.

            Q ▲     corners of d_shape(0.44), cut by the circle
        ┌─────┼────.
        │ 0   │     ╲         generator reference frame: P > 0 gives, Q > 0 gives (over-excited)
        ┼─────┼──────┼─► P
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import hypot, sqrt
from typing import Literal

from gateway.model import Band

Priority = Literal["reactive", "active", "power_factor"]
Corner = tuple[float, float, float]
"""P in p.u. of the rated power; the least and the most Q there in p.u. of the rated apparent power."""

CIRCLE: tuple[Corner, ...] = ((-1.0, -1.0, 1.0), (1.0, -1.0, 1.0))
"""Nothing but the apparent power limits Q; the device may also take active power."""

AWAKE_SHARE = 0.01
"""Of the rated power: an inverter that has no Q at night has it from here on, for then it is surely feeding in."""

_TOLERANCE = 1e-9
"""Of the apparent power: a point this near to an edge lies on it; far above rounding, far below any register."""


def d_shape(q_max: float) -> tuple[Corner, ...]:
    """The corners of a device that only gives active power, with |Q| ≤ *q_max* in p.u. of its apparent power."""
    return ((0.0, -q_max, q_max), (1.0, -q_max, q_max))


@dataclass(frozen=True, slots=True)
class PqCapability:
    """
    What a device can give of P and Q together.

    Args:
        rated_w: Active power it never exceeds in either direction.
        rated_va: Apparent power it never exceeds.
        shape: CIRCLE, `d_shape(q_max)` or corners of its own, P rising, Q linear between them. Below the first one
            there is no Q; beyond the last it stays. No P below the first corner, if that is below 0, and else below 0.
        q_at_night: Whether it gives Q at P = 0, where its shape has some.

    Raises:
        ValueError: The shape is none from which Q could be told.
    """

    rated_w: float
    rated_va: float
    shape: tuple[Corner, ...] = CIRCLE
    q_at_night: bool = True

    def __post_init__(self) -> None:
        if not (self.rated_w > 0 and self.rated_va > 0):
            raise ValueError(f"capability: ratings are {self.rated_w} W and {self.rated_va} VA; both must be above 0")
        powers = [p for p, _, _ in self.shape]
        if not powers or powers != sorted(set(powers)) or not all(-1 <= p <= 1 for p in powers):
            raise ValueError(f"capability: the corners stand at P = {powers}; P must rise, from -1 to 1 at most")
        for edge in ([-lo for _, lo, _ in self.shape], [hi for _, _, hi in self.shape]):
            if min(edge) < 0:
                raise ValueError(f"capability: Q = 0 is outside of {self.shape}; q_min ≤ 0 ≤ q_max must hold")
            peak = edge.index(max(edge))
            if edge != sorted(edge[:peak]) + sorted(edge[peak:], reverse=True):
                raise ValueError(f"capability: {self.shape} has a dent; |Q| must rise over P to one peak, then fall")

    @property
    def active(self) -> Band:
        """All of P, in W, that is possible with no Q."""
        most = min(self.rated_w, self.rated_va)
        least = self.shape[0][0] * self.rated_w if self.q_at_night else 0.0
        return Band(min(max(least, -most), 0.0), most)


def reactive_band(capability: PqCapability, p_w: float) -> Band:
    """What Q in var is possible while *p_w* is given; none outside of the capability."""
    corners = _corners(capability)
    if not (corners[0][0] <= p_w <= corners[-1][0]):
        return Band(0.0, 0.0)
    round_ = sqrt(max(capability.rated_va**2 - p_w**2, 0.0))
    lo, hi = next(
        (_at(p_w, p0, lo0, p1, lo1), _at(p_w, p0, hi0, p1, hi1))
        for (p0, lo0, hi0), (p1, lo1, hi1) in pairwise(corners)
        if p_w <= p1
    )
    return Band(max(lo, -round_), min(hi, round_))


def active_band(capability: PqCapability, q_var: float) -> Band:
    """What P in W is possible while *q_var* is given; a Q that no P allows counts as the most that there is."""
    if q_var == 0:
        return capability.active
    edge = _edge(capability, q_var)
    q = min(abs(q_var), _peak(capability, edge))
    inside = [p for segment in pairwise(edge) for p in _where_above(q, *segment)]
    round_ = sqrt(max(capability.rated_va**2 - q**2, 0.0))
    return Band(*sorted((max(min(inside), -round_), min(max(inside), round_))))


def within(capability: PqCapability, p_w: float, q_var: float, priority: Priority) -> tuple[float, float]:
    """
    The point nearest to (*p_w*, *q_var*) that the device can give; P is never raised, for what is not there is not.

    Args:
        priority: What is kept as far as possible: `reactive` cuts P, `active` cuts Q, `power_factor` cuts both alike.

    >>> within(PqCapability(100.0, 100.0), 80.0, 80.0, "active")
    (80.0, 60.0)
    """
    if _inside(capability, p_w, q_var, 0.0):
        return p_w, q_var
    if priority == "power_factor":
        scale = _scale(capability, p_w, q_var)
        p_w, q_var = p_w * scale, q_var * scale
    p = capability.active.clamp(p_w)
    if priority == "reactive":
        nearest = active_band(capability, q_var).clamp(p)
        p = Band(min(p, 0.0), max(p, 0.0)).clamp(nearest)
    return p, reactive_band(capability, p).clamp(q_var)


def _corners(capability: PqCapability) -> list[Corner]:
    """The shape in W and var, from the least P that has Q to the most P there is."""
    rated_w, rated_va = capability.rated_w, capability.rated_va
    corners = [(p * rated_w, lo * rated_va, hi * rated_va) for p, lo, hi in capability.shape]
    corners.append((max(capability.active.hi, corners[-1][0]), *corners[-1][1:]))
    least = AWAKE_SHARE * rated_w
    if capability.q_at_night or corners[0][0] >= least:
        return corners
    after = next(index for index, corner in enumerate(corners) if corner[0] >= least)
    (p0, lo0, hi0), (p1, lo1, hi1) = corners[after - 1], corners[after]
    return [(least, _at(least, p0, lo0, p1, lo1), _at(least, p0, hi0, p1, hi1)), *corners[after:]]


def _edge(capability: PqCapability, q_var: float) -> list[tuple[float, float]]:
    """P and the most |Q| on the side of *q_var*, before the circle cuts it."""
    return [(p, hi if q_var > 0 else -lo) for p, lo, hi in _corners(capability)]


def _at(x: float, x0: float, y0: float, x1: float, y1: float) -> float:
    """The line through two points; the second one where they stand above each other."""
    return y1 if x1 == x0 else y0 + (y1 - y0) * (x - x0) / (x1 - x0)


def _where_above(q: float, start: tuple[float, float], end: tuple[float, float]) -> Iterator[float]:
    """The ends in P of the part of a segment that is not below *q*."""
    (p0, q0), (p1, q1) = start, end
    if q0 >= q:
        yield p0
    if q1 >= q:
        yield p1
    if min(q0, q1) < q < max(q0, q1):
        yield _at(q, q0, p0, q1, p1)


def _peak(capability: PqCapability, edge: list[tuple[float, float]]) -> float:
    """The most |Q| at any P: at a corner, where a segment meets the circle, or at the top of the circle."""
    radius = capability.rated_va
    found = [min(q, sqrt(max(radius**2 - p**2, 0.0))) for p, q in edge]
    for (p0, q0), (p1, q1) in pairwise(edge):
        if p0 <= 0 <= p1:
            found.append(min(_at(0.0, p0, q0, p1, q1), radius))
        dp, dq = p1 - p0, q1 - q0
        a, b, c = dp**2 + dq**2, p0 * dp + q0 * dq, p0**2 + q0**2 - radius**2
        if a and b**2 >= a * c:
            roots = ((-b - sqrt(b**2 - a * c)) / a, (-b + sqrt(b**2 - a * c)) / a)
            found += [q0 + root * dq for root in roots if 0 <= root <= 1]
    return max(found)


def _scale(capability: PqCapability, p_w: float, q_var: float) -> float:
    """The greatest factor ≤ 1 that brings both inside; 1 where none does, for a P without any Q keeps no ratio."""
    active = capability.active
    factors = [capability.rated_va / hypot(p_w, q_var)]
    if p_w:
        factors.append((active.hi if p_w > 0 else active.lo) / p_w)
    for (p0, q0), (p1, q1) in pairwise(_edge(capability, q_var)):
        across = p_w * (q1 - q0) - abs(q_var) * (p1 - p0)
        if across:
            factors.append((p0 * (q1 - q0) - q0 * (p1 - p0)) / across)
    tolerance = _TOLERANCE * capability.rated_va
    inside = (f for f in factors if 0 < f <= 1 and _inside(capability, p_w * f, q_var * f, tolerance))
    return max(inside, default=1.0)


def _inside(capability: PqCapability, p_w: float, q_var: float, tolerance: float) -> bool:
    active, reactive = capability.active, reactive_band(capability, p_w)
    return (
        active.lo - tolerance <= p_w <= active.hi + tolerance
        and reactive.lo - tolerance <= q_var <= reactive.hi + tolerance
    )
