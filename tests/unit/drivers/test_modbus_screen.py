"""What a reading is taken for beside the readings before it and beside it."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.modbus.points import ModbusPoint
from drivers.modbus.screen import Screen
from gateway.model import Measurement, Quality

GOOD, UNCERTAIN = Quality.GOOD, Quality.UNCERTAIN


def screen(**changes: Any) -> Screen:
    given = {"name": "p", "register": "holding:7", "type": "int32"} | changes
    return Screen("d", [ModbusPoint.model_validate(given)])


def qualities(screen: Screen, *values: float | None, point: str = "p") -> list[Quality]:
    """None is a reading that the device says to be invalid."""
    name = f"d.{point}"
    readings = [Measurement(name, v) if v is not None else Measurement(name, None, Quality.INVALID) for v in values]
    return [each.quality for reading in readings for each in screen.passed([reading])]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param([5000], [GOOD], id="the-first-has-no-neighbour"),
        pytest.param([0, 100, 200], [GOOD] * 3, id="as-large-as-allowed"),
        pytest.param([0, 36e6, 10], [GOOD, UNCERTAIN, GOOD], id="one-shifted-frame"),
        pytest.param([0, 500, 510], [GOOD, UNCERTAIN, GOOD], id="a-true-step-is-confirmed"),
        pytest.param([0, 500, 510, 600], [GOOD, UNCERTAIN, GOOD, GOOD], id="and-goes-on-from-there"),
        pytest.param([0, 500, 900, 990], [GOOD, UNCERTAIN, UNCERTAIN, GOOD], id="two-different-doubts"),
        pytest.param([0, -500, 0], [GOOD, UNCERTAIN, GOOD], id="downwards"),
        pytest.param([0, None, 500], [GOOD, Quality.INVALID, UNCERTAIN], id="invalid-is-no-neighbour"),
    ],
)
def test_a_step_that_is_too_large_is_uncertain_until_the_next_read_confirms_it(
    values: list[float | None], expected: list[Quality]
) -> None:
    assert qualities(screen(max_step=100), *values) == expected


def test_after_a_loss_the_first_reading_is_believed_again() -> None:
    counter = screen(max_step=100)
    qualities(counter, 0)
    counter.forget()

    assert qualities(counter, 5000) == [GOOD]


def test_the_value_itself_is_kept() -> None:
    counter = screen(max_step=1)

    assert counter.passed([Measurement("d.p", 1), Measurement("d.p", 7)])[1] == Measurement("d.p", 7, UNCERTAIN)


@given(st.lists(st.integers(-1000, 1000), min_size=2), st.integers(1, 500))
def test_a_reading_beside_the_one_before_it_is_never_doubted(values: list[int], step: int) -> None:
    found = qualities(screen(max_step=step), *values)

    for index in range(1, len(values)):
        if abs(values[index] - values[index - 1]) <= step:
            assert found[index] is GOOD


ENERGY = {"name": "energy_export", "type": "uint32"}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param([0, 1, 1, 50_000], [GOOD] * 4, id="it-rises"),
        pytest.param([1000, 3, 4, 5], [GOOD, UNCERTAIN, GOOD, GOOD], id="reset"),
        pytest.param([1000, 0, 0], [GOOD, UNCERTAIN, GOOD], id="reset-and-nothing-to-count"),
        pytest.param([4_294_967_290, 2, 9], [GOOD, UNCERTAIN, GOOD], id="roll-over"),
        pytest.param([1000, 3, 1001, 1002], [GOOD, UNCERTAIN, GOOD, GOOD], id="one-wrong-answer"),
        pytest.param([1000, 7, 3, 4], [GOOD, UNCERTAIN, UNCERTAIN, GOOD], id="two-different-doubts"),
        pytest.param([1000, 999, 998, 997], [GOOD] + [UNCERTAIN] * 3, id="it-falls"),
        pytest.param([1000, None, 3], [GOOD, Quality.INVALID, UNCERTAIN], id="after-no-value"),
    ],
)
@pytest.mark.parametrize("point", ["energy_export", "energy_import", "energy_import_l1"])
def test_a_counter_of_energy_that_goes_back_is_uncertain_until_the_next_read_goes_on_from_there(
    point: str, values: list[float | None], expected: list[Quality]
) -> None:
    counter = screen(**ENERGY | {"name": point})
    assert qualities(counter, *values, point=point) == expected


def test_a_counter_that_begins_again_is_told_once_with_both_its_readings(caplog: pytest.LogCaptureFixture) -> None:
    qualities(screen(**ENERGY), 1000, 3, 4, 5, 6, point="energy_export")

    assert caplog.messages == ["d.energy_export: went back from 1000 to 4: reset, rolled over or another device"]


def test_a_counter_that_was_reset_while_nobody_looked_is_flagged_all_the_same() -> None:
    counter = screen(**ENERGY)
    qualities(counter, 1000, point="energy_export")
    counter.forget()

    assert qualities(counter, 3, 4, point="energy_export") == [UNCERTAIN, GOOD]


def test_a_counter_with_a_largest_step_is_held_to_both() -> None:
    counter = screen(**ENERGY, max_step=100)

    assert qualities(counter, 1000, 9000, 1001, 3, 4, point="energy_export") == [
        GOOD, UNCERTAIN, GOOD, UNCERTAIN, GOOD
    ]  # fmt: skip


def test_energy_that_is_no_counter_may_fall() -> None:
    """As what a battery can still give."""
    assert qualities(screen(name="energy_available"), 1000, 900, point="energy_available") == [GOOD, GOOD]


@given(st.lists(st.integers(0, 1000), min_size=1))
def test_no_two_good_readings_of_a_counter_fall_without_a_doubt_between_them(values: list[int]) -> None:
    found = qualities(screen(**ENERGY), *values, point="energy_export")

    for index in range(1, len(values)):
        if found[index - 1] is found[index] is GOOD:
            assert values[index] >= values[index - 1]


@pytest.mark.parametrize(
    ("readings", "expected"),
    [
        pytest.param([(0, 50), (3599, 50)], [GOOD, GOOD], id="not-long-enough"),
        pytest.param([(0, 50), (3600, 50), (9000, 50)], [GOOD, UNCERTAIN, UNCERTAIN], id="it-stands"),
        pytest.param([(0, 50), (3600, 50), (3601, 51)], [GOOD, UNCERTAIN, GOOD], id="it-moves-again"),
        pytest.param([(0, 50), (3000, 51), (5000, 51)], [GOOD] * 3, id="it-moved-meanwhile"),
        pytest.param(
            [(0, 50), (3600, None), (3601, 50)], [GOOD, Quality.INVALID, UNCERTAIN], id="invalid-moves-nothing"
        ),
    ],
)
def test_a_value_that_stands_still_for_too_long_is_uncertain_until_it_moves(
    readings: list[tuple[float, int | None]], expected: list[Quality]
) -> None:
    now = 0.0
    point = ModbusPoint.model_validate({"name": "p", "register": "holding:7", "type": "uint16", "stuck_after": "1h"})
    frozen = Screen("d", [point], time=lambda: now)
    found = []
    for now, value in readings:  # noqa: B007 -- the screen's clock reads it
        found += qualities(frozen, value)

    assert found == expected


def test_a_value_that_stands_still_is_told_once_and_so_is_its_end(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    now = 0.0
    point = ModbusPoint.model_validate({"name": "p", "register": "holding:7", "type": "uint16", "stuck_after": "1h"})
    frozen = Screen("d", [point], time=lambda: now)
    for now, value in ((0, 50), (4000, 50), (8000, 50), (8001, 51), (8002, 52)):  # noqa: B007 -- as above
        qualities(frozen, value)

    assert caplog.messages == ["d.p: has stood at 50 for 4000 s: the device may be frozen", "d.p: moves again"]


def test_after_a_loss_the_time_of_standing_still_begins_again() -> None:
    """A device that was off for the night may come back with the value it had."""
    now = 0.0
    point = ModbusPoint.model_validate({"name": "p", "register": "holding:7", "type": "uint16", "stuck_after": "1h"})
    frozen = Screen("d", [point], time=lambda: now)
    qualities(frozen, 50)
    now = 4000.0
    frozen.forget()

    assert qualities(frozen, 50) == [GOOD]


LIMIT = {"access": "read-write", "type": "uint16"}
BY_ENABLE = LIMIT | {"write": {"release": [{"register": "holding:8", "type": "uint16", "value": 803}]}}
BY_ITSELF = LIMIT | {"write": {"release": [{"register": "holding:7", "type": "uint16", "value": 1000}]}}


def emitted(screen: Screen, value: int, enable: int | None) -> list[Measurement]:
    """`enable` None: the device refuses that register."""
    state = Measurement("d.p release 1", enable, Quality.INVALID if enable is None else GOOD)
    return list(screen.passed([Measurement("d.p", value), state]))


@pytest.mark.parametrize(
    ("enable", "value"),
    [
        pytest.param(803, None, id="released"),
        pytest.param(802, 60, id="in-force"),
        pytest.param(None, 60, id="not-to-be-read"),
    ],
)
@pytest.mark.parametrize("ours", [False, True])
def test_a_set_point_is_none_while_its_release_stands(ours: bool, enable: int | None, value: int | None) -> None:
    """Also when another master released it; the register of the release is no point and is not emitted."""
    limit = screen(**BY_ENABLE)
    limit.engaged |= {"d.p"} if ours else set()

    assert emitted(limit, 60, enable) == [Measurement("d.p", value)]


def test_a_set_point_is_not_told_before_it_is_known_whether_it_is_in_force() -> None:
    limit = screen(**BY_ENABLE)

    assert limit.passed([Measurement("d.p", 60)]) == []
    limit.passed([Measurement("d.p release 1", 802)])
    assert limit.passed([Measurement("d.p", 60)]) == [Measurement("d.p", 60)]


@pytest.mark.parametrize(("ours", "value"), [pytest.param(False, None, id="nobody"), pytest.param(True, 1000, id="us")])
def test_where_a_number_means_no_limit_it_is_none_unless_we_wrote_it(ours: bool, value: int | None) -> None:
    limit = screen(**BY_ITSELF)
    limit.engaged |= {"d.p"} if ours else set()

    assert emitted(limit, 1000, 1000) == [Measurement("d.p", value)]
    assert emitted(limit, 600, 600) == [Measurement("d.p", 600)]


def test_a_device_without_such_points_is_passed_as_it_is() -> None:
    readings = [Measurement("d.p", 1)]

    assert screen().passed(readings) is readings
