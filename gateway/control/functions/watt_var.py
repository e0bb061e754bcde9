"""`watt_var`, Q(P): reactive power by the active; x in p.u. of the rated active, y of the rated apparent power."""

from __future__ import annotations

from gateway.control.functions.curve import POWERS, check_order, interpolate
from gateway.control.functions.response import follow
from gateway.control.functions.statement import Memory, Situation, Statement
from gateway.model import Activation, Band


def decide(
    activation: Activation,
    value: float | None,
    situation: Situation,
    memory: Memory,
) -> tuple[Statement | None, Memory]:
    """Exactly the reactive power of the curve, in var; needs the active power."""
    if situation.active_w is None or activation.curve is None:
        return None, memory
    goal = interpolate(activation.curve, situation.active_w / situation.rated_w) * situation.rated_va
    now = follow(memory, goal, situation.dt, activation.response_s)
    return Statement(lo=now.value, hi=now.value), now


def check(
    activation: Activation,
    value: float | None,
    band: Band,
) -> str | None:
    """What is wrong with the order, or None."""
    return check_order(activation, POWERS, Band(-1.0, 1.0))
