"""From the orders in force to what is wished of each writable point."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from gateway.control import easing, pcc
from gateway.control.admission import reach
from gateway.control.arbitration import Order, Ruling, idle, rule
from gateway.control.capability import (
    CONNECT,
    LIMIT,
    QUANTITY_OF,
    REACTIVE_SETPOINT,
    SETPOINT,
    DerNow,
    Known,
    View,
    from_point,
    learn,
)
from gateway.control.demand import Standing, StandingKey, orders_of
from gateway.control.dispatch import Desired, Total, dispatch_active, dispatch_reactive, within_ratings
from gateway.control.fallback import Evidence, Losses, losses, stand_in
from gateway.control.functions import ACTIVE, CONNECTION, REACTIVE
from gateway.control.functions.ramp import toward
from gateway.control.pcc import Loop, Sample
from gateway.control.plant import PLANT_TARGETS, Plant
from gateway.control.situation import Situations
from gateway.control.writes import Held, Wish
from gateway.image import Snapshot
from gateway.model import Entry

QUANTITIES = (ACTIVE, REACTIVE, CONNECTION)
Rulings = Mapping[tuple[str, str], Ruling]
"""By target and quantity."""


@dataclass(frozen=True, slots=True)
class Steering:
    """What steering remembers from tick to tick."""

    loops: Mapping[str, Loop] = field(default_factory=lambda: {ACTIVE: Loop(), REACTIVE: Loop()})
    standing: Mapping[StandingKey, Standing] = field(default_factory=dict)
    taken: Mapping[str, float] = field(default_factory=dict)
    known: Known = field(default_factory=Known)
    losses: Losses = field(default_factory=Losses)
    rising: Mapping[str, easing.Rising] = field(default_factory=dict)
    limits: Mapping[str, float] = field(default_factory=dict)
    off: frozenset[str] = frozenset()
    desired: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Decision:
    """The rulings, the wishes by point id, and what the devices must give in sum, by quantity."""

    rulings: Rulings
    wishes: Mapping[str, Wish]
    totals: Mapping[str, Total] = field(default_factory=dict)
    fallbacks: frozenset[str] = frozenset()

    @property
    def orders(self) -> dict[str, Order]:
        """What each activation in force, and each fallback, says now."""
        return {one.source: one for ruling in self.rulings.values() for one in ruling.orders}


def steer(
    plant: Plant, steering: Steering, in_force: Sequence[Entry], view: View, evidence: Evidence, dt: float
) -> tuple[Steering, Decision]:
    """One step of steering; *dt* is the time since the last one in seconds."""
    ders, snapshot = view.ders, view.snapshot
    situations = Situations(view, dt)
    ordered, standing = orders_of(plant, steering.standing, in_force, ders, situations)
    lost = losses(plant, steering.losses, evidence)
    now_lost, standing_in, released, replaced = stand_in(plant, steering.losses, lost, snapshot, dt)
    orders = [
        order
        for order in ordered
        if order.function.quantity not in released
        and not (order.function.quantity in replaced and not order.function.is_limit)
    ]
    rising = easing.rise(steering.rising, plant, ders, dt)
    rulings = _rulings(plant, [*orders, *standing_in], ders)
    rising = easing.begin(rising, steering.limits, steering.off, rulings, plant)
    limits = easing.standing_limits(rulings)
    if rising:
        rulings = _rulings(plant, [*orders, *standing_in, *easing.ceilings(rising)], ders)

    loops: dict[str, Loop] = {}
    totals: dict[str, Total] = {}
    for quantity in (ACTIVE, REACTIVE):
        loop = _observe(plant, steering.loops[quantity], quantity, ders, snapshot)
        loops[quantity], totals[quantity] = _close(plant, loop, quantity, rulings, snapshot, dt)
    off = easing.off_among(ders, rulings)
    on = {id_: der for id_, der in ders.items() if der.online and id_ not in off}
    active, taken = dispatch_active(
        totals[ACTIVE], on, {id_: rulings[id_, ACTIVE] for id_ in on}, steering.taken, plant.strategy, steering.desired
    )
    reactive = dispatch_reactive(totals[REACTIVE].setpoint, on, {id_: rulings[id_, REACTIVE] for id_ in on}, active)
    active, reactive = within_ratings(active, reactive, on)
    active = _slewed(active, steering.desired, on, dt)
    causes = Causes(rulings)
    wishes = {point: Wish(value, causes.behind(point)) for point, value in (active | reactive).items()}
    wishes |= _handed(rulings, on)
    wishes |= _switched(causes, ders, off)
    known = learn(steering.known, ders, _limits_in(snapshot, ders))
    after = Steering(loops, standing, taken, known, now_lost, rising, limits, off, active | reactive)
    return after, Decision(rulings, wishes, totals, lost)


def kept(held: Mapping[str, Held], decision: Decision, ders: Mapping[str, DerNow]) -> frozenset[str]:
    """
    The points taken over that stay as they are: an order speaks of their quantity, and their device cannot be judged
    now.

    In doubt a limit stays in force; a device that has just come back is no reason to let it go.
    """
    staying = set()
    for point in held:
        device, _, name = point.partition(".")
        if device in ders and ders[device].online:
            continue
        quantity = QUANTITY_OF.get(name, "")
        # Active power may have been cut for the sake of reactive power.
        acting = (ACTIVE, REACTIVE) if quantity == ACTIVE else (quantity,)
        places = [(target, one) for target in (*PLANT_TARGETS, device) for one in acting]
        if any(place in decision.rulings and decision.rulings[place].orders for place in places):
            staying.add(point)
    return frozenset(staying)


def _rulings(plant: Plant, orders: Iterable[Order], ders: Mapping[str, DerNow]) -> dict[tuple[str, str], Ruling]:
    spoken: dict[tuple[str, str], list[Order]] = {}
    for order in orders:
        spoken.setdefault((order.target, order.function.quantity), []).append(order)
    rulings: dict[tuple[str, str], Ruling] = {}
    for target in (*PLANT_TARGETS, *ders):
        for quantity in QUANTITIES:
            place = target, quantity
            band = reach(quantity, target, plant, ders)
            rulings[place] = rule(band, said) if (said := spoken.get(place)) else idle(band.lo, band.hi)
    return rulings


def _sample(point: str, snapshot: Snapshot) -> Sample | None:
    value = snapshot.number(point)
    return None if value is None else Sample(value, snapshot.readings[point].mono)


def _observe(plant: Plant, loop: Loop, quantity: str, ders: Mapping[str, DerNow], snapshot: Snapshot) -> Loop:
    if plant.pcc is None:
        return loop
    samples = {der.id: _sample(f"{der.id}.{quantity}", snapshot) for der in ders.values() if der.online}
    known = {id_: sample for id_, sample in samples.items() if sample is not None}
    # What a device gives that is there and has not said how much would pass for a load, or for another device's power.
    ders_now = known if len(known) == len(samples) else None
    return pcc.observe(loop, _sample(f"{plant.pcc}.{quantity}", snapshot), ders_now)


def _close(
    plant: Plant, loop: Loop, quantity: str, rulings: Rulings, snapshot: Snapshot, dt: float
) -> tuple[Loop, Total]:
    """What all devices must give in sum, from the rulings at `plant` and at `pcc`."""
    at_plant, at_pcc = rulings["plant", quantity], rulings["pcc", quantity]
    limits = [at_plant.band.hi] if at_plant.ceiling else []
    floors = [at_plant.band.lo] if at_plant.floor else []
    setpoint = at_plant.band.lo if at_plant.setpoint else None
    meter = snapshot.number(f"{plant.pcc}.{quantity}") if plant.pcc else None
    closed = meter is not None
    if at_pcc.setpoint or at_pcc.ceiling or at_pcc.floor:
        goal = _goal(at_pcc, meter)
        at_floor = at_pcc.floor is not None and goal == at_pcc.band.lo and not at_pcc.setpoint
        if meter is not None:
            least = 0.0 if at_floor else None
            most = 0.0 if not at_floor and not at_pcc.setpoint else None
            loop = pcc.correct(loop, goal - meter, dt, plant.rated_power_w, least=least, most=most)
        asked = pcc.required(loop, goal, closed=closed, floor=at_floor)
        loop = replace(loop, asked=asked)
        if at_pcc.ceiling:
            limits.append(pcc.required(loop, at_pcc.band.hi, closed=closed))
        if at_pcc.floor:
            floors.append(pcc.required(loop, at_pcc.band.lo, closed=closed, floor=True))
        if at_pcc.setpoint and setpoint is None:
            setpoint = asked
    else:
        loop = replace(loop, trim=0.0, asked=None)
    limit, floor = min(limits, default=None), max(floors, default=None)
    if setpoint is not None and floor is not None:
        setpoint = max(setpoint, floor)
    if setpoint is not None and limit is not None:
        setpoint = min(setpoint, limit)
    if floor is not None and limit is not None:
        floor = min(floor, limit)
    return loop, Total(limit, setpoint, floor)


def _goal(ruling: Ruling, meter: float | None) -> float:
    """The edge that matters at the meter: the set-point, or the limit that is nearer."""
    if ruling.setpoint or not ruling.ceiling:
        return ruling.band.lo
    if not ruling.floor or meter is None:
        return ruling.band.hi
    return ruling.band.hi if ruling.band.hi - meter <= meter - ruling.band.lo else ruling.band.lo


def _slewed(active: Desired, before: Mapping[str, float], ders: Mapping[str, DerNow], dt: float) -> Desired:
    """No faster than a device's own ramp, from where it was asked to be, or is."""
    slow: Desired = {}
    for point, power in active.items():
        der = ders[point.partition(".")[0]]
        start = before.get(point, der.active_power)
        slow[point] = power if start is None else toward(start, power, der.der.ramp, dt)
    return slow


