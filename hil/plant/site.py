"""One site's physics: PV, battery and load behind one connection point with its meter."""

from __future__ import annotations

from dataclasses import dataclass, field

from hil.plant.battery import Battery
from hil.plant.grid import ConnectionPoint, GridParameters, solve
from hil.plant.inverter import Inverter
from hil.plant.load import Load
from hil.plant.sun import Sun


@dataclass(slots=True)
class Plant:
    """
    Everything behind the PCC, and what its meter has counted.

    `point` is the connection point as of the last step; it exists from the start.
    """

    sun: Sun
    inverter: Inverter
    battery: Battery
    load: Load
    grid: GridParameters
    frequency_hz: float = 50.0
    export_wh: float = 0.0
    import_wh: float = 0.0
    point: ConnectionPoint = field(init=False)

    def __post_init__(self) -> None:
        self.inverter.available_w = self.sun.available_w
        self._solve()

    def step(self, dt_s: float) -> None:
        self.sun.step(dt_s)
        self.load.step(dt_s)
        self.inverter.available_w = self.sun.available_w
        self.inverter.step(dt_s)
        self.battery.step(dt_s)
        self._solve()
        energy_wh = self.point.active_power_w * dt_s / 3600.0
        self.export_wh += max(energy_wh, 0.0)
        self.import_wh += max(-energy_wh, 0.0)

    def settle(self) -> None:
        """Begin with every power where it would have come to by now."""
        self.inverter.converter.active_power_w = min(self.sun.available_w, self.inverter.parameters.rated_w)
        self._solve()

    def _solve(self) -> None:
        sources = (self.inverter.converter, self.battery.converter, self.load)
        injections = [(source.active_power_w, source.reactive_power_var) for source in sources]
        self.point = solve(self.grid, injections, frequency_hz=self.frequency_hz)
