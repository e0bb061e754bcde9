"""
What an inverter makes by itself of the voltage and the frequency at its terminals: IEEE 1547-2018, 5.3.3, 5.4.2, 5.10.

A curve comes as its points are named in SunSpec: `ActPt`, `Pt1.V` and `Pt1.Var` in %, `RspTms` in s; a droop with
`DbOf` in Hz, `KOf` in per unit of frequency per unit of rated power.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise

from hil.plant.grid import ConnectionPoint
from hil.plant.inverter import Inverter

Curve = Mapping[str, float]
NOMINAL_V, NOMINAL_HZ = 230.0 * math.sqrt(3.0), 50.0
_PER_RESPONSE = math.log(10)  # an open-loop response time is that to 90 % of a step


def follow(inverter: Inverter, at: ConnectionPoint, in_force: Mapping[str, Curve | None], dt_s: float) -> None:
    """Move what the inverter wishes by itself on by `dt_s`; a function that is off or not in `in_force` wishes none."""
    rated_w = inverter.parameters.rated_w
    voltage = 100.0 * at.voltage_v / NOMINAL_V
    power = 100.0 * inverter.converter.active_power_w / rated_w
    goal_var, response_s = 0.0, 0.0
    if (curve := in_force.get("volt_var")) is not None:
        goal_var, response_s = _value(curve, "V", "Var", voltage) / 100.0 * rated_w, curve.get("RspTms", 0.0)
    elif (curve := in_force.get("watt_var")) is not None:
        goal_var = _value(curve, "W", "Var", power) / 100.0 * rated_w
    inverter.own_reactive_var = _lag(inverter.own_reactive_var, goal_var, response_s, dt_s)

    goal_w, response_s = math.inf, 0.0
    if (curve := in_force.get("volt_watt")) is not None:
        goal_w, response_s = _value(curve, "V", "W", voltage) / 100.0 * rated_w, curve.get("RspTms", 0.0)
    droop = in_force.get("frequency_droop")
    if droop is not None and at.frequency_hz > NOMINAL_HZ + droop["DbOf"]:
        beyond = (at.frequency_hz - NOMINAL_HZ - droop["DbOf"]) / (NOMINAL_HZ * droop["KOf"])
        before_w = min(inverter.available_w, rated_w)
        goal_w, response_s = min(goal_w, max(before_w - beyond * rated_w, 0.0)), droop.get("RspTms", 0.0)
    inverter.own_at_most_w = (
        _lag(min(inverter.own_at_most_w, rated_w), goal_w, response_s, dt_s) if goal_w < math.inf else math.inf
    )


def _lag(value: float, goal: float, response_s: float, dt_s: float) -> float:
    return goal + (value - goal) * math.exp(-dt_s * _PER_RESPONSE / response_s) if response_s else goal


def _value(curve: Curve, x: str, y: str, at: float) -> float:
    points = [(curve[f"Pt{number}.{x}"], curve[f"Pt{number}.{y}"]) for number in range(1, int(curve["ActPt"]) + 1)]
    if at <= points[0][0]:
        return points[0][1]
    for (x1, y1), (x2, y2) in pairwise(points):
        if at <= x2:
            return y1 + (y2 - y1) * (at - x1) / (x2 - x1)
    return points[-1][1]
