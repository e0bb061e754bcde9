"""One device behind a Modbus connection: what is read when, how set-points are written, and its own pause when dead."""

from __future__ import annotations

import asyncio
import logging
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace

from drivers.base import ConnectionLost, Emit, WriteRefused
from drivers.modbus import codec, pdu, plan, sunspec
from drivers.modbus.config import ModbusDevice
from drivers.modbus.link import Link
from drivers.modbus.pdu import NoAnswerError, RefusalError, Request
from drivers.modbus.plan import Block
from drivers.modbus.points import ModbusPoint
from drivers.modbus.sunspec_control import Control
from gateway.model import Measurement, Nameplate, Point, Quality, SetPoint, Value

PAUSE_MIN_S = 1.0
PAUSE_MAX_S = 30.0
"""Between two tries of a unit that does not answer: each costs the others on the line one time-out."""
REFUSED_RETRY_S = 60.0
"""Between two tries of a refused point: a refusal is a fault of the configuration until the device says otherwise."""
STALE_MIN_S = 3.0
"""A value is not stale before it, however fast it is polled: one lost answer is no alarm."""
_SUNSPEC_REQUESTS = ("SunSpec readings", "SunSpec set-points", "SunSpec storage")
"""What a device may turn out to have; a meter has the first, only a battery the last."""

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Cycle:
    """The blocks with one period: a first turn at once, then at `anchor` plus whole periods."""

    period_s: float
    blocks: tuple[Block, ...]
    anchor: float
    due: float


