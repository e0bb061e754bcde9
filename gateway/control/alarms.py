"""Which controllable devices count as lost, and who hears of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.control.capability import DerNow
from gateway.control.life import Event
from gateway.control.plant import Plant


@dataclass(frozen=True, slots=True)
class Away:
    """Since when, monotonic, a device is not there, and whether that has been told."""

    since: float
    told: bool = False


def watch(
    plant: Plant, away: Mapping[str, Away], ders: Mapping[str, DerNow], now: float
) -> tuple[dict[str, Away], list[Event]]:
    """
    One more look at who is there.

    Returns:
        Who is away now, and an event for each device whose absence has just outlasted the site's wait, or has ended.
    """
    if plant.der_lost_s is None:
        return {}, []
    still: dict[str, Away] = {}
    events: list[Event] = []
    for der in plant.ders:
        known = away.get(der.id)
        if der.id in ders and ders[der.id].online:
            if known is not None and known.told:
                events.append(Event("der_returned", f"{der.id} answers again"))
            continue
        since = known.since if known is not None else now
        told = known is not None and known.told
        if not told and now - since >= plant.der_lost_s:
            events.append(Event("der_lost", f"{der.id} has not answered for {now - since:.0f} s"))
            told = True
        still[der.id] = Away(since, told)
    return still, events