def _handed(rulings: Rulings, ders: Mapping[str, DerNow]) -> dict[str, Wish]:
    """What devices do by themselves: of each function the highest order, and of set-points only the one in force."""
    wishes: dict[str, Wish] = {}
    for id_ in ders:
        for quantity in (ACTIVE, REACTIVE):
            ruling = rulings[id_, quantity]
            for order in ruling.orders:
                if order.setting is None or (not order.function.is_limit and order is not ruling.handed):
                    continue
                wishes.setdefault(f"{id_}.{order.function.point}", Wish(order.setting, order.source))
    return wishes


def _switched(causes: Causes, ders: Mapping[str, DerNow], off: frozenset[str]) -> dict[str, Wish]:
    """Devices that have a switch are switched; the others give nothing while they are to be off."""
    wishes: dict[str, Wish] = {}
    for id_, der in ders.items():
        if not der.online:
            continue
        if CONNECT in der.points:
            cause = causes.of(f"{id_}.{CONNECT}")
            if cause:
                wishes[f"{id_}.{CONNECT}"] = Wish(0.0 if id_ in off else 1.0, cause)
        elif id_ in off:
            name = SETPOINT if SETPOINT in der.points else LIMIT
            wishes[f"{id_}.{name}"] = Wish(0.0, causes.of(f"{id_}.{CONNECT}"))
    return wishes


