"""The grid functions do what their norms say."""

from __future__ import annotations

from dataclasses import replace
from math import inf, isclose, nan
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import functions
from gateway.control.functions import (
    frequency_droop,
    power_factor,
    reserve,
    volt_var,
    volt_watt,
    watt_power_factor,
    watt_var,
)
from gateway.control.functions.curve import POWERS, PRESETS, VOLTAGES, check_curve, interpolate
from gateway.control.functions.response import lag
from gateway.control.functions.statement import Statement
from gateway.model import Band, Reserve
from tests.unit.control.vectors import VECTORS, Vector, order, site

BY_CURVE = {
    "volt_var": volt_var,
    "volt_watt": volt_watt,
    "watt_var": watt_var,
    "watt_power_factor": watt_power_factor,
}
UNIT = Band(-1.0, 1.0)

curves = st.lists(
    st.tuples(st.floats(0.5, 1.5), st.floats(-1.0, 1.0)), min_size=2, max_size=20, unique_by=lambda point: point[0]
).map(lambda points: tuple(sorted(points)))


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.id)
def test_every_vector_of_the_norms_is_met_to_its_last_digit(vector: Vector) -> None:
    half_a_digit = 0.5001 * 10**-vector.decimals
    assert vector.computed == pytest.approx(vector.expected, rel=0, abs=half_a_digit)


def test_no_row_of_the_table_is_left_out_or_told_twice() -> None:
    assert {vector.number for vector in VECTORS} == set(range(1, 30))
    assert len({vector.id for vector in VECTORS}) == len(VECTORS)


def test_the_printed_table_has_a_row_for_every_vector() -> None:
    head, rule, *rows = functions.lines()
    assert len(rows) == len(VECTORS)
    assert {line.count("|") for line in (head, rule, *rows)} == {6}
    assert "| `volt_var` | IEEE 1547-2018 category B | V = 0.97 | Q = 0.0733 | 0.07333 |" in rows


# Curves


@given(curves, st.floats(-10.0, 10.0))
def test_a_curve_never_leaves_the_range_of_its_y(points: tuple[tuple[float, float], ...], x: float) -> None:
    ys = [y for _, y in points]
    assert min(ys) <= interpolate(points, x) <= max(ys)


@given(curves)
def test_a_curve_goes_through_its_points_and_stays_level_beyond_its_ends(
    points: tuple[tuple[float, float], ...],
) -> None:
    assert [interpolate(points, x) for x, _ in points] == [y for _, y in points]
    assert interpolate(points, -inf) == points[0][1]
    assert interpolate(points, inf) == points[-1][1]


@pytest.mark.parametrize(("y", "x"), [(0.67, 0.987), (-0.11, 1.044), (-0.57, 0.984)])
def test_a_level_stretch_is_level_to_the_last_bit(y: float, x: float) -> None:
    """Rounding makes each of these leave its stretch; a device whose limit is 0.67 would refuse what is above."""
    assert interpolate(((0.9, y), (1.1, y)), x) == y


def test_at_a_jump_the_first_point_counts_and_right_beyond_it_the_second() -> None:
    points = ((0.9, 0.0), (1.0, 0.0), (1.0, -0.4), (1.1, -0.4))
    assert interpolate(points, 1.0) == 0.0
    assert interpolate(points, 1.0 + 1e-12) == -0.4


@pytest.mark.parametrize(
    ("points", "found"),
    [
        pytest.param(None, "found 0 points, accepted are 2 to 20", id="none"),
        pytest.param(((1.0, 0.0),), "found 1 points, accepted are 2 to 20", id="one"),
        pytest.param(tuple((0.9 + i / 100, 0.0) for i in range(21)), "found 21 points", id="too-many"),
        pytest.param(((1.1, 0.0), (0.9, 0.0)), "curve[1].x: found 0.9 after 1.1, accepted are rising x", id="falling"),
        pytest.param(((0.9, 0.0), (0.9, 0.1), (0.9, 0.2)), "curve[2].x: found 0.9 a third time", id="three-of-one-x"),
        pytest.param(((0.9, 0.0), (nan, 0.0)), "curve[1].x: found nan", id="nan"),
        pytest.param(((0.9, inf), (1.0, 0.0)), "curve[0].y: found inf, accepted is -1 to 1 p.u.", id="infinite"),
        pytest.param(((0.9, 44.0), (1.0, 0.0)), "curve[0].y: found 44, accepted is -1 to 1 p.u.", id="y-in-percent"),
        pytest.param(
            ((96.0, 0.3), (104.0, 0.0)), "curve[0].x: found 96, accepted is 0.5 to 1.5 p.u.", id="x-in-percent"
        ),
    ],
)
def test_a_curve_that_is_none_is_refused_with_what_was_found(
    points: tuple[tuple[float, float], ...] | None, found: str
) -> None:
    assert found in (check_curve(points, VOLTAGES, UNIT) or "")


