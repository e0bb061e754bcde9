"""How characteristics stand in one curve of models 126, 132 and 134. Pure; offsets count from the curve's start."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from drivers.modbus.sunspec_arrays import RAMP_SF, ROOM, X_SF, Y_SF
from drivers.modbus.sunspec_cells import Cell, CurveError, Entry, cell_in, encoded, number_in
from drivers.modbus.sunspec_curves import Setting
from drivers.modbus.sunspec_per_unit import T95_PER_T90, Reference, as_curve, as_droop, curve_points, tidy
from gateway.characteristic import Characteristic, Curve, Droop

_ROOM_MAX = 20
_RESPONSE_DIGITS = 3
_PERCENT_A_MINUTE = 6000.0  # are 1 p.u. a second


class Places(NamedTuple):
    """Registers of a curve, and where its points may stand."""

    size: int
    points: tuple[tuple[Setting, Setting], ...]


def _points(first: int, count: int) -> Iterator[tuple[Setting, Setting]]:
    for at in range(first, first + 2 * count, 2):
        yield Setting(at, "uint16", X_SF), Setting(at + 1, "int16", Y_SF)


_VOLTAGE = Places(54, tuple(_points(2, _ROOM_MAX)))
_FREQUENCY = Places(58, tuple(_points(1, _ROOM_MAX)))
TABLES = {126: _VOLTAGE, 132: _VOLTAGE, 134: _FREQUENCY}
"""The models with such curves."""


@dataclass(frozen=True, slots=True)
class VoltageTable:
    """A curve over the voltage, model 126 or 132."""

    reference: Reference
    size: int = _VOLTAGE.size
    read_only: int = 53

    def read(self, curve: Sequence[int], words: Sequence[int]) -> Curve | None:
        if not 1 <= curve[0] <= _room(words):
            return None
        values = [(number_in(*x, curve, words), number_in(*y, curve, words)) for x, y in _points(2, curve[0])]
        points = curve_points(values, self.reference, curve[1])
        return None if points is None else Curve(points, _response_s(_VOLTAGE_RESPONSE, curve, words))

    def cells(self, characteristic: Characteristic, curve: Sequence[int], words: Sequence[int]) -> tuple[Cell, ...]:
        wish = as_curve(characteristic)
        _check_room(len(wish.points), words)
        code = self.reference.choose(curve[0], curve[1])
        entries = [Entry(0, "uint16", None, len(wish.points)), Entry(1, "uint16", None, code)]
        entries += _response(_VOLTAGE_RESPONSE, wish.response_s, curve)
        for (x, y), (at_x, at_y) in zip(wish.points, _points(2, len(wish.points)), strict=True):
            entries += [Entry(*at_x, 100 * x), Entry(*at_y, self.reference.percent(y, code))]
        return tuple(encoded(entry, words) for entry in entries)

    def stood(self, curve: Sequence[int], words: Sequence[int]) -> tuple[Cell, ...]:
        return _stood((Setting(0, "uint16"), Setting(1, "uint16"), _VOLTAGE_RESPONSE), 2, curve, words)


@dataclass(frozen=True, slots=True)
class FrequencyTable:
    """
    A droop as the curve of model 134: power in percent over the frequency.

    `SnptW` freezes the power that the percents are of. Above 100 % the power rises as the frequency falls.
    """

    nominal_hz: float
    size: int = _FREQUENCY.size
    read_only: int = 57

    def read(self, curve: Sequence[int], words: Sequence[int]) -> Droop | None:
        active = curve[0]
        if active not in (2, 4) or active > _room(words):
            return None
        values = [(number_in(*x, curve, words), number_in(*y, curve, words)) for x, y in _points(1, active)]
        points = [(x, y) for x, y in values if x is not None and y is not None]
        if len(points) != active:
            return None
        under = points[:-2] if active == 4 or points[-1][0] > self.nominal_hz else points
        over = points[len(under) :]
        high, low = self._half(over), self._half(under[::-1])
        if (over and high is None) or (under and low is None):
            return None
        (deadband_hz, droop), other = (high, low) if high is not None else (low or (0.0, 0.0), None)
        recovery = number_in(*_RECOVERY, curve, words)
        return Droop(
            deadband_hz,
            droop,
            _response_s(_FREQUENCY_RESPONSE, curve, words),
            tidy(over[-1][1] / 100) or None if over else None,
            other[0] if other is not None and other[0] != deadband_hz else None,
            other[1] if other is not None and other[1] != droop else None,
            sides="under" if high is None else "over" if low is None else "both",
            reference="frozen" if curve[_SNAPSHOT.at] & 1 else "nominal",
            recovery_per_s=tidy(recovery / _PERCENT_A_MINUTE) if recovery else None,
        )

    def cells(self, characteristic: Characteristic, curve: Sequence[int], words: Sequence[int]) -> tuple[Cell, ...]:
        droop = as_droop(characteristic, recovers=True)
        points = list(self._curve_of(droop))
        _check_room(len(points), words)
        entries = [Entry(0, "uint16", None, len(points)), Entry(*_SNAPSHOT, int(droop.reference == "frozen"))]
        entries += _response(_FREQUENCY_RESPONSE, droop.response_s, curve)
        if droop.recovery_per_s is not None:
            entries.append(Entry(*_RECOVERY, _PERCENT_A_MINUTE * droop.recovery_per_s))
        for (x, y), (at_x, at_y) in zip(points, _points(1, len(points)), strict=True):
            entries += [Entry(*at_x, x), Entry(*at_y, y)]
        return tuple(encoded(entry, words) for entry in entries)

    def stood(self, curve: Sequence[int], words: Sequence[int]) -> tuple[Cell, ...]:
        return _stood((Setting(0, "uint16"), _SNAPSHOT, _FREQUENCY_RESPONSE, _RECOVERY), 1, curve, words)

    def _curve_of(self, droop: Droop) -> Iterator[tuple[float, float]]:
        """Hz and percent, by rising frequency."""
        nominal_hz, p_min = self.nominal_hz, droop.p_min or 0.0
        if droop.sides != "over":
            under_hz = droop.deadband_hz if droop.under_deadband_hz is None else droop.under_deadband_hz
            under = droop.droop if droop.under_droop is None else droop.under_droop
            yield nominal_hz - under_hz - nominal_hz * under, 200.0
            yield nominal_hz - under_hz, 100.0
        if droop.sides != "under":
            yield nominal_hz + droop.deadband_hz, 100.0
            yield nominal_hz + droop.deadband_hz + nominal_hz * droop.droop * (1 - p_min), 100 * p_min

    def _half(self, points: Sequence[tuple[float, float]]) -> tuple[float, float] | None:
        """Deadband in Hz and droop in p.u. of the two points of one side, from the nominal frequency outwards."""
        if len(points) != 2:
            return None
        (near_hz, full), (far_hz, power) = points
        if full != 100 or power == 100 or near_hz == far_hz:
            return None
        away = abs(far_hz - near_hz) / self.nominal_hz
        return tidy(abs(near_hz - self.nominal_hz)), tidy(away / abs(100 - power) * 100)


_VOLTAGE_RESPONSE = Setting(50, "uint16")
_FREQUENCY_RESPONSE, _RECOVERY, _SNAPSHOT = Setting(49, "uint16"), Setting(52, "uint16", RAMP_SF), Setting(53, "uint16")


def _room(words: Sequence[int]) -> int:
    return min(words[ROOM], _ROOM_MAX)


def _check_room(points: int, words: Sequence[int]) -> None:
    if points > _room(words):
        raise CurveError(f"a curve of model {words[0]} has room for {_room(words)} points, found {points}")


def _response(place: Setting, response_s: float | None, curve: Sequence[int]) -> list[Entry]:
    """In whole seconds, as the model tells it."""
    if response_s is None:
        return []
    if cell_in(*place, curve) is None:
        raise CurveError(f"the device has no response time, found {response_s:g} s")
    return [Entry(*place, response_s * T95_PER_T90)]


def _response_s(place: Setting, curve: Sequence[int], words: Sequence[int]) -> float | None:
    """None: at once, or not told."""
    t95_s = number_in(*place, curve, words)
    return round(t95_s / T95_PER_T90, _RESPONSE_DIGITS) if t95_s else None


def _stood(places: Sequence[Setting], first: int, curve: Sequence[int], words: Sequence[int]) -> tuple[Cell, ...]:
    active = curve[0]
    if not 1 <= active <= _room(words):
        return ()
    every = [*places, *(place for point in _points(first, active) for place in point)]
    return tuple(cell for place in every if (cell := cell_in(*place, curve)) is not None)
