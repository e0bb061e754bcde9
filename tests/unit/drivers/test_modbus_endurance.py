"""Flash is written so often a day, over restarts and whatever the wall clock does."""

from __future__ import annotations

import json
import logging
import os
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.modbus.endurance import DAY_S, FILE_NAME, Endurance
from gateway.model import Instant

NOON = 20_000 * DAY_S + DAY_S / 2
REGISTER = "inv1 holding:40212"
HOUR_S = 3600.0


@dataclass
class Clock:
    wall: float = NOON
    mono: float = 1000.0

    def now(self) -> Instant:
        return Instant(self.wall, self.mono)

    def run(self, seconds: float) -> None:
        self.wall += seconds
        self.mono += seconds


def spent(budget: Endurance, daily: int = 2) -> int:
    """How often a register can be written now; writes it so often."""
    for times in range(daily + 1):
        try:
            budget.spend(REGISTER, daily)
        except ValueError:
            return times
    raise AssertionError("more than its budget was granted")


def test_a_budget_is_that_of_a_day_and_the_next_day_has_its_own() -> None:
    clock = Clock()
    budget = Endurance(now=clock.now)

    assert spent(budget) == 2
    clock.run(DAY_S / 2 - 1)
    assert spent(budget) == 0
    clock.run(1)
    assert spent(budget) == 2


def test_a_refusal_says_what_was_written_and_when_it_may_be_again() -> None:
    clock = Clock()
    budget = Endurance(now=clock.now)
    spent(budget)
    clock.run(6 * HOUR_S)

    with pytest.raises(ValueError, match=r"inv1 holding:40212 is flash.*2 times today.*allows 2; .* again in 6\.0 h"):
        budget.check(REGISTER, 2)


def test_each_register_has_its_own_budget() -> None:
    budget = Endurance(now=Clock().now)
    spent(budget)

    budget.spend("inv2 holding:40212", 1)


def test_what_has_to_be_written_is_counted_and_never_refused() -> None:
    budget = Endurance(now=Clock().now)
    budget.spend(REGISTER, 2)
    budget.count(REGISTER)
    budget.count(REGISTER)

    with pytest.raises(ValueError, match="written 3 times"):
        budget.check(REGISTER, 2)


def test_a_restart_grants_nothing(tmp_path: Path) -> None:
    clock = Clock()
    Endurance(tmp_path, clock.now).spend(REGISTER, 2)
    clock.mono = 0.0  # the machine, too

    assert spent(Endurance(tmp_path, clock.now)) == 1
    assert spent(Endurance(tmp_path, clock.now)) == 0
    clock.run(DAY_S / 2)
    assert spent(Endurance(tmp_path, clock.now)) == 2


@pytest.mark.parametrize("restart", [False, True], ids=["running", "restarted"])
@pytest.mark.parametrize("back_s", [HOUR_S, DAY_S, 400 * DAY_S], ids=["an-hour", "a-day", "a-year"])
def test_a_clock_that_is_set_back_grants_nothing(tmp_path: Path, back_s: float, restart: bool) -> None:
    clock = Clock()
    budget = Endurance(tmp_path, clock.now)
    spent(budget)
    clock.wall -= back_s
    if restart:
        budget = Endurance(tmp_path, clock.now)

    assert spent(budget) == 0
    clock.run(DAY_S - 1)
    assert spent(budget) == (2 if clock.wall >= 20_001 * DAY_S else 0)


def test_a_clock_that_was_years_ahead_and_is_set_right_blocks_for_a_day_of_running_at_most(tmp_path: Path) -> None:
    clock = Clock(wall=NOON + 4000 * DAY_S)
    spent(Endurance(tmp_path, clock.now))
    clock.wall = NOON
    budget = Endurance(tmp_path, clock.now)

    with pytest.raises(ValueError, match=r"again in 24\.0 h"):
        budget.check(REGISTER, 2)
    clock.run(DAY_S)
    assert spent(budget) == 2
    clock.run(DAY_S - 1)
    assert spent(budget) == 0


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("run"), st.floats(1, 2 * DAY_S)),
            st.tuples(st.just("set back"), st.floats(1, 10 * DAY_S)),
        ),
        max_size=20,
    )
)
def test_a_clock_that_runs_or_is_set_back_never_grants_more_than_the_days_that_passed(
    steps: list[tuple[str, float]],
) -> None:
    clock = Clock()
    started = clock.mono
    budget = Endurance(now=clock.now)
    total = spent(budget)
    for what, seconds in steps:
        if what == "run":
            clock.run(seconds)
        else:
            clock.wall -= seconds
        total += spent(budget)

    assert total <= 2 * ((clock.mono - started) // DAY_S + 2)


def test_the_file_is_small_and_plain(tmp_path: Path) -> None:
    budget = Endurance(tmp_path, Clock().now)
    budget.spend(REGISTER, 5)
    budget.spend(REGISTER, 5)

    assert json.loads((tmp_path / FILE_NAME).read_bytes()) == {"day": 20_000, "writes": {REGISTER: 2}}
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]


def test_a_power_cut_between_the_steps_leaves_the_count_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    Endurance(tmp_path, clock.now).spend(REGISTER, 2)

    class PowerCut(BaseException):
        pass

    def cut(_: int) -> None:
        raise PowerCut

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", cut)
        with pytest.raises(PowerCut):
            Endurance(tmp_path, clock.now).spend(REGISTER, 2)

    assert spent(Endurance(tmp_path, clock.now)) == 1


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b'{"day": 20000, "wri', id="torn"),
        pytest.param(b"\xff\xfe", id="not-text"),
        pytest.param(b"[1, 2]", id="another-shape"),
        pytest.param(b'{"day": -1, "writes": {}}', id="no-day"),
        pytest.param(b'{"day": 20000, "writes": {"a": "x"}}', id="no-count"),
        pytest.param(b'{"day": 20000, "writes": {}}' + b" " * (1 << 20), id="too-large"),
    ],
)
def test_a_damaged_file_is_set_aside_with_one_warning_and_counting_starts_anew(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    with caplog.at_level(logging.WARNING):
        budget = Endurance(tmp_path, Clock().now)
        assert spent(budget) == 2
        assert spent(Endurance(tmp_path, Clock().now)) == 0

    assert [f"{FILE_NAME} cannot be used" in record.message for record in caplog.records] == [True]
    assert (tmp_path / f"{FILE_NAME}.damaged").read_bytes() == content


def test_what_cannot_be_read_is_warned_of_and_replaced(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / FILE_NAME).mkdir()
    with caplog.at_level(logging.WARNING):
        assert spent(Endurance(tmp_path, Clock().now)) == 2
    assert spent(Endurance(tmp_path, Clock().now)) == 0
    assert len(caplog.records) == 1


def test_a_folder_that_cannot_be_written_is_warned_of_once_and_the_count_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    budget = Endurance(tmp_path / "missing", Clock().now)
    with caplog.at_level(logging.WARNING):
        assert spent(budget) == 2
        assert spent(budget) == 0

    assert ["counted until a restart" in record.message for record in caplog.records] == [True]


async def test_without_a_clock_a_day_is_one_of_running() -> None:
    assert spent(Endurance()) == 2
