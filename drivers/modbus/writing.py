"""Writing one set-point of a device by its registers: what comes before the value, the read-back, and the release."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import overload

from drivers.base import WriteRefused
from drivers.modbus import codec
from drivers.modbus.codec import Register
from drivers.modbus.endurance import Endurance
from drivers.modbus.pdu import REFUSALS, RefusalError
from drivers.modbus.plan import blocks
from drivers.modbus.points import Memory, ModbusPoint, Write, WriteFunction
from drivers.modbus.screen import Screen, Tell
from drivers.modbus.wire import Wire, words_of
from gateway.model import Setting, Value

SETTLE_STEP_S = 0.1
"""Between two read-backs of a device that takes its time: on a serial line each costs about as long."""


class PointWriter:
    """Writes one point, for the life of its driver; `endurance` counts the flash writes of the whole site."""

    def __init__(self, point: ModbusPoint, device: str, screen: Screen, endurance: Endurance | None = None) -> None:
        self._how = point.write or Write()
        self._readable = point.readable
        self._register = point.register_of(device)
        self._screen = screen
        endurance = endurance or Endurance()

        def place(register: Register, memory: Memory, function: WriteFunction | None = None) -> _Place:
            flash = _Flash(device, register, endurance, self._how.daily_writes) if memory == "flash" else None
            return _Place(register, flash, function)

        self._place = place(self._register, self._how.memory, self._how.function)
        self._before, self._release = (
            [(place(held.register, held.memory), held.words) for held in point.sequence(device, which)]
            for which in ("before", "release")
        )

    @overload
    async def write(self, value: float | None, wire: Wire, tell: Tell) -> float | None: ...
    @overload
    async def write(self, value: str, wire: Wire, tell: Tell) -> Setting | None: ...
    async def write(self, value: Setting | None, wire: Wire, tell: Tell) -> Setting | None:
        """
        Write and read back, as drivers.base.Driver.write; None is written as the point's release.

        One of an enumeration is written by its number or its word, and told in the same way. A value that is refused
        leaves nothing behind: what was written before it gets back what stood there.

        Raises:
            RefusalError, NoAnswerError, ConnectionLost: As `Wire.ask`.
            ValueError: The value does not fit, or the register must not be written so often.
            WriteRefused: Something else stands in the device.
        """
        if value is None:
            await self._take_out_of_force(wire, tell)
            return None
        words = codec.encode(self._register, value)
        with wire.reads_held():
            await self._check_budget(words, wire)
            changed: list[tuple[_Place, tuple[int, ...]]] = []
            try:
                for place, wanted in self._before:
                    stood = await place.make(wanted, wire)
                    changed += [(place, stood)] if stood is not None else []
                await self._put(words, wire)
            except (RefusalError, ValueError):
                for place, stood in reversed(changed):
                    with suppress(RefusalError):
                        await place.put(stood, wire, spend=False)
                raise
            self._screen.engaged.add(self._register.point)
            if not self._readable:
                return self._as_asked(value, words)  # the echo is all the proof there is
            held = await self._read_back(wire, tell)
        deadline = asyncio.get_running_loop().time() + self._how.settle
        while not self._holds(words, held):
            if (left_s := deadline - asyncio.get_running_loop().time()) <= 0:
                wrote = value if isinstance(value, str) else f"{value:g}"
                raise WriteRefused(f"{self._register.point}: wrote {wrote}, the device holds {self._value(held)}")
            await asyncio.sleep(min(SETTLE_STEP_S, left_s))
            held = await self._read_back(wire, tell)
        return self._as_asked(value, self._place.words(held))

    async def _check_budget(self, words: Sequence[int], wire: Wire) -> None:
        """Nothing is enabled, and no flash worn by enabling it, for a value that must not be written."""
        if self._place.flash is not None:
            try:
                self._place.flash.check()
            except ValueError:
                if not self._holds(words, await self._place.read(wire)):
                    raise

    async def _put(self, words: Sequence[int], wire: Wire) -> None:
        if self._place.flash is None or not self._holds(words, await self._place.read(wire)):
            await self._place.put(words, wire)

    async def _read_back(self, wire: Wire, tell: Tell) -> bytes:
        data = await self._place.read(wire)
        tell(self._place.block.decode(data))
        return data

    def _holds(self, words: Sequence[int], data: bytes) -> bool:
        if codec.same_raw(self._register, words, data):
            return True
        wanted, held = codec.decode_words(self._register, words), self._value(data)
        if self._how.tolerance is None or isinstance(wanted, str | None) or isinstance(held, str | None):
            return False
        return abs(wanted - held) <= self._how.tolerance * (1 + 1e-9)  # 60 - 59.8 is not 0.2, but nearly

    def _value(self, data: bytes) -> Value | None:
        return codec.decode_words(self._register, self._place.words(data))

    def _as_asked(self, value: Setting, words: Sequence[int]) -> Setting | None:
        """What a register holds, as a word only where it was asked for by a word."""
        register = self._register if isinstance(value, str) else replace(self._register, enumeration=None)
        held = codec.decode_words(register, words)
        return held if isinstance(held, str | None) else float(held)

    async def _take_out_of_force(self, wire: Wire, tell: Tell) -> None:
        if not self._release:
            raise WriteRefused(f"{self._register.point}: has no off state; a number is needed")
        with wire.reads_held():
            for place, words in self._release:
                await place.make(words, wire, spend=False)
            self._screen.engaged.discard(self._register.point)
            wrong = await self._unreleased(wire, tell)
        deadline = asyncio.get_running_loop().time() + self._how.settle
        while wrong:
            if (left_s := deadline - asyncio.get_running_loop().time()) <= 0:
                raise WriteRefused(f"{self._register.point}: was taken out of force, the device holds {wrong}")
            await asyncio.sleep(min(SETTLE_STEP_S, left_s))
            wrong = await self._unreleased(wire, tell)
        if self._readable:
            await self._read_back(wire, tell)

    async def _unreleased(self, wire: Wire, tell: Tell) -> str:
        """The first register that does not hold what releases the set-point; empty when there is none."""
        for place, words in self._release:
            try:
                data = await place.read(wire)
            except RefusalError as error:
                if error.code in REFUSALS:
                    continue  # it can only be written
                raise
            tell(place.block.decode(data))
            if not codec.same_raw(place.register, words, data):
                return f"{codec.decode_words(place.register, place.words(data))} in {place.block.text}"
        return ""


class _Flash:
    """One register's part of the budget; it is named by where it stands, as several points may write it."""

    def __init__(self, device: str, register: Register, endurance: Endurance, daily: int) -> None:
        self._name = f"{device} {register.space}:{register.address}"
        self._endurance, self._daily = endurance, daily

    def check(self) -> None:
        self._endurance.check(self._name, self._daily)

    def spend(self) -> None:
        self._endurance.spend(self._name, self._daily)

    def count(self) -> None:
        self._endurance.count(self._name)


