"""`set_power_factor`: reactive power in a fixed ratio to the active power, as it is measured."""

from __future__ import annotations

from math import isfinite, sqrt

from gateway.control.functions.response import check_response, follow
from gateway.control.functions.statement import Memory, Situation, Statement
from gateway.model import Activation, Band

POWER_FACTOR_MIN = 0.1
"""Below, reactive power is more than ten times the active: no grid code asks it, and at 0 it has no value."""


def reactive(active_w: float, power_factor: float) -> float:
    """
    Reactive power at a signed power factor (negative is under-excited), whatever the direction of the active power.

    >>> round(reactive(1.0, -0.9), 6)
    -0.484322
    """
    size = abs(power_factor)
    q = abs(active_w) * sqrt(1.0 - size * size) / size
    return q if power_factor > 0.0 else 0.0 - q  # not -0.0


def decide(
    activation: Activation, value: float | None, situation: Situation, memory: Memory
) -> tuple[Statement | None, Memory]:
    """Exactly the reactive power of the ordered power factor, in var; needs the active power."""
    if value is None or situation.active_w is None:
        return None, memory
    goal = reactive(situation.active_w, value if activation.excitation == "over" else -value)
    now = follow(memory, goal, situation.dt, activation.response_s)
    return Statement(lo=now.value, hi=now.value), now


def check(
    activation: Activation,
    value: float | None,
    band: Band,
) -> str | None:
    """What is wrong with the order, or None."""
    if value is None or not isfinite(value) or not POWER_FACTOR_MIN <= value <= 1.0:
        found = "none" if value is None else f"{value:g}"
        return f"value: found {found}, accepted is a power factor of {POWER_FACTOR_MIN:g} to 1"
    return check_response(activation.response_s)
