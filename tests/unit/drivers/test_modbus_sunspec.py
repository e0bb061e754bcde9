"""SunSpec maps: discovery, values and sentinels; pysunspec2's definitions and decoder are the reference."""

from __future__ import annotations

import struct
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sunspec2.device import Model as ForeignModel

from drivers.modbus import sunspec, sunspec_models
from drivers.modbus.sunspec import MapError, MapMovedError
from drivers.modbus.sunspec_models import Field, value_of
from gateway.model import Measurement, Quality, Value
from tests.unit.drivers.sunspec_map import Map, chain, discover, layout, model, read

COMMON = model(1, Mn="Vendor", Md="PV60", SN="SN-1")
SCALES = {
    "A_SF": -1,
    "V_SF": -1,
    "W_SF": 1,
    "Hz_SF": -2,
    "VA_SF": 1,
    "VAr_SF": 1,
    "PF_SF": -2,
    "WH_SF": 0,
    "Tmp_SF": -1,
}
INVERTER = model(103, W=1234, Hz=5000, AphA=183, PhVphA=2301, PF=9800, WH=70000, TmpCab=-55, St=4, **SCALES)
RATINGS = model(120, WRtg=1100, WRtg_SF=2, VArRtgQ1=480, VArRtg_SF=2, WHRtg=2000, WHRtg_SF=1)
SETTINGS = model(121, WMax=1000, WMax_SF=2)
CONTROLS = model(
    123, WMaxLimPct=10000, WMaxLimPct_SF=-2, WMaxLim_Ena=0, VArWMaxPct=0, VArPct_Mod=0, VArPct_Ena=0, VArPct_SF=-2
)

FOREIGN_NAMES = {
    "current_l1": "AphA", "current_l2": "AphB", "current_l3": "AphC",
    "voltage_l1": "PhVphA", "voltage_l2": "PhVphB", "voltage_l3": "PhVphC",
    "voltage_l12": "PPVphAB", "voltage_l23": "PPVphBC", "voltage_l31": "PPVphCA",
    "active_power": "W", "active_power_l1": "WphA", "active_power_l2": "WphB", "active_power_l3": "WphC",
    "reactive_power": "VAr", "apparent_power": "VA", "power_factor": "PF", "frequency": "Hz",
    "energy_export": "WH", "energy_import": "TotWhImp", "dc_current": "DCA", "dc_voltage": "DCV", "dc_power": "DCW",
    "temperature": "TmpCab", "operating_state": "St", "state_of_charge": "ChaState",
    "WRtg": "WRtg", "VArRtgQ1": "VArRtgQ1", "WHRtg": "WHRtg",
    "WMax": "WMax", "VArMaxQ1": "VArMaxQ1", "WChaMax": "WChaMax",
}  # fmt: skip
METER_NAMES = {"reactive_power": "VAR", "energy_export": "TotWhExp"}
INTEGER_METER_NAMES = {"voltage_l12": "PhVphAB", "voltage_l23": "PhVphBC", "voltage_l31": "PhVphCA"}
TABLES: list[tuple[int, tuple[Field, ...]]] = [
    *sunspec_models.INVERTERS.items(),
    *sunspec_models.METERS.items(),
    (124, (*sunspec_models.STORAGE, sunspec_models.MAX_CHARGE_POWER)),
    (120, (sunspec_models.RATED_POWER, sunspec_models.RATED_REACTIVE_POWER, sunspec_models.RATED_ENERGY)),
    (121, (sunspec_models.MAX_POWER, sunspec_models.MAX_REACTIVE_POWER)),
]


def foreign(number: int, field: Field) -> str:
    """The SunSpec name of a field; model 201 calls its line voltages as an inverter does, 203 not."""
    names = dict(FOREIGN_NAMES)
    if number > 200:
        names |= METER_NAMES
    places = layout(number)
    other = INTEGER_METER_NAMES.get(field.name)
    return other if other in places and 200 < number < 210 else names[field.name]


def values(registers: Map, **options: Any) -> dict[str, Measurement]:
    """Everything one poll emits, by the point's name."""
    found = discover(registers, **options)
    measured: dict[str, Measurement] = {}
    for block in found.blocks:
        data = read(registers, block.address, block.count)
        assert data is not None
        measured |= {each.point.removeprefix("d."): each for each in block.decode(data)}
    return measured


@pytest.mark.parametrize(("number", "fields"), TABLES, ids=[str(number) for number, _ in TABLES])
def test_every_offset_and_type_is_that_of_the_reference(number: int, fields: tuple[Field, ...]) -> None:
    places = layout(number)
    for field in fields:
        offset, type_, _, scale = places[foreign(number, field)]

        assert (field.offset, field.kind) == (offset, "uint16" if type_ == "enum16" else type_), field.name
        assert field.sf == (places[scale][0] if scale else 0), field.name


