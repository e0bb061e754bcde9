"""A seeded value that wanders about its middle: the small unrest of loads and of the sky."""

from __future__ import annotations

import math
import random


class Wander:
    """
    An Ornstein-Uhlenbeck process about 0, kept within `bound`: the same seed gives the same walk.

    `deviation` is its long-run standard deviation, `memory_s` the time after which it has forgotten where it was.
    """

    def __init__(self, seed: int, *, deviation: float, memory_s: float, bound: float) -> None:
        self._random = random.Random(seed)
        self._deviation = deviation
        self._memory_s = memory_s
        self._bound = bound
        self.value = 0.0

    def step(self, dt_s: float) -> float:
        kept = math.exp(-dt_s / self._memory_s)
        value = self.value * kept + self._deviation * math.sqrt(1.0 - kept**2) * self._random.gauss(0.0, 1.0)
        self.value = max(-self._bound, min(value, self._bound))
        return self.value
