"""`limit_active_power`: generate, or export, no more than this."""

from __future__ import annotations

from gateway.control.functions.base import ACTIVE, Function
from gateway.model import Band


def _narrow(band: Band, value: float) -> Band:
    """
    >>> _narrow(Band(-30_000, 60_000), 18_000)
    Band(lo=-30000, hi=18000)
    """
    return band.narrow(hi=value)


LIMIT_ACTIVE_POWER = Function(
    name="limit_active_power",
    quantity=ACTIVE,
    is_limit=True,
    narrow=_narrow,
    # Below 0 it would no longer limit generation but order consumption, which is what set_active_power says.
    allowed=lambda band: Band(0.0, max(band.hi, 0.0)),
    met=lambda measured, wanted, tolerance: measured <= wanted + tolerance,
)
