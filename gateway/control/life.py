"""The orders' side of a tick: who is admitted, who ends, who is in force, and what is acknowledged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from gateway.control import writes as writing
from gateway.control.activation import NO_POWERS, Powers, advance, in_force, is_open, starts_at
from gateway.control.admission import PLANT_TARGETS, in_power, judge, rating
from gateway.control.capability import QUANTITY_OF, DerNow, ders_now
from gateway.control.functions import BY_NAME, Function
from gateway.control.plant import Authority, Plant
from gateway.control.proof import GRACE_S, Watch, measured, obeys, tolerance
from gateway.control.reasons import why_deviating, why_not_written
from gateway.control.steering import Decision
from gateway.control.writes import Wish, Writes
from gateway.image import Snapshot
from gateway.model import Ack, Activation, Cancellation, Entry, Received, Refusal, Status

ENDED_MAX = 10_000
"""Ended orders remembered to answer a repetition; older ones are refused by their age anyway."""


@dataclass(frozen=True, slots=True)
class Tracked:
    """One revision of an order in memory; it takes part once the journal has reached `serial`."""

    entry: Entry
    serial: int
    engaged_mono: float | None = None
    watch: Watch = field(default_factory=Watch)


@dataclass(frozen=True, slots=True)
class Reply:
    """An acknowledgement and where it is wanted."""

    ack: Ack
    uplink: str
    response_topic: str | None = None
    correlation: bytes | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """Something that no order's acknowledgement can say."""

    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Orders:
    """All that is remembered of orders: the open ones by (id, revision), the ended ones by id."""

    open: Mapping[tuple[str, int], Tracked] = field(default_factory=dict)
    ended: Mapping[str, tuple[Tracked, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, entries: Sequence[Entry]) -> Orders:
        """Orders as the journal holds them: all of it is on disk."""
        tracked = [Tracked(entry, serial=0) for entry in entries]
        ended: dict[str, tuple[Tracked, ...]] = {}
        for one in tracked:
            if not is_open(one.entry):
                ended[one.entry.id] = (*ended.get(one.entry.id, ()), one)
        return cls({(one.entry.id, one.entry.revision): one for one in tracked if is_open(one.entry)}, ended)


class Lives:
    """All orders during one tick: a working copy, and what has to be said about them."""

    def __init__(self, plant: Plant, orders: Orders, snapshot: Snapshot, serial: int) -> None:
        self.plant = plant
        self.ders: dict[str, DerNow] = ders_now(plant, snapshot)
        self.replies: list[Reply] = []
        self.unreadable: list[str] = []
        self._open = dict(orders.open)
        self._ended: Mapping[str, tuple[Tracked, ...]] = orders.ended
        self._ended_copy: dict[str, tuple[Tracked, ...]] | None = None
        self._changed: dict[tuple[str, int], Entry] = {}
        self._snapshot = snapshot
        self._now = snapshot.now
        self._serial = serial

    @property
    def orders(self) -> Orders:
        return Orders(self._open, self._ended)

    @property
    def changed(self) -> tuple[Entry, ...]:
        """The entries that the journal does not know like this."""
        return tuple(self._changed.values())

    # Orders come in

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
        known = self._find(activation.id, activation.revision)
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
        latest = self._latest(activation.id)
        entry = self._say(entry, Status.RECEIVED)
        if latest is not None and activation.revision < latest.entry.revision:
            detail = f"found {activation.revision}, revision {latest.entry.revision} is known already"
            self._say(entry, Status.REJECTED, code="stale_revision", detail=detail)
            return
        if latest is not None and latest.entry.uplink != received.uplink:
            self._say(entry, Status.REJECTED, code="not_authorised", detail="this id belongs to another uplink")
            return
        refused = judge(
            activation,
            plant=self.plant,
            ders=self.ders,
            authority=self.plant.authorities.get(received.uplink, Authority()),
            open_orders=len(self._open) - 1,
            wall=self._now.wall,
        )
        if refused is not None:
            self._say(entry, Status.REJECTED, code=refused.code, detail=refused.detail)
            return
        self._say(entry, Status.ACCEPTED, powers=self._powers(entry))

    def _refuse_unread(self, received: Received, refusal: Refusal) -> None:
        if refusal.id is None:
            self.unreadable.append(refusal.detail)
            return
        known = self._find(refusal.id, refusal.revision or 1)
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
        entry = self._say(entry, Status.RECEIVED)
        self._say(entry, Status.REJECTED, code=refusal.code, detail=refusal.detail)

    def _cancel(self, received: Received, cancellation: Cancellation) -> None:
        # A refused higher revision is no reason not to cancel the one that is in force.
        standing = [tracked for tracked in self._of(cancellation.id) if is_open(tracked.entry)]
        latest = self._latest(cancellation.id)
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
                )
                self._say(routed, Status.CANCELLED, powers=self._powers(routed))

    def _repeat(self, entry: Entry, received: Received) -> None:
        if entry.last is not None:
            self.replies.append(Reply(entry.last, received.uplink, received.response_topic, received.correlation))

    def _reject_beside(self, known: Tracked, received: Received, code: str, detail: str) -> None:
        """Refuse a message about a known order, whose own life goes on untouched but for the count."""
        entry = known.entry
        n = self._next_n(entry.id)
        revision = received.order.revision or entry.revision
        ack = Ack(
            id=entry.id,
            revision=revision,
            n=n,
            status=Status.REJECTED,
            time=self._now.wall,
            code=code,
            detail=detail,
        )
        self.replies.append(Reply(ack, received.uplink, received.response_topic, received.correlation))
        self._keep(replace(known, entry=replace(entry, n=n)))

    # Time passes

    def pass_time(self) -> None:
        """End what is over."""
        wall = self._now.wall
        for tracked in list(self._open.values()):
            entry = tracked.entry
            if entry.activation is None:
                continue
            if entry.activation.end is not None and wall >= entry.activation.end:
                self._end(entry)
            elif self._unanswered(tracked):
                code, detail = why_not_written(entry.activation, self.plant, self._snapshot)
                self._say(entry, Status.FAILED, powers=self._powers(entry), code=code, detail=detail)

    def _end(self, entry: Entry) -> None:
        powers = self._powers(entry)
        if entry.was_effective:
            self._say(entry, Status.COMPLETED, powers=powers)
        elif not entry.engaged:
            self._say(entry, Status.EXPIRED, powers=powers, detail="its end passed before it could begin")
        elif entry.status is Status.ACCEPTED and entry.activation is not None:
            code, detail = why_not_written(entry.activation, self.plant, self._snapshot)
            self._say(entry, Status.FAILED, powers=powers, code=code, detail=detail)
        else:
            self._say(
                entry, Status.FAILED, powers=powers, code="resource_short", detail="its end came before its effect"
            )

    def _unanswered(self, tracked: Tracked) -> bool:
        activation = tracked.entry.activation
        return (
            activation is not None
            and activation.respond_within is not None
            and tracked.entry.status is Status.ACCEPTED
            and tracked.engaged_mono is not None
            and self._now.mono - tracked.engaged_mono >= activation.respond_within
        )

    def engage(self, journaled: int) -> list[Entry]:
        """The orders in force now; one that begins supersedes what its issuer had in force for the same thing."""
        self._replace_revisions(journaled)
        candidates = [
            tracked
            for tracked in self._open.values()
            if tracked.serial <= journaled and in_force(tracked.entry, self._now.wall)
        ]
        newest: dict[tuple[str, str, str, str], Tracked] = {}
        for tracked in sorted(candidates, key=_seniority):
            activation = tracked.entry.activation
            if activation is None:
                continue
            place = (tracked.entry.uplink, activation.issuer, activation.target, activation.function)
            older = newest.get(place)
            if older is not None:
                self._say(older.entry, Status.SUPERSEDED, powers=self._powers(older.entry), detail=_by(tracked.entry))
            if tracked.engaged_mono is None:
                entry = tracked.entry if tracked.entry.engaged else replace(tracked.entry, engaged=True)
                tracked = replace(tracked, entry=entry, engaged_mono=self._now.mono)  # noqa: PLW2901 - the engaged one from here on
                self._keep(tracked)
            newest[place] = tracked
        return [tracked.entry for tracked in newest.values()]

    def _replace_revisions(self, journaled: int) -> None:
        """A higher revision takes the place of a lower one once it is safe on disk, and not before."""
        for (id_, revision), tracked in list(self._open.items()):
            replacing = [
                other
                for (other_id, other), one in self._open.items()
                if other_id == id_ and other > revision and one.serial <= journaled
            ]
            if replacing:
                detail = f"by revision {max(replacing)}"
                self._say(tracked.entry, Status.SUPERSEDED, powers=self._powers(tracked.entry), detail=detail)

    # Effects are proven

    def prove(self, in_force_now: Sequence[Entry], decision: Decision, writes: Writes) -> None:
        """Acknowledge what was written, and what the meter shows."""
        wishes = _by_target(decision.wishes)
        for entry in in_force_now:
            tracked = self._open.get((entry.id, entry.revision))
            function = BY_NAME.get(entry.activation.function) if entry.activation else None
            if tracked is not None and entry.activation is not None and function is not None:
                served = wishes.get((entry.activation.target, function.quantity), {})
                self._prove(tracked, entry.activation, function, decision, served, writes)

    def _prove(
        self,
        tracked: Tracked,
        activation: Activation,
        function: Function,
        decision: Decision,
        wishes: Mapping[str, Wish],
        writes: Writes,
    ) -> None:
        entry, now = tracked.entry, self._now.mono
        engaged = tracked.engaged_mono if tracked.engaged_mono is not None else now
        powers = self._powers(entry, decision)
        if entry.status is Status.ACCEPTED:
            points = self._snapshot.points
            if not wishes or not all(
                writing.confirmed(points[id_], wish, engaged, self._snapshot) for id_, wish in wishes.items()
            ):
                return
            entry = self._say(entry, Status.STARTED, powers=powers)
        rated = rating(activation.target, self.plant, self.ders)
        if rated is None or powers.requested is None:
            return
        if powers.measured is None and tracked.watch == Watch() and now - engaged < GRACE_S:
            return
        ok = obeys(function, powers.measured, powers.requested, tolerance(activation, rated))
        watch = tracked.watch.look(ok, now)
        self._open[entry.id, entry.revision] = replace(self._open[entry.id, entry.revision], watch=watch)
        if entry.status is not Status.EFFECTIVE and watch.settled(now, activation.settle):
            self._say(entry, Status.EFFECTIVE, powers=powers)
        elif entry.status is Status.EFFECTIVE and watch.strayed(now):
            code, detail = why_deviating(
                activation, function, powers, wishes, writes, self.plant, self.ders, self._snapshot
            )
            self._say(entry, Status.DEVIATING, powers=powers, code=code, detail=detail)

    # Shared

    def _powers(self, entry: Entry, decision: Decision | None = None) -> Powers:
        activation = entry.activation
        function = BY_NAME.get(activation.function) if activation else None
        rated = rating(activation.target, self.plant, self.ders) if activation else None
        if activation is None or function is None or rated is None:
            return replace(NO_POWERS, unit=function.unit) if function else NO_POWERS
        applied = None
        if decision is not None:
            ruling = decision.rulings.get((activation.target, function.quantity))
            if ruling is not None and ruling.orders:
                applied = ruling.band.hi if function.is_limit else ruling.band.lo
        elif entry.last is not None:
            applied = entry.last.applied
        return Powers(
            requested=in_power(activation, rated),
            applied=applied,
            measured=measured(activation.target, function.quantity, self.plant, self._snapshot),
            unit=function.unit,
        )

    def _say(
        self,
        entry: Entry,
        status: Status,
        *,
        powers: Powers = NO_POWERS,
        code: str | None = None,
        detail: str | None = None,
    ) -> Entry:
        entry = advance(
            entry,
            status,
            n=self._next_n(entry.id),
            time=self._now.wall,
            powers=powers,
            code=code,
            detail=detail,
        )
        known = self._open.get((entry.id, entry.revision))
        self._keep(replace(known, entry=entry) if known else Tracked(entry, self._serial))
        if entry.last is not None:
            self.replies.append(Reply(entry.last, entry.uplink, entry.response_topic, entry.correlation))
        return entry

    def _keep(self, tracked: Tracked) -> None:
        entry = tracked.entry
        key = (entry.id, entry.revision)
        self._changed[key] = entry
        if is_open(entry):
            self._open[key] = tracked
            return
        self._open.pop(key, None)
        if self._ended_copy is None:
            self._ended = self._ended_copy = dict(self._ended)
        ended = self._ended_copy
        others = tuple(one for one in ended.pop(entry.id, ()) if one.entry.revision != entry.revision)
        ended[entry.id] = (*others, tracked)  # the last to end stands last
        while len(ended) > ENDED_MAX:
            del ended[next(iter(ended))]

    def _of(self, id_: str) -> list[Tracked]:
        return [*self._ended.get(id_, ()), *(one for (other, _), one in self._open.items() if other == id_)]

    def _find(self, id_: str, revision: int) -> Tracked | None:
        return next((one for one in self._of(id_) if one.entry.revision == revision), None)

    def _latest(self, id_: str) -> Tracked | None:
        return max(self._of(id_), key=lambda one: one.entry.revision, default=None)

    def _next_n(self, id_: str) -> int:
        return max((one.entry.n for one in self._of(id_)), default=0) + 1


def _seniority(tracked: Tracked) -> tuple[float, float, int]:
    """Sorts by beginning, then by arrival: the last one is in force."""
    entry = tracked.entry
    begins = max(starts_at(entry.activation), entry.received) if entry.activation else entry.received
    return (begins, entry.received, entry.revision)


def _by(entry: Entry) -> str:
    return f"by {entry.id} revision {entry.revision}"


def _by_target(wishes: Mapping[str, Wish]) -> dict[tuple[str, str], dict[str, Wish]]:
    """The wishes through which an order acts, by its target and quantity."""
    served: dict[tuple[str, str], dict[str, Wish]] = {}
    for id_, wish in wishes.items():
        device, _, name = id_.partition(".")
        for target in (*PLANT_TARGETS, device):
            served.setdefault((target, QUANTITY_OF[name]), {})[id_] = wish
    return served
