"""
Fields of SunSpec models: from a model's bytes to its values. Pure; offsets count from a model's ID register.

Values are big-endian; an integer's scale factor stands in a register of its own, and is a power of ten from -10 to 10.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from math import isfinite
from typing import Literal, NamedTuple

Kind = Literal["int16", "uint16", "int32", "uint32", "uint64", "acc32", "acc64", "float32"]
"""Enumerations and bit fields are unsigned integers of their size."""

FORMAT: dict[Kind, str] = {
    "int16": "h",
    "uint16": "H",
    "int32": "i",
    "uint32": "I",
    "uint64": "Q",
    "acc32": "I",
    "acc64": "Q",
    "float32": "f",
}
NOT_IMPLEMENTED: dict[Kind, int] = {
    "int16": -(2**15),
    "uint16": 2**16 - 1,
    "int32": -(2**31),
    "uint32": 2**32 - 1,
    "uint64": 2**64 - 1,
    "acc32": 0,
    "acc64": 0,
}
SCALE_MAX = 10
"""A scale factor beyond it is a broken register, not a unit."""


class Field(NamedTuple):
    """
    One value of a model: its number times ten to its scale factor and `exponent`, and `plus` of an enumeration.

    `sf` is the offset of its scale factor, 0 for none; `exponent` and `plus` turn its unit into ours.
    """

    name: str
    unit: str
    offset: int
    kind: Kind
    sf: int = 0
    exponent: int = 0
    plus: int = 0

    @property
    def end(self) -> int:
        return max(self.offset + size_of(self.kind), self.sf + 1)

    @property
    def counts(self) -> bool:
        """Whether its 0 is both "not implemented" and the first number of a counter: nobody can tell which."""
        return self.kind in ("acc32", "acc64")


class Counter(NamedTuple):
    """A number of `registers` at a wire address that is counted up, as the SunSpec model calls it."""

    name: str
    address: int
    registers: int


def size_of(kind: Kind) -> int:
    """Registers of one value."""
    return struct.calcsize(">" + FORMAT[kind]) // 2


def scaled(raw: float, exponent: int) -> float:
    """
    `raw` times ten to the `exponent`, to the nearest number.

    >>> scaled(-1234, -1), scaled(1234, 1)
    (-123.4, 12340.0)
    """
    return raw * 10.0**exponent if exponent >= 0 else raw / 10.0**-exponent


def scale_factor(word: int) -> int | None:
    """
    The exponent in a scale factor's register; None when it is not implemented or cannot be one.

    >>> scale_factor(0xFFFE), scale_factor(0x8000)
    (-2, None)
    """
    exponent = word - 0x10000 if word & 0x8000 else word
    return exponent if -SCALE_MAX <= exponent <= SCALE_MAX else None


def reader(fields: Sequence[Field]) -> Callable[[bytes], list[float | None]]:
    """
    Compiled once for a model: its bytes from the ID register on to the values of `fields`, None where not implemented.
    """
    slots = sorted(
        {(each.offset, FORMAT[each.kind]) for each in fields} | {(each.sf, "h") for each in fields if each.sf}
    )
    form, at = ">", 0
    for offset, letter in slots:
        form += f"{2 * (offset - at)}x{letter}"
        at = offset + struct.calcsize(">" + letter) // 2
    unpack = struct.Struct(form).unpack_from
    index = {offset: position for position, (offset, _) in enumerate(slots)}
    wanted = [
        (
            index[each.offset],
            NOT_IMPLEMENTED.get(each.kind),
            index[each.sf] if each.sf else None,
            each.exponent,
            each.plus,
        )
        for each in fields
    ]

    def read(data: bytes) -> list[float | None]:
        raws = unpack(data)
        values: list[float | None] = []
        for position, missing, sf, exponent, plus in wanted:
            raw = raws[position]
            power = raws[sf] if sf is not None else 0
            usable = raw != missing and isfinite(raw) and -SCALE_MAX <= power <= SCALE_MAX
            values.append(scaled(raw, power + exponent) + plus if usable else None)
        return values

    return read


def value_of(field: Field, data: bytes) -> float | None:
    """One field from a model's bytes; None where the device does not implement it, or its model ends before it."""
    return reader([field])(data)[0] if 2 * field.end <= len(data) else None


def text_of(data: bytes) -> str:
    """A string of a model, without its padding."""
    return data.partition(b"\0")[0].decode("utf-8", "replace").strip()
