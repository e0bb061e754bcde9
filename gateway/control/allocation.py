"""
How a total is shared among several devices.

    1  ideal     what each would get if it could stand anywhere in its band, by the strategy
    2  places    a device with steps or a minimum power goes up to the last place its ideal reaches; where the sum still
                 lacks, further up, as far as the total has room
    3  shares    the strategy again, now within those places: continuous devices carry what steps leave over
    4  previous  who would move by less than the deadband stays where it is

Powers are in W, or all in var; a device that is not spoken of as stepped is continuous.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from math import inf
from typing import Literal

from gateway.model import Band

Strategy = Literal["proportional", "merit", "soc"]
Direction = Literal["at_most", "exactly"]

_NOTHING = 1e-3
"""W: two powers this near are the same, also at a total; above the rounding of sums, below what a device resolves."""

_LEAST_SHARE = 1e-6
"""Of its weight: the part of a store with nothing to give. Not zero: it moves when no other can."""

_OFF = Band(0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Unit:
    """
    One device that takes part in a total.

    Args:
        band: Where it may be now.
        weight: Above 0; usually its rated power.
        merit: The lowest moves first, under the strategy `merit`; equal ones move together.
        soc: State of charge, 0 where it may give no more, 1 where it may take no more.
        energy_wh: What lies between a state of charge of 0 and 1.
        steps: The only powers that it can take, rising.
        min_power_w: Between 0 and this it can do nothing, in either direction; 0 is off.
        previous: What it was given last.
    """

    band: Band
    weight: float
    merit: float = 0.0
    soc: float | None = None
    energy_wh: float | None = None
    steps: tuple[float, ...] | None = None
    min_power_w: float = 0.0
    previous: float | None = None

    def places(self) -> list[Band]:
        """
        Where in its band it can be, rising; if nowhere, its highest step below the band (else its lowest one), or off.

        >>> Unit(Band(0.0, 50.0), 60.0, min_power_w=5.0).places()
        [Band(lo=0.0, hi=0.0), Band(lo=5.0, hi=50.0)]
        """
        lo, hi = self.band.lo, self.band.hi
        if self.steps:
            inside = [step for step in self.steps if lo <= step <= hi]
            nearest = max((step for step in self.steps if step <= hi), default=self.steps[0])
            return [Band(step, step) for step in inside or [nearest]]
        if self.min_power_w > 0:
            parts = ((-inf, -self.min_power_w), (0.0, 0.0), (self.min_power_w, inf))
            return [Band(max(lo, start), min(hi, end)) for start, end in parts if start <= hi and lo <= end] or [_OFF]
        return [self.band]


def allocate(
    total: float,
    units: Mapping[str, Unit],
    strategy: Strategy = "proportional",
    direction: Direction = "at_most",
    deadband_w: float = 0.0,
) -> dict[str, float]:
    """
    Split *total* among the units.

    Args:
        total: What the sum should be.
        strategy: `proportional`: by weight. `merit`: one is used up to the edge of its band before the next one moves
            from where it is nearest to 0. `soc`: discharging by the energy left, charging by the room left, so that
            states of charge meet; a unit of which these are not known counts by its weight.
        direction: `at_most`: the sum is never above the total, unless the lowest places together are. `exactly`: the
            sum may lie on either side.
        deadband_w: No unit moves by less, unless the sum would then be off by more, or above a total of `at_most`. A
            unit goes to a higher place than before only with this much room beyond it.

    Returns:
        One value a unit, in one of its places. Continuous units alone reach the total, or the nearest that their bands
        allow. With others, steps are filled in a fixed order, each that fits, so the sum of `at_most` lacks less than
        the smallest step up that any unit has left (and a deadband); that of `exactly` is the nearer one of this and
        the least overshoot met on the way.
    """
    places = {id_: unit.places() for id_, unit in units.items()}
    keys = _keys(total, units) if strategy == "soc" else {id_: unit.weight for id_, unit in units.items()}
    merits = {id_: unit.merit if strategy == "merit" else 0.0 for id_, unit in units.items()}
    hulls = {id_: Band(all_[0].lo, all_[-1].hi) for id_, all_ in places.items()}
    ideal = _spread(total, hulls, keys, merits)
    if all(len(all_) == 1 for all_ in places.values()):
        return _kept(ideal, hulls, total, units, direction, deadband_w)
    order = _order(places, keys, merits)
    at = _choose(total, places, order, ideal, units, direction, deadband_w)
    chosen = {id_: places[id_][index] for id_, index in at.items()}
    return _kept(_spread(total, chosen, keys, merits), chosen, total, units, direction, deadband_w)


def share(total: float, bands: Mapping[str, Band], weights: Mapping[str, float]) -> dict[str, float]:
    """
    Split *total* in proportion to the weights, within each band; what one cannot take goes to the others.

    Args:
        total: What the sum should be.
        bands: Where each share may lie, keyed by device.
        weights: Positive; usually the rated powers.

    Returns:
        One value a device, within its band. Their sum is *total* when the sum of the bands contains it, else the
        nearest that can be reached.

    >>> share(30.0, {"a": Band(0.0, 60.0), "b": Band(0.0, 5.0)}, {"a": 60.0, "b": 30.0})
    {'a': 25.0, 'b': 5.0}
    """
    shares: dict[str, float] = {}
    free = dict(bands)
    rest = total
    while free:
        level = rest / sum(weights[device] for device in free)
        wanted = {device: level * weights[device] for device in free}
        clamped = {device: band.clamp(wanted[device]) for device, band in free.items()}
        over = rest - sum(clamped.values())
        # Fixing only those beyond the same edge keeps the sum right: the others may still come back inside.
        fixed = [device for device in free if (wanted[device] - clamped[device]) * over > 0]
        if not fixed:
            shares |= clamped
            break
        for device in fixed:
            shares[device] = clamped[device]
            rest -= clamped[device]
            del free[device]
    return {device: shares[device] for device in bands}


def _spread(
    total: float, bands: Mapping[str, Band], keys: Mapping[str, float], merits: Mapping[str, float]
) -> dict[str, float]:
    """Move those of the lowest merit from rest as far as needed, then the next; those of equal merit share by key."""
    if len(set(merits.values())) <= 1:
        return share(total, bands, keys)
    shares = {id_: band.clamp(0.0) for id_, band in bands.items()}
    lacking = total - sum(shares.values())
    up = lacking >= 0
    for _, group in groupby(sorted(bands, key=merits.__getitem__), key=merits.__getitem__):
        edges = {id_: bands[id_].hi if up else bands[id_].lo for id_ in group}
        resting = sum(shares[id_] for id_ in edges)
        room = sum(edges.values()) - resting
        if abs(lacking) < abs(room):
            free = {id_: Band(*sorted((shares[id_], edge))) for id_, edge in edges.items()}
            return shares | share(lacking + resting, free, keys)
        shares |= edges
        lacking -= room
    return shares


def _keys(total: float, units: Mapping[str, Unit]) -> dict[str, float]:
    """What to share by under `soc`: the stores together count by their weights, among each other by their energy."""
    discharging = total >= sum(unit.band.clamp(0.0) for unit in units.values())
    energies = {
        id_: unit.energy_wh * max(unit.soc if discharging else 1.0 - unit.soc, 0.0)
        for id_, unit in units.items()
        if unit.soc is not None and unit.energy_wh is not None
    }
    energy, weight = sum(energies.values()), sum(units[id_].weight for id_ in energies)
    parts = {id_: one / energy * weight if energy > 0 else 0.0 for id_, one in energies.items()}
    return {id_: max(parts.get(id_, unit.weight), _LEAST_SHARE * unit.weight) for id_, unit in units.items()}


def _order(
    places: Mapping[str, list[Band]], keys: Mapping[str, float], merits: Mapping[str, float]
) -> list[tuple[str, int]]:
    """
    All places above the lowest ones, as they are filled: by merit, then by the level at which an ideal reaches them.

    The order does not depend on the total, so a total that moves a little does not turn the choice upside down.
    """
    rises = (
        # Below 0 a rise is a way back to rest, and the first to leave it is the last to come back.
        (place.lo > 0, merits[id_] if place.lo > 0 else -merits[id_], place.lo / keys[id_], id_, index)
        for id_, all_ in places.items()
        for index, place in enumerate(all_)
        if index > 0
    )
    return [(id_, index) for *_, id_, index in sorted(rises)]


def _choose(
    total: float,
    places: Mapping[str, list[Band]],
    order: list[tuple[str, int]],
    ideal: Mapping[str, float],
    units: Mapping[str, Unit],
    direction: Direction,
    deadband_w: float,
) -> dict[str, int]:
    """The place of each unit: from the lowest ones up, what its ideal reaches or the sum still lacks, if it fits."""
    at = dict.fromkeys(places, 0)
    lo = sum(all_[0].lo for all_ in places.values())
    hi = sum(all_[0].hi for all_ in places.values())
    over, over_cost = at, inf
    for id_, index in order:
        if at[id_] != index - 1:
            continue
        below, above = places[id_][index - 1 : index + 1]
        margin = _margin(above, units[id_].previous, deadband_w)
        if ideal[id_] < above.lo + margin - _NOTHING and hi + margin >= total - _NOTHING:
            continue
        raised = lo + above.lo - below.lo
        room = max(margin, 0.0) if direction == "at_most" else 0.0
        if raised + room <= total + _NOTHING:
            at[id_], lo, hi = index, raised, hi + above.hi - below.hi
        elif raised - total + margin < over_cost:
            over, over_cost = at | {id_: index}, raised - total + margin
    return over if direction == "exactly" and over_cost < max(total - hi, 0.0) else at


def _margin(place: Band, previous: float | None, deadband_w: float) -> float:
    """Hysteresis: a place above the previous one is the deadband further away, those up to it as much nearer."""
    if previous is None:
        return 0.0
    return deadband_w if place.lo > previous + _NOTHING else -deadband_w


def _kept(
    shares: dict[str, float],
    chosen: Mapping[str, Band],
    total: float,
    units: Mapping[str, Unit],
    direction: Direction,
    deadband_w: float,
) -> dict[str, float]:
    """The shares, but the previous ones of all that would hardly move, if the sum then stays as good."""
    kept = {
        id_: value if previous is None or abs(value - previous) >= deadband_w else chosen[id_].clamp(previous)
        for id_, value in shares.items()
        for previous in [units[id_].previous]
    }
    reached, sum_ = sum(shares.values()), sum(kept.values())
    if abs(sum_ - reached) > deadband_w or (direction == "at_most" and sum_ > max(total, reached)):
        return shares
    return kept
