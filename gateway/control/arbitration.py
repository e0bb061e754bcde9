"""
Who decides when several orders speak of one quantity at one target.

    1  capability         what the devices can do
    2  connection         disconnect and connect, by kind
    3  limits             of any issuer combine: the tightest stands
    4  frequency          P(f) moves within the limits, and moves set-points
    5  reserve            headroom that set-points leave free
    6  set-points         by kind (emergency > dso > market > local), then the uplink's priority, then the newer

Each only narrows the band the one before it left, so a set-point never leaves a limit, and nothing leaves capability.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from gateway.control.functions import LEVELS, Function
from gateway.control.functions.statement import SILENT, Statement
from gateway.control.plant import Authority
from gateway.model import Band, Entry, Kind, Reserve, Setting

_LEVEL = {function.name: level for level, (_, functions) in enumerate(LEVELS) for function in functions}
IDLE_KEPT = 4096
"""Bands of devices that nobody speaks of: far more than a site has."""
_KINDS = {kind: rank for rank, kind in enumerate(Kind)}


@dataclass(frozen=True, slots=True)
class Order:
    """
    An activation in force and what it says now; `rank` sorts it, lowest first.

    `wanted` is what it will say when its ramp has ended, by which it is judged; `requested` is that in one number, W or
    var, as its acknowledgements name it. `lately` is what a characteristic or a schedule
    wanted as long ago as its devices need to follow.
    `setting` is what a device is given that follows it by itself, `reserve` the headroom it wants free.
    """

    source: str
    kind: Kind
    target: str
    function: Function
    statement: Statement
    rank: tuple[float, ...]
    expires: float | None = None  # UTC seconds
    wanted: Statement = SILENT
    lately: Statement = SILENT
    requested: float | None = None
    setting: Setting | None = None
    reserve: Reserve | None = None

    @property
    def priority(self) -> int:
        return int(-self.rank[2])

    @property
    def is_setpoint(self) -> bool:
        """It says exactly where the quantity has to be."""
        return self.statement.lo is not None and self.statement.lo == self.statement.hi


@dataclass(frozen=True, slots=True)
class Ruling:
    """
    The band left for one quantity at one target, the orders behind it, and the one that decided each edge.

    `setpoint` decides both; `handed` is a set-point that the device follows by itself.
    """

    band: Band
    orders: tuple[Order, ...] = ()
    ceiling: Order | None = None
    floor: Order | None = None
    setpoint: Order | None = None
    handed: Order | None = None

    @property
    def deciding(self) -> Order | None:
        """The order in force: the set-point where there is one, then what narrowed the band."""
        return self.handed or self.setpoint or self.ceiling or self.floor or (self.orders[0] if self.orders else None)

    @property
    def value(self) -> float | None:
        """What is in force by the order that decides, in W or var; None while no order says anything."""
        if self.setpoint or (self.floor and not self.ceiling):
            return self.band.lo
        return self.band.hi if self.ceiling else None


def level_of(function: Function) -> str:
    """The level of the table on which a function is."""
    return LEVELS[_LEVEL[function.name]][0]


def rank_of(entry: Entry, function: Function, authorities: Mapping[str, Authority]) -> tuple[float, ...]:
    """The place of an order: level, kind, priority of its uplink, age."""
    kind = entry.activation.kind if entry.activation else Kind.LOCAL
    priority = authorities.get(entry.uplink, Authority()).priority
    return (_LEVEL[function.name], _KINDS[kind], -priority, -entry.received)


@lru_cache(maxsize=IDLE_KEPT)
def idle(lo: float, hi: float) -> Ruling:
    """What is left where no order speaks: all that capability gives."""
    return Ruling(Band(lo, hi))


def rule(capability: Band, orders: Sequence[Order]) -> Ruling:
    """Narrow *capability* by the orders in their rank."""
    band = capability
    ranked = sorted(orders, key=lambda order: order.rank)
    ceiling: Order | None = None
    floor: Order | None = None
    setpoint: Order | None = None
    handed: Order | None = None
    for order in ranked:
        exclusive = not order.function.is_limit and (order.is_setpoint or order.setting is not None)
        if exclusive and (setpoint or handed):
            continue
        if order.setting is not None:
            handed = order if exclusive else handed
            continue
        says = order.statement
        narrowed = band.narrow(says.lo, says.hi)
        if exclusive:
            setpoint = order
        else:
            if says.hi is not None and (ceiling is None or narrowed.hi < band.hi):
                ceiling = order
            if says.lo is not None and (floor is None or narrowed.lo > band.lo):
                floor = order
        band = narrowed
    return Ruling(band, tuple(ranked), ceiling, floor, setpoint, handed)
