"""What a set-point goes through inside a device: enable, reversion, dead time and ramp."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")

_TICK_S = 1e-9  # far below any step, far above what adding steps up rounds


@dataclass(slots=True)
class Setting:
    """
    A set-point as a SunSpec control holds it: inert until it is enabled, and let go after `revert_s` without a write.

    Times in seconds; `revert_s` and `ramp_s` 0 are none. A new `revert_s` counts from the next write of value or
    enable.
    """

    value: float = 0.0
    enabled: bool = False
    revert_s: float = 0.0
    ramp_s: float = 0.0
    left_s: float = math.inf

    @property
    def in_force(self) -> float | None:
        return self.value if self.enabled else None

    def put(self, value: float) -> None:
        self.value = value
        self.arm()

    def enable(self, on: bool) -> None:
        self.enabled = on
        self.arm()

    def arm(self) -> None:
        self.left_s = self.revert_s or math.inf

    def step(self, dt_s: float) -> None:
        if not self.enabled:
            return
        self.left_s -= dt_s
        if self.left_s <= _TICK_S:
            self.enabled = False


class DeadTime(Generic[T]):
    """Gives on, step by step, what came in `dead_time_s` before the step began."""

    def __init__(self, dead_time_s: float, first: T) -> None:
        self._dead_time_s = dead_time_s
        self._now_s = 0.0
        self._latest = self._given = first
        self._coming: deque[tuple[float, T]] = deque()

    def step(self, value: T, dt_s: float) -> T:
        if value != self._latest:
            self._latest = value
            self._coming.append((self._now_s + self._dead_time_s, value))
        while self._coming and self._coming[0][0] <= self._now_s + _TICK_S:
            self._given = self._coming.popleft()[1]
        self._now_s += dt_s
        return self._given


@dataclass(slots=True)
class Ramp:
    """Moves in a straight line to each new target, in the ramp time that holds when the target changes."""

    value: float
    target: float
    _rate: float = math.inf

    def step(self, target: float, ramp_s: float, dt_s: float) -> float:
        if target != self.target:
            self.target = target
            self._rate = abs(target - self.value) / ramp_s if ramp_s else math.inf
        away = self.target - self.value
        self.value = (
            self.target if abs(away) <= self._rate * dt_s else self.value + math.copysign(self._rate * dt_s, away)
        )
        return self.value
