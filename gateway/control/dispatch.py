"""
From what the site must give in sum to what stands in each device.

Under a limit, generators share what is left after storage does what it does by itself; only when generators at zero are
not enough is storage curbed, and then never above what it gave when that began. Under a floor, storage gives what the
generators leave missing, and never less than it gave by itself. Under a set-point, the devices that can be set fill the
gap that the others leave, and those others are limited only to what could still be absorbed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

from gateway.control.allocation import Direction, Unit, allocate, share
from gateway.control.arbitration import Ruling
from gateway.control.capability import LIMIT, REACTIVE_SETPOINT, SETPOINT, DerNow
from gateway.control.plant import Strategy
from gateway.control.pq import reactive_band, within
from gateway.model import Band

STEP_SHARE = 0.02
"""Of the rated power: a device that gives less than its share leaves the rest to the others, in steps of this size."""
RETURN_SHARE = 0.02
"""Of the storage's rated power: so much further must things be before storage that we took is left to itself again."""

Desired = dict[str, float]
"""Point id → W or var. A point that is not in it is not spoken of."""


@dataclass(frozen=True, slots=True)
class Total:
    """What all devices must give in sum: within `floor` and `limit`, exactly `setpoint`; None makes no statement."""

    limit: float | None = None
    setpoint: float | None = None
    floor: float | None = None


@dataclass(frozen=True, slots=True)
class Shares:
    """The devices that take part, where each may be, how they share, and what each was given before."""

    ders: Mapping[str, DerNow]
    bands: Mapping[str, Band]
    strategy: Strategy
    before: Mapping[str, float]

    def of(
        self, total: float, ders: Mapping[str, DerNow], bands: Mapping[str, Band], direction: Direction
    ) -> dict[str, float]:
        """*total* shared among some of them, within bands."""
        if self.strategy == "proportional" and not any(der.der.steps or der.der.min_power for der in ders.values()):
            return share(total, {id_: bands[id_] for id_ in ders}, {id_: der.rated_w for id_, der in ders.items()})
        units = {id_: self._unit(der, bands[id_]) for id_, der in ders.items()}
        return allocate(total, units, self.strategy, direction)

    def _unit(self, der: DerNow, band: Band) -> Unit:
        limited = SETPOINT not in der.points
        steps = tuple(step * der.rated_w for step in der.der.steps) if der.der.steps and limited else None
        return Unit(
            band=band,
            weight=der.rated_w,
            merit=der.der.merit,
            soc=None if der.soc is None else der.soc / 100.0,
            energy_wh=der.energy_wh,
            steps=steps,
            min_power_w=der.der.min_power * der.rated_w,
            previous=self.before.get(f"{der.id}.{LIMIT if limited else SETPOINT}") if steps else None,
        )


def dispatch_active(
    total: Total,
    ders: Mapping[str, DerNow],
    rulings: Mapping[str, Ruling],
    taken: Mapping[str, float],
    strategy: Strategy,
    before: Mapping[str, float],
) -> tuple[Desired, dict[str, float]]:
    """
    Active power of every device given, all of them online.

    Args:
        rulings: For each device, what its own orders leave of its band.
        taken: Storage that had to be moved, and its power in W when that began; from the tick before.
        before: What was desired in the tick before.

    Returns:
        The desired values, and the storage that is moved now.
    """
    usable = {id_: der for id_, der in ders.items() if LIMIT in der.points or SETPOINT in der.points}
    bands = {id_: _possible(der, rulings[id_].band) for id_, der in usable.items()}
    shares = Shares(usable, bands, strategy, before)
    if total.setpoint is not None:
        limited = [id_ for id_, der in usable.items() if SETPOINT not in der.points and rulings[id_].ceiling]
        own = {f"{id_}.{LIMIT}": rulings[id_].band.hi for id_ in limited}  # also where it does not bind now
        return own | _to_setpoint(total.setpoint, shares), _by_themselves(usable, taken)
    desired: Desired = {}
    now_taken: dict[str, float] = {}
    if total.limit is not None or total.floor is not None:
        moved = {id_: power for id_, power in taken.items() if id_ in rulings and rulings[id_].setpoint is None}
        desired, now_taken = _between(total, shares, moved)
    for id_, der in usable.items():
        ruling = rulings[id_]
        if ruling.setpoint is not None:
            now_taken |= _by_themselves({id_: der}, taken)
        spoken = any(f"{id_}.{name}" in desired for name in (LIMIT, SETPOINT))
        if spoken or (ruling.setpoint is None and ruling.ceiling is None and ruling.floor is None):
            continue
        if ruling.setpoint is not None:
            desired |= _set(der, bands[id_].lo)
        elif SETPOINT in der.points and (ruling.floor is not None or LIMIT not in der.points):
            now_taken[id_] = taken.get(id_, _given(der))
            desired |= _set(der, bands[id_].clamp(now_taken[id_]))
        elif ruling.ceiling is not None:  # of a floor, a device that only takes limits can give no more than it does
            desired[f"{id_}.{LIMIT}"] = ruling.band.hi
    return desired, now_taken


