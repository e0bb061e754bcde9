"""
The SunSpec models dergate reads, of both generations: which of their points become ours, and where they stand.

Offsets count from a model's ID register. Source: SunSpec Information Model Reference. A name stands for the same
quantity in every model, so the models of one list complete each other.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import NamedTuple

from drivers.modbus.sunspec_fields import Field, Kind, size_of


def _integers(kind: Kind, sf: int, unit: str, start: int, *names: str) -> tuple[Field, ...]:
    return tuple(Field(name, unit, start + index * size_of(kind), kind, sf) for index, name in enumerate(names))


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
    Field("alarm", "", 40, "uint32"),
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
    Field("alarm", "", 50, "uint32"),
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
    Field("power_factor", "", 52, "float32"),
    Field("energy_export", "Wh", 60, "float32"),
    Field("energy_import", "Wh", 68, "float32"),
)
_DER_AC = (
    *_integers("int16", 116, "W", 10, "active_power"),
    *_integers("int16", 118, "VA", 11, "apparent_power"),
    *_integers("int16", 119, "var", 12, "reactive_power"),
    Field("power_factor", "", 13, "int16", 117),
    Field("frequency", "Hz", 17, "uint32", 115),
    *_integers("uint64", 120, "Wh", 19, "energy_export", "energy_import"),
    *_integers("uint64", 121, "varh", 27, "reactive_energy_export", "reactive_energy_import"),
    Field("temperature", "°C", 36, "int16", 122),
    Field("active_power_l1", "W", 41, "int16", 116),
    Field("current_l1", "A", 45, "int16", 113),
    *_integers("uint16", 114, "V", 46, "voltage_l12", "voltage_l1"),
    Field("active_power_l2", "W", 64, "int16", 116),
    Field("current_l2", "A", 68, "int16", 113),
    *_integers("uint16", 114, "V", 69, "voltage_l23", "voltage_l2"),
    Field("active_power_l3", "W", 87, "int16", 116),
    Field("current_l3", "A", 91, "int16", 113),
    *_integers("uint16", 114, "V", 92, "voltage_l31", "voltage_l3"),
    Field("operating_state", "", 4, "uint16", plus=1),  # the states of 101-103, counted from 0
    Field("alarm", "", 6, "uint32"),
    Field("throttling", "%", 110, "uint16"),
)
LOCAL_CONTROL = Field("local_control", "", 2, "uint16")


class Heartbeats(NamedTuple):
    """What a device counts up every second while it works, and what whoever controls it counts up."""

    device: Field
    controller: Field


HEARTBEATS = {
    715: Heartbeats(Field("DERHb", "", 3, "uint32"), Field("ControllerHb", "", 5, "uint32")),
    802: Heartbeats(Field("Hb", "", 18, "uint16"), Field("CtrlHb", "", 19, "uint16")),
}

INVERTERS: dict[int, tuple[Field, ...]] = dict.fromkeys((101, 102, 103), _INVERTER) | dict.fromkeys(
    (111, 112, 113), _INVERTER_FLOAT
)
METERS: dict[int, tuple[Field, ...]] = dict.fromkeys((201, 202, 203, 204), _METER) | dict.fromkeys(
    (211, 212, 213, 214), _METER_FLOAT
)
DER_AC: dict[int, tuple[Field, ...]] = {701: _DER_AC}
DER: dict[int, tuple[Field, ...]] = {
    713: (
        Field("state_of_charge", "%", 4, "uint16", 8),
        Field("state_of_health", "%", 5, "uint16", 8),
        Field("energy_available", "Wh", 3, "uint16", 7),
    ),
    714: (
        Field("dc_current", "A", 5, "int16", 15),
        Field("dc_power", "W", 6, "int16", 17),
        Field("dc_alarm", "", 2, "uint32"),
    ),
    703: (Field("enter_service", "", 2, "uint16"), Field("enter_service_wait", "s", 15, "uint32")),
    715: (LOCAL_CONTROL,),
}
"""The second generation beside its own readings."""
TRIPS: dict[int, tuple[Field, ...]] = {
    number: (Field(f"trip_{what}", "", 2, "uint16"),)
    for number, what in ((707, "low_voltage"), (708, "high_voltage"), (709, "low_frequency"), (710, "high_frequency"))
}
"""Whether the device's own protection is enabled: 1, or 0. Read only: whoever commissioned the plant answers for it."""
TRIPS_POLL_S = 60.0
"""Between two reads of them: protection is switched by hand if at all, and four more requests a poll slow the rest."""
FURTHER: dict[int, tuple[Field, ...]] = {
    802: (
        Field("state_of_charge", "%", 11, "uint16", 56),
        Field("state_of_health", "%", 13, "uint16", 58),
        Field("charge_status", "", 16, "uint16"),
    ),
    124: (Field("state_of_charge", "%", 8, "uint16", 22), Field("charge_status", "", 11, "uint16")),
    160: (),
    125: (
        Field("price_signal_enabled", "", 2, "uint16"),
        Field("price_signal_type", "", 3, "uint16"),
        Field("price_signal", "", 4, "int16", 8),
    ),
    122: (
        Field("pv_connection", "", 2, "uint16"),
        Field("storage_connection", "", 3, "uint16"),
        Field("grid_connection", "", 4, "uint16"),
        Field("active_power_available", "W", 31, "uint16", 32),
        Field("reactive_power_available", "var", 29, "int16", 30),
        Field("active_controls", "", 35, "uint32"),
        Field("energy_export", "Wh", 5, "acc64"),
    ),
}
"""The first generation beside the readings of an inverter; where two have a name, the one that comes first."""


