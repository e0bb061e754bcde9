"""What the site file says of a Modbus device."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Literal, Self, get_args
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    FiniteFloat,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from drivers.config import DeviceConfig, Duration, Name, Section
from drivers.modbus.codec import Order, Register, Type, sentinel, sentinel_bounds
from drivers.modbus.pdu import BIT_SPACES, Space

DEFAULT_PORT = 502
_ADDRESS_MAX = 0xFFFF


def parse_endpoint(text: str) -> tuple[str, int]:
    """
    Host and port of `tcp://host[:port]`.

    >>> parse_endpoint("tcp://192.168.1.20")
    ('192.168.1.20', 502)
    """
    scheme, separator, _ = text.partition("://")
    if separator and scheme in ("rtu", "rtu-over-tcp", "tls"):
        raise ValueError(f"should be tcp://host:port, found {text}; {scheme} is not supported")
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or parts.scheme != "tcp" or parts.path or parts.query or parts.fragment or parts.username is not None:
        raise ValueError(f"should be tcp://host:port, found {text}")
    if port == 0:
        raise ValueError(f"should have a port between 1 and 65535, found {text}")
    return host, port or DEFAULT_PORT


def _checked_endpoint(text: str) -> str:
    parse_endpoint(text)
    return text


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


class ModbusDevice(DeviceConfig):
    """A unit behind a Modbus TCP endpoint; `profile: sunspec` reads its points from the device itself."""

    driver: Literal["modbus"]
    endpoint: Annotated[str, AfterValidator(_checked_endpoint)]
    unit: int = Field(default=1, ge=0, le=255)
    profile: str | None = None
    poll: Period = 1.0
    timeout: Period = 1.0
    points: list[ModbusPoint] = Field(default_factory=list)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        return parse_endpoint(self.endpoint)

    @property
    def sunspec(self) -> bool:
        return self.profile == "sunspec"

    def poll_of(self, point: ModbusPoint) -> float:
        """Seconds between two reads of a point."""
        return self.poll if point.poll is None else point.poll

    @field_validator("points")
    @classmethod
    def _each_name_once(cls, points: list[ModbusPoint]) -> list[ModbusPoint]:
        seen: dict[str, int] = {}
        for index, point in enumerate(points):
            if point.name in seen:
                raise ValueError(
                    f"should have each name once, found {point.name!r} at {index} again (first at {seen[point.name]})"
                )
            seen[point.name] = index
        return points

    @model_validator(mode="after")
    def _has_points(self) -> Self:
        if not self.points and not self.sunspec:
            raise ValueError("should have points or a profile (sunspec asks the device for its points), found neither")
        return self
