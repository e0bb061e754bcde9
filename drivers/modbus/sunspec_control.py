"""
Set-points of SunSpec models: what is in force, and what to write for a value. Pure.

A set-point is written in the order reversion time, mode, value, enable, so that it never acts without its reversion. It
is taken out of force by its enable register alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil

from drivers.modbus.sunspec_coding import Coding
from gateway.model import Measurement, Quality

_NONE = 0xFFFF
_REVERT_MAX_S = 0xFFFE
"""Also where the time has 32 bits: nobody waits longer than 18 hours for a set-point to end."""

Write = tuple[int, tuple[int, ...]]
"""Offset from the model's ID register, and words."""


@dataclass(slots=True)
class Authority:
    """Who may set a device, as it said last; shared by what reads it and by the controls that heed it."""

    local: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """
    A writable quantity in one model; offsets count from its ID register.

    `enable` holds `on` while the set-point is in force; `mode` is a further register and what it must hold.

    `revert` is the register with the reversion time in s; with `revert_long` it is the lower of two, and
    `revert_enable` holds what `enable` shall hold after it: 0, so that the device is free again.

    `rearm`: the time counts from a write of `enable`, not of the value.
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

    def measure(self, words: Sequence[int]) -> Measurement:
        """What is in force; value None with quality good: nothing is."""
        if words[self.enable] == 0:
            return Measurement(self.point, None)
        value = self.coding.decode(words) if self._ours(words) else None
        return Measurement(self.point, None, Quality.INVALID) if value is None else Measurement(self.point, value)

    def encode(self, value: float, words: Sequence[int]) -> tuple[int, ...]:
        """
        The value registers' words for `value`, with the scale factor the device gives now.

        Raises:
            ValueError: Not finite or out of range, or the device is operated locally; the text says which.
        """
        self._check_authority()
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

    def give_back(self, before: Sequence[int] | None, words: Sequence[int]) -> Iterator[Write]:
        """
        Out of force first; then what stood there before our first write, where that is known.

        Raises:
            ValueError: The device is operated locally.
        """
        self._check_authority()
        if words[self.enable] != 0:
            yield self.enable, (0,)
        if before is None:
            return
        spans = [(self.coding.first, self.coding.size), self._revert_span]
        spans += [(offset, 1) for offset in (self.revert_enable, self.mode and self.mode[0]) if offset is not None]
        for offset, size in spans:
            stood = tuple(before[offset : offset + size])
            if stood != tuple(words[offset : offset + size]):
                yield offset, stood

    def reversion(self, words: Sequence[int], revert_s: float | None) -> int | None:
        """The reversion time to stand in the device, in s; None when it has none or none is asked for."""
        first, size = self._revert_span
        if revert_s is None or tuple(words[first : first + size]) == (_NONE,) * size:
            return None
        return min(ceil(revert_s), _REVERT_MAX_S)

    def holds(self, raw: tuple[int, ...], words: Sequence[int]) -> bool:
        """Whether the device holds what was written, and holds it in force."""
        return self._ours(words) and self.coding.same(raw, words)

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

    def _check_authority(self) -> None:
        if self.authority is not None and self.authority.local:
            raise ValueError("the device is set to local operation (model 715, LocRemCtl) and takes no orders")
