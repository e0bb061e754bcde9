"""
The control functions, each in a file of its own; the order of FUNCTIONS is their rank.

A function only narrows the band of its quantity, so one that stands earlier always wins over one that stands later.
Limits rank before targets: "the smaller of a limit and a set-point wins" (VDE-AR-N 4110 practice: the operator's value
is a limit, the direct marketer's a set-point).
"""

from gateway.control.functions import limit, setpoint
from gateway.control.functions.base import ACTIVE, REACTIVE, Function

FUNCTIONS: tuple[Function, ...] = (
    limit.LIMIT_ACTIVE_POWER,
    setpoint.SET_ACTIVE_POWER,
    setpoint.SET_REACTIVE_POWER,
)

BY_NAME = {function.name: function for function in FUNCTIONS}

__all__ = ["ACTIVE", "BY_NAME", "FUNCTIONS", "REACTIVE", "Function"]
