"""What the site file and profiles say of one value of a Modbus device."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Literal, Self, get_args

from pydantic import AfterValidator, BeforeValidator, Field, FiniteFloat, WithJsonSchema, model_validator

from drivers.config import Duration, Name, Section
from drivers.modbus.codec import Order, Register, Type, sentinel, sentinel_bounds
from drivers.modbus.pdu import BIT_SPACES, Space

_ADDRESS_MAX = 0xFFFF


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


def _positive(seconds: float) -> float:
    if seconds <= 0:
        raise ValueError("should be longer than 0")
    return seconds


Period = Annotated[Duration, AfterValidator(_positive)]


class ModbusPoint(Section):
    """One value: where it stands, and `value = raw * scale + offset` in `unit`."""

    name: Name
    at: Annotated[
        RegisterAddress,
        BeforeValidator(parse_register),
        WithJsonSchema(
            {"type": "string", "pattern": r"^(holding|input|coil|discrete):\d{1,5}$", "examples": ["holding:52"]}
        ),
    ] = Field(alias="register")
    type: Type | None = None
    order: Order = "ABCD"
    unit: str = ""
    scale: FiniteFloat = 1.0
    offset: FiniteFloat = 0.0
    poll: Period | None = None
    access: Literal["read", "write", "read-write"] = "read"
    not_implemented: int | None = None

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
        )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        space = self.at.space
        bit = space in BIT_SPACES
        if self.type is None and not bit:
            raise ValueError(f"type should be one of {', '.join(get_args(Type))} for a {space} register, found none")
        if bit and self.type not in (None, "bool"):
            raise ValueError(f"type should be bool for a {space}, found {self.type}")
        if self.scale == 0:
            raise ValueError("scale should not be 0")
        if self.type in (None, "bool") and (self.scale, self.offset) != (1.0, 0.0):
            raise ValueError(f"a bool should have no scale and offset, found {self.scale:g} and {self.offset:g}")
        if self.writable and space in ("input", "discrete"):
            raise ValueError(f"access should be read: a {space} cannot be written, found {self.access}")
        if self.not_implemented is not None:
            lowest, highest = sentinel_bounds(self.type or "bool")
            if not lowest <= self.not_implemented <= highest:
                raise ValueError(f"not_implemented should be {lowest} to {highest}, found {self.not_implemented}")
        if (end := self.register_of("").end) > _ADDRESS_MAX + 1:
            raise ValueError(f"register should end at {_ADDRESS_MAX}, found that {self.type} needs {end - 1}")
        return self
