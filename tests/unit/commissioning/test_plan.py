"""What is written for a step: no more than is possible now, and never where it could not be seen."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.commissioning.plan import NoStep, StepPlan, plan_step, step_point
from gateway.commissioning.result import Device
from gateway.model import Point

LIMIT = Point("d.active_power_limit", "W", writable=True)
SETPOINT = Point("d.active_power_setpoint", "W", writable=True)
PERCENT = Point("d.active_power_limit", "%", writable=True, base=20_000.0)


def device(role: str, rated_w: float | None = 10_000.0) -> Device:
    return Device("d", role, rated_w, controlled=True)


@pytest.mark.parametrize(
    ("role", "points", "chosen"),
    [
        ("battery", (LIMIT, SETPOINT), SETPOINT),
        ("battery", (LIMIT,), LIMIT),
        ("pv", (LIMIT, SETPOINT), LIMIT),
        ("generator", (SETPOINT,), SETPOINT),
        ("pv", (Point("d.active_power_limit", "W"),), None),
    ],
)
def test_a_battery_is_stepped_by_its_set_point_and_what_produces_by_its_limit(
    role: str, points: tuple[Point, ...], chosen: Point | None
) -> None:
    assert step_point(device(role), points) is chosen


@pytest.mark.parametrize(
    ("one", "point", "power_w", "soc", "levels"),
    [
        pytest.param(device("pv"), LIMIT, 8_000.0, None, (8_000.0, 7_000.0), id="a-tenth-below-now"),
        pytest.param(device("pv"), LIMIT, 600.0, None, (600.0, 0.0), id="all-there-is"),
        pytest.param(device("pv"), LIMIT, 400.0, None, None, id="too-little-sun"),
        pytest.param(device("pv"), LIMIT, None, None, None, id="power-not-known"),
        pytest.param(device("pv", None), LIMIT, 8_000.0, None, None, id="rating-not-known"),
        pytest.param(device("generator"), SETPOINT, 5_000.0, None, (5_000.0, 4_000.0), id="generator"),
        pytest.param(device("battery"), SETPOINT, 0.0, 50.0, (-500.0, 500.0), id="battery"),
        pytest.param(device("battery"), SETPOINT, 0.0, None, (-500.0, 500.0), id="battery-soc-not-known"),
        pytest.param(device("battery"), SETPOINT, 0.0, 99.0, (0.0, 500.0), id="full-battery-discharges-only"),
        pytest.param(device("battery"), SETPOINT, 0.0, 6.0, (-500.0, 0.0), id="empty-battery-charges-only"),
    ],
)
def test_a_step_starts_at_what_is_possible_now(
    one: Device, point: Point, power_w: float | None, soc: float | None, levels: tuple[float, float] | None
) -> None:
    plan = plan_step(one, point, power_w, None, soc)
    if levels is None:
        assert isinstance(plan, NoStep)
        assert plan.reason
    else:
        assert isinstance(plan, StepPlan)
        assert (plan.rest_w, plan.step_w) == levels


def test_a_limit_rests_at_what_stood_before_and_a_set_point_at_its_own_level() -> None:
    limit = plan_step(device("pv"), PERCENT, 8_000.0, 90.0, None)
    setpoint = plan_step(device("battery"), SETPOINT, 0.0, 90.0, 50.0)
    assert isinstance(limit, StepPlan)
    assert isinstance(setpoint, StepPlan)
    assert (limit.setting(stepped=False), limit.setting(stepped=True)) == (90.0, 35.0)
    assert (setpoint.setting(stepped=False), setpoint.setting(stepped=True)) == (-500.0, 500.0)


@given(power_w=st.floats(-1e5, 1e5), later_w=st.floats(-1e5, 1e5), before=st.none() | st.floats(0, 1e4))
def test_a_limit_is_never_above_what_is_given_now_nor_below_zero(
    power_w: float, later_w: float, before: float | None
) -> None:
    plan = plan_step(device("pv"), LIMIT, power_w, before, None)
    if isinstance(plan, StepPlan):
        for one in (plan, plan.from_power(later_w)):
            assert 0.0 <= one.step_w < one.rest_w
            assert one.size_w <= 1_000.0 * (1 + 1e-9)
            assert one.reached(one.step_w, stepped=True)
            assert one.reached(one.rest_w, stepped=False)
            assert not one.reached(one.rest_w, stepped=True)
            assert one.before == before
