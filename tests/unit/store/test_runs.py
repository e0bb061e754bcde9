"""Interval arithmetic over record numbers agrees with sets of numbers."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.store import runs as ivl

NUMBER = st.integers(1, 40)
ANY_RUNS = st.lists(st.tuples(NUMBER, NUMBER), max_size=8)


def numbers(runs):
    return {n for first, last in runs for n in range(first, last + 1)}


def is_normal(runs):
    return all(a <= b for a, b in runs) and all(x[1] + 1 < y[0] for x, y in pairwise(runs))


@given(ANY_RUNS)
def test_merged_runs_hold_the_same_numbers_sorted_disjoint_and_not_adjacent(any_runs):
    result = ivl.merged(any_runs)
    assert numbers(result) == numbers(any_runs)
    assert is_normal(result)
    assert ivl.total(result) == len(numbers(any_runs))


@given(ANY_RUNS, NUMBER, NUMBER)
def test_missing_is_the_difference_and_clipped_the_rest(any_runs, first, last):
    runs = ivl.merged(any_runs)
    window = set(range(first, last + 1))
    gaps = ivl.missing(runs, first, last)
    assert numbers(gaps) == window - numbers(runs)
    assert numbers(ivl.clipped(any_runs, first, last)) == window & numbers(runs)
    assert is_normal(gaps)


@given(ANY_RUNS, ANY_RUNS)
def test_the_intersection_holds_the_numbers_in_both(a, b):
    result = ivl.intersection(ivl.merged(a), ivl.merged(b))
    assert numbers(result) == numbers(a) & numbers(b)


@given(ANY_RUNS, NUMBER)
def test_a_number_is_contained_when_a_run_holds_it(any_runs, number):
    assert ivl.contains(ivl.merged(any_runs), number) == (number in numbers(any_runs))


@given(ANY_RUNS, st.integers(0, 5))
def test_bounded_runs_keep_the_longest_and_their_order(any_runs, limit):
    runs = ivl.merged(any_runs)
    kept = ivl.bounded(runs, limit)
    assert len(kept) == min(limit, len(runs))
    assert list(kept) == sorted(kept)
    lengths = sorted((last - first for first, last in runs), reverse=True)
    assert sorted((last - first for first, last in kept), reverse=True) == lengths[: len(kept)]


@pytest.mark.parametrize(
    "huge", [((1, 10**30),), ((-(10**30), 3),)], ids=["beyond any number", "from below any number"]
)
def test_a_run_of_any_size_costs_nothing(huge):
    assert ivl.clipped(huge, 1, 3) == ((1, 3),)
