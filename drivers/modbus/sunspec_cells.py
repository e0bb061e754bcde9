"""Single values of a SunSpec curve: from a number to its registers, and whether they still hold it. Pure."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from math import isfinite
from typing import NamedTuple

from drivers.modbus.sunspec_fields import FORMAT, NOT_IMPLEMENTED, Kind, scale_factor, scaled, size_of

_STEPS_OFF = 1
"""A device may store a number in its own resolution: one raw step beside what was written is the same value."""


class CurveError(Exception):
    """The device does not obey the curve; what it obeyed before still stands. The text says what was found."""


class Entry(NamedTuple):
    """A value to stand within a curve: `at` counts from the curve's first register, `sf` from the model's ID."""

    at: int
    kind: Kind
    sf: int | None
    value: float


class Cell(NamedTuple):
    """A value as it stands within a curve; `rounded`: the device may hold it one step off."""

    at: int
    kind: Kind
    raw: int
    rounded: bool

    @property
    def end(self) -> int:
        return self.at + size_of(self.kind)


def encoded(entry: Entry, words: Sequence[int]) -> Cell:
    """
    With the scale factor that the model's `words` give now.

    Raises:
        CurveError: Not finite, or out of its register's range.
    """
    exponent = 0 if entry.sf is None else scale_factor(words[entry.sf])
    if exponent is None:
        raise CurveError(f"the device gives no scale factor at {entry.sf}")
    missing = NOT_IMPLEMENTED[entry.kind]
    lowest, highest = (missing + 1, -missing - 1) if missing < 0 else (0, missing - 1)
    raw = round(scaled(entry.value, -exponent)) if isfinite(entry.value) else missing
    if not lowest <= raw <= highest:
        accepted = f"{scaled(lowest, exponent):g} to {scaled(highest, exponent):g}"
        raise CurveError(f"accepted is {accepted} with the scale factor {exponent}, found {entry.value:g}")
    return Cell(entry.at, entry.kind, raw, entry.sf is not None)


def cell_in(at: int, kind: Kind, sf: int | None, curve: Sequence[int]) -> Cell | None:
    """What stands there; None where it is not implemented, or beyond what was read."""
    if at + size_of(kind) > len(curve):
        return None
    raw = _raw(at, kind, curve)
    return None if raw == NOT_IMPLEMENTED[kind] else Cell(at, kind, raw, sf is not None)


def number_in(at: int, kind: Kind, sf: int | None, curve: Sequence[int], words: Sequence[int]) -> float | None:
    """The value that stands there, with the scale factor that the model's `words` give now; None when there is none."""
    cell = cell_in(at, kind, sf, curve)
    exponent = 0 if sf is None else scale_factor(words[sf])
    return None if cell is None or exponent is None else scaled(cell.raw, exponent)


def same(cells: Iterable[Cell], curve: Sequence[int]) -> bool:
    """Whether a curve holds these."""
    return all(
        cell.end <= len(curve) and abs(_raw(cell.at, cell.kind, curve) - cell.raw) <= (_STEPS_OFF * cell.rounded)
        for cell in cells
    )


def words_in(cell: Cell) -> tuple[int, ...]:
    """Its registers' words."""
    return struct.unpack(f">{size_of(cell.kind)}H", struct.pack(">" + FORMAT[cell.kind], cell.raw))


def _raw(at: int, kind: Kind, curve: Sequence[int]) -> int:
    size = size_of(kind)
    raw: int = struct.unpack(">" + FORMAT[kind], struct.pack(f">{size}H", *curve[at : at + size]))[0]
    return raw
