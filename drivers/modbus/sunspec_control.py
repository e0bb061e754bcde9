"""
Set-points of the SunSpec models 123 and 124, in W and var: what is in force, and what to write for a value. Pure.

A set-point is written in the order reversion time, mode, value, enable, so that it never acts without its reversion. It
is taken out of force by its enable register alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil, isfinite

from drivers.modbus.sunspec_models import scale_factor, scaled
from gateway.model import Measurement, Quality

_UINT16_NONE = 0xFFFF
_REVERT_MAX_S = 0xFFFE
_STEPS_OFF = 1
"""A device may store a percentage in its own resolution: one raw step beside what was written is the same value."""

Write = tuple[int, tuple[int, ...]]
"""Offset from the model's ID register, and words."""


@dataclass(frozen=True, slots=True)
class Control:
    """
    A writable quantity in one model; offsets count from its ID register.

    `values` are neighbouring registers that hold the percentage times their sign; `base` is what 100 % is, in `unit`.
    `enable` holds `on` while the set-point is in force; `mode` is a further register and what it must hold.
    """

    point: str
    unit: str
    base: float
    values: tuple[tuple[int, int], ...]
    sf: int
    enable: int
    on: int
    revert: int
    lowest_percent: int
    mode: tuple[int, int] | None = None

    def measure(self, words: Sequence[int]) -> Measurement:
        """What is in force; value None with quality good: nothing is."""
        if words[self.enable] == 0:
            return Measurement(self.point, None)
        value = self._value(words)
        return Measurement(self.point, None, Quality.INVALID) if value is None else Measurement(self.point, value)

    def encode(self, value: float, words: Sequence[int]) -> tuple[int, ...]:
        """
        The value registers' words for `value`, with the scale factor the device gives now.

        Raises:
            ValueError: Not finite or out of range; the text says what is accepted.
        """
        lowest, highest = self.base * self.lowest_percent / 100, self.base
        if not isfinite(value) or not lowest <= value <= highest:
            raise ValueError(f"accepted is {lowest:g} to {highest:g} {self.unit}, found {value:g}")
        exponent = scale_factor(words[self.sf])
        if exponent is None:
            raise ValueError("the device gives no scale factor for it")
        raw = round(scaled(100 * value / self.base, -exponent))
        limit = 0x7FFF if self._signed else _UINT16_NONE - 1
        if abs(raw) > limit:
            raise ValueError(f"{value:g} {self.unit} does not fit its register with the scale factor {exponent}")
        return tuple(sign * raw & 0xFFFF for _, sign in self.values)

    def steps(self, raw: tuple[int, ...], words: Sequence[int], revert_s: float | None) -> Iterator[Write]:
        """What to write, in order; what stands there already is left alone, except the value itself."""
        revert = self.reversion(words, revert_s)
        if revert is not None and words[self.revert] != revert:
            yield self.revert, (revert,)
        if self.mode is not None and words[self.mode[0]] != self.mode[1]:
            yield self.mode[0], (self.mode[1],)
        yield self.values[0][0], raw
        if words[self.enable] != self.on:
            yield self.enable, (self.on,)

    def give_back(self, before: Sequence[int] | None, words: Sequence[int]) -> Iterator[Write]:
        """Out of force first; then what stood there before our first write, where that is known."""
        if words[self.enable] != 0:
            yield self.enable, (0,)
        if before is None:
            return
        first, count = self.values[0][0], len(self.values)
        for offset, size in ((first, count), (self.revert, 1), *(((self.mode[0], 1),) if self.mode else ())):
            stood = tuple(before[offset : offset + size])
            if stood != tuple(words[offset : offset + size]):
                yield offset, stood

    def reversion(self, words: Sequence[int], revert_s: float | None) -> int | None:
        """The reversion time to stand in the device, in s; None when it has none or none is asked for."""
        if revert_s is None or words[self.revert] == _UINT16_NONE:
            return None
        return min(ceil(revert_s), _REVERT_MAX_S)

    def holds(self, raw: tuple[int, ...], words: Sequence[int]) -> bool:
        """Whether the device holds what was written, and holds it in force."""
        if words[self.enable] != self.on or (self.mode is not None and words[self.mode[0]] != self.mode[1]):
            return False
        return all(
            abs(self._raw(words[offset]) - self._raw(word)) <= _STEPS_OFF
            for (offset, _), word in zip(self.values, raw, strict=True)
        )

    @property
    def _signed(self) -> bool:
        return self.lowest_percent < 0

    def _value(self, words: Sequence[int]) -> float | None:
        exponent = scale_factor(words[self.sf])
        foreign = words[self.enable] != self.on or (self.mode is not None and words[self.mode[0]] != self.mode[1])
        absent = 0x8000 if self._signed else _UINT16_NONE
        unwritten = any(words[offset] == absent for offset, _ in self.values)
        percents = {sign * self._raw(words[offset]) for offset, sign in self.values}
        if exponent is None or foreign or unwritten or len(percents) > 1:
            return None  # another master's order, in terms that are not a set-point of ours
        return scaled(percents.pop(), exponent) * self.base / 100

    def _raw(self, word: int) -> int:
        return word - 0x10000 if self._signed and word & 0x8000 else word
