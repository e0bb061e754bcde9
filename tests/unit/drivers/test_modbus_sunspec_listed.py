"""Every SunSpec model that the README lists is read: what a device says in it becomes known."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from drivers.modbus.sunspec import Found
from tests.unit.drivers.sunspec_map import chain, discover, layout, model, read

COMMON = model(1)
READINGS = model(701, W=1, W_SF=0)
RATED = model(121, WMax=1000, WMax_SF=2, VArMaxQ1=480, VArMax_SF=2)
CURVE: dict[str, Any] = {"Ena": 0, "AdptCrvReq": 0, "NPt": 2, "NCrv": 1, "V_SF": -2, "W_SF": -2, "DeptRef_SF": -2}
ARRAY: dict[str, Any] = {"ActCrv": 0, "ModEna": 0, "NCrv": 1, "NPt": 4, "V_SF": -2, "Hz_SF": -2, "W_SF": -2}
TRIPS = {
    707: "trip_low_voltage", 708: "trip_high_voltage", 709: "trip_low_frequency", 710: "trip_high_frequency",
}  # fmt: skip

POINTS: dict[int, tuple[dict[str, Any], dict[str, Any]]] = {
    **dict.fromkeys((101, 102, 103), ({"W": 5, "W_SF": 1}, {"active_power": 50})),
    **dict.fromkeys((111, 112, 113), ({"W": 5.5}, {"active_power": 5.5})),
    **dict.fromkeys((201, 202, 203, 204), ({"W": 5, "W_SF": 1}, {"active_power": 50})),
    **dict.fromkeys((211, 212, 213, 214), ({"W": 5.5}, {"active_power": 5.5})),
    122: ({"WAval": 5, "WAval_SF": 3}, {"active_power_available": 5000}),
    124: ({"ChaState": 50, "ChaState_SF": 0}, {"state_of_charge": 50}),
    125: ({"Sig": 5, "Sig_SF": 1}, {"price_signal": 50}),
    160: ({"N": 1, "DCV_SF": 0, "module1.DCV": 700}, {"dc1_voltage": 700}),
    701: ({"W": 5, "W_SF": 1}, {"active_power": 50}),
    703: ({"ES": 1}, {"enter_service": 1}),
    **{number: ({"Ena": 1}, {name: 1}) for number, name in TRIPS.items()},
    713: ({"SoC": 50, "Pct_SF": 0}, {"state_of_charge": 50}),
    714: ({"DCW": 5, "DCW_SF": 1}, {"dc_power": 50}),
    715: ({"LocRemCtl": 0}, {"local_control": 0}),
    802: ({"SoC": 50, "SoC_SF": 0}, {"state_of_charge": 50}),
}
"""What a device says in a model, and the points it becomes."""
ORDERS: dict[int, tuple[dict[str, Any], str]] = {
    123: ({"WMaxLimPct": 100, "WMaxLimPct_SF": 0, "WMaxLim_Ena": 0}, "active_power_limit"),
    124: (
        {"WChaMax": 5, "WChaMax_SF": 3, "StorCtl_Mod": 0, "OutWRte": 0, "InWRte": 0, "InOutWRte_SF": 0},
        "active_power_setpoint",
    ),
    126: (ARRAY | {"DeptRef_SF": -2}, "volt_var"),
    132: (ARRAY | {"DeptRef_SF": -2}, "volt_watt"),
    134: (ARRAY, "frequency_droop"),
    704: ({"WMaxLimPctEna": 0, "WMaxLimPct": 100, "WMaxLimPct_SF": 0}, "active_power_limit"),
    705: (CURVE, "volt_var"),
    706: (CURVE, "volt_watt"),
    711: ({"Ena": 0, "AdptCtlReq": 0, "NCtl": 1, "Db_SF": -3, "K_SF": -3, "RspTms_SF": 0}, "frequency_droop"),
    712: (CURVE, "watt_var"),
}
"""What a device implements of a model, and the set-point it takes."""
PLATES: dict[int, tuple[dict[str, Any], dict[str, Any]]] = {
    1: ({"Mn": "Vendor", "Md": "PV60", "SN": "SN-1"}, {"manufacturer": "Vendor", "model": "PV60", "serial": "SN-1"}),
    120: ({"WRtg": 5, "WRtg_SF": 4}, {"rated_power_w": 50_000}),
    121: ({"WMax": 5, "WMax_SF": 4}, {"rated_power_w": 50_000}),
    702: ({"WMax": 5, "W_SF": 4}, {"rated_power_w": 50_000}),
}
"""What a device says of itself once, and where its nameplate has it."""


def given(number: int, values: dict[str, Any], members: int = 1) -> list[int]:
    places = layout(number, members)
    return model(number, members, **{name: value for name, value in values.items() if name in places})


def polled(*models: list[int], meter: bool = False) -> tuple[Found, dict[str, Any]]:
    registers = chain(*models)
    found = discover(registers, meter=meter)
    measured: dict[str, Any] = {}
    for block in (*found.blocks, *found.slow):
        data = read(registers, block.address, block.count)
        assert data is not None
        measured |= {each.point.removeprefix("d."): each.value for each in block.decode(data)}
    return found, measured


@pytest.mark.parametrize("number", POINTS)
def test_what_a_model_reads_becomes_points(number: int) -> None:
    values, expected = POINTS[number]
    alone = expected.keys() & {"active_power", "state_of_charge"}
    before = [COMMON] if alone else [COMMON, READINGS]
    found, measured = polled(*before, given(number, values), meter=number in range(201, 215))

    assert {name: measured[name] for name in expected} == expected
    assert expected.keys() <= {point.name for point in found.nameplate.points}


@pytest.mark.parametrize("number", ORDERS)
def test_what_a_model_takes_becomes_a_set_point(number: int) -> None:
    values, name = ORDERS[number]
    members = 2 if number in (705, 706, 712) else 1
    found, _ = polled(COMMON, READINGS, RATED, given(number, values, members))

    assert {point.name for point in found.nameplate.points if point.writable} == {name}


@pytest.mark.parametrize("number", PLATES)
def test_what_a_model_says_of_the_device_is_on_its_nameplate(number: int) -> None:
    values, expected = PLATES[number]
    models = [given(number, values)] if number == 1 else [COMMON, given(number, values)]
    found, _ = polled(*models, READINGS)

    assert {name: getattr(found.nameplate, name) for name in expected} == expected


def test_these_are_the_models_that_the_readme_lists() -> None:
    readme = (Path(__file__).parents[3] / "README.md").read_text()
    match = re.search(r"asks the device itself: models ([\d,\s-]+?)\s*and (\d+)\.", readme)
    assert match is not None
    listed: set[int] = {int(match[2])}
    for each in match[1].split(","):
        first, _, last = each.strip().partition("-")
        listed |= set(range(int(first), int(last or first) + 1))

    assert listed == POINTS.keys() | ORDERS.keys() | PLATES.keys()