def dispatch_reactive(
    setpoint: float | None, ders: Mapping[str, DerNow], rulings: Mapping[str, Ruling], active: Desired
) -> Desired:
    """
    Reactive power of every device given, shared by rating; *active* is what they are to give of active power.

    Where a device's priority is its active power, what that leaves it of reactive power is all that it is asked for.
    """
    usable = {id_: der for id_, der in ders.items() if REACTIVE_SETPOINT in der.points and not rulings[id_].handed}
    bands = {id_: _reactive_room(der, rulings[id_].band, active) for id_, der in usable.items()}
    if setpoint is not None:
        units = {id_: Unit(band=bands[id_], weight=der.rated_w) for id_, der in usable.items()}
        shares = allocate(setpoint, units, "proportional", "exactly")
    else:
        shares = {id_: bands[id_].lo for id_ in usable if rulings[id_].setpoint is not None}
    return {f"{id_}.{REACTIVE_SETPOINT}": value for id_, value in shares.items()}


def within_ratings(active: Desired, reactive: Desired, ders: Mapping[str, DerNow]) -> tuple[Desired, Desired]:
    """Both, where a device cannot give both at once: which one gives way is its priority."""
    for id_, der in ders.items():
        q = reactive.get(f"{id_}.{REACTIVE_SETPOINT}")
        if q is None or der.der.pq is None:
            continue
        p = _expected(der, active)
        new_p, new_q = within(der.der.pq, p, q, der.der.priority)
        if new_p != p:
            active = active | _set(der, new_p) if SETPOINT in der.points else active | {f"{id_}.{LIMIT}": new_p}
        if new_q != q:
            reactive = reactive | {f"{id_}.{REACTIVE_SETPOINT}": new_q}
    return active, reactive


def _between(total: Total, shares: Shares, taken: Mapping[str, float]) -> tuple[Desired, dict[str, float]]:
    storage = {id_: der for id_, der in shares.ders.items() if der.is_storage}
    sources = {id_: der for id_, der in shares.ders.items() if id_ not in storage}
    powers = {id_: taken.get(id_, _given(der)) for id_, der in storage.items()}
    by_itself = sum(powers.values())
    further = RETURN_SHARE * sum(der.rated_w for id_, der in storage.items() if id_ in taken)
    desired: Desired = {}
    now_taken: dict[str, float] = {}
    stored = by_itself
    given = sum(_given(der) for der in sources.values())
    lowest = sum(shares.bands[id_].lo for id_ in sources)
    if storage and total.floor is not None and by_itself < total.floor - given + further:
        bounds = {id_: shares.bands[id_].narrow(lo=powers[id_]) for id_ in storage}
        each = shares.of(total.floor - given, storage, bounds, "exactly")
    elif storage and total.limit is not None and (not sources or by_itself > total.limit - lowest - further):
        bounds = {id_: shares.bands[id_].narrow(hi=powers[id_]) for id_ in storage}
        each = shares.of(total.limit - lowest, storage, bounds, "at_most")
    else:
        each = {}
    if each:
        now_taken = powers
        stored = sum(each.values())
        for id_, power in each.items():
            desired |= _set(storage[id_], power)
    if total.limit is not None:
        bands = {id_: shares.bands[id_] for id_ in sources}
        for id_, power in _share_used(total.limit - stored, sources, bands, shares).items():
            desired |= {f"{id_}.{LIMIT}": power} if LIMIT in sources[id_].points else _set(sources[id_], power)
    return desired, now_taken


