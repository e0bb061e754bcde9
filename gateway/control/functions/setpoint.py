"""`set_active_power` and `set_reactive_power`: exactly this."""

from __future__ import annotations

from gateway.control.functions.base import ACTIVE, REACTIVE, Function
from gateway.model import Band


def _narrow(band: Band, value: float) -> Band:
    """
    >>> _narrow(Band(-30_000, 18_000), 25_000)
    Band(lo=18000, hi=18000)
    """
    return band.narrow(lo=value, hi=value)


def _met(measured: float, wanted: float, tolerance: float) -> bool:
    return abs(measured - wanted) <= tolerance


SET_ACTIVE_POWER = Function(
    name="set_active_power", quantity=ACTIVE, is_limit=False, narrow=_narrow, allowed=lambda band: band, met=_met
)
SET_REACTIVE_POWER = Function(
    name="set_reactive_power", quantity=REACTIVE, is_limit=False, narrow=_narrow, allowed=lambda band: band, met=_met
)