@given(st.sampled_from([103, 203]), st.binary(min_size=210, max_size=210), st.integers(-4, 4))
def test_values_are_those_the_reference_decodes(number: int, noise: bytes, exponent: int) -> None:
    """Any content with sane scale factors: the same values, and no value where the reference has none."""
    fields = {**sunspec_models.INVERTERS, **sunspec_models.METERS}[number]
    places = layout(number)
    length = sum(size for _, _, size, _ in places.values())
    words = [number, length - 2, *struct.unpack(">105H", noise)][:length]
    for offset, type_, _, _ in places.values():
        if type_ == "sunssf":
            words[offset] = exponent & 0xFFFF
    data = struct.pack(f">{length}H", *words)
    reference = ForeignModel(number, data=data).get_dict(computed=True)
    for field in fields:
        expected = reference[foreign(number, field)]
        if expected is not None and field.name == "power_factor":
            expected /= 100
        if field.kind == "acc32" and expected == 0:
            expected = None  # the reference decodes the sentinel of a counter as a number
        assert value_of(field, data) == (None if expected is None else pytest.approx(expected)), field.name


@pytest.mark.parametrize(
    ("field", "raw", "sf", "expected"),
    [
        pytest.param("active_power", 0x04D2, 0x0001, 12340, id="W"),
        pytest.param("active_power", 0xFB2E, 0xFFFF, -123.4, id="W-negative"),
        pytest.param("frequency", 0x1388, 0xFFFE, 50.0, id="Hz"),
        pytest.param("power_factor", 9800, 0xFFFE, 0.98, id="PF-is-in-percent"),
        pytest.param("active_power", 0x8000, 0, None, id="W-not-implemented"),
        pytest.param("active_power", 1, 0x8000, None, id="scale-not-implemented"),
        pytest.param("active_power", 1, 11, None, id="scale-beyond-10"),
        pytest.param("frequency", 0xFFFF, 0, None, id="Hz-not-implemented"),
    ],
)
def test_the_vectors_of_the_standard(field: str, raw: int, sf: int, expected: Value | None) -> None:
    place = next(each for each in sunspec_models.INVERTERS[103] if each.name == field)
    words = [0] * 52
    words[place.offset], words[place.sf] = raw, sf

    assert value_of(place, struct.pack(">52H", *words)) == expected


@pytest.mark.parametrize("base", [40000, 0, 50000])
def test_a_map_is_found_at_each_of_its_three_places(base: int) -> None:
    found = discover(chain(COMMON, INVERTER, base=base))

    assert found.blocks[0].address == base + 2 + len(COMMON)
    assert (found.nameplate.manufacturer, found.nameplate.model, found.nameplate.serial) == ("Vendor", "PV60", "SN-1")


@pytest.mark.parametrize("end", [(0xFFFF, 0), (0xFFFF,)], ids=["with-length", "without-length"])
def test_the_end_of_the_map_is_known_by_its_id_alone(end: tuple[int, ...]) -> None:
    assert len(discover(chain(COMMON, INVERTER, end=end)).blocks) == 1


def test_later_models_are_walked_to_over_unknown_ones() -> None:
    """Model 1 with and without its pad, and a model nobody here knows."""
    short_common = [*COMMON[:1], 65, *COMMON[2:67]]
    registers = chain(short_common, [64001, 3, 7, 7, 7], INVERTER, CONTROLS, SETTINGS)

    assert values(registers)["active_power"].value == 12340
    assert "active_power_limit" in values(registers)


def test_readings_are_emitted_under_their_canonical_names() -> None:
    measured = values(chain(COMMON, INVERTER))
    known = {name: each.value for name, each in measured.items() if each.quality is Quality.GOOD}

    assert known == {
        "active_power": 12340,
        "frequency": 50.0,
        "current_l1": 18.3,
        "voltage_l1": 230.1,
        "power_factor": 0.98,
        "energy_export": 70000,
        "temperature": -5.5,
        "operating_state": 4,
    }
    assert measured["voltage_l2"] == Measurement("d.voltage_l2", None, Quality.INVALID)
    assert measured["dc_power"] == Measurement("d.dc_power", None, Quality.INVALID)


def test_a_float_model_and_a_meter_are_read_alike() -> None:
    inverter = values(chain(COMMON, model(113, W=-250.5, PF=98.0)))
    meter = values(chain(COMMON, model(213, W=41200.0, TotWhImp=5.0)), meter=True)

    assert (inverter["active_power"].value, inverter["power_factor"].value) == (-250.5, pytest.approx(0.98))
    assert (meter["active_power"].value, meter["energy_import"].value) == (41200.0, 5.0)


