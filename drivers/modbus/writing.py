"""Writing one set-point of a device by its registers: what comes before the value, the read-back, and the release."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from contextlib import suppress

from drivers.base import WriteRefused
from drivers.modbus import codec
from drivers.modbus.codec import Register
from drivers.modbus.pdu import REFUSALS, RefusalError
from drivers.modbus.plan import Block, blocks
from drivers.modbus.points import Held, ModbusPoint, Write
from drivers.modbus.screen import Screen, Tell
from drivers.modbus.wire import Wire, words_of
from gateway.model import Value

SETTLE_STEP_S = 0.1
"""Between two read-backs of a device that takes its time: on a serial line each costs about as long."""
DAY_S = 86400.0


class Endurance:
    """
    How often a flash register may still be written within 24 h.

    It counts on the monotonic clock and in memory: a restart of the gateway starts it anew.
    """

    def __init__(self, daily: int) -> None:
        self._daily = daily
        self._written: deque[float] = deque(maxlen=daily)

    def spend(self, now: float) -> None:
        """
        Raises:
            ValueError: Nothing is left; the text says when there is again.
        """
        if len(self._written) == self._daily and (left_s := self._written[0] + DAY_S - now) > 0:
            raise ValueError(
                f"it is flash, and was written {self._daily} times in 24 h, which is what write.daily_writes allows; "
                f"accepted again in {left_s / 3600:.1f} h"
            )
        self._written.append(now)


class PointWriter:
    """Writes one point, for the life of its driver."""

    def __init__(self, point: ModbusPoint, device: str, screen: Screen) -> None:
        self._point = point
        self._how = point.write or Write()
        self._register = point.register_of(device)
        self._block = _block(self._register)
        self._screen = screen
        self._before = [_Step(held) for held in point.sequence(device, "before")]
        self._release = [_Step(held) for held in point.sequence(device, "release")]
        self._endurance = Endurance(self._how.daily_writes) if self._how.memory == "flash" else None

    async def write(self, value: float | None, wire: Wire, tell: Tell) -> float | None:
        """
        Write and read back, as drivers.base.Driver.write; None is written as the point's release.

        A value that is refused leaves nothing behind: what was written before it gets back what stood there.

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
            changed: list[tuple[_Step, tuple[int, ...]]] = []
            try:
                for step in self._before:
                    stood = await step.put(wire)
                    changed += [(step, stood)] if stood is not None else []
                await self._put(words, wire)
            except (RefusalError, ValueError):
                for step, stood in reversed(changed):
                    with suppress(RefusalError):
                        await wire.write(step.register.space, step.register.address, stood)
                raise
            self._screen.engaged.add(self._register.point)
            if not self._point.readable:
                return _number(codec.decode_words(self._register, words))  # the echo is all the proof there is
            held = await self._read_back(wire, tell)
        deadline = asyncio.get_running_loop().time() + self._how.settle
        while not self._holds(words, held):
            if (left_s := deadline - asyncio.get_running_loop().time()) <= 0:
                raise WriteRefused(f"{self._register.point}: wrote {value:g}, the device holds {self._value(held)}")
            await asyncio.sleep(min(SETTLE_STEP_S, left_s))
            held = await self._read_back(wire, tell)
        return _number(self._value(held))

    async def _put(self, words: Sequence[int], wire: Wire) -> None:
        if self._endurance is not None:
            if self._holds(words, await _read(self._block, wire)):
                return
            self._endurance.spend(asyncio.get_running_loop().time())
        await wire.write(self._register.space, self._register.address, words, self._how.function)

    async def _read_back(self, wire: Wire, tell: Tell) -> bytes:
        data = await _read(self._block, wire)
        tell(self._block.decode(data))
        return data

    def _holds(self, words: Sequence[int], data: bytes) -> bool:
        if codec.same_raw(self._register, words, data):
            return True
        wanted, held = codec.decode_words(self._register, words), self._value(data)
        if self._how.tolerance is None or isinstance(wanted, str | None) or isinstance(held, str | None):
            return False
        return abs(wanted - held) <= self._how.tolerance * (1 + 1e-9)  # 60 - 59.8 is not 0.2, but nearly

    def _value(self, data: bytes) -> Value | None:
        return self._block.decode(data)[0].value

    async def _take_out_of_force(self, wire: Wire, tell: Tell) -> None:
        if not self._release:
            raise WriteRefused(f"{self._register.point}: has no off state; a number is needed")
        with wire.reads_held():
            for step in self._release:
                await step.put(wire)
            self._screen.engaged.discard(self._register.point)
            wrong = await self._unreleased(wire, tell)
        deadline = asyncio.get_running_loop().time() + self._how.settle
        while wrong:
            if (left_s := deadline - asyncio.get_running_loop().time()) <= 0:
                raise WriteRefused(f"{self._register.point}: was taken out of force, the device holds {wrong}")
            await asyncio.sleep(min(SETTLE_STEP_S, left_s))
            wrong = await self._unreleased(wire, tell)
        if self._point.readable:
            await self._read_back(wire, tell)

    async def _unreleased(self, wire: Wire, tell: Tell) -> str:
        """The first register that does not hold what releases the set-point; empty when there is none."""
        for step in self._release:
            try:
                data = await _read(step.block, wire)
            except RefusalError as error:
                if error.code in REFUSALS:
                    continue  # it can only be written
                raise
            tell(step.block.decode(data))
            if not codec.same_raw(step.register, step.words, data):
                return f"{step.block.decode(data)[0].value} in {step.block.text}"
        return ""


class _Step:
    """One register of a sequence."""

    def __init__(self, held: Held) -> None:
        self.register, self.words = held.register, held.words
        self.block = _block(held.register)

    async def put(self, wire: Wire) -> tuple[int, ...] | None:
        """Write it if it differs, also where it cannot be read; returns the words that stood there before, if known."""
        stood: tuple[int, ...] | None = None
        try:
            data = await _read(self.block, wire)
        except RefusalError as error:
            if error.code not in REFUSALS:
                raise
        else:
            if codec.same_raw(self.register, self.words, data):
                return None
            stood = (data[0] & 1,) if self.register.bit else words_of(data)
        await wire.write(self.register.space, self.register.address, self.words)
        return stood


def _block(register: Register) -> Block:
    (block,) = blocks([register])
    return block


async def _read(block: Block, wire: Wire) -> bytes:
    return await wire.read(block.space, block.address, block.count, first=True)


def _number(value: Value | None) -> float | None:
    return None if value is None else float(value)
