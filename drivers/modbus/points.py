"""What the site file and profiles say of one value of a Modbus device, and of writing it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal, Self, get_args

from pydantic import AfterValidator, BeforeValidator, Field, FiniteFloat, WithJsonSchema, model_validator

from drivers.config import Duration, Name, Section
from drivers.modbus.codec import Order, Register, Type, bits_of, encode, sentinel, sentinel_bounds
from drivers.modbus.pdu import BIT_SPACES, MAX_READ_REGISTERS, Space

_ADDRESS_MAX = 0xFFFF
WriteFunction = Literal[5, 6, 15, 16]
_COIL_FUNCTIONS = (5, 15)


Memory = Literal["ram", "flash"]


@dataclass(frozen=True, slots=True)
class Held:
    """A register, the words that it has to hold, and what keeps them there."""

    register: Register
    words: tuple[int, ...]
    memory: Memory


@dataclass(frozen=True, slots=True)
class RegisterAddress:
    """`address` is the one on the wire, from 0; a document's 40053 is often `holding:52`."""

    space: Space
    address: int


def parse_register(text: object) -> RegisterAddress:
    """
    >>> parse_register("input:52")
    RegisterAddress(space='input', address=52)
    """
    match = re.fullmatch(r"(\w+):(\d{1,5})", text) if isinstance(text, str) else None
    space = next((space for space in get_args(Space) if match and match[1] == space), None)
    if match is None or space is None or int(match[2]) > _ADDRESS_MAX:
        raise ValueError(
            f"should be holding:N, input:N, coil:N or discrete:N with the wire address N from 0 to {_ADDRESS_MAX}, "
            f"found {text!r}"
        )
    return RegisterAddress(space, int(match[2]))


def parse_bits(text: object) -> tuple[int, int]:
    """
    The lowest and the highest bit, counted from 0 at the least significant one.

    >>> parse_bits("4"), parse_bits("0-3")
    ((4, 4), (0, 3))
    """
    match = re.fullmatch(r"(\d{1,2})(?:-(\d{1,2}))?", str(text))
    lowest, highest = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
    if lowest > highest:
        raise ValueError(f"should be a bit like 4, or the lowest and the highest bit like 0-3, found {text!r}")
    return lowest, highest


def _parse_key(text: object) -> object:
    """A key of a YAML mapping is text; documents often write a state as 0x0200."""
    try:
        return int(text, 0) if isinstance(text, str) else text
    except ValueError:
        raise ValueError(f"should be a whole number like 3 or 0x0200, found {text!r}") from None


def _positive(seconds: float) -> float:
    if seconds <= 0:
        raise ValueError("should be longer than 0")
    return seconds


Period = Annotated[Duration, AfterValidator(_positive)]
_At = Annotated[
    RegisterAddress,
    BeforeValidator(parse_register),
    WithJsonSchema(
        {"type": "string", "pattern": r"^(holding|input|coil|discrete):\d{1,5}$", "examples": ["holding:52"]}
    ),
]
_Bits = Annotated[
    tuple[int, int],
    BeforeValidator(parse_bits),
    WithJsonSchema({"type": ["string", "integer"], "pattern": r"^\d{1,2}(-\d{1,2})?$", "examples": ["4", "0-3"]}),
]
_Number = Annotated[int, BeforeValidator(_parse_key)]


class Step(Section):
    """A register that has to hold a value before a set-point acts, or for it to act no more."""

    at: _At = Field(alias="register", description="A holding register or coil.")
    type: Type | None = Field(default=None, description="How the value is coded; left out for a coil.")
    order: Order | None = Field(default=None, description="Order of the bytes; left out: that of the point.")
    value: FiniteFloat = Field(description="What it has to hold, as a raw number.")
    memory: Memory | None = Field(default=None, description="What keeps it: ram or flash; left out: as the point's.")

    def held(self, name: str, order: Order, memory: Memory) -> Held:
        """
        Raises:
            ValueError: The value does not fit its type; the text says what is accepted.
        """
        kind: Type = self.type or "bool"
        register = Register(
            point=name, space=self.at.space, address=self.at.address, type=kind, order=self.order or order
        )
        return Held(register, encode(register, self.value), self.memory or memory)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        space = self.at.space
        if space in ("input", "discrete"):
            raise ValueError(f"register should be a holding register or a coil: a {space} cannot be written")
        if self.type != "bool" and (self.type is None) != (space == "coil"):
            accepted = "bool" if space == "coil" else "that of a number"
            raise ValueError(f"type should be {accepted} for a {space}, found {self.type or 'none'}")
        if self.type == "string":
            raise ValueError("type should be that of a number, found string")
        if (end := self.held("", "ABCD", "ram").register.end) > _ADDRESS_MAX + 1:
            raise ValueError(f"register should end at {_ADDRESS_MAX}, found that {self.type} needs {end - 1}")
        return self


