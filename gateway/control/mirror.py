"""The set-point mirror: for each quantity what is in force, whose it is, what limits it, and the headroom left."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.control.capability import DerNow
from gateway.control.functions import ACTIVE, REACTIVE
from gateway.control.functions.base import UNITS
from gateway.control.steering import Decision


@dataclass(frozen=True, slots=True)
class InForce:
    """One quantity at one target; `value` in `unit`, `expires` UTC seconds, None: until cancelled."""

    target: str
    quantity: str
    function: str
    value: float
    unit: str
    source: str
    kind: str
    priority: int
    expires: float | None
    limited_by: str | None


@dataclass(frozen=True, slots=True)
class Headroom:
    """How far the devices that are online could still move, in W and var; None where their power is not known."""

    p_up: float | None = None
    p_down: float | None = None
    q_up: float | None = None
    q_down: float | None = None


@dataclass(frozen=True, slots=True)
class Mirror:
    quantities: tuple[InForce, ...] = ()
    headroom: Headroom = Headroom()


def mirror_of(decision: Decision, ders: Mapping[str, DerNow]) -> Mirror:
    """What a DSO may see of a decision."""
    quantities = []
    for (target, quantity), ruling in decision.rulings.items():
        order = ruling.deciding
        if order is None:
            continue
        value = ruling.band.lo if ruling.setpoint else ruling.band.hi
        limited = value != order.value
        quantities.append(
            InForce(
                target=target,
                quantity=quantity,
                function=order.function.name,
                value=value,
                unit=UNITS[quantity],
                source=order.source,
                kind=order.kind.value,
                priority=int(-order.rank[2]),
                expires=order.expires,
                limited_by=(ruling.limit.source if ruling.limit else "capability") if limited else None,
            )
        )
    return Mirror(tuple(quantities), _headroom(ders))


def _headroom(ders: Mapping[str, DerNow]) -> Headroom:
    online = [der for der in ders.values() if der.online]
    active = [(der.active, der.active_power) for der in online if der.can(ACTIVE)]
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