@pytest.mark.parametrize(("meter", "expected"), [(False, 12340), (True, 500)], ids=["as-inverter", "as-meter"])
def test_in_a_map_with_both_the_role_decides(meter: bool, expected: int) -> None:
    assert values(chain(COMMON, INVERTER, model(203, W=500, W_SF=0)), meter=meter)["active_power"].value == expected


def test_ratings_are_those_that_limits_refer_to() -> None:
    """WMax as set counts, not the nameplate's WRtg; without it, the nameplate does."""
    full = discover(chain(COMMON, INVERTER, RATINGS, SETTINGS)).nameplate
    bare = discover(chain(COMMON, INVERTER, RATINGS)).nameplate

    assert (full.rated_power_w, bare.rated_power_w) == (100_000, 110_000)
    assert (full.rated_reactive_power_var, full.rated_energy_wh) == (48_000, 20_000)


@pytest.mark.parametrize(
    ("registers", "text"),
    [
        pytest.param({}, "40000: refused; 0: refused; 50000: refused", id="nothing"),
        pytest.param({0: 1, 1: 2}, "0: 00 01 00 02", id="something-else"),
        pytest.param(chain(COMMON, [0, 4]), "found ID 0, length 4", id="id-0"),
        pytest.param(chain(COMMON, [103, 0xFFFF]), "found ID 103, length 65535", id="no-length"),
        pytest.param(chain(COMMON, [103, 30000]), "found ID 103, length 30000", id="beyond-the-registers"),
        pytest.param(
            chain(COMMON, INVERTER, end=()), "after model 103 \\(length 50\\): the device refuses", id="no-end"
        ),
        pytest.param(chain(COMMON, RATINGS), "no model with readings .* in: 1, 120", id="no-readings"),
        pytest.param(chain(*([[64001, 1, 0]] * 201)), "found ID 64001", id="endless"),
    ],
)
def test_a_map_that_does_not_fit_says_what_was_found(registers: Map, text: str) -> None:
    with pytest.raises(MapError, match=text):
        discover(registers)


def test_a_model_shorter_than_its_definition_has_fewer_points() -> None:
    registers = chain(COMMON, [103, 14, *INVERTER[2:16]])

    assert set(values(registers)) == {f"{quantity}_l{n}" for quantity in ("current", "voltage") for n in (1, 2, 3)} | {
        "voltage_l12", "voltage_l23", "voltage_l31", "active_power",
    }  # fmt: skip


def test_a_model_that_moved_is_noticed_in_every_answer() -> None:
    (block,) = discover(chain(COMMON, INVERTER)).blocks
    moved = read(chain(COMMON, model(101), INVERTER), block.address, block.count)
    assert moved is not None

    with pytest.raises(MapMovedError, match="103"):
        block.decode(moved)


def test_points_that_come_from_elsewhere_are_left_out() -> None:
    measured = values(chain(COMMON, INVERTER, SETTINGS, CONTROLS), without={"active_power", "active_power_limit"})

    assert not {"active_power", "active_power_limit"} & set(measured)
    assert "reactive_power_setpoint" in measured


def writable(registers: Map) -> set[str]:
    return {point.name for point in discover(registers).nameplate.points if point.writable}


@pytest.mark.parametrize(
    ("models", "expected"),
    [
        pytest.param([SETTINGS, CONTROLS], {"active_power_limit", "reactive_power_setpoint"}, id="123"),
        pytest.param([CONTROLS], set(), id="123-without-any-rating"),
        pytest.param([RATINGS, model(123, WMaxLimPct_SF=0, WMaxLim_Ena=0)], {"active_power_limit"}, id="no-reactive"),
        pytest.param([SETTINGS, model(123, WMaxLimPct=100, WMaxLim_Ena=0)], set(), id="no-scale-factor"),
        pytest.param(
            [model(124, WChaMax=5000, WChaMax_SF=0, StorCtl_Mod=0, OutWRte=0, InWRte=0, InOutWRte_SF=-2)],
            {"active_power_setpoint"},
            id="124",
        ),
        pytest.param([model(124, ChaState=50, ChaState_SF=0)], set(), id="124-readings-only"),
    ],
)
def test_only_what_the_device_implements_can_be_written(models: list[list[int]], expected: set[str]) -> None:
    assert writable(chain(COMMON, INVERTER, *models)) == expected


def test_discovery_reads_each_model_once() -> None:
    asked: list[sunspec.Ask] = []
    registers = chain(COMMON, INVERTER, RATINGS, SETTINGS, CONTROLS)
    steps = sunspec.discover("d", meter=False, max_age=3.0)
    with suppress(StopIteration):
        asked.append(next(steps))
        while True:
            asked.append(steps.send(read(registers, *asked[-1])))

    assert len(asked) == len(set(asked))
    assert len(asked) == 1 + 6 + 4  # the mark, six headers, the models 1, 120, 121, 123
