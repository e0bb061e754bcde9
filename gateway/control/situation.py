"""What the functions may look at of each target, from one snapshot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from math import sqrt

from gateway.control.capability import DerNow, View
from gateway.control.functions.base import ACTIVE, REACTIVE
from gateway.control.functions.statement import Situation
from gateway.control.plant import PLANT_TARGETS, Plant
from gateway.image import Snapshot
from gateway.model import Band

_TO_NEUTRAL = ("voltage_l1", "voltage_l2", "voltage_l3")
_BETWEEN = ("voltage_l12", "voltage_l23", "voltage_l31")


class Situations:
    """Made once a tick; each target is looked at when it is first asked for."""

    def __init__(self, view: View, dt: float) -> None:
        self._view = view
        self._dt = dt
        self._known: dict[tuple[str, frozenset[str]], Situation] = {}

    def at(self, target: str, looks_at: frozenset[str]) -> Situation | None:
        """With the voltage and the frequency where they are looked at; None: the target's rating is not known."""
        key = target, looks_at
        if key not in self._known:
            rated = rating(target, self._view.plant, self._view.ders)
            if rated is None:
                return None
            self._known[key] = self._look(target, rated, looks_at)
        return self._known[key]

    def _frequency(self, target: str) -> float | None:
        own = self._view.snapshot.number(f"{target}.frequency")
        return self._frequency_hz if own is None else own

    @cached_property
    def _frequency_hz(self) -> float | None:
        """Of the meter at the PCC, else of any device: it is the same everywhere."""
        plant = self._view.plant
        places = [*([plant.pcc] if plant.pcc else []), *(der.id for der in plant.ders)]
        return _first(self._view.snapshot.number(f"{place}.frequency") for place in places)

    def _look(self, target: str, rated: float, looks_at: frozenset[str]) -> Situation:
        plant, ders, snapshot = self._view.plant, self._view.ders, self._view.snapshot
        # A device that does not measure its grid is at the PCC's.
        places = [target] if target not in PLANT_TARGETS else []
        places += [plant.pcc] if plant.pcc else []
        return Situation(
            rated_w=rated,
            rated_va=ders[target].rated_va if target in ders else rated,
            active_w=measured(target, ACTIVE, plant, snapshot),
            reactive_var=measured(target, REACTIVE, plant, snapshot),
            voltage=_first(_voltage(place, plant.nominal_voltage_v, snapshot) for place in places)
            if "voltage" in looks_at
            else None,
            frequency_hz=self._frequency(target) if "frequency" in looks_at else None,
            nominal_hz=plant.nominal_hz,
            reachable=reachable(target, ders),
            wall=snapshot.now.wall,
            dt=self._dt,
        )


def rating(target: str, plant: Plant, ders: Mapping[str, DerNow]) -> float | None:
    """What 100 % is at a target, in W: the agreed capacity at `pcc` and `plant`, else the device's rated power."""
    if target in PLANT_TARGETS:
        return plant.rated_power_w
    der = ders.get(target)
    return der.rated_w if der else None


def measured(target: str, quantity: str, plant: Plant, snapshot: Snapshot) -> float | None:
    """The power at a target in W or var: the meter's for `pcc`, the devices' own otherwise; None when not known."""
    if target == "pcc":
        return snapshot.number(f"{plant.pcc}.{quantity}")
    if target == "plant":
        values = [snapshot.number(f"{der.id}.{quantity}") for der in plant.ders]
        return None if None in values or not values else sum(value for value in values if value is not None)
    return snapshot.number(f"{target}.{quantity}")


def reachable(target: str, ders: Mapping[str, DerNow]) -> Band:
    """Where the active power of a target could be now, by what is online; of the PCC without its load."""
    if target not in PLANT_TARGETS:
        return ders[target].reachable if target in ders and ders[target].online else Band(0.0, 0.0)
    online = [der for der in ders.values() if der.online and der.can(ACTIVE)]
    return Band(sum(der.reachable.lo for der in online), sum(der.reachable.hi for der in online))


def _voltage(place: str, nominal_v: float, snapshot: Snapshot) -> float | None:
    """In per unit, the mean of the phases that are known."""
    for names, base in ((_TO_NEUTRAL, nominal_v), (_BETWEEN, nominal_v * sqrt(3))):
        values = [value for name in names if (value := snapshot.number(f"{place}.{name}")) is not None]
        if values:
            return sum(values) / len(values) / base
    return None


def _first(values: Iterable[float | None]) -> float | None:
    return next((value for value in values if value is not None), None)
