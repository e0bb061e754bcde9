"""The tables of SunSpec models: every point where the reference has it, and every value as it decodes it."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sunspec2.device import Model as ForeignModel

from drivers.modbus import sunspec_models as models
from drivers.modbus.sunspec_fields import Field, size_of, value_of
from gateway.model import Value
from tests.unit.drivers.sunspec_map import layout

_PHASED = {
    "current_l1": "AphA", "current_l2": "AphB", "current_l3": "AphC",
    "voltage_l1": "PhVphA", "voltage_l2": "PhVphB", "voltage_l3": "PhVphC",
    "voltage_l12": "PPVphAB", "voltage_l23": "PPVphBC", "voltage_l31": "PPVphCA",
    "active_power": "W", "active_power_l1": "WphA", "active_power_l2": "WphB", "active_power_l3": "WphC",
    "apparent_power": "VA", "power_factor": "PF", "frequency": "Hz",
}  # fmt: skip
_INVERTER = _PHASED | {
    "reactive_power": "VAr", "energy_export": "WH", "dc_current": "DCA", "dc_voltage": "DCV", "dc_power": "DCW",
    "temperature": "TmpCab", "operating_state": "St", "alarm": "Evt1",
}  # fmt: skip
_METER = _PHASED | {
    "reactive_power": "VAR", "energy_export": "TotWhExp", "energy_import": "TotWhImp"
}  # fmt: skip
_DER_AC = {
    "active_power": "W", "apparent_power": "VA", "reactive_power": "Var", "power_factor": "PF", "frequency": "Hz",
    "energy_export": "TotWhInj", "energy_import": "TotWhAbs",
    "reactive_energy_export": "TotVarhInj", "reactive_energy_import": "TotVarhAbs", "temperature": "TmpCab",
    "active_power_l1": "WL1", "active_power_l2": "WL2", "active_power_l3": "WL3",
    "current_l1": "AL1", "current_l2": "AL2", "current_l3": "AL3",
    "voltage_l1": "VL1", "voltage_l2": "VL2", "voltage_l3": "VL3",
    "voltage_l12": "VL1L2", "voltage_l23": "VL2L3", "voltage_l31": "VL3L1",
    "operating_state": "InvSt", "alarm": "Alrm", "throttling": "ThrotPct",
}  # fmt: skip
_FURTHER = {
    713: {"state_of_charge": "SoC", "state_of_health": "SoH", "energy_available": "WHAvail"},
    714: {"dc_current": "DCA", "dc_power": "DCW", "dc_alarm": "PrtAlrms"},
    703: {"enter_service": "ES", "enter_service_wait": "ESDlyRemTms"},
    715: {"local_control": "LocRemCtl"},
    802: {"state_of_charge": "SoC", "state_of_health": "SoH", "charge_status": "ChaSt"},
    124: {"state_of_charge": "ChaState", "charge_status": "ChaSt"},
    122: {
        "active_power_available": "WAval", "reactive_power_available": "VArAval", "active_controls": "StActCtl",
        "energy_export": "ActWh",
        "pv_connection": "PVConn", "storage_connection": "StorConn", "grid_connection": "ECPConn",
    },
    125: {"price_signal_enabled": "ModEna", "price_signal_type": "SigType", "price_signal": "Sig"},
    160: {},
}  # fmt: skip
_RATINGS = (
    models.MAX_POWER, models.RATED_POWER, models.MAX_REACTIVE_POWER, models.RATED_REACTIVE_POWER, models.MAX_ABSORBED,
    models.RATED_ABSORBED, models.MAX_CHARGE_POWER, models.RATED_CHARGE_POWER, models.RATED_ENERGY,
    models.APPARENT_POWER, models.RATED_APPARENT_POWER, models.NOMINAL_FREQUENCY,
)  # fmt: skip
_UNSIGNED = {"enum16": "uint16", "bitfield16": "uint16", "bitfield32": "uint32"}


def foreign(number: int, name: str) -> str:
    """The SunSpec name of a field. Model 203 calls its line voltages otherwise than all the others."""
    if number in models.INVERTERS:
        return _INVERTER[name]
    if number in models.METERS:
        theirs = _METER[name]
        return theirs if theirs in layout(number) else theirs.replace("PPV", "PhV")
    return _DER_AC[name] if number in models.DER_AC else _FURTHER[number][name]


READINGS = models.INVERTERS | models.METERS | models.DER_AC | models.DER | models.FURTHER
PLACED: list[tuple[int, Field, str]] = [
    *((number, field, foreign(number, field.name)) for number, fields in READINGS.items() for field in fields),
    *((number, field, field.name) for table in _RATINGS for number, field in table.items()),
    (124, models.STORAGE_POWER, "WChaMax"),
    *((number, field, field.name) for number, both in models.HEARTBEATS.items() for field in both),
    *((number, field, "Ena") for number, fields in models.TRIPS.items() for field in fields),
    *(
        (160, field, f"module{n}.{theirs}")
        for n in (1, 3)
        for field, theirs in zip(models.mppt(n), ("DCA", "DCV", "DCW", "DCWH"), strict=True)
    ),
    *(
        (714, field, f"Prt{n}.{theirs}")
        for n in (1, 3)
        for field, theirs in zip(models.dc_port(n), ("DCA", "DCV", "DCW"), strict=True)
    ),
]


@pytest.mark.parametrize(("number", "field", "theirs"), PLACED, ids=[f"{n}-{theirs}" for n, _, theirs in PLACED])
def test_every_offset_type_and_scale_factor_is_that_of_the_reference(number: int, field: Field, theirs: str) -> None:
    places = layout(number, members=3)
    offset, type_, size, scale = places[theirs]

    assert (field.offset, field.kind) == (offset, _UNSIGNED.get(type_, type_))
    assert size_of(field.kind) == size
    assert field.sf == (places[scale][0] if scale else 0)


@pytest.mark.parametrize("number", [160, 714])
def test_groups_repeat_where_the_reference_repeats_them(number: int) -> None:
    places = layout(number, members=2)
    name, count = {160: ("module", "N"), 714: ("Prt", "NPrt")}[number]
    group = models.GROUPS[number]
    starts = [min(place[0] for key, place in places.items() if key.startswith(f"{name}{n}.")) for n in (1, 2)]

    assert (group.number, group.first, group.first + group.size) == (places[count][0], *starts)


@pytest.mark.parametrize("number", [103, 203, 701, 713, 802, 124, 703])
@given(noise=st.binary(min_size=256, max_size=320), exponent=st.integers(-4, 4))
def test_values_are_those_the_reference_decodes(number: int, noise: bytes, exponent: int) -> None:
    """Any content with sane scale factors: the same values, and no value where the reference has none."""
    places = layout(number)
    length = sum(size for _, _, size, _ in places.values())
    words = [number, length - 2, *struct.unpack(f">{len(noise) // 2}H", noise[: len(noise) // 2 * 2])]
    words = (words + [0] * length)[:length]
    for offset, type_, size, _ in places.values():
        if type_ == "sunssf":
            words[offset] = exponent & 0xFFFF
        if type_ == "string":
            words[offset : offset + size] = [0] * size
    data = struct.pack(f">{length}H", *words)
    reference = ForeignModel(number, data=data).get_dict(computed=True)
    for field in READINGS[number]:
        expected = reference[foreign(number, field.name)]
        if expected is not None:
            expected = expected * 10.0**field.exponent + field.plus
        if field.kind == "acc32" and expected == 0:
            expected = None  # the reference decodes the sentinel of a counter as a number
        assert value_of(field, data) == (None if expected is None else pytest.approx(expected)), field.name


@pytest.mark.parametrize(
    ("number", "name", "raw", "sf", "expected"),
    [
        pytest.param(103, "active_power", 0x04D2, 0x0001, 12340, id="W"),
        pytest.param(103, "active_power", 0xFB2E, 0xFFFF, -123.4, id="W-negative"),
        pytest.param(103, "frequency", 0x1388, 0xFFFE, 50.0, id="Hz"),
        pytest.param(103, "power_factor", 9800, 0xFFFE, 0.98, id="PF-is-in-percent"),
        pytest.param(701, "power_factor", 9800, 0xFFFC, 0.98, id="PF-of-701-is-not"),
        pytest.param(103, "active_power", 0x8000, 0, None, id="W-not-implemented"),
        pytest.param(103, "active_power", 1, 0x8000, None, id="scale-not-implemented"),
        pytest.param(103, "active_power", 1, 11, None, id="scale-beyond-10"),
        pytest.param(103, "frequency", 0xFFFF, 0, None, id="Hz-not-implemented"),
        pytest.param(701, "frequency", 0xFFFFFFFF, 0xFFFD, None, id="u32-not-implemented"),
        pytest.param(701, "frequency", 50010, 0xFFFD, 50.01, id="u32"),
        pytest.param(701, "energy_import", 0xFFFFFFFFFFFFFFFF, 0, None, id="u64-not-implemented"),
        pytest.param(701, "energy_export", 0, 0, 0, id="u64-at-0-is-a-number"),
        pytest.param(701, "energy_export", 5_000_000_000, 0xFFFF, 500_000_000, id="u64"),
        pytest.param(122, "energy_export", 0, 0, None, id="acc64-at-0-is-none"),
        pytest.param(701, "operating_state", 3, 0, 4, id="RUNNING-is-MPPT-of-103"),
        pytest.param(701, "operating_state", 0xFFFF, 0, None, id="state-not-implemented"),
    ],
)
def test_the_vectors_of_the_standard(number: int, name: str, raw: int, sf: int, expected: Value | None) -> None:
    field = next(each for each in READINGS[number] if each.name == name)
    words = [0] * 160
    if field.sf:
        words[field.sf] = sf
    size = size_of(field.kind)
    words[field.offset : field.offset + size] = struct.unpack(f">{size}H", raw.to_bytes(2 * size, "big"))

    assert value_of(field, struct.pack(">160H", *words)) == expected
