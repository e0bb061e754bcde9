"""What the control section says, and what the controller makes of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.assemble import plant_of
from gateway.config import load
from gateway.control.plant import Action, Fallback, Ramps
from gateway.control.pq import d_shape
from gateway.model import Ramp

SITE = """\
site: {id: park, rated_power: 100kW}
devices:
  - {id: inv1, driver: modbus, endpoint: "tcp://192.168.1.20:502", profile: sunspec, role: pv, rated_power: 60kW}
  - {id: bat1, driver: modbus, endpoint: "tcp://192.168.1.21:502", profile: sunspec, role: battery}
"""
CONTROL = """\
control:
  allocation: merit
  nominal_voltage: 11.5kV
  nominal_frequency: 60
  ramp: {up: 10%/min, emergency: {up: 1%/s}, release: 600W/s, reconnect: 10%/min}
  der:
    inv1:
      merit: 2
      steps: [0%, 30%, 60%, 100%]
      min_power: 5%
      ramp: {down: 1%/s}
      dead_time: 2s
      capability: {rated_apparent_power: 66kVA, shape: d, q_max: 44%, q_at_night: false}
      priority: active
    bat1: {soc_min: 10%, soc_max: 95%}
  fallback:
    uplink_lost: {after: 15min, active_power: {value: -10%, ramp: 6%/min}, reactive_power: {value: 5kvar}}
    pcc_meter_lost: {after: 10s, active_power: disconnect}
    clock_lost: {after: 1h, active_power: {limit: 50%}, reactive_power: release}
"""


def test_every_key_of_the_control_section_reaches_the_controller(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(SITE + CONTROL)

    plant = plant_of(load(path))

    assert (plant.strategy, plant.nominal_voltage_v, plant.nominal_hz) == ("merit", 11_500.0, 60)
    assert plant.ramps == Ramps(
        normal=Ramp(up=pytest.approx(10_000 / 60)),
        emergency=Ramp(up=1_000.0),
        release=600.0,
        reconnect=pytest.approx(10_000 / 60),
    )
    inverter, battery = plant.ders
    assert (inverter.merit, inverter.steps, inverter.min_power) == (2, (0.0, 0.3, 0.6, 1.0), 0.05)
    assert inverter.ramp == Ramp(down=600.0)
    assert inverter.latency_s == pytest.approx(1.0 + 0.2 + 2.0)
    assert inverter.pq is not None
    assert (inverter.pq.rated_w, inverter.pq.rated_va) == (60_000.0, 66_000.0)
    assert (inverter.pq.shape, inverter.pq.q_at_night) == (d_shape(0.44), False)
    assert inverter.priority == "active"
    assert (battery.soc_min, battery.soc_max) == (pytest.approx(10.0), pytest.approx(95.0))
    assert plant.fallbacks == {
        "uplink_lost": Fallback(
            900.0,
            Action("value", -10_000.0, Ramp(pytest.approx(100.0), pytest.approx(100.0))),
            Action("value", 5_000.0),
        ),
        "pcc_meter_lost": Fallback(10.0, Action("disconnect")),
        "clock_lost": Fallback(3600.0, Action("limit", 50_000.0), Action("release")),
    }


@pytest.mark.parametrize(
    ("entry", "line"),
    [
        pytest.param(
            "{inv2: {merit: 1}}", "6:9: control.der.inv2: there is no device 'inv2'; did you mean 'inv1'?", id="unknown"
        ),
        pytest.param(
            "{inv1: {steps: [0%, 60%, 30%]}}",
            "6:23: control.der.inv1.steps: should rise, like [0%, 30%, 60%, 100%], found a list",
            id="steps-fall",
        ),
        pytest.param(
            "{inv1: {soc_min: 50%, soc_max: 20%}}",
            "6:39: control.der.inv1.soc_max: should be above soc_min, found 20%",
            id="soc",
        ),
        pytest.param(
            "{inv1: {min_power: 120%}}",
            "6:27: control.der.inv1.min_power: should be a share from 0% to 100%, found 120%",
            id="share",
        ),
        pytest.param(
            "{inv1: {capability: {rated_apparent_power: 66kW}}}",
            "6:51: control.der.inv1.capability.rated_apparent_power: should be an apparent power above 0, like 66kVA, "
            "found 66kW",
            id="unit",
        ),
    ],
)
def test_a_mistake_of_a_device_s_entry_is_told_where_it_stands(
    faults: Callable[..., list[str]], entry: str, line: str
) -> None:
    assert faults(f"{SITE}control:\n  der: {entry}\n") == [f"site.yaml:{line}"]


def test_a_shape_from_which_no_reactive_power_could_be_told_is_refused(faults: Callable[..., list[str]]) -> None:
    shape = "{inv1: {capability: {rated_apparent_power: 66kVA, shape: [[0, 0.1, 0.2], [1, -0.4, 0.4]]}}}"
    (line,) = faults(f"{SITE}control:\n  der: {shape}\n")

    assert "control.der.inv1.capability.shape" in line
    assert "q_min ≤ 0 ≤ q_max must hold" in line