@given(curves)
def test_a_curve_of_rising_points_in_range_is_accepted(points: tuple[tuple[float, float], ...]) -> None:
    assert check_curve(points, VOLTAGES, UNIT) is None


@pytest.mark.parametrize(
    ("function", "name"), [(function, name) for function, names in PRESETS.items() for name in names]
)
def test_every_preset_is_an_order_that_is_accepted(function: str, name: str) -> None:
    curve = PRESETS[function][name]
    activation = order(function, curve=curve.points, response_s=curve.response_s)
    assert BY_CURVE[function].check(activation, None, UNIT) is None


@pytest.mark.parametrize("function", BY_CURVE)
def test_a_curve_function_refuses_an_order_without_curve_and_a_response_beyond_90_s(function: str) -> None:
    check = BY_CURVE[function].check
    points = next(iter(PRESETS[function].values())).points
    assert "curve: found 0 points" in (check(order(function), None, UNIT) or "")
    slow = order(function, curve=points, response_s=91.0)
    assert check(slow, None, UNIT) == "response_s: found 91 s, accepted is 0 to 90 s"
    assert check(order(function, curve=points, response_s=-1.0), None, UNIT) is not None


@pytest.mark.parametrize(
    ("module", "function", "unknown"),
    [
        pytest.param(volt_var, "volt_var", {}, id="volt_var-without-voltage"),
        pytest.param(volt_var, "volt_var", {"voltage": 0.25}, id="volt_var-with-a-wrong-transformer-ratio"),
        pytest.param(volt_watt, "volt_watt", {}, id="volt_watt-without-voltage"),
        pytest.param(volt_watt, "volt_watt", {"voltage": 1.74}, id="volt_watt-line-to-line"),
        pytest.param(watt_var, "watt_var", {"voltage": 1.0}, id="watt_var-without-power"),
        pytest.param(watt_power_factor, "watt_power_factor", {"voltage": 1.0}, id="watt_power_factor-without-power"),
    ],
)
def test_without_its_measurement_a_curve_says_nothing_new_and_forgets_nothing(
    module: ModuleType, function: str, unknown: dict[str, float]
) -> None:
    curve = next(iter(PRESETS[function].values()))
    activation = order(function, curve=curve.points, response_s=curve.response_s)
    _, memory = module.decide(activation, None, site(active_w=0.9, voltage=1.05), None)
    assert memory is not None
    assert module.decide(activation, None, site(**unknown), memory) == (None, memory)


def test_what_a_curve_says_is_of_the_ratings_and_signed_as_the_generator_counts() -> None:
    big = replace(site(voltage=1.08, active_w=60e3), rated_w=60e3, rated_va=66e3)
    volt_var_b, watt_var_b = (PRESETS[name]["ieee1547-2018-b"].points for name in ("volt_var", "watt_var"))
    expected = Statement(-0.44 * 66e3, -0.44 * 66e3)
    assert volt_var.decide(order(curve=volt_var_b), None, big, None)[0] == expected
    assert watt_var.decide(order(curve=watt_var_b), None, big, None)[0] == expected
    ceiling, _ = volt_watt.decide(order(curve=((1.0, 1.0), (1.16, 0.0))), None, big, None)
    assert ceiling is not None
    assert ceiling.lo is None
    assert ceiling.hi == pytest.approx(30e3)


def test_a_curve_is_followed_with_its_open_loop_response_time() -> None:
    activation = order(curve=PRESETS["volt_var"]["ieee1547-2018-b"].points, response_s=5.0)
    _, memory = volt_var.decide(activation, None, site(voltage=1.0), None)
    for _ in range(25):
        statement, memory = volt_var.decide(activation, None, site(voltage=1.08, dt=0.2), memory)
    assert statement is not None
    assert statement.lo == statement.hi == pytest.approx(-0.9 * 0.44)


# Power factor


@pytest.mark.parametrize(
    ("excitation", "active", "expected"),
    [
        pytest.param("over", 1.0, 0.484322, id="over-excited"),
        pytest.param("under", 1.0, -0.484322, id="under-excited"),
        pytest.param("under", -1.0, -0.484322, id="under-excited-while-charging"),
        pytest.param("over", 0.0, 0.0, id="no-power-no-reactive-power"),
    ],
)
def test_the_sign_of_a_power_factor_is_its_excitation_in_both_directions_of_power(
    excitation: str, active: float, expected: float
) -> None:
    statement, _ = power_factor.decide(order(excitation=excitation), 0.9, site(active_w=active), None)
    assert statement is not None
    assert statement.lo == statement.hi == pytest.approx(expected, abs=1e-6)


