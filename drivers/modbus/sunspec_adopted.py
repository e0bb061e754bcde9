"""Characteristics that a SunSpec device of the second generation follows: models 705, 706 and 712, and 711. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from drivers.modbus import sunspec_curves as curves
from drivers.modbus.sunspec_cells import CurveError, Entry, encoded, number_in, same
from drivers.modbus.sunspec_control import Authority, Timer, timer_in
from drivers.modbus.sunspec_curves import ENABLE, Setting, Shape, Steps, Wish
from drivers.modbus.sunspec_per_unit import Reference, as_curve, as_droop, curve_points, tidy
from gateway.characteristic import Characteristic, Curve, Droop, to_text
from gateway.model import Measurement, Quality

_OFF_HZ = 10.0
"""A deadband that no grid leaves: the half of a droop that is left out."""
_OVER_HZ, _UNDER_HZ, _OVER, _UNDER, _RESPONSE, _LOWEST = curves.DROOP.settings


class Form(Protocol):
    """How a characteristic stands in the curves of a shape."""

    def read(self, shape: Shape, words: Sequence[int]) -> Characteristic | None:
        """What stands in curve 1; None when it cannot be said as a characteristic."""

    def wish(self, shape: Shape, characteristic: Characteristic, words: Sequence[int]) -> Wish:
        """
        Raises:
            CurveError: The model has no registers for it.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Adopted:
    """
    A characteristic in model 705, 706, 711 or 712; offsets count from the model's ID register.

    `registers` reach to the end of curve 1.
    """

    point: str
    shape: Shape
    form: Form
    registers: int
    authority: Authority
    unit: str = ""

    def measure(self, words: Sequence[int]) -> Measurement:
        """The text of what the device obeys; value None with quality good: the function is not enabled."""
        if words[ENABLE] == 0:
            return Measurement(self.point, None)
        held = self.form.read(self.shape, words) if words[ENABLE] == 1 else None
        return (
            Measurement(self.point, None, Quality.INVALID) if held is None else Measurement(self.point, to_text(held))
        )

    def put(
        self,
        characteristic: Characteristic,
        before: Sequence[int],  # noqa: ARG002 - models without curve 1 need it
        words: Sequence[int],
        revert_s: float | None,
    ) -> Steps:
        """
        What to do so that the device obeys it.

        Raises:
            CurveError: At once or from the generator; what the device obeyed before still stands.
        """
        return curves.adopt(self.form.wish(self.shape, characteristic, words), words, revert_s)

    def give_back(self, before: Sequence[int] | None, words: Sequence[int]) -> Steps:
        """
        What stood before our first write, whether it was enabled or not; without it, not enabled.

        Raises:
            CurveError: From the generator: the device does not take back what it had.
        """
        return curves.give_back(self.shape, before, words)

    def stands(self, characteristic: Characteristic, words: Sequence[int]) -> bool:
        """Whether the device obeys it already."""
        cells = [encoded(entry, words) for entry in self.form.wish(self.shape, characteristic, words).entries]
        return words[ENABLE] == 1 and same(cells, words[self.shape.first :])

    def timer(self, words: Sequence[int]) -> Timer:
        """How long the device holds it without us."""
        at = self.shape.revert
        return timer_in(words[at : at + 2], words[at + 2 : at + 4])


@dataclass(frozen=True, slots=True)
class CurveForm:
    """A curve of model 705, 706 or 712; `response` is where its response time stands, if it has one."""

    reference: Reference
    response: Setting | None

    def read(self, shape: Shape, words: Sequence[int]) -> Curve | None:
        curve = words[shape.first :]
        active, code = curve[0], curve[1]
        if active > shape.room_in(words):
            return None
        values = [(number_in(*x, curve, words), number_in(*y, curve, words)) for x, y in shape.points(active)]
        points = curve_points(values, self.reference, code)
        response_s = number_in(*self.response, curve, words) if self.response is not None else None
        return None if points is None else Curve(points, response_s or None)

    def wish(self, shape: Shape, characteristic: Characteristic, words: Sequence[int]) -> Wish:
        curve = as_curve(characteristic)
        code = self.reference.choose(*words[shape.first : shape.first + 2])
        entries = [Entry(0, "uint16", None, len(curve.points)), Entry(1, "uint16", None, code)]
        if curve.response_s is not None:
            if self.response is None:
                raise CurveError(f"model {shape.model} has no response time, found {curve.response_s:g} s")
            entries.append(Entry(*self.response, curve.response_s))
        for (x, y), (at_x, at_y) in zip(curve.points, shape.points(len(curve.points)), strict=True):
            entries += [Entry(*at_x, 100 * x), Entry(*at_y, self.reference.percent(y, code))]
        return Wish(shape, len(curve.points), tuple(entries))


class DroopForm:
    """
    The droop of model 711.

    Which power it is a droop of, the model leaves to the device: there is no register for `reference`, either is taken,
    and what is read says what a droop says by itself.
    """

    def read(self, shape: Shape, words: Sequence[int]) -> Droop | None:
        control = words[shape.first :]
        over_hz, under_hz, over, under, response_s, lowest = (
            number_in(*setting, control, words) for setting in shape.settings
        )
        if over_hz is None or under_hz is None or over is None or under is None or min(over_hz, under_hz) >= _OFF_HZ:
            return None
        p_min = None if lowest is None else tidy(lowest / 100)
        response_s = response_s or None  # 0 is at once
        if under_hz >= _OFF_HZ:
            return Droop(over_hz, over, response_s, p_min, sides="over")
        if over_hz >= _OFF_HZ:
            return Droop(under_hz, under, response_s, p_min, sides="under")
        other_hz = under_hz if under_hz != over_hz else None
        return Droop(over_hz, over, response_s, p_min, other_hz, under if under != over else None)

    def wish(
        self,
        shape: Shape,
        characteristic: Characteristic,
        words: Sequence[int],  # noqa: ARG002 - a curve needs what the device refers to
    ) -> Wish:
        droop = as_droop(characteristic)
        under_hz = droop.deadband_hz if droop.under_deadband_hz is None else droop.under_deadband_hz
        under = droop.droop if droop.under_droop is None else droop.under_droop
        entries = [
            Entry(*_OVER_HZ, _OFF_HZ if droop.sides == "under" else droop.deadband_hz),
            Entry(*_UNDER_HZ, _OFF_HZ if droop.sides == "over" else under_hz),
            Entry(*_OVER, under if droop.sides == "under" else droop.droop),
            Entry(*_UNDER, droop.droop if droop.sides == "over" else under),
        ]
        if droop.response_s is not None:
            entries.append(Entry(*_RESPONSE, droop.response_s))
        if droop.p_min is not None:
            entries.append(Entry(*_LOWEST, 100 * droop.p_min))
        return Wish(shape, 0, tuple(entries))
