"""The gateway is healthy while every part of its own makes progress; the world outside may do as it likes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from gateway.local.health import STANDSTILL_S, Health
from gateway.local.look import Look
from gateway.model import Instant
from tests.unit.local.world import NOW, STORE, TICKS, look, snapshot


def later(one: Look, seconds: float, **store: int) -> Look:
    """The same, seen later, with ticks that go on."""
    mono = NOW.mono + seconds
    return replace(
        one,
        now=Instant(NOW.wall + seconds, mono),
        ticks=replace(one.ticks, ended=mono),
        store=replace(one.store, **store),
    )


def reasons(*looks: Look) -> tuple[str, ...]:
    """Of the last of several looks."""
    health = Health()
    return [health.reasons(one) for one in looks][-1]


@pytest.mark.parametrize(
    "well",
    [
        pytest.param(look(), id="one-device-online-two-away"),
        pytest.param(look(snapshot=snapshot({})), id="no-device-ever-answered"),
        pytest.param(look(uplinks=()), id="no-uplink"),
        pytest.param(look(store=replace(STORE, waiting=3)), id="frames-wait-for-the-next-commit"),
        pytest.param(look(ticks=replace(TICKS, ended=NOW.mono - 1.9)), id="a-busy-host"),
    ],
)
def test_what_is_not_our_standstill_makes_nobody_unhealthy(well: Look) -> None:
    assert reasons(well) == ()


def test_a_tick_that_does_not_come_is_a_reason() -> None:
    assert reasons(look(ticks=replace(TICKS, ended=NOW.mono - 12.25))) == (
        "tick: none was completed for 12.2 s, the period is 0.2 s",
    )


def test_a_first_tick_that_does_not_come_is_a_reason() -> None:
    assert reasons(look(ticks=replace(TICKS, ended=None))) == (
        "tick: none was completed for 100.0 s, the period is 0.2 s",
    )


def test_a_slow_loop_is_late_only_after_five_of_its_own_periods() -> None:
    slow = replace(look().site, period_s=10.0)

    assert reasons(look(site=slow, ticks=replace(TICKS, ended=NOW.mono - 49.0))) == ()
    assert len(reasons(look(site=slow, ticks=replace(TICKS, ended=NOW.mono - 51.0)))) == 1


def test_a_store_that_cannot_write_is_a_reason() -> None:
    assert reasons(look(store=replace(STORE, fault="the disk is full"))) == ("store: commits fail: the disk is full",)


FRAMES = "store: 9 frames wait for the disk, none was written for 16 s"
OUTCOMES = "journal: 2 outcomes wait for the disk, the first for 16 s"


@pytest.mark.parametrize(
    ("looks", "expected"),
    [
        pytest.param([later(look(), 0, waiting=9), later(look(), 16, waiting=9)], [FRAMES], id="disk-hangs"),
        pytest.param(
            [later(look(), 0, waiting=9), later(look(), 8, waiting=4, last_frame=125), later(look(), 16, waiting=9)],
            [],
            id="slow-but-on-its-way",
        ),
        pytest.param([later(look(), 0, waiting=9), later(look(), 8), later(look(), 16, waiting=9)], [], id="was-empty"),
        pytest.param(
            [later(look(), 0, unjournaled=1), later(look(), 16, unjournaled=2)], [OUTCOMES], id="journal-hangs"
        ),
        pytest.param(
            [later(look(), 0, unjournaled=1), later(look(), 16, unjournaled=2, journaled=51)], [], id="journal-goes-on"
        ),
    ],
)
def test_work_that_waits_without_any_being_done_is_a_reason(looks: Sequence[Look], expected: list[str]) -> None:
    assert STANDSTILL_S == 15.0, "what the table is written for"
    assert list(reasons(*looks)) == expected
