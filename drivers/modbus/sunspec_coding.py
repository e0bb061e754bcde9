"""How a set-point of a SunSpec device stands in its registers. Pure; offsets count from a model's ID register."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Literal, Protocol

from drivers.modbus.sunspec_fields import FORMAT, NOT_IMPLEMENTED, scale_factor, scaled, size_of

_STEPS_OFF = 1
"""A device may store a number in its own resolution: one raw step beside what was written is the same value."""


class Coding(Protocol):
    """`first` is the offset of the first of its neighbouring registers, `size` how many they are."""

    @property
    def first(self) -> int: ...

    @property
    def size(self) -> int: ...

    def encode(self, value: float, words: Sequence[int]) -> tuple[int, ...]:
        """
        The registers' words for `value`, with the scale factor that the model's `words` give now.

        Raises:
            ValueError: Not finite or out of range; the text says what is accepted.
        """

    def decode(self, words: Sequence[int]) -> float | None:
        """The value in a model's words; None when there is none."""

    def same(self, raw: Sequence[int], words: Sequence[int]) -> bool:
        """Whether the model holds what was written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaled:
    """
    A number from `lowest` to `highest` in `unit`, or its percentage of `percent_of`.

    Each of `signs` is one number beside the other: the value times that sign.
    """

    unit: str
    lowest: float
    highest: float
    first: int
    kind: Literal["uint16", "int16", "int32"]
    sf: int
    percent_of: float | None = None
    signs: tuple[int, ...] = (1,)

    @property
    def size(self) -> int:
        return len(self.signs) * size_of(self.kind)

    def encode(self, value: float, words: Sequence[int]) -> tuple[int, ...]:
        if not isfinite(value) or not self.lowest <= value <= self.highest:
            raise ValueError(f"accepted is {self.lowest:g} to {self.highest:g} {self.unit}, found {value:g}")
        exponent = scale_factor(words[self.sf])
        if exponent is None:
            raise ValueError("the device gives no scale factor for it")
        raw = round(scaled(value if self.percent_of is None else 100 * value / self.percent_of, -exponent))
        missing = NOT_IMPLEMENTED[self.kind]
        if abs(raw) > abs(missing) - 1:
            raise ValueError(f"{value:g} {self.unit} does not fit its register with the scale factor {exponent}")
        data = struct.pack(self._form, *(sign * raw for sign in self.signs))
        return struct.unpack(f">{self.size}H", data)

    def decode(self, words: Sequence[int]) -> float | None:
        exponent = scale_factor(words[self.sf])
        raws = self._raws(words[self.first : self.first + self.size])
        numbers = {sign * raw for sign, raw in zip(self.signs, raws, strict=True)}
        if exponent is None or NOT_IMPLEMENTED[self.kind] in raws or len(numbers) > 1:
            return None
        value = scaled(numbers.pop(), exponent)
        return value if self.percent_of is None else value * self.percent_of / 100

    def same(self, raw: Sequence[int], words: Sequence[int]) -> bool:
        held = self._raws(words[self.first : self.first + self.size])
        return all(abs(a - b) <= _STEPS_OFF for a, b in zip(held, self._raws(raw), strict=True))

    @property
    def _form(self) -> str:
        return f">{len(self.signs)}{FORMAT[self.kind]}"

    def _raws(self, words: Sequence[int]) -> tuple[int, ...]:
        return struct.unpack(self._form, struct.pack(f">{self.size}H", *words))


@dataclass(frozen=True, slots=True)
class PowerFactor:
    """The power factor above 0 to 1, then its excitation: below 0 the value is under-excited. Source: model 704."""

    first: int
    sf: int
    size: int = 2

    def encode(self, value: float, words: Sequence[int]) -> tuple[int, ...]:
        if not isfinite(value) or not 0 < abs(value) <= 1:
            raise ValueError(f"accepted is above 0 to 1, below 0 for under-excited, found {value:g}")
        exponent = scale_factor(words[self.sf])
        if exponent is None:
            raise ValueError("the device gives no scale factor for it")
        return min(round(scaled(abs(value), -exponent)), NOT_IMPLEMENTED["uint16"] - 1), int(value < 0)

    def decode(self, words: Sequence[int]) -> float | None:
        exponent = scale_factor(words[self.sf])
        raw, excitation = words[self.first : self.first + 2]
        if exponent is None or raw == NOT_IMPLEMENTED["uint16"] or excitation not in (0, 1):
            return None
        return scaled(raw, exponent) * (-1 if excitation else 1)

    def same(self, raw: Sequence[int], words: Sequence[int]) -> bool:
        factor, excitation = words[self.first : self.first + 2]
        return abs(factor - raw[0]) <= _STEPS_OFF and excitation == raw[1]
