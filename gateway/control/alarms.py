"""What is told as an event: devices that are lost or forget, and payloads that cannot be answered."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from gateway.control.capability import DerNow
from gateway.control.plant import Plant
from gateway.control.writes import Overwritten
from gateway.model import Setting


@dataclass(frozen=True, slots=True)
class Event:
    """Something that no order's acknowledgement can say."""

    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Away:
    """Since when, monotonic, a device is not there, and whether that has been told."""

    since: float
    told: bool = False


UNREADABLE_INTERVAL_S = 10.0
"""Payloads without an id are told together: whoever floods the topic must not fill the store."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Payloads not told of yet, the reason of the last one, and when such were last told of, monotonic."""

    count: int = 0
    detail: str = ""
    told: float = float("-inf")


def count_unreadable(known: Unreadable, details: Sequence[str], now: float) -> tuple[Unreadable, list[Event]]:
    """Take in what came in a tick; an event when it is time for one."""
    count = known.count + len(details)
    detail = details[-1] if details else known.detail
    if count == 0 or now - known.told < UNREADABLE_INTERVAL_S:
        return Unreadable(count, detail, known.told), []
    text = f"payloads on activations without a readable id: {count}; the last one: {detail}"
    return Unreadable(told=now), [Event("order_unreadable", text)]


def overwriting(found: Sequence[Overwritten]) -> list[Event]:
    """Events for points that did not keep what was written to them."""
    return [
        Event(
            "device_reset" if one.reset else "overridden",
            f"{one.point}: {_told(one.found)} was found where {_told(one.ours)} was written; it is written again",
        )
        for one in found
    ]


def failing(errors: Sequence[str]) -> list[Event]:
    """Events for points whose writes have begun to fail; an order may wait for them without a word."""
    return [Event("write_failed", f"{error}; it is tried again") for error in errors]


def standing_in(before: Collection[str], now: Collection[str]) -> list[Event]:
    """Events for fallbacks that have begun or ended."""
    begun = [Event("fallback_begun", f"{name}: its fallback stands in") for name in sorted(set(now) - set(before))]
    ended = [Event("fallback_ended", f"{name}: it is there again") for name in sorted(set(before) - set(now))]
    return [*begun, *ended]


def _told(value: Setting | None) -> str:
    if value is None:
        return "no set-point in force"
    return value if isinstance(value, str) else f"{value:g}"


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
