"""Which measurements are due: those that left their deadband, changed their quality, or were silent for too long."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TypeGuard

from gateway.image import KNOWN, Reading
from gateway.model import Frame, Instant, Quality, Value


@dataclass(frozen=True, slots=True)
class Rule:
    """How often one point is reported: `deadband` in the point's unit, intervals in seconds."""

    deadband: float = 0.0
    min_interval: float = 1.0
    max_interval: float = 60.0


@dataclass(frozen=True, slots=True)
class _Reported:
    value: Value | None
    quality: Quality
    time: float
    mono: float
    held_back: Reading | None = None  # a change that min_interval does not let out yet


class Reporter:
    """
    Keeps what was last said of each point; otherwise pure: time comes with the readings.

    A reading that is due leaves with its own time. What `min_interval` holds back leaves when the interval has passed,
    with the latest value by then, so that the last word on a point is never lost.
    """

    def __init__(self, rule: Callable[[str], Rule]) -> None:
        """*rule* gives the rule of a point by its full name; it is asked once a point."""
        self._rule_of = rule
        self._rules: dict[str, Rule] = {}
        self._said: dict[str, _Reported] = {}
        self._waiting: set[str] = set()

    def due(self, changes: Iterable[tuple[str, Reading]], now: Instant) -> list[Frame]:
        """Frames for the changes that are due, in the order of their times; one frame for each moment."""
        moments: dict[float, dict[str, Reading]] = {}
        for point, reading in changes:
            if self._is_due(point, reading):
                self._say(point, reading, now, moments)
        for point in list(self._waiting):
            said = self._said[point]
            rule = self._rule(point)
            if said.held_back is not None and now.mono - said.mono >= rule.min_interval:
                self._say(point, said.held_back, now, moments)
        return [_frame(time, moments[time]) for time in sorted(moments)]

    def _is_due(self, point: str, reading: Reading) -> bool:
        said = self._said.get(point)
        if said is None or reading.quality is not said.quality:
            return True
        rule = self._rule(point)
        elapsed = reading.mono - said.mono
        wanted = elapsed >= rule.max_interval or _left_deadband(said.value, reading.value, rule.deadband)
        if wanted and elapsed < rule.min_interval:
            self._said[point] = replace(said, held_back=reading)
            self._waiting.add(point)
            return False
        if not wanted and said.held_back is not None:
            self._said[point] = replace(said, held_back=None)  # it came back within its deadband: nothing to say
            self._waiting.discard(point)
        return wanted

    def _rule(self, point: str) -> Rule:
        rule = self._rules.get(point)
        if rule is None:
            rule = self._rules[point] = self._rule_of(point)
        return rule

    def _say(self, point: str, reading: Reading, now: Instant, moments: dict[float, dict[str, Reading]]) -> None:
        # A value is true at its own time; that it is lost is true from now on.
        moment = reading.time if reading.quality in KNOWN else now.wall
        moments.setdefault(round(moment, 3), {})[point] = reading
        self._said[point] = _Reported(reading.value, reading.quality, reading.time, reading.mono)
        self._waiting.discard(point)


def _left_deadband(old: Value | None, new: Value | None, deadband: float) -> bool:
    if _is_number(old) and _is_number(new):
        return abs(new - old) > deadband
    return old != new


def _is_number(value: Value | None) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _frame(time: float, readings: Mapping[str, Reading]) -> Frame:
    values = {p: r.value for p, r in readings.items() if r.quality in KNOWN and r.value is not None}
    quality = {p: r.quality for p, r in readings.items() if r.quality is not Quality.GOOD}
    return Frame(time=time, values=values, quality=quality)
