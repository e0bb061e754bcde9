"""Piecewise linear characteristics: their value at x, what is wrong with one, and those of the norms."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import isfinite, log, sqrt

from gateway.characteristic import VOLT_VAR, VOLT_WATT, WATT_VAR, Curve
from gateway.control.functions.response import check_response
from gateway.control.functions.statement import Situation
from gateway.model import Activation, Band

Points = Sequence[tuple[float, float]]

WATT_POWER_FACTOR = "watt_power_factor"

POINTS_MIN = 2
POINTS_MAX = 20
"""The longest curve of the legacy SunSpec models; the newer take fewer points, and no norm needs ten."""

VOLTAGES = Band(0.5, 1.5)
"""
Accepted voltages in per unit: wide of every grid code, and narrow enough to tell volts and % from p.u. A meter that
reads something else has lost its voltage or has a wrong transformer ratio; reactive power would not help.
"""
POWERS = Band(-1.5, 1.5)
"""Accepted x of an active power in per unit of the rated one."""


_IEEE_VOLT_WATT = Curve(((1.06, 1.0), (1.10, 0.2)), 10.0)

_VDE_RESPONSE_S = 10.0 / 3.0 * log(10.0)
"""PT1 that has settled (3τ) after 10 s, as T90: the 3τ is of Fronius GEN24 p. 63, the 10 s are unverified (U)."""

_SIN_PHI = sqrt(1.0 - 0.9**2)
"""Reactive power of cosφ 0.90 in per unit of the apparent power."""

PRESETS: Mapping[str, Mapping[str, Curve]] = {
    # IEEE 1547-2018 defaults of category A and B, as in OpenDER 2.2.0; response times are open-loop (T90).
    VOLT_VAR: {
        "ieee1547-2018-a": Curve(((0.90, 0.25), (1.00, 0.0), (1.00, 0.0), (1.10, -0.25)), 10.0),
        "ieee1547-2018-b": Curve(((0.92, 0.44), (0.98, 0.0), (1.02, 0.0), (1.08, -0.44)), 5.0),
        # Knees as seen in practice, at cosφ 0.90; the norm's own values are unverified (U).
        "vde-ar-n-4105": Curve(((0.93, _SIN_PHI), (0.97, 0.0), (1.03, 0.0), (1.07, -_SIN_PHI)), _VDE_RESPONSE_S),
        # VDE-AR-N 4110 refers reactive power to the rated active power; where that is not the rated apparent power, the
        # y are to be scaled. Q(U), and Q(Ulim): Beckhoff TF8360, pages 19418894347, 19418921099 and 19418922251.
        "vde-ar-n-4110": Curve(((0.96, 0.33), (1.04, -0.33)), _VDE_RESPONSE_S),
        "vde-ar-n-4110-limit": Curve(((0.94, 0.33), (0.96, 0.0), (1.04, 0.0), (1.06, -0.33)), _VDE_RESPONSE_S),
    },
    VOLT_WATT: {
        # y2 is the smaller of 0.2 and the least power of the unit: one that goes down to 0 takes the third.
        "ieee1547-2018-a": _IEEE_VOLT_WATT,
        "ieee1547-2018-b": _IEEE_VOLT_WATT,
        "ieee1547-2018-to-zero": Curve(((1.06, 1.0), (1.10, 0.0)), 10.0),
        # Start 108 %: Beckhoff TF8360, page 19418888843 (off by default); end and response are examples (U).
        "vde-ar-n-4110": Curve(((1.08, 1.0), (1.12, 0.0)), _VDE_RESPONSE_S),
    },
    WATT_VAR: {
        "ieee1547-2018-a": Curve(((-1.0, 0.25), (-0.5, 0.0), (-0.2, 0.0), (0.2, 0.0), (0.5, 0.0), (1.0, -0.25)), 10.0),
        "ieee1547-2018-b": Curve(((-1.0, 0.44), (-0.5, 0.0), (-0.2, 0.0), (0.2, 0.0), (0.5, 0.0), (1.0, -0.44)), 10.0),
        # Q(P): Beckhoff TF8360, the pages above.
        "vde-ar-n-4110": Curve(((0.0, 0.0), (0.5, 0.0), (0.6, -0.05), (0.9, -0.33), (1.0, -0.33)), _VDE_RESPONSE_S),
    },
    WATT_POWER_FACTOR: {
        # SolaX X3-ULTRA manual p. 111, curve A: up to 4.6 kVA, and above.
        "vde-ar-n-4105-to-4.6kva": Curve(((0.5, 1.0), (1.0, -0.95)), _VDE_RESPONSE_S),
        "vde-ar-n-4105": Curve(((0.5, 1.0), (1.0, -0.90)), _VDE_RESPONSE_S),
        # cosφ(P): Beckhoff TF8360, the pages above.
        "vde-ar-n-4110": Curve(((0.15, 0.90), (0.20, 1.0), (0.80, 1.0), (0.90, -0.90)), _VDE_RESPONSE_S),
    },
}
"""By function and name. y of a power factor is signed: negative is under-excited."""


def interpolate(points: Points, x: float) -> float:
    """
    The y at *x*: linear between the points, the first and the last y beyond the ends.

    Two points of one x are a jump; at this x itself the first of them counts.

    >>> round(interpolate(((0.98, 0.0), (1.02, 0.0), (1.08, -0.44)), 1.05), 6)
    -0.22
    """
    after = bisect_left(points, x, key=lambda point: point[0])
    if after == 0:
        return points[0][1]
    if after == len(points):
        return points[-1][1]
    (x0, y0), (x1, y1) = points[after - 1], points[after]
    share = (x - x0) / (x1 - x0)
    y = y0 * (1.0 - share) + y1 * share  # in this form it is exact at both points
    return Band(min(y0, y1), max(y0, y1)).clamp(y)  # rounding must not carry it past an end


def measured_voltage(situation: Situation) -> float | None:
    """The voltage in per unit; None where it is not known, or none that a grid in operation has."""
    voltage = situation.voltage
    return voltage if voltage is not None and VOLTAGES.lo <= voltage <= VOLTAGES.hi else None


def check_curve(points: Points | None, x: Band, y: Band) -> str | None:
    """What is wrong with the points of a curve, whose x and y have to be within these bands."""
    if points is None or not POINTS_MIN <= len(points) <= POINTS_MAX:
        return f"curve: found {len(points or ())} points, accepted are {POINTS_MIN} to {POINTS_MAX}"
    for number, point in enumerate(points):
        for name, value, accepted in zip("xy", point, (x, y), strict=True):
            if not isfinite(value) or not accepted.lo <= value <= accepted.hi:
                return f"curve[{number}].{name}: found {value:g}, accepted is {accepted.lo:g} to {accepted.hi:g} p.u."
    for number, (before, after) in enumerate(pairwise(points), start=1):
        if after[0] < before[0]:
            return f"curve[{number}].x: found {after[0]:g} after {before[0]:g}, accepted are rising x"
    for number, (first, third) in enumerate(zip(points, points[2:], strict=False), start=2):
        if first[0] == third[0]:
            return f"curve[{number}].x: found {third[0]:g} a third time, accepted are two points of one x (a jump)"
    return None


def check_order(activation: Activation, x: Band, y: Band) -> str | None:
    """What is wrong with the curve and the response time of an order."""
    return check_curve(activation.curve, x, y) or check_response(activation.response_s)
