"""Whether an order took effect: written and read back, then measured at its target for long enough."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from gateway.control.activation import NO_POWERS, Powers
from gateway.control.admission import in_power, rating
from gateway.control.arbitration import Ruling
from gateway.control.capability import View
from gateway.control.functions import BY_NAME, Function
from gateway.control.plant import Plant
from gateway.image import Snapshot
from gateway.model import Activation, Entry

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


def measured(target: str, quantity: str, plant: Plant, snapshot: Snapshot) -> float | None:
    """The power at a target in W or var: the meter's for `pcc`, the devices' own otherwise; None when not known."""
    if target == "pcc":
        return snapshot.number(f"{plant.pcc}.{quantity}")
    if target == "plant":
        values = [snapshot.number(f"{der.id}.{quantity}") for der in plant.ders]
        return None if None in values or not values else sum(value for value in values if value is not None)
    return snapshot.number(f"{target}.{quantity}")


def tolerance(activation: Activation, rated: float) -> float:
    """In W or var."""
    if activation.tolerance is None:
        return TOLERANCE_SHARE * rated
    return activation.tolerance * rated / 100.0 if activation.tolerance_unit == "%" else activation.tolerance


def obeys(function: Function, power: float | None, wanted: float, allowed: float) -> bool | None:
    """Whether the measured power obeys; None when it is not known."""
    return None if power is None else function.met(power, wanted, allowed)


def powers_of(entry: Entry, view: View, rulings: Mapping[tuple[str, str], Ruling] | None = None) -> Powers:
    """What an acknowledgement of an order says now; without rulings, `applied` stays what was said last."""
    activation = entry.activation
    function = BY_NAME.get(activation.function) if activation else None
    rated = rating(activation.target, view.plant, view.ders) if activation else None
    if activation is None or function is None or rated is None:
        return replace(NO_POWERS, unit=function.unit) if function else NO_POWERS
    applied = None
    if rulings is not None:
        ruling = rulings.get((activation.target, function.quantity))
        if ruling is not None and ruling.orders:
            applied = ruling.band.hi if function.is_limit else ruling.band.lo
    elif entry.last is not None:
        applied = entry.last.applied
    return Powers(
        requested=in_power(activation, rated),
        applied=applied,
        measured=measured(activation.target, function.quantity, view.plant, view.snapshot),
        unit=function.unit,
    )
