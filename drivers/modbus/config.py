"""What the site file says of a Modbus device."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from drivers.config import DeviceConfig, Duration, Section
from drivers.modbus.endpoint import Endpoint, Network, SerialLine, parse_line
from drivers.modbus.pdu import MAX_READ_REGISTERS
from drivers.modbus.plan import GAP_MAX
from drivers.modbus.points import ModbusPoint, Period

RTU_UNIT_MAX = 247
"""Modbus over Serial Line, 2.2: 0 is everybody, who does not answer; what lies above is reserved."""


class Quirks(Section):
    """What a device needs to be left in peace; usually given by its profile."""

    pause_after_connect: Duration = Field(default=0.0, description="Wait so long after connecting before asking.")
    gap: Duration = Field(default=0.0, description="Leave so long between an answer and the next request.")
    max_registers: int = Field(
        default=MAX_READ_REGISTERS, ge=1, le=MAX_READ_REGISTERS, description="Registers of one request at most."
    )
    max_gap: int = Field(
        default=GAP_MAX,
        ge=0,
        le=MAX_READ_REGISTERS,
        description="Registers nobody asked for that a request may read over; 0 for a device with holes in its map.",
    )
    one_point: bool = Field(default=False, description="Ask for one point a request.")


class Tls(Section):
    """PEM files of Modbus/TCP Security: the authority behind the device's certificate, and our own with its key."""

    ca: Path
    certificate: Path
    key: Path


class ModbusDevice(DeviceConfig):
    """A unit behind a Modbus endpoint; `profile: sunspec` reads its points from the device itself."""

    driver: Literal["modbus"]
    endpoint: Endpoint
    tls: Tls | None = None
    unit: int = Field(default=1, ge=0, le=255)
    profile: str | None = None
    poll: Period = 1.0
    timeout: Period = 1.0
    points: list[ModbusPoint] = Field(default_factory=list)
    quirks: Quirks = Quirks()

    @property
    def line(self) -> Network | SerialLine:
        """Where the endpoint leads."""
        return parse_line(self.endpoint)

    @property
    def address(self) -> tuple[str, int | str]:
        """What the device shares with the others on its line: host and port, or `rtu` and the device file."""
        return self.line.address

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
    def _fits_its_line(self) -> Self:
        line = self.line
        secured = isinstance(line, Network) and line.transport == "tls"
        if secured and self.tls is None:
            raise ValueError("should have tls: {ca, certificate, key} for a tls:// endpoint, found none")
        if self.tls is not None and not secured:
            raise ValueError(f"should have tls with a tls:// endpoint only, found it with {self.endpoint}")
        if line.rtu and not 1 <= self.unit <= RTU_UNIT_MAX:
            raise ValueError(f"should have a unit from 1 to {RTU_UNIT_MAX} on a serial line, found {self.unit}")
        return self

    @model_validator(mode="after")
    def _has_points(self) -> Self:
        if not self.points and not self.sunspec:
            raise ValueError("should have points or a profile (sunspec asks the device for its points), found neither")
        return self
