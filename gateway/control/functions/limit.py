"""`limit_active_power`: generate, or export, no more than this."""

from __future__ import annotations

from gateway.control.functions.base import ACTIVE, Function
from gateway.control.functions.statement import SILENT, Memory, Situation, Statement
from gateway.control.functions.value import check_values
from gateway.model import Activation, Band


def decide(_: Activation, value: float | None, situation: Situation, memory: Memory) -> tuple[Statement, Memory]:
    """
    >>> decide(..., 18_000.0, ..., None)
    (Statement(lo=None, hi=18000.0), None)
    """
    return (SILENT if value is None else Statement(hi=value)), memory


def check(activation: Activation, value: float | None, band: Band) -> str | None:
    # Below 0 it would no longer limit generation but order consumption, which is what set_active_power says.
    return check_values(activation, value, Band(0.0, max(band.hi, 0.0)), "W")


LIMIT_ACTIVE_POWER = Function(
    name="limit_active_power", quantity=ACTIVE, decide=decide, check=check, units=("W", "%"), is_limit=True
)
