"""
Curves of SunSpec's first generation: models 126 (volt-var), 132 (volt-watt) and 134 (frequency-watt). Pure.

There is no adoption: a curve acts as it is written, once it is the active one and the mode is enabled. Ours is written
into a curve that is not active, where there is one. Offsets count from a model's ID register.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import ceil
from typing import Protocol

from drivers.modbus.pdu import MAX_READ_REGISTERS
from drivers.modbus.sunspec_cells import Cell, CurveError, same
from drivers.modbus.sunspec_control import Authority, Timer, timer_in
from drivers.modbus.sunspec_curves import Pause, Read, Steps, Write, runs
from drivers.modbus.sunspec_fields import NOT_IMPLEMENTED
from gateway.characteristic import Characteristic, to_text
from gateway.model import Measurement, Quality

ACTIVE, ENABLE, REVERT, CURVES, ROOM, X_SF, Y_SF, RAMP_SF, FIRST = 2, 3, 5, 7, 8, 9, 10, 11, 12
CURVES_MAX = 2
"""Of the curves that one request reaches, one is always free to be written."""
_ON = 1
_NONE = NOT_IMPLEMENTED["uint16"]
_READ_ONLY = 1
_REVERT_MAX_S = 0xFFFE


class Table(Protocol):
    """How a characteristic stands in one curve; offsets count from the curve's first register."""

    @property
    def size(self) -> int: ...

    @property
    def read_only(self) -> int: ...

    def read(self, curve: Sequence[int], words: Sequence[int]) -> Characteristic | None:
        """What a curve says; None when it cannot be said as a characteristic."""

    def cells(self, characteristic: Characteristic, curve: Sequence[int], words: Sequence[int]) -> tuple[Cell, ...]:
        """
        The curve's registers for it, where `curve` is what stands there now.

        Raises:
            CurveError: The model has no registers for it.
        """

    def stood(self, curve: Sequence[int], words: Sequence[int]) -> tuple[Cell, ...]:
        """All of a curve that can be written; nothing where it has no points."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Array:
    """A characteristic in model 126, 132 or 134; `registers` reach over as many curves as are looked at."""

    point: str
    model: int
    table: Table
    registers: int
    authority: Authority
    unit: str = ""

    def measure(self, words: Sequence[int]) -> Measurement:
        """The text of the active curve; value None with quality good: the function is not enabled."""
        number = words[ACTIVE]
        if not words[ENABLE] & _ON or number == 0:
            return Measurement(self.point, None)
        held = self.table.read(self._curve(number, words), words) if number <= self._curves(words) else None
        return (
            Measurement(self.point, None, Quality.INVALID) if held is None else Measurement(self.point, to_text(held))
        )

    def stands(self, characteristic: Characteristic, words: Sequence[int]) -> bool:
        """Whether the device obeys it already."""
        number = words[ACTIVE]
        if not words[ENABLE] & _ON or not 1 <= number <= self._curves(words):
            return False
        curve = self._curve(number, words)
        return same(self.table.cells(characteristic, curve, words), curve)

    def put(
        self, characteristic: Characteristic, before: Sequence[int], words: Sequence[int], revert_s: float | None
    ) -> Steps:
        """
        What to do so that the device obeys it; `before` is what stood in the model before our first write.

        Raises:
            CurveError: At once or from the generator; what the device obeyed before still stands.
        """
        number = words[ACTIVE] if self.stands(characteristic, words) else (yield from self._free(before))
        cells = self.table.cells(characteristic, self._curve(number, words), words)
        revert = words[REVERT]
        if revert_s is not None and revert != _NONE:
            revert = min(ceil(revert_s), _REVERT_MAX_S)
            if words[REVERT] != revert:
                yield Write(REVERT, (revert,))
        on = yield from self._fill(number, cells, words)
        if words[ACTIVE] != number:
            yield Write(ACTIVE, (number,))
        if not on & _ON or timer_in((revert,)).total_s:  # the reversion counts from the write of the enable
            yield Write(ENABLE, (on | _ON,))
        held = yield Read(ACTIVE, 2)
        if held[0] != number or not held[1] & _ON:
            raise CurveError(f"model {self.model}: curve {number} was enabled, the device holds {held[0]}, {held[1]}")

    def give_back(self, before: Sequence[int] | None, words: Sequence[int]) -> Steps:
        """
        What stood before our first write, whether it was enabled or not; without it, not enabled.

        Raises:
            CurveError: From the generator: the device does not take back what it had.
        """
        on = words[ENABLE]
        if before is None or not before[ENABLE] & _ON:
            if on & _ON:
                yield Write(ENABLE, (on & ~_ON,))
            on &= ~_ON
        if before is None:
            return
        number = yield from self._free(before)
        if number == before[ACTIVE]:  # the only one: ours stands where the one before stood
            stood = self.table.stood(self._curve(number, before), before)
            yield from self._fill(number, stood, (*words[:ENABLE], on, *words[ENABLE + 1 :]))
        for offset in (ACTIVE, REVERT):
            if words[offset] != before[offset]:
                yield Write(offset, (before[offset],))
        if before[ENABLE] & _ON:
            yield Write(ENABLE, (before[ENABLE],))

    def timer(self, words: Sequence[int]) -> Timer:
        """How long the device holds it without us."""
        return timer_in(words[REVERT : REVERT + 1])

    def _curves(self, words: Sequence[int]) -> int:
        return min(words[CURVES], CURVES_MAX) if words[CURVES] != _NONE else 0

    def _curve(self, number: int, words: Sequence[int]) -> Sequence[int]:
        start = FIRST + (number - 1) * self.table.size
        return words[start : start + self.table.size]

    def _free(self, before: Sequence[int]) -> Generator[Read | Write | Pause, Sequence[int], int]:
        """The curve for ours: one that was not active, if there is one; the same for all of our writes."""
        open_to_write: list[int] = []
        for number in range(1, self._curves(before) + 1):
            (read_only,) = yield Read(FIRST + (number - 1) * self.table.size + self.table.read_only, 1)
            if read_only != _READ_ONLY:
                open_to_write.append(number)
        free = [number for number in open_to_write if number != before[ACTIVE]] or open_to_write
        if not free:
            raise CurveError(
                f"model {self.model} has {before[CURVES]} curves, and none of the first that can be written"
            )
        return free[0]

    def _fill(
        self, number: int, cells: Sequence[Cell], words: Sequence[int]
    ) -> Generator[Read | Write | Pause, Sequence[int], int]:
        """
        Write a curve and see it there, out of force where it is the active one; returns what ModEna then holds.

        Raises:
            CurveError: The device holds something else, and obeys what it did.
        """
        on = words[ENABLE]
        if same(cells, self._curve(number, words)):
            return on
        start, enabled = FIRST + (number - 1) * self.table.size, on
        if number == words[ACTIVE] and on & _ON:
            enabled = on & ~_ON
            yield Write(ENABLE, (enabled,))
        try:
            for at, content in runs(cells):
                yield Write(start + at, content)
            held = yield Read(start, max(cell.end for cell in cells))
            found = " ".join(f"{word:04x}" for word in held)
            fault = "" if same(cells, held) else f"curve {number} was written, the device holds {found}"
        except CurveError as error:
            fault = str(error)
        if not fault:
            return enabled
        if enabled != on and not (yield from self._undone(number, on, words)):
            fault += "; what it obeyed could not be restored, and it is disabled"
        raise CurveError(f"model {self.model}: {fault}")

    def _undone(
        self, number: int, on: int, words: Sequence[int]
    ) -> Generator[Read | Write | Pause, Sequence[int], bool]:
        """Enables again what the model's `words` show, once it stands there again; returns whether it does."""
        stood, start = self.table.stood(self._curve(number, words), words), FIRST + (number - 1) * self.table.size
        for at, content in runs(stood):
            with suppress(CurveError):  # what was refused before changed nothing
                yield Write(start + at, content)
        if not stood or not same(stood, (yield Read(start, max(cell.end for cell in stood)))):
            return False
        yield Write(ENABLE, (on,))
        return True


def registers(size: int, words: Sequence[int]) -> int:
    """From the ID register over the curves that are looked at, as far as one request reaches."""
    curves = min(words[CURVES], CURVES_MAX) if words[CURVES] != _NONE else 0
    return min(FIRST + curves * size, MAX_READ_REGISTERS)
