"""What a control function is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gateway.model import Band

ACTIVE = "active_power"
REACTIVE = "reactive_power"
UNITS = {ACTIVE: "W", REACTIVE: "var"}


@dataclass(frozen=True, slots=True)
class Function:
    """
    One order a DSO can give.

    `narrow(band, value)` applies it; `allowed(band)` is the range its value may have on a target that can be in `band`;
    `met(measured, wanted, tolerance)` tells whether the measurement obeys; `is_limit`: met from below, and without a
    set-point the device goes on by itself.
    """

    name: str
    quantity: str
    is_limit: bool
    narrow: Callable[[Band, float], Band]
    allowed: Callable[[Band], Band]
    met: Callable[[float, float, float], bool]

    @property
    def unit(self) -> str:
        return UNITS[self.quantity]
