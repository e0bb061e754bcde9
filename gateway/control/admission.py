"""Whether an order may take part: everything that needs to know the site, the clock and what was ordered before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from gateway.characteristic import Curve, Droop
from gateway.control.capability import CONNECT, POWER_FACTOR_SETPOINT, DerNow, View
from gateway.control.demand import values_of
from gateway.control.functions import ACTIVE, BY_NAME, CONNECTION, Function
from gateway.control.functions.curve import PRESETS
from gateway.control.functions.frequency_droop import PRESETS as DROOPS
from gateway.control.plant import PLANT_TARGETS, Authority, Plant
from gateway.control.situation import rating
from gateway.model import Activation, Band

TOO_OLD_S = 60.0
"""An order without a later start is void after this time (contract, section 4)."""
OPEN_MAX = 1_000
"""Orders open at once; a DSO has a handful, and a journal on an SD card must stay small."""


@dataclass(frozen=True, slots=True)
class Refused:
    code: str
    detail: str


def resolved(activation: Activation) -> Activation | Refused:
    """The order with what its preset stands for; refused where there is none of that name."""
    if not activation.preset:
        return activation
    known: Mapping[str, Curve | Droop] = (
        DROOPS if activation.function == "frequency_droop" else PRESETS.get(activation.function, {})
    )
    match known.get(activation.preset):
        case Droop() as droop:
            return replace(activation, droop=droop)
        case Curve() as curve:
            response_s = activation.response_s if activation.response_s is not None else curve.response_s
            return replace(activation, curve=curve.points, response_s=response_s)
    accepted = ", ".join(sorted(known)) or "none"
    return Refused("malformed", f"preset is {activation.preset!r}; accepted for {activation.function} are {accepted}")


def judge(activation: Activation, *, view: View, authority: Authority, open_orders: int) -> Refused | None:
    """Why *activation* is refused, or None; *open_orders* is how many are open already."""
    plant, ders, wall = view.plant, view.ders, view.snapshot.now.wall
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
    unable = _unable(activation, function, view)
    if unable is not None:
        return Refused("unsupported_function", unable)
    rated = rating(target, plant, ders)
    if rated is None:
        return Refused("unsupported_function", f"the rated power of {target!r} is not known yet; try again")
    band = reach(function.quantity, target, plant, ders)
    for value in values_of(activation, rated):
        wrong = function.check(activation, value, band)
        if wrong is not None:
            return Refused("out_of_range", wrong)
    if open_orders >= OPEN_MAX:
        return Refused("overloaded", f"{open_orders} orders are open; cancel some or let them end")
    return None


def reach(quantity: str, target: str, plant: Plant, ders: Mapping[str, DerNow]) -> Band:
    """The range a target can be ordered into by rating; what it reaches now is for the meter to say."""
    if quantity == CONNECTION:
        return Band(0.0, 1.0)
    if target in PLANT_TARGETS:
        return Band(-plant.rated_power_w, plant.rated_power_w)
    der = ders[target]
    return der.active if quantity == ACTIVE else der.reactive


def _unable(activation: Activation, function: Function, view: View) -> str | None:
    """Why nothing at the target can do this; None: something can."""
    target, ders, plant = activation.target, view.ders, view.plant
    if not _can(function, target, plant, ders):
        return f"nothing at {target!r} can be written for {function.name}"
    if target in ders and ders[target].does(function.point):
        return None
    if (missing := _not_measured(function, target, view)) is not None:
        return missing
    latency_s = plant.latencies.get(target, 0.0)
    response_s = activation.droop.response_s if activation.droop else activation.response_s
    if response_s is not None and response_s < latency_s:
        return (
            f"a response within {response_s:g} s was ordered, and through {target!r} a change shows after "
            f"{latency_s:g} s at the earliest; order it at a device that does {function.name} by itself"
        )
    return None


def _not_measured(function: Function, target: str, view: View) -> str | None:
    """A quantity the function follows, and that no point of the site could ever give."""
    plant, snapshot = view.plant, view.snapshot
    places = {target} if target not in PLANT_TARGETS else set()
    places |= {plant.pcc} if plant.pcc else set()
    silent = any(der.id not in snapshot.nameplates for der in plant.ders)
    for quantity in sorted(function.looks_at & {"voltage", "frequency"}):
        where = places | {der.id for der in plant.ders} if quantity == "frequency" else places
        named = any(
            id_.partition(".")[0] in where and id_.partition(".")[2].startswith(quantity) for id_ in snapshot.points
        )
        if not named and not silent:
            return f"{function.name} follows the {quantity}, which nothing at {', '.join(sorted(where))} measures"
    return None


def _can(function: Function, target: str, plant: Plant, ders: Mapping[str, DerNow]) -> bool:
    if target in PLANT_TARGETS:
        # A device that has not been reached yet may still turn out to be able: then the meter has the last word.
        silent = any(der.id not in ders or not ders[der.id].points for der in plant.ders)
        return silent or any(der.can(function.quantity) for der in ders.values())
    if target not in ders:
        return False
    der = ders[target]
    if function.name == "set_power_factor" and POWER_FACTOR_SETPOINT in der.points:
        return True
    if function.name == "connect" and CONNECT not in der.points:
        return der.can(ACTIVE)
    return der.can(function.quantity) or der.does(function.point)
