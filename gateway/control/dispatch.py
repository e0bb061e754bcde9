"""
From what the site must give in sum to what stands in each device.

Under a limit, generators share what is left after storage does what it does by itself; only when generators at zero are
not enough is storage curbed, and then never above what it gave when that began. Under a set-point, the devices that can
be set fill the gap that the others leave, and those others are limited only to what could still be absorbed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

from gateway.control.allocation import share
from gateway.control.arbitration import Ruling
from gateway.control.capability import LIMIT, REACTIVE_SETPOINT, SETPOINT, DerNow
from gateway.model import Band

STEP_SHARE = 0.02
"""Of the rated power: a device that gives less than its share leaves the rest to the others, in steps of this size."""

Desired = dict[str, float]
"""Point id → W or var. A point that is not in it is not spoken of."""


@dataclass(frozen=True, slots=True)
class Total:
    """What all devices must give in sum: no more than `limit`, exactly `setpoint`; None makes no statement."""

    limit: float | None = None
    setpoint: float | None = None


def dispatch_active(
    total: Total, ders: Mapping[str, DerNow], rulings: Mapping[str, Ruling], curbed: Mapping[str, float]
) -> tuple[Desired, dict[str, float]]:
    """
    Active power of every device that is online.

    Args:
        rulings: For each device, what its own orders leave of its band.
        curbed: Storage that had to be curbed, and its power in W when that began; from the tick before.

    Returns:
        The desired values, and the storage curbed now.
    """
    usable = {id_: der for id_, der in ders.items() if der.online and (LIMIT in der.points or SETPOINT in der.points)}
    bands = {id_: rulings[id_].band for id_ in usable}
    if total.setpoint is not None:
        return _to_setpoint(total.setpoint, usable, bands), {}
    desired: Desired = {}
    now_curbed: dict[str, float] = {}
    if total.limit is not None:
        desired, now_curbed = _to_limit(total.limit, usable, bands, curbed)
    for id_, der in usable.items():
        ruling = rulings[id_]
        if any(f"{id_}.{name}" in desired for name in (LIMIT, SETPOINT)) or not ruling.orders:
            continue
        if ruling.setpoint is not None:
            desired |= _set(der, ruling.band.lo)
        elif LIMIT in der.points:
            desired[f"{id_}.{LIMIT}"] = ruling.band.hi
        else:
            now_curbed[id_] = curbed.get(id_, _given(der))
            desired |= _set(der, min(now_curbed[id_], ruling.band.hi))
    return desired, now_curbed


def dispatch_reactive(setpoint: float | None, ders: Mapping[str, DerNow], rulings: Mapping[str, Ruling]) -> Desired:
    """Reactive power of every device that is online, shared by rating."""
    usable = {id_: der for id_, der in ders.items() if der.online and REACTIVE_SETPOINT in der.points}
    if setpoint is not None:
        shares = _share(setpoint, usable, {id_: rulings[id_].band for id_ in usable})
    else:
        shares = {id_: rulings[id_].band.lo for id_ in usable if rulings[id_].setpoint is not None}
    return {f"{id_}.{REACTIVE_SETPOINT}": value for id_, value in shares.items()}


def _to_limit(
    limit: float, ders: Mapping[str, DerNow], bands: Mapping[str, Band], curbed: Mapping[str, float]
) -> tuple[Desired, dict[str, float]]:
    storage = {id_: der for id_, der in ders.items() if der.active.lo < 0}
    sources = {id_: der for id_, der in ders.items() if id_ not in storage}
    powers = {id_: curbed.get(id_, _given(der)) for id_, der in storage.items()}
    lowest = sum(bands[id_].lo for id_ in sources)
    desired: Desired = {}
    if storage and (not sources or sum(powers.values()) > limit - lowest):
        ceilings = {id_: bands[id_].narrow(hi=powers[id_]) for id_ in storage}
        shares = _share(limit - lowest, storage, ceilings)
        for id_, power in shares.items():
            desired |= {f"{id_}.{LIMIT}": power} if LIMIT in storage[id_].points else _set(storage[id_], power)
        now_curbed = powers
        rest = limit - sum(shares.values())
    else:
        now_curbed = {}
        rest = limit - sum(powers.values())
    for id_, power in _share_used(rest, sources, {id_: bands[id_] for id_ in sources}).items():
        desired |= {f"{id_}.{LIMIT}": power} if LIMIT in sources[id_].points else _set(sources[id_], power)
    return desired, now_curbed


def _to_setpoint(setpoint: float, ders: Mapping[str, DerNow], bands: Mapping[str, Band]) -> Desired:
    settable = {id_: der for id_, der in ders.items() if SETPOINT in der.points}
    limitable = {id_: der for id_, der in ders.items() if id_ not in settable}
    given = sum(_given(der) for der in limitable.values())
    desired: Desired = {}
    for id_, power in _share(setpoint - given, settable, {id_: bands[id_] for id_ in settable}).items():
        desired |= _set(settable[id_], power)
    absorbable = sum(bands[id_].lo for id_ in settable)
    for id_, power in _share(setpoint - absorbable, limitable, {id_: bands[id_] for id_ in limitable}).items():
        if not settable or power < limitable[id_].rated_w:
            desired[f"{id_}.{LIMIT}"] = power
    return desired


def _share_used(total: float, ders: Mapping[str, DerNow], bands: Mapping[str, Band]) -> dict[str, float]:
    """
    Shares that nobody leaves unused: first what each can give by its present power, and a step more; then the rest.
    """
    within = {id_: bands[id_].narrow(hi=_within_reach(der)) for id_, der in ders.items()}
    first = _share(total, ders, within)
    beyond = {id_: Band(0.0, bands[id_].hi - value) for id_, value in first.items()}
    second = _share(max(total - sum(first.values()), 0.0), ders, beyond)
    return {id_: first[id_] + second[id_] for id_ in ders}


def _within_reach(der: DerNow) -> float:
    """The present power rounded up to whole steps, and one step: it moves seldom, and never holds back a rise."""
    step = STEP_SHARE * der.rated_w
    return (ceil(_given(der) / step) + 1) * step


def _given(der: DerNow) -> float:
    """What a device gives now; one whose power is not known counts with all that it could give."""
    return der.rated_w if der.active_power is None else der.active_power


def _set(der: DerNow, power: float) -> Desired:
    """A set-point where the device takes one, else the limit that comes closest to it."""
    return {f"{der.id}.{SETPOINT if SETPOINT in der.points else LIMIT}": power}


def _share(total: float, ders: Mapping[str, DerNow], bands: Mapping[str, Band]) -> dict[str, float]:
    return share(total, bands, {id_: der.rated_w for id_, der in ders.items()})
