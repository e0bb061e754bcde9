"""
The way back: after a limit's end, and after a disconnection, active power may rise no faster than the site allows.

Where the limit stood when its last order went, a ceiling of our own begins, and rises until it no longer binds.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from gateway.control.arbitration import Order, Ruling
from gateway.control.capability import DerNow
from gateway.control.functions.base import ACTIVE, CONNECTION
from gateway.control.functions.limit import LIMIT_ACTIVE_POWER
from gateway.control.functions.statement import Statement
from gateway.control.plant import PLANT_TARGETS, Plant
from gateway.control.situation import rating
from gateway.model import Kind

RELEASE, RECONNECT = "release", "reconnect"
_LEVEL = 1.0  # that of the limits, behind all of them


@dataclass(frozen=True, slots=True)
class Rising:
    """A ceiling on its way up: where it is, in W, and how fast it rises, in W/s."""

    at: float
    rate: float
    why: str


def rise(rising: Mapping[str, Rising], plant: Plant, ders: Mapping[str, DerNow], dt: float) -> dict[str, Rising]:
    """The ceilings a moment later; those that bind no more are gone."""
    risen = {target: Rising(one.at + one.rate * dt, one.rate, one.why) for target, one in rising.items()}
    rated = {target: rating(target, plant, ders) for target in risen}
    return {target: one for target, one in risen.items() if (top := rated[target]) is None or one.at < top}


def ceilings(rising: Mapping[str, Rising]) -> list[Order]:
    """As limits, so that they are seen and combined like any other."""
    return [
        Order(
            source=f"ramp:{one.why}",
            kind=Kind.LOCAL,
            target=target,
            function=LIMIT_ACTIVE_POWER,
            statement=Statement(hi=one.at),
            wanted=Statement(hi=one.at),
            rank=(_LEVEL, float(len(Kind)), 0.0, 0.0),
            requested=one.at,
        )
        for target, one in rising.items()
    ]


def begin(
    rising: Mapping[str, Rising],
    before: Mapping[str, float],
    was_off: Collection[str],
    rulings: Mapping[tuple[str, str], Ruling],
    plant: Plant,
) -> dict[str, Rising]:
    """
    Ceilings that begin now beside those that rise already.

    Args:
        before: By target, the limit in W that stood in the last tick.
        was_off: Devices that were to be off in the last tick.
    """
    begun = dict(rising)
    if (rate := plant.ramps.release) is not None:
        for target, limit in before.items():
            ruling = rulings.get((target, ACTIVE))
            if target not in begun and (ruling is None or (ruling.ceiling is None and ruling.setpoint is None)):
                begun[target] = Rising(limit, rate, RELEASE)
    if (rate := plant.ramps.reconnect) is not None:
        still_off = off_among(was_off, rulings)
        for id_ in set(was_off) - still_off:
            begun[id_] = Rising(0.0, rate, RECONNECT)
    return begun


def standing_limits(rulings: Mapping[tuple[str, str], Ruling]) -> dict[str, float]:
    """By target, the limit in W that orders set now."""
    return {
        target: ruling.band.hi
        for (target, quantity), ruling in rulings.items()
        if quantity == ACTIVE and (ruling.ceiling or ruling.setpoint)
    }


def off_among(devices: Iterable[str], rulings: Mapping[tuple[str, str], Ruling]) -> frozenset[str]:
    """The devices that any order in force wants off the grid."""
    targets = {
        target
        for (target, quantity), ruling in rulings.items()
        if quantity == CONNECTION and ruling.setpoint is not None and ruling.band.hi < 1.0
    }
    everything = not targets.isdisjoint(PLANT_TARGETS)
    return frozenset(device for device in devices if everything or device in targets)
