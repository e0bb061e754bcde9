"""`volt_var`, Q(U): reactive power by the voltage; x in p.u. of the nominal voltage, y of the rated apparent power."""

from __future__ import annotations

from gateway.control.functions.curve import VOLTAGES, check_order, interpolate, measured_voltage
from gateway.control.functions.response import follow
from gateway.control.functions.statement import Memory, Situation, Statement
from gateway.model import Activation, Band


def decide(
    activation: Activation,
    value: float | None,
    situation: Situation,
    memory: Memory,
) -> tuple[Statement | None, Memory]:
    """Exactly the reactive power of the curve, in var; needs the voltage."""
    voltage = measured_voltage(situation)
    if voltage is None or activation.curve is None:
        return None, memory
    goal = interpolate(activation.curve, voltage) * situation.rated_va
    now = follow(memory, goal, situation.dt, activation.response_s)
    return Statement(lo=now.value, hi=now.value), now


def check(
    activation: Activation,
    value: float | None,
    band: Band,
) -> str | None:
    """What is wrong with the order, or None."""
    return check_order(activation, VOLTAGES, Band(-1.0, 1.0))
