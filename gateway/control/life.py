"""The lives of orders go on: what is over ends, what begins is in force, and what took effect is said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from gateway.control import writes as writing
from gateway.control.activation import in_force, starts_at
from gateway.control.arbitration import Order
from gateway.control.capability import LIMIT, QUANTITY_OF, SETPOINT, View
from gateway.control.functions import BY_NAME, CONNECTION
from gateway.control.functions.base import ACTIVE
from gateway.control.plant import PLANT_TARGETS
from gateway.control.proof import GRACE_S, Watch, follows, obeys, powers_of
from gateway.control.reasons import why_deviating, why_not_written, why_overruled
from gateway.control.register import Register, Tracked
from gateway.control.steering import Decision
from gateway.control.writes import Wish, Writes
from gateway.model import Activation, Entry, Status


class Lives:
    """All orders during one tick."""

    def __init__(self, register: Register, view: View) -> None:
        self._register = register
        self._view = view
        self._now = view.snapshot.now

    def pass_time(self) -> None:
        """End what is over."""
        wall = self._now.wall
        for tracked in self._register.open:
            entry = tracked.entry
            if entry.activation is None:
                continue
            if entry.activation.end is not None and wall >= entry.activation.end:
                self._end(tracked)
            elif self._unanswered(tracked):
                code, detail = self._why_not_written(tracked, entry.activation)
                self._register.say(entry, Status.FAILED, powers=powers_of(entry, self._view), code=code, detail=detail)

    def _why_not_written(self, tracked: Tracked, activation: Activation) -> tuple[str, str]:
        return tracked.why or why_not_written(activation, self._view.plant, self._view.snapshot)

    def _end(self, tracked: Tracked) -> None:
        entry = tracked.entry
        powers = powers_of(entry, self._view)
        if entry.was_effective:
            self._register.say(entry, Status.COMPLETED, powers=powers)
        elif not entry.engaged:
            self._register.say(entry, Status.EXPIRED, powers=powers, detail="its end passed before it could begin")
        elif entry.status is Status.ACCEPTED and entry.activation is not None:
            code, detail = self._why_not_written(tracked, entry.activation)
            self._register.say(entry, Status.FAILED, powers=powers, code=code, detail=detail)
        else:
            code, detail = tracked.why or ("resource_short", "its end came before its effect")
            self._register.say(entry, Status.FAILED, powers=powers, code=code, detail=detail)

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
            for tracked in self._register.open
            if tracked.serial <= journaled and in_force(tracked.entry, self._now.wall)
        ]
        newest: dict[tuple[str, str, str, str], Tracked] = {}
        for tracked in sorted(candidates, key=_seniority):
            activation = tracked.entry.activation
            if activation is None:
                continue
            function = BY_NAME.get(activation.function)
            room = function.room if function else activation.function
            place = (tracked.entry.uplink, activation.issuer, activation.target, room)
            older = newest.get(place)
            if older is not None:
                self._register.say(
                    older.entry, Status.SUPERSEDED, powers=powers_of(older.entry, self._view), detail=_by(tracked.entry)
                )
            if tracked.engaged_mono is None:
                entry = tracked.entry if tracked.entry.engaged else replace(tracked.entry, engaged=True)
                tracked = replace(tracked, entry=entry, engaged_mono=self._now.mono)  # noqa: PLW2901 - the engaged one from here on
                self._register.keep(tracked)
            newest[place] = tracked
        return [tracked.entry for tracked in newest.values()]

    def _replace_revisions(self, journaled: int) -> None:
        """A higher revision takes the place of a lower one once it is safe on disk, and not before."""
        safe: dict[str, int] = {}
        for one in self._register.open:
            if one.serial <= journaled:
                safe[one.entry.id] = max(one.entry.revision, safe.get(one.entry.id, 0))
        for tracked in self._register.open:
            old = tracked.entry
            if old.revision < (newest := safe.get(old.id, 0)):
                powers = powers_of(old, self._view)
                self._register.say(old, Status.SUPERSEDED, powers=powers, detail=f"by revision {newest}")

    def prove(self, in_force_now: Sequence[Entry], decision: Decision, writes: Writes) -> None:
        """Acknowledge what was written, and what the meter shows."""
        wishes = _by_target(decision.wishes)
        orders = decision.orders
        for entry in in_force_now:
            tracked = self._register.open_one(entry)
            order = orders.get(entry.id)
            if tracked is None or entry.activation is None:
                continue
            if order is None:  # let go, or its device is not known yet
                if decision.fallbacks:
                    self._let_go(tracked)
                continue
            served = wishes.get((order.target, order.function.quantity), {})
            if order.setting is not None:
                served = {point: wish for point, wish in served.items() if wish.cause == order.source}
            self._prove(tracked, entry.activation, order, decision, served, writes)

    def _let_go(self, tracked: Tracked) -> None:
        """While something is lost a fallback stands in; what an order no longer brings about is not its effect."""
        watch = tracked.watch.look(False, self._now.mono)
        self._register.note(replace(tracked, watch=watch))
        if tracked.entry.status is Status.EFFECTIVE and watch.strayed(self._now.mono):
            powers = powers_of(tracked.entry, self._view)
            detail = "a fallback stands in for it"
            self._register.say(tracked.entry, Status.DEVIATING, powers=powers, code="overridden", detail=detail)

    def _prove(
        self,
        tracked: Tracked,
        activation: Activation,
        order: Order,
        decision: Decision,
        wishes: Mapping[str, Wish],
        writes: Writes,
    ) -> None:
        entry, now = tracked.entry, self._now.mono
        engaged = tracked.engaged_mono if tracked.engaged_mono is not None else now
        powers = powers_of(entry, self._view, order, decision.rulings[order.target, order.function.quantity])
        ok = obeys(order, activation, self._view)
        if entry.status is Status.ACCEPTED:
            if not self._written(order, wishes, engaged, ok=ok):
                self._register.note(replace(tracked, why=why_overruled(activation, order, decision, self._view.plant)))
                return
            entry = self._register.say(entry, Status.STARTED, powers=powers)
        if ok is None and tracked.watch == Watch() and now - engaged < GRACE_S:
            return
        behind = ok is False and follows(order, activation, self._view)
        watch = Watch() if behind else tracked.watch.look(ok, now)
        why = None
        if ok is False and entry.status is not Status.EFFECTIVE:
            why = why_deviating(activation, order, decision, powers, wishes, writes, self._view)
        self._register.note(replace(tracked, entry=entry, watch=watch, why=why))
        if entry.status is not Status.EFFECTIVE and watch.settled(now, activation.settle):
            self._register.say(entry, Status.EFFECTIVE, powers=powers)
        elif entry.status is Status.EFFECTIVE and watch.strayed(now):
            code, detail = why_deviating(activation, order, decision, powers, wishes, writes, self._view)
            self._register.say(entry, Status.DEVIATING, powers=powers, code=code, detail=detail)

    def _written(self, order: Order, wishes: Mapping[str, Wish], engaged: float, *, ok: bool | None) -> bool:
        """Every device's write was read back; or nothing has to be written for it now, and devices are there."""
        snapshot = self._view.snapshot
        if wishes:
            points = snapshot.points
            return all(writing.confirmed(points[id_], wish, engaged, snapshot) for id_, wish in wishes.items())
        devices = [der for id_, der in self._view.ders.items() if order.target in {*PLANT_TARGETS, id_}]
        there = any(der.online and der.can(order.function.quantity) for der in devices)
        # A ceiling is always written, in case it comes to bind; a floor and what says nothing need a write only then.
        return there and bool(ok) and order.statement.hi is None


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
            if QUANTITY_OF[name] == ACTIVE and name in {LIMIT, SETPOINT} and wish.value == 0.0:
                served.setdefault((target, CONNECTION), {}).setdefault(id_, wish)  # one without a switch gives nothing
    return served
