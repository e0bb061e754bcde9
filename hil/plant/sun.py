"""What the sun lets a PV generator give: a clear sky with a little haze, and cloud edges where asked for."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

from hil.plant.wander import Wander

_HAZE_MEMORY_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SunParameters:
    """
    `haze` is the most that the clear sky's power wanders off, as a share of it.

    A cloud takes `cloud_depth` of the power within `edge_s`; clear and clouded spells last `spell_s` on average. No
    spell length is no clouds.
    """

    clear_w: float = 56_000.0
    haze: float = 0.03
    cloud_depth: float = 0.7
    edge_s: float = 10.0
    spell_s: float | None = None


class Sun:
    """The available power, moved on step by step; the same seed gives the same sky."""

    def __init__(self, parameters: SunParameters, *, seed: int) -> None:
        self.parameters = parameters
        self.available_w = parameters.clear_w
        self._haze = Wander(seed, deviation=parameters.haze / 2, memory_s=_HAZE_MEMORY_S, bound=parameters.haze)
        self._random = random.Random(seed)
        self._clouded = False
        self._cover = 0.0  # 0 clear to 1 clouded
        self._until_edge_s = self._spell_s()

    def step(self, dt_s: float) -> None:
        self._until_edge_s -= dt_s
        if self._until_edge_s <= 0.0:
            self._clouded = not self._clouded
            self._until_edge_s = self._spell_s()
        change = dt_s / self.parameters.edge_s
        self._cover = min(self._cover + change, 1.0) if self._clouded else max(self._cover - change, 0.0)
        sky = (1.0 + self._haze.step(dt_s)) * (1.0 - self.parameters.cloud_depth * self._cover)
        self.available_w = self.parameters.clear_w * sky

    def _spell_s(self) -> float:
        return math.inf if self.parameters.spell_s is None else self._random.expovariate(1.0 / self.parameters.spell_s)
