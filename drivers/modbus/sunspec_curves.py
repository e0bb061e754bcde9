"""
Curves of the SunSpec models 705, 706 and 712 and the droop of 711, and how a device adopts one. Pure: steps to run.

Curve 1 is what the device obeys and is read-only. A wish is written into another curve, which nobody checks; the
adoption checks it, copies it to curve 1, and says how that went. Offsets count from a model's ID register.
"""

from __future__ import annotations

import struct
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite
from typing import NamedTuple

from drivers.modbus.pdu import MAX_READ_REGISTERS, MAX_WRITE_REGISTERS
from drivers.modbus.sunspec_fields import FORMAT, NOT_IMPLEMENTED, Kind, scale_factor, scaled, size_of

POLLS_MAX = 20
PAUSE_S = 0.5
"""Together 10 s for an adoption; the standard names no time, and no device is known to need one second."""
_ENABLE, _REQUEST, _RESULT = 2, 3, 4
_COMPLETED, _FAILED = 1, 2
_READ_ONLY = 1
_STEPS_OFF = 1
"""A device may store a number in its own resolution: one raw step beside what was written is the same value."""


class CurveError(Exception):
    """The device does not obey the curve; what it obeyed before still stands. The text says what was found."""


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


Steps = Generator[Read | Write | Pause, Sequence[int], int]
"""Returns the number of the curve that was written, 1 when the device obeyed the wish already."""


