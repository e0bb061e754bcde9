"""The DSO's book on one site: all that was sent and heard, and whether any of it must not be. Pure: time comes in."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

from hil.dso.frames import FrameBook, FrameCount
from hil.dso.messages import Ack, LinkStatus, Measurements, Message, Notice, PayloadError, decode
from hil.dso.orders import Order, OrderBook

KEPT_FAULTS = 1000  # the first ones explain the rest
KEPT_EVENTS = 1000  # newest; what is judged of them is counted at arrival


@dataclass(frozen=True, slots=True)
class Latency:
    """How long after its order a status was heard, over `count` orders, in seconds."""

    count: int
    median_s: float
    max_s: float


@dataclass(frozen=True, slots=True)
class BookVerdict:
    """`faults` says in one sentence each what the contract forbids; the numbers are for the report."""

    faults: tuple[str, ...]
    orders: tuple[Order, ...]
    latencies: Mapping[str, Latency]
    frames: FrameCount

    @property
    def ok(self) -> bool:
        return not self.faults


class Book:
    """Fed with every message of one site, in order of arrival, and with every order before it is sent."""

    def __init__(self, site: str, *, prefix: str = "der/v1", reply_topic: str | None = None) -> None:
        self.site = site
        self.base = f"{prefix}/{site}/"
        self.reply_topic = reply_topic
        self.orders = OrderBook()
        self.frames = FrameBook()
        self.status: LinkStatus | None = None
        self.birth: dict[str, Any] | None = None
        self.control: dict[str, Any] | None = None
        self.reports: deque[dict[str, Any]] = deque(maxlen=KEPT_EVENTS)
        self.events: deque[dict[str, Any]] = deque(maxlen=KEPT_EVENTS)
        self.faults: list[str] = []
        self._acks: dict[tuple[str, int], Ack] = {}
        self._replies: dict[tuple[str, int], Ack] = {}

    @property
    def online(self) -> bool:
        return self.status is not None and self.status.state == "online"

    def sent(self, body: Mapping[str, Any], at_s: float) -> None:
        """Note an activation or cancellation, before it is published; latencies count from here."""
        self.orders.sent(body, at_s)

    def feed(self, topic: str, payload: bytes, at_s: float, correlation: bytes | None = None) -> Message | None:
        """Take one message; returns it decoded, or None where it could not be (which is noted as a fault)."""
        name = "acks/reply" if topic == self.reply_topic else topic.removeprefix(self.base)
        try:
            message = decode(name, payload)
        except PayloadError as error:
            self._note([str(error)])
            return None
        site = message.body.get("site") if isinstance(message, Notice) else message.site
        if site != self.site:
            self._note([f"{name}: speaks of site {site!r} on a topic of {self.site!r}"])
        match message:
            case Ack() if name == "acks/reply":
                self._take_reply(message, correlation)
            case Ack():
                self._acks.setdefault((message.id, message.n), message)
                self._note(self.orders.take(message, at_s))
            case Measurements():
                self._note(self.frames.take(message))
            case LinkStatus():
                self.status = message
            case Notice():
                self._take_notice(message)
        return message

    def _take_reply(self, ack: Ack, correlation: bytes | None) -> None:
        self._replies.setdefault((ack.id, ack.n), ack)
        if correlation != correlation_of(ack.id, ack.revision):
            self._note(
                [f"{ack.id} n={ack.n}: answered with correlation data {correlation!r}, which is another order's"]
            )

    def _take_notice(self, notice: Notice) -> None:
        match notice.name:
            case "birth":
                self.birth = notice.body
            case "control":
                self.control = notice.body
            case "reports":
                self.reports.append(notice.body)
            case "events":
                self.events.append(notice.body)
                if notice.body.get("code") == "buffer_gap":
                    self._note(self.frames.announce_gap(notice.body))

    def _note(self, faults: Iterable[str]) -> None:
        self.faults += list(faults)[: KEPT_FAULTS - len(self.faults)]

    def unfinished(self) -> list[str]:
        """What is still owed: fine on the way, a fault once everything has had the time to arrive."""
        owed = self.orders.unfinished()
        for epoch, ranges in self.frames.missing().items():
            owed.append(f"measurements: frames {_text(ranges)} of epoch {epoch} never came")
        if self.reply_topic is None:
            return owed
        for order_id, n in sorted(self._acks.keys() | self._replies.keys()):
            ack, reply = self._acks.get((order_id, n)), self._replies.get((order_id, n))
            if ack is None or reply is None:
                owed.append(f"{order_id} n={n}: missing on {'acks' if ack is None else 'the response topic'}")
            elif ack != reply:
                owed.append(f"{order_id} n={n}: {ack.status} on acks, other content on the response topic")
        return owed

    def latencies(self) -> dict[str, Latency]:
        """By status, how long after sending the first acknowledgement with it was heard."""
        by_status: dict[str, list[float]] = {}
        for order in self.orders:
            for status in dict.fromkeys(heard.ack.status for heard in order.heard):
                first = order.first(status)
                if first is not None:
                    by_status.setdefault(status, []).append(first.latency_s)
        return {status: Latency(len(all_s), median(all_s), max(all_s)) for status, all_s in by_status.items()}

    def verdict(self) -> BookVerdict:
        """The judgement once everything has had the time to arrive."""
        return BookVerdict(
            faults=(*self.faults, *self.unfinished()),
            orders=tuple(self.orders),
            latencies=self.latencies(),
            frames=self.frames.count(),
        )


def correlation_of(order_id: str, revision: int) -> bytes:
    """The correlation data that this DSO sends with an order, and wants back with each acknowledgement of it."""
    return f"{order_id}/{revision}".encode()


def _text(ranges: list[tuple[int, int]]) -> str:
    shown = ", ".join(str(first) if first == last else f"{first} to {last}" for first, last in ranges[:3])
    return shown if len(ranges) <= 3 else f"{shown}, …"
