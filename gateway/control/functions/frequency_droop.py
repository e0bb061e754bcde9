"""
`frequency_droop`, P(f): active power against frequency, outside a deadband around the nominal one.

An event begins as the frequency leaves the deadband: the active power of this moment is frozen, and the characteristic
starts from it. Above the band the function says how much at most, below it how much at least; inside, nothing.

    silent ──out──► out ──in──► held ──release_delay_s──► recovering by recovery_per_s ──► silent
                     ▲           │                            │
                     └──out──────┘ same event                 └──out──► a new event, frozen at the power of then

While the event is held, nothing that it took is given back, also not by an excursion to the same side that is smaller
than the one before: otherwise a frequency that hovers about the edge of the band would make power rise when it is high.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Literal

from gateway.characteristic import Droop
from gateway.control.functions.response import check_response, lag
from gateway.control.functions.statement import SILENT, Memory, Situation, Statement
from gateway.model import Activation, Band

DEADBANDS_HZ = Band(0.0, 1.0)
"""Up to the 1.0 Hz of IEEE 1547-2018; LFSM has 0.2 to 0.5 Hz, FSM 10 mHz."""
DROOPS = Band(0.004, 0.12)
"""From the 0.4 % of FSM to the 12 % of FSM and LFSM."""
PLAUSIBLE = Band(0.9, 1.1)
"""
Frequencies in per unit that a meter may report: units disconnect at 47.5 and 51.5 Hz, and a meter without voltage says
0 Hz, at which no floor of power may be ordered.
"""
RELEASE_MAX_S = 3600.0
"""Six times the 600 s that are usual."""

PRESETS: Mapping[str, Droop] = {
    # Threshold 50.2 Hz, 5 %, release delay 600 s, then 10 % of rated a minute: Beckhoff TF8360, pages 19418887691 and
    # 19418885387 (VDE-AR-N 4110). Converters refer to the momentary power: page 18749553547. Response: unverified (U).
    "lfsm-o": Droop(0.2, 0.05, 2.0, sides="over", release_delay_s=600.0, recovery_per_s=0.1 / 60.0),
    # Threshold 49.8 Hz, 5 %, referred to the rated power: the same pages; TOR RfG-V §7. Response: unverified (U).
    "lfsm-u": Droop(
        0.2, 0.05, 2.0, sides="under", reference="nominal", release_delay_s=600.0, recovery_per_s=0.1 / 60.0
    ),
    # Deadband 10 mHz, 2 %: Beckhoff TF8360, page 19418886539. Response: 30 s as in RfG Art. 15, unverified (U).
    "fsm": Droop(0.01, 0.02, 30.0, reference="nominal"),
    # Deadband 36 mHz, 5 %, open-loop response time 5 s: IEEE 1547-2018 defaults, categories I to III (OpenDER 2.2.0).
    "ieee1547-2018": Droop(0.036, 0.05, 5.0, reference="nominal"),
}

Side = Literal["over", "under"]


@dataclass(frozen=True, slots=True)
class Event:
    """
    One excursion of the frequency, until it is over in every respect.

    `frozen_w` is the power as it began, `limit_w` what the statement says; `bound_w` is what stood when the frequency
    went out again, which the characteristic may not relax. `inside_s`: how long it is back; None is out.
    """

    side: Side
    frozen_w: float
    limit_w: float
    bound_w: float | None = None
    inside_s: float | None = None


def decide(
    activation: Activation,
    value: float | None,
    situation: Situation,
    memory: Memory,
) -> tuple[Statement | None, Memory]:
    """A ceiling above the band, a floor below it, in W; needs the frequency, and the power as the frequency leaves."""
    droop = activation.droop
    frequency = _measured(situation)
    if droop is None or frequency is None:
        return None, memory
    event = memory if isinstance(memory, Event) else None
    side = _side(droop, frequency, situation.nominal_hz)
    if side is None:
        event = _returned(droop, event, situation)
    else:
        event = _left(droop, event, side, situation)
        if event is None:
            return None, memory
        event = _followed(droop, event, frequency, situation)
    if event is None:
        return SILENT, None
    return Statement(hi=event.limit_w) if event.side == "over" else Statement(lo=event.limit_w), event


def _measured(situation: Situation) -> float | None:
    frequency, nominal = situation.frequency_hz, situation.nominal_hz
    if frequency is None or not PLAUSIBLE.lo <= frequency / nominal <= PLAUSIBLE.hi:
        return None
    return frequency


def _side(droop: Droop, frequency_hz: float, nominal_hz: float) -> Side | None:
    if droop.sides != "under" and frequency_hz > nominal_hz + droop.deadband_hz:
        return "over"
    if droop.sides != "over" and frequency_hz < nominal_hz - _under_deadband(droop):
        return "under"
    return None


def _under_deadband(droop: Droop) -> float:
    return droop.deadband_hz if droop.under_deadband_hz is None else droop.under_deadband_hz


def _left(droop: Droop, event: Event | None, side: Side, situation: Situation) -> Event | None:
    """The event that is on now that the frequency is out; None: a new one begins, and the power is not known."""
    if event is not None and event.side == side:
        if event.inside_s is None:
            return event
        if event.inside_s < droop.release_delay_s:
            return Event(side, event.frozen_w, event.limit_w, bound_w=event.limit_w)
    if situation.active_w is None:
        return None
    return Event(side, situation.active_w, situation.active_w)


def _followed(droop: Droop, event: Event, frequency_hz: float, situation: Situation) -> Event:
    """The event with its limit on the way to the characteristic."""
    frozen, nominal = event.frozen_w, situation.nominal_hz
    unit = abs(frozen) if droop.reference == "frozen" else situation.rated_w
    if event.side == "over":
        beyond = frequency_hz - (nominal + droop.deadband_hz)
        p_min = situation.reachable.lo if droop.p_min is None else droop.p_min * situation.rated_w
        # A unit that is below its p_min already, as storage that charges, is not asked up to it.
        goal = max(frozen - unit * beyond / (nominal * droop.droop), min(p_min, frozen))
        goal = goal if event.bound_w is None else min(goal, event.bound_w)
    else:
        beyond = (nominal - _under_deadband(droop)) - frequency_hz
        slope = droop.droop if droop.under_droop is None else droop.under_droop
        goal = min(frozen + unit * beyond / (nominal * slope), situation.reachable.hi)
        goal = goal if event.bound_w is None else max(goal, event.bound_w)
    limit = lag(event.limit_w, goal, situation.dt, droop.response_s)
    return Event(event.side, frozen, limit, event.bound_w)


def _returned(droop: Droop, event: Event | None, situation: Situation) -> Event | None:
    """The event a step further now that the frequency is inside; None: it is over."""
    if event is None:
        return None
    inside = 0.0 if event.inside_s is None else event.inside_s + situation.dt
    limit = event.limit_w
    recovering = min(inside - droop.release_delay_s, situation.dt)
    if recovering >= 0.0:
        if droop.recovery_per_s is None:
            return None
        step = droop.recovery_per_s * situation.rated_w * recovering
        limit += step if event.side == "over" else -step
    if abs(limit) >= situation.rated_w and (limit > 0.0) == (event.side == "over"):
        return None  # it binds no more
    return Event(event.side, event.frozen_w, limit, event.bound_w, inside)


def check(
    activation: Activation,
    value: float | None,
    band: Band,
) -> str | None:
    """What is wrong with the order, or None."""
    droop = activation.droop
    if droop is None:
        return "droop: found none, accepted are deadband_hz and droop"
    for name, number, accepted in (
        ("deadband_hz", droop.deadband_hz, DEADBANDS_HZ),
        ("under_deadband_hz", droop.under_deadband_hz, DEADBANDS_HZ),
        ("droop", droop.droop, DROOPS),
        ("under_droop", droop.under_droop, DROOPS),
        ("p_min", droop.p_min, Band(-1.0, 1.0)),
        ("release_delay_s", droop.release_delay_s, Band(0.0, RELEASE_MAX_S)),
    ):
        if number is not None and not (isfinite(number) and accepted.lo <= number <= accepted.hi):
            return f"{name}: found {number:g}, accepted is {accepted.lo:g} to {accepted.hi:g}"
    for word, found, words in (
        ("sides", droop.sides, ("both", "over", "under")),
        ("reference", droop.reference, ("frozen", "nominal")),
    ):
        if found not in words:
            return f"{word}: found {found!r}, accepted are {', '.join(words)}"
    recovery = droop.recovery_per_s
    if recovery is not None and not (isfinite(recovery) and 0.0 < recovery <= 1.0):
        return f"recovery_per_s: found {recovery:g}, accepted is above 0 to 1 per unit of the rated power a second"
    return check_response(droop.response_s)