def _to_setpoint(setpoint: float, shares: Shares) -> Desired:
    settable = {id_: der for id_, der in shares.ders.items() if SETPOINT in der.points}
    limitable = {id_: der for id_, der in shares.ders.items() if id_ not in settable}
    given = sum(_given(der) for der in limitable.values())
    desired: Desired = {}
    for id_, power in shares.of(setpoint - given, settable, shares.bands, "exactly").items():
        desired |= _set(settable[id_], power)
    absorbable = sum(shares.bands[id_].lo for id_ in settable)
    for id_, power in shares.of(setpoint - absorbable, limitable, shares.bands, "at_most").items():
        if not settable or power < limitable[id_].rated_w:
            desired[f"{id_}.{LIMIT}"] = power
    return desired


def _share_used(
    total: float, ders: Mapping[str, DerNow], bands: Mapping[str, Band], shares: Shares
) -> dict[str, float]:
    """
    Shares that nobody leaves unused: first what each can give by its present power, and a step more; then the rest.
    """
    if any(der.der.steps or der.der.min_power for der in ders.values()):
        return shares.of(total, ders, bands, "at_most")  # such devices move in steps of their own
    near = {id_: bands[id_].narrow(hi=_within_reach(der)) for id_, der in ders.items()}
    first = shares.of(total, ders, near, "at_most")
    beyond = {id_: Band(0.0, bands[id_].hi - value) for id_, value in first.items()}
    second = shares.of(max(total - sum(first.values()), 0.0), ders, beyond, "at_most")
    return {id_: first[id_] + second[id_] for id_ in ders}


def _within_reach(der: DerNow) -> float:
    """The present power rounded up to whole steps, and one step: it moves seldom, and never holds back a rise."""
    step = STEP_SHARE * der.rated_w
    return (ceil(_given(der) / step) + 1) * step


def _by_themselves(ders: Mapping[str, DerNow], taken: Mapping[str, float]) -> dict[str, float]:
    """The power of storage before it had to be moved: what is left of its orders leaves it there."""
    return {id_: taken.get(id_, _given(der)) for id_, der in ders.items() if der.is_storage}


def _possible(der: DerNow, band: Band) -> Band:
    """What orders leave of a device's band, and its state of charge."""
    return band if der.possible is der.active else band.narrow(der.possible.lo, der.possible.hi)


def _given(der: DerNow) -> float:
    """What a device gives now; one whose power is not known counts with all that it could give."""
    return der.rated_w if der.active_power is None else der.active_power


def _set(der: DerNow, power: float) -> Desired:
    """A set-point where the device takes one, else the limit that comes closest to it."""
    return {f"{der.id}.{SETPOINT if SETPOINT in der.points else LIMIT}": power}


def _expected(der: DerNow, active: Desired) -> float:
    """The active power a device will give, as far as is known: what it is set to, or gives below its limit."""
    if (setpoint := active.get(f"{der.id}.{SETPOINT}")) is not None:
        return setpoint
    limit = active.get(f"{der.id}.{LIMIT}")
    return _given(der) if limit is None else min(_given(der), limit)


def _reactive_room(der: DerNow, band: Band, active: Desired) -> Band:
    if der.der.pq is None:
        return band
    room = reactive_band(der.der.pq, _expected(der, active) if der.der.priority == "active" else 0.0)
    return band.narrow(room.lo, room.hi)
