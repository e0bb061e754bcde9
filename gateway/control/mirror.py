"""The set-point mirror: for each quantity what is in force, whose it is, what limits it, and the headroom left."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from gateway.control.arbitration import Order, Ruling, level_of
from gateway.control.capability import DerNow, View
from gateway.control.functions import ACTIVE, CONNECTION, REACTIVE
from gateway.control.functions.base import UNITS
from gateway.control.proof import TOLERANCE_SHARE, effect, reserved
from gateway.control.situation import rating, reachable
from gateway.control.steering import Decision
from gateway.model import Band


@dataclass(frozen=True, slots=True)
class InForce:
    """
    One quantity at one target; `value` in `unit`, None while nothing is said; `expires` UTC seconds, None: until
    cancelled. `execution`: whether the tick does it, or a device by itself. `limited_by` is the order, or capability,
    that keeps the one in force from having its way; `by` the level of the arbitration that decided.
    """

    target: str
    quantity: str
    function: str
    value: float | None
    unit: str
    source: str
    kind: str
    priority: int
    expires: float | None
    limited_by: str | None
    execution: Literal["local", "device"] = "local"
    by: str = ""


@dataclass(frozen=True, slots=True)
class Headroom:
    """
    How far the devices that are online could still move, in W and var; None where their power is not known.

    A source that is not held back gives all it has: upwards it has no room. What one that is held back could give is
    what it gave when that began.
    """

    p_up: float | None = None
    p_down: float | None = None
    q_up: float | None = None
    q_down: float | None = None


@dataclass(frozen=True, slots=True)
class Reserved:
    """Headroom that was ordered to be free, in W, and whether it is."""

    up_w: float
    down_w: float
    kept: bool


@dataclass(frozen=True, slots=True)
class Mirror:
    """`active` and `reactive` are where the power of all devices in sum could be now, in W and var."""

    quantities: tuple[InForce, ...] = ()
    headroom: Headroom = Headroom()
    active: Band | None = None
    reactive: Band | None = None
    reserve: Reserved | None = None


def mirror_of(decision: Decision, view: View) -> Mirror:
    """What a DSO may see of a decision."""
    ders = view.ders
    quantities = []
    for (target, quantity), ruling in decision.rulings.items():
        for order, value, wish in _edges(ruling) if ruling.orders else ():
            limited = quantity != CONNECTION and wish is not None and value != wish
            quantities.append(
                InForce(
                    target=target,
                    quantity=quantity,
                    function=order.function.name,
                    value=value,
                    unit=UNITS[quantity],
                    source=order.source,
                    kind=order.kind.value,
                    priority=order.priority,
                    expires=order.expires,
                    limited_by=_limiting(ruling, order) if limited else None,
                    execution="device" if order.setting is not None else "local",
                    by=level_of(order.function),
                )
            )
    active = _sum([der.reachable for der in ders.values() if der.online and der.can(ACTIVE)])
    reactive = _sum([der.reactive for der in ders.values() if der.online and der.can(REACTIVE)])
    return Mirror(tuple(quantities), _headroom(ders), active, reactive, _reserve(decision, view))


def _edges(ruling: Ruling) -> Iterator[tuple[Order, float | None, float | None]]:
    """
    The orders in force at one place, each with the value in force and the one it says: the set-point, else a ceiling
    and a floor; and what devices do by themselves besides. One that says nothing stands where no other does.
    """
    if ruling.handed is not None:
        yield ruling.handed, ruling.handed.requested, None
    elif ruling.setpoint is not None:
        yield ruling.setpoint, ruling.band.lo, ruling.setpoint.statement.lo
    elif ruling.ceiling is not None or ruling.floor is not None:
        if ruling.ceiling is not None:
            yield ruling.ceiling, ruling.band.hi, ruling.ceiling.statement.hi
        if ruling.floor is not None:
            yield ruling.floor, ruling.band.lo, ruling.floor.statement.lo
    elif ruling.orders[0].setting is None:
        yield ruling.orders[0], None, None
    for order in ruling.orders:
        if order.setting is not None and order.function.is_limit:
            yield order, order.requested, None


def _limiting(ruling: Ruling, order: Order) -> str:
    """Who keeps an order from having its way."""
    for other in (ruling.ceiling, ruling.floor):
        if other is not None and other is not order:
            return other.source
    return "capability"


def _reserve(decision: Decision, view: View) -> Reserved | None:
    """The reserves of all orders together; each one has to be free for itself."""
    orders = [order for ruling in decision.rulings.values() for order in ruling.orders if order.reserve is not None]
    if not orders:
        return None
    up, down, kept = 0.0, 0.0, True
    for order in orders:
        power = effect(order.function, order.target, view)
        if order.reserve is not None:
            up, down = up + order.reserve.up_w, down + order.reserve.down_w
            could = reachable(order.target, view.ders)
            rated = rating(order.target, view.plant, view.ders) or 0.0
            kept = kept and power is not None and reserved(order.reserve, power, could, TOLERANCE_SHARE * rated)
    return Reserved(up, down, kept)


def _sum(bands: Sequence[Band]) -> Band:
    return Band(sum(band.lo for band in bands), sum(band.hi for band in bands))


def _headroom(ders: Mapping[str, DerNow]) -> Headroom:
    online = [der for der in ders.values() if der.online]
    active = [(der.reachable, der.active_power) for der in online if der.can(ACTIVE)]
    reactive = [(der.reactive, der.reactive_power) for der in online if der.can(REACTIVE)]
    p_up = p_down = q_up = q_down = 0.0
    for band, power in active:
        if power is None:
            return Headroom()
        p_up += max(band.hi - power, 0.0)
        p_down += max(power - band.lo, 0.0)
    for band, power in reactive:
        if power is None:
            return Headroom(p_up, p_down)
        q_up += max(band.hi - power, 0.0)
        q_down += max(power - band.lo, 0.0)
    return Headroom(p_up, p_down, q_up, q_down)
