"""Discovery over both generations of SunSpec: which model a quantity comes from, groups, ratings, set-points."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.modbus.sunspec import Found, MapError
from drivers.modbus.sunspec_control import Control
from drivers.modbus.sunspec_fields import value_of
from drivers.modbus.sunspec_models import TRIPS_POLL_S
from gateway.model import Measurement, Quality
from tests.unit.drivers.sunspec_map import Map, chain, discover, model, read

COMMON = model(1, Mn="Vendor", Md="DER", SN="SN-1")
OLD = model(103, W=111, W_SF=0, Hz=4990, Hz_SF=-2, WH=7, WH_SF=3, DCV=7000, DCV_SF=-1, St=4)
NEW = model(701, W=222, W_SF=0, Hz=50_010, Hz_SF=-3, TotWhInj=9, TotWh_SF=0, InvSt=3)
CAPACITY = model(702, WMax=90, VarMaxInj=40, WMaxRtg=100, VarMaxInjRtg=48, W_SF=3, Var_SF=3)
LIMIT: dict[str, Any] = {"WMaxLimPctEna": 0, "WMaxLimPct": 100, "WMaxLimPct_SF": 0}


def values(registers: Map, **options: Any) -> dict[str, Any]:
    """Every good value that one poll emits, by the point's name."""
    measured: dict[str, Measurement] = {}
    for block in discover(registers, **options).blocks:
        data = read(registers, block.address, block.count)
        assert data is not None
        measured |= {each.point.removeprefix("d."): each for each in block.decode(data)}
    return {name: each.value for name, each in measured.items() if each.quality is Quality.GOOD}


def names(found: Found) -> list[str]:
    return [point.name for point in found.nameplate.points]


@pytest.mark.parametrize("order", [(OLD, NEW), (NEW, OLD)], ids=["old-first", "new-first"])
def test_the_newer_generation_wins_and_the_older_completes_it(order: tuple[list[int], ...]) -> None:
    measured = values(chain(COMMON, *order))

    assert measured == {
        "active_power": 222,
        "frequency": pytest.approx(50.01),
        "energy_export": 9,
        "operating_state": 4,
        "dc_voltage": 700,
    }


def test_every_point_has_one_source() -> None:
    everything = [model(number) for number in (103, 120, 121, 122, 124, 701, 702, 703, 713, 714, 715, 802)]
    found = names(discover(chain(COMMON, *everything)))

    assert len(found) == len(set(found))
    assert {"active_power", "state_of_charge", "charge_status", "local_control", "active_controls"} <= set(found)


def test_state_of_charge_comes_from_713_then_802_then_124() -> None:
    storage = [
        model(124, ChaState=10, ChaState_SF=0, ChaSt=3),
        model(802, SoC=20, SoC_SF=0, ChaSt=4),
        model(713, SoC=30, SoH=99, Pct_SF=0),
    ]
    measured = [values(chain(COMMON, *storage[:count])) for count in (1, 2, 3)]

    assert [each["state_of_charge"] for each in measured] == [10, 20, 30]
    assert [each["charge_status"] for each in measured] == [3, 4, 4]
    assert measured[2]["state_of_health"] == 99


@pytest.mark.parametrize("told", [2, 0xFFFF], ids=["by-its-count", "by-its-length"])
def test_each_module_of_the_generator_side_is_read(told: int) -> None:
    scales = {"DCA_SF": -1, "DCV_SF": -1, "DCW_SF": 0, "DCWH_SF": 0}
    first = {"module1.DCA": 85, "module1.DCV": 6000, "module1.DCW": 5100, "module1.DCWH": 9}
    mppt = model(160, 2, N=told, **scales, **first, **{"module2.DCV": 6100})
    measured = values(chain(COMMON, OLD, mppt))

    assert {name: value for name, value in measured.items() if name.startswith(("dc1", "dc2"))} == {
        "dc1_current": 8.5, "dc1_voltage": 600, "dc1_power": 5100, "dc1_energy": 9, "dc2_voltage": 610,
    }  # fmt: skip