class Entry(NamedTuple):
    """One value within a curve: its offset from the curve's first register, and `sf` from the model's ID register."""

    at: int
    kind: Kind
    sf: int | None
    value: float

    @property
    def end(self) -> int:
        return self.at + size_of(self.kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """
    What shall stand in curve 1 of a model; what is not among the `entries` is left to the device.

    `number` is the offset of the number of curves and `first` of the first one, `head` a curve's registers before its
    points, `room` the offset of the number of points a curve has room for, and `read_only` within a curve.
    """

    model: int
    number: int
    first: int
    head: int
    read_only: int
    room: int | None
    points: int
    entries: tuple[Entry, ...]


Points = Sequence[tuple[float, float]]


def volt_var(points: Points, *, reference: int, priority: int | None = None, response_s: float | None = None) -> Wish:
    """Model 705: % of the nominal voltage to % of `reference` (0 WMax, 1 VarMax, 2 available var, 3 VAMax)."""
    entries = (*_header(points, reference), *_given(2, "uint16", None, priority), *_given(7, "uint32", 14, response_s))
    return _curve(705, 15, 10, points, entries, "uint16")


def volt_watt(points: Points, *, reference: int, response_s: float | None = None) -> Wish:
    """Model 706: % of the nominal voltage to % of `reference` (0 WMax, 1 available W)."""
    return _curve(706, 15, 5, points, (*_header(points, reference), *_given(2, "uint32", 14, response_s)), "uint16")


def watt_var(points: Points, *, reference: int, priority: int | None = None) -> Wish:
    """Model 712: % of WMax to % of `reference`, as model 705."""
    return _curve(712, 14, 4, points, (*_header(points, reference), *_given(2, "uint16", None, priority)), "int16")


def frequency_droop(
    *,
    over_hz: float,
    under_hz: float,
    over_droop: float,
    under_droop: float,
    response_s: float,
    power_min_percent: float | None = None,
) -> Wish:
    """Model 711: deadbands in Hz beside the nominal frequency, droops per unit of frequency per unit of power."""
    entries = (
        Entry(0, "uint32", 11, over_hz),
        Entry(2, "uint32", 11, under_hz),
        Entry(4, "uint16", 12, over_droop),
        Entry(5, "uint16", 12, under_droop),
        Entry(6, "uint32", 13, response_s),
        *_given(8, "int16", None, power_min_percent),
    )
    return Wish(model=711, number=5, first=14, head=10, read_only=9, room=None, points=0, entries=entries)


def adopt(wish: Wish) -> Steps:
    """
    Make a device obey a curve: write it aside, have it adopted, see it in curve 1, enable it.

    Raises:
        CurveError: From the generator: there is no room for it, the device refuses it, or holds something else.
    """
    head = yield Read(0, wish.first)
    size = wish.head
    if head[0] != wish.model:
        raise CurveError(f"model {wish.model} is not here, found {head[0]}")
    if wish.room is not None:
        room = head[wish.room]
        if room == NOT_IMPLEMENTED["uint16"] or wish.points > room:
            raise CurveError(f"a curve of model {wish.model} has room for {room} points, found {wish.points}")
        size += 2 * room
    raws = [_encode(entry, head) for entry in wish.entries]
    used = max(wish.head, *(entry.end for entry in wish.entries))
    if used > MAX_READ_REGISTERS:
        raise CurveError(f"a curve is read in one request of {MAX_READ_REGISTERS} registers, found {used}")
    number = 1
    if not _same(wish, raws, (yield Read(wish.first, used))):
        number = yield from _write_aside(wish, raws, head, size)
        yield Write(_REQUEST, (number,))
        yield from _await_adoption(wish, raws, used)
    if head[_ENABLE] != 1:
        yield Write(_ENABLE, (1,))
        (enabled,) = yield Read(_ENABLE, 1)
        if enabled != 1:
            raise CurveError(f"model {wish.model} was enabled, the device holds {enabled}")
    return number


def _write_aside(
    wish: Wish, raws: Sequence[int], head: Sequence[int], size: int
) -> Generator[Read | Write | Pause, Sequence[int], int]:
    """Into the first curve that can be written; returns its number."""
    curves = head[wish.number] if head[wish.number] != NOT_IMPLEMENTED["uint16"] else 0
    for number in range(2, curves + 1):
        start = wish.first + (number - 1) * size
        (read_only,) = yield Read(start + wish.read_only, 1)
        if read_only != _READ_ONLY:
            for at, words in _runs(wish.entries, raws):
                yield Write(start + at, words)
            return number
    raise CurveError(f"model {wish.model} has {curves} curves, and none beside the first that can be written")


def _await_adoption(wish: Wish, raws: Sequence[int], used: int) -> Generator[Read | Write | Pause, Sequence[int], None]:
    """A result of an adoption before may still stand: completed is believed once curve 1 shows it."""
    held: Sequence[int] = ()
    for _ in range(POLLS_MAX):
        yield Pause(PAUSE_S)
        (result,) = yield Read(_RESULT, 1)
        if result == _FAILED:
            raise CurveError(f"model {wish.model}: the device checked the curve and refuses it")
        if result == _COMPLETED:
            held = yield Read(wish.first, used)
            if _same(wish, raws, held):
                return
    found = f"curve 1 holds {' '.join(f'{word:04x}' for word in held)}" if held else "still in progress"
    raise CurveError(f"model {wish.model}: not adopted within {POLLS_MAX * PAUSE_S:g} s, {found}")


def _header(points: Points, reference: int) -> tuple[Entry, Entry]:
    return Entry(0, "uint16", None, len(points)), Entry(1, "uint16", None, reference)


def _given(at: int, kind: Kind, sf: int | None, value: float | None) -> tuple[Entry, ...]:
    return () if value is None else (Entry(at, kind, sf, value),)


def _curve(model: int, first: int, head: int, points: Points, entries: tuple[Entry, ...], x_kind: Kind) -> Wish:
    placed: list[Entry] = []
    for index, (x, y) in enumerate(points):
        placed += [Entry(head + 2 * index, x_kind, 12, x), Entry(head + 2 * index + 1, "int16", 13, y)]
    return Wish(
        model=model,
        number=6,
        first=first,
        head=head,
        read_only=head - 1,
        room=5,
        points=len(points),
        entries=(*entries, *placed),
    )


def _encode(entry: Entry, head: Sequence[int]) -> int:
    exponent = 0 if entry.sf is None else scale_factor(head[entry.sf])
    if exponent is None:
        raise CurveError(f"the device gives no scale factor at {entry.sf}")
    missing = NOT_IMPLEMENTED[entry.kind]
    lowest, highest = (missing + 1, -missing - 1) if missing < 0 else (0, missing - 1)
    raw = round(scaled(entry.value, -exponent)) if isfinite(entry.value) else missing
    if not lowest <= raw <= highest:
        accepted = f"{scaled(lowest, exponent):g} to {scaled(highest, exponent):g}"
        raise CurveError(f"accepted is {accepted} with the scale factor {exponent}, found {entry.value:g}")
    return raw


def _runs(entries: Sequence[Entry], raws: Sequence[int]) -> list[tuple[int, tuple[int, ...]]]:
    """Neighbouring entries in one request; never over registers in between, which may be read-only."""
    placed = sorted((entry.at, _words(entry, raw)) for entry, raw in zip(entries, raws, strict=True))
    runs = [placed[0]]
    for (_, _), (at, words) in pairwise(placed):
        start, before = runs[-1]
        if start + len(before) == at and len(before) + len(words) <= MAX_WRITE_REGISTERS:
            runs[-1] = start, before + words
        else:
            runs.append((at, words))
    return runs


def _words(entry: Entry, raw: int) -> tuple[int, ...]:
    return struct.unpack(f">{size_of(entry.kind)}H", struct.pack(">" + FORMAT[entry.kind], raw))


def _same(wish: Wish, raws: Sequence[int], held: Sequence[int]) -> bool:
    data = struct.pack(f">{len(held)}H", *held)
    return all(
        abs(struct.unpack_from(">" + FORMAT[entry.kind], data, 2 * entry.at)[0] - raw)
        <= (0 if entry.sf is None else _STEPS_OFF)
        for entry, raw in zip(wish.entries, raws, strict=True)
    )
