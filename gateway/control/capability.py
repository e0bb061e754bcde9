"""What each controllable device can do now: its bands, its writable points, and the way from watts to their units."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gateway.control.functions import ACTIVE, REACTIVE
from gateway.control.plant import Der, Plant
from gateway.image import Snapshot
from gateway.model import Band, Point, Quality

LIMIT = "active_power_limit"
SETPOINT = "active_power_setpoint"
REACTIVE_SETPOINT = "reactive_power_setpoint"
QUANTITY_OF = {LIMIT: ACTIVE, SETPOINT: ACTIVE, REACTIVE_SETPOINT: REACTIVE}
"""Which quantity a writable point acts on, by its name."""
_BY_QUANTITY = {ACTIVE: (LIMIT, SETPOINT), REACTIVE: (REACTIVE_SETPOINT,)}

_AWAY = frozenset({Quality.OFFLINE, Quality.STALE})


@dataclass(frozen=True, slots=True)
class DerNow:
    """One controllable device at this moment; powers in W and var, None where not known."""

    id: str
    rated_w: float
    online: bool
    active: Band
    reactive: Band
    points: dict[str, Point]
    active_power: float | None
    reactive_power: float | None

    def can(self, quantity: str) -> bool:
        return any(name in self.points for name in _BY_QUANTITY[quantity])


@dataclass(frozen=True, slots=True)
class View:
    """The site at one moment, as the orders' side of a tick sees it."""

    plant: Plant
    ders: Mapping[str, DerNow]
    snapshot: Snapshot


def ders_now(plant: Plant, snapshot: Snapshot) -> dict[str, DerNow]:
    """Every controllable device whose rating is known; the others cannot be given a share of anything."""
    found = (_der_now(der, snapshot) for der in plant.ders)
    return {der.id: der for der in found if der is not None}


def _der_now(der: Der, snapshot: Snapshot) -> DerNow | None:
    nameplate = snapshot.nameplates.get(der.id)
    if nameplate is None:
        return None
    rated = der.rated_power_w or nameplate.rated_power_w
    if not rated:
        return None
    points = {point.name: point for point in nameplate.points if point.writable}
    reversible = der.role == "battery" and SETPOINT in points
    reactive = nameplate.rated_reactive_power_var or rated
    return DerNow(
        id=der.id,
        rated_w=rated,
        online=_online(nameplate.points, snapshot),
        active=Band(-rated if reversible else 0.0, rated),
        reactive=Band(-reactive, reactive) if REACTIVE_SETPOINT in points else Band(0.0, 0.0),
        points=points,
        active_power=snapshot.number(f"{der.id}.{ACTIVE}"),
        reactive_power=snapshot.number(f"{der.id}.{REACTIVE}"),
    )


def _online(points: Iterable[Point], snapshot: Snapshot) -> bool:
    """A device is there when something it says is fresh; one that only takes orders is there until a write fails."""
    readable = [point for point in points if point.readable]
    readings = (snapshot.readings.get(point.id) for point in readable)
    return not readable or any(reading is not None and reading.quality not in _AWAY for reading in readings)


def to_point(point: Point, power: float) -> float:
    """W or var in the unit of a point."""
    if point.unit == "%" and point.base:
        return power / point.base * 100.0
    return power


def from_point(point: Point, value: float) -> float:
    """The unit of a point in W or var."""
    if point.unit == "%" and point.base:
        return value * point.base / 100.0
    return value
