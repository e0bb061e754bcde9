"""Per unit of a characteristic and percent of a SunSpec curve: what 1 p.u. is, and what a curve's 100 % are. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import log

from drivers.modbus.sunspec_cells import CurveError
from gateway.characteristic import Characteristic, Curve, Droop

_DIGITS = 9
"""Of a number in per unit: more than any register resolves, fewer than a division leaves behind."""
T95_PER_T90 = log(20) / log(10)
"""Of a first-order response: models 126 to 134 tell the time to 95 % of a step, a characteristic the one to 90 %."""


@dataclass(frozen=True, slots=True)
class Reference:
    """
    What the y of a curve refers to: `base` is 1 p.u., `percent_of` what 100 % are by the curve's DeptRef; in W or var.

    A DeptRef that is not among them, like what is available just now, has no fixed size: such a curve is not ours.
    """

    base: float
    percent_of: Mapping[int, float]

    def choose(self, active: int, held: int) -> int:
        """The DeptRef to write: the one of the curve in the device, if it has active points; else the first."""
        return held if active and held in self.percent_of else next(iter(self.percent_of))

    def percent(self, y: float, reference: int) -> float:
        return 100 * y * self.base / self.percent_of[reference]

    def per_unit(self, percent: float, reference: int) -> float:
        return tidy(percent * self.percent_of[reference] / self.base / 100)


def tidy(number: float) -> float:
    """
    Without what a division leaves behind.

    >>> tidy(0.1 + 0.2)
    0.3
    """
    return round(number, _DIGITS)


def curve_points(
    points: Iterable[tuple[float | None, float | None]], reference: Reference, code: int
) -> tuple[tuple[float, float], ...] | None:
    """Points in percent as points in per unit; None when there is none, or one that is not there."""
    if code not in reference.percent_of:
        return None
    found: list[tuple[float, float]] = []
    for x, y in points:
        if x is None or y is None:
            return None
        found.append((tidy(x / 100), reference.per_unit(y, code)))
    return tuple(found) or None


def as_curve(characteristic: Characteristic) -> Curve:
    """
    Raises:
        CurveError: It is a droop.
    """
    if isinstance(characteristic, Curve):
        return characteristic
    raise CurveError("takes a curve, found a droop")


def as_droop(characteristic: Characteristic, *, recovers: bool = False) -> Droop:
    """
    Args:
        recovers: The model says how fast the power comes back.

    Raises:
        CurveError: It is a curve, or more is asked than the model has registers for.
    """
    if not isinstance(characteristic, Droop):
        raise CurveError("takes a droop, found a curve")
    if characteristic.release_delay_s:
        raise CurveError(f"has no release delay, found release_delay_s {characteristic.release_delay_s:g}")
    if characteristic.recovery_per_s is not None and not recovers:
        raise CurveError(f"has no ramp for the recovery, found recovery_per_s {characteristic.recovery_per_s:g}")
    return characteristic
