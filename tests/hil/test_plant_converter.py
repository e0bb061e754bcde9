"""How a converter and a PV inverter follow their set-points: against closed formulas, and what always holds."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.plant.converter import ConverterParameters
from hil.plant.inverter import Inverter
from hil.plant.setting import DeadTime, Ramp, Setting

RATED_W, RATED_VA = 60_000.0, 66_000.0
DT_S = 0.1


def inverter(
    *, available_w: float = RATED_W, dead_time_s: float = 0.3, t90_s: float = 1.0, settled: bool = True
) -> Inverter:
    parameters = ConverterParameters(rated_w=RATED_W, rated_va=RATED_VA, dead_time_s=dead_time_s, t90_s=t90_s)
    device = Inverter(parameters, available_w=available_w)
    if settled:
        device.converter.active_power_w = min(available_w, RATED_W)
    return device


def run(device: Inverter, seconds: float, *, dt_s: float = DT_S) -> None:
    for _ in range(round(seconds / dt_s)):
        device.step(dt_s)


def limit(device: Inverter, percent: float) -> None:
    device.converter.limit.put(percent)
    device.converter.limit.enable(True)


@pytest.mark.parametrize("dt_s", [0.02, 0.05, 0.1])
@pytest.mark.parametrize("t90_s", [0.5, 1.0, 5.0])
def test_a_step_of_the_limit_follows_the_closed_formula_whatever_the_length_of_a_step(
    t90_s: float, dt_s: float
) -> None:
    device = inverter(t90_s=t90_s)
    limit(device, 50)
    for n in range(1, round(5 / dt_s)):
        device.step(dt_s)
        acting_s = max(n * dt_s - 0.3, 0.0)
        expected_w = 30_000.0 + 30_000.0 * 10 ** (-acting_s / t90_s)
        assert device.converter.active_power_w == pytest.approx(expected_w, rel=1e-9), f"after {n * dt_s:.2f} s"


def test_ninety_percent_of_a_step_are_done_one_t90_after_the_dead_time() -> None:
    device = inverter(t90_s=1.0, dead_time_s=0.3)
    limit(device, 50)
    run(device, 1.3)
    assert device.converter.active_power_w == pytest.approx(33_000.0)


@pytest.mark.parametrize(
    ("available_w", "percent", "enabled", "settled_w"),
    [
        (56_000.0, 50.0, True, 30_000.0),
        (56_000.0, 50.0, False, 56_000.0),
        (20_000.0, 50.0, True, 20_000.0),
        (56_000.0, 0.0, True, 0.0),
        (70_000.0, 100.0, True, 60_000.0),
    ],
    ids=["limited", "inert until enabled", "less sun than limit", "limited to nothing", "never above rated"],
)
def test_the_settled_power_is_the_least_of_sun_limit_and_rating(
    available_w: float, percent: float, enabled: bool, settled_w: float
) -> None:
    device = inverter(available_w=available_w)
    device.converter.limit.put(percent)
    device.converter.limit.enable(enabled)
    run(device, 20)
    assert device.converter.active_power_w == pytest.approx(settled_w, abs=1e-6)
    assert device.converter.curtailed == (enabled and settled_w < available_w and percent < 100)


def test_a_loss_of_sun_takes_the_power_at_once_and_its_return_is_followed() -> None:
    device = inverter(available_w=56_000.0)
    device.available_w = 10_000.0
    device.step(DT_S)
    assert device.converter.active_power_w == 10_000.0
    device.available_w = 56_000.0
    device.step(DT_S)
    assert device.converter.active_power_w == pytest.approx(56_000.0 - 46_000.0 * 10**-0.1)


def test_a_ramp_time_stretches_a_new_limit_in_a_straight_line() -> None:
    device = inverter(t90_s=0.0, dead_time_s=0.0)
    device.converter.limit.ramp_s = 10.0
    limit(device, 50)
    for second in range(1, 13):
        run(device, 1.0)
        assert device.converter.active_power_w == pytest.approx(60_000.0 - 3_000.0 * min(second, 10))


def test_a_limit_lets_go_by_itself_after_its_reversion_time() -> None:
    device = inverter(dead_time_s=0.0)
    device.converter.limit.revert_s = 5.0
    limit(device, 50)
    run(device, 4.9)
    assert device.converter.limit.in_force == 50
    run(device, 0.1)
    assert device.converter.limit.in_force is None
    assert device.converter.limit.value == 50
    run(device, 20)
    assert device.converter.active_power_w == pytest.approx(RATED_W)


@pytest.mark.parametrize(
    "refresh", [lambda setting: setting.put(50.0), lambda setting: setting.enable(True)], ids=["value", "enable"]
)
def test_a_write_of_value_or_enable_starts_the_reversion_time_again(refresh: Callable[[Setting], None]) -> None:
    device = inverter()
    device.converter.limit.revert_s = 5.0
    limit(device, 50)
    for _ in range(4):
        run(device, 4.0)
        refresh(device.converter.limit)
    run(device, 4.9)
    assert device.converter.limit.in_force == 50
    run(device, 0.2)
    assert device.converter.limit.in_force is None


def test_without_a_reversion_time_a_limit_stays() -> None:
    device = inverter()
    limit(device, 50)
    run(device, 3600, dt_s=1.0)
    assert device.converter.limit.in_force == 50


def test_disconnecting_opens_at_once_after_the_dead_time_and_reverts_to_connected() -> None:
    device = inverter(dead_time_s=0.3)
    device.converter.disconnect.revert_s = 10.0
    device.converter.disconnect.enable(True)
    run(device, 0.3)
    assert device.converter.connected
    run(device, 0.1)
    assert (device.converter.connected, device.converter.active_power_w) == (False, 0.0)
    run(device, 30)
    assert device.converter.connected
    assert device.converter.active_power_w == pytest.approx(RATED_W)


@pytest.mark.parametrize(
    ("active_w", "percent", "settled_var"),
    [
        (20_000.0, 50.0, 30_000.0),
        (20_000.0, -50.0, -30_000.0),
        (60_000.0, 100.0, math.sqrt(RATED_VA**2 - RATED_W**2)),
        (60_000.0, -100.0, -math.sqrt(RATED_VA**2 - RATED_W**2)),
    ],
    ids=["over-excited", "under-excited", "circle, over", "circle, under"],
)
def test_reactive_power_is_percent_of_wmax_within_what_active_power_leaves_of_the_circle(
    active_w: float, percent: float, settled_var: float
) -> None:
    device = inverter(available_w=active_w)
    device.converter.reactive.put(percent)
    run(device, 20)
    assert device.converter.reactive_power_var == 0.0  # inert until enabled
    device.converter.reactive.enable(True)
    run(device, 20)
    assert device.converter.reactive_power_var == pytest.approx(settled_var)


def test_reactive_power_makes_way_at_once_when_active_power_rises() -> None:
    device = inverter(available_w=0.0)
    device.converter.reactive.put(100.0)
    device.converter.reactive.enable(True)
    run(device, 20)
    assert device.converter.reactive_power_var == pytest.approx(60_000.0)
    device.available_w = RATED_W
    for _ in range(50):
        device.step(DT_S)
        powers = (device.converter.active_power_w, device.converter.reactive_power_var)
        assert math.hypot(*powers) <= RATED_VA * (1 + 1e-12)
    assert powers == pytest.approx((RATED_W, math.sqrt(RATED_VA**2 - RATED_W**2)), rel=1e-3)


def test_energy_is_the_integral_of_power() -> None:
    device = inverter(available_w=36_000.0)
    run(device, 10)
    assert device.converter.energy_out_wh == pytest.approx(100.0)
    assert device.converter.energy_in_wh == 0.0


ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["limit", "limit on", "limit off", "q", "q on", "q off", "sun", "off", "on", "wait"]),
        st.floats(-1.0, 1.0),
    ),
    max_size=30,
)


def act(device: Inverter, what: str, amount: float) -> None:
    converter = device.converter
    match what:
        case "limit":
            converter.limit.put(100 * abs(amount))
        case "limit on" | "limit off":
            converter.limit.enable(what == "limit on")
        case "q":
            converter.reactive.put(100 * amount)
        case "q on" | "q off":
            converter.reactive.enable(what == "q on")
        case "sun":
            device.available_w = 70_000.0 * abs(amount)
        case "off" | "on":
            converter.disconnect.enable(what == "off")
        case "wait":
            run(device, 5 * abs(amount))


@given(ACTIONS, st.sampled_from([0.01, 0.1, 1.0]), st.sampled_from([0.0, 3.0]))
def test_power_never_leaves_the_circle_nor_what_the_sun_gives_and_obeys_the_limit_once_settled(
    actions: list[tuple[str, float]], dt_s: float, ramp_s: float
) -> None:
    device = inverter()
    converter = device.converter
    converter.limit.ramp_s = converter.reactive.ramp_s = ramp_s
    for what, amount in actions:
        act(device, what, amount)
        device.step(dt_s)
        assert 0.0 <= converter.active_power_w <= device.available_w
        assert math.hypot(converter.active_power_w, converter.reactive_power_var) <= RATED_VA * (1 + 1e-12)
    run(device, 30)
    limit_w = RATED_W if converter.limit.in_force is None else converter.limit.value / 100 * RATED_W
    assert converter.active_power_w <= min(limit_w, device.available_w) + 0.01


@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from([0.1, 0.25])), min_size=1, max_size=60))
def test_dead_time_gives_every_step_what_stood_that_long_before_it(steps: list[tuple[int, float]]) -> None:
    delayed = DeadTime(0.5, 0)
    now_s, history = 0.0, [(-math.inf, 0)]
    for value, dt_s in steps:
        history.append((now_s, value))
        expected = [was for since_s, was in history if since_s <= now_s - 0.5 + 1e-9][-1]
        assert delayed.step(value, dt_s) == expected
        now_s += dt_s


def test_a_ramp_that_is_turned_round_starts_from_where_it_stands() -> None:
    ramp = Ramp(0.0, 0.0)
    assert [ramp.step(100.0, 10.0, 1.0) for _ in range(4)] == [10.0, 20.0, 30.0, 40.0]
    assert [ramp.step(0.0, 2.0, 1.0) for _ in range(3)] == [20.0, 0.0, 0.0]
    assert ramp.step(7.0, 0.0, 1.0) == 7.0
