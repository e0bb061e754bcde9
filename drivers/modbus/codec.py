"""
Register words and bits to values, and values to words. Pure.

Letters name bytes from the most significant one: a float32 of 230.5 is `43 66 80 00` on the wire in order ABCD,
`80 00 43 66` in CDAB, `66 43 00 80` in BADC and `00 80 66 43` in DCBA. Longer types follow the same rule: CDAB reverses
the words, BADC the bytes in each word, DCBA both.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isclose, isfinite
from operator import itemgetter
from typing import Literal

from drivers.modbus.pdu import BIT_SPACES, Space

Type = Literal["int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64", "bool"]
Order = Literal["ABCD", "CDAB", "BADC", "DCBA"]
Number = float | int | bool

_FORMAT: dict[Type, str] = {
    "int16": "h",
    "uint16": "H",
    "int32": "i",
    "uint32": "I",
    "int64": "q",
    "uint64": "Q",
    "float32": "f",
    "float64": "d",
    "bool": "H",
}
_FLOAT32_REL = 2.0**-23  # one step of a float32's fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class Register:
    """
    Where a value stands in a device and what it means: `value = raw * scale + offset`.

    `address` is the wire address, from 0. `not_implemented` is the raw number by which the device says "no value".
    """

    point: str
    space: Space
    address: int
    type: Type
    order: Order = "ABCD"
    scale: float = 1.0
    offset: float = 0.0
    not_implemented: float | int | None = None

    @property
    def bit(self) -> bool:
        return self.space in BIT_SPACES

    @property
    def size(self) -> int:
        """Registers, or bits of a coil or discrete space."""
        return 1 if self.bit else struct.calcsize(">" + _FORMAT[self.type]) // 2

    @property
    def end(self) -> int:
        return self.address + self.size


Decoder = Callable[[bytes], list[Number | None]]
"""The data of an answer to the values in it, in the order of their registers; None where the device gives none."""


def raw_bounds(type_: Type) -> tuple[int, int]:
    """
    What an integer type can hold.

    >>> raw_bounds("int16")
    (-32768, 32767)
    """
    bits = 8 * struct.calcsize(">" + _FORMAT[type_])
    return (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if type_.startswith("int") else (0, 2**bits - 1)


def sentinel_bounds(type_: Type) -> tuple[int, int]:
    """Which numbers may be given for "no value": what the type holds, or its bits read as an unsigned number."""
    return min(raw_bounds(type_)[0], 0), 2 ** (8 * struct.calcsize(">" + _FORMAT[type_])) - 1


def sentinel(type_: Type, bits: int) -> float | int:
    """
    The raw number of a bit pattern, so that `0x8000` of an int16 may be written as the device's document writes it.

    >>> sentinel("int16", 0x8000)
    -32768
    """
    if bits < 0:
        return bits
    size = struct.calcsize(">" + _FORMAT[type_])
    raw: float | int = struct.unpack(">" + _FORMAT[type_], bits.to_bytes(size, "big"))[0]
    return raw


def decoder(registers: Sequence[Register], start: int) -> Decoder:
    """Compiled once for a request that begins at the wire address `start`; one unpack an answer."""
    if registers[0].bit:
        offsets = [register.address - start for register in registers]
        return lambda data: [bool(data[offset >> 3] >> (offset & 7) & 1) for offset in offsets]
    unpack = struct.Struct(">" + "".join(_FORMAT[register.type] for register in registers)).unpack
    converters = [_converter(register) for register in registers]
    positions = [at for register in registers for at in _positions(register, start)]
    if positions == list(range(2 * (registers[-1].end - start))):
        return lambda data: [convert(raw) for convert, raw in zip(converters, unpack(data), strict=True)]
    gather = itemgetter(*positions)  # two positions at least: every type has two bytes
    return lambda data: [convert(raw) for convert, raw in zip(converters, unpack(bytes(gather(data))), strict=True)]


def encode(register: Register, value: float) -> tuple[int, ...]:
    """
    The words to write for a value; a coil is one word, 0 or 1.

    Raises:
        ValueError: The value is not finite or does not fit; the text says what is accepted.
    """
    if not isfinite(value):
        raise ValueError(f"accepted is a finite number, found {value}")
    if register.type == "bool":
        if value not in (0, 1):
            raise ValueError(f"accepted is 0 or 1, found {value:g}")
        return (int(value),)
    raw = (value - register.offset) / register.scale
    data = _pack(register, value, raw)
    ordered = bytes(data[at] for at in _positions(register, register.address))
    return struct.unpack(f">{register.size}H", ordered)


def same_raw(register: Register, words: Sequence[int], data: bytes) -> bool:
    """Whether an answer's data holds the words' number: exactly for integers, within one step of a float's fraction."""
    if register.bit:
        return data[0] & 1 == words[0]
    written, held = _unpack(register, struct.pack(f">{len(words)}H", *words)), _unpack(register, data)
    return isclose(written, held, rel_tol=_FLOAT32_REL) if register.type.startswith("float") else written == held


def decode_words(register: Register, words: Sequence[int]) -> Number | None:
    """The value of one register from its words."""
    return _converter(register)(_unpack(register, struct.pack(f">{len(words)}H", *words)))


def _pack(register: Register, value: float, raw: float) -> bytes:
    form = ">" + _FORMAT[register.type]
    if register.type.startswith("float"):
        try:
            return struct.pack(form, raw)
        except OverflowError:
            raise ValueError(f"accepted is what a {register.type} holds, found {value:g}") from None
    lowest, highest = raw_bounds(register.type)
    if not lowest <= round(raw) <= highest:
        edges = sorted(edge * register.scale + register.offset for edge in (lowest, highest))
        raise ValueError(f"accepted is {edges[0]:g} to {edges[1]:g}, found {value:g}")
    if round(raw) == register.not_implemented:
        raise ValueError(f"{value:g} is the device's word for no value")
    return struct.pack(form, round(raw))


def _unpack(register: Register, data: bytes) -> float | int:
    ordered = bytes(data[at] for at in _positions(register, register.address))
    raw: float | int = struct.unpack(">" + _FORMAT[register.type], ordered)[0]
    return raw


def _positions(register: Register, start: int) -> list[int]:
    """Where the bytes of a register stand in the answer, most significant first; each order is its own inverse."""
    base = 2 * (register.address - start)
    words = [(base + 2 * index, base + 2 * index + 1) for index in range(register.size)]
    if register.order in ("CDAB", "DCBA"):
        words.reverse()
    if register.order in ("BADC", "DCBA"):
        words = [(low, high) for high, low in words]
    return [at for word in words for at in word]


def _converter(register: Register) -> Callable[[Number], Number | None]:
    scale, offset, missing = register.scale, register.offset, register.not_implemented
    if register.type == "bool":
        return lambda raw: None if raw == missing else raw != 0
    if scale == 1 and offset == 0 and not register.type.startswith("float"):
        return lambda raw: None if raw == missing else raw
    divisor = round(1 / scale) if abs(scale) < 1 else 0
    if divisor and 1 / divisor == scale:
        # 3 / 10 is the nearest number to 0.3, 3 * 0.1 is not.
        def convert(raw: Number) -> Number | None:
            return None if raw == missing or not isfinite(value := raw / divisor + offset) else value
    else:

        def convert(raw: Number) -> Number | None:
            return None if raw == missing or not isfinite(value := raw * scale + offset) else value

    return convert
