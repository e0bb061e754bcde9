"""What a reading is taken for beside the readings before it and beside it."""

from __future__ import annotations

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


def qualities(screen: Screen, *values: float | None) -> list[Quality]:
    """None is a reading that the device says to be invalid."""
    readings = [Measurement("d.p", v) if v is not None else Measurement("d.p", None, Quality.INVALID) for v in values]
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
