"""
The orders of a DSO and what was answered to them: is each acknowledgement one that may come now?

    received ─► accepted ─► started ─► effective ⇄ deviating
            └─► rejected       └─── one last word from any of them: completed, cancelled, superseded, expired, failed

`n` counts the acknowledgements of one id over all its revisions, from 1 and without a gap. Delivery is at least once,
so an exact repeat means nothing, nor does the order on the wire: acknowledgements are judged in the order of n.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from hil.dso.messages import Ack

LAST_WORDS = frozenset({"completed", "cancelled", "superseded", "expired", "failed"})
FINAL = LAST_WORDS | {"rejected"}
NEXT: Mapping[str | None, frozenset[str]] = {
    None: frozenset({"received"}),
    "received": frozenset({"accepted", "rejected"}),
    "accepted": LAST_WORDS | {"started"},
    "started": LAST_WORDS | {"effective"},
    "effective": LAST_WORDS | {"deviating"},
    "deviating": LAST_WORDS | {"effective"},
}

Key = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Heard:
    """An acknowledgement; `at_s` is its arrival on the book's clock, `latency_s` how long after sending that was."""

    ack: Ack
    at_s: float
    latency_s: float


@dataclass(slots=True)
class Order:
    """One revision of an order: what was sent, when on the book's clock, and all that was answered, in order of n."""

    id: str
    revision: int
    sent_s: float
    body: Mapping[str, Any]
    cancelled_s: float | None = None
    status: str | None = None
    was_effective: bool = False
    asked_again: int = 0  # later messages with the same key: each may be answered with a refusal or the present state
    heard: list[Heard] = field(default_factory=list)

    @property
    def ended(self) -> bool:
        return self.status in FINAL

    def first(self, status: str) -> Heard | None:
        """The first acknowledgement with this status."""
        return next((heard for heard in self.heard if heard.ack.status == status), None)


@dataclass(slots=True)
class _Thread:
    """All acknowledgements of one id."""

    taken: dict[int, Ack] = field(default_factory=dict)
    waiting: dict[int, tuple[Ack, float]] = field(default_factory=dict)
    next_n: int = 1


class OrderBook:
    """Orders sent and acknowledgements heard; `take` says what is wrong with one, `unfinished` what is still owed."""

    def __init__(self) -> None:
        self._orders: dict[Key, Order] = {}
        self._threads: dict[str, _Thread] = {}
        self.repeats = 0

    def __iter__(self) -> Iterator[Order]:
        """Yield the orders as they were first sent."""
        return iter(self._orders.values())

    def get(self, order_id: str, revision: int | None = None) -> Order | None:
        """The order of this id; its highest revision unless told."""
        if revision is not None:
            return self._orders.get((order_id, revision))
        return max((order for order in self if order.id == order_id), key=lambda order: order.revision, default=None)

    def sent(self, body: Mapping[str, Any], at_s: float) -> None:
        """Note an activation or a cancellation, before it is published."""
        key = (str(body["id"]), int(body["revision"]))
        order = self._orders.get(key)
        if order is None:
            order = self._orders[key] = Order(*key, sent_s=at_s, body=body)
            self._threads.setdefault(order.id, _Thread())
        else:
            order.asked_again += 1
        if body.get("schema") != "cancellation/1":
            return
        for revision in self:
            if revision.id == order.id and revision.revision <= order.revision and revision.cancelled_s is None:
                revision.cancelled_s = at_s

    def take(self, ack: Ack, at_s: float) -> list[str]:
        """Take an acknowledgement as it arrives; returns what is wrong with it, or with those that waited for it."""
        thread = self._threads.get(ack.id)
        if thread is None or (ack.id, ack.revision) not in self._orders:
            return [f"{_name(ack)}: acknowledges an order that was never sent"]
        earlier = thread.taken.get(ack.n) or thread.waiting.get(ack.n, (None, 0.0))[0]
        if earlier == ack:
            self.repeats += 1
            return []
        if earlier is not None:
            return [f"{_name(ack)}: n={ack.n} was {earlier.status} at {earlier.time}, now it has other content"]
        thread.waiting[ack.n] = (ack, at_s)
        faults: list[str] = []
        while (waited := thread.waiting.pop(thread.next_n, None)) is not None:
            thread.taken[thread.next_n] = waited[0]
            thread.next_n += 1
            faults += self._judge(*waited)
        return faults

    def _judge(self, ack: Ack, at_s: float) -> Iterator[str]:
        order = self._orders[ack.id, ack.revision]
        before = order.status
        order.heard.append(Heard(ack, at_s, at_s - order.sent_s))
        answers_again = before is not None and ack.status in {before, "rejected"}
        if ack.status in NEXT.get(before, ()):
            order.status = ack.status
        elif answers_again and order.asked_again:
            order.asked_again -= 1
        else:
            yield f"{_name(ack)}: {ack.status} after {before or 'nothing'} (allowed: {_allowed(before)})"
            return
        yield from self._judge_content(order, ack)
        order.was_effective = order.was_effective or ack.status == "effective"

    def _judge_content(self, order: Order, ack: Ack) -> Iterator[str]:
        name = _name(ack)
        if ack.status in {"rejected", "deviating"} and not ack.code:
            yield f"{name}: {ack.status} without a code that says why"
        if ack.status == "effective" and ack.requested is not None and ack.measured is None:
            yield f"{name}: effective, but nothing was measured"
        if ack.status == "completed" and not order.was_effective:
            yield f"{name}: completed, but it had never been effective"
        if ack.status == "failed" and order.was_effective:
            yield f"{name}: failed, but it had been effective"
        if ack.status == "cancelled" and order.cancelled_s is None:
            yield f"{name}: cancelled, but no cancellation was sent"
        if ack.status == "superseded" and not any(other.sent_s >= order.sent_s for other in self if other is not order):
            yield f"{name}: superseded, but no newer order was sent"
        if ack.status in LAST_WORDS - {"superseded"} and self._replaced(order, "accepted"):
            yield f"{name}: {ack.status}, but a higher revision replaced it, so it is superseded"

    def _replaced(self, order: Order, status: str) -> bool:
        """Whether a higher revision of the same id has come as far as `status`."""
        return any(
            other.id == order.id and other.revision > order.revision and other.first(status) is not None
            for other in self
        )

    def unfinished(self) -> list[str]:
        """What must not be so once everything has had the time to arrive."""
        faults = []
        for order in self:
            name = f"{order.id} r{order.revision}"
            if order.status is None and order.cancelled_s is None:
                faults.append(f"{name}: never answered")
            elif order.status == "received":
                faults.append(f"{name}: received, but neither accepted nor rejected")
            elif not order.ended and self._replaced(order, "started"):
                faults.append(f"{name}: a higher revision has started, but it was not superseded")
        for order_id, thread in self._threads.items():
            if thread.waiting:
                faults.append(f"{order_id}: n={thread.next_n} is missing before n={min(thread.waiting)}")
        return faults


def _name(ack: Ack) -> str:
    return f"{ack.id} r{ack.revision} n={ack.n}"


def _allowed(status: str | None) -> str:
    return ", ".join(sorted(NEXT.get(status, ()))) or "nothing more"
