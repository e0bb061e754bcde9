"""How often a set-point has to be written again, and when a device counts as frozen."""

from __future__ import annotations

import pytest

from drivers.modbus.sunspec_control import Timer, timer_in
from drivers.modbus.sunspec_heartbeat import FROZEN_S, Pulse
from drivers.modbus.sunspec_reversion import REFRESH_MIN_S, Lapse, Reversions
from gateway.model import Measurement, Quality

LIMIT = "d.active_power_limit"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((60,), 60),
        ((0, 60), 60),
        ((1, 0), 65536),
        ((0,), None),
        ((0, 0), None),
        ((0xFFFF,), None),
        ((0xFFFF, 0xFFFF), None),
        ((0xFFFF, 0xFFFE), 2**32 - 2),
        ((), None),
    ],
)
def test_a_time_of_0_or_one_that_is_not_implemented_never_runs_out(
    words: tuple[int, ...], expected: float | None
) -> None:
    assert timer_in(words, words) == Timer(expected, expected)


FOR_EVER = Timer(None, None)


@pytest.mark.parametrize(
    ("asked_s", "timer", "expected"),
    [
        pytest.param(60, Timer(60, None), {}, id="as-asked"),
        pytest.param(60, Timer(59, None), {}, id="a-second-less"),
        pytest.param(60, Timer(60, 59), {}, id="a-second-has-passed"),
        pytest.param(60, Timer(60, None), {}, id="left-is-not-told-yet"),
        pytest.param(60, Timer(20, None), {LIMIT: 10}, id="less"),
        pytest.param(60, Timer(60, 30), {LIMIT: 15}, id="less-is-left"),
        pytest.param(60, Timer(None, 30), {LIMIT: 15}, id="only-what-is-left-is-told"),
        pytest.param(60, Timer(300, 300), {LIMIT: 150}, id="more"),
        pytest.param(60, FOR_EVER, {}, id="not-told"),
        pytest.param(None, Timer(20, 20), {LIMIT: 10}, id="not-asked"),
        pytest.param(60, Timer(1, 1), {LIMIT: REFRESH_MIN_S}, id="hardly-any"),
    ],
)
def test_the_refresh_is_half_of_what_the_device_tells(
    asked_s: float | None, timer: Timer, expected: dict[str, float]
) -> None:
    reversions = Reversions(asked_s)
    reversions.stands(LIMIT, 30e3, None, timer, 0.0)

    assert reversions.refresh_s == expected


def test_what_is_left_may_be_told_late_and_a_later_word_of_more_corrects_it() -> None:
    """After a refresh, a slow device still tells what was left before it; the refresh does not follow that down."""
    reversions = Reversions(60)
    found = []
    for left_s in (12, 30, 16, 15, 30):
        reversions.stands(LIMIT, 30e3, None, Timer(60, left_s), 0.0)
        found.append(reversions.refresh_s[LIMIT])

    assert found == [6, 15, 15, 15, 15]
    reversions.stands(LIMIT, 30e3, None, Timer(20, 20), 0.0)
    assert reversions.refresh_s == {LIMIT: 10}


def seen(reversions: Reversions, value: float | None, now: float, quality: Quality = Quality.GOOD) -> list[Lapse]:
    return reversions.seen([Measurement(LIMIT, value, quality)], now)


@pytest.mark.parametrize(("gone", "before"), [(None, None), (100e3, 100e3)], ids=["out-of-force", "the-value-before"])
def test_the_refresh_is_half_of_the_time_after_which_it_was_seen_to_be_gone(
    gone: float | None, before: float | None
) -> None:
    reversions = Reversions(60)
    reversions.stands(LIMIT, 30e3, before, FOR_EVER, 100.0)
    assert seen(reversions, 30e3, 110.0) == []
    assert seen(reversions, gone, 120.0) == [Lapse(LIMIT, 20.0, 10.0)]
    assert reversions.refresh_s == {LIMIT: 10.0}
    assert seen(reversions, gone, 121.0) == []

    reversions.stands(LIMIT, 30e3, before, FOR_EVER, 130.0)
    assert reversions.refresh_s == {LIMIT: 10.0}
    assert seen(reversions, gone, 150.0) == []  # nothing new: it was not refreshed
    assert reversions.refresh_s == {LIMIT: 10.0}


@pytest.mark.parametrize(
    ("value", "quality"),
    [(30e3, Quality.GOOD), (50e3, Quality.GOOD), (None, Quality.INVALID), (None, Quality.OFFLINE)],
    ids=["ours", "another-master-s", "not-readable", "away"],
)
def test_what_is_no_end_of_ours_teaches_nothing(value: float | None, quality: Quality) -> None:
    reversions = Reversions(60)
    reversions.stands(LIMIT, 30e3, None, FOR_EVER, 0.0)

    assert seen(reversions, value, 5.0, quality) == []
    assert reversions.refresh_s == {}


def test_what_ends_after_the_time_that_was_known_was_only_not_refreshed() -> None:
    for reversions in (Reversions(60), Reversions(None)):
        reversions.stands(LIMIT, 30e3, None, Timer(60, None), 0.0)
        assert seen(reversions, None, 60.2) == []


def test_our_own_doing_and_a_device_that_was_away_teach_nothing() -> None:
    reversions = Reversions(60)
    for forget in (lambda: reversions.writing(LIMIT), reversions.forget):
        reversions.stands(LIMIT, 30e3, None, FOR_EVER, 0.0)
        forget()
        assert seen(reversions, None, 5.0) == []


def beats(*steps: tuple[float, float | None]) -> list[bool]:
    pulse = Pulse()
    found = []
    for now, count in steps:
        pulse.beat(count, now)
        found.append(pulse.frozen)
    return found


@pytest.mark.parametrize(
    ("steps", "frozen"),
    [
        pytest.param([(0, 7), (1, 8), (6, 8), (7, 9)], [False, False, True, False], id="stands-and-moves-again"),
        pytest.param([(0, 7), (FROZEN_S - 0.1, 7)], [False, False], id="not-long-enough"),
        pytest.param([(0, 0), (60, 0)], [False, False], id="never-counted"),
        pytest.param([(0, None), (60, None)], [False, False], id="not-implemented"),
        pytest.param([(0, 2**32 - 2), (1, 0), (2, 1)], [False] * 3, id="begins-again"),
    ],
)
def test_a_device_is_frozen_while_its_heartbeat_stands(
    steps: list[tuple[float, float | None]], frozen: list[bool]
) -> None:
    assert beats(*steps) == frozen


def test_a_change_is_told_once() -> None:
    pulse = Pulse()
    assert [pulse.beat(count, now) for now, count in [(0, 1), (5, 1), (6, 1), (7, 2)]] == [False, True, False, True]