class _Place:
    """One register that is written."""

    def __init__(self, register: Register, flash: _Flash | None, function: WriteFunction | None = None) -> None:
        self.register, self.flash, self._function = register, flash, function
        (self.block,) = blocks([register])

    async def read(self, wire: Wire) -> bytes:
        return await wire.read(self.block.space, self.block.address, self.block.count, first=True)

    def words(self, data: bytes) -> tuple[int, ...]:
        return (data[0] & 1,) if self.register.bit else words_of(data)

    async def put(self, words: Sequence[int], wire: Wire, *, spend: bool = True) -> None:
        """
        Write it; of a point with bits only those change, between a read and a write that nothing of ours comes between.

        `spend` False counts a flash write and does not refuse it.

        Raises:
            ValueError: Nothing is left of the budget, or there is no value whose bits could be changed.
        """
        if self.register.bits is not None:
            words = codec.merged(self.register, words, await self.read(wire))
        if self.flash is not None:
            (self.flash.spend if spend else self.flash.count)()
        await wire.write(self.register.space, self.register.address, words, self._function)

    async def make(self, words: Sequence[int], wire: Wire, *, spend: bool = True) -> tuple[int, ...] | None:
        """Write it if it differs, also where it cannot be read; returns the words that stood there before, if known."""
        stood: tuple[int, ...] | None = None
        try:
            data = await self.read(wire)
        except RefusalError as error:
            if error.code not in REFUSALS:
                raise
        else:
            if codec.same_raw(self.register, words, data):
                return None
            stood = self.words(data)
        await self.put(words, wire, spend=spend)
        return stood
