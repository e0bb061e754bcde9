"""The pauses between connections, and the waits for acknowledgements."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.uplink.timing import Pause, Timing

TIMING = Timing()


def longest(least: float, most: float) -> float:
    return max(least, most)


def shortest(least: float, most: float) -> float:
    return min(least, most)


def test_pauses_grow_threefold_at_most_up_to_the_longest() -> None:
    pause = Pause(TIMING, longest)
    found = [pause.after(0.0, refused=False) for _ in range(7)]
    assert found == pytest.approx([0.6, 1.8, 5.4, 16.2, 30.0, 30.0, 30.0])


@given(st.integers(), st.lists(st.tuples(st.floats(0, 100), st.booleans()), max_size=50))
def test_every_pause_lies_within_its_bounds(seed: int, ends: list[tuple[float, bool]]) -> None:
    pause = Pause(TIMING, random.Random(seed).uniform)
    for lasted_s, refused in ends:
        found = pause.after(lasted_s, refused=refused)
        least = TIMING.refused_min_s if refused or pause.is_kicked else TIMING.reconnect_min_s
        assert least <= found <= TIMING.reconnect_max_s


def test_a_connection_that_lasted_makes_the_next_pause_short_again() -> None:
    pause = Pause(TIMING, longest)
    for _ in range(5):
        pause.after(0.0, refused=False)
    assert pause.after(3600.0, refused=False) == pytest.approx(0.6)


def test_connections_ended_early_again_and_again_are_paused_long_even_when_they_carried_something() -> None:
    pause = Pause(TIMING, shortest)
    found = [pause.after(3.0, refused=False) for _ in range(4)]
    assert found == [0.2, 0.2, 5.0, 5.0]
    assert pause.is_kicked


def test_a_broker_that_goes_down_and_comes_back_is_not_taken_for_one_that_kicks() -> None:
    """A flapping broker refuses an attempt in between, and is connected to soon whenever it is there."""
    pause = Pause(TIMING, shortest)
    for _ in range(20):
        assert pause.after(3.0, refused=False) == 0.2
        assert pause.after(0.0, refused=False) == 0.2


def test_a_refusal_is_paused_long() -> None:
    assert Pause(TIMING, shortest).after(0.0, refused=True) == 5.0


@pytest.mark.parametrize(("attempts", "wait"), [(1, 5.0), (2, 10.0), (4, 40.0), (7, 300.0), (10_000, 300.0)])
def test_the_wait_for_an_acknowledgement_doubles_up_to_five_minutes_and_is_spread(attempts: int, wait: float) -> None:
    found = {TIMING.resend_after(attempts) for _ in range(50)}
    assert len(found) > 10
    assert all(0.8 * wait <= seconds <= 1.2 * wait for seconds in found)
