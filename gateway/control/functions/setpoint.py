"""`set_active_power` and `set_reactive_power`: exactly this."""

from __future__ import annotations

from functools import partial

from gateway.control.functions.base import ACTIVE, REACTIVE, Function
from gateway.control.functions.statement import SILENT, Memory, Situation, Statement
from gateway.control.functions.value import check_values
from gateway.model import Activation, Band


def decide(_: Activation, value: float | None, situation: Situation, memory: Memory) -> tuple[Statement, Memory]:
    """
    >>> decide(..., -5_000.0, ..., None)
    (Statement(lo=-5000.0, hi=-5000.0), None)
    """
    return (SILENT if value is None else Statement(value, value)), memory


def _check(activation: Activation, value: float | None, band: Band, *, unit: str) -> str | None:
    return check_values(activation, value, band, unit)


SET_ACTIVE_POWER = Function(
    name="set_active_power", quantity=ACTIVE, decide=decide, check=partial(_check, unit="W"), units=("W", "%")
)
SET_REACTIVE_POWER = Function(
    name="set_reactive_power",
    quantity=REACTIVE,
    decide=decide,
    check=partial(_check, unit="var"),
    units=("var", "%"),
    place=REACTIVE,
)
