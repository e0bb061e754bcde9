"""The consumption of a house: a base with a seeded unrest."""

from __future__ import annotations

import math
from dataclasses import dataclass

from hil.plant.wander import Wander

_MEMORY_S = 30.0  # appliances come and go in about half a minute


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadParameters:
    """`unrest` is the standard deviation as a share of `base_w`; twice that is never exceeded."""

    base_w: float = 6_000.0
    unrest: float = 0.03
    power_factor: float = 0.95


class Load:
    """Generator reference frame: both powers are negative (consumption, under-excited)."""

    def __init__(self, parameters: LoadParameters, *, seed: int) -> None:
        self.parameters = parameters
        self.active_power_w = -parameters.base_w
        self._wander = Wander(seed, deviation=parameters.unrest, memory_s=_MEMORY_S, bound=2 * parameters.unrest)

    @property
    def reactive_power_var(self) -> float:
        return self.active_power_w * math.tan(math.acos(self.parameters.power_factor))

    def step(self, dt_s: float) -> None:
        self.active_power_w = -self.parameters.base_w * (1.0 + self._wander.step(dt_s))
