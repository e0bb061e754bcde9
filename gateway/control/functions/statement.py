"""
What a control function looks at, and what it says.

A function never acts. It makes a statement, the arbitration narrows the band of the quantity by it, and what is left is
shared among the devices. "No statement" is not 0: in the deadband of a droop, the droop says nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.model import Activation, Band


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """
    What a function may look at of its target now; None is not known. Powers in W and var.

    `rated_va` is what 1 p.u. of reactive power is, `voltage` in p.u. of the nominal one (the mean of the phases that
    are measured), `reachable` where the active power could be now. `dt` is the time since the last look in seconds.
    """

    rated_w: float
    rated_va: float
    active_w: float | None = None
    reactive_var: float | None = None
    voltage: float | None = None
    frequency_hz: float | None = None
    nominal_hz: float = 50.0
    reachable: Band = field(default_factory=lambda: Band(0.0, 0.0))
    wall: float = 0.0
    dt: float = 0.0


@dataclass(frozen=True, slots=True)
class Statement:
    """The quantity may not be below `lo` nor above `hi`, in W or var; None says nothing of that side."""

    lo: float | None = None
    hi: float | None = None


SILENT = Statement()

Memory = object
"""What one order's function remembers from tick to tick: a frozen value of its own; None at the beginning."""

Decide = Callable[[Activation, float | None, Situation, Memory], tuple[Statement | None, Memory]]
"""
From an order, the value it orders now (W, var or a power factor; after schedule, % and ramp; None for functions without
a value), the situation and the memory, to a statement and the next memory. None instead of a statement: what it needs
is not measured now, so that the statement of before stays in force.
"""


def met(statement: Statement, measured: float, tolerance: float) -> bool:
    """Whether a measurement obeys a statement."""
    above = statement.lo is None or measured >= statement.lo - tolerance
    return above and (statement.hi is None or measured <= statement.hi + tolerance)
