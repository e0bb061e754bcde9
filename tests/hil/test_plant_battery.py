"""The battery: rates and their reversion, and that energy and state of charge agree."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.plant.battery import Battery, BatteryParameters

RATED_W = 30_000.0
DT_S = 0.1


def run(battery: Battery, seconds: float, *, dt_s: float = DT_S) -> None:
    for _ in range(round(seconds / dt_s)):
        battery.step(dt_s)


def order(battery: Battery, *, charge: float | None = None, discharge: float | None = None) -> None:
    for setting, percent in ((battery.charge, charge), (battery.discharge, discharge)):
        if percent is not None:
            setting.put(percent)
        setting.enable(percent is not None)


@pytest.mark.parametrize(
    ("charge", "discharge", "settled_w"),
    [
        (None, None, 0.0),
        (None, 50.0, 0.0),
        (50.0, None, 0.0),
        (None, -40.0, -12_000.0),
        (-40.0, None, 12_000.0),
        (-40.0, 40.0, 12_000.0),
        (40.0, -40.0, -12_000.0),
        (-100.0, 100.0, 30_000.0),
        (0.0, 0.0, 0.0),
        (-40.0, -20.0, -6_000.0),
    ],
    ids=[
        "left alone",
        "limit of discharge",
        "limit of charge",
        "negative discharge rate charges",
        "negative charge rate discharges",
        "both name one discharge",
        "both name one charge",
        "full discharge",
        "held at rest",
        "both forced: charging wins",
    ],
)
def test_a_negative_rate_forces_the_opposite_direction_and_a_positive_one_only_bounds(
    charge: float | None, discharge: float | None, settled_w: float
) -> None:
    battery = Battery()
    order(battery, charge=charge, discharge=discharge)
    run(battery, 20)
    assert battery.converter.active_power_w == pytest.approx(settled_w, abs=1e-6)


def test_a_rate_acts_after_dead_time_and_with_the_response_of_the_converter() -> None:
    battery = Battery()
    order(battery, discharge=-100.0)
    run(battery, 0.3)
    assert battery.converter.active_power_w == 0.0
    run(battery, 1.0)
    assert battery.converter.active_power_w == pytest.approx(-27_000.0)


@pytest.mark.parametrize(
    ("charge", "discharge", "settled_w"),
    [(-80.0, None, 9_000.0), (None, -40.0, -12_000.0)],
    ids=["bounds a forced discharge", "leaves a forced charge"],
)
def test_the_limit_of_the_converter_holds_beside_the_rates(
    charge: float | None, discharge: float | None, settled_w: float
) -> None:
    battery = Battery()
    order(battery, charge=charge, discharge=discharge)
    battery.converter.limit.put(30.0)
    battery.converter.limit.enable(True)
    run(battery, 20)
    assert battery.converter.active_power_w == pytest.approx(settled_w)


def test_rates_let_go_after_their_reversion_time_and_the_battery_rests() -> None:
    battery = Battery()
    battery.charge.revert_s = battery.discharge.revert_s = 5.0
    order(battery, charge=-40.0, discharge=40.0)
    run(battery, 5.0)
    assert (battery.charge.in_force, battery.discharge.in_force) == (None, None)
    run(battery, 20)
    assert battery.converter.active_power_w == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize(("charge", "discharge"), [(None, -50.0), (-50.0, None)], ids=["charging", "discharging"])
def test_the_state_of_charge_balances_with_the_energy_through_the_terminals(
    charge: float | None, discharge: float | None
) -> None:
    battery = Battery(soc=0.5)
    order(battery, charge=charge, discharge=discharge)
    run(battery, 600)
    stored_wh = battery.converter.energy_in_wh * 0.95 - battery.converter.energy_out_wh / 0.95
    assert abs(stored_wh) > 1_000
    assert (battery.soc - 0.5) * 60_000.0 == pytest.approx(stored_wh)


@pytest.mark.parametrize(
    ("discharge", "start", "end"), [(-100.0, 0.85, 1.0), (None, 0.2, 0.05)], ids=["to full", "to empty"]
)
def test_a_limit_of_charge_is_approached_ever_slower_and_never_crossed(
    discharge: float | None, start: float, end: float
) -> None:
    battery = Battery(soc=start)
    order(battery, charge=-100.0 if discharge is None else None, discharge=discharge)
    powers_w = []
    for _ in range(24):
        run(battery, 300, dt_s=1.0)
        powers_w.append(abs(battery.converter.active_power_w))
        assert battery.parameters.soc_min <= battery.soc <= 1.0
    assert battery.soc == pytest.approx(end, abs=1e-3)
    assert powers_w == sorted(powers_w, reverse=True)
    assert powers_w[-1] < 0.02 * RATED_W


def test_charging_power_tapers_in_a_straight_line_above_its_edge() -> None:
    battery = Battery(soc=0.95)
    order(battery, discharge=-100.0)
    run(battery, 5)
    assert battery.converter.active_power_w == pytest.approx(-RATED_W * (1.0 - battery.soc) / 0.1, rel=1e-3)


def test_a_state_of_charge_that_cannot_be_is_refused_with_what_is_accepted() -> None:
    with pytest.raises(ValueError, match=r"soc should be within 0\.05 to 1, found 1\.2"):
        Battery(soc=1.2)


RATES = st.one_of(st.none(), st.floats(-100.0, 100.0))


@given(
    st.floats(0.05, 1.0),
    st.lists(st.tuples(RATES, RATES, st.floats(-100.0, 100.0), st.sampled_from([0.1, 1.0, 60.0])), max_size=40),
)
def test_no_order_takes_a_battery_out_of_its_limits(
    soc: float, orders: list[tuple[float | None, float | None, float, float]]
) -> None:
    battery = Battery(BatteryParameters(capacity_wh=500.0), soc=soc)
    battery.converter.reactive.enable(True)
    for charge, discharge, reactive, dt_s in orders:
        order(battery, charge=charge, discharge=discharge)
        battery.converter.reactive.put(reactive)
        for _ in range(5):
            battery.step(dt_s)
            powers = (battery.converter.active_power_w, battery.converter.reactive_power_var)
            assert 0.05 <= battery.soc <= 1.0
            assert abs(powers[0]) <= RATED_W * (1 + 1e-12)
            assert math.hypot(*powers) <= 33_000.0 * (1 + 1e-12)
            stored_wh = battery.converter.energy_in_wh * 0.95 - battery.converter.energy_out_wh / 0.95
            assert (battery.soc - soc) * 500.0 == pytest.approx(stored_wh, abs=1e-6)
