"""How long a device holds a set-point that nobody writes again: as it tells, and as it turns out. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from drivers.modbus.sunspec_control import Timer
from gateway.model import Measurement, Quality, Setting, Value

REFRESH_MIN_S = 1.0
"""A set-point that is gone faster than twice this is taken away by somebody: writing it all the time would not help."""
_STEP_S = 1.0
"""Reversion times are whole seconds."""


@dataclass(frozen=True, slots=True)
class Lapse:
    """A set-point was no longer in force `after_s` after it was written last; it is refreshed twice as often now."""

    point: str
    after_s: float
    refresh_s: float


@dataclass(frozen=True, slots=True)
class _Standing:
    """What stands in a device since `at`, and what stood there before us."""

    value: Setting
    before: Value | None
    at: float


class Reversions:
    """
    Of one device. `refresh_s` is how often a point has to be written again, where the reversion time that was asked for
    does not say it; half of the time that it stands by itself, so that one lost write is made up for.
    """

    def __init__(self, revert_s: float | None) -> None:
        self._revert_s = revert_s
        self._standing: dict[str, _Standing] = {}
        self._held_s: dict[str, float] = {}
        self._learned: dict[str, float] = {}

    @property
    def refresh_s(self) -> Mapping[str, float]:
        told = {point: max(held_s / 2, REFRESH_MIN_S) for point, held_s in self._held_s.items()}
        points = told.keys() | self._learned.keys()
        return {point: min(each[point] for each in (told, self._learned) if point in each) for point in points}

    def forget(self) -> None:
        """After a loss: a device that was away may have let go for reasons of its own."""
        self._standing.clear()

    def writing(self, point: str) -> None:
        """From now on, what becomes of it is our doing."""
        self._standing.pop(point, None)

    def stands(self, point: str, value: Setting, before: Value | None, timer: Timer, now: float) -> None:
        """
        It was written and read back, and `timer` says how long the device holds it.

        What is left may be less than the time it was given, and is then all there is; but a device may also tell of it
        late, from before it was written again: the most that was ever left counts.
        """
        self._standing[point] = _Standing(value, before, now)
        held_s = timer.total_s
        if timer.left_s is not None and (held_s is None or timer.left_s < held_s - _STEP_S):
            left_s = max(timer.left_s, self._held_s.get(point, 0.0))
            held_s = left_s if held_s is None else min(left_s, held_s)
        if held_s is None or (self._revert_s is not None and abs(held_s - self._revert_s) <= _STEP_S):
            self._held_s.pop(point, None)
        else:
            self._held_s[point] = held_s

    def seen(self, measurements: Iterable[Measurement], now: float) -> list[Lapse]:
        """What is found out by these readings, once for each time that it was written."""
        lapses: list[Lapse] = []
        for each in measurements:
            standing = self._standing.get(each.point)
            if standing is None or each.quality is not Quality.GOOD or each.value not in (None, standing.before):
                continue
            if each.value == standing.value:
                continue
            del self._standing[each.point]
            after_s = now - standing.at
            refresh_s = max(after_s / 2, REFRESH_MIN_S)
            known_s = self.refresh_s.get(each.point, self._revert_s / 2 if self._revert_s else None)
            if known_s is None or refresh_s < known_s - _STEP_S / 2:
                self._learned[each.point] = refresh_s
                lapses.append(Lapse(each.point, after_s, refresh_s))
        return lapses
