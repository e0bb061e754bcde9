"""Amounts, rates and sizes of the site file: text with a unit in, numbers out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated

from pydantic import BeforeValidator, WithJsonSchema

_NUMBER = r"([+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)"
_PREFIXES = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9}
_SIZES = {"kB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_PER_S = {"s": 1.0, "min": 60.0, "h": 3600.0}

ADDRESS_PATTERN = r"^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+):\d{1,5}$"
"""Host and port."""

_AMOUNT = re.compile(rf"{_NUMBER}\s*(?:(%|°C|A|V|Hz|s)|([kMG]?)(W|Wh|var|varh|VA))?")
_POWER_AMOUNT = re.compile(rf"{_NUMBER}\s*(?:(%)|([kMG]?)(W))")
_VALUE_AMOUNT = re.compile(rf"{_NUMBER}\s*(?:(%)|([kMG]?)(W|var))")
_SHARE = re.compile(rf"{_NUMBER}\s*%")
_VOLTS = re.compile(rf"{_NUMBER}\s*([kM]?)V")
_APPARENT = re.compile(rf"{_NUMBER}\s*([kMG]?)VA")
_RATE = re.compile(rf"{_NUMBER}\s*(?:(%)|([kMG]?)(W))\s*/\s*(s|min|h)")
_SIZE = re.compile(rf"(\d+(?:\.\d+)?)\s*({'|'.join(_SIZES)})")


@dataclass(frozen=True, slots=True)
class Amount:
    """
    A number and its SI unit.

    `%` is of a base that is known elsewhere: a rated power, a nominal voltage. The empty unit is that of the point the
    amount is applied to. A rate is an amount a second.
    """

    value: float
    unit: str = ""

    def of(self, base: float) -> float:
        """
        The absolute value, where 100 % is *base*.

        >>> Amount(50, "%").of(60_000.0)
        30000.0
        >>> Amount(500, "W").of(60_000.0)
        500
        """
        return self.value / 100 * base if self.unit == "%" else self.value


def _amount(match: re.Match[str]) -> Amount:
    number, unit, prefix, prefixed = match.groups()[:4]
    return Amount(float(number) * _PREFIXES[prefix or ""], unit or prefixed or "")


def parse_deadband(given: object) -> Amount:
    """
    `0.5%`, `100W`, or a plain number in the unit of the point.

    >>> parse_deadband("2kW")
    Amount(value=2000.0, unit='W')
    >>> parse_deadband(0.1)
    Amount(value=0.1, unit='')
    """
    text = str(given) if isinstance(given, int | float) and not isinstance(given, bool) else given
    match = _AMOUNT.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None:
        raise ValueError("should be a share like 0.5%, a value with its unit like 100W, or a number")
    amount = _amount(match)
    if amount.value < 0:
        raise ValueError("should not be negative")
    return amount


def parse_power_limit(given: object) -> Amount:
    """`50%` of the rated power, or `30kW`; never negative."""
    match = _POWER_AMOUNT.fullmatch(given.strip()) if isinstance(given, str) else None
    if match is None:
        raise ValueError("should be a share like 50% or a power like 30kW")
    amount = _amount(match)
    if amount.value < 0:
        raise ValueError("should not be negative")
    return amount


def parse_share(given: object) -> float:
    """
    A share from 0 % to 100 %.

    >>> parse_share("30%")
    0.3
    """
    match = _SHARE.fullmatch(given.strip()) if isinstance(given, str) else None
    if match is None or not 0 <= float(match[1]) <= 100:
        raise ValueError("should be a share from 0% to 100%")
    return float(match[1]) / 100


def parse_power_value(given: object) -> Amount:
    """`50%` of the rated power, `-30kW` or `10kvar`; negative is consumption, or under-excited."""
    match = _VALUE_AMOUNT.fullmatch(given.strip()) if isinstance(given, str) else None
    if match is None:
        raise ValueError("should be a share like 50%, a power like -30kW or a reactive power like 10kvar")
    return _amount(match)


def parse_volts(given: object) -> float:
    match = _VOLTS.fullmatch(given.strip()) if isinstance(given, str) else None
    if match is None or float(match[1]) <= 0:
        raise ValueError("should be a voltage above 0, like 230V or 11.5kV")
    return float(match[1]) * _PREFIXES[match[2]]


def parse_apparent(given: object) -> float:
    match = _APPARENT.fullmatch(given.strip()) if isinstance(given, str) else None
    if match is None or float(match[1]) <= 0:
        raise ValueError("should be an apparent power above 0, like 66kVA")
    return float(match[1]) * _PREFIXES[match[2]]


def parse_ramp(given: object) -> Amount | None:
    """
    Amount a second from `10%/min`, `1%/s` or `500W/s`; None is unlimited.

    >>> parse_ramp("30%/min")
    Amount(value=0.5, unit='%')
    >>> parse_ramp("unlimited") is None
    True
    """
    if given == "unlimited":
        return None
    match = _RATE.fullmatch(given.strip()) if isinstance(given, str) else None
    if match is None:
        raise ValueError("should be unlimited, or a rate like 10%/min, 1%/s or 500W/s")
    amount = _amount(match)
    if amount.value <= 0:
        raise ValueError("should be greater than 0")
    return Amount(amount.value / _PER_S[match[5]], amount.unit)


def parse_size(given: object) -> int:
    """
    Bytes from `500MB` or `2GB` (powers of ten), or `2GiB` (powers of two).

    >>> parse_size("2GB")
    2000000000
    """
    match = _SIZE.fullmatch(given.strip()) if isinstance(given, str) else None
    if match is None:
        raise ValueError("should be a size like 500MB or 2GB")
    return int(float(match[1]) * _SIZES[match[2]])


def _text(pattern: str, example: str) -> dict[str, object]:
    return {"type": "string", "pattern": pattern, "examples": [example]}


_PLAIN = r"\d+(\.\d+)?\s*"

Deadband = Annotated[
    Amount,
    BeforeValidator(parse_deadband),
    WithJsonSchema(
        {
            "anyOf": [
                _text(rf"^{_PLAIN}(%|°C|A|V|Hz|s|[kMG]?(W|Wh|var|varh|VA))?$", "0.5%"),
                {"type": "number", "minimum": 0},
            ]
        }
    ),
]
PowerLimit = Annotated[
    Amount, BeforeValidator(parse_power_limit), WithJsonSchema(_text(rf"^{_PLAIN}(%|[kMG]?W)$", "50%"))
]
PowerValue = Annotated[
    Amount, BeforeValidator(parse_power_value), WithJsonSchema(_text(rf"^[+-]?{_PLAIN}(%|[kMG]?(W|var))$", "-30kW"))
]
Share = Annotated[float, BeforeValidator(parse_share), WithJsonSchema(_text(rf"^{_PLAIN}%$", "30%"))]
Volts = Annotated[float, BeforeValidator(parse_volts), WithJsonSchema(_text(rf"^{_PLAIN}[kM]?V$", "230V"))]
ApparentPower = Annotated[
    float, BeforeValidator(parse_apparent), WithJsonSchema(_text(rf"^{_PLAIN}[kMG]?VA$", "66kVA"))
]
RampRate = Annotated[
    Amount | None,
    BeforeValidator(parse_ramp),
    WithJsonSchema(_text(rf"^(unlimited|{_PLAIN}(%|[kMG]?W)\s*/\s*(s|min|h))$", "10%/min")),
]
Size = Annotated[int, BeforeValidator(parse_size), WithJsonSchema(_text(rf"^{_PLAIN}({'|'.join(_SIZES)})$", "2GB"))]
