"""`watt_power_factor`, cosφ(P): a power factor by the active power, from which the reactive power follows."""

from __future__ import annotations

from gateway.control.functions.curve import POWERS, Points, check_order, interpolate
from gateway.control.functions.power_factor import POWER_FACTOR_MIN, reactive
from gateway.control.functions.response import follow
from gateway.control.functions.statement import Memory, Situation, Statement
from gateway.model import Activation, Band


def power_factor_at(points: Points, x: float) -> float:
    """
    The signed power factor at *x* (negative is under-excited), linear in cosφ as the norms draw it.

    The axis of the norms runs from over-excited 0.9 through 1 to under-excited 0.9, so 1 and -1 are one point of it.

    >>> round(power_factor_at(((0.5, 1.0), (1.0, -0.9)), 0.75), 6)
    -0.95
    """
    distance = interpolate([(x, _from_unity(y)) for x, y in points], x)
    return 1.0 - distance if distance >= 0.0 else -1.0 - distance


def _from_unity(power_factor: float) -> float:
    return (1.0 if power_factor > 0.0 else -1.0) - power_factor


def decide(
    activation: Activation,
    value: float | None,
    situation: Situation,
    memory: Memory,
) -> tuple[Statement | None, Memory]:
    """Exactly the reactive power of the curve's power factor, in var; needs the active power."""
    if situation.active_w is None or activation.curve is None:
        return None, memory
    power_factor = power_factor_at(activation.curve, situation.active_w / situation.rated_w)
    now = follow(memory, reactive(situation.active_w, power_factor), situation.dt, activation.response_s)
    return Statement(lo=now.value, hi=now.value), now


def check(
    activation: Activation,
    value: float | None,
    band: Band,
) -> str | None:
    """What is wrong with the order, or None."""
    wrong = check_order(activation, POWERS, Band(-1.0, 1.0))
    if wrong:
        return wrong
    for number, (_, y) in enumerate(activation.curve or ()):
        if abs(y) < POWER_FACTOR_MIN:
            return (
                f"curve[{number}].y: found {y:g}, accepted is a power factor of {POWER_FACTOR_MIN:g} to 1, or negative"
            )
    return None
