"""`reserve`: active power stays so far from both ends of what is reachable that the reserve could be given at once."""

from __future__ import annotations

from math import isfinite

from gateway.control.functions.statement import Memory, Situation, Statement
from gateway.model import Activation, Band


def decide(
    activation: Activation,
    value: float | None,
    situation: Situation,
    memory: Memory,
) -> tuple[Statement | None, Memory]:
    """Between the ends of the reachable band, less the reserve, in W; a reserve of 0 says nothing of its side."""
    reserve, reachable = activation.reserve, situation.reachable
    if reserve is None:
        return None, memory
    lo = reachable.lo + reserve.down_w if reserve.down_w else None
    hi = reachable.hi - reserve.up_w if reserve.up_w else None
    return Statement(lo, hi), memory


def check(
    activation: Activation,
    value: float | None,
    band: Band,
) -> str | None:
    """What is wrong with the order, or None; *band* is what the target can do."""
    reserve = activation.reserve
    if reserve is None:
        return "reserve: found none, accepted are up_w and down_w"
    for name, power in (("up_w", reserve.up_w), ("down_w", reserve.down_w)):
        if not isfinite(power) or power < 0.0:
            return f"reserve.{name}: found {power:g} W, accepted is 0 W or more"
    asked, there = reserve.up_w + reserve.down_w, band.hi - band.lo
    if asked > there:
        return (
            f"reserve: found {asked:g} W up and down together, accepted are {there:g} W ({band.lo:g} to {band.hi:g} W)"
        )
    return None