class Write(Section):
    """How a point is written, and what makes it act."""

    function: WriteFunction | None = Field(
        default=None,
        description="6 or 16 for registers, 5 or 15 for a coil. Left out: 6 for one register, 16 for several, 5.",
    )
    tolerance: FiniteFloat | None = Field(
        default=None,
        ge=0,
        description="How far the read-back may be off, in the point's unit. Left out: half a raw step.",
    )
    settle: Duration = Field(default=0.0, description="Time within which the device shows what was written.")
    memory: Memory = Field(
        default="ram", description="flash wears out: it is written only when the value differs, so often a day at most."
    )
    daily_writes: int = Field(
        default=50, ge=1, description="How often a day (UTC) each flash register of the point and its steps is written."
    )
    refresh: Period | None = Field(
        default=None, description="The device's own watchdog: the set-point has to be written again this often."
    )
    before: list[Step] = Field(
        default_factory=list, description="Written before the value, in this order, each only if it differs."
    )
    release: list[Step] = Field(
        default_factory=list, description="What takes the set-point out of force; written in this order."
    )


class ModbusPoint(Section):
    """One value: where it stands, and `value = raw * scale + offset` in `unit`."""

    name: Name
    at: _At = Field(alias="register", description="Where it stands, by its wire address, which counts from 0.")
    type: Type | None = Field(default=None, description="How it is coded; left out for a coil or discrete input.")
    order: Order = Field(default="ABCD", description="Order of the bytes on the wire; A is the most significant.")
    unit: str = ""
    scale: FiniteFloat = 1.0
    offset: FiniteFloat = 0.0
    poll: Period | None = Field(default=None, description="How often it is read; left out: as often as the device.")
    access: Literal["read", "write", "read-write"] = "read"
    not_implemented: int | None = Field(
        default=None, description="The raw number, or its bits like 0x8000, by which the device says: no value."
    )
    length: int | None = Field(
        default=None, ge=1, le=MAX_READ_REGISTERS, description="Registers of a string, two characters each."
    )
    bits: _Bits | None = Field(
        default=None,
        description="One bit (true or false) or a range (a number) of an unsigned integer; 0 is the lowest.",
    )
    enumeration: dict[_Number, str] | None = Field(default=None, min_length=1, description="The words for its numbers.")
    max_step: FiniteFloat | None = Field(
        default=None, gt=0, description="A larger step from one read to the next is uncertain until a read confirms it."
    )
    stuck_after: Period | None = Field(
        default=None,
        description="It stands still this long only when the device is frozen: uncertain from then on until it moves.",
    )
    write: Write | None = Field(default=None, description="How it is written.")

    @property
    def readable(self) -> bool:
        return self.access != "write"

    @property
    def writable(self) -> bool:
        return self.access != "read"

    def register_of(self, device: str) -> Register:
        """The register behind this point of a device, for the codec."""
        kind: Type = self.type or "bool"
        missing = None if self.not_implemented is None else sentinel(kind, self.not_implemented)
        return Register(
            point=f"{device}.{self.name}",
            space=self.at.space,
            address=self.at.address,
            type=kind,
            order=self.order,
            scale=self.scale,
            offset=self.offset,
            not_implemented=missing,
            length=self.length or 1,
            bits=self.bits,
            enumeration=self.enumeration,
        )

    def sequence(self, device: str, which: Literal["before", "release"]) -> tuple[Held, ...]:
        """The registers written before the value, or in its place to release it, under names that no point has."""
        if self.write is None:
            return ()
        steps: list[Step] = getattr(self.write, which)
        return tuple(
            step.held(f"{device}.{self.name} {which} {number}", self.order, self.write.memory)
            for number, step in enumerate(steps, 1)
        )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        for mistake in (*_type_mistakes(self), *_meaning_mistakes(self), *_write_mistakes(self)):
            raise ValueError(mistake)
        if (end := self.register_of("").end) > _ADDRESS_MAX + 1:
            raise ValueError(f"register should end at {_ADDRESS_MAX}, found that {self.type} needs {end - 1}")
        return self


