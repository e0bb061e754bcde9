"""
The closed loop at the point of common coupling.

What the devices must give in sum is the goal at the meter plus what the site consumes besides them. That load is not
measured but follows from the meter and the devices' own measurements, all at the same moment: a meter read five times
a second and an inverter read once, or the other way round, would otherwise show a load that is only the inverter's own
movement, and acting on it would make the loop swing. A meter may besides tell late what it saw. So while the devices
move, the load is known only to within what they moved in a second, and is taken to be unchanged as far as it can be.

How the load is counted on depends on what is asked. To a set-point it is followed evenly. Under a limit, or above a
floor, what tightens is taken at once, and what loosens evenly; but if the load is restless, only a minute after it
last turned, so that a load that goes up and down does not drive the devices up and down with it. What remains, such
as a device that reads itself a little wrong, a slow trim takes away.

Without the meter the loop is open, and the load counts as in the worst case. Under an export limit, and to a set-point,
that is none at all. Above an import limit's floor it is the highest load lately known: with none the devices would be
let go while the load is at its peak, and with no bound a storage would be drained for a load that the site does not
have.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

HISTORY_S = 10.0
"""How far back measurements are remembered at most: longer than the slowest poll of a device worth controlling."""
METER_LATE_S = 1.0
"""By so much may the meter's value be older than the devices' that arrive with it."""
LOAD_FILTER_S = 1.0
PLAY_SHARE = 0.005
"""Of the rated power: what a meter of class 0.5 makes of a load that stands still. So much is left to the trim."""
TURN_S = 60.0
"""From a turn to tighten to the next one to loosen, with a load that is restless: two turns a minute."""
RESTLESS_S = 120.0
"""A load that turns again this soon after things were loosened is restless; one peak alone is followed back at once."""
PEAK_S = 900.0
"""How long the highest load is remembered: over a settlement interval it fades towards the present one."""
TRIM_RATE_PER_S = 0.05
"""Slower than the slowest device we serve (3 s of dead time, 10 s to 90 %), so that it never swings with it."""
TRIM_MAX_SHARE = 0.05
"""Of the rated power: measuring errors are smaller, and whatever is larger is not a measuring error."""
FOLLOWING_SHARE = 0.025
"""Of the rated power: devices further than this from what they were asked for cannot do it; a trim would wind up."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A power in W or var and when it arrived, monotonic seconds."""

    value: float
    mono: float


Track = tuple[Sample, ...]
"""Samples in the order of their arrival."""


@dataclass(frozen=True, slots=True)
class Loop:
    """
    What one quantity's loop remembers, in W or var; a load is positive when it consumes.

    The load as last seen and the highest of late; the load counted on, whether it was last loosened, how long ago that
    began and how long the next time has to wait, in s; the trim; what the devices were asked for in sum and gave
    lately; what was measured of each of them, and by the meter.
    """

    load: float | None = None
    highest: float = -math.inf
    counted_on: float | None = None
    loosening: bool = False
    loosened_s: float = math.inf
    wait_s: float = 0.0
    trim: float = 0.0
    asked: float | None = None
    given: Track = ()
    ders: Mapping[str, Track] = field(default_factory=dict)
    meter: Track = ()


def observe(loop: Loop, meter: Sample | None, ders: Mapping[str, Sample] | None) -> Loop:
    """
    The loop after one look at the meter and at the devices that are online, by their id; None: not (all) known now.
    """
    if meter is None:
        return replace(loop, meter=(), counted_on=None)
    metered = _longer(loop.meter, meter)
    if ders is None:
        return replace(loop, load=None, counted_on=None, given=(), ders={}, meter=metered)
    same = loop.load is not None and loop.ders.keys() == ders.keys()
    tracks = {id_: _longer(loop.ders.get(id_, ()), sample) for id_, sample in ders.items()}
    moment = min((sample.mono for sample in ders.values()), default=meter.mono)
    moment = min(moment, meter.mono)
    if same and loop.given and moment <= loop.given[-1].mono:
        return replace(loop, ders=tracks, meter=metered)
    now = Sample(sum(_at(track, moment) for track in tracks.values()), moment)
    given = _since((*loop.given, now), moment - METER_LATE_S) if same else (now,)
    seen = now.value - _at(metered, moment)
    moved = _moved(given)
    load = min(max(loop.load, seen - moved), seen + moved) if same and loop.load is not None else seen
    elapsed = moment - given[-2].mono if len(given) > 1 else 0.0
    faded = load + max(loop.highest - load, 0.0) * math.exp(-elapsed / PEAK_S)
    return replace(
        loop,
        load=load,
        highest=faded if same else load,
        # What a device that comes or goes gives is no change of the load's.
        counted_on=loop.counted_on if same else None,
        given=given,
        ders={id_: _since(track, moment) for id_, track in tracks.items()},
        meter=_since(metered, moment),
    )