def test_ports_are_read_as_far_as_one_request_reaches() -> None:
    """Never without the header and the scale factors, which stand before the first port."""
    ports = {f"Prt{port}.DCW": port for port in range(1, 7)}
    registers = chain(COMMON, NEW, model(714, 6, NPrt=6, DCW=21, DCW_SF=2, **ports))
    found = discover(registers)

    assert max(block.count for block in found.blocks) <= 125
    assert values(registers)["dc_power"] == 2100
    assert [name for name in names(found) if name.endswith("_power") and name[2].isdigit()] == [
        f"dc{port}_power" for port in (1, 2, 3, 4)
    ]


def test_the_whole_of_701_with_its_scale_factors_is_one_request() -> None:
    full = model(701, W=1, W_SF=0, VL3=2300, V_SF=-1, ThrotPct=5, TmpCab=40, Tmp_SF=0)
    (block,) = discover(chain(COMMON, full)).blocks

    assert block.count == 123


def test_a_701_that_is_shorter_has_fewer_points() -> None:
    cut = [701, 20, *NEW[2:22]]

    with_scales_cut_off = values(chain(COMMON, cut))
    assert with_scales_cut_off == {"operating_state": 4}


def test_settings_go_before_ratings_and_the_newer_generation_before_the_older() -> None:
    old = [model(120, WRtg=11, WRtg_SF=4, VArRtgQ1=5, VArRtg_SF=4), model(121, WMax=10, WMax_SF=4)]
    plates = [discover(chain(COMMON, OLD, *old, *more)).nameplate for more in ([], [CAPACITY])]

    assert [each.rated_power_w for each in plates] == [100_000, 90_000]
    assert [each.rated_reactive_power_var for each in plates] == [50_000, 48_000]


def test_energy_is_rated_by_713_802_or_120() -> None:
    rated = [model(120, WHRtg=1, WHRtg_SF=3), model(802, WHRtg=2, WHRtg_SF=3), model(713, WHRtg=3, WH_SF=3)]

    found = [discover(chain(COMMON, OLD, *rated[:n])).nameplate.rated_energy_wh for n in (0, 1, 2, 3)]
    assert found == [None, 1000, 2000, 3000]


def test_a_limit_is_set_in_704_where_123_has_one_too() -> None:
    settings = model(121, WMax=10, WMax_SF=4)
    old = model(123, WMaxLimPct=100, WMaxLimPct_SF=0, WMaxLim_Ena=0, VArWMaxPct=0, VArPct_SF=0, VArPct_Ena=0)
    registers = chain(COMMON, OLD, settings, old, model(704, **LIMIT))
    found = discover(registers)
    blocks = {name: block for name, (_, block) in found.controls.items()}

    assert set(blocks) == {"d.active_power_limit", "d.reactive_power_setpoint"}
    assert registers[blocks["d.active_power_limit"].address] == 704
    assert registers[blocks["d.reactive_power_setpoint"].address] == 123


@pytest.mark.parametrize(
    ("implemented", "expected"),
    [
        pytest.param(LIMIT, {"active_power_limit"}, id="limit"),
        pytest.param(LIMIT | {"WMaxLimPct_SF": None}, set(), id="limit-without-scale-factor"),
        pytest.param({"WSetEna": 0, "WSet": 0}, set(), id="watts-without-scale-factor"),
        pytest.param({"WSetEna": 0, "WSetPct": 0, "WSetPct_SF": 0}, {"active_power_setpoint"}, id="power-in-percent"),
        pytest.param({"VarSetEna": 0, "VarSet": 0, "VarSet_SF": 0}, {"reactive_power_setpoint"}, id="var"),
        pytest.param({"PFWInjEna": 0, "PFWInj.PF": 1000, "PF_SF": -3}, {"power_factor_setpoint"}, id="power-factor"),
        pytest.param({"PFWInjEna": 0, "PF_SF": -3}, set(), id="no-power-factor"),
    ],
)
def test_only_what_704_implements_can_be_written(implemented: dict[str, Any], expected: set[str]) -> None:
    found = discover(chain(COMMON, NEW, CAPACITY, model(704, **implemented)))

    assert {point.name for point in found.nameplate.points if point.writable} == expected


