"""
Curves of the SunSpec models 705, 706 and 712 and the droop of 711, and how a device adopts one. Pure: steps to run.

Curve 1 is what the device obeys and is read-only. A wish is written into another curve, which nobody checks; the
adoption checks it, copies it to curve 1, and says how that went. Offsets count from a model's ID register.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil
from typing import NamedTuple

from drivers.modbus.pdu import MAX_READ_REGISTERS, MAX_WRITE_REGISTERS
from drivers.modbus.sunspec_cells import Cell, CurveError, Entry, cell_in, encoded, same, words_in
from drivers.modbus.sunspec_control import timer_in
from drivers.modbus.sunspec_fields import NOT_IMPLEMENTED, Kind

POLLS_MAX = 20
PAUSE_S = 0.5
"""Together 10 s for an adoption; the standard names no time, and no device is known to need one second."""
ENABLE, REQUEST, _RESULT = 2, 3, 4
_COMPLETED, _FAILED = 1, 2
_READ_ONLY = 1
_NONE = NOT_IMPLEMENTED["uint16"]
_REVERT_MAX_S = 0xFFFE
"""Nobody waits longer than 18 hours for a curve to end."""


@dataclass(frozen=True, slots=True)
class Read:
    """Holding registers to read; the generator is sent their words."""

    offset: int
    count: int


@dataclass(frozen=True, slots=True)
class Write:
    """Holding registers to write in one request; the generator is sent an empty tuple."""

    offset: int
    words: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Pause:
    """Time to give the device; the generator is sent an empty tuple."""

    seconds: float


Steps = Generator[Read | Write | Pause, Sequence[int], None]


class Setting(NamedTuple):
    """A register of a curve that can be written, beside its points: offset within the curve, type, scale factor."""

    at: int
    kind: Kind
    sf: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """
    Where a model has its curves.

    `number` is the offset of the number of curves and `first` of the first one, `head` a curve's registers before its
    points, `room` the offset of the number of points a curve has room for, and `read_only` within a curve. `revert` is
    the first of two registers with the reversion time, before those with what is left of it; `revert_to` the curve
    after it. `x` and `y` are type and scale factor of a point's two numbers.
    """

    model: int
    number: int
    first: int
    head: int
    read_only: int
    revert: int
    revert_to: int
    settings: tuple[Setting, ...]
    room: int | None = None
    x: tuple[Kind, int] = ("uint16", 12)
    y: tuple[Kind, int] = ("int16", 13)

    def points(self, count: int) -> Iterable[tuple[Setting, Setting]]:
        """Where the numbers of `count` points stand."""
        for at in range(self.head, self.head + 2 * count, 2):
            yield Setting(at, *self.x), Setting(at + 1, *self.y)

    def room_in(self, words: Sequence[int]) -> int:
        """How many points fit into a curve."""
        return words[self.room] if self.room is not None and words[self.room] != _NONE else 0

    def registers(self, words: Sequence[int]) -> int:
        """From the ID register to the end of curve 1, as far as one request reaches."""
        return min(self.first + self.head + 2 * self.room_in(words), MAX_READ_REGISTERS)


VOLT_VAR = Shape(
    model=705, number=6, first=15, head=10, read_only=9, revert=7, revert_to=11, room=5,
    settings=(
        Setting(0, "uint16"), Setting(1, "uint16"), Setting(2, "uint16"), Setting(3, "uint16", 12),
        Setting(5, "uint16"), Setting(6, "uint16"), Setting(7, "uint32", 14),
    ),
)  # fmt: skip
VOLT_WATT = Shape(
    model=706, number=6, first=15, head=5, read_only=4, revert=7, revert_to=11, room=5,
    settings=(Setting(0, "uint16"), Setting(1, "uint16"), Setting(2, "uint32", 14)),
)  # fmt: skip
WATT_VAR = Shape(
    model=712, number=6, first=14, head=4, read_only=3, revert=7, revert_to=11, room=5,
    settings=(Setting(0, "uint16"), Setting(1, "uint16"), Setting(2, "uint16")), x=("int16", 12),
)  # fmt: skip
DROOP = Shape(
    model=711, number=5, first=14, head=10, read_only=9, revert=6, revert_to=10,
    settings=(
        Setting(0, "uint32", 11), Setting(2, "uint32", 11), Setting(4, "uint16", 12), Setting(5, "uint16", 12),
        Setting(6, "uint32", 13), Setting(8, "int16"),
    ),
)  # fmt: skip
SHAPES = {shape.model: shape for shape in (VOLT_VAR, VOLT_WATT, WATT_VAR, DROOP)}


@dataclass(frozen=True, slots=True)
class Wish:
    """What shall stand in curve 1 of a model; what is not among the `entries` stays as curve 1 has it."""

    shape: Shape
    points: int
    entries: tuple[Entry, ...]


def adopt(wish: Wish, words: Sequence[int], revert_s: float | None = None) -> Steps:
    """
    Make a device obey a curve: write it aside, have it adopted, see it in curve 1, enable it.

    The reversion is armed where the device names the curve that it then obeys. It counts from the write of the enable,
    which is therefore written again also where the time is one that the device had of its own.

    Args:
        words: The model from its ID register on, to the end of curve 1.

    Raises:
        CurveError: From the generator: there is no room for it, the device refuses it, or holds something else.
    """
    shape = wish.shape
    if wish.points > shape.room_in(words):
        room = shape.room_in(words)
        raise CurveError(f"a curve of model {shape.model} has room for {room} points, found {wish.points}")
    cells = tuple(encoded(entry, words) for entry in wish.entries)
    if shape.first + max(cell.end for cell in cells) > len(words):
        raise CurveError(f"a curve is read in one request, and its {wish.points} points do not fit into it")
    yield from _obeyed(shape, cells, words)
    revert = _reversion(shape, words, revert_s)
    if revert is not None and tuple(words[shape.revert : shape.revert + 2]) != revert:
        yield Write(shape.revert, revert)
    if words[ENABLE] != 1 or timer_in(revert or words[shape.revert : shape.revert + 2]).total_s:
        yield Write(ENABLE, (1,))
        (enabled,) = yield Read(ENABLE, 1)
        if enabled != 1:
            raise CurveError(f"model {shape.model} was enabled, the device holds {enabled}")


def give_back(shape: Shape, before: Sequence[int] | None, words: Sequence[int]) -> Steps:
    """
    What stood in the model before our first write, the curve as well as whether it was enabled; without it, disabled.

    Raises:
        CurveError: From the generator: the device does not take back what it had.
    """
    enable = before[ENABLE] if before is not None else 0
    if enable != 1 and words[ENABLE] != 0:
        yield Write(ENABLE, (0,))
    if before is None:
        return
    stood = tuple(before[shape.revert : shape.revert + 2])
    if stood != tuple(words[shape.revert : shape.revert + 2]):
        yield Write(shape.revert, stood)
    if cells := stood_in(shape, before):
        yield from _obeyed(shape, cells, words)
    if enable == 1:  # also where it stands: the time that the device had of its own begins anew
        yield Write(ENABLE, (1,))


def stood_in(shape: Shape, words: Sequence[int]) -> tuple[Cell, ...]:
    """All of curve 1 that can be written; nothing where it has no points."""
    curve = words[shape.first :]
    active = curve[0] if shape.room is not None else 0
    if shape.room is not None and not 1 <= active <= shape.room_in(words):
        return ()
    places = [*shape.settings, *(place for point in shape.points(active) for place in point)]
    return tuple(cell for place in places if (cell := cell_in(*place, curve)) is not None)


def _obeyed(shape: Shape, cells: Sequence[Cell], words: Sequence[int]) -> Steps:
    """The device obeys these; what curve 1 holds already is not written again."""
    curve = words[shape.first :]
    if same(cells, curve):
        return
    given = {cell.at for cell in cells}
    kept = [cell for place in shape.settings if (cell := cell_in(*place, curve)) is not None and cell.at not in given]
    number = yield from _write_aside(shape, [*cells, *kept], words)
    yield Write(REQUEST, (number,))
    yield from _await_adoption(shape, cells)


def _write_aside(
    shape: Shape, cells: Sequence[Cell], words: Sequence[int]
) -> Generator[Read | Write | Pause, Sequence[int], int]:
    """Into the first curve that can be written and is not the one to go back to; returns its number."""
    curves = words[shape.number] if words[shape.number] != _NONE else 0
    size = shape.head + 2 * shape.room_in(words)
    for number in range(2, curves + 1):
        if number == words[shape.revert_to]:
            continue
        start = shape.first + (number - 1) * size
        (read_only,) = yield Read(start + shape.read_only, 1)
        if read_only != _READ_ONLY:
            for at, content in runs(cells):
                yield Write(start + at, content)
            return number
    raise CurveError(f"model {shape.model} has {curves} curves, and none beside the first that can be written")


def _await_adoption(shape: Shape, cells: Sequence[Cell]) -> Steps:
    """A result of an adoption before may still stand: completed is believed once curve 1 shows it."""
    held: Sequence[int] = ()
    for _ in range(POLLS_MAX):
        yield Pause(PAUSE_S)
        (result,) = yield Read(_RESULT, 1)
        if result == _FAILED:
            raise CurveError(f"model {shape.model}: the device checked the curve and refuses it")
        if result == _COMPLETED:
            held = yield Read(shape.first, max(cell.end for cell in cells))
            if same(cells, held):
                return
    found = f"curve 1 holds {' '.join(f'{word:04x}' for word in held)}" if held else "still in progress"
    raise CurveError(f"model {shape.model}: not adopted within {POLLS_MAX * PAUSE_S:g} s, {found}")


def _reversion(shape: Shape, words: Sequence[int], revert_s: float | None) -> tuple[int, int] | None:
    """The words of the time to stand in the device; None when it has none, or does not say what it would go back to."""
    to = words[shape.revert_to]
    implemented = tuple(words[shape.revert : shape.revert + 2]) != (_NONE, _NONE)
    if revert_s is None or not implemented or to == _NONE or not 2 <= to <= words[shape.number]:
        return None
    return 0, min(ceil(revert_s), _REVERT_MAX_S)


def runs(cells: Iterable[Cell]) -> list[tuple[int, tuple[int, ...]]]:
    """Neighbouring cells in one request; never over registers in between, which may be read-only."""
    placed = sorted((cell.at, words_in(cell)) for cell in cells)
    found = placed[:1]
    for _, (at, words) in pairwise(placed):
        start, before = found[-1]
        if start + len(before) == at and len(before) + len(words) <= MAX_WRITE_REGISTERS:
            found[-1] = start, before + words
        else:
            found.append((at, words))
    return found