def required(loop: Loop, goal: float, *, closed: bool, floor: bool = False) -> float:
    """
    What the devices must give in sum for *goal* at the meter, a *floor* or a ceiling; a load that was never known
    counts as none.
    """
    if loop.load is None:
        return goal
    if not closed:
        return goal + (loop.highest if floor else min(loop.load, 0.0))
    return goal + (loop.load if loop.counted_on is None else loop.counted_on) + loop.trim


def correct(
    loop: Loop, error: float, dt: float, rated: float, *, least: float | None = None, most: float | None = None
) -> Loop:
    """
    Count on the load as it is now, and move the trim by *error* (goal minus measured) while all stands still: the load
    is the one counted on, and the devices have done what they were asked for.

    `most` 0 is for a limit, `least` 0 for a floor: the trim only takes away, or adds, and gives back no more than that.
    """
    loop = _count(loop, dt, rated, tighter=(most is not None) - (least is not None))
    if loop.asked is None or loop.load is None or loop.counted_on is None:
        return loop
    play = PLAY_SHARE * rated
    away = abs(loop.given[-1].value - loop.asked) > FOLLOWING_SHARE * rated
    if away or _moved(loop.given) > play or abs(loop.load - loop.counted_on) > play:
        return loop
    # The devices are judged by the meter at their own moment: it may have moved on since they were last heard.
    error += loop.meter[-1].value - (loop.given[-1].value - loop.load)
    bound = TRIM_MAX_SHARE * rated
    lowest, highest = -bound if least is None else least, bound if most is None else most
    trim = min(max(loop.trim + TRIM_RATE_PER_S * error * dt, lowest), highest)
    return replace(loop, trim=trim)


def _count(loop: Loop, dt: float, rated: float, tighter: int) -> Loop:
    """The load counted on, a moment later; less load is *tighter* (1), or more (-1), or neither (0)."""
    loop = replace(loop, loosened_s=loop.loosened_s + dt, wait_s=max(loop.wait_s - dt, 0.0))
    if loop.load is None or loop.counted_on is None:
        return replace(loop, counted_on=loop.load)
    change = loop.load - loop.counted_on
    if abs(change) <= PLAY_SHARE * rated:
        return loop
    if tighter * change < 0:
        again = loop.loosening and loop.loosened_s < RESTLESS_S
        return replace(loop, counted_on=loop.load, loosening=False, wait_s=TURN_S if again else loop.wait_s)
    if tighter and loop.wait_s > 0:
        return loop
    followed = loop.counted_on + change * (1 - math.exp(-dt / LOAD_FILTER_S))
    return replace(loop, counted_on=followed, loosening=True, loosened_s=loop.loosened_s if loop.loosening else 0.0)


def _moved(given: Track) -> float:
    """By how much the devices' sum changed within METER_LATE_S."""
    powers = [sample.value for sample in given]
    return max(powers) - min(powers)


def _longer(track: Track, sample: Sample) -> Track:
    if track and sample.mono <= track[-1].mono:
        return track
    return (*(track[1:] if track and sample.mono - track[0].mono > HISTORY_S else track), sample)


def _since(track: Track, moment: float) -> Track:
    """What is needed to know it from *moment* on: the last sample not after it, and all that follow."""
    first = 0
    while first + 1 < len(track) and track[first + 1].mono <= moment:
        first += 1
    return track[first:] if first else track


def _at(track: Track, moment: float) -> float:
    after = track[-1]
    for before in reversed(track):
        if before.mono <= moment:
            if after.mono <= before.mono:
                return before.value
            share = min((moment - before.mono) / (after.mono - before.mono), 1.0)
            return before.value + share * (after.value - before.value)
        after = before
    return after.value
