"""Synthetic steps: a device that follows, a load that moves, and a meter with a fault."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

from gateway.commissioning.effect import Phase
from gateway.commissioning.follow import Record
from gateway.commissioning.result import Sample

PERIOD_S = 0.2
PHASE_S = 8.0
WINDOW_S = 3.0
DEAD_S = 0.4
TAU_S = 0.4

Shown = Callable[[float], float]
Over = Callable[[float], float]


def record(
    *,
    rest_w: float = 50_000.0,
    step_w: float = 44_000.0,
    rated_w: float = 60_000.0,
    limit: bool = True,
    cycles: int = 3,
    device: Shown = lambda x: x,
    follows: Shown = lambda x: x,
    meter: Shown | None = lambda x: x,
    load_w: Over = lambda t: -6_000.0,
    sun_w: Over = lambda t: 0.0,
    noise_w: float = 0.0,
) -> Record:
    """
    A step from *rest_w* to *step_w* and back, *cycles* times.

    The true power is *follows* of what is asked, after a dead time and a lag, plus *sun_w* while it rests. The device
    shows *device* of it, the meter *meter* of it with *load_w* (over time) added.
    """
    rng = random.Random(3)
    phases: list[Phase] = []
    own: list[Sample] = []
    seen: list[Sample] = []
    power = follows(rest_w)
    for number in range(2 * cycles + 1):
        stepped = number % 2 == 1
        start = 100.0 + number * PHASE_S
        asked = step_w if stepped else rest_w
        phases.append(Phase(stepped, asked, start, True, start + PHASE_S - WINDOW_S, start + PHASE_S))
        came = power
        for i in range(round(PHASE_S / PERIOD_S)):
            t = i * PERIOD_S
            goal = follows(asked) + (0.0 if stepped and limit else sun_w(start + t))
            power = came if t < DEAD_S else goal + (came - goal) * math.exp(-(t - DEAD_S) / TAU_S)
            own.append(Sample(start + t, device(power)))
            if meter is not None:
                seen.append(Sample(start + t, meter(power + load_w(start + t) + rng.gauss(0.0, noise_w))))
    return Record("inv1", "pcc", rated_w, limit, phases, own, seen)
