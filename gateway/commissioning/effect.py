"""What a repeated step did to a measured power, and what the ratio of two such effects means. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from statistics import fmean
from typing import NamedTuple

from gateway.commissioning.result import Sample

TOLERANCE = 0.25
"""Of a factor: meter class, losses and what a converter regulates badly stay below; a missing CT is 1/3."""
NOISE_MAX = 0.5
"""Of the step: with a larger noise, a factor of 1 can no more be told from one of a half."""
CT_TOLERANCE = 0.08
"""Of a factor: one CT turned round shows 1/3 of a balanced power, one missing shows 2/3."""
CLEAR_OF_NOISE = 3.0
"""A very small factor counts as a scale only where it stands this far out of the noise; else it is nothing."""
SCALES = (1000.0, 100.0, 10.0, 0.1, 0.01, 0.001)
UNSIGNED_MISFIT = 0.2
UNSIGNED_CROSSING = 0.1
"""Of the step: how well the folded power must fit, and how far on either side of zero it must have been."""


class Phase(NamedTuple):
    """
    A stretch of a step in which one level was asked for.

    `asked_w` is the level expected of the device, `written` when the write was answered, `since` to `until` when it had
    settled; all monotonic. `settled` says whether the device's own measurement came to what was asked.
    """

    stepped: bool
    asked_w: float
    written: float
    settled: bool
    since: float
    until: float


@dataclass(frozen=True, slots=True)
class Effect:
    """What stepping did, in W: its mean over the repetitions, and half the range in which these lie."""

    mean_w: float
    noise_w: float


class Kind(Enum):
    """What a factor between two effects says."""

    SAME = auto()
    OPPOSITE = auto()
    NOTHING = auto()
    SCALED = auto()
    ONE_TURNED = auto()
    ONE_MISSING = auto()
    TWO_TURNED = auto()
    ODD = auto()
    NOISY = auto()


def means(phases: Sequence[Phase], series: Sequence[Sample]) -> list[float | None]:
    """The mean of a series over each phase; None where it has no sample in one."""
    found: list[float | None] = []
    for phase in phases:
        values = [sample.value for sample in series if phase.since <= sample.mono <= phase.until]
        found.append(fmean(values) if values else None)
    return found


def effect(phases: Sequence[Phase], levels: Sequence[float | None]) -> Effect | None:
    """
    The effect of the steps on the *levels*, one a phase: each level against those on both of its sides, so that a drift
    in a straight line has no part in it. None when there is no whole step.
    """
    found: list[float] = []
    drift = 0.0
    for i in range(1, len(phases) - 1):
        before, at, after = levels[i - 1 : i + 2]
        if before is not None and at is not None and after is not None:
            away = at - (before + after) / 2
            found.append(away if phases[i].stepped else -away)
            drift = abs(after - before) / 2
    if not found:
        return None
    return Effect(fmean(found), (max(found) - min(found)) / 2 if len(found) > 1 else drift)


def classify(found: Effect, reference_w: float) -> tuple[Kind, float]:
    """What an effect is in terms of the one that caused it (not 0), and the factor between them."""
    factor = found.mean_w / reference_w
    size = abs(factor)
    if found.noise_w > NOISE_MAX * max(abs(found.mean_w), abs(reference_w)):
        return Kind.NOISY, factor
    if abs(size - 1) <= TOLERANCE:
        return (Kind.SAME if factor > 0 else Kind.OPPOSITE), factor
    if abs(found.mean_w) > CLEAR_OF_NOISE * found.noise_w and scale_of(factor) is not None:
        return Kind.SCALED, factor
    for ratio, kind in ((1 / 3, Kind.ONE_TURNED), (2 / 3, Kind.ONE_MISSING), (-1 / 3, Kind.TWO_TURNED)):
        if abs(factor - ratio) <= CT_TOLERANCE and found.noise_w <= CT_TOLERANCE * abs(reference_w):
            return kind, factor
    return (Kind.NOTHING if size <= TOLERANCE else Kind.ODD), factor


def scale_of(factor: float) -> float | None:
    """The power of ten that a factor is, with its sign; None when it is none."""
    for scale in SCALES:
        if abs(abs(factor) / scale - 1) <= TOLERANCE:
            return math.copysign(scale, factor)
    return None


def folded(causes: Sequence[float | None], levels: Sequence[float | None]) -> bool:
    """
    Whether *levels* are the size, without its sign, of *causes* plus something constant, on both sides of zero.

    That is a meter without a sign. Where the power stayed on one side of zero, nothing can be said: then it is False.
    """
    pairs = [(x, m) for x, m in zip(causes, levels, strict=True) if x is not None and m is not None]
    if len(pairs) < 3 or min(m for _, m in pairs) < 0:
        return False
    step = max(x for x, _ in pairs) - min(x for x, _ in pairs)
    if step == 0 or max(m for _, m in pairs) - min(m for _, m in pairs) < UNSIGNED_CROSSING * step:
        return False
    offsets = [sign * m - x for x, m in pairs for sign in (1, -1)]
    best = min(offsets, key=lambda offset: max(abs(m - abs(offset + x)) for x, m in pairs))
    misfit = max(abs(m - abs(best + x)) for x, m in pairs)
    true = [best + x for x, _ in pairs]
    return misfit <= UNSIGNED_MISFIT * step and min(true) < -UNSIGNED_CROSSING * step < UNSIGNED_CROSSING * step < max(
        true
    )
