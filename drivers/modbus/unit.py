"""One device behind a Modbus connection: what is read when, and its own pause when dead."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from drivers.base import ConnectionLost, Emit, WriteRefused
from drivers.modbus import pdu, plan, sunspec
from drivers.modbus.codec import Register
from drivers.modbus.config import ModbusDevice
from drivers.modbus.endurance import Endurance
from drivers.modbus.link import Link
from drivers.modbus.pdu import NoAnswerError, RefusalError, Space
from drivers.modbus.plan import Asked, Block
from drivers.modbus.points import ModbusPoint
from drivers.modbus.screen import Screen, Tell
from drivers.modbus.sunspec_side import SunSpecSide
from drivers.modbus.wire import Wire
from drivers.modbus.writing import PointWriter
from gateway.model import Measurement, Nameplate, Point, Quality, SetPoint, Setting

PAUSE_MIN_S = 1.0
PAUSE_MAX_S = 30.0
"""Between two tries of a unit that does not answer: each costs the others on the line one time-out."""
REFUSED_RETRY_S = 60.0
"""Between two tries of a refused point: a refusal is a fault of the configuration until the device says otherwise."""
STALE_MIN_S = 3.0
"""A value is not stale before it, however fast it is polled: one lost answer is no alarm."""
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Turn:
    """A block with its period: a first turn at once, then at `anchor` plus whole periods."""

    block: Block
    period_s: float
    anchor: float
    due: float

    @property
    def deadline(self) -> float:
        """When the next turn is due: the value is then as old as it may get."""
        return self.due + self.period_s


class Unit:
    """One device, for the life of its driver."""

    def __init__(self, device: ModbusDevice, revert_s: float | None, endurance: Endurance) -> None:
        self.device = device
        self.nameplate = Nameplate(
            device.id, tuple(_point(device, point) for point in device.points), rated_power_w=device.rated_power
        )
        self.down = False
        self._peer = f"{device.endpoint} unit {device.unit} ({device.id})"
        self._screen = Screen(device.id, device.points)
        self._writers = {
            f"{device.id}.{point.name}": PointWriter(point, device.id, self._screen, endurance)
            for point in device.points
            if point.writable
        }
        self._sunspec = SunSpecSide(device, self.nameplate, revert_s, self._peer) if device.sunspec else None
        self._turns: list[_Turn] = []
        self._known = False
        self._readable: list[str] = []
        self._retry_at: dict[Block, float] = {}

    def requests(self) -> list[Asked]:
        """What is read, how often and for how long: as configuration tells it, and the device once it was asked."""
        asked: list[Asked] = []
        if self._sunspec is not None:
            asked += [
                Asked(text, period_s, self._time_s("holding", 0, count))
                for text, count, period_s in self._sunspec.requests
            ]
        for period_s, blocks in self._configured_blocks():
            asked += [
                Asked(block.text, period_s, self._time_s(block.space, block.address, block.count)) for block in blocks
            ]
        return asked

    async def run(self, link: Link, emit: Emit, *, phase: float, all_down: Callable[[], bool]) -> None:
        """
        Read until cancelled. `phase`, from 0 to below 1, is where in its period this unit has its turn.

        Raises:
            ConnectionLost: The connection ended, or nothing behind it answers any more.
        """
        if self._sunspec is None:
            await self._read_on(link, emit, phase, all_down)
            return
        lost: ConnectionLost | None = None
        try:
            async with asyncio.TaskGroup() as tasks:
                plain = Wire(link, self.device.unit, self.device.timeout)
                beating = self._sunspec.beat(plain, lambda: self._known and not self.down)
                heart = tasks.create_task(beating, name=f"heartbeat {self.device.id}")
                try:
                    await self._read_on(link, emit, phase, all_down)
                finally:
                    heart.cancel()
        except* ConnectionLost as group:
            lost = next(error for error in group.exceptions if isinstance(error, ConnectionLost))
        if lost is not None:
            raise lost

    async def _read_on(self, link: Link, emit: Emit, phase: float, all_down: Callable[[], bool]) -> None:
        self.down = self._known = False
        pause_s = PAUSE_MIN_S
        wire, tell = self._wire(link), self._screened(emit)
        if self._sunspec is None:
            emit([self.nameplate])
        while True:
            try:
                if not self._known:
                    await self._get_to_know(wire, emit, phase)
                while True:
                    await self._poll(wire, tell)
                    pause_s = PAUSE_MIN_S
                    if self.down:
                        _log.info("%s: answers again", self._peer)
                        self._begin_again()
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

    async def write(self, setpoint: SetPoint, link: Link, emit: Emit) -> Setting | None:
        """As Driver.write, on a connection that stands."""
        if self.down or not self._known:
            raise ConnectionLost(f"{self._peer}: does not answer")
        wire, tell = self._wire(link), self._screened(emit)
        try:
            if self._sunspec is not None and self._sunspec.takes(setpoint.point):
                held = await self._sunspec.write(setpoint, wire, tell)
                self._tell_news(emit)
                return held
            if setpoint.point not in self._writers:
                raise WriteRefused(f"{setpoint.point}: cannot be written")
            return await self._writers[setpoint.point].write(setpoint.value, wire, tell)
        except NoAnswerError as error:
            raise ConnectionLost(f"{self._peer}: {error}; what stands in it is not known") from error
        except (RefusalError, ValueError) as error:
            raise WriteRefused(f"{setpoint.point}: {error}") from error
        except sunspec.MapMovedError as error:
            link.close(f"{self._peer}: {error}; to be discovered again")
            raise WriteRefused(f"{setpoint.point}: {error}") from error

    def _wire(self, link: Link) -> Wire:
        return Wire(link, self.device.unit, self.device.timeout) if self._sunspec is None else self._sunspec.wire(link)

    def _screened(self, emit: Emit) -> Tell:
        def tell(measurements: Sequence[Measurement]) -> None:
            passed = self._screen.passed(measurements)
            if self._sunspec is not None:
                passed = self._sunspec.passed(passed)
            if passed:
                emit(passed)
            self._tell_news(emit)

        return tell

    def _tell_news(self, emit: Emit) -> None:
        if self._sunspec is not None and (nameplate := self._sunspec.news()) is not None:
            emit([nameplate])

    def _time_s(self, space: Space, address: int, count: int) -> float:
        request = pdu.read(self.device.unit, space, address, count)
        return plan.request_time_s(self.device.line, len(request.pdu), request.length) + self.device.quirks.gap

    def _configured_blocks(self) -> list[tuple[float, tuple[Block, ...]]]:
        quirks = self.device.quirks
        return [
            (
                period_s,
                plan.blocks(registers, gap=quirks.max_gap, longest=quirks.max_registers, one_point=quirks.one_point),
            )
            for period_s, registers in plan.by_period(list(self._configured_registers())).items()
        ]

    def _configured_registers(self) -> Iterator[tuple[Register, float]]:
        for point in self.device.points:
            if point.readable:
                period_s = self.device.poll_of(point)
                yield point.register_of(self.device.id), period_s
                yield from ((step.register, period_s) for step in point.sequence(self.device.id, "release"))

    async def _get_to_know(self, wire: Wire, emit: Emit, phase: float) -> None:
        """Everything there is to read, and when; a SunSpec device is asked for it."""
        groups = self._configured_blocks()
        nameplate = self.nameplate
        if self._sunspec is not None:
            nameplate = await self._sunspec.discover(wire, max_age=_max_age(self.device.poll))
            groups += self._sunspec.groups
            emit([nameplate])
        now = asyncio.get_running_loop().time()
        self._turns = [
            _Turn(block, period_s, now + (phase - 1) * period_s, now) for period_s, blocks in groups for block in blocks
        ]
        self._readable = [point.id for point in nameplate.points if point.readable]
        self._retry_at = {}
        self._screen.forget()
        self._known = True

    async def _poll(self, wire: Wire, tell: Tell) -> None:
        """Wait for the next block that is due, of several the one whose value would be too old first, and read it."""
        loop = asyncio.get_running_loop()
        if not self._turns:  # set-points that cannot be read are all there is
            await loop.create_future()
        now = loop.time()
        turn = min(self._turns, key=lambda each: (max(each.due, now), each.deadline))
        await asyncio.sleep(max(0.0, turn.due - now))
        left = await self._read(turn.block, wire, tell, loop.time())
        # A timer of uvloop may be a millisecond early, and what was due is not due again.
        due = plan.next_due(turn.anchor, turn.period_s, max(loop.time(), turn.due))
        if not self.down:  # the first answer after an absence is late for another reason
            wire.traffic.skipped += max(0, round((due - turn.due) / turn.period_s) - 1)
        turn.due = due
        if left != (turn.block,):
            self._turns.remove(turn)
            self._turns += [replace(turn, block=block) for block in left]

    def _begin_again(self) -> None:
        """Everything is due: what could not be read meanwhile was missed, not skipped."""
        self.down = False
        now = asyncio.get_running_loop().time()
        for turn in self._turns:
            turn.due = max(turn.due, now)

    async def _read(self, block: Block, wire: Wire, tell: Tell, now: float) -> tuple[Block, ...]:
        """Emit what a block holds; returns what to read in its place from now on, smaller where it was refused."""
        if self._retry_at.get(block, now) > now:
            tell(_each(block.points, Quality.INVALID))
            return (block,)
        try:
            data = await wire.read(block.space, block.address, block.count)
        except RefusalError as error:
            if error.code in pdu.REFUSALS:
                return await self._take_apart(block, error, wire, tell, now)
            return (block,)  # busy or faulty just now: no values, and the next turn asks again
        if self._retry_at.pop(block, None) is not None:
            _log.info("%s: %s is readable now", self._peer, block.text)
        measurements = block.decode(data)
        if self._sunspec is not None:
            self._sunspec.heed(block, data)
        tell(measurements)
        return (block,)

    async def _take_apart(
        self, block: Block, error: RefusalError, wire: Wire, tell: Tell, now: float
    ) -> tuple[Block, ...]:
        pieces = plan.split(block)
        if not pieces:
            if block not in self._retry_at:
                _log.warning("%s: refuses %s (%s): %s", self._peer, block.text, ", ".join(block.points), error)
            self._retry_at[block] = now + REFUSED_RETRY_S
            tell(_each(block.points, Quality.INVALID))
            return (block,)
        left: list[Block] = []
        for piece in pieces:
            left += await self._read(piece, wire, tell, now)
        return tuple(left)

    def _went_down(self, error: Exception, emit: Emit) -> None:
        if not self.down:
            _log.warning("%s: %s", self._peer, error)
            emit(_each(self._readable if self._known else [], Quality.OFFLINE))
        self.down = True


def _point(device: ModbusDevice, point: ModbusPoint) -> Point:
    return Point(
        f"{device.id}.{point.name}",
        point.unit,
        readable=point.readable,
        writable=point.writable,
        base=device.rated_power if point.unit == "%" else None,
        max_age=_max_age(device.poll_of(point)),
        refresh_s=point.write.refresh if point.write else None,
    )


def _max_age(poll_s: float) -> float:
    return max(2 * poll_s, STALE_MIN_S)


def _each(points: Iterable[str], quality: Quality) -> list[Measurement]:
    return [Measurement(point, None, quality) for point in points]
