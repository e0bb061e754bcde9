"""
The documents of the local API, made of one look at the daemon. Pure, and made on a thread of their own.

Times are RFC 3339 in UTC, durations and ages seconds. What is not known is null, never 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from math import isfinite
from typing import Any

import msgspec

from gateway.control.capability import Known, ders_now
from gateway.control.capability import View as ControlView
from gateway.control.explain import Place, abilities_of, explain, rules_of
from gateway.control.register import Tracked
from gateway.image import KNOWN, Reading, Snapshot
from gateway.local.lines import DeviceLine
from gateway.local.look import Look
from gateway.model import Activation, Nameplate, Point, Quality, SetPoint
from gateway.uplink.messages.catalogue import MAPPING, NOT_MAPPED
from gateway.uplink.messages.times import rfc3339

ENDED_MAX = 100
"""Ended activations that are shown; `dergate activations` has them all."""
_AWAY = frozenset({Quality.OFFLINE, Quality.STALE})

Document = dict[str, Any]
encode = msgspec.json.Encoder().encode
"""msgspec writes a number that is not finite as null."""


@dataclass(frozen=True, slots=True)
class View:
    """A look, with what is only seen over time: why the gateway is not healthy, and what the lines carry."""

    look: Look
    reasons: tuple[str, ...] = ()
    lines: tuple[DeviceLine, ...] = ()


def health(view: View) -> Document:
    """For `/healthz`; healthy when there is no reason against it."""
    return {"healthy": not view.reasons, "reasons": view.reasons}


def state(view: View) -> Document:
    """The site on one page."""
    look = view.look
    site = look.site
    there = {device.id: online(look.snapshot, device.id) for device in site.devices}
    return {
        **_head(look),
        "name": site.name or None,
        "version": site.version,
        "started": _time(site.started.wall),
        "uptime_s": look.now.mono - site.started.mono,
        **health(view),
        "uplinks": [
            {
                "id": uplink.id,
                "type": uplink.type,
                "connected": uplink.connected,
                "frames_pending": uplink.frames_pending,
                "messages_pending": uplink.messages_pending,
            }
            for uplink in look.uplinks
        ],
        "devices": {
            "configured": len(there),
            "online": sum(is_ is True for is_ in there.values()),
            "away": [id_ for id_, is_ in there.items() if is_ is False],
        },
        "activations": {"open": len(look.control.orders.open)},
        "mirror": {
            "quantities": [{**asdict(one), "expires": _time(one.expires)} for one in look.control.mirror.quantities],
            "headroom": asdict(look.control.mirror.headroom),
            "active": look.control.mirror.active,
            "reactive": look.control.mirror.reactive,
            "reserve": look.control.mirror.reserve,
        },
        "control": {
            "ticks": look.control.serial,
            "period_s": site.period_s,
            "setpoints": [_setpoint(look, setpoint) for _, setpoint in sorted(look.control.setpoints.items())],
            "held": look.control.held,
            "events": [
                {"time": _time(wall), "code": event.code, "detail": event.detail} for wall, event in look.control.events
            ],
        },
    }


def devices(view: View) -> Document:
    """What each device is, and whether it answers."""
    look, connections = view.look, {line.device: line.connection for line in view.lines}
    found = []
    for device in look.site.devices:
        plate = look.snapshot.nameplates.get(device.id) or Nameplate(device.id, ())
        found.append(
            {
                "id": device.id,
                "role": device.role,
                "driver": device.driver,
                "connection": connections.get(device.id),
                "online": online(look.snapshot, device.id),
                "manufacturer": plate.manufacturer or None,
                "model": plate.model or None,
                "serial": plate.serial or None,
                "rated_power_w": device.rated_power_w or plate.rated_power_w,
                "points": len(plate.points),
                "points_known": sum(reading.quality in KNOWN for reading in _readings(look.snapshot, plate.points)),
                "worst_age_s": worst_age_s(look, device.id),
            }
        )
    return {**_head(look), "devices": found}


def points(view: View) -> Document:
    """
    Every point, also one that was never read: then all but its unit is null.

    Each is encoded by itself: 20 000 at a time would keep the interpreter from the tick for as long as that takes.
    """
    look = view.look
    known = (point for plate in look.snapshot.nameplates.values() for point in plate.points)
    return {**_head(look), "points": [msgspec.Raw(encode(_point(look, point))) for point in known]}


def activations(view: View) -> Document:
    """The open ones, and the last that ended, the latest first."""
    orders = view.look.control.orders
    ended = (one for same_id in reversed(list(orders.ended.values())) for one in reversed(same_id))
    return {
        **_head(view.look),
        "open": [_activation(one) for one in orders.open.values()],
        "ended": [_activation(one) for one in islice(ended, ENDED_MAX)],
    }


def control(view: View) -> Document:
    """The rules of the site, and who decides what by them now."""
    look = view.look
    plant, orders = look.site.plant, look.control.orders.open.values()
    seen = ControlView(plant, ders_now(plant, Known(), look.snapshot), look.snapshot)
    in_force = [tracked.entry for tracked in orders if tracked.engaged_mono is not None]
    now = explain(look.control.decision, seen, in_force)
    return {
        **_head(look),
        "ticks": look.control.serial,
        "rules": rules_of(plant),
        "abilities": abilities_of(seen),
        "places": [_place(place) for place in now.places],
        "let_go": now.let_go,
        "fallbacks": now.fallbacks,
        "totals": now.totals,
        "wishes": now.wishes,
    }


def buffer(view: View) -> Document:
    """What the store holds for the uplinks."""
    store, site = view.look.store, view.look.site
    return {
        **_head(view.look),
        "epoch": store.epoch,
        "session": store.session,
        "last_frame": store.last_frame or None,
        "last_message": store.last_message or None,
        "frames_waiting": store.waiting,
        "frames_dropped": store.dropped,
        "fault": store.fault,
        "max_size_bytes": site.buffer_max_size_bytes,
        "max_age_s": site.buffer_max_age_s,
        "uplinks": [
            {
                "id": uplink.id,
                "frames_pending": uplink.frames_pending,
                "frames_acknowledged": store.last_frame - uplink.frames_pending,
                "messages_pending": uplink.messages_pending,
                "oldest_pending": _time(uplink.oldest_pending),
            }
            for uplink in view.look.uplinks
        ],
    }


def plan(view: View) -> Document:
    """For each device what was planned, beside what came of it."""
    return {**_head(view.look), "devices": [_line(view.look, line) for line in view.lines]}


def online(snapshot: Snapshot, device: str) -> bool | None:
    """A device is there when something it says is fresh; of one that only takes orders nobody knows."""
    plate = snapshot.nameplates.get(device)
    known = plate.points if plate else ()
    if known and not any(point.readable for point in known):
        return None
    return any(reading.quality not in _AWAY for reading in _readings(snapshot, known))


def worst_age_s(look: Look, device: str) -> float | None:
    """The age of the device's oldest value; None when it has none."""
    plate = look.snapshot.nameplates.get(device)
    ages = (_age_s(look, reading) for reading in _readings(look.snapshot, plate.points if plate else ()))
    return max((age for age in ages if age is not None), default=None)


