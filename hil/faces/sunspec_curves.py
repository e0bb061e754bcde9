"""
Models 705, 706, 711 and 712 of a simulated device: stored curves, and how one of them is adopted.

Curve 1 is what the device obeys and cannot be written. The others take anything; asked to adopt one, the device looks
at it for a while, and either copies it to curve 1 or says that it failed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from itertools import pairwise

from hil.faces.sunspec import Model, Value, Writable
from hil.faces.sunspec_layout import CURVE_POINTS, CURVES, MODELS

_IN_PROGRESS, _COMPLETED, _FAILED = 0, 1, 2
_TIMER_MAX_S = 0xFFFFFFFE
_FOR_EVER = math.inf
_SCALES = {
    705: {"V_SF": -2, "DeptRef_SF": -2, "RspTms_SF": 0},
    706: {"V_SF": -2, "DeptRef_SF": -2, "RspTms_SF": 0},
    711: {"Db_SF": -3, "K_SF": -3, "RspTms_SF": -1},
    712: {"W_SF": -2, "DeptRef_SF": -2},
}
_FIXED = ("ReadOnly", "VRefAuto")
_X = {705: "V", 706: "V", 712: "W"}

Curve = dict[str, float]
"""Values in their units by the points' names within a curve: `ActPt`, `Pt1.V` …; what is not there is not set."""


class CurveBank:
    """
    The curves of one model. `default` stands in curve 1 at first; `enabled` is what a master or the device says.

    Attributes:
        adoption_s: How long the device looks at a curve before it says how the adoption went.
        revert_max_s: The longest reversion time it keeps.
    """

    def __init__(self, model: int, default: Curve, *, now: Callable[[], float], revert_to: int | None = None) -> None:
        """`revert_to` is the stored curve that it goes back to after the reversion time; it holds `default`, too."""
        self.number = model
        self.adoption_s = 1.0
        self.revert_max_s: float = _TIMER_MAX_S
        self._group = "Ctl" if model == 711 else "Crv"
        self._now = now
        self._curves: dict[int, Curve] = {number: {} for number in range(1, CURVES + 1)}
        self._curves[1] = dict(default)
        self._revert_to = revert_to
        if revert_to is not None:
            self._curves[revert_to] = dict(default)
        self._enabled = False
        self._request, self._result = 0, _COMPLETED
        self._adopted_at = _FOR_EVER
        self._revert_s = 0.0
        self._reverts_at = _FOR_EVER

    @property
    def in_force(self) -> Curve | None:
        """The curve that the device obeys now; None while the function is off."""
        self._catch_up()
        return dict(self._curves[1]) if self._enabled else None

    def model(self) -> Model:
        group = self._group
        values: dict[str, Callable[[], Value | None]] = {
            "Ena": lambda: int(self.in_force is not None),
            f"Adpt{group}Req": lambda: self._request,
            f"Adpt{group}Rslt": self._adoption,
            f"N{group}": lambda: CURVES,
            "RvrtTms": lambda: self._revert_s,
            "RvrtRem": self._remaining_s,
        }
        if self.number != 711:
            values["NPt"] = lambda: CURVE_POINTS
        if self._revert_to is not None:
            values[f"Rvrt{group}"] = lambda: self._revert_to or 0
        writable = {
            "Ena": Writable(lambda on: self._enable(bool(on)), 0, 1),
            f"Adpt{group}Req": Writable(lambda number: self._adopt(int(number)), 0, CURVES),
            "RvrtTms": Writable(self._set_reversion, 0, _TIMER_MAX_S),
        }
        for point in MODELS[self.number]:
            curve, _, name = point.name.partition(".")
            if not name:
                continue
            number = int(curve.removeprefix(group))
            if name == "ReadOnly":
                values[point.name] = partial(int, number == 1)
            else:
                values[point.name] = partial(self._value, number, name)
            if number > 1 and name not in _FIXED:
                writable[point.name] = Writable(partial(self._put, number, name), -math.inf, math.inf)
        return Model(self.number, values, _SCALES[self.number], writable)

    def _value(self, number: int, name: str) -> Value | None:
        self._catch_up()
        return self._curves[number].get(name)

    def _put(self, number: int, name: str, value: float) -> None:
        self._curves[number][name] = value

    def _adoption(self) -> int:
        self._catch_up()
        return self._result

    def _adopt(self, number: int) -> None:
        self._catch_up()
        self._request = number
        if number:
            self._result, self._adopted_at = _IN_PROGRESS, self._now() + self.adoption_s

    def _enable(self, on: bool) -> None:
        self._catch_up()
        self._enabled = on
        self._reverts_at = self._now() + self._revert_s if on and self._revert_s else _FOR_EVER

    def _set_reversion(self, seconds: float) -> None:
        self._revert_s = min(seconds, self.revert_max_s)

    def _remaining_s(self) -> int:
        self._catch_up()
        return math.ceil(self._reverts_at - self._now()) if self._reverts_at < _FOR_EVER else 0

    def _catch_up(self) -> None:
        """What has happened since somebody looked last."""
        now = self._now()
        if now >= self._adopted_at:
            self._adopted_at = _FOR_EVER
            wanted = self._curves[self._request]
            self._result = _COMPLETED if self._conforms(wanted) else _FAILED
            if self._result == _COMPLETED:
                self._curves[1] = dict(wanted)
        if now >= self._reverts_at:
            self._reverts_at = _FOR_EVER
            if self._revert_to is None:
                self._enabled = False
            else:
                self._curves[1] = dict(self._curves[self._revert_to])

    def _conforms(self, curve: Curve) -> bool:
        """IEEE 1547-2018 for the droop; for a curve, that it is one: rising, and no more than all of its reference."""
        if self.number == 711:
            bands = all(curve.get(name, -1.0) >= 0.0 for name in ("DbOf", "DbUf"))
            return bands and all(0.01 <= curve.get(name, 0.0) <= 0.12 for name in ("KOf", "KUf"))
        active = int(curve.get("ActPt", 0))
        names = (_X[self.number], "W" if self.number == 706 else "Var")
        points = [[curve.get(f"Pt{at}.{name}", math.nan) for name in names] for at in range(1, active + 1)]
        rising = all(one[0] < other[0] for one, other in pairwise(points))
        return 1 <= active <= CURVE_POINTS and rising and all(abs(y) <= 100.0 for _, y in points)


