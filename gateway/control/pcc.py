"""
The closed loop at the point of common coupling.

What the devices must give in sum is the goal at the meter plus what the site consumes besides them. That load is not
measured but follows from the meter and the devices' own measurements, taken at the same moment: a meter read five
times a second and an inverter read once would otherwise show a load that is only the inverter's own movement, and
acting on it would make the loop swing. What remains, such as a device that reads itself a little wrong, a slow trim
takes away.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

HISTORY_S = 10.0
"""How far back the meter is remembered: longer than the slowest poll of a device worth controlling."""
LOAD_FILTER_S = 1.0
TRIM_RATE_PER_S = 0.05
"""Slower than the slowest device we serve (3 s of dead time, 10 s to 90 %), so that it never swings with it."""
TRIM_MAX_SHARE = 0.05
"""Of the rated power: measuring errors are smaller, and whatever is larger is not a measuring error."""
FOLLOWING_SHARE = 0.025
"""Of the rated power: devices further than this from what they were asked for still move; a trim would wind up."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A power in W or var and when it arrived, monotonic seconds."""

    value: float
    mono: float


@dataclass(frozen=True, slots=True)
class Loop:
    """
    What one quantity's loop remembers, in W or var: the load (positive is consumption), the trim, what the devices were
    asked for in sum, what they gave when they were last seen, and which of them were counted.
    """

    load: float | None = None
    load_mono: float = 0.0
    trim: float = 0.0
    asked: float | None = None
    given: float = 0.0
    counted: frozenset[str] = frozenset()
    history: tuple[Sample, ...] = ()


def observe(loop: Loop, meter: Sample | None, ders: Mapping[str, Sample] | None) -> Loop:
    """
    The loop after one look at the meter and at the devices that are online, by their id; None: not (all) known now.
    """
    if meter is None:
        return replace(loop, history=())
    history = loop.history
    if not history or meter.mono > history[-1].mono:
        history = (*(s for s in history if meter.mono - s.mono <= HISTORY_S), meter)
    if ders is None:
        return replace(loop, load=None, history=history)
    moment = min((der.mono for der in ders.values()), default=meter.mono)
    same = loop.load is not None and loop.counted == ders.keys()
    if same and moment <= loop.load_mono:
        return replace(loop, history=history)
    given = sum(der.value for der in ders.values())
    load = given - _interpolate(history, moment)
    if (
        same and loop.load is not None
    ):  # what a device that comes or goes gives is no change of the load's to be smoothed
        weight = 1 - math.exp(-(moment - loop.load_mono) / LOAD_FILTER_S)
        load = loop.load + weight * (load - loop.load)
    return replace(loop, load=load, load_mono=moment, given=given, counted=frozenset(ders), history=history)


def required(loop: Loop, goal: float, *, closed: bool) -> float:
    """
    What the devices must give in sum for *goal* at the meter.

    A load that is not known is taken as none, the worst case for an export limit; so is what was known of it when the
    meter is lost and the loop is open.
    """
    if loop.load is None:
        return goal
    return goal + loop.load + loop.trim if closed else goal + min(loop.load, 0.0)


def correct(
    loop: Loop, error: float, dt: float, rated: float, *, least: float | None = None, most: float | None = None
) -> Loop:
    """
    Move the trim by *error* (goal minus measured) while the devices do what they were asked for.

    `most` 0 is for a limit, `least` 0 for a floor: the trim only takes away, or adds, and gives back no more than that.
    """
    if loop.asked is None or abs(loop.given - loop.asked) > FOLLOWING_SHARE * rated:
        return loop
    bound = TRIM_MAX_SHARE * rated
    lowest, highest = -bound if least is None else least, bound if most is None else most
    trim = min(max(loop.trim + TRIM_RATE_PER_S * error * dt, lowest), highest)
    return replace(loop, trim=trim)


def _interpolate(history: Sequence[Sample], moment: float) -> float:
    after = history[-1]
    for before in reversed(history):
        if before.mono <= moment:
            if after.mono <= before.mono:
                return before.value
            share = min((moment - before.mono) / (after.mono - before.mono), 1.0)
            return before.value + share * (after.value - before.value)
        after = before
    return after.value
