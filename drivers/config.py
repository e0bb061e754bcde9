"""What the site file says of any device, and the words for durations and powers that all of its parts share."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

_DURATIONS_S = {"ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_POWERS = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9}
_NUMBER = r"([+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)"


def parse_duration(text: object) -> float:
    """
    Seconds from `250ms`, `1s`, `5min`, `1h` or `90d`; a bare number is refused, because its unit would be a guess.

    >>> parse_duration("250ms")
    0.25
    """
    match = re.fullmatch(rf"{_NUMBER}\s*(ms|s|min|h|d)", text.strip()) if isinstance(text, str) else None
    if match is None:
        raise ValueError("should be a duration with its unit, like 250ms, 1s, 5min or 1h")
    seconds = float(match[1]) * _DURATIONS_S[match[2]]
    if seconds < 0:
        raise ValueError("should not be negative")
    return seconds


def _parse_quantity(text: object, unit: str, examples: str) -> float:
    match = re.fullmatch(rf"{_NUMBER}\s*([kMG]?){unit}", text.strip()) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f"should be a value with its unit, like {examples}")
    return float(match[1]) * _POWERS[match[2]]


def parse_power(text: object) -> float:
    """
    Watts from `800W`, `60kW` or `1.5MW`.

    >>> parse_power("60kW")
    60000.0
    """
    return _parse_quantity(text, "W", "800W, 60kW or 1.5MW")


def parse_rated_power(text: object) -> float:
    watts = parse_power(text)
    if watts <= 0:
        raise ValueError("should be greater than 0")
    return watts


def _text_schema(pattern: str, example: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": pattern, "examples": [example]})


Duration = Annotated[float, BeforeValidator(parse_duration), _text_schema(r"^\d+(\.\d+)?\s*(ms|s|min|h|d)$", "1s")]
"""Seconds."""
RatedPower = Annotated[float, BeforeValidator(parse_rated_power), _text_schema(r"^\d+(\.\d+)?\s*[kMG]?W$", "60kW")]
"""Watts, above 0."""
Name = Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,63}$")]
"""A device id or point name: part of topics and of `<device>.<point>`."""

Role = Literal["pv", "battery", "meter", "load", "generator", "rtu", "substation"]


class Section(BaseModel):
    """One mapping of the site file: unknown keys are errors, and nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DeviceConfig(Section):
    """What every device has, whatever it speaks."""

    id: Name
    role: Role
    rated_power: RatedPower | None = None
    poll: Duration = 1.0
