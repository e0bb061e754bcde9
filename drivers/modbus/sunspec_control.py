"""
Set-points of SunSpec models: what is in force, and what to write for a value. Pure.

A set-point is written in the order reversion time, mode, value, enable, so that it never acts without its reversion. It
is taken out of force by its enable register alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from typing import NamedTuple

from drivers.modbus.sunspec_coding import Coding
from gateway.model import Measurement, Quality

_NONE = 0xFFFF
_REVERT_MAX_S = 0xFFFE
"""Also where the time has 32 bits: nobody waits longer than 18 hours for a set-point to end."""

Write = tuple[int, tuple[int, ...]]
"""Offset from the model's ID register, and words."""


@dataclass(slots=True)
class Authority:
    """What a device said last of itself in model 715; shared by what reads it and by the controls that heed it."""

    local: bool = False

    def check(self) -> None:
        """
        Raises:
            ValueError: The device is operated locally.
        """
        if self.local:
            raise ValueError("the device is set to local operation (model 715, LocRemCtl) and takes no orders")


class Timer(NamedTuple):
    """A reversion time as a device holds it, and what it says is left of it, in s; None: it runs out never, unsaid."""

    total_s: float | None
    left_s: float | None


def timer_in(total: Sequence[int], left: Sequence[int] = ()) -> Timer:
    """From the words of both."""
    return Timer(_number(total), _number(left))


def _number(words: Sequence[int]) -> float | None:
    if not words or set(words) == {_NONE}:
        return None
    return float(sum(word << 16 * place for place, word in enumerate(reversed(words)))) or None


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """
    A writable quantity in one model; offsets count from its ID register.

    `enable` holds `on` while the set-point is in force; `mode` is a further register and what it must hold.

    `revert` is the register with the reversion time in s; with `revert_long` it is the lower of two, and
    `revert_enable` holds what `enable` shall hold after it: 0, so that the device is free again.

    `rearm`: the time counts from a write of `enable`, not of the value. `remaining` is the first of two registers with
    what is left of the time.
    """

    point: str
    unit: str
    coding: Coding
    enable: int
    revert: int
    on: int = 1
    mode: tuple[int, int] | None = None
    revert_long: bool = False
    revert_enable: int | None = None
    rearm: bool = False
    authority: Authority | None = None
    remaining: int | None = None

    def measure(self, words: Sequence[int]) -> Measurement:
        """What is in force; value None with quality good: nothing is."""
        if words[self.enable] == 0:
            return Measurement(self.point, None)
        value = self.coding.decode(words) if self._ours(words) else None
        return Measurement(self.point, None, Quality.INVALID) if value is None else Measurement(self.point, value)

    def value_in(self, words: Sequence[int]) -> float | None:
        """What stands in the value registers, in force or not."""
        return self.coding.decode(words)

    def encode(self, value: float, words: Sequence[int]) -> tuple[int, ...]:
        """
        The value registers' words for `value`, with the scale factor the device gives now.

        Raises:
            ValueError: Not finite or out of range, or the device is operated locally; the text says which.
        """
        if self.authority is not None:
            self.authority.check()
        return self.coding.encode(value, words)

    def steps(self, raw: tuple[int, ...], words: Sequence[int], revert_s: float | None) -> Iterator[Write]:
        """What to write, in order; what stands there already is left alone, except what starts the reversion time."""
        revert = self.reversion(words, revert_s)
        if revert is not None:
            if self.revert_enable is not None and words[self.revert_enable] != 0:
                yield self.revert_enable, (0,)
            first, size = self._revert_span
            wanted = (0, revert)[-size:]
            if tuple(words[first : first + size]) != wanted:
                yield first, wanted
        if self.mode is not None and words[self.mode[0]] != self.mode[1]:
            yield self.mode[0], (self.mode[1],)
        yield self.coding.first, raw
        if self.rearm or words[self.enable] != self.on:
            yield self.enable, (self.on,)

    def give_back(
        self, before: Sequence[int] | None, words: Sequence[int], *, in_force: bool = False
    ) -> Iterator[Write]:
        """
        Out of force first; then what stood there before our first write, where that is known.

        `in_force`: that was a set-point, too, and stays in force with its own reversion time.

        Raises:
            ValueError: The device is operated locally.
        """
        if self.authority is not None:
            self.authority.check()
        if words[self.enable] != 0 and not in_force:
            yield self.enable, (0,)
        if before is None:
            return
        spans = [(self.coding.first, self.coding.size), self._revert_span]
        spans += [(offset, 1) for offset in (self.revert_enable, self.mode and self.mode[0]) if offset is not None]
        for offset, size in spans:
            stood = tuple(before[offset : offset + size])
            if stood != tuple(words[offset : offset + size]):
                yield offset, stood
        if in_force and (self.rearm or words[self.enable] != self.on):
            yield self.enable, (self.on,)

    def reversion(self, words: Sequence[int], revert_s: float | None) -> int | None:
        """The reversion time to stand in the device, in s; None when it has none or none is asked for."""
        first, size = self._revert_span
        if revert_s is None or tuple(words[first : first + size]) == (_NONE,) * size:
            return None
        return min(ceil(revert_s), _REVERT_MAX_S)

    def holds(self, raw: tuple[int, ...], words: Sequence[int]) -> bool:
        """Whether the device holds what was written, and holds it in force."""
        return self._ours(words) and self.coding.same(raw, words)

    def timer(self, words: Sequence[int]) -> Timer:
        """How long the device holds it without us."""
        first, size = self._revert_span
        left = () if self.remaining is None else words[self.remaining : self.remaining + 2]
        return timer_in(words[first : first + size], left)

    @property
    def reverting(self) -> tuple[int, ...]:
        """The offsets of the steps that arm the reversion: refused there, a set-point still stands, without it."""
        return tuple(offset for offset in (self._revert_span[0], self.revert_enable) if offset is not None)

    @property
    def _revert_span(self) -> tuple[int, int]:
        return (self.revert - 1, 2) if self.revert_long else (self.revert, 1)

    def _ours(self, words: Sequence[int]) -> bool:
        """In force, in the terms we write it in; otherwise it is another master's order."""
        return words[self.enable] == self.on and (self.mode is None or words[self.mode[0]] == self.mode[1])
