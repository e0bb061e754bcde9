"""The reading tests: what a device shows when it is read, and what is said of it."""

from __future__ import annotations

import pytest

from gateway.commissioning.readings import Seen, reading_tests
from gateway.commissioning.result import Device, Result, Sample, Verdict
from gateway.image import Reading
from gateway.model import Point, Quality

NOW = 1_000.0
PASS, FAIL = Verdict.PASS, Verdict.FAIL
UNITS = {"frequency": "Hz", "power_factor": "", "reactive_power": "var"}
GRID = {f"voltage_l{phase}": 230.0 for phase in (1, 2, 3)}
CURRENTS = {f"current_l{phase}": 50.0 for phase in (1, 2, 3)}
PHASES = {f"active_power_l{phase}": 11_000.0 for phase in (1, 2, 3)}


def seen(values: dict[str, float], *, role: str = "pv", age_s: float = 0.5, **qualities: Quality) -> Seen:
    """A device of 60 kW that shows *values*, each read *age_s* ago; *qualities* are of points without a value."""
    names = [*values, *qualities]
    readings = {name: Reading(value, Quality.GOOD, 0.0, NOW - age_s) for name, value in values.items()}
    readings |= {name: Reading(None, quality, 0.0, NOW) for name, quality in qualities.items()}
    return Seen(
        device=Device("one", role, 60_000.0, controlled=False),
        points=[Point(f"one.{name}", UNITS.get(name, "W")) for name in names],
        readings=readings,
        series={name: [Sample(NOW - age_s, value)] for name, value in values.items()},
        mono=NOW,
        nominal_v=400.0,
    )


def found(one: Seen) -> dict[str, Result]:
    return {result.test: result for result in reading_tests(one)}


VALUES = [
    pytest.param({"frequency": 50.01}, "frequency", PASS, id="50-Hz"),
    pytest.param({"frequency": 59.9}, "frequency", PASS, id="60-Hz"),
    pytest.param({"frequency": 0.0}, "frequency", FAIL, id="no-frequency"),
    pytest.param({"frequency": 5001.0}, "frequency", FAIL, id="frequency-without-its-scale"),
    pytest.param(GRID, "voltage", PASS, id="230-V"),
    pytest.param({"voltage_l12": 402.0}, "voltage", PASS, id="400-V-between-phases"),
    pytest.param({**GRID, "voltage_l2": 120.0}, "voltage", FAIL, id="one-phase-low"),
    pytest.param({"voltage_l1": 400.0}, "voltage", FAIL, id="phase-to-phase-for-phase"),
    pytest.param({"voltage_l1": 2300.0}, "voltage", FAIL, id="voltage-without-its-scale"),
    pytest.param({"active_power": 60_000.0}, "active power", PASS, id="rated"),
    pytest.param({"active_power": -71_000.0}, "active power", PASS, id="just-below-the-most"),
    pytest.param({"active_power": 73_000.0}, "active power", FAIL, id="above-the-most"),
    pytest.param({"active_power": -1_000.0}, "PV gives power", PASS, id="pv-at-night"),
    pytest.param({"active_power": -1_300.0}, "PV gives power", FAIL, id="pv-consumes"),
    pytest.param({**GRID, **CURRENTS, "active_power": 34_500.0}, "P matches V·I", PASS, id="p-is-vi"),
    pytest.param({**GRID, **CURRENTS, "active_power": -20_000.0}, "P matches V·I", PASS, id="p-below-vi-q-unknown"),
    pytest.param({**GRID, **CURRENTS, "active_power": 39_000.0}, "P matches V·I", FAIL, id="p-above-vi"),
    pytest.param(
        {**GRID, **CURRENTS, "active_power": 11_500.0, "reactive_power": 0.0}, "P matches V·I", FAIL, id="one-ct-turned"
    ),
    pytest.param(
        {**GRID, **CURRENTS, "active_power": 27_600.0, "reactive_power": -20_700.0}, "P matches V·I", PASS, id="s-is-vi"
    ),
    pytest.param({**PHASES, "active_power": 33_000.0}, "phases add up to P", PASS, id="phases-add-up"),
    pytest.param({**PHASES, "active_power": 11_000.0}, "phases add up to P", FAIL, id="phases-do-not-add-up"),
    pytest.param(
        {**PHASES, "active_power_l2": -11_000.0, "active_power": 11_000.0},
        "phases add up to P",
        Verdict.INCONCLUSIVE,
        id="one-phase-against-the-others",
    ),
    pytest.param(
        {"active_power": 40_000.0, "reactive_power": 30_000.0, "power_factor": 0.8},
        "Q matches the power factor",
        PASS,
        id="pf-is-p-over-s",
    ),
    pytest.param(
        {"active_power": 40_000.0, "reactive_power": -30_000.0, "power_factor": -0.8},
        "Q matches the power factor",
        PASS,
        id="pf-negative-as-q",
    ),
    pytest.param(
        {"active_power": 40_000.0, "reactive_power": 30_000.0, "power_factor": -0.8},
        "Q matches the power factor",
        FAIL,
        id="pf-negative-and-neither-p-nor-q",
    ),
    pytest.param(
        {"active_power": 40_000.0, "reactive_power": 300.0, "power_factor": 0.8},
        "Q matches the power factor",
        FAIL,
        id="q-without-its-scale",
    ),
]


@pytest.mark.parametrize(("values", "test", "verdict"), VALUES)
def test_values_are_judged_by_what_can_be_and_by_each_other(
    values: dict[str, float], test: str, verdict: Verdict
) -> None:
    result = found(seen(values))[test]
    assert result.verdict is verdict, result
    assert bool(result.advice) == (verdict is not PASS), "what is wrong comes with what to do"


def test_a_device_that_says_nothing_has_one_failed_test() -> None:
    results = reading_tests(seen({}, active_power=Quality.OFFLINE))
    assert [(result.test, result.verdict) for result in results] == [("answers", FAIL)]


def test_a_value_beyond_its_deadline_and_one_that_never_came_are_named() -> None:
    late = found(seen({"frequency": 50.0}, age_s=4.0, alarm=Quality.STALE))["values are fresh"]
    assert late.verdict is FAIL
    assert "frequency, alarm" in late.advice
    assert late.values["oldest_s"] == pytest.approx(4.0)


def test_what_the_device_itself_calls_not_valid_is_told_and_is_no_fault() -> None:
    fresh = found(seen({"frequency": 50.0}, energy_export=Quality.INVALID))["values are fresh"]
    assert fresh.verdict is PASS
    assert "energy_export" in fresh.measured


def test_what_its_points_do_not_allow_is_left_out() -> None:
    assert set(found(seen({"alarm": 0.0}))) == {"answers", "values are fresh"}


def test_a_load_may_consume() -> None:
    assert "PV gives power" not in found(seen({"active_power": -5_000.0}, role="load"))
