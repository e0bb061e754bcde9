"""
Who decides, and why: the rules of a site, and for one decision what each order in force has brought about.

Says nothing of its own: the levels are those of the functions, what a target can do is what admission would answer, and
who decided an edge is what the arbitration noted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from gateway.characteristic import DELEGATED
from gateway.control.admission import judge, reach
from gateway.control.arbitration import Order, Ruling, level_of
from gateway.control.capability import QUANTITY_OF, View
from gateway.control.dispatch import Total
from gateway.control.fallback import CLOCK, METER, UPLINK
from gateway.control.functions import ACTIVE, BY_NAME, FUNCTIONS, LEVELS, REACTIVE, Function
from gateway.control.functions.base import UNITS
from gateway.control.overruling import CAPABILITY, decided, deciding, overruling
from gateway.control.plant import PLANT_TARGETS, Action, Authority, Plant, Ramps, Strategy
from gateway.control.steering import Decision
from gateway.model import Activation, Band, Entry, Kind, Ramp, Setting

_BY_RANK = f"by kind ({' > '.join(Kind)}), then the uplink's priority, then the newer"
COMBINED: Mapping[str, str] = {
    "connection": f"in force is one: a fallback's disconnect first; then {_BY_RANK}",
    "limits": "all hold, of every issuer, fallback and way back: the tighter one decides; where a floor and a ceiling "
    "do not meet, the one that ranks higher",
    "frequency": "holds within the limits, and moves set-points; of several the tighter one decides",
    "reserve": "headroom that set-points leave free; of several the tighter one decides",
    "set-points": f"in force is one: {_BY_RANK}; a fallback's value takes the place of them all",
}
"""How the orders of one level combine, by its name."""
_ABOVE_ALL = (
    "what the site and its devices can do: ratings, apparent power, state of charge. No order, fallback or ramp leaves "
    "it, and what a device does to protect itself none of them can undo"
)


@dataclass(frozen=True, slots=True)
class Level:
    """One row of the arbitration table; the lower the rank, the sooner it decides."""

    rank: int
    name: str
    functions: tuple[str, ...]
    combined: str


@dataclass(frozen=True, slots=True)
class UplinkRule:
    """What an uplink may order, and how its orders rank among their kind: the higher priority wins."""

    id: str
    priority: int
    functions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FallbackRule:
    """What becomes of a quantity once something has been lost for `after_s`; None: nothing is agreed, orders stay."""

    loss: str
    after_s: float | None
    quantity: str
    unit: str
    action: Action


@dataclass(frozen=True, slots=True)
class Rules:
    """All that decides before there is any order; powers in W, ramps in W/s, None: unlimited."""

    rated_power_w: float
    pcc: str | None
    ders: tuple[str, ...]
    levels: tuple[Level, ...]
    uplinks: tuple[UplinkRule, ...]
    allocation: Strategy
    ramps: Ramps
    device_ramps: Mapping[str, Ramp]
    fallbacks: tuple[FallbackRule, ...]
    der_lost_s: float | None
    device_revert_s: float | None


@dataclass(frozen=True, slots=True)
class Ability:
    """
    Whether a target can do a function: through the gateway, by the device itself, not at all, or not known until a
    device has said what it is; `why` not, in the words in which an order would be refused.
    """

    target: str
    function: str
    by: Literal["gateway", "device", "none", "unknown"]
    why: str | None = None


@dataclass(frozen=True, slots=True)
class Voice:
    """
    One order and what came of it; `lo` and `hi` are what it says now, `wanted_lo` and `wanted_hi` at its ramp's end, in
    W or var (of a connection 1 is on, 0 is off).

    `decides` names what it decided; `overruled_by` is the order, or capability, because of which it does not (wholly)
    have its way. Neither: it says nothing now, or the same as what decides. `expires` UTC seconds. `handed` is what the
    device follows by itself.
    """

    rank: int
    source: str
    kind: str
    priority: int
    level: str
    function: str
    lo: float | None
    hi: float | None
    wanted_lo: float | None
    wanted_hi: float | None
    handed: Setting | None
    decides: tuple[str, ...]
    overruled_by: str | None
    expires: float | None


@dataclass(frozen=True, slots=True)
class Place:
    """
    One quantity at one target of which orders speak: what it could be (`capability`), what they leave of that (`left`),
    the `value` in force (None: nothing is said), who decided it, and every order in its rank.

    `decided_by` has by what was decided (ceiling and floor, or one of set-point, connection and device) the order, or
    capability, that did; of a set-point that is held back, what holds it.
    """

    target: str
    quantity: str
    unit: str
    capability: Band
    left: Band
    value: float | None
    decided_by: Mapping[str, str]
    orders: tuple[Voice, ...]


@dataclass(frozen=True, slots=True)
class LetGo:
    """An order in force that takes no part in the decision now."""

    source: str
    target: str
    function: str
    why: str


@dataclass(frozen=True, slots=True)
class Wished:
    """What is wished of a point, in W or var (no unit: a bare number or a text), and the orders behind it."""

    point: str
    value: Setting
    unit: str
    cause: str


@dataclass(frozen=True, slots=True)
class Explained:
    """One decision; `totals` is what the devices must give in sum, by quantity."""

    places: tuple[Place, ...]
    let_go: tuple[LetGo, ...]
    fallbacks: tuple[str, ...]
    totals: Mapping[str, Total]
    wishes: tuple[Wished, ...]


def rules_of(plant: Plant) -> Rules:
    """The rules of a site, by its configuration alone."""
    levels = ((CAPABILITY, (), _ABOVE_ALL), *((name, functions, COMBINED[name]) for name, functions in LEVELS))
    return Rules(
        rated_power_w=plant.rated_power_w,
        pcc=plant.pcc,
        ders=tuple(der.id for der in plant.ders),
        levels=tuple(
            Level(rank, name, tuple(function.name for function in functions), combined)
            for rank, (name, functions, combined) in enumerate(levels, start=1)
        ),
        uplinks=tuple(
            UplinkRule(id_, authority.priority, tuple(sorted(authority.functions)))
            for id_, authority in plant.authorities.items()
        ),
        allocation=plant.strategy,
        ramps=plant.ramps,
        device_ramps={der.id: der.ramp for der in plant.ders if der.ramp != Ramp()},
        fallbacks=tuple(_fallbacks(plant)),
        der_lost_s=plant.der_lost_s,
        device_revert_s=plant.revert_s,
    )


def _fallbacks(plant: Plant) -> Iterable[FallbackRule]:
    for loss in (UPLINK, METER, CLOCK):
        fallback = plant.fallbacks.get(loss)
        after_s = fallback.after_s if fallback else None
        active, reactive = (fallback.active, fallback.reactive) if fallback else (Action(), Action())
        for quantity, action in ((ACTIVE, active), (REACTIVE, reactive)):
            yield FallbackRule(loss, after_s, quantity, UNITS[quantity], action)


def abilities_of(view: View) -> tuple[Ability, ...]:
    """What each target can do, as far as its devices have told what they are."""
    measuring = {
        id_: point for id_, point in view.snapshot.points.items() if point.name.startswith(("voltage", "frequency"))
    }
    # Admission looks among all points for what a function follows; of thousands, only these can be it.
    seen = replace(view, snapshot=replace(view.snapshot, points=measuring))
    targets = (*PLANT_TARGETS, *(der.id for der in view.plant.ders))
    return tuple(_ability(function, target, seen) for target in targets for function in FUNCTIONS)


def _ability(function: Function, target: str, view: View) -> Ability:
    plant, ders, now = view.plant, view.ders, view.snapshot.now.wall
    order = Activation(id="", revision=0, issuer="", issued=now, target=target, function=function.name)
    refused = judge(order, view=view, authority=Authority(), open_orders=0)
    why = refused.detail if refused is not None and refused.code == "unsupported_function" else None
    concerned = [der.id for der in plant.ders if target in {*PLANT_TARGETS, der.id}]
    plates = (view.snapshot.nameplates.get(id_) for id_ in concerned)
    is_open = not (target == "pcc" and plant.pcc is None) and any(not plate or not plate.points for plate in plates)
    if why is not None:
        return Ability(target, function.name, "unknown") if is_open else Ability(target, function.name, "none", why)
    if target in ders and (ders[target].does(function.point) or not ders[target].can(function.quantity)):
        return Ability(target, function.name, "device")
    can = any(ders[id_].can(function.quantity) for id_ in concerned if id_ in ders)
    return Ability(target, function.name, "gateway" if can else "unknown")


def explain(decision: Decision, view: View, in_force: Sequence[Entry]) -> Explained:
    """Every order's part in a decision; *in_force* are the orders that could have one."""
    return Explained(
        places=tuple(
            _place(target, quantity, ruling, reach(quantity, target, view.plant, view.ders))
            for (target, quantity), ruling in decision.rulings.items()
            if ruling.orders
        ),
        let_go=tuple(_let_go(decision, view.plant, in_force)),
        fallbacks=tuple(sorted(decision.fallbacks)),
        totals=decision.totals,
        wishes=tuple(
            Wished(point, wish.value, _unit_of(point), wish.cause) for point, wish in sorted(decision.wishes.items())
        ),
    )


