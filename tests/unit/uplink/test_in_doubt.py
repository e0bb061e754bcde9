"""What was sent and is not acknowledged: what is freed, what is due, and that no frame is ever forgotten."""

from __future__ import annotations

from math import inf

from hypothesis import given
from hypothesis import strategies as st

from gateway.uplink.in_doubt import InDoubt


def numbers(in_doubt: InDoubt) -> set[int]:
    return {n for n in range(1, 200) if in_doubt.attempts(n, n)}


def test_an_acknowledgement_of_a_part_leaves_the_rest_in_doubt_as_it_was() -> None:
    in_doubt = InDoubt()
    in_doubt.add(1, 10, due=5.0)
    assert in_doubt.named([(3, 4), (9, 99)]) == [(3, 4), (9, 10)]
    in_doubt.release([(3, 4), (9, 99)])
    assert numbers(in_doubt) == {1, 2, 5, 6, 7, 8}
    assert in_doubt.oldest_due(4.9) is None
    assert in_doubt.oldest_due(5.0) == (1, 2)


def test_what_was_not_sent_is_not_named_by_any_acknowledgement() -> None:
    in_doubt = InDoubt()
    in_doubt.add(5, 6, due=1.0)
    assert in_doubt.named([(1, 4), (7, 10**15)]) == []
    assert in_doubt.named([(1, 10**15)]) == [(5, 6)]


def test_each_sending_again_counts_as_one_more_attempt() -> None:
    in_doubt = InDoubt()
    for attempt in (1, 2, 3):
        in_doubt.add(1, 4, due=float(attempt))
        assert in_doubt.attempts(2, 2) == attempt
    assert len(in_doubt) == 1
    assert in_doubt.attempts(5, 9) == 0


def test_the_oldest_due_run_comes_first_whenever_it_was_sent() -> None:
    in_doubt = InDoubt()
    in_doubt.add(7, 8, due=1.0)
    in_doubt.add(1, 2, due=3.0)
    in_doubt.add(3, 4, due=2.0)
    assert in_doubt.oldest_due(2.0) == (3, 4)
    assert in_doubt.oldest_due(3.0) == (1, 2)


def test_after_a_lost_connection_what_the_broker_had_not_taken_is_due_at_once() -> None:
    in_doubt = InDoubt()
    in_doubt.add(1, 2, due=inf)
    in_doubt.add(3, 4, due=inf)
    in_doubt.deliver(1, 2)
    in_doubt.reconnect()
    assert in_doubt.oldest_due(0.0) == (3, 4)
    in_doubt.release([(3, 4)])
    assert in_doubt.oldest_due(1e9) is None


def test_a_head_end_that_is_back_shortens_every_wait_but_that_for_the_broker() -> None:
    in_doubt = InDoubt()
    in_doubt.add(1, 1, due=300.0)
    in_doubt.add(2, 2, due=inf)
    in_doubt.hasten(5.0)
    assert in_doubt.oldest_due(5.0) == (1, 1)
    in_doubt.release([(1, 1)])
    assert in_doubt.oldest_due(1e9) is None


RUNS = st.tuples(st.integers(1, 150), st.integers(0, 40)).map(lambda run: (run[0], run[0] + run[1]))


@given(st.lists(st.tuples(st.sampled_from(["add", "release"]), RUNS), max_size=30), RUNS)
def test_it_holds_exactly_what_was_added_and_not_released(
    steps: list[tuple[str, tuple[int, int]]], asked: tuple[int, int]
) -> None:
    in_doubt, expected = InDoubt(), set[int]()
    for step, (first, last) in steps:
        if step == "add":
            in_doubt.add(first, last, due=0.0)
            expected |= set(range(first, last + 1))
        else:
            in_doubt.release([(first, last)])
            expected -= set(range(first, last + 1))
    assert numbers(in_doubt) == expected
    wanted = set(range(asked[0], asked[1] + 1))
    missing = [set(range(first, last + 1)) for first, last in in_doubt.missing(*asked)]
    assert set().union(*missing) == wanted - expected
    named = [set(range(first, last + 1)) for first, last in in_doubt.named([asked])]
    assert set().union(*named) == wanted & expected
