"""How often a set-point has to be written again, and when a device counts as frozen."""

from __future__ import annotations

import pytest

from drivers.modbus.sunspec_control import timer_s
from drivers.modbus.sunspec_heartbeat import FROZEN_S, Pulse
from drivers.modbus.sunspec_reversion import REFRESH_MIN_S, Lapse, Reversions
from gateway.model import Measurement, Quality

LIMIT = "d.active_power_limit"


@pytest.mark.parametrize(
    ("total", "left", "expected"),
    [
        ((60,), (), 60),
        ((0,), (), None),
        ((0xFFFF,), (), None),
        ((0, 60), (0, 60), 60),
        ((0, 60), (0, 59), 60),
        ((0, 60), (0, 30), 30),
        ((0, 60), (0, 0), 60),
        ((0, 60), (0xFFFF, 0xFFFF), 60),
        ((0xFFFF, 0xFFFF), (0, 45), 45),
        ((0, 0), (0, 45), None),
        ((1, 0), (), 65536),
        ((0xFFFF, 0xFFFF), (0xFFFF, 0xFFFF), None),
    ],
)
def test_a_device_tells_how_long_it_holds_a_set_point(
    total: tuple[int, ...], left: tuple[int, ...], expected: float | None
) -> None:
    """What is left counts where it is told; a second may just have passed."""
    assert timer_s(total, left) == expected


@pytest.mark.parametrize(
    ("asked_s", "told_s", "expected"),
    [
        pytest.param(60, 60, {}, id="as-asked"),
        pytest.param(60, 59, {}, id="a-second-less"),
        pytest.param(60, 20, {LIMIT: 10}, id="less"),
        pytest.param(60, 300, {LIMIT: 150}, id="more"),
        pytest.param(60, None, {}, id="not-told"),
        pytest.param(None, 20, {LIMIT: 10}, id="not-asked"),
        pytest.param(60, 1, {LIMIT: REFRESH_MIN_S}, id="hardly-any"),
    ],
)
def test_the_refresh_is_half_of_what_the_device_tells(
    asked_s: float | None, told_s: float | None, expected: dict[str, float]
) -> None:
    reversions = Reversions(asked_s)
    reversions.stands(LIMIT, 30e3, None, told_s, 0.0)

    assert reversions.refresh_s == expected


def seen(reversions: Reversions, value: float | None, now: float, quality: Quality = Quality.GOOD) -> list[Lapse]:
    return reversions.seen([Measurement(LIMIT, value, quality)], now)


@pytest.mark.parametrize(("gone", "before"), [(None, None), (100e3, 100e3)], ids=["out-of-force", "the-value-before"])
def test_the_refresh_is_half_of_the_time_after_which_it_was_seen_to_be_gone(
    gone: float | None, before: float | None
) -> None:
    reversions = Reversions(60)
    reversions.stands(LIMIT, 30e3, before, None, 100.0)
    assert seen(reversions, 30e3, 110.0) == []
    assert seen(reversions, gone, 120.0) == [Lapse(LIMIT, 20.0, 10.0)]
    assert reversions.refresh_s == {LIMIT: 10.0}
    assert seen(reversions, gone, 121.0) == []

    reversions.stands(LIMIT, 30e3, before, None, 130.0)
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
    reversions.stands(LIMIT, 30e3, None, None, 0.0)

    assert seen(reversions, value, 5.0, quality) == []
    assert reversions.refresh_s == {}


def test_what_ends_after_the_time_that_was_known_was_only_not_refreshed() -> None:
    for reversions in (Reversions(60), Reversions(None)):
        reversions.stands(LIMIT, 30e3, None, 60.0, 0.0)
        assert seen(reversions, None, 60.2) == []


def test_our_own_doing_and_a_device_that_was_away_teach_nothing() -> None:
    reversions = Reversions(60)
    for forget in (lambda: reversions.writing(LIMIT), reversions.forget):
        reversions.stands(LIMIT, 30e3, None, None, 0.0)
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
