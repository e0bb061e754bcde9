"""The DSO's book knows which frames arrived, which came twice, and which are lost."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.dso.book import Book
from hil.dso.ranges import Ranges
from tests.hil.messages import BASE, SITE, Json, batch, encoded, gap

numbers = st.integers(1, 40)
ranges = st.lists(st.tuples(numbers, numbers).map(lambda pair: (min(pair), max(pair))), max_size=8)


def ranges_of(pairs: list[tuple[int, int]]) -> Ranges:
    held = Ranges()
    for first, last in pairs:
        held.add(first, last)
    return held


def members(pairs: list[tuple[int, int]]) -> set[int]:
    return {number for first, last in pairs for number in range(first, last + 1)}


@given(ranges, ranges)
def test_ranges_are_the_set_of_their_numbers(pairs: list[tuple[int, int]], others: list[tuple[int, int]]) -> None:
    held, other = ranges_of(pairs), ranges_of(others)
    model, other_model = members(pairs), members(others)
    assert members(list(held)) == model
    assert len(held) == len(model)
    assert all((number in held) == (number in model) for number in range(42))
    assert members(list(held.minus(other))) == model - other_model
    full = set(range(min(model), max(model) + 1)) if model else set()
    assert members(list(held.gaps())) == full - model


@given(ranges)
def test_ranges_neither_overlap_nor_touch(pairs: list[tuple[int, int]]) -> None:
    held = list(ranges_of(pairs))
    assert all(after[0] > before[1] + 1 for before, after in pairwise(held))


def test_a_range_that_ends_before_it_starts_is_refused() -> None:
    with pytest.raises(ValueError, match="ends before it starts"):
        Ranges().add(2, 1)


def book_of(*messages: Json) -> Book:
    book = Book(SITE)
    for message in messages:
        name = "events" if message.get("code") else "measurements"
        book.feed(BASE + name, encoded(message), 0.0)
    return book


@given(st.lists(numbers, min_size=1, max_size=60), ranges)
def test_received_is_distinct_plus_duplicates_and_nothing_is_missing_but_what_is(
    arrivals: list[int], announced: list[tuple[int, int]]
) -> None:
    book = book_of(*(batch([seq]) for seq in arrivals), *(gap(first, last) for first, last in announced))
    count = book.frames.count()
    span = set(range(min(arrivals), max(arrivals) + 1))
    assert count.received == len(arrivals) == count.distinct + count.duplicates
    assert count.distinct == len(set(arrivals))
    assert count.missing == len(span - set(arrivals) - members(announced))
    assert count.announced == len(members(announced) - set(arrivals))
    assert count.conflicting == 0
    assert book.verdict().ok == (count.missing == 0)


def test_epochs_are_counted_apart() -> None:
    count = book_of(batch([1, 2]), batch([1, 2], epoch="e2", value=5.0)).frames.count()
    assert (count.distinct, count.duplicates, count.conflicting) == (4, 0, 0)


def test_a_gap_closes_when_the_backlog_arrives_and_old_values_do_not_displace_new_ones() -> None:
    late = batch([2], lane="backfill", value=7.0)
    late["frames"][0]["time"] = "2026-11-22T09:59:59.000Z"
    book = book_of(batch([1]), batch([3], value=3.0))
    assert book.frames.missing() == {"e1": [(2, 2)]}
    book.feed(BASE + "measurements", encoded(late), 1.0)
    assert book.frames.missing() == {}
    assert book.frames.latest["pcc.active_power"].value == 3.0


def test_a_point_named_only_in_quality_has_no_value() -> None:
    message = batch([1])
    message["frames"][0]["quality"] = {"inv.active_power": "offline", "pcc.active_power": "uncertain"}
    latest = book_of(message).frames.latest
    assert (latest["inv.active_power"].value, latest["inv.active_power"].quality) == (None, "offline")
    assert (latest["pcc.active_power"].value, latest["pcc.active_power"].quality) == (1.0, "uncertain")


FAULTY = {
    "the same number with other content": ([batch([1]), batch([1], value=2.0)], "came twice with other content"),
    "a hole": ([batch([1]), batch([3, 4])], "frames 2 of epoch e1 never came"),
    "a gap announced for another epoch": ([batch([1]), batch([3]), gap(2, 2, epoch="e2")], "frames 2 of epoch e1"),
    "a gap event without a range": ([batch([1]), gap(3, 2)], "names no range"),
    "first is not the first": ([batch([2, 3], first=1)], "are not those of first=1"),
    "last is not the last": ([batch([2, 3], last=4)], "last=4"),
    "numbers not rising": ([batch([3, 2])], "are not those of"),
    "a batch without frames": ([batch([1], frames=[])], "measurements: Expected `array`"),
    "an unknown quality": (
        [batch([1], frames=[{"seq": 1, "time": "2026-11-22T10:00:00.000Z", "values": {}, "quality": {"a.b": "fine"}}])],
        "Invalid enum value 'fine'",
    ),
    "an unknown lane": ([batch([1], lane="slow")], "Invalid enum value 'slow'"),
}


@pytest.mark.parametrize(("messages", "fault"), FAULTY.values(), ids=FAULTY.keys())
def test_what_must_not_be_is_named(messages: list[Json], fault: str) -> None:
    verdict = book_of(*messages).verdict()
    assert not verdict.ok
    assert fault in "\n".join(verdict.faults)


@pytest.mark.parametrize("payload", [b"", b"\xff\xfe", b"[]", b"{", b"nan"], ids=repr)
@pytest.mark.parametrize("name", ["acks", "measurements", "status", "birth", "events"])
def test_a_payload_that_is_no_message_is_a_fault_and_no_crash(name: str, payload: bytes) -> None:
    book = Book(SITE)
    assert book.feed(BASE + name, payload, 0.0) is None
    assert len(book.faults) == 1