def _type_mistakes(point: ModbusPoint) -> Iterator[str]:
    space, kind = point.at.space, point.type
    if kind is None and space not in BIT_SPACES:
        yield f"type should be one of {', '.join(get_args(Type))} for a {space} register, found none"
    if space in BIT_SPACES and kind not in (None, "bool"):
        yield f"type should be bool for a {space}, found {kind}"
    if kind == "string" and point.length is None:
        yield "length should be the number of registers of the string, found none"
    if kind != "string" and point.length is not None:
        yield f"length should be left out: it is for a string, found type {kind or 'bool'}"
    if kind == "string" and point.order not in ("ABCD", "BADC"):
        yield f"order should be ABCD, or BADC for a string whose characters are swapped, found {point.order}"


def _meaning_mistakes(point: ModbusPoint) -> Iterator[str]:
    kind: Type = point.type or "bool"
    if point.scale == 0:
        yield "scale should not be 0"
    plain = f"a {kind}" if kind in ("string", "bool") else _given(point, "bits", "enumeration")
    if plain and (point.scale, point.offset) != (1.0, 0.0):
        yield f"{plain} should have no scale and offset, found {point.scale:g} and {point.offset:g}"
    if point.bits is not None and (not kind.startswith("uint") or point.bits[1] >= bits_of(kind)):
        yield f"bits should be within an unsigned integer, found {point.bits[0]}-{point.bits[1]} of {kind}"
    if point.enumeration is not None and "int" not in kind:
        yield f"enumeration should be of an integer, found {kind}"
    if point.max_step is not None and (plain or point.writable):
        yield "max_step should be left out: it is for numbers that are only read"
    if point.stuck_after is not None and point.writable:
        yield "stuck_after should be left out: it is for values that are only read, a set-point may stand"
    if point.not_implemented is not None:
        if kind == "string":
            yield "not_implemented should be left out: a string without characters is no value"
            return
        lowest, highest = sentinel_bounds(kind)
        if not lowest <= point.not_implemented <= highest:
            yield f"not_implemented should be {lowest} to {highest}, found {point.not_implemented}"


def _write_mistakes(point: ModbusPoint) -> Iterator[str]:
    space = point.at.space
    if point.writable and space in ("input", "discrete"):
        yield f"access should be read: a {space} cannot be written, found {point.access}"
    if point.writable and point.type == "string":
        yield f"access should be read: a string cannot be written, found {point.access}"
    if point.access == "write" and point.bits is not None:
        yield "access should be read-write: to write bits, the register is read, changed and written"
    words = list((point.enumeration or {}).values())
    if point.writable and (twice := next((word for word in words if words.count(word) > 1), None)):
        yield f"enumeration should have each word once in order to be written, found {twice!r} again"
    write = point.write
    if write is None:
        return
    if not point.writable:
        yield f"write should be left out, or access be write or read-write, found {point.access}"
    if write.function is not None and (write.function in _COIL_FUNCTIONS) != (space == "coil"):
        accepted = "5 or 15 for a coil" if space == "coil" else "6 or 16 for a holding register"
        yield f"write.function should be {accepted}, found {write.function}"
    if write.function == 6 and (size := point.register_of("").size) > 1:
        yield f"write.function should be 16: {point.type} has {size} registers, and 6 writes one"
    if write.memory == "flash" and not point.readable:
        yield "access should be read-write: a flash register is written only when it is seen to differ"


def _given(point: ModbusPoint, *names: str) -> str:
    """What the point is by the first of these keys that it has; empty when it has none."""
    return next((f"a point with {name}" for name in names if getattr(point, name) is not None), "")