def _unit_of(point: str) -> str:
    name = point.partition(".")[2]
    return "" if name in DELEGATED or name == "power_factor_setpoint" else UNITS[QUANTITY_OF[name]]


def _let_go(decision: Decision, plant: Plant, in_force: Iterable[Entry]) -> Iterable[LetGo]:
    heard = {order.source for ruling in decision.rulings.values() for order in ruling.orders}
    for entry in in_force:
        order = entry.activation
        if order is None or entry.id in heard or order.function not in BY_NAME:
            continue
        function = BY_NAME[order.function]
        by = [name for name in sorted(decision.fallbacks) if _lets_go(plant, name, function)]
        why = f"let go by the fallback {', '.join(by)}" if by else f"the rated power of {order.target} is not known"
        yield LetGo(entry.id, order.target, order.function, why)


def _lets_go(plant: Plant, name: str, function: Function) -> bool:
    fallback = plant.fallbacks[name]
    word = {ACTIVE: fallback.active.word, REACTIVE: fallback.reactive.word}.get(function.quantity)
    return word == "release" or (word == "value" and not function.is_limit)


def _place(target: str, quantity: str, ruling: Ruling, capability: Band) -> Place:
    return Place(
        target=target,
        quantity=quantity,
        unit=UNITS[quantity],
        capability=capability,
        left=ruling.band,
        value=None if ruling.handed else ruling.value,
        decided_by=dict(deciding(ruling)),
        orders=tuple(_voice(rank, order, ruling) for rank, order in enumerate(ruling.orders, start=1)),
    )


def _voice(rank: int, order: Order, ruling: Ruling) -> Voice:
    return Voice(
        rank=rank,
        source=order.source,
        kind=order.kind.value,
        priority=order.priority,
        level=level_of(order.function),
        function=order.function.name,
        lo=order.statement.lo,
        hi=order.statement.hi,
        wanted_lo=order.wanted.lo,
        wanted_hi=order.wanted.hi,
        handed=order.setting,
        decides=tuple(decided(order, ruling)),
        overruled_by=overruling(order, ruling),
        expires=order.expires,
    )
