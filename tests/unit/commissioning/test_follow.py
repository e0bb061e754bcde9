"""Samples in, verdict out: what each fault of an installation looks like, and what is said of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.commissioning.effect import Effect, Kind, classify
from gateway.commissioning.follow import METER, Record, judge_device, judge_meter, judge_sign, trace
from gateway.commissioning.result import Result, Sample, Verdict
from tests.unit.commissioning.series import record

PASS, FAIL, OPEN = Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE
BATTERY = {"rest_w": -1_500.0, "step_w": 1_500.0, "rated_w": 30_000.0, "limit": False}


def square(t: float) -> float:
    """A large load that comes and goes with no regard to the test."""
    return -6_000.0 - (9_000.0 if (t // 11) % 2 else 0.0)


METERS = [
    pytest.param(record(), PASS, "", id="right"),
    pytest.param(record(noise_w=600), PASS, "", id="right-noisy-load"),
    pytest.param(record(load_w=lambda t: -6_000 - 40 * t), PASS, "", id="right-load-drifts"),
    pytest.param(record(sun_w=lambda t: 12 * (t - 100)), PASS, "", id="right-sun-rises"),
    pytest.param(record(**BATTERY), PASS, "", id="right-battery-importing-site"),
    pytest.param(record(meter=lambda x: -x), FAIL, "the other way: set scale: -1 on pcc.active_power", id="inverted"),
    pytest.param(record(meter=abs), PASS, "", id="unsigned-exporting-cannot-be-told"),
    pytest.param(record(meter=abs, load_w=lambda t: -70_000), FAIL, "unsigned", id="unsigned-importing"),
    pytest.param(record(meter=abs, load_w=lambda t: -48_000), FAIL, "unsigned", id="unsigned-across-zero"),
    pytest.param(record(meter=abs, **BATTERY, load_w=lambda t: -700), FAIL, "unsigned", id="unsigned-battery"),
    pytest.param(record(meter=lambda x: x / 1000), FAIL, "pcc.active_power by 1000", id="kW-for-W"),
    pytest.param(record(meter=lambda x: x * 1000), FAIL, "pcc.active_power by 0.001", id="scaled-by-1000"),
    pytest.param(record(meter=lambda x: -x * 10), FAIL, "pcc.active_power by -0.1", id="scaled-by-minus-10"),
    pytest.param(record(meter=lambda x: 0.0), FAIL, "does not see this device", id="dead-at-zero"),
    pytest.param(record(meter=lambda x: 812.0), FAIL, "does not see this device", id="dead-at-a-value"),
    pytest.param(record(meter=None), FAIL, "cannot be read", id="no-samples"),
    pytest.param(record(meter=lambda x: x / 3), FAIL, "one of the meter's three current", id="one-ct-turned"),
    pytest.param(record(meter=lambda x: x * 2 / 3), FAIL, "is missing", id="one-ct-missing"),
    pytest.param(record(meter=lambda x: -x / 3), FAIL, "two of the meter's", id="two-ct-turned"),
    pytest.param(record(meter=lambda x: x * 0.5), FAIL, "shows 0.50 of the step", id="wrong-ct-ratio"),
    pytest.param(record(load_w=square), OPEN, "the load moved by", id="load-larger-than-the-step"),
    pytest.param(record(noise_w=60_000), OPEN, "the load moved by", id="noise-larger-than-the-step"),
    pytest.param(record(cycles=1, load_w=lambda t: -6_000 - 900 * t), OPEN, "the load moved", id="one-cycle-drifting"),
]


@pytest.mark.parametrize(("step", "verdict", "advice"), METERS)
def test_what_the_meter_sees_of_a_step_tells_how_it_is_wired_and_scaled(
    step: Record, verdict: Verdict, advice: str
) -> None:
    result = judge_meter(step, judge_device(step))
    assert (result.verdict, advice in result.advice) == (verdict, True), result


DEVICES = [
    pytest.param(record(), PASS, "", id="follows"),
    pytest.param(record(sun_w=lambda t: 12 * (t - 100)), PASS, "", id="sun-rises"),
    pytest.param(record(**BATTERY), PASS, "", id="battery-follows"),
    pytest.param(record(follows=lambda x: 50_000.0), FAIL, "does not follow", id="ignores-its-limit"),
    pytest.param(record(**BATTERY, follows=lambda x: 0.0), FAIL, "does not follow", id="battery-stays"),
    pytest.param(record(**BATTERY, device=abs), FAIL, "no sign", id="own-measurement-unsigned"),
    pytest.param(record(**BATTERY, device=lambda x: -x), FAIL, "set scale: -1", id="own-measurement-inverted"),
    pytest.param(record(**BATTERY, device=lambda x: x / 1000), FAIL, "by 1000", id="own-measurement-in-kW"),
    pytest.param(record(follows=lambda x: 2 * x - 50_000), FAIL, "moves by 200%", id="moves-too-far"),
    pytest.param(
        record(sun_w=lambda t: -6_500.0, follows=lambda x: min(x, 43_500.0)), OPEN, "too little sun", id="sun-goes"
    ),
]


@pytest.mark.parametrize(("step", "verdict", "advice"), DEVICES)
def test_whether_a_device_follows_is_judged_by_its_own_measurement(step: Record, verdict: Verdict, advice: str) -> None:
    if advice == "moves by 200%":
        step = replace(step, limit=False)
    result = judge_device(step)
    assert (result.verdict, advice in result.advice) == (verdict, True), result


def test_a_device_that_was_not_there_in_time_may_have_a_ramp() -> None:
    step = record(**BATTERY, follows=lambda x: x / 2)
    assert "ramp" not in judge_device(step).advice
    late = replace(step, phases=[phase._replace(settled=False) for phase in step.phases])
    assert "whether a ramp in the device" in judge_device(late).advice


def test_a_meter_is_judged_by_what_was_asked_where_the_device_measures_itself_wrong() -> None:
    step = record(**BATTERY, device=lambda x: -x)
    assert judge_device(step).verdict is FAIL
    assert judge_meter(step, judge_device(step)).verdict is PASS


def test_a_device_that_does_not_move_is_no_fault_of_the_meter() -> None:
    step = record(follows=lambda x: 50_000.0)
    assert judge_meter(step, judge_device(step)).verdict is OPEN


def test_without_a_meter_at_the_pcc_nothing_is_said_of_it() -> None:
    step = replace(record(), meter_id=None)
    assert judge_meter(step, judge_device(step)).verdict is Verdict.NOT_RUN


def test_an_interrupted_step_says_nothing() -> None:
    step = record()
    step = replace(step, phases=step.phases[:2])
    assert judge_device(step).verdict is OPEN
    assert judge_meter(step, judge_device(step)).verdict is OPEN


def test_dead_time_and_rise_time_are_measured_from_the_write_on() -> None:
    """A dead time of 0.4 s and a lag of 0.4 s, seen every 0.2 s: 10 % after 0.44 s, 90 % after 1.32 s."""
    values = judge_device(record()).values
    assert values["dead_time_s"] == pytest.approx(0.6)
    assert values["t90_s"] == pytest.approx(1.4)


def test_a_step_is_drawn_from_its_beginning_with_what_was_asked_and_both_measurements() -> None:
    drawn = trace(record())
    assert drawn.asked[0] == Sample(0.0, 50_000.0)
    assert {value for _, value in drawn.asked} == {50_000.0, 44_000.0}
    assert drawn.device[0].mono == pytest.approx(0.0)
    assert len(drawn.meter) == len(drawn.device)


def seen(factor: float) -> Result:
    return Result("inv1", METER, PASS, values={"factor": factor})


@pytest.mark.parametrize(
    ("factors", "readings", "verdict"),
    [
        pytest.param((1.0, -1.0), (100.0, 9_000.0), FAIL, id="both-ways-and-never-below-zero"),
        pytest.param((1.0, 0.98), (-2_000.0, 9_000.0), PASS, id="right-on-both-sides"),
        pytest.param((1.0, 0.98), (2_000.0, 9_000.0), OPEN, id="only-the-exporting-side-seen"),
        pytest.param((-1.0,), (-2_000.0, -9_000.0), None, id="told-by-the-step-itself"),
        pytest.param((), (2_000.0,), None, id="no-step"),
    ],
)
def test_steps_on_both_sides_of_zero_tell_whether_the_meter_has_a_sign(
    factors: tuple[float, ...], readings: tuple[float, ...], verdict: Verdict | None
) -> None:
    result = judge_sign("pcc", [seen(factor) for factor in factors], readings)
    assert (result and result.verdict) == verdict


@given(st.floats(-1e6, 1e6).filter(lambda x: abs(x) > 1), st.floats(-2e3, 2e3), st.floats(0, 1e6))
def test_the_sign_of_both_effects_turned_is_the_same_finding(reference: float, factor: float, noise: float) -> None:
    effect = Effect(factor * reference, noise)
    turned = Effect(-factor * reference, noise)
    assert classify(effect, reference) == classify(turned, -reference)


@given(st.floats(-1e6, 1e6).filter(lambda x: abs(x) > 1), st.floats(-2e3, 2e3))
def test_a_noise_above_all_effects_makes_no_verdict(reference: float, factor: float) -> None:
    effect = Effect(factor * reference, 1.1 * max(abs(factor), 1.0) * abs(reference))
    assert classify(effect, reference)[0] is Kind.NOISY
