"""The DSO's book accepts every sequence of acknowledgements that the contract allows, and names every other."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.dso.book import Book, correlation_of
from hil.dso.orders import LAST_WORDS, NEXT
from tests.hil.messages import BASE, SITE, Json, ack, cancellation, encoded, order

EFFECTIVE = ("received", "accepted", "started", "effective")


def book_of(*messages: Json) -> Book:
    """A book fed with orders, cancellations and acknowledgements, one a second."""
    book = Book(SITE)
    for second, message in enumerate(messages):
        if message["schema"] == "ack/1":
            book.feed(BASE + "acks", encoded(message), float(second))
        else:
            book.sent(message, float(second))
    return book


def acks(*statuses: str, first: int = 1, **fields: Any) -> list[Json]:
    return [ack(n, status, **fields) for n, status in enumerate(statuses, first)]


LEGAL = {
    "accepted, effective and completed": [order(), *acks(*EFFECTIVE, "completed")],
    "rejected": [order(), *acks("received", "rejected")],
    "deviating and effective again": [order(), *acks(*EFFECTIVE, "deviating", "effective", "deviating", "completed")],
    "cancelled before it started": [order(), *acks("received", "accepted"), cancellation(), ack(3, "cancelled")],
    "failed without an effect": [order(), *acks("received", "accepted", "started", "failed")],
    "expired before it started": [order(), *acks("received", "accepted", "expired")],
    "superseded by a newer order": [
        order(),
        *acks(*EFFECTIVE),
        order("b"),
        *acks("received", "accepted", "started", order_id="b"),
        ack(5, "superseded"),
    ],
    "an exact repeat, also of an early one and after the last word": [
        order(),
        *acks("received", "rejected"),
        *acks("received", "rejected"),
    ],
    "out of order on the wire": [order(), ack(3, "started"), ack(1, "received"), ack(2, "accepted")],
    "a higher revision replaces it, n goes on": [
        order(),
        *acks(*EFFECTIVE),
        order(revision=2, value=30),
        *acks("received", "accepted", first=5, revision=2),
        ack(7, "superseded"),
        *acks("started", "effective", first=8, revision=2),
    ],
    "a higher revision is rejected, the lower one goes on": [
        order(),
        *acks(*EFFECTIVE),
        order(revision=2, value=150),
        *acks("received", "rejected", first=5, revision=2),
        ack(7, "completed"),
    ],
    "a cancellation that is refused changes nothing": [
        order(),
        *acks(*EFFECTIVE),
        cancellation(),
        ack(5, "rejected", code="not_authorised"),
        ack(6, "completed"),
    ],
    "the same order again is answered with its present state": [
        order(),
        *acks(*EFFECTIVE),
        order(),
        ack(5, "effective"),
        ack(6, "completed"),
    ],
}


@pytest.mark.parametrize("messages", LEGAL.values(), ids=LEGAL.keys())
def test_a_sequence_of_the_contract_leaves_no_fault(messages: list[Json]) -> None:
    assert book_of(*messages).verdict().faults == ()


ILLEGAL = {
    "an order nobody sent": ([ack(1, "received")], "never sent"),
    "a revision nobody sent": ([order(), ack(1, "received", revision=2)], "never sent"),
    "accepted before received": ([order(), ack(1, "accepted")], "accepted after nothing"),
    "rejected before received": ([order(), ack(1, "rejected")], "rejected after nothing"),
    "started before accepted": ([order(), *acks("received", "started")], "started after received"),
    "effective before started": ([order(), *acks("received", "accepted", "effective")], "effective after accepted"),
    "deviating before effective": (
        [order(), *acks("received", "accepted", "started", "deviating")],
        "deviating after started",
    ),
    "rejected after accepted": ([order(), *acks("received", "accepted", "rejected")], "rejected after accepted"),
    "the same status twice": ([order(), *acks("received", "accepted", "accepted")], "accepted after accepted"),
    "back to an earlier status": ([order(), *acks(*EFFECTIVE, "started")], "started after effective"),
    "a word after the last one": ([order(), *acks(*EFFECTIVE, "completed", "effective")], "effective after completed"),
    "a second last word": ([order(), *acks(*EFFECTIVE, "completed", "failed")], "failed after completed"),
    "a word after rejected": ([order(), *acks("received", "rejected", "accepted")], "accepted after rejected"),
    "a status of no contract": ([order(), ack(1, "activated")], "acks: Invalid enum value 'activated'"),
    "n from 0": ([order(), ack(0, "received")], "acks: Expected `int` >= 1"),
    "n from 2": ([order(), ack(2, "received")], "n=1 is missing"),
    "a gap in n": ([order(), ack(1, "received"), ack(3, "accepted")], "n=2 is missing before n=3"),
    "n starts again with a revision": (
        [order(), ack(1, "received"), ack(2, "accepted"), order(revision=2), ack(1, "received", revision=2)],
        "now it has other content",
    ),
    "a number used twice": ([order(), ack(1, "received"), ack(1, "accepted")], "n=1 was received"),
    "a repeat with another value": (
        [order(), ack(1, "received"), ack(1, "received", measured=1.0)],
        "now it has other content",
    ),
    "rejected without a code": ([order(), ack(1, "received"), ack(2, "rejected", code=None)], "without a code"),
    "deviating without a code": ([order(), *acks(*EFFECTIVE), ack(5, "deviating", code=None)], "without a code"),
    "effective without a measurement": (
        [order(), *acks("received", "accepted", "started"), ack(4, "effective", measured=None)],
        "nothing was measured",
    ),
    "completed, never effective": ([order(), *acks("received", "accepted", "started", "completed")], "never been"),
    "failed, though effective": ([order(), *acks(*EFFECTIVE, "failed")], "failed, but it had been effective"),
    "cancelled by nobody": ([order(), *acks(*EFFECTIVE, "cancelled")], "no cancellation was sent"),
    "superseded by nothing": ([order(), *acks(*EFFECTIVE, "superseded")], "no newer order was sent"),
    "completed, though replaced by a higher revision": (
        [
            order(),
            *acks(*EFFECTIVE),
            order(revision=2),
            *acks("received", "accepted", first=5, revision=2),
            ack(7, "completed"),
        ],
        "a higher revision replaced it",
    ),
    "left open by a higher revision that has started": (
        [order(), *acks(*EFFECTIVE), order(revision=2), *acks("received", "accepted", "started", first=5, revision=2)],
        "was not superseded",
    ),
    "never answered": ([order()], "never answered"),
    "received and forgotten": ([order(), ack(1, "received")], "neither accepted nor rejected"),
    "another site": ([order(), ack(1, "received", site="other")], "site 'other'"),
    "a time without its zone": ([order(), ack(1, "received", time="2026-11-22T10:00:00.000")], "acks: Expected `str`"),
    "a field missing": ([order(), {"schema": "ack/1", "id": "a"}], "missing required field"),
}


@pytest.mark.parametrize(("messages", "fault"), ILLEGAL.values(), ids=ILLEGAL.keys())
def test_any_other_sequence_is_named(messages: list[Json], fault: str) -> None:
    verdict = book_of(*messages).verdict()
    assert not verdict.ok
    assert fault in "\n".join(verdict.faults)


WITHOUT_A_NUMBER: dict[str, Json] = {
    "a switch": {"function": "disconnect"},
    "a curve": {"function": "volt_var", "curve": [[0.9, 0.4], [1.1, -0.4]]},
    "a droop": {"function": "frequency_droop", "value": {"deadband_hz": 0.2, "droop": 0.05}},
    "a reserve": {"function": "reserve", "value": {"up_w": 1000, "down_w": 0}},
    "a schedule": {"function": "set_active_power", "schedule": {"resolution": 900, "values": [1, 2]}, "unit": "W"},
}


@pytest.mark.parametrize("fields", WITHOUT_A_NUMBER.values(), ids=WITHOUT_A_NUMBER.keys())
def test_an_order_without_a_number_need_not_be_measured_to_be_effective(fields: Json) -> None:
    """What is requested of it is no power, so there is none to find again; all else is judged as ever."""
    body = {key: field for key, field in order().items() if key not in {"value", "unit"}} | fields
    silent = acks(*EFFECTIVE, "completed", requested=None, applied=None, measured=None, unit=None)
    assert book_of(body, *silent).verdict().faults == ()
    assert book_of(body, *silent[:3], *acks("completed", first=4)).verdict().faults


@given(st.data())
def test_every_walk_along_the_table_is_legal_until_it_leaves_it(data: st.DataObject) -> None:
    """One step off the table is one fault, whatever came before."""
    walk: list[str] = []
    status: str | None = None
    for _ in range(data.draw(st.integers(0, 8))):
        choices = sorted(NEXT.get(status, frozenset()) - LAST_WORDS)
        if not choices:
            break
        status = data.draw(st.sampled_from(choices))
        walk.append(status)
    book = book_of(order(), *acks(*walk))
    assert book.faults == []
    off = sorted({"received", "accepted", "rejected", "started", "effective", "deviating"} - NEXT.get(status, set()))
    wrong = data.draw(st.sampled_from(off))
    book.feed(BASE + "acks", encoded(ack(len(walk) + 1, wrong)), 99.0)
    assert len(book.faults) == 1


@given(st.permutations(range(5)), st.lists(st.integers(0, 4), max_size=5))
def test_neither_order_on_the_wire_nor_repeats_change_the_judgement(wire: list[int], repeated: list[int]) -> None:
    said = acks(*EFFECTIVE, "completed")
    book = book_of(order(), *(said[index] for index in [*wire, *repeated]))
    assert book.verdict().ok
    assert [heard.ack.n for heard in next(iter(book.orders)).heard] == [1, 2, 3, 4, 5]
    assert book.orders.repeats == len(repeated)


def test_latency_is_counted_from_sending_to_the_first_arrival_of_each_status() -> None:
    book = book_of(order(), *acks(*EFFECTIVE, "deviating", "effective"))
    effective = book.latencies()["effective"]
    assert (effective.count, effective.median_s, effective.max_s) == (1, 4.0, 4.0)


def replied(acks_on_topic: list[Json], replies: list[Json], correlation: bytes | None = None) -> Book:
    topic = BASE + "acks/me"
    book = Book(SITE, reply_topic=topic)
    book.sent(order(), 0.0)
    for body in acks_on_topic:
        book.feed(BASE + "acks", encoded(body), 1.0)
    for body in replies:
        book.feed(topic, encoded(body), 1.0, correlation or correlation_of("a", 1))
    return book


def test_the_same_words_on_the_response_topic_leave_no_fault() -> None:
    assert replied(acks("received", "rejected"), acks("received", "rejected")).verdict().ok


REPLY_FAULTS = {
    "missing on the response topic": (acks("received", "rejected"), acks("received"), None, "missing on the response"),
    "missing on acks": (acks("received"), acks("received", "rejected"), None, "missing on acks"),
    "other content": (
        acks("received", "rejected"),
        [ack(1, "received"), ack(2, "rejected", code="conflict")],
        None,
        "other content",
    ),
    "another order's correlation data": (
        acks("received", "rejected"),
        acks("received", "rejected"),
        b"b/1",
        "correlation data",
    ),
}


@pytest.mark.parametrize(("on_acks", "replies", "correlation", "fault"), REPLY_FAULTS.values(), ids=REPLY_FAULTS.keys())
def test_what_differs_on_the_response_topic_is_named(
    on_acks: list[Json], replies: list[Json], correlation: bytes | None, fault: str
) -> None:
    assert fault in "\n".join(replied(on_acks, replies, correlation).verdict().faults)
