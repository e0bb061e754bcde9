"""Whether an order may take part: everything that needs to know the site, the clock and what was ordered before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.control.capability import LIMIT, REACTIVE_SETPOINT, SETPOINT, DerNow
from gateway.control.functions import ACTIVE, BY_NAME, Function
from gateway.control.plant import Authority, Plant
from gateway.model import Activation, Band

TOO_OLD_S = 60.0
"""An order without a later start is void after this time (contract, section 4)."""
OPEN_MAX = 1_000
"""Orders open at once; a DSO has a handful, and a journal on an SD card must stay small."""

PLANT_TARGETS = ("pcc", "plant")


@dataclass(frozen=True, slots=True)
class Refused:
    code: str
    detail: str


def judge(
    activation: Activation,
    *,
    plant: Plant,
    ders: Mapping[str, DerNow],
    authority: Authority,
    open_orders: int,
    wall: float,
) -> Refused | None:
    """Why *activation* is refused, or None. *wall* is UTC seconds, *open_orders* how many are open already."""
    begins = activation.start if activation.start is not None else wall
    if activation.end is not None and activation.end <= wall:
        return Refused("expired", f"its end passed {wall - activation.end:.0f} s ago")
    if wall - activation.issued > TOO_OLD_S and begins <= wall:
        return Refused("too_old", f"issued {wall - activation.issued:.0f} s ago, accepted are {TOO_OLD_S:.0f} s")
    if not authority.allows(activation.function):
        granted = ", ".join(sorted(authority.functions))
        return Refused("not_authorised", f"{activation.function}: this uplink may order {granted}")
    target = activation.target
    if target not in PLANT_TARGETS and target not in plant.devices:
        known = ", ".join((*PLANT_TARGETS, *sorted(plant.devices)))
        return Refused("unknown_target", f"found {target!r}, accepted are {known}")
    if target == "pcc" and plant.pcc is None:
        return Refused("unsupported_function", "the site names no meter as its PCC, so nothing can be proven there")
    function = BY_NAME.get(activation.function)
    if function is None:
        return Refused("unsupported_function", f"found {activation.function!r}, accepted are {', '.join(BY_NAME)}")
    if not _can(function, target, plant, ders):
        return Refused("unsupported_function", f"nothing at {target!r} can be written for {function.name}")
    rated = rating(target, plant, ders)
    if rated is None:
        return Refused("unsupported_function", f"the rated power of {target!r} is not known yet; try again")
    value = in_power(activation, rated)
    allowed = function.allowed(reach(function.quantity, target, plant, ders))
    if not allowed.lo <= value <= allowed.hi:
        unit = function.unit
        found = f"found {activation.value:g} {activation.unit}"
        found += f" = {value:g} {unit}" if activation.unit != unit else ""
        return Refused("out_of_range", f"{found}, accepted is {allowed.lo:g} to {allowed.hi:g} {unit}")
    if open_orders >= OPEN_MAX:
        return Refused("overloaded", f"{open_orders} orders are open; cancel some or let them end")
    return None


def rating(target: str, plant: Plant, ders: Mapping[str, DerNow]) -> float | None:
    """What 100 % is at a target, in W: the agreed capacity at `pcc` and `plant`, else the device's rated power."""
    if target in PLANT_TARGETS:
        return plant.rated_power_w
    der = ders.get(target)
    return der.rated_w if der else None


def in_power(activation: Activation, rated: float) -> float:
    """The value of an order in W or var."""
    value = activation.value or 0.0
    return value * rated / 100.0 if activation.unit == "%" else value


def reach(quantity: str, target: str, plant: Plant, ders: Mapping[str, DerNow]) -> Band:
    """The range a target can be ordered into by rating; what it reaches now is for the meter to say."""
    if target in PLANT_TARGETS:
        return Band(-plant.rated_power_w, plant.rated_power_w)
    der = ders[target]
    return der.active if quantity == ACTIVE else der.reactive


def _can(function: Function, target: str, plant: Plant, ders: Mapping[str, DerNow]) -> bool:
    names = (LIMIT, SETPOINT) if function.quantity == ACTIVE else (REACTIVE_SETPOINT,)
    if target in PLANT_TARGETS:
        # A device that has not been reached yet may still turn out to be able: then the meter has the last word.
        silent = any(der.id not in ders or not ders[der.id].points for der in plant.ders)
        return silent or any(name in der.points for der in ders.values() for name in names)
    return target in ders and any(name in ders[target].points for name in names)
