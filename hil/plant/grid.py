"""The smallest grid that has a voltage: a stiff source, one line, and everything of the site at its end."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class GridParameters:
    """Line-to-line voltage of the source and the impedance of one conductor up to the point of common coupling."""

    source_v: float = 400.0
    r_ohm: float = 0.04
    x_ohm: float = 0.03


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionPoint:
    """The point of common coupling at one moment; generator reference frame, `voltage_v` line to line, balanced."""

    active_power_w: float
    reactive_power_var: float
    voltage_v: float
    frequency_hz: float

    @property
    def phase_voltage_v(self) -> float:
        return self.voltage_v / math.sqrt(3.0)

    def current_a(self, apparent_power_va: float) -> float:
        """The current of one conductor that carries this three-phase power."""
        return apparent_power_va / (math.sqrt(3.0) * self.voltage_v)


def solve(
    parameters: GridParameters, injections: Iterable[tuple[float, float]], *, frequency_hz: float = 50.0
) -> ConnectionPoint:
    """
    The connection point for these (active, reactive) injections in W and var.

    The voltage satisfies U = U0 + (P R + Q X) / U, the usual estimate of the drop along a line, with its larger root.

    Raises:
        ValueError: The line cannot carry that load: there is no such voltage.
    """
    powers = list(injections)
    active_w = sum(active for active, _ in powers)
    reactive_var = sum(reactive for _, reactive in powers)
    root = parameters.source_v**2 + 4.0 * (active_w * parameters.r_ohm + reactive_var * parameters.x_ohm)
    if root < 0.0:
        raise ValueError(f"no voltage carries {active_w:.0f} W and {reactive_var:.0f} var over this line")
    return ConnectionPoint(
        active_power_w=active_w,
        reactive_power_var=reactive_var,
        voltage_v=(parameters.source_v + math.sqrt(root)) / 2.0,
        frequency_hz=frequency_hz,
    )