def test_a_704_that_is_shorter_than_its_definition_sets_nothing() -> None:
    whole = model(704, **LIMIT)

    assert not discover(chain(COMMON, NEW, CAPACITY, [704, 50, *whole[2:52]])).controls


def test_a_device_that_is_local_at_discovery_refuses_from_the_first_order_on() -> None:
    registers = chain(COMMON, NEW, CAPACITY, model(704, **LIMIT), model(715, LocRemCtl=1))
    found = discover(registers)
    control, block = found.controls["d.active_power_limit"]
    data = read(registers, block.address, block.count)
    assert data is not None

    with pytest.raises(ValueError, match="local operation"):
        control.encode(1000, struct.unpack(f">{block.count}H", data))


def test_where_a_controller_s_heartbeat_goes_is_told() -> None:
    front = (COMMON, NEW)
    at = 40002 + sum(map(len, front))

    assert discover(chain(*front, model(715, ControllerHb=0))).heartbeats == (("ControllerHb", at + 5, 2),)
    assert discover(chain(*front, model(802, CtrlHb=0))).heartbeats == (("CtrlHb", at + 19, 1),)
    both = discover(chain(*front, model(802, CtrlHb=0), model(715, ControllerHb=0))).heartbeats
    assert {name for name, *_ in both} == {"ControllerHb", "CtrlHb"}
    assert discover(chain(*front, model(715), model(802))).heartbeats == ()
    assert discover(chain(*front)).heartbeats == ()


@pytest.mark.parametrize(
    ("models", "expected"),
    [
        pytest.param([model(715, DERHb=1)], ["DERHb"], id="715"),
        pytest.param([model(802, Hb=1)], ["Hb"], id="802"),
        pytest.param([model(715, DERHb=1), model(802, Hb=0, SoC=5, SoC_SF=0)], ["DERHb", "Hb"], id="both"),
        pytest.param([model(715, LocRemCtl=0), model(802, SoC=5, SoC_SF=0)], [], id="not-implemented"),
    ],
)
def test_each_heartbeat_of_the_device_is_read_even_where_its_model_says_nothing_else(
    models: list[list[int]], expected: list[str]
) -> None:
    registers = chain(COMMON, NEW, *models)
    found = discover(registers)

    assert sorted(field.name for field in found.watched.values()) == expected
    for block, field in found.watched.items():
        assert block in found.blocks
        data = read(registers, block.address, block.count)
        assert data is not None
        assert value_of(field, data) is not None


TRIPS = {
    707: "trip_low_voltage", 708: "trip_high_voltage", 709: "trip_low_frequency", 710: "trip_high_frequency",
}  # fmt: skip


def test_protection_is_read_slowly_and_with_an_age_that_fits() -> None:
    registers = chain(COMMON, NEW, *(model(number, Ena=number % 2) for number in TRIPS))
    found = discover(registers)
    ages = {point.name: (point.max_age, point.writable) for point in found.nameplate.points}
    measured = {}
    for block in found.slow:
        data = read(registers, block.address, block.count)
        assert data is not None
        measured |= {each.point.removeprefix("d."): each.value for each in block.decode(data)}

    assert measured == {name: number % 2 for number, name in TRIPS.items()}
    assert {ages[name] for name in TRIPS.values()} == {(2 * TRIPS_POLL_S, False)}
    assert ages["active_power"] == (3.0, False)
    assert not set(found.slow) & set(found.blocks)


def test_protection_that_a_device_does_not_tell_is_no_point() -> None:
    found = discover(chain(COMMON, NEW, model(707), model(708, Ena=1)))

    assert [name for name in names(found) if name.startswith("trip")] == ["trip_high_voltage"]


