"""An inverter that follows its own characteristics: what it gives at a voltage and a frequency."""

from __future__ import annotations

import math

import pytest

from hil.plant.characteristics import NOMINAL_V, Curve, follow
from hil.plant.grid import ConnectionPoint
from hil.plant.inverter import Inverter

VOLT_VAR = {"ActPt": 2, "Pt1.V": 102.0, "Pt1.Var": 0.0, "Pt2.V": 108.0, "Pt2.Var": -44.0}
VOLT_WATT = {"ActPt": 2, "Pt1.V": 106.0, "Pt1.W": 100.0, "Pt2.V": 110.0, "Pt2.W": 20.0}
WATT_VAR = {"ActPt": 2, "Pt1.W": 50.0, "Pt1.Var": 0.0, "Pt2.W": 100.0, "Pt2.Var": -44.0}
DROOP = {"DbOf": 0.2, "KOf": 0.05}


def run(in_force: dict[str, Curve], *, voltage_pu: float = 1.0, hz: float = 50.0, seconds: float = 10.0) -> Inverter:
    inverter = Inverter(available_w=60_000.0)
    at = ConnectionPoint(active_power_w=0.0, reactive_power_var=0.0, voltage_v=voltage_pu * NOMINAL_V, frequency_hz=hz)
    for _ in range(round(seconds / 0.1)):
        follow(inverter, at, in_force, 0.1)
        inverter.step(0.1)
    return inverter


@pytest.mark.parametrize(
    ("in_force", "voltage_pu", "hz", "watt", "var"),
    [
        pytest.param({}, 1.1, 51.0, 60_000, 0, id="none-nothing"),
        pytest.param({"volt_var": VOLT_VAR}, 1.0, 50.0, 60_000, 0, id="volt-var-below-its-first-point"),
        pytest.param({"volt_var": VOLT_VAR}, 1.05, 50.0, 60_000, -13_200, id="volt-var-between"),
        pytest.param({"volt_var": VOLT_VAR}, 1.2, 50.0, 60_000, -26_400, id="volt-var-beyond-its-last-point"),
        pytest.param({"volt_watt": VOLT_WATT}, 1.08, 50.0, 36_000, 0, id="volt-watt"),
        pytest.param({"watt_var": WATT_VAR}, 1.0, 50.0, 60_000, -26_400, id="watt-var"),
        pytest.param({"frequency_droop": DROOP}, 1.0, 50.1, 60_000, 0, id="droop-within-its-deadband"),
        pytest.param({"frequency_droop": DROOP}, 1.0, 50.7, 48_000, 0, id="droop"),
        pytest.param({"frequency_droop": DROOP}, 1.0, 53.0, 0, 0, id="droop-to-nothing"),
    ],
)
def test_it_gives_what_its_characteristic_says(
    in_force: dict[str, Curve], voltage_pu: float, hz: float, watt: float, var: float
) -> None:
    converter = run(in_force, voltage_pu=voltage_pu, hz=hz).converter

    assert converter.active_power_w == pytest.approx(watt, abs=10)
    assert converter.reactive_power_var == pytest.approx(var, abs=10)


def test_a_response_time_is_that_to_nine_tenths() -> None:
    inverter = run({"volt_var": VOLT_VAR | {"RspTms": 5.0}}, voltage_pu=1.08, seconds=5.0)

    assert inverter.own_reactive_var == pytest.approx(-0.9 * 26_400, rel=0.01)


def test_a_characteristic_that_is_switched_off_leaves_nothing_behind() -> None:
    inverter = Inverter(available_w=60_000.0)
    at = ConnectionPoint(active_power_w=0.0, reactive_power_var=0.0, voltage_v=1.08 * NOMINAL_V, frequency_hz=50.0)
    follow(inverter, at, {"volt_var": VOLT_VAR, "volt_watt": VOLT_WATT}, 1.0)
    assert (inverter.own_at_most_w, inverter.own_reactive_var) == (pytest.approx(36_000), pytest.approx(-26_400))
    follow(inverter, at, {"volt_var": None, "volt_watt": None}, 1.0)

    assert (inverter.own_at_most_w, inverter.own_reactive_var) == (math.inf, 0.0)
