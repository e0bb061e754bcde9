"""
What stands in when the DSO, the PCC meter or the clock is lost, until there is evidence of its return.

A fallback that stood when the gateway ended stands again when it starts: only fresh evidence ends it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.control.arbitration import Order
from gateway.control.functions import ACTIVE, BY_NAME, CONNECTION, REACTIVE
from gateway.control.functions.ramp import toward
from gateway.control.functions.statement import Statement
from gateway.control.plant import Action, Fallback, Plant
from gateway.control.situation import measured
from gateway.image import Snapshot
from gateway.model import Hold, Kind

UPLINK, METER, CLOCK = "uplink_lost", "pcc_meter_lost", "clock_lost"
_FIRST, _LIMITS, _LAST = 0.0, 1.0, 9.0
_SETPOINTS = {ACTIVE: "set_active_power", REACTIVE: "set_reactive_power"}


@dataclass(frozen=True, slots=True)
class Losses:
    """The fallbacks that stand, by their name, and where the ramp of each is: (name, quantity) → W or var."""

    standing: frozenset[str] = frozenset()
    ramps: Mapping[tuple[str, str], float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Evidence:
    """
    For how long each thing has been lost, in seconds; 0: there is fresh evidence of it. What is not in it is not used.
    """

    lost_for: Mapping[str, float]


_HELD = "fallback:"


def hold_of(name: str) -> Hold:
    """How the journal keeps that a fallback stands: like a point taken over, to be given back on evidence."""
    return Hold(_HELD + name, None)


def fallback_of(hold: Hold) -> str | None:
    """The fallback that a hold stands for; None: it is a point."""
    return hold.point.removeprefix(_HELD) if hold.point.startswith(_HELD) else None


def evidence(
    plant: Plant, snapshot: Snapshot, heard: Mapping[str, float | None], clock_lost_s: float, since: float
) -> Evidence:
    """
    Args:
        heard: Until when the DSO of each uplink counts as heard, monotonic; None: not since the start.
        clock_lost_s: For how long the clock has not been synchronised.
        since: When the controller started, monotonic: what was never there is lost since then.
    """
    now = snapshot.now.mono
    lost: dict[str, float] = {CLOCK: clock_lost_s}
    if heard:
        known = [moment for moment in heard.values() if moment is not None]
        lost[UPLINK] = max(now - (max(known) if known else since), 0.0 if known else 1e-9)
    if plant.pcc is not None:
        point = f"{plant.pcc}.{ACTIVE}"
        reading = snapshot.readings.get(point)
        there = snapshot.number(point) is not None
        lost[METER] = 0.0 if there else now - (reading.mono if reading is not None else since)
        if not there:
            lost[METER] = max(lost[METER], 1e-9)
    return Evidence(lost)


def losses(plant: Plant, before: Losses, found: Evidence) -> frozenset[str]:
    """Which fallbacks stand now."""
    standing = set()
    for name, fallback in plant.fallbacks.items():
        lost_for = found.lost_for.get(name)
        if lost_for is None:
            continue
        if lost_for >= fallback.after_s or (name in before.standing and lost_for > 0):
            standing.add(name)
    return frozenset(standing)


def stand_in(
    plant: Plant, before: Losses, standing: frozenset[str], snapshot: Snapshot, dt: float
) -> tuple[Losses, list[Order], frozenset[str], frozenset[str]]:
    """
    What the fallbacks that stand bring about.

    Returns:
        What to remember, the orders that stand in, the quantities all of whose orders are let go, and those whose
        set-points are.
    """
    orders: list[Order] = []
    released: set[str] = set()
    replaced: set[str] = set()
    ramps: dict[tuple[str, str], float] = {}
    for name in sorted(standing):
        target = "pcc" if name != METER and plant.pcc is not None else "plant"
        for quantity, action in _actions(plant.fallbacks[name]):
            match action.word:
                case "release":
                    released.add(quantity)
                case "limit":
                    orders.append(_order(name, target, "limit_active_power", Statement(hi=action.power), _LIMITS))
                case "value":
                    replaced.add(quantity)
                    at = _ramped(before.ramps.get((name, quantity)), action, target, quantity, plant, snapshot, dt)
                    ramps[name, quantity] = at
                    orders.append(_order(name, target, _SETPOINTS[quantity], Statement(at, at), _LAST))
                case "disconnect":
                    orders.append(_order(name, "plant", "disconnect", Statement(0.0, 0.0), _FIRST))
    return Losses(standing, ramps), orders, frozenset(released), frozenset(replaced)


def _actions(fallback: Fallback) -> tuple[tuple[str, Action], tuple[str, Action]]:
    return (ACTIVE, fallback.active), (REACTIVE, fallback.reactive)


def _ramped(
    at: float | None, action: Action, target: str, quantity: str, plant: Plant, snapshot: Snapshot, dt: float
) -> float:
    if action.ramp is None:
        return action.power
    start = at if at is not None else measured(target, quantity, plant, snapshot)
    return action.power if start is None else toward(start, action.power, action.ramp, dt)


def _order(name: str, target: str, function: str, statement: Statement, level: float) -> Order:
    # Before every kind where it takes devices off the grid, behind all of them where it limits.
    kind_rank = -1.0 if BY_NAME[function].quantity == CONNECTION else float(len(Kind))
    return Order(
        source=_HELD + name,
        kind=Kind.LOCAL,
        target=target,
        function=BY_NAME[function],
        statement=statement,
        wanted=statement,
        rank=(level, kind_rank, 0.0, 0.0),
        requested=statement.hi,
    )
