"""What the readings of a device mean beside each other: steps that are too large, set-points out of force. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

from drivers.modbus.codec import decode_words
from drivers.modbus.points import ModbusPoint
from gateway.model import Measurement, Quality, Value

Tell = Callable[[Sequence[Measurement]], None]
"""Takes what was read; what of it is emitted, and as what, is decided behind it."""


class Screen:
    """
    Lets readings through, and changes what they must not be taken for.

    A step larger than `max_step` is uncertain until another reading lies beside it. A set-point is None, out of force,
    while all registers of its release hold what releases it. Where its own register is one of them, that one counts
    only while we have no set-point in it: "no limit" may be what we were told to write.
    """

    def __init__(self, device: str, points: Collection[ModbusPoint]) -> None:
        self._max_steps = {f"{device}.{point.name}": point.max_step for point in points if point.max_step is not None}
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
        self.engaged: set[str] = set()
        """Set-points that we wrote, and did not take out of force since."""

    def forget(self) -> None:
        """After a loss: what was read before it is no neighbour of what comes next."""
        self._stands.clear()
        self._trusted.clear()
        self._doubted.clear()

    def passed(self, measurements: Sequence[Measurement]) -> Sequence[Measurement]:
        """The same measurements, for the points that there are and as they are to be taken."""
        return list(self._passed(measurements)) if self._max_steps or self._releases else measurements

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
            elif each.point in self._max_steps and isinstance(each.value, int | float):
                yield each if self._confirmed(each.point, each.value) else each._replace(quality=Quality.UNCERTAIN)
            elif each.point in self._releases:
                yield from self._in_force(each)
            else:
                yield each

    def _confirmed(self, point: str, value: float) -> bool:
        neighbours = (self._trusted.get(point), self._doubted.pop(point, None))
        if neighbours[0] is None or any(
            near is not None and abs(value - near) <= self._max_steps[point] for near in neighbours
        ):
            self._trusted[point] = value
            return True
        self._doubted[point] = value
        return False

    def _in_force(self, measurement: Measurement) -> Iterator[Measurement]:
        ours = measurement.point in self.engaged
        judged = [name for name in self._releases[measurement.point] if not (ours and name in self._own)]
        if any(name not in self._stands for name in judged):
            return  # not known before all of them were read once
        released = bool(judged) and all(self._stands[name] for name in judged)
        yield measurement._replace(value=None) if released else measurement
