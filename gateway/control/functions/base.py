"""What a control function is: its name, its quantity, and the code that looks and says (statement.py)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gateway.control.functions.statement import Decide
from gateway.model import Activation, Band

ACTIVE = "active_power"
REACTIVE = "reactive_power"
CONNECTION = "connection"
"""1 is connected to the grid, 0 is not."""
UNITS = {ACTIVE: "W", REACTIVE: "var", CONNECTION: ""}

Check = Callable[[Activation, float | None, Band], str | None]
"""What is wrong with an order's parameters for a value and a target that can be in a band; None: nothing is."""


@dataclass(frozen=True, slots=True)
class Function:
    """
    One order a DSO can give.

    `units` are those its value may have, the first one that of the quantity; empty: it has none, or a bare number.
    `is_limit`: without a set-point beside it the devices go on by themselves, within it. `place`: an issuer has one
    order in force a target and place. `point`: the writable point of a device that follows the function by itself.
    `looks_at`: what has to be measured at its target. `sign` is -1 for a value that counts towards consumption.
    """

    name: str
    quantity: str
    decide: Decide
    check: Check
    units: tuple[str, ...] = ()
    is_limit: bool = False
    place: str = ""
    point: str | None = None
    looks_at: frozenset[str] = frozenset()
    sign: int = 1

    @property
    def unit(self) -> str:
        return UNITS[self.quantity]

    @property
    def room(self) -> str:
        """Where an issuer's newer order takes the place of its older one."""
        return self.place or self.name
