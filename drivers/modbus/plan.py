"""Which registers are read together, what is left when a device refuses some, and what it costs. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import floor
from zlib import crc32

from drivers.base import PlannedDevice
from drivers.modbus.codec import Register, decoder
from drivers.modbus.endpoint import Network, SerialLine
from drivers.modbus.pdu import MAX_READ_BITS, MAX_READ_REGISTERS, Space
from drivers.modbus.rtu import line_time_s
from gateway.model import Measurement, Quality

GAP_MAX = 8
"""Registers nobody asked for that a request may read over: 16 bytes cost less than the 12 of a request and its turn."""
ROUND_TRIP_S = 0.005
"""Assumed for a request: a device's own turn; a LAN adds less than a tenth of it, a serial line its bytes."""
SERIAL_BYTES = 3  # unit and checksum


def request_time_s(line: Network | SerialLine, sent_bytes: int, answer_bytes: int) -> float:
    """How long a request takes the line; the bytes of its PDU and of the answer's. Constant over a network."""
    if isinstance(line, Network):
        return ROUND_TRIP_S
    return ROUND_TRIP_S + line_time_s(sent_bytes + SERIAL_BYTES, answer_bytes + SERIAL_BYTES, line)


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """
    One read request and what its answer means; a block is equal to itself only.

    `registers` is what it can be taken apart into; none for a block that makes sense as a whole only.
    """

    space: Space
    address: int
    count: int
    points: tuple[str, ...]
    decode: Callable[[bytes], list[Measurement]]
    registers: tuple[Register, ...] = ()

    @property
    def text(self) -> str:
        """As the plan prints it: `holding 0-9`."""
        last = self.address + self.count - 1
        return f"{self.space} {self.address}-{last}" if last > self.address else f"{self.space} {self.address}"


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as the plan knows it: every `period_s` it takes the line for `time_s`."""

    text: str
    period_s: float
    time_s: float


def blocks(
    registers: Sequence[Register],
    *,
    gap: int = GAP_MAX,
    longest: int = MAX_READ_REGISTERS,
    one_point: bool = False,
) -> tuple[Block, ...]:
    """
    As few requests as hold all registers, none across more than `gap` registers that nobody asked for.

    Coils and discrete inputs are bridged alike: a bit costs less than a register. `longest` is what the device gives in
    one answer, in registers; `one_point` is for a device that answers for one value at a time only.
    """
    groups: list[list[Register]] = []
    for register in sorted(registers, key=lambda each: (each.space, each.address, each.end)):
        if groups and not one_point and _fits(groups[-1], register, gap, longest):
            groups[-1].append(register)
        else:
            groups.append([register])
    return tuple(_block(group) for group in groups)


def split(block: Block) -> tuple[Block, ...]:
    """
    A refused block in smaller ones: first without what nobody asked for, then in halves; none when it is one register.
    """
    unbridged = blocks(block.registers, gap=0)
    if len(unbridged) > 1:
        return unbridged
    half = len(block.registers) // 2
    if not half:
        return ()
    return blocks(block.registers[:half], gap=0) + blocks(block.registers[half:], gap=0)


ROUNDING = 1e-6
"""Of a period: a moment of the schedule is never before itself, however its sum was rounded."""


def next_due(previous: float, period_s: float, now: float) -> float:
    """
    The next moment of an absolute schedule that still lies ahead; moments that were missed are skipped.

    >>> next_due(10.0, 1.0, 10.2), next_due(10.0, 1.0, 13.7)
    (11.0, 14.0)
    """
    return previous + period_s * (max(0, floor((now - previous) / period_s + ROUNDING)) + 1)


def phases(line: str, devices: int) -> tuple[float, ...]:
    """
    Where in its period each device of a line has its turn, from 0 to below 1: evenly apart from a start of the line's
    own, so that the lines of a site are not all asked at the same instant. The same at each start of the gateway.
    """
    start = crc32(line.encode()) / 2**32
    return tuple((start + index / devices) % 1.0 for index in range(devices))


def planned(device: str, requests: Sequence[Asked], line_time_s: float) -> PlannedDevice:
    """
    What a device costs; `line_time_s` is what each request of each device on its connection takes once, together.

    `load` is this device's own share of the line. A value is oldest when it was read first in its turn and is read last
    one period later, after all that the line is ever asked for at once.
    """
    return PlannedDevice(
        device=device,
        requests_per_s=sum(1 / each.period_s for each in requests),
        load=sum(each.time_s / each.period_s for each in requests),
        worst_age_s=max((each.period_s for each in requests), default=0.0) + line_time_s,
        requests=tuple(f"{each.text} every {_duration(each.period_s)}" for each in requests),
    )


def by_period(registers: Sequence[tuple[Register, float]]) -> dict[float, list[Register]]:
    """Registers by the seconds between two reads of them, the shortest first."""
    groups: defaultdict[float, list[Register]] = defaultdict(list)
    for register, period_s in registers:
        groups[period_s].append(register)
    return dict(sorted(groups.items()))


def _fits(group: list[Register], register: Register, gap: int, longest: int) -> bool:
    first = group[0]
    end = max(each.end for each in group)
    return (
        register.space == first.space
        and register.address - end <= gap
        and max(end, register.end) - first.address <= (MAX_READ_BITS if first.bit else longest)
    )


def _block(group: Sequence[Register]) -> Block:
    first = group[0]
    count = max(register.end for register in group) - first.address
    decode = decoder(group, first.address)
    points = tuple(register.point for register in group)
    worded = tuple(register.enumeration is not None for register in group)

    def measure(data: bytes) -> list[Measurement]:
        return [
            Measurement(point, None, Quality.INVALID)
            if value is None
            else Measurement(point, value, Quality.UNCERTAIN)
            if in_words and isinstance(value, int)  # a number that the device's document has no word for
            else Measurement(point, value)
            for point, in_words, value in zip(points, worded, decode(data), strict=True)
        ]

    return Block(first.space, first.address, count, points, measure, tuple(group))


def _duration(seconds: float) -> str:
    return f"{seconds:g} s" if seconds >= 1 else f"{seconds * 1e3:g} ms"