class Unit:
    """
    One device, for the life of its driver.

    What stood in a device before our first write is kept over losses of the connection, and forgotten once given back.
    """

    def __init__(self, device: ModbusDevice, revert_s: float | None) -> None:
        self.device = device
        self.nameplate = Nameplate(
            device.id, tuple(_point(device, point) for point in device.points), rated_power_w=device.rated_power
        )
        self.down = False
        self._revert_s = revert_s
        self._peer = f"{device.endpoint} unit {device.unit} ({device.id})"
        self._configured = {f"{device.id}.{point.name}": point for point in device.points}
        self._cycles: list[_Cycle] = []
        self._known = False
        self._controls: Mapping[str, tuple[Control, Block]] = {}
        self._readable: list[str] = []
        self._retry_at: dict[Block, float] = {}
        self._before: dict[str, tuple[int, ...]] = {}
        self._unreverted: set[str] = set()

    def requests(self) -> list[tuple[str, float]]:
        """What is read, with the period in seconds, as far as configuration tells."""
        likely = {"meter": 1, "battery": 3}.get(self.device.role, 2) if self.device.sunspec else 0
        asked = [(text, self.device.poll) for text in _SUNSPEC_REQUESTS[:likely]]
        return asked + [(block.text, period_s) for period_s, blocks in self._configured_blocks() for block in blocks]

    async def run(self, link: Link, emit: Emit, *, phase: float, all_down: Callable[[], bool]) -> None:
        """
        Read until cancelled. `phase`, from 0 to below 1, is where in its period this unit has its turn.

        Raises:
            ConnectionLost: The connection ended, or nothing behind it answers any more.
        """
        self.down = self._known = False
        pause_s = PAUSE_MIN_S
        if not self.device.sunspec:
            emit([self.nameplate])
        while True:
            try:
                if not self._known:
                    await self._get_to_know(link, emit, phase)
                while True:
                    await self._poll(link, emit)
                    pause_s = PAUSE_MIN_S
                    if self.down:
                        _log.info("%s: answers again", self._peer)
                        self.down = False
            except NoAnswerError as error:
                self._went_down(error, emit)
                if link.unanswered >= 2 and all_down():
                    raise ConnectionLost(f"{self._peer}: {error}, nor does any other unit behind it answer") from None
            except sunspec.MapError as error:
                self._went_down(error, emit)
            except sunspec.MapMovedError as error:
                raise ConnectionLost(f"{self._peer}: {error}") from None
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, PAUSE_MAX_S)

    async def write(self, setpoint: SetPoint, link: Link, emit: Emit) -> float | None:
        """As Driver.write, on a connection that stands."""
        if self.down or not self._known:
            raise ConnectionLost(f"{self._peer}: does not answer")
        point = self._configured.get(setpoint.point)
        try:
            with link.reads_held():
                if setpoint.point in self._controls:
                    control, block = self._controls[setpoint.point]
                    return await self._write_control(control, block, setpoint.value, link, emit)
                if point is None or not point.writable:
                    raise WriteRefused(f"{setpoint.point}: cannot be written")
                return await self._write_register(point, setpoint.value, link, emit)
        except NoAnswerError as error:
            raise ConnectionLost(f"{self._peer}: {error}; what stands in it is not known") from error
        except (RefusalError, ValueError) as error:
            raise WriteRefused(f"{setpoint.point}: {error}") from error
        except sunspec.MapMovedError as error:
            link.close(f"{self._peer}: {error}; to be discovered again")
            raise WriteRefused(f"{setpoint.point}: {error}") from error

    def _configured_blocks(self) -> list[tuple[float, tuple[Block, ...]]]:
        readable = [
            (point.register_of(self.device.id), self.device.poll_of(point))
            for point in self._configured.values()
            if point.readable
        ]
        return [(period_s, plan.blocks(registers)) for period_s, registers in plan.by_period(readable).items()]

    async def _get_to_know(self, link: Link, emit: Emit, phase: float) -> None:
        """Everything there is to read, and when; a SunSpec device is asked for it."""
        groups = self._configured_blocks()
        nameplate = self.nameplate
        if self.device.sunspec:
            found = await self._discover(link)
            groups.append((self.device.poll, found.blocks))
            self._controls = found.controls
            nameplate = replace(
                found.nameplate,
                points=found.nameplate.points + self.nameplate.points,
                rated_power_w=found.nameplate.rated_power_w or self.device.rated_power,
            )
            emit([nameplate])
        now = asyncio.get_running_loop().time()
        self._cycles = [
            _Cycle(period_s, blocks, now + (phase - 1) * period_s, now) for period_s, blocks in groups if blocks
        ]
        self._readable = [point.id for point in nameplate.points if point.readable]
        self._retry_at = {}
        self._known = True

    async def _discover(self, link: Link) -> sunspec.Found:
        steps = sunspec.discover(
            self.device.id,
            meter=self.device.role == "meter",
            max_age=_max_age(self.device.poll),
            without={point.name for point in self.device.points},
        )
        try:
            address, count = next(steps)
            while True:
                address, count = steps.send(await self._read_or_refused(link, address, count))
        except StopIteration as done:
            found: sunspec.Found = done.value
            return found

    async def _read_or_refused(self, link: Link, address: int, count: int) -> bytes | None:
        try:
            return await self._ask(link, pdu.read(self.device.unit, "holding", address, count))
        except RefusalError as error:
            if error.code in pdu.REFUSALS:
                return None
            raise NoAnswerError(str(error)) from None

    async def _poll(self, link: Link, emit: Emit) -> None:
        """Wait for the next cycle and read its blocks."""
        loop = asyncio.get_running_loop()
        if not self._cycles:  # set-points that cannot be read are all there is
            await loop.create_future()
        cycle = min(self._cycles, key=lambda each: each.due)
        await asyncio.sleep(max(0.0, cycle.due - loop.time()))
        left: list[Block] = []
        for block in cycle.blocks:
            left += await self._read(block, link, emit, loop.time())
        cycle.blocks = tuple(left)
        cycle.due = plan.next_due(cycle.anchor, cycle.period_s, loop.time())

    async def _read(self, block: Block, link: Link, emit: Emit, now: float) -> tuple[Block, ...]:
        """Emit what a block holds; returns what to read in its place from now on, smaller where it was refused."""
        if self._retry_at.get(block, now) > now:
            emit(_each(block.points, Quality.INVALID))
            return (block,)
        try:
            data = await self._ask(link, pdu.read(self.device.unit, block.space, block.address, block.count))
        except RefusalError as error:
            if error.code in pdu.REFUSALS:
                return await self._take_apart(block, error, link, emit, now)
            return (block,)  # busy or faulty just now: no values, and the next turn asks again
        if self._retry_at.pop(block, None) is not None:
            _log.info("%s: %s is readable now", self._peer, block.text)
        emit(block.decode(data))
        return (block,)

    async def _take_apart(
        self, block: Block, error: RefusalError, link: Link, emit: Emit, now: float
    ) -> tuple[Block, ...]:
        pieces = plan.split(block)
        if not pieces:
            if block not in self._retry_at:
                _log.warning("%s: refuses %s (%s): %s", self._peer, block.text, ", ".join(block.points), error)
            self._retry_at[block] = now + REFUSED_RETRY_S
            emit(_each(block.points, Quality.INVALID))
            return (block,)
        left: list[Block] = []
        for piece in pieces:
            left += await self._read(piece, link, emit, now)
        return tuple(left)

    async def _ask(self, link: Link, request: Request, *, first: bool = False) -> bytes:
        """
        Raises:
            RefusalError: The device refused; a gateway that cannot reach it is no answer of the device.
            NoAnswerError: Nothing usable came in time.
        """
        try:
            return await link.request(request, self.device.timeout, first=first)
        except RefusalError as error:
            if error.code in pdu.UNREACHABLE:
                raise NoAnswerError(str(error)) from None
            raise

    def _went_down(self, error: Exception, emit: Emit) -> None:
        if not self.down:
            _log.warning("%s: %s", self._peer, error)
            emit(_each(self._readable if self._known else [], Quality.OFFLINE))
        self.down = True

    async def _write_register(self, point: ModbusPoint, value: float | None, link: Link, emit: Emit) -> float | None:
        register = point.register_of(self.device.id)
        if value is None:
            raise WriteRefused(f"{register.point}: has no off state; a number is needed")
        words = codec.encode(register, value)
        unit = self.device.unit
        if register.bit:
            await self._ask(link, pdu.write_coil(unit, register.address, bool(words[0])), first=True)
        else:
            await self._write_words(link, register.address, words)
        if not point.readable:
            return _number(codec.decode_words(register, words))  # the echo was checked, and is all the proof there is
        (block,) = plan.blocks([register])
        data = await self._ask(link, pdu.read(unit, block.space, block.address, block.count), first=True)
        measurements = block.decode(data)
        emit(measurements)
        if not codec.same_raw(register, words, data):
            raise WriteRefused(f"{register.point}: wrote {value:g}, the device holds {measurements[0].value}")
        return _number(measurements[0].value)

    async def _write_control(
        self, control: Control, block: Block, value: float | None, link: Link, emit: Emit
    ) -> float | None:
        data = await self._read_block(link, block)
        block.decode(data)  # raises when the model has moved
        words = _words(data)
        if value is None:
            for offset, content in control.give_back(self._before.get(control.point), words):
                await self._write_words(link, block.address + offset, content)
            raw: tuple[int, ...] = ()
        else:
            raw = control.encode(value, words)
            self._before.setdefault(control.point, words)
            for offset, content in control.steps(raw, words, self._revert_s):
                # A set-point that a device will not let go of by itself is still better than none: it is told below.
                with suppress(RefusalError) if offset == control.revert else nullcontext():
                    await self._write_words(link, block.address + offset, content)
        data = await self._read_block(link, block)
        measurements = block.decode(data)
        emit(measurements)
        held = control.measure(_words(data))
        if value is None and held != Measurement(control.point, None):
            raise WriteRefused(f"{control.point}: was taken out of force, the device holds {held.value} {control.unit}")
        if value is not None and not control.holds(raw, _words(data)):
            raise WriteRefused(f"{control.point}: wrote {value:g}, the device holds {held.value} {control.unit}")
        if value is None:
            self._before.pop(control.point, None)
        else:
            self._check_reversion(control, _words(data))
        return _number(held.value)

    def _check_reversion(self, control: Control, words: Sequence[int]) -> None:
        wanted = control.reversion(words, self._revert_s)
        held = words[control.revert]
        if wanted is None or wanted == held:
            self._unreverted.discard(control.point)
        elif control.point not in self._unreverted:
            self._unreverted.add(control.point)
            _log.warning("%s: reversion time should be %d s, the device holds %d s", control.point, wanted, held)

    async def _read_block(self, link: Link, block: Block) -> bytes:
        request = pdu.read(self.device.unit, block.space, block.address, block.count)
        return await self._ask(link, request, first=True)

    async def _write_words(self, link: Link, address: int, words: Sequence[int]) -> None:
        """FC 6 for one register, as more devices take it; FC 16 for several, so that they change together."""
        unit = self.device.unit
        single = len(words) == 1
        request = pdu.write_register(unit, address, words[0]) if single else pdu.write_registers(unit, address, words)
        await self._ask(link, request, first=True)


def _point(device: ModbusDevice, point: ModbusPoint) -> Point:
    return Point(
        f"{device.id}.{point.name}",
        point.unit,
        readable=point.readable,
        writable=point.writable,
        base=device.rated_power if point.unit == "%" else None,
        max_age=_max_age(device.poll_of(point)),
    )


def _max_age(poll_s: float) -> float:
    return max(2 * poll_s, STALE_MIN_S)


def _each(points: Iterable[str], quality: Quality) -> list[Measurement]:
    return [Measurement(point, None, quality) for point in points]


def _words(data: bytes) -> tuple[int, ...]:
    return struct.unpack(f">{len(data) // 2}H", data)


def _number(value: Value | None) -> float | None:
    return None if value is None else float(value)
