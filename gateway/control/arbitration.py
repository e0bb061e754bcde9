"""
Who decides when several orders speak of one quantity at one target.

    1  capability         what the devices can do
    2  limits             of any issuer combine: the tightest stands
    3  set-points         by kind (emergency > dso > market > local), then the uplink's priority, then the newer

Each only narrows the band the one before it left, so a set-point never leaves a limit, and nothing leaves capability.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gateway.control.functions import FUNCTIONS, Function
from gateway.control.plant import Authority
from gateway.model import Band, Entry, Kind

_RANK = {function.name: rank for rank, function in enumerate(FUNCTIONS)}
_KINDS = {kind: rank for rank, kind in enumerate(Kind)}


@dataclass(frozen=True, slots=True)
class Order:
    """An activation in force: what it wants now, in W or var, after its ramp; `rank` sorts it, lowest first."""

    source: str
    kind: Kind
    target: str
    function: Function
    value: float
    rank: tuple[float, ...]
    expires: float | None = None  # UTC seconds


@dataclass(frozen=True, slots=True)
class Ruling:
    """The band left for one quantity at one target, the orders behind it, and the one that decided each edge."""

    band: Band
    orders: tuple[Order, ...] = ()
    limit: Order | None = None
    setpoint: Order | None = None

    @property
    def deciding(self) -> Order | None:
        """The order in force: the set-point where there is one, unless a limit stands on it."""
        return self.setpoint or self.limit


def rank_of(entry: Entry, function: Function, authorities: Mapping[str, Authority]) -> tuple[float, ...]:
    """The place of an order: function, kind, priority of its uplink, age."""
    kind = entry.activation.kind if entry.activation else Kind.LOCAL
    priority = authorities.get(entry.uplink, Authority()).priority
    return (_RANK[function.name], _KINDS[kind], -priority, -entry.received)


def rule(capability: Band, orders: Iterable[Order]) -> Ruling:
    """Narrow *capability* by the orders in their rank."""
    band = capability
    ranked = sorted(orders, key=lambda order: order.rank)
    limit: Order | None = None
    setpoint: Order | None = None
    for order in ranked:
        narrowed = order.function.narrow(band, order.value)
        if order.function.is_limit:
            if limit is None or narrowed.hi < band.hi:
                limit = order
        elif setpoint is None:
            setpoint = order
        band = narrowed
    return Ruling(band, tuple(ranked), limit, setpoint)
