"""From the orders in force to what is wished of each writable point."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from gateway.control import pcc
from gateway.control.admission import PLANT_TARGETS, in_power, rating, reach
from gateway.control.arbitration import Order, Ruling, rank_of, rule
from gateway.control.capability import QUANTITY_OF, DerNow
from gateway.control.dispatch import Total, dispatch_active, dispatch_reactive
from gateway.control.fallback import fallbacks
from gateway.control.functions import ACTIVE, BY_NAME, REACTIVE
from gateway.control.functions.ramp import toward
from gateway.control.pcc import Loop, Sample
from gateway.control.plant import Plant
from gateway.control.proof import measured
from gateway.control.writes import Wish
from gateway.image import Snapshot
from gateway.model import Activation, Band, Entry, Ramp

_RampKey = tuple[str, str, str]
"""Issuer, target, function: a newer order goes on from where the older one stood."""


@dataclass(frozen=True, slots=True)
class Steering:
    """What steering remembers: a loop a quantity, where each ramp stands (W or var), and the storage that is curbed."""

    loops: Mapping[str, Loop] = field(default_factory=dict)
    ramps: Mapping[_RampKey, float] = field(default_factory=dict)
    curbed: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Decision:
    """The rulings by (target, quantity), and the wishes by point id."""

    rulings: Mapping[tuple[str, str], Ruling]
    wishes: Mapping[str, Wish]


def steer(
    plant: Plant,
    steering: Steering,
    in_force: Sequence[Entry],
    ders: Mapping[str, DerNow],
    snapshot: Snapshot,
    heard: Mapping[str, float],
    dt: float,
) -> tuple[Steering, Decision]:
    """One step of steering; *dt* is the time since the last one in seconds, *heard* when each DSO was last heard."""
    orders, ramps = _orders(plant, steering.ramps, in_force, ders, snapshot, dt)
    standing_in, released = fallbacks(plant, snapshot, heard)
    orders = [order for order in orders if order.function.quantity not in released] + standing_in
    rulings = _rulings(plant, orders, ders)
    loops: dict[str, Loop] = {}
    totals: dict[str, Total] = {}
    for quantity in (ACTIVE, REACTIVE):
        loop = _observe(plant, steering.loops[quantity], quantity, ders, snapshot)
        loops[quantity], totals[quantity] = _close(plant, loop, quantity, rulings, snapshot, dt)
    device_rulings = {id_: rulings[id_, ACTIVE] for id_ in ders}
    active, curbed = dispatch_active(totals[ACTIVE], ders, device_rulings, steering.curbed)
    reactive = dispatch_reactive(totals[REACTIVE].setpoint, ders, {id_: rulings[id_, REACTIVE] for id_ in ders})
    wishes = {point: Wish(power, _cause(rulings, point, ACTIVE)) for point, power in active.items()}
    wishes |= {point: Wish(power, _cause(rulings, point, REACTIVE)) for point, power in reactive.items()}
    return Steering(loops, ramps, curbed), Decision(rulings, wishes)


def kept(points: Iterable[str], decision: Decision, ders: Mapping[str, DerNow]) -> frozenset[str]:
    """
    Those of *points* that stay as they are: an order speaks of their quantity, and their device cannot be judged now.

    In doubt a limit stays in force; a device that has just come back is no reason to let it go.
    """
    staying = set()
    for point in points:
        device, _, name = point.partition(".")
        ordered = any(
            ruling.orders
            for (target, quantity), ruling in decision.rulings.items()
            if quantity == QUANTITY_OF.get(name) and target in (*PLANT_TARGETS, device)
        )
        if ordered and not (device in ders and ders[device].online):
            staying.add(point)
    return frozenset(staying)


def _orders(
    plant: Plant,
    ramps: Mapping[_RampKey, float],
    in_force: Sequence[Entry],
    ders: Mapping[str, DerNow],
    snapshot: Snapshot,
    dt: float,
) -> tuple[list[Order], dict[_RampKey, float]]:
    orders: list[Order] = []
    standing: dict[_RampKey, float] = {}
    for entry in in_force:
        activation = entry.activation
        function = BY_NAME.get(activation.function) if activation else None
        rated = rating(activation.target, plant, ders) if activation else None
        if activation is None or function is None or rated is None:
            continue
        goal = in_power(activation, rated)
        key = (activation.issuer, activation.target, function.name)
        start = ramps.get(key)
        if start is None:
            power = measured(activation.target, function.quantity, plant, snapshot)
            start = goal if power is None else max(power, goal) if function.is_limit else power
        standing[key] = toward(start, goal, _ramp(activation, plant, rated), dt)
        orders.append(
            Order(
                source=entry.id,
                kind=activation.kind,
                target=activation.target,
                function=function,
                value=standing[key],
                rank=rank_of(entry, function, plant.authorities),
                expires=activation.end,
            )
        )
    return orders, standing


def _ramp(activation: Activation, plant: Plant, rated: float) -> Ramp:
    if activation.ramp_up is None and activation.ramp_down is None:
        return plant.ramp
    unit = rated / 100.0 if activation.ramp_unit.startswith("%") else 1.0
    scaled = (rate if rate is None else rate * unit for rate in (activation.ramp_up, activation.ramp_down))
    return Ramp(*scaled)


def _rulings(plant: Plant, orders: Sequence[Order], ders: Mapping[str, DerNow]) -> dict[tuple[str, str], Ruling]:
    spoken: dict[tuple[str, str], list[Order]] = {}
    for order in orders:
        spoken.setdefault((order.target, order.function.quantity), []).append(order)
    places = [(target, quantity) for target in (*PLANT_TARGETS, *ders) for quantity in (ACTIVE, REACTIVE)]
    return {place: rule(_band(*place, plant, ders), spoken.get(place, ())) for place in places}


def _band(target: str, quantity: str, plant: Plant, ders: Mapping[str, DerNow]) -> Band:
    return reach(quantity, target, plant, ders)


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
    plant: Plant,
    loop: Loop,
    quantity: str,
    rulings: Mapping[tuple[str, str], Ruling],
    snapshot: Snapshot,
    dt: float,
) -> tuple[Loop, Total]:
    """What all devices must give in sum, from the rulings at `plant` and at `pcc`."""
    at_plant, at_pcc = rulings["plant", quantity], rulings["pcc", quantity]
    limits = [at_plant.band.hi] if at_plant.limit else []
    setpoint = at_plant.band.lo if at_plant.setpoint else None
    meter = snapshot.number(f"{plant.pcc}.{quantity}") if plant.pcc else None
    if at_pcc.orders:
        goal = at_pcc.band.lo if at_pcc.setpoint else at_pcc.band.hi
        if meter is not None:
            error = goal - meter
            loop = pcc.correct(loop, error, dt, plant.rated_power_w, one_sided=at_pcc.setpoint is None)
        asked = pcc.required(loop, goal, closed=meter is not None)
        loop = replace(loop, asked=asked)
        if at_pcc.limit:
            limits.append(pcc.required(loop, at_pcc.band.hi, closed=meter is not None))
        if at_pcc.setpoint and setpoint is None:
            setpoint = asked
    else:
        loop = replace(loop, trim=0.0, asked=None)
    limit = min(limits, default=None)
    if setpoint is not None and limit is not None:
        setpoint = min(setpoint, limit)
    return loop, Total(limit, setpoint)


def _cause(rulings: Mapping[tuple[str, str], Ruling], point: str, quantity: str) -> str:
    device = point.partition(".")[0]
    sources = [order.source for target in ("pcc", "plant", device) for order in rulings[target, quantity].orders]
    return " ".join(dict.fromkeys(sources)) or "none"
