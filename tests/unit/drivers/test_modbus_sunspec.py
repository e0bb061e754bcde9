"""SunSpec maps: discovery, values and sentinels; pysunspec2's definitions and decoder are the reference."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest

from drivers.modbus import sunspec, sunspec_walk
from drivers.modbus.sunspec import MapError, MapMovedError
from gateway.model import Measurement, Quality
from tests.unit.drivers.sunspec_map import Map, chain, discover, model, read

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


def values(registers: Map, **options: Any) -> dict[str, Measurement]:
    """Everything one poll emits, by the point's name."""
    found = discover(registers, **options)
    measured: dict[str, Measurement] = {}
    for block in found.blocks:
        data = read(registers, block.address, block.count)
        assert data is not None
        measured |= {each.point.removeprefix("d."): each for each in block.decode(data)}
    return measured


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
    assert measured.keys() == known.keys()


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
        pytest.param(chain(COMMON, RATINGS, CONTROLS), "no model with readings .* in: 1, 120, 123", id="no-readings"),
        pytest.param(chain(*([[64001, 1, 0]] * 201)), "found ID 64001", id="endless"),
    ],
)
def test_a_map_that_does_not_fit_says_what_was_found(registers: Map, text: str) -> None:
    with pytest.raises(MapError, match=text):
        discover(registers)


def test_a_model_shorter_than_its_definition_has_fewer_points() -> None:
    registers = chain(COMMON, [103, 14, *INVERTER[2:16]])

    assert set(values(registers)) == {"current_l1", "voltage_l1", "active_power"}


def test_a_model_longer_than_its_definition_is_read_as_far_as_it_is_known() -> None:
    longer = [103, 60, *INVERTER[2:], *([7] * 10)]

    assert values(chain(COMMON, longer, SETTINGS, CONTROLS)) == values(chain(COMMON, INVERTER, SETTINGS, CONTROLS))


def test_a_device_that_gives_no_power_now_is_asleep_and_keeps_all_its_points() -> None:
    """At night an inverter gives nothing; what it then lacks says nothing of what it has by day."""
    asleep = model(103, St=2, **SCALES)
    measured = values(chain(COMMON, asleep))

    assert measured["dc_power"] == Measurement("d.dc_power", None, Quality.INVALID)
    assert measured["operating_state"].value == 2


def test_a_counter_at_0_is_a_point_without_a_value() -> None:
    """0 is "not implemented" and a new device's energy alike: no number is told, and the point is there for later."""
    measured = values(chain(COMMON, model(103, W=5, WH=0, **SCALES)))

    assert measured["energy_export"] == Measurement("d.energy_export", None, Quality.INVALID)


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
    assert len(asked) == 1 + 6 + 5  # the mark, six headers, the five models


def test_the_chain_of_the_standard_s_vector_is_walked_to_its_end() -> None:
    registers = chain(COMMON, INVERTER, CONTROLS)
    steps = sunspec_walk.walk()
    asked, models = [next(steps)], []
    try:
        while True:
            asked.append(steps.send(read(registers, *asked[-1])))
    except StopIteration as done:
        models = [(each.id, each.address, each.length) for each in done.value]

    assert models == [(1, 40002, 66), (103, 40070, 50), (123, 40122, 24)]
    assert asked[-1] == (40148, 2)


def test_100_percent_is_the_power_that_is_set_not_the_one_on_the_nameplate() -> None:
    """50 kW of WMax 100 kW are 50 %, whatever WRtg (110 kW) says: 0x1388 at scale factor -2."""
    registers = chain(COMMON, INVERTER, RATINGS, SETTINGS, CONTROLS)
    control, block = discover(registers).controls["d.active_power_limit"]
    words = [registers[at] for at in range(block.address, block.address + block.count)]

    assert control.encode(50_000, words) == (5000,)
    assert control.encode(60_000, words) == (0x1770,)
