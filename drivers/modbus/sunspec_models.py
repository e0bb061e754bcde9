"""
The SunSpec models dergate reads; offsets count from a model's ID register. Source: SunSpec Information Model Reference.

Values are big-endian; an integer's scale factor stands in a register of its own, and is a power of ten from -10 to 10.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from math import isfinite
from typing import Literal, NamedTuple

Kind = Literal["int16", "uint16", "acc32", "float32"]

_FORMAT: dict[Kind, str] = {"int16": "h", "uint16": "H", "acc32": "I", "float32": "f"}
_NOT_IMPLEMENTED: dict[Kind, float] = {"int16": -0x8000, "uint16": 0xFFFF, "acc32": 0}
SCALE_MAX = 10
"""A scale factor beyond it is a broken register, not a unit."""


class Field(NamedTuple):
    """
    One value of a model. `sf` is the offset of its scale factor, 0 for none; `exponent` turns its unit into ours.
    """

    name: str
    unit: str
    offset: int
    kind: Kind
    sf: int = 0
    exponent: int = 0

    @property
    def end(self) -> int:
        return max(self.offset + struct.calcsize(">" + _FORMAT[self.kind]) // 2, self.sf + 1)


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
        {(each.offset, _FORMAT[each.kind]) for each in fields} | {(each.sf, "h") for each in fields if each.sf}
    )
    form, at = ">", 0
    for offset, letter in slots:
        form += f"{2 * (offset - at)}x{letter}"
        at = offset + struct.calcsize(">" + letter) // 2
    unpack = struct.Struct(form).unpack_from
    index = {offset: position for position, (offset, _) in enumerate(slots)}
    wanted = [
        (index[each.offset], _NOT_IMPLEMENTED.get(each.kind), index[each.sf] if each.sf else None, each.exponent)
        for each in fields
    ]

    def read(data: bytes) -> list[float | None]:
        raws = unpack(data)
        values: list[float | None] = []
        for position, missing, sf, exponent in wanted:
            raw = raws[position]
            power = raws[sf] if sf is not None else 0
            usable = raw != missing and isfinite(raw) and -SCALE_MAX <= power <= SCALE_MAX
            values.append(scaled(raw, power + exponent) if usable else None)
        return values

    return read


def value_of(field: Field, data: bytes) -> float | None:
    """One field from a model's bytes; None where the device does not implement it, or its model ends before it."""
    return reader([field])(data)[0] if 2 * field.end <= len(data) else None


def text_of(data: bytes) -> str:
    """A string of a model, without its padding."""
    return data.partition(b"\0")[0].decode("utf-8", "replace").strip()


def _integers(kind: Kind, sf: int, unit: str, start: int, *names: str) -> tuple[Field, ...]:
    return tuple(Field(name, unit, start + index, kind, sf) for index, name in enumerate(names))


def _floats(unit: str, start: int, *names: str) -> tuple[Field, ...]:
    return tuple(Field(name, unit, start + 2 * index, "float32") for index, name in enumerate(names))


_INVERTER = (
    *_integers("uint16", 6, "A", 3, "current_l1", "current_l2", "current_l3"),
    *_integers("uint16", 13, "V", 7, "voltage_l12", "voltage_l23", "voltage_l31"),
    *_integers("uint16", 13, "V", 10, "voltage_l1", "voltage_l2", "voltage_l3"),
    Field("active_power", "W", 14, "int16", 15),
    Field("frequency", "Hz", 16, "uint16", 17),
    Field("apparent_power", "VA", 18, "int16", 19),
    Field("reactive_power", "var", 20, "int16", 21),
    Field("power_factor", "", 22, "int16", 23, exponent=-2),  # in percent
    Field("energy_export", "Wh", 24, "acc32", 26),
    Field("dc_current", "A", 27, "uint16", 28),
    Field("dc_voltage", "V", 29, "uint16", 30),
    Field("dc_power", "W", 31, "int16", 32),
    Field("temperature", "°C", 33, "int16", 37),
    Field("operating_state", "", 38, "uint16"),
)
_INVERTER_FLOAT = (
    *_floats("A", 4, "current_l1", "current_l2", "current_l3"),
    *_floats("V", 10, "voltage_l12", "voltage_l23", "voltage_l31", "voltage_l1", "voltage_l2", "voltage_l3"),
    Field("active_power", "W", 22, "float32"),
    Field("frequency", "Hz", 24, "float32"),
    Field("apparent_power", "VA", 26, "float32"),
    Field("reactive_power", "var", 28, "float32"),
    Field("power_factor", "", 30, "float32", exponent=-2),
    Field("energy_export", "Wh", 32, "float32"),
    Field("dc_current", "A", 34, "float32"),
    Field("dc_voltage", "V", 36, "float32"),
    Field("dc_power", "W", 38, "float32"),
    Field("temperature", "°C", 40, "float32"),
    Field("operating_state", "", 48, "uint16"),
)
_METER = (
    *_integers("int16", 6, "A", 3, "current_l1", "current_l2", "current_l3"),
    *_integers("int16", 15, "V", 8, "voltage_l1", "voltage_l2", "voltage_l3"),
    *_integers("int16", 15, "V", 12, "voltage_l12", "voltage_l23", "voltage_l31"),
    Field("frequency", "Hz", 16, "int16", 17),
    *_integers("int16", 22, "W", 18, "active_power", "active_power_l1", "active_power_l2", "active_power_l3"),
    Field("apparent_power", "VA", 23, "int16", 27),
    Field("reactive_power", "var", 28, "int16", 32),
    Field("power_factor", "", 33, "int16", 37, exponent=-2),
    Field("energy_export", "Wh", 38, "acc32", 54),
    Field("energy_import", "Wh", 46, "acc32", 54),
)
_METER_FLOAT = (
    *_floats("A", 4, "current_l1", "current_l2", "current_l3"),
    *_floats("V", 12, "voltage_l1", "voltage_l2", "voltage_l3"),
    *_floats("V", 20, "voltage_l12", "voltage_l23", "voltage_l31"),
    Field("frequency", "Hz", 26, "float32"),
    *_floats("W", 28, "active_power", "active_power_l1", "active_power_l2", "active_power_l3"),
    Field("apparent_power", "VA", 36, "float32"),
    Field("reactive_power", "var", 44, "float32"),
    Field("power_factor", "", 52, "float32", exponent=-2),
    Field("energy_export", "Wh", 60, "float32"),
    Field("energy_import", "Wh", 68, "float32"),
)
INVERTERS = {101: _INVERTER, 102: _INVERTER, 103: _INVERTER} | dict.fromkeys((111, 112, 113), _INVERTER_FLOAT)
METERS = dict.fromkeys((201, 202, 203, 204), _METER) | dict.fromkeys((211, 212, 213, 214), _METER_FLOAT)
STORAGE = (Field("state_of_charge", "%", 8, "uint16", 22),)

RATED_POWER = Field("WRtg", "W", 3, "uint16", 4)
RATED_REACTIVE_POWER = Field("VArRtgQ1", "var", 7, "int16", 11)
RATED_ENERGY = Field("WHRtg", "Wh", 19, "uint16", 20)
MAX_POWER = Field("WMax", "W", 2, "uint16", 22)
MAX_REACTIVE_POWER = Field("VArMaxQ1", "var", 8, "int16", 27)
MAX_CHARGE_POWER = Field("WChaMax", "W", 2, "uint16", 18)
