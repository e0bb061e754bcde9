"""What the readings of a device mean beside each other: steps too large, counters back, values that stand still."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from math import inf
from operator import attrgetter

from drivers.modbus.codec import decode_words
from drivers.modbus.points import ModbusPoint
from gateway.model import Measurement, Quality, Value

COUNTERS = (".energy_export", ".energy_import")
"""What these points, their phases and tariffs among them, count only rises: the names are those of the contract."""
_NAME = attrgetter("point")
_log = logging.getLogger(__name__)


def _loop_time() -> float:
    return asyncio.get_running_loop().time()


Tell = Callable[[Sequence[Measurement]], None]
"""Takes what was read; what of it is emitted, and as what, is decided behind it."""


class Screen:
    """
    Lets readings through, and changes what they must not be taken for.

    A step larger than `max_step` is uncertain until another reading lies beside it, and a counter of energy that goes
    back until another reading goes on from there: it was reset, rolled over, or is that of another device, which is
    told once. A value that stood still for `stuck_after` is uncertain until it moves.

    A set-point is None, out of force, while all registers of its release hold what releases it. Where its own register
    is one of them, that one counts only while we have no set-point in it: "no limit" may be what we were told to write.

    `time` is that of the event loop, in seconds.
    """

    def __init__(self, device: str, points: Collection[ModbusPoint], *, time: Callable[[], float] = _loop_time) -> None:
        self._time = time
        self._max_steps = {f"{device}.{point.name}": point.max_step for point in points if point.max_step is not None}
        self._stuck_after = {
            f"{device}.{point.name}": point.stuck_after for point in points if point.stuck_after is not None
        }
        self._releases: dict[str, tuple[str, ...]] = {}
        self._held: dict[str, Value | None] = {}
        self._own: set[str] = set()
        for point in points:
            steps = point.sequence(device, "release") if point.readable else ()
            for register, words in ((step.register, step.words) for step in steps):
                self._held[register.point] = decode_words(register, words)
                if (register.space, register.address) == (point.at.space, point.at.address):
                    self._own.add(register.point)
            if steps:
                self._releases[f"{device}.{point.name}"] = tuple(step.register.point for step in steps)
        self._stands: dict[str, bool] = {}
        self._trusted: dict[str, float] = {}
        self._doubted: dict[str, float] = {}
        self._totals: dict[str, float] = {}
        self._seen: set[str] = set()
        self._counters: set[str] = set()
        self._judged = {*self._max_steps, *self._stuck_after}
        self._since: dict[str, tuple[Value | None, float]] = {}
        self._stuck: set[str] = set()
        self.engaged: set[str] = set()
        """Set-points that we wrote, and did not take out of force since."""

    def forget(self) -> None:
        """After a loss: what was read before it is no neighbour of what comes next, but counters do not go back."""
        self._stands.clear()
        self._trusted.clear()
        self._doubted.clear()
        self._since.clear()
        self._stuck.clear()

    def passed(self, measurements: Sequence[Measurement]) -> Sequence[Measurement]:
        """The same measurements, for the points that there are and as they are to be taken."""
        self._look_at(measurements)
        if self._releases or not self._judged.isdisjoint(map(_NAME, measurements)):
            return list(self._passed(measurements))
        return measurements

    def _look_at(self, measurements: Sequence[Measurement]) -> None:
        """Find the counters; each name is looked into once: with each reading, it took as long as decoding them."""
        if not self._seen.issuperset(map(_NAME, measurements)):
            names = {each.point for each in measurements}
            self._seen |= names
            self._counters |= {name for name in names if any(counter in name for counter in COUNTERS)}
            self._judged |= self._counters

    def _passed(self, measurements: Iterable[Measurement]) -> Iterator[Measurement]:
        points: list[Measurement] = []
        for each in measurements:
            if each.point in self._held:
                self._stands[each.point] = each.value == self._held[each.point]
            else:
                points.append(each)
        for each in points:
            if each.quality is not Quality.GOOD:
                yield each
            elif each.point in self._releases:
                yield from self._in_force(each)
            elif each.point not in self._judged or self._believed(each.point, each.value):
                yield each
            else:
                yield each._replace(quality=Quality.UNCERTAIN)

    def _believed(self, point: str, value: Value | None) -> bool:
        confirmed = not isinstance(value, int | float) or self._confirmed(point, value)
        return confirmed and not (point in self._stuck_after and self._stands_still(point, value))

    def _confirmed(self, point: str, value: float) -> bool:
        trusted, doubted = self._trusted.get(point), self._doubted.pop(point, None)
        total = self._totals.get(point, value)
        leapt = trusted is not None and abs(value - trusted) > self._max_steps.get(point, inf)
        goes_on = doubted is not None and self._may_follow(point, doubted, value)
        if (leapt or value < total) and not goes_on:
            self._doubted[point] = value
            return False
        self._trusted[point] = value
        if point in self._counters:
            self._totals[point] = value
            if value < total:
                _log.warning("%s: went back from %s to %s: reset, rolled over or another device", point, total, value)
        return True

    def _may_follow(self, point: str, before: float, value: float) -> bool:
        rises = value >= before or point not in self._counters
        return rises and abs(value - before) <= self._max_steps.get(point, inf)

    def _stands_still(self, point: str, value: Value | None) -> bool:
        now, limit_s = self._time(), self._stuck_after[point]
        stood = self._since.get(point)
        if stood is None or stood[0] != value:
            self._since[point] = value, now
            if point in self._stuck:
                self._stuck.discard(point)
                _log.info("%s: moves again", point)
            return False
        if now - stood[1] < limit_s:
            return False
        if point not in self._stuck:
            self._stuck.add(point)
            _log.warning("%s: has stood at %s for %g s: the device may be frozen", point, value, now - stood[1])
        return True

    def _in_force(self, measurement: Measurement) -> Iterator[Measurement]:
        ours = measurement.point in self.engaged
        judged = [name for name in self._releases[measurement.point] if not (ours and name in self._own)]
        if any(name not in self._stands for name in judged):
            return  # not known before all of them were read once
        released = bool(judged) and all(self._stands[name] for name in judged)
        yield measurement._replace(value=None) if released else measurement
