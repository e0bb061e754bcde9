"""
Requests to bytes, and bytes to checked answers (Modbus Application Protocol V1.1b3, Messaging on TCP/IP V1.0b). Pure.

An answer is data only when its unit, function, length, byte count and, for a write, its echo are what the request asks
for. Everything else is an error: a value that belongs to another request is worse than none.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal, NamedTuple

Space = Literal["coil", "discrete", "holding", "input"]

MAX_READ_REGISTERS = 125  # 6.3, 6.4: the byte count of the answer must fit 253 bytes
MAX_READ_BITS = 2000  # 6.1, 6.2
READS_KEPT = 4096  # requests of all the blocks of a large site: each is asked again and again
MAX_WRITE_REGISTERS = 123  # 6.12

_READ_FUNCTION: dict[Space, int] = {"coil": 1, "discrete": 2, "holding": 3, "input": 4}
BIT_SPACES = ("coil", "discrete")
_HEADER = struct.Struct(">HHHB")  # transaction, protocol, length, unit
_TAIL = struct.Struct(">HHB")  # the same without the transaction
_OVERHEAD = _HEADER.size
_LENGTH_MIN, _LENGTH_MAX = 3, 254  # unit, function and one byte at least; unit and a PDU of 253 bytes at most

_EXCEPTIONS = {
    1: "illegal function",
    2: "illegal data address",
    3: "illegal data value",
    4: "device failure",
    5: "acknowledge",
    6: "device busy",
    7: "negative acknowledge",
    8: "memory parity error",
    10: "gateway path unavailable",
    11: "gateway target does not respond",
}
REFUSALS = frozenset({1, 2, 3})
"""Codes that say the same to every repetition: what was asked does not exist there."""
UNREACHABLE = frozenset({10, 11})
"""A gateway's word for a unit behind it that does not answer."""


class NoAnswerError(Exception):
    """Nothing that can be used came in time; what the device did is not known."""


class WrongAnswerError(NoAnswerError):
    """An answer came and does not belong to its request."""


class FrameError(Exception):
    """The byte stream is out of step; only a new connection mends it."""


class RefusalError(Exception):
    """The device refused; `code` as in 7 of the application protocol."""

    def __init__(self, code: int) -> None:
        self.code = code
        super().__init__(f"exception {code} ({_EXCEPTIONS.get(code, 'unknown')})")


@dataclass(frozen=True, slots=True)
class Request:
    """
    One request, and the only answer that fits it.

    A right answer begins with `head` and is `length` bytes long, both from the function code on. For a read, `head` is
    the function and the byte count, and the rest is data; for a write, `head` is the whole echo.
    """

    unit: int
    pdu: bytes
    head: bytes
    length: int
    asked: bytes = field(init=False, repr=False, compare=False)
    """The frame of Modbus TCP to send, after its transaction number."""
    answered: bytes = field(init=False, repr=False, compare=False)
    """How the only right frame begins after its number: all of it but a read's data."""
    answer_size: int = field(init=False, repr=False, compare=False)
    """Bytes of that frame, number and all."""

    def __post_init__(self) -> None:
        # Made once, because what stands after the number is the same each time this is asked.
        object.__setattr__(self, "asked", _TAIL.pack(0, len(self.pdu) + 1, self.unit) + self.pdu)
        object.__setattr__(self, "answered", _TAIL.pack(0, self.length + 1, self.unit) + self.head)
        object.__setattr__(self, "answer_size", _OVERHEAD + self.length)

    def check(self, unit: int, answer: bytes) -> bytes:
        """
        The data of an answer; empty for a write.

        Raises:
            RefusalError: The device refused.
            WrongAnswerError: The answer is not one to this request.
        """
        if unit != self.unit:
            raise WrongAnswerError(f"asked unit {self.unit}, unit {unit} answered")
        if len(answer) == self.length and answer.startswith(self.head):
            return answer[len(self.head) :]
        function = self.pdu[0]
        if len(answer) == 2 and answer[0] == function | 0x80:
            raise RefusalError(answer[1])
        raise WrongAnswerError(
            f"function {function} was asked: expected {self.length} bytes beginning {self.head.hex(' ')}, "
            f"found {len(answer)} beginning {answer[: len(self.head)].hex(' ')}"
        )


@lru_cache(maxsize=READS_KEPT)
def read(unit: int, space: Space, address: int, count: int) -> Request:
    """FC 1 to 4: `count` registers, or bits of a coil or discrete space, from the wire address on."""
    function = _READ_FUNCTION[space]
    size = (count + 7) // 8 if space in BIT_SPACES else 2 * count
    return Request(unit, struct.pack(">BHH", function, address, count), bytes((function, size)), 2 + size)


def write_coil(unit: int, address: int, on: bool) -> Request:
    """FC 5."""
    return _echoed(unit, struct.pack(">BHH", 5, address, 0xFF00 if on else 0))


def write_register(unit: int, address: int, word: int) -> Request:
    """FC 6."""
    return _echoed(unit, struct.pack(">BHH", 6, address, word))


def write_coils(unit: int, address: int, bits: Sequence[bool]) -> Request:
    """FC 15."""
    packed = sum(1 << index for index, bit in enumerate(bits) if bit).to_bytes((len(bits) + 7) // 8, "little")
    return _echoed(unit, struct.pack(">BHHB", 15, address, len(bits), len(packed)) + packed, echo=5)


def write_registers(unit: int, address: int, words: Sequence[int]) -> Request:
    """FC 16; also for one register."""
    count = len(words)
    return _echoed(unit, struct.pack(f">BHHB{count}H", 16, address, count, 2 * count, *words), echo=5)


def _echoed(unit: int, pdu: bytes, *, echo: int = 5) -> Request:
    return Request(unit, pdu, pdu[:echo], echo)


class Frame(NamedTuple):
    transaction: int
    unit: int
    pdu: bytes
    end: int


def next_frame(buffer: bytes, start: int) -> Frame | None:
    """
    The frame at `start`, ending before `end`; None while bytes are missing.

    Raises:
        FrameError: What stands there cannot be the head of a Modbus TCP frame.
    """
    if len(buffer) - start < _HEADER.size:
        return None
    transaction, protocol, length, unit = _HEADER.unpack_from(buffer, start)
    if protocol != 0 or not _LENGTH_MIN <= length <= _LENGTH_MAX:
        raise FrameError(
            f"not Modbus TCP: found protocol id {protocol}, length {length}; "
            f"expected 0 and {_LENGTH_MIN} to {_LENGTH_MAX}"
        )
    end = start + 6 + length
    if len(buffer) < end:
        return None
    return Frame(transaction, unit, buffer[start + _HEADER.size : end], end)