def volt_var_bank(now: Callable[[], float], *, revert_to: int | None = None) -> CurveBank:
    """IEEE 1547-2018, category B, in % of the rated reactive power."""
    default = _points("V", "Var", (92.0, 44.0), (98.0, 0.0), (102.0, 0.0), (108.0, -44.0))
    default |= {"DeptRef": 1, "Pri": 1, "VRef": 100.0, "VRefAutoEna": 0, "VRefAutoTms": 300, "RspTms": 5.0}
    return CurveBank(705, default, now=now, revert_to=revert_to)


def volt_watt_bank(now: Callable[[], float], *, revert_to: int | None = None) -> CurveBank:
    default = _points("V", "W", (106.0, 100.0), (110.0, 0.0)) | {"DeptRef": 0, "RspTms": 10.0}
    return CurveBank(706, default, now=now, revert_to=revert_to)


def droop_bank(now: Callable[[], float], *, revert_to: int | None = None) -> CurveBank:
    default = {"DbOf": 0.036, "DbUf": 0.036, "KOf": 0.05, "KUf": 0.05, "RspTms": 5.0}
    return CurveBank(711, default, now=now, revert_to=revert_to)


def watt_var_bank(now: Callable[[], float], *, revert_to: int | None = None) -> CurveBank:
    default = _points("W", "Var", (20.0, 0.0), (50.0, 0.0), (100.0, -44.0)) | {"DeptRef": 1, "Pri": 1}
    return CurveBank(712, default, now=now, revert_to=revert_to)


def _points(x: str, y: str, *points: tuple[float, float]) -> Curve:
    curve: Curve = {"ActPt": len(points)}
    for at, (first, second) in enumerate(points, 1):
        curve |= {f"Pt{at}.{x}": first, f"Pt{at}.{y}": second}
    return curve
