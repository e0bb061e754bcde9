"""
`limit_export` and `limit_import`: peak shaving at the PCC, on the power itself or on the mean that is settled.

With a mean interval, what counts is the energy of an interval as the meter registers it, aligned to the clock. What may
still flow is then (limit * T - energy so far) / (time left): a peak can be made good, and a pause be used. All that is
not known (power that is not measured, the part of an interval before we looked) counts as if it had been at the limit.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

from gateway.control.functions.statement import Memory, Situation, Statement
from gateway.model import Activation, Band

LIMIT_IMPORT = "limit_import"
"""The function whose statement is a floor; the other is `limit_export`."""

END_SHARE = 1.0 / 15.0
"""
Of an interval, the last minute of a quarter of an hour: what is left of the energy is offered as if at least so much
time were left, so that no pause ends in one moment of unlimited power. What is allowed stands until the next look, also
beyond the end of its interval; while looks are no further apart than this, that alone cannot break the next one.
"""
HOUR_S = 3600.0
MEAN_MIN_S = 60.0
"""Settlement knows 15, 30 and 60 minutes, network charges of some countries 10, 5 and 1."""


@dataclass(frozen=True, slots=True)
class Interval:
    """The running interval: its start (UTC seconds), how far we have counted into it, and the energy till there."""

    start: float
    counted_s: float
    energy_ws: float


def decide(
    activation: Activation, value: float | None, situation: Situation, memory: Memory
) -> tuple[Statement | None, Memory]:
    """A ceiling (export) or a floor (import) of active power, in W; *value* is the limit, positive in both."""
    if value is None:
        return None, memory
    sign = -1.0 if activation.function == LIMIT_IMPORT else 1.0
    if activation.mean_s is None:
        return _statement(sign, value), memory
    # What flows the other way is on another register of the meter, and makes nothing good.
    flow = value if situation.active_w is None else max(sign * situation.active_w, 0.0)
    before = memory if isinstance(memory, Interval) else None
    interval = _counted(before, flow, value, situation, activation.mean_s)
    return _statement(sign, _allowed(interval, value, activation.mean_s)), interval


def _statement(sign: float, limit: float) -> Statement:
    return Statement(hi=limit) if sign > 0.0 else Statement(lo=0.0 - limit)  # not -0.0


def _counted(before: Interval | None, flow: float, limit: float, situation: Situation, mean_s: float) -> Interval:
    """The interval with what flowed since the last look; a gap in the looks counts at the limit."""
    elapsed = situation.wall % mean_s
    start = situation.wall - elapsed
    if before is None or abs(before.start - start) > mean_s / 2:  # starts are compared so, since they are rounded
        before = Interval(start, 0.0, 0.0)
    seen = min(situation.dt, elapsed)
    unseen = max(elapsed - before.counted_s - seen, 0.0)
    return Interval(before.start, elapsed, before.energy_ws + flow * seen + limit * unseen)


def _allowed(interval: Interval, limit: float, mean_s: float) -> float:
    """The mean that the rest of the interval may have, in W."""
    left_ws = max(limit * mean_s - interval.energy_ws, 0.0)
    remaining = left_ws / (mean_s - interval.counted_s)
    return min(remaining, max(limit, left_ws / (mean_s * END_SHARE)))


def check(
    activation: Activation,
    value: float | None,
    band: Band,
) -> str | None:
    """What is wrong with the order, or None."""
    if value is None or not isfinite(value) or value < 0.0:
        found = "none" if value is None else f"{value:g} W"
        return f"value: found {found}, accepted is 0 W or more"
    mean = activation.mean_s
    if mean is not None and not (isfinite(mean) and MEAN_MIN_S <= mean <= HOUR_S and HOUR_S % mean == 0.0):
        return f"mean_s: found {mean:g} s, accepted is {MEAN_MIN_S:g} to {HOUR_S:g} s, in whole parts of an hour"
    return None
