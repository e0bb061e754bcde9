"""What each controllable device can do now: its bands, its writable points, and the way from watts to their units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.characteristic import DELEGATED
from gateway.control.functions.base import ACTIVE, CONNECTION, REACTIVE
from gateway.control.plant import Der, Plant
from gateway.image import Snapshot
from gateway.model import Band, Nameplate, Point, Quality

LIMIT = "active_power_limit"
SETPOINT = "active_power_setpoint"
REACTIVE_SETPOINT = "reactive_power_setpoint"
POWER_FACTOR_SETPOINT = "power_factor_setpoint"
CONNECT = "connect"
QUANTITY_OF = {
    LIMIT: ACTIVE,
    SETPOINT: ACTIVE,
    "volt_watt": ACTIVE,
    "frequency_droop": ACTIVE,
    REACTIVE_SETPOINT: REACTIVE,
    "volt_var": REACTIVE,
    "watt_var": REACTIVE,
    POWER_FACTOR_SETPOINT: REACTIVE,
    CONNECT: CONNECTION,
}
"""Which quantity a writable point acts on, by its name."""
_BY_QUANTITY = {
    ACTIVE: frozenset({LIMIT, SETPOINT}),
    REACTIVE: frozenset({REACTIVE_SETPOINT}),
    CONNECTION: frozenset({CONNECT, LIMIT, SETPOINT}),  # one that cannot be switched off gives nothing
}

_AWAY = frozenset({Quality.OFFLINE, Quality.STALE})

SOC_RETURN = 2.0
"""% of charge: a storage that was empty or full is used again only beyond this, so that it does not swing there."""
BINDING_SHARE = 0.03
"""Of the rated power: a device that gives this close to its limit is held back by it."""


@dataclass(frozen=True, slots=True)
class Build:
    """What follows from a device's nameplate and from the site file, and from nothing else; powers in W and var."""

    nameplate: Nameplate
    rated_w: float
    rated_va: float
    active: Band
    reactive: Band
    points: dict[str, Point]
    acts_on: frozenset[str]
    readable: tuple[str, ...]

    @classmethod
    def of(cls, der: Der, nameplate: Nameplate) -> Build | None:
        """None: the rating is not known, so it cannot be given a share of anything."""
        rated = der.rated_power_w or nameplate.rated_power_w
        if not rated:
            return None
        points = {point.name: point for point in nameplate.points if point.writable}
        rated_va = der.pq.rated_va if der.pq else nameplate.rated_reactive_power_var or rated
        return cls(
            nameplate=nameplate,
            rated_w=rated,
            rated_va=rated_va,
            active=Band(-rated if der.role == "battery" and SETPOINT in points else 0.0, rated),
            reactive=Band(-rated_va, rated_va) if REACTIVE_SETPOINT in points else Band(0.0, 0.0),
            points=points,
            acts_on=frozenset(quantity for quantity, names in _BY_QUANTITY.items() if not names.isdisjoint(points)),
            readable=tuple(point.id for point in nameplate.points if point.readable),
        )


@dataclass(frozen=True, slots=True)
class Known:
    """
    What is remembered of the devices: how they are built, sources' power when last not held back, in W, and storage
    empty or full.
    """

    builds: Mapping[str, Build] = field(default_factory=dict)
    unlimited: Mapping[str, float] = field(default_factory=dict)
    empty: frozenset[str] = frozenset()
    full: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class DerNow:
    """
    One controllable device at this moment; powers in W and var, None where not known.

    `active` and `reactive` are what it can be ordered into by rating, `possible` what may be asked of it now (a storage
    by its state of charge), `reachable` what it would give if asked: a source has no more than its sun or wind.
    """

    id: str
    der: Der
    build: Build
    rated_w: float
    rated_va: float
    online: bool
    active: Band
    possible: Band
    reachable: Band
    reactive: Band
    points: dict[str, Point]
    active_power: float | None
    reactive_power: float | None
    soc: float | None
    energy_wh: float | None

    @property
    def is_storage(self) -> bool:
        return self.active.lo < 0

    def can(self, quantity: str) -> bool:
        return quantity in self.build.acts_on

    def does(self, point: str | None) -> bool:
        """Whether it follows a function by itself, through this point."""
        return point in DELEGATED and point in self.points


@dataclass(frozen=True, slots=True)
class View:
    """The site at one moment, as the orders' side of a tick sees it."""

    plant: Plant
    ders: Mapping[str, DerNow]
    snapshot: Snapshot


def ders_now(plant: Plant, known: Known, snapshot: Snapshot) -> dict[str, DerNow]:
    """Every controllable device whose rating is known; the others cannot be given a share of anything."""
    found = (_der_now(der, known, snapshot) for der in plant.ders)
    return {der.id: der for der in found if der is not None}


def learn(known: Known, ders: Mapping[str, DerNow], limits: Mapping[str, float]) -> Known:
    """
    After one more look at the devices; *limits* is what stands in those that we limit, in W by device.
    """
    unlimited: dict[str, float] = {}
    for id_, der in ders.items():
        power = der.active_power
        if power is not None and not der.is_storage:
            held_back = id_ in limits and power >= limits[id_] - BINDING_SHARE * der.rated_w
            unlimited[id_] = max(power, known.unlimited.get(id_, 0.0)) if held_back else power
    empty = (id_ for id_, der in ders.items() if _empty(der, id_ in known.empty))
    full = (id_ for id_, der in ders.items() if _full(der, id_ in known.full))
    return Known({id_: der.build for id_, der in ders.items()}, unlimited, frozenset(empty), frozenset(full))


def _empty(der: DerNow, was: bool) -> bool:
    return der.soc is not None and der.soc <= der.der.soc_min + (SOC_RETURN if was else 0.0)


def _full(der: DerNow, was: bool) -> bool:
    return der.soc is not None and der.soc >= der.der.soc_max - (SOC_RETURN if was else 0.0)


def _der_now(der: Der, known: Known, snapshot: Snapshot) -> DerNow | None:
    nameplate = snapshot.nameplates.get(der.id)
    if nameplate is None:
        return None
    build = known.builds.get(der.id)
    if build is None or build.nameplate is not nameplate:
        build = Build.of(der, nameplate)
    if build is None:
        return None
    possible = reachable = build.active
    if der.id in known.empty or der.id in known.full:
        lo, hi = (0.0 if der.id in ids else None for ids in (known.full, known.empty))
        possible = reachable = possible.narrow(lo, hi)
    if build.active.lo >= 0:
        reachable = possible.narrow(hi=known.unlimited.get(der.id))
    return DerNow(
        id=der.id,
        der=der,
        build=build,
        rated_w=build.rated_w,
        rated_va=build.rated_va,
        online=_online(build, snapshot),
        active=build.active,
        possible=possible,
        reachable=reachable,
        reactive=build.reactive,
        points=build.points,
        active_power=snapshot.number(f"{der.id}.{ACTIVE}"),
        reactive_power=snapshot.number(f"{der.id}.{REACTIVE}"),
        soc=snapshot.number(f"{der.id}.state_of_charge") if der.role == "battery" else None,
        energy_wh=nameplate.rated_energy_wh,
    )


def _online(build: Build, snapshot: Snapshot) -> bool:
    """A device is there when something it says is fresh; one that only takes orders is there until a write fails."""
    readings = snapshot.readings
    for point in build.readable:
        reading = readings.get(point)
        if reading is not None and reading.quality not in _AWAY:
            return True
    return not build.readable


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