def test_a_power_factor_without_active_power_or_value_says_nothing_new() -> None:
    assert power_factor.decide(order(), 0.9, site(), "memory") == (None, "memory")
    assert power_factor.decide(order(), None, site(active_w=1.0), "memory") == (None, "memory")


@pytest.mark.parametrize("value", [None, 0.0, -0.9, 0.05, 1.01, nan])
def test_a_power_factor_of_no_use_is_refused(value: float | None) -> None:
    assert "accepted is a power factor of 0.1 to 1" in (power_factor.check(order(), value, UNIT) or "")


def test_a_power_factor_up_to_unity_is_accepted() -> None:
    assert power_factor.check(order(), 1.0, UNIT) is None
    assert power_factor.check(order(response_s=10.0), 0.8, UNIT) is None


@given(st.floats(0.0, 1.0))
def test_a_power_factor_curve_passes_from_over_to_under_excited_through_unity(x: float) -> None:
    """1 and -1 are one point, so the curve never comes near cosφ 0."""
    found = watt_power_factor.power_factor_at(((0.0, 0.9), (1.0, -0.9)), x)
    assert 0.9 - 1e-12 <= abs(found) <= 1.0
    assert (found > 0.0) == (x <= 0.5) or isclose(x, 0.5)
    same = watt_power_factor.power_factor_at(((0.0, 0.9), (0.5, -1.0), (1.0, -0.9)), x)
    assert abs(found) == pytest.approx(abs(same))


def test_a_power_factor_curve_near_zero_is_refused() -> None:
    wrong = watt_power_factor.check(order(curve=((0.5, 1.0), (1.0, -0.05))), None, UNIT)
    assert wrong == "curve[1].y: found -0.05, accepted is a power factor of 0.1 to 1, or negative"


# Response


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6), st.floats(0.0, 1e4), st.floats(0.0, 90.0))
def test_a_response_never_overshoots(previous: float, goal: float, dt: float, response_s: float) -> None:
    rounding = 1e-9 * max(abs(previous), abs(goal))
    assert min(previous, goal) - rounding <= lag(previous, goal, dt, response_s) <= max(previous, goal) + rounding


@given(st.integers(1, 50))
def test_a_response_does_not_depend_on_how_often_it_is_looked_at(looks: int) -> None:
    value = 0.0
    for _ in range(looks):
        value = lag(value, 1.0, 5.0 / looks, 5.0)
    assert value == pytest.approx(0.9)


@pytest.mark.parametrize(("previous", "response_s"), [(None, 5.0), (0.0, None), (0.0, 0.0)])
def test_the_first_look_and_a_response_time_of_none_or_0_are_at_once(
    previous: float | None, response_s: float | None
) -> None:
    assert lag(previous, 1.0, 0.0, response_s) == 1.0


# Apparent power


# Reserve


@pytest.mark.parametrize(
    ("up", "down", "expected"),
    [
        pytest.param(20e3, 10e3, Statement(-50e3, 40e3), id="both"),
        pytest.param(20e3, 0.0, Statement(None, 40e3), id="up-only"),
        pytest.param(0.0, 10e3, Statement(-50e3, None), id="down-only"),
    ],
)
def test_a_reserve_stays_free_at_both_ends_of_what_is_reachable(up: float, down: float, expected: Statement) -> None:
    activation = order("reserve", reserve=Reserve(up, down))
    assert reserve.decide(activation, None, site(reachable=Band(-60e3, 60e3)), None) == (expected, None)


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        pytest.param(None, "reserve: found none", id="none"),
        pytest.param(Reserve(-1.0, 0.0), "reserve.up_w: found -1 W, accepted is 0 W or more", id="negative"),
        pytest.param(Reserve(0.0, nan), "reserve.down_w: found nan W", id="nan"),
        pytest.param(
            Reserve(80e3, 50e3), "found 130000 W up and down together, accepted are 120000 W", id="more-than-there-is"
        ),
    ],
)
def test_a_reserve_that_cannot_be_kept_is_refused(asked: Reserve | None, found: str) -> None:
    assert found in (reserve.check(order(reserve=asked), None, Band(-60e3, 60e3)) or "")


def test_a_reserve_as_wide_as_the_band_is_accepted() -> None:
    assert reserve.check(order(reserve=Reserve(70e3, 50e3)), None, Band(-60e3, 60e3)) is None


def test_a_function_without_what_it_orders_says_nothing_new() -> None:
    everything = site(active_w=0.5, voltage=1.1, frequency_hz=51.0)
    for module in (*BY_CURVE.values(), reserve, frequency_droop):
        assert module.decide(order(), None, everything, "memory") == (None, "memory")


def test_powers_and_voltages_of_every_norm_are_within_the_accepted_ranges() -> None:
    for function, names in PRESETS.items():
        accepted = VOLTAGES if function.startswith("volt") else POWERS
        assert all(accepted.lo < x < accepted.hi for curve in names.values() for x, _ in curve.points)