def mppt(module: int) -> tuple[Field, ...]:
    """Model 160: what one module of the generator side gives, counted from 1."""
    at = 10 + 20 * (module - 1)
    return (
        Field(f"dc{module}_current", "A", at + 9, "uint16", 2),
        Field(f"dc{module}_voltage", "V", at + 10, "uint16", 3),
        Field(f"dc{module}_power", "W", at + 11, "uint16", 4),
        Field(f"dc{module}_energy", "Wh", at + 12, "acc32", 5),
    )


def dc_port(port: int) -> tuple[Field, ...]:
    """Model 714: what one port gives, counted from 1."""
    at = 20 + 25 * (port - 1)
    return (
        Field(f"dc{port}_current", "A", at + 10, "int16", 15),
        Field(f"dc{port}_voltage", "V", at + 11, "uint16", 16),
        Field(f"dc{port}_power", "W", at + 12, "int16", 17),
    )


class Group(NamedTuple):
    """
    A repeating part of a model: offsets of its number of members and of the first, registers a member, and its fields.
    """

    number: int
    first: int
    size: int
    fields: Callable[[int], tuple[Field, ...]]

    def room(self, registers: int) -> int:
        """How many so many registers of the model begin to hold."""
        return -(min(0, self.first - registers) // self.size)

    def members(self, data: bytes) -> int:
        """How many there are, by the count where there is one and never more than `data` begins to hold."""
        room = self.room(len(data) // 2)
        told = struct.unpack_from(">H", data, 2 * self.number)[0] if len(data) > 2 * self.number + 1 else 0
        return min(told, room)  # 0xFFFF is no count: the room decides


GROUPS = {714: Group(4, 20, 25, dc_port), 160: Group(8, 10, 20, mppt)}

MAX_POWER = {702: Field("WMax", "W", 26, "uint16", 45), 121: Field("WMax", "W", 2, "uint16", 22)}
RATED_POWER = {702: Field("WMaxRtg", "W", 2, "uint16", 45), 120: Field("WRtg", "W", 3, "uint16", 4)}
MAX_REACTIVE_POWER = {702: Field("VarMaxInj", "var", 32, "uint16", 48), 121: Field("VArMaxQ1", "var", 8, "int16", 27)}
RATED_REACTIVE_POWER = {
    702: Field("VarMaxInjRtg", "var", 8, "uint16", 48),
    120: Field("VArRtgQ1", "var", 7, "int16", 11),
}
MAX_ABSORBED = {702: Field("VarMaxAbs", "var", 33, "uint16", 48)}
RATED_ABSORBED = {702: Field("VarMaxAbsRtg", "var", 9, "uint16", 48)}
MAX_CHARGE_POWER = {702: Field("WChaRteMax", "W", 34, "uint16", 45), 802: Field("WChaRteMax", "W", 4, "uint16", 54)}
RATED_CHARGE_POWER = {
    702: Field("WChaRteMaxRtg", "W", 10, "uint16", 45),
    120: Field("MaxChaRte", "W", 23, "uint16", 24),
}
APPARENT_POWER = {702: Field("VAMax", "VA", 31, "uint16", 47), 121: Field("VAMax", "VA", 7, "uint16", 26)}
RATED_APPARENT_POWER = {
    702: Field("VAMaxRtg", "VA", 7, "uint16", 47),
    120: Field("VARtg", "VA", 5, "uint16", 6),
}
NOMINAL_FREQUENCY = {121: Field("ECPNomHz", "Hz", 20, "uint16", 31)}
RATED_ENERGY = {
    713: Field("WHRtg", "Wh", 2, "uint16", 7),
    802: Field("WHRtg", "Wh", 3, "uint16", 53),
    120: Field("WHRtg", "Wh", 19, "uint16", 20),
}
"""A rating by the model that gives it; the first that does counts."""

RATINGS = (
    MAX_POWER, RATED_POWER, MAX_REACTIVE_POWER, RATED_REACTIVE_POWER, MAX_ABSORBED, RATED_ABSORBED, MAX_CHARGE_POWER,
    RATED_CHARGE_POWER, APPARENT_POWER, RATED_APPARENT_POWER, NOMINAL_FREQUENCY, RATED_ENERGY,
)  # fmt: skip

STORAGE_POWER = Field("WChaMax", "W", 2, "uint16", 18)
"""Of model 124: what 100 % of its rates is."""