def _limits_in(snapshot: Snapshot, ders: Mapping[str, DerNow]) -> dict[str, float]:
    """The limits that stand in the devices, in W."""
    found = {}
    for id_, der in ders.items():
        point = der.points.get(LIMIT) or der.points.get(SETPOINT)
        value = snapshot.number(point.id) if point else None
        if point is not None and value is not None:
            found[id_] = from_point(point, value)
    return found


class Causes:
    """The orders behind a point, by name; the same for all points of a device that act on one quantity."""

    def __init__(self, rulings: Rulings) -> None:
        self._rulings = rulings
        self._site = {
            quantity: [order.source for target in PLANT_TARGETS for order in rulings[target, quantity].orders]
            for quantity in QUANTITIES
        }
        self._of_site = {quantity: " ".join(dict.fromkeys(sources)) for quantity, sources in self._site.items()}

    def behind(self, point: str) -> str:
        """Of active power, of which no order speaks, those of the reactive power that it gives way to."""
        return self.of(point) or self.of(f"{point.partition('.')[0]}.{REACTIVE_SETPOINT}")

    def of(self, point: str) -> str:
        device, _, name = point.partition(".")
        quantity = QUANTITY_OF[name]
        own = self._rulings[device, quantity].orders
        if not own:
            return self._of_site[quantity]
        return " ".join(dict.fromkeys([*self._site[quantity], *(order.source for order in own)]))
