"""
The control functions, each in a file of its own; the order of LEVELS is their rank.

A function only narrows the band of its quantity, so one that stands earlier always wins over one that stands later.
Limits rank before targets: "the smaller of a limit and a set-point wins" (VDE-AR-N 4110 practice: the operator's value
is a limit, the direct marketer's a set-point). P(f) stands between them: an operator's limit holds at any frequency,
and no set-point keeps a plant from supporting it.
"""

from gateway.control.functions import (
    connection,
    frequency_droop,
    limit,
    peak,
    power_factor,
    reserve,
    setpoint,
    volt_var,
    volt_watt,
    watt_power_factor,
    watt_var,
)
from gateway.control.functions.base import ACTIVE, CONNECTION, REACTIVE, Function

_VOLTAGE, _FREQUENCY, _POWER = frozenset({"voltage"}), frozenset({"frequency"}), frozenset({"active_power"})

LEVELS: tuple[tuple[str, tuple[Function, ...]], ...] = (
    ("connection", (connection.DISCONNECT, connection.CONNECT)),
    (
        "limits",
        (
            limit.LIMIT_ACTIVE_POWER,
            Function(
                name="limit_export",
                quantity=ACTIVE,
                decide=peak.decide,
                check=peak.check,
                units=("W", "%"),
                is_limit=True,
            ),
            Function(
                name="limit_import",
                quantity=ACTIVE,
                decide=peak.decide,
                check=peak.check,
                units=("W", "%"),
                is_limit=True,
                sign=-1,
            ),
            Function(
                name="volt_watt",
                quantity=ACTIVE,
                decide=volt_watt.decide,
                check=volt_watt.check,
                is_limit=True,
                point="volt_watt",
                looks_at=_VOLTAGE,
            ),
        ),
    ),
    (
        "frequency",
        (
            Function(
                name="frequency_droop",
                quantity=ACTIVE,
                decide=frequency_droop.decide,
                check=frequency_droop.check,
                is_limit=True,
                point="frequency_droop",
                looks_at=_FREQUENCY,
            ),
        ),
    ),
    (
        "reserve",
        (Function(name="reserve", quantity=ACTIVE, decide=reserve.decide, check=reserve.check, is_limit=True),),
    ),
    (
        "set-points",
        (
            setpoint.SET_ACTIVE_POWER,
            setpoint.SET_REACTIVE_POWER,
            Function(
                name="set_power_factor",
                quantity=REACTIVE,
                decide=power_factor.decide,
                check=power_factor.check,
                point="power_factor_setpoint",
                looks_at=_POWER,
            ),
            Function(
                name="volt_var",
                quantity=REACTIVE,
                decide=volt_var.decide,
                check=volt_var.check,
                point="volt_var",
                looks_at=_VOLTAGE,
            ),
            Function(
                name="watt_var",
                quantity=REACTIVE,
                decide=watt_var.decide,
                check=watt_var.check,
                point="watt_var",
                looks_at=_POWER,
            ),
            Function(
                name="watt_power_factor",
                quantity=REACTIVE,
                decide=watt_power_factor.decide,
                check=watt_power_factor.check,
                looks_at=_POWER,
            ),
        ),
    ),
)
"""What stands earlier is never overruled by what stands later."""

FUNCTIONS: tuple[Function, ...] = tuple(function for _, functions in LEVELS for function in functions)

BY_NAME = {function.name: function for function in FUNCTIONS}

__all__ = ["ACTIVE", "BY_NAME", "CONNECTION", "FUNCTIONS", "LEVELS", "REACTIVE", "Function"]