def _readings(snapshot: Snapshot, known: Iterable[Point]) -> Iterable[Reading]:
    found = (snapshot.readings.get(point.id) for point in known if point.readable)
    return (reading for reading in found if reading is not None)


def _head(look: Look) -> Document:
    return {"site": look.site.id, "time": _time(look.now.wall)}


def _time(wall: float | None) -> str | None:
    """A device may stamp its values with anything."""
    try:
        return None if wall is None else rfc3339(wall)
    except ValueError:
        return None


def _never_read(reading: Reading) -> bool:
    """The image notes a device that is not there at points that never had a value, too."""
    return reading.value is None and reading.quality in _AWAY


def _age_s(look: Look, reading: Reading) -> float | None:
    return None if _never_read(reading) else max(look.now.mono - reading.mono, 0.0)


def _point(look: Look, point: Point) -> Document:
    reading = look.snapshot.readings.get(point.id)
    mapped = MAPPING.get(point.name, NOT_MAPPED)
    return {
        "point": point.id,
        "value": None if reading is None or not _is_known(reading.value) else reading.value,
        "unit": point.unit,
        "quality": None if reading is None else reading.quality,
        "time": None if reading is None or _never_read(reading) else _time(reading.time),
        "age_s": None if reading is None else _age_s(look, reading),
        "readable": point.readable,
        "writable": point.writable,
        "iec61850": mapped.iec61850,
        "cim": mapped.cim,
    }


def _is_known(value: object) -> bool:
    return not isinstance(value, float) or isfinite(value)


def _setpoint(look: Look, setpoint: SetPoint) -> Document:
    """The latest handed to a device, and how its last write ended; `written` null: none has ended yet."""
    point = look.snapshot.points.get(setpoint.point)
    write = look.snapshot.writes.get(setpoint.point)
    return {
        "point": setpoint.point,
        "value": setpoint.value,
        "unit": None if point is None else point.unit,
        "cause": setpoint.cause,
        "written": None if write is None else write.error is None,
        "readback": None if write is None else write.readback,
        "error": None if write is None else write.error,
    }


def _activation(tracked: Tracked) -> Document:
    entry = tracked.entry
    last = entry.last
    return {
        "id": entry.id,
        "revision": entry.revision,
        "uplink": entry.uplink,
        "received": _time(entry.received),
        "status": entry.status,
        "since": None if last is None else _time(last.time),
        **_order(entry.activation),
        "requested": None if last is None else last.requested,
        "applied": None if last is None else last.applied,
        "measured": None if last is None else last.measured,
        "code": None if last is None else last.code,
        "detail": None if last is None else last.detail,
    }


def _order(order: Activation | None) -> Mapping[str, Any]:
    """What was ordered; nothing where the payload could not be read."""
    if order is None:
        return {}
    return {
        "issuer": order.issuer,
        "kind": order.kind,
        "target": order.target,
        "function": order.function,
        "value": order.value,
        "unit": order.unit or None,
        "start": _time(order.start),
        "end": _time(order.end),
    }


def _place(place: Place) -> Document:
    orders = [{**asdict(one), "expires": _time(one.expires)} for one in place.orders]
    return {**asdict(place), "orders": orders}


def _line(look: Look, line: DeviceLine) -> Document:
    rates = line.rates
    actual = {
        "over_s": rates and rates.over_s,
        "requests_per_s": rates and rates.requests_per_s,
        "unanswered_per_s": rates and rates.unanswered_per_s,
        "load": rates and rates.load,
        "worst_age_s": worst_age_s(look, line.device),
        "total": None if line.total is None else _without_device(asdict(line.total)),
    }
    return {
        "device": line.device,
        "connection": line.connection,
        "planned": None if line.planned is None else _without_device(asdict(line.planned)),
        "actual": actual,
    }


def _without_device(fields: Document) -> Document:
    return {name: value for name, value in fields.items() if name != "device"}
