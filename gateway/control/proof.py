"""Whether an order took effect: written and read back, then measured at its target for long enough."""

from __future__ import annotations

from dataclasses import dataclass, replace

from gateway.control.activation import NO_POWERS, Powers
from gateway.control.arbitration import Order, Ruling
from gateway.control.capability import CONNECT, View
from gateway.control.demand import ordered
from gateway.control.functions import BY_NAME, CONNECTION, Function
from gateway.control.functions.statement import Statement, met
from gateway.control.plant import PLANT_TARGETS
from gateway.control.situation import measured, rating, reachable
from gateway.model import Activation, Band, Entry, Reserve

DEVIATES_AFTER_S = 2.0
"""Outside the tolerance for so long: longer than a meter's update, within the 5 s in which a DSO must hear of it."""
GRACE_S = 10.0
"""After a start: a meter that has not been read yet has not gone away."""
TOLERANCE_SHARE = 0.02
"""Of the target's rated power, unless the order says otherwise."""


@dataclass(frozen=True, slots=True)
class Watch:
    """Since when, monotonic, the measurement has been within or outside the tolerance; None: it is not."""

    within: float | None = None
    outside: float | None = None

    def look(self, ok: bool | None, now: float) -> Watch:
        """One more look; None: not known, which is not within."""
        if ok:
            return Watch(within=self.within if self.within is not None else now)
        return Watch(outside=self.outside if self.outside is not None else now)

    def settled(self, now: float, settle_s: float) -> bool:
        return self.within is not None and now - self.within >= settle_s

    def strayed(self, now: float) -> bool:
        return self.outside is not None and now - self.outside >= DEVIATES_AFTER_S


def tolerance(activation: Activation, rated: float) -> float:
    """In W or var."""
    if activation.tolerance is None:
        return TOLERANCE_SHARE * rated
    return activation.tolerance * rated / 100.0 if activation.tolerance_unit == "%" else activation.tolerance


def obeys(order: Order, activation: Activation, view: View) -> bool | None:
    """Whether what is measured obeys an order now; None when it is not known."""
    rated = rating(order.target, view.plant, view.ders)
    power = effect(order.function, order.target, view)
    if rated is None or power is None:
        return None
    allowed = tolerance(activation, rated)
    if order.function.quantity == CONNECTION:
        return _switched(order, power, allowed, view)
    if order.reserve is not None:
        return reserved(order.reserve, power, reachable(order.target, view.ders), allowed)
    return met(order.wanted, power, allowed)


def follows(order: Order, activation: Activation, view: View) -> bool:
    """Whether what is measured is no further behind an order that moves than its devices need to follow."""
    rated = rating(order.target, view.plant, view.ders)
    power = effect(order.function, order.target, view)
    wanted, lately = order.wanted, order.lately
    if rated is None or power is None or lately == wanted:
        return False
    los = [edge for edge in (wanted.lo, lately.lo) if edge is not None]
    his = [edge for edge in (wanted.hi, lately.hi) if edge is not None]
    passed = Statement(min(los, default=None), max(his, default=None))
    return met(passed, power, tolerance(activation, rated))


def reserved(reserve: Reserve, power: float, could: Band, allowed: float) -> bool:
    """Whether the headroom is free."""
    return could.hi - power >= reserve.up_w - allowed and power - could.lo >= reserve.down_w - allowed


def effect(function: Function, target: str, view: View) -> float | None:
    """The measured power by which an order is judged, in W or var."""
    if function.quantity == CONNECTION:  # devices that are off the grid leave the load at the PCC as it is
        return measured("plant" if target == "pcc" else target, "active_power", view.plant, view.snapshot)
    if target == "pcc" and function.name == "reserve":
        return measured("plant", function.quantity, view.plant, view.snapshot)
    return measured(target, function.quantity, view.plant, view.snapshot)


def powers_of(entry: Entry, view: View, order: Order | None = None, ruling: Ruling | None = None) -> Powers:
    """
    What an acknowledgement of an order says now; `applied` stays what was said last without the order in force and the
    ruling on its target.
    """
    activation = entry.activation
    function = BY_NAME.get(activation.function) if activation else None
    rated = rating(activation.target, view.plant, view.ders) if activation else None
    if activation is None or function is None or rated is None:
        return replace(NO_POWERS, unit=_unit(function)) if function else NO_POWERS
    if order is not None:
        wanted = order.requested
    elif function.units:
        goal = ordered(activation, rated, view.snapshot.now.wall)
        wanted = None if goal is None else function.sign * goal
    else:
        wanted = entry.last.requested if entry.last is not None else None
    applied = entry.last.applied if entry.last is not None else None
    if order is not None and ruling is not None:
        applied = _applied(order, ruling)
    return Powers(
        requested=wanted,
        applied=applied,
        measured=effect(function, activation.target, view),
        unit=_unit(function),
    )


def _unit(function: Function) -> str:
    return function.unit or "W"


def _applied(order: Order, ruling: Ruling) -> float | None:
    """Where the band of its target is on the side an order speaks of."""
    if order.function.quantity == CONNECTION:
        return None
    if order.setting is not None:
        return order.requested if not ruling.handed or ruling.handed is order else None
    if order.statement.hi is not None:
        return ruling.band.hi if order.function.is_limit else ruling.band.lo
    return ruling.band.lo if order.statement.lo is not None else None


def _switched(order: Order, power: float, allowed: float, view: View) -> bool:
    targets = [der for id_, der in view.ders.items() if order.target in {*PLANT_TARGETS, id_}]
    if order.wanted.hi == 0.0:
        return abs(power) <= allowed
    states = [view.snapshot.number(f"{der.id}.{CONNECT}") for der in targets if CONNECT in der.points]
    return all(state is None or state >= 1.0 for state in states)
