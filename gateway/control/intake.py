"""Orders come in: each message is accepted, refused, a cancellation, or answered with what was said before."""

from __future__ import annotations

from dataclasses import replace

from gateway.control.activation import is_open
from gateway.control.admission import Refused, judge, resolved
from gateway.control.capability import View
from gateway.control.plant import Authority
from gateway.control.proof import powers_of
from gateway.control.register import Register, Reply, Tracked
from gateway.model import Ack, Activation, Cancellation, Entry, Received, Refusal, Status


class Intake:
    """The messages of one tick; `unreadable` are the reasons of those without an id to answer to."""

    def __init__(self, register: Register, view: View) -> None:
        self.unreadable: list[str] = []
        self._register = register
        self._view = view

    def admit(self, received: Received) -> None:
        """Answer one message: accept, refuse, cancel, or say again what was said before."""
        match received.order:
            case Refusal() as refusal:
                self._refuse_unread(received, refusal)
            case Cancellation() as cancellation:
                self._cancel(received, cancellation)
            case Activation() as activation:
                self._consider(received, activation)

    def _consider(self, received: Received, activation: Activation) -> None:
        known = self._register.find(activation.id, activation.revision)
        if known is not None:
            if known.entry.digest == activation.digest:
                self._repeat(known.entry, received)
            else:
                self._reject_beside(
                    known, received, "conflict", f"revision {activation.revision} of this id said something else before"
                )
            return
        entry = Entry(
            id=activation.id,
            revision=activation.revision,
            uplink=received.uplink,
            status=Status.RECEIVED,
            n=0,
            received=received.at.wall,
            activation=activation,
            digest=activation.digest,
            response_topic=received.response_topic,
            correlation=received.correlation,
        )
        latest, earlier = self._register.latest(activation.id), self._register.of(activation.id)
        entry = self._register.say(entry, Status.RECEIVED)
        known_already = max((max(one.entry.revision, one.entry.withdrawn) for one in earlier), default=0)
        if activation.revision < known_already:
            detail = f"found {activation.revision}, revision {known_already} is known already"
            self._register.say(entry, Status.REJECTED, code="stale_revision", detail=detail)
            return
        if latest is not None and latest.entry.uplink != received.uplink:
            self._register.say(
                entry, Status.REJECTED, code="not_authorised", detail="this id belongs to another uplink"
            )
            return
        meant = self._judged(activation, received)
        if isinstance(meant, Refused):
            self._register.say(entry, Status.REJECTED, code=meant.code, detail=meant.detail)
            return
        entry = replace(entry, activation=meant)
        self._register.say(entry, Status.ACCEPTED, powers=powers_of(entry, self._view))

    def _judged(self, activation: Activation, received: Received) -> Activation | Refused:
        """The order with its preset looked up, or why it is refused."""
        meant = resolved(activation)
        if isinstance(meant, Refused):
            return meant
        authority = self._view.plant.authorities.get(received.uplink, Authority())
        refused = judge(meant, view=self._view, authority=authority, open_orders=len(self._register.open) - 1)
        return refused or meant

    def _refuse_unread(self, received: Received, refusal: Refusal) -> None:
        if refusal.id is None:
            self.unreadable.append(refusal.detail)
            return
        known = self._register.find(refusal.id, refusal.revision or 1)
        if known is not None:
            self._reject_beside(known, received, refusal.code, refusal.detail)
            return
        entry = Entry(
            id=refusal.id,
            revision=refusal.revision or 1,
            uplink=received.uplink,
            status=Status.RECEIVED,
            n=0,
            received=received.at.wall,
            response_topic=received.response_topic,
            correlation=received.correlation,
        )
        entry = self._register.say(entry, Status.RECEIVED)
        self._register.say(entry, Status.REJECTED, code=refusal.code, detail=refusal.detail)

    def _cancel(self, received: Received, cancellation: Cancellation) -> None:
        # A refused higher revision is no reason not to cancel the one that is in force.
        standing = [tracked for tracked in self._register.of(cancellation.id) if is_open(tracked.entry)]
        latest = self._register.latest(cancellation.id)
        if latest is None:
            refusal = Refusal("conflict", "there is no order with this id", cancellation.id, cancellation.revision)
            self._refuse_unread(received, refusal)
        elif latest.entry.uplink != received.uplink:
            self._reject_beside(latest, received, "not_authorised", "this id belongs to another uplink")
        elif not standing:
            self._repeat(latest.entry, received)
        elif cancellation.revision < (highest := max(tracked.entry.revision for tracked in standing)):
            detail = f"found {cancellation.revision}, revision {highest} is in force"
            self._reject_beside(standing[-1], received, "stale_revision", detail)
        else:
            for tracked in standing:
                routed = replace(
                    tracked.entry,
                    response_topic=received.response_topic or tracked.entry.response_topic,
                    correlation=received.correlation or tracked.entry.correlation,
                    withdrawn=cancellation.revision,
                )
                self._register.say(routed, Status.CANCELLED, powers=powers_of(routed, self._view))

    def _repeat(self, entry: Entry, received: Received) -> None:
        if entry.last is not None:
            self._register.replies.append(
                Reply(entry.last, received.uplink, received.response_topic, received.correlation)
            )

    def _reject_beside(self, known: Tracked, received: Received, code: str, detail: str) -> None:
        """Refuse a message about a known order, whose own life goes on untouched but for the count."""
        entry = known.entry
        n = self._register.next_n(entry.id)
        revision = received.order.revision or entry.revision
        ack = Ack(
            id=entry.id,
            revision=revision,
            n=n,
            status=Status.REJECTED,
            time=self._view.snapshot.now.wall,
            code=code,
            detail=detail,
        )
        self._register.replies.append(Reply(ack, received.uplink, received.response_topic, received.correlation))
        self._register.keep(replace(known, entry=replace(entry, n=n)))
