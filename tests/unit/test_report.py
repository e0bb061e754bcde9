"""What leaves the site: a change, a change of quality, or a sign of life; the last word on a point is never lost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.image import Reading
from gateway.model import Instant, Quality, Value
from gateway.report import Reporter, Rule

WALL = 1_000.0


def at(mono: float) -> Instant:
    return Instant(WALL + mono, mono)


def reading(value: Value | None, mono: float, quality: Quality = Quality.GOOD) -> Reading:
    return Reading(value, quality, WALL + mono, mono)


def reporter(deadband: float = 1.0, min_interval: float = 1.0, max_interval: float = 60.0) -> Reporter:
    return Reporter(lambda _: Rule(deadband, min_interval, max_interval))


@pytest.mark.parametrize(
    ("readings", "reported"),
    [
        pytest.param([(0, 10.0)], [10.0], id="the-first-value"),
        pytest.param([(0, 10.0), (2, 10.5)], [10.0], id="within-the-deadband"),
        pytest.param([(0, 10.0), (2, 11.5)], [10.0, 11.5], id="out-of-the-deadband"),
        pytest.param([(0, 10.0), (2, 10.9), (4, 11.8)], [10.0, 11.8], id="creeping-counts-from-what-was-said"),
        pytest.param([(0, 10.0), (61, 10.0)], [10.0, 10.0], id="silent-for-too-long"),
        pytest.param([(0, 10.0), (0.5, 20.0), (0.9, 10.2)], [10.0], id="back-before-it-was-due"),
        pytest.param([(0, "on"), (2, "on"), (4, "off")], ["on", "off"], id="words-change-or-not"),
        pytest.param([(0, False), (2, True)], [False, True], id="switches-change-or-not"),
    ],
)
def test_which_values_are_due(readings: list[tuple[float, Value]], reported: list[Value]) -> None:
    one = reporter()
    frames = [f for mono, value in readings for f in one.due([("p", reading(value, mono))], at(mono))]

    assert [frame.values["p"] for frame in frames] == reported


def test_what_the_minimum_interval_holds_back_leaves_with_the_latest_value() -> None:
    one = reporter()
    one.due([("p", reading(10.0, 0))], at(0))
    assert one.due([("p", reading(20.0, 0.4))], at(0.4)) == []
    assert one.due([("p", reading(30.0, 0.8))], at(0.8)) == []
    [frame] = one.due([], at(1.0))

    assert (frame.values["p"], frame.time) == (30.0, WALL + 0.8)


def test_a_change_of_quality_is_due_at_once_and_a_lost_value_is_not_repeated() -> None:
    one = reporter()
    one.due([("p", reading(10.0, 0))], at(0))
    [frame] = one.due([("p", reading(10.0, 0, Quality.OFFLINE))], at(0.3))

    assert frame.values == {}
    assert frame.quality == {"p": Quality.OFFLINE}
    assert frame.time == WALL + 0.3


def test_an_uncertain_value_is_told_with_its_quality() -> None:
    [frame] = reporter().due([("p", reading(10.0, 0, Quality.UNCERTAIN))], at(0))

    assert frame.values == {"p": 10.0}
    assert frame.quality == {"p": Quality.UNCERTAIN}


def test_values_of_one_moment_are_one_frame_and_moments_stay_apart() -> None:
    frames = reporter().due([("b", reading(1.0, 2)), ("a", reading(2.0, 1)), ("c", reading(3.0, 2))], at(2))

    assert [(frame.time, dict(frame.values)) for frame in frames] == [
        (WALL + 1, {"a": 2.0}),
        (WALL + 2, {"b": 1.0, "c": 3.0}),
    ]


@given(st.lists(st.tuples(st.floats(0.01, 5), st.floats(-100, 100)), min_size=1, max_size=40))
def test_the_last_word_is_never_further_than_a_deadband_from_the_truth(steps: list[tuple[float, float]]) -> None:
    one = reporter()
    mono, said = 0.0, None
    for dt, value in steps:
        mono += dt
        for frame in one.due([("p", reading(value, mono))], at(mono)):
            said = frame.values["p"]
    for frame in one.due([], at(mono + 1.0)):
        said = frame.values["p"]

    assert isinstance(said, float)
    assert abs(said - steps[-1][1]) <= 1.0