@pytest.mark.parametrize("poll_age", [3.0, 600.0])
def test_a_device_polled_more_slowly_has_its_own_age_for_all(poll_age: float) -> None:
    points = discover(chain(COMMON, NEW, model(707, Ena=1)), max_age=poll_age).nameplate.points

    assert {each.name: each.max_age for each in points}["trip_low_voltage"] == max(poll_age, 2 * TRIPS_POLL_S)


def test_a_device_that_refuses_to_be_read_as_a_whole_keeps_the_points_of_that_model() -> None:
    registers = chain(COMMON, NEW)
    del registers[40002 + len(COMMON) + 124]  # beyond every point of ours

    assert "frequency" in names(discover(registers))


@pytest.mark.parametrize("models", [(703,), (715,), (120, 121), (704, 702)], ids=str)
def test_a_map_without_readings_says_which_models_it_has(models: tuple[int, ...]) -> None:
    listed = ", ".join(str(number) for number in (1, *models))
    with pytest.raises(MapError, match=f"no model with readings .* in: {listed}"):
        discover(chain(COMMON, *(model(number) for number in models)))


@given(
    name=st.sampled_from(["active_power_limit", "active_power_setpoint", "reactive_power_setpoint"]),
    share=st.floats(0, 1),
    exponent=st.integers(-2, 0),
)
def test_what_is_written_is_measured_within_one_step_and_held(name: str, share: float, exponent: int) -> None:
    """For any value within the range and any scale factor: encode, write, measure."""
    scales = dict.fromkeys(("WMaxLimPct_SF", "WSet_SF", "VarSet_SF"), exponent & 0xFFFF)
    switches = dict.fromkeys(("WMaxLimPctEna", "WSetEna", "VarSetEna", "WSet", "VarSet", "WSetMod", "VarSetMod"), 0)
    registers = chain(COMMON, NEW, CAPACITY, model(704, **switches, **scales))
    control, block = discover(registers).controls[f"d.{name}"]
    assert isinstance(control, Control)
    words = [registers[at] for at in range(block.address, block.address + block.count)]
    highest = {"reactive_power_setpoint": 40_000}.get(name, 90_000)
    wanted = share * highest
    raw = control.encode(wanted, words)
    for offset, content in control.steps(raw, words, 60):
        words[offset : offset + len(content)] = content
    step = 10.0**exponent * (highest / 100 if name == "active_power_limit" else 1)

    assert control.holds(raw, words)
    measured = control.measure(words).value
    assert isinstance(measured, float)
    assert abs(measured - wanted) <= step / 2 * 1.0001


def test_the_steps_that_only_arm_the_reversion_are_told_apart() -> None:
    """A device that refuses those still holds the set-point."""
    registers = chain(COMMON, NEW, CAPACITY, model(704, **LIMIT, WMaxLimPctEnaRvrt=1, WMaxLimPctRvrtTms=0))
    control, block = discover(registers).controls["d.active_power_limit"]
    words = [registers[at] for at in range(block.address, block.address + block.count)]
    raw = control.encode(45_000, words)

    armed = list(control.steps(raw, words, 60))
    assert [step for step in armed if step[0] in control.reverting] == [(17, (0,)), (18, (0, 60))]
    assert [step for step in armed if step[0] not in control.reverting] == list(control.steps(raw, words, None))


@pytest.mark.parametrize(("revert_s", "expected"), [(0.4, 1), (59.1, 60), (1e9, 0xFFFE)])
def test_a_reversion_time_is_never_shorter_than_asked_and_fits_its_register(revert_s: float, expected: int) -> None:
    registers = chain(COMMON, NEW, CAPACITY, model(704, **LIMIT, WMaxLimPctRvrtTms=0))
    control, block = discover(registers).controls["d.active_power_limit"]
    words = [registers[at] for at in range(block.address, block.address + block.count)]

    assert control.reversion(words, revert_s) == expected
    words[18:20] = [0xFFFF, 0xFFFF]
    assert control.reversion(words, revert_s) is None
