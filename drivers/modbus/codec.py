"""
Register words and bits to values, and values to words. Pure.

Letters name bytes from the most significant one: a float32 of 230.5 is `43 66 80 00` on the wire in order ABCD,
`80 00 43 66` in CDAB, `66 43 00 80` in BADC and `00 80 66 43` in DCBA. Longer types follow the same rule: CDAB reverses
the words, BADC the bytes in each word, DCBA both.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isclose, isfinite
from operator import itemgetter
from typing import Literal

from drivers.modbus.pdu import BIT_SPACES, Space
from gateway.model import Setting, Value

Type = Literal[
    "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64", "bcd16", "bcd32", "bool", "string"
]
Order = Literal["ABCD", "CDAB", "BADC", "DCBA"]

_FORMAT: dict[Type, str] = {
    "int16": "h",
    "uint16": "H",
    "int32": "i",
    "uint32": "I",
    "int64": "q",
    "uint64": "Q",
    "float32": "f",
    "float64": "d",
    "bcd16": "H",
    "bcd32": "I",
    "bool": "H",
    "string": "s",
}
_FLOAT32_REL = 2.0**-23  # one step of a float32's fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class Register:
    """
    Where a value stands in a device and what it means: `value = raw * scale + offset`.

    `address` is the wire address, from 0. `not_implemented` is the raw number by which the device says "no value".
    `length` is that of a string, in registers. `bits` are the lowest and the highest bit that are meant of an unsigned
    integer; `enumeration` the words for its numbers. A value with either has no scale.
    """

    point: str
    space: Space
    address: int
    type: Type
    order: Order = "ABCD"
    scale: float = 1.0
    offset: float = 0.0
    not_implemented: float | int | None = None
    length: int = 1
    bits: tuple[int, int] | None = None
    enumeration: Mapping[int, str] | None = None

    @property
    def bit(self) -> bool:
        return self.space in BIT_SPACES

    @property
    def form(self) -> str:
        """As `struct` names it, without the byte order."""
        return f"{2 * self.length}s" if self.type == "string" else _FORMAT[self.type]

    @property
    def size(self) -> int:
        """Registers, or bits of a coil or discrete space."""
        return 1 if self.bit else struct.calcsize(">" + self.form) // 2

    @property
    def end(self) -> int:
        return self.address + self.size


Raw = float | int | bytes
Decoder = Callable[[bytes], list[Value | None]]
"""The data of an answer to the values in it, in the order of their registers; None where the device gives none."""


def bits_of(type_: Type) -> int:
    """
    How many bits a number of this type has.

    >>> bits_of("uint32")
    32
    """
    return 8 * struct.calcsize(">" + _FORMAT[type_])


def raw_bounds(type_: Type) -> tuple[int, int]:
    """
    What an integer type can hold; of a BCD type, its decimal number.

    >>> raw_bounds("int16"), raw_bounds("bcd16")
    ((-32768, 32767), (0, 9999))
    """
    bits = bits_of(type_)
    if type_.startswith("bcd"):
        return 0, 10 ** (bits // 4) - 1
    return (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if type_.startswith("int") else (0, 2**bits - 1)


def sentinel_bounds(type_: Type) -> tuple[int, int]:
    """Which numbers may be given for "no value": what the type holds, or its bits read as an unsigned number."""
    return min(raw_bounds(type_)[0], 0), 2 ** bits_of(type_) - 1


def sentinel(type_: Type, bits: int) -> float | int:
    """
    The raw number of a bit pattern, so that `0x8000` of an int16 may be written as the device's document writes it.

    >>> sentinel("int16", 0x8000)
    -32768
    """
    if bits < 0:
        return bits
    raw: float | int = struct.unpack(">" + _FORMAT[type_], bits.to_bytes(bits_of(type_) // 8, "big"))[0]
    return raw


def decoder(registers: Sequence[Register], start: int) -> Decoder:
    """Compiled once for a request that begins at the wire address `start`; one unpack an answer."""
    if registers[0].bit:
        offsets = [register.address - start for register in registers]
        return lambda data: [bool(data[offset >> 3] >> (offset & 7) & 1) for offset in offsets]
    unpack = struct.Struct(">" + "".join(register.form for register in registers)).unpack
    converters = [_converter(register) for register in registers]
    positions = [at for register in registers for at in _positions(register, start)]
    if positions == list(range(2 * (registers[-1].end - start))):
        return lambda data: [convert(raw) for convert, raw in zip(converters, unpack(data), strict=True)]
    gather = itemgetter(*positions)  # two positions at least: every type has two bytes
    return lambda data: [convert(raw) for convert, raw in zip(converters, unpack(bytes(gather(data))), strict=True)]


def encode(register: Register, value: Setting) -> tuple[int, ...]:
    """
    The words to write for a value; a coil is one word, 0 or 1.

    One of an enumeration is named by its word or its number. Of a register with `bits` only those bits are in the
    words: `merged` adds the others.

    Raises:
        ValueError: The value is not finite or does not fit; the text says what is accepted.
    """
    number = _number(register, value)
    if register.type == "bool":
        return (_whole(number, 1),)
    if register.bits is not None:
        lowest, highest = register.bits
        whole = _whole(number, 2 ** (highest - lowest + 1) - 1)
        return _words(register, struct.pack(">" + register.form, whole << lowest))
    return _words(register, _pack(register, number, (number - register.offset) / register.scale))


def merged(register: Register, words: Sequence[int], data: bytes) -> tuple[int, ...]:
    """
    The words to write into a register that holds `data`, so that its other bits stay; all are `words` without `bits`.

    Raises:
        ValueError: The register holds no value, so that its other bits mean nothing.
    """
    if register.bits is None:
        return tuple(words)
    stood, wanted, mask = _content(register, data), _content(register, _data(words)), _mask(register)
    if stood == register.not_implemented:
        raise ValueError("the register holds the device's word for no value, of which no bit can be changed")
    return _words(register, struct.pack(">" + register.form, stood & ~mask | wanted & mask))


def same_raw(register: Register, words: Sequence[int], data: bytes) -> bool:
    """
    Whether an answer's data holds the words' number: exactly for integers, within one step of a float's fraction.

    Of a register with `bits` only those count.
    """
    if register.bit:
        return data[0] & 1 == words[0]
    if register.bits is not None:
        return (_content(register, _data(words)) ^ _content(register, data)) & _mask(register) == 0
    written, held = _unpack(register, _data(words)), _unpack(register, data)
    if isinstance(written, float) and isinstance(held, float):
        return isclose(written, held, rel_tol=_FLOAT32_REL)
    return written == held


def decode_words(register: Register, words: Sequence[int]) -> Value | None:
    """The value of one register from its words."""
    return _converter(register)(_unpack(register, _data(words)))


def _number(register: Register, value: Setting) -> float:
    """The number that a value stands for."""
    if register.enumeration is not None:
        for number, word in register.enumeration.items():
            if value in (number, word):
                return number
        accepted = ", ".join(f"{word} ({number})" for number, word in register.enumeration.items())
        raise ValueError(f"accepted is one of {accepted}; found {value}")
    if isinstance(value, str) or not isfinite(value):
        raise ValueError(f"accepted is a finite number, found {value}")
    return value


def _whole(value: float, highest: int) -> int:
    if not 0 <= value <= highest or value != int(value):
        accepted = "0 or 1" if highest == 1 else f"a whole number from 0 to {highest}"
        raise ValueError(f"accepted is {accepted}, found {value:g}")
    return int(value)


def _pack(register: Register, value: float, raw: float) -> bytes:
    form = ">" + register.form
    if register.type.startswith("float"):
        try:
            return struct.pack(form, raw)
        except OverflowError:
            raise ValueError(f"accepted is what a {register.type} holds, found {value:g}") from None
    lowest, highest = raw_bounds(register.type)
    if not lowest <= round(raw) <= highest:
        edges = sorted(edge * register.scale + register.offset for edge in (lowest, highest))
        raise ValueError(f"accepted is {edges[0]:g} to {edges[1]:g}, found {value:g}")
    content = int(str(round(raw)), 16) if register.type.startswith("bcd") else round(raw)
    if content == register.not_implemented:
        raise ValueError(f"{value:g} is the device's word for no value")
    return struct.pack(form, content)


def _words(register: Register, data: bytes) -> tuple[int, ...]:
    """The words for a number whose bytes begin with the most significant one."""
    return struct.unpack(f">{register.size}H", _ordered(register, data))


def _ordered(register: Register, data: bytes) -> bytes:
    """From the order of the wire to the most significant byte first, and back: each order is its own inverse."""
    return bytes(data[at] for at in _positions(register, register.address))


def _data(words: Sequence[int]) -> bytes:
    return struct.pack(f">{len(words)}H", *words)


def _unpack(register: Register, data: bytes) -> Raw:
    raw: Raw = struct.unpack(">" + register.form, _ordered(register, data))[0]
    return raw


def _content(register: Register, data: bytes) -> int:
    """All bits of an unsigned integer."""
    return int.from_bytes(_ordered(register, data), "big")


def _mask(register: Register) -> int:
    lowest, highest = register.bits or (0, bits_of(register.type) - 1)
    return (2 << highest) - (1 << lowest)


def _positions(register: Register, start: int) -> list[int]:
    """Where the bytes of a register stand in the answer, most significant first; each order is its own inverse."""
    base = 2 * (register.address - start)
    words = [(base + 2 * index, base + 2 * index + 1) for index in range(register.size)]
    if register.order in ("CDAB", "DCBA"):
        words.reverse()
    if register.order in ("BADC", "DCBA"):
        words = [(low, high) for high, low in words]
    return [at for word in words for at in word]


def _converter(register: Register) -> Callable[..., Value | None]:
    """What one unpacked number, or the bytes of a text, mean."""
    missing = register.not_implemented
    if register.type == "string":
        return _text
    if register.type == "bool":
        return lambda raw: None if raw == missing else raw != 0
    if register.bits is not None or register.enumeration is not None:
        return _part(register)
    if register.type.startswith("bcd"):
        scaling = _scaling(register.scale, register.offset, None)
        return lambda raw: scaling(int(f"{raw:x}")) if raw != missing and f"{raw:x}".isdecimal() else None
    if register.scale == 1 and register.offset == 0 and not register.type.startswith("float"):
        return lambda raw: None if raw == missing else raw
    return _scaling(register.scale, register.offset, missing)


def _text(raw: bytes) -> str | None:
    """Up to the first NUL, without blanks around it; a device that leaves it empty gives no value."""
    return raw.partition(b"\0")[0].decode("utf-8", "replace").strip() or None


def _part(register: Register) -> Callable[[int], Value | None]:
    missing, words = register.not_implemented, register.enumeration
    lowest, highest = register.bits or (0, bits_of(register.type) - 1)
    mask = 2 ** (highest - lowest + 1) - 1 if register.bits else -1  # -1 keeps the sign of a whole number
    if words is not None:
        return lambda raw: None if raw == missing else words.get(number := raw >> lowest & mask, number)
    if lowest == highest:
        return lambda raw: None if raw == missing else bool(raw >> lowest & 1)
    return lambda raw: None if raw == missing else raw >> lowest & mask


def _scaling(scale: float, offset: float, missing: float | None) -> Callable[[float], float | None]:
    divisor = round(1 / scale) if abs(scale) < 1 else 0
    if divisor and 1 / divisor == scale:
        # 3 / 10 is the nearest number to 0.3, 3 * 0.1 is not.
        def convert(raw: float) -> float | None:
            return None if raw == missing or not isfinite(value := raw / divisor + offset) else value
    else:

        def convert(raw: float) -> float | None:
            return None if raw == missing or not isfinite(value := raw * scale + offset) else value

    return convert
