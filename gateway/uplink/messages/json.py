"""
The contract's JSON messages, as bytes. What comes in is read by `parse` (orders) and `feedback`, beside it.

Times are seconds since 1970. A number that is not finite has no place in JSON: it is left out, or null where the
contract has the field in every message.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import isfinite
from typing import Any

import msgspec

from gateway.model import Ack, Block, Frame, Quality, Value
from gateway.uplink.messages.catalogue import Catalogue, Mirror
from gateway.uplink.messages.feedback import parse_heartbeat, parse_measurements_ack
from gateway.uplink.messages.parse import parse_order
from gateway.uplink.messages.times import rfc3339

_encode = msgspec.json.Encoder().encode
"""msgspec writes a number that is not finite as null."""


def ack(site: str, answer: Ack) -> bytes:
    """An acknowledgement, for `acks`."""
    return _encode(
        {
            "schema": "ack/1",
            "site": site,
            "id": answer.id,
            "revision": answer.revision,
            "n": answer.n,
            "status": answer.status,
            "time": rfc3339(answer.time),
            "requested": answer.requested,
            "applied": answer.applied,
            "measured": answer.measured,
            "unit": answer.unit,
            "code": answer.code,
            "detail": answer.detail,
        }
    )


def measurements(site: str, time: float, epoch: str, lane: str, blocks: Sequence[Block]) -> bytes:
    """
    A batch of frames, for `measurements`. The blocks follow one another without a gap.

    Raises:
        ValueError: There is no frame, or a gap: the message could not say which numbers it holds.
    """
    frames = [frame for block in blocks for frame in block.frames]
    if not frames or any(after.first != before.last + 1 for before, after in pairwise(blocks)):
        raise ValueError("a message holds the frames of blocks that follow one another without a gap")
    first = blocks[0].first
    return _encode(
        {
            "schema": "measurements/1",
            "site": site,
            "time": rfc3339(time),
            "epoch": epoch,
            "first": first,
            "last": blocks[-1].last,
            "lane": lane,
            "frames": [_frame(first + index, frame) for index, frame in enumerate(frames)],
        }
    )


def _frame(number: int, frame: Frame) -> dict[str, Any]:
    values = {point: value for point, value in frame.values.items() if _is_known(value)}
    quality = {point: quality for point, quality in frame.quality.items() if quality is not Quality.GOOD}
    for point in frame.values.keys() - values.keys():
        quality.setdefault(point, Quality.INVALID)  # what is not a number is said to be none, rather than to be absent
    encoded: dict[str, Any] = {"seq": number, "time": rfc3339(frame.time), "values": values}
    if quality:
        encoded["quality"] = quality
    return encoded


def _is_known(value: Value | None) -> bool:
    return value is not None and (not isinstance(value, float) or isfinite(value))


def status(site: str, time: float, state: str, session: int, version: str) -> bytes:
    """Whether the gateway is there, for `status` and its will; `state` is online or offline."""
    return _message("status/1", site, time, {"state": state, "session": session, "version": version})


def birth(site: str, time: float, catalogue: Catalogue) -> bytes:
    """What the site has and can do, for `birth`."""
    return _message("birth/1", site, time, msgspec.structs.asdict(catalogue))


def control(site: str, time: float, mirror: Mirror) -> bytes:
    """What is in force, and the headroom, for `control`."""
    return _message("control/1", site, time, msgspec.structs.asdict(mirror))


def event(site: str, time: float, code: str, detail: str, **fields: Value) -> bytes:
    """Something that a person shall know of, for `events`; `fields` are the event's own."""
    known = {name: value for name, value in fields.items() if _is_known(value)}
    return _message("event/1", site, time, {"code": code, "detail": detail, **known})


def _message(schema: str, site: str, time: float, content: Mapping[str, Any]) -> bytes:
    return _encode({"schema": schema, "site": site, "time": rfc3339(time), **content})


__all__ = [
    "ack",
    "birth",
    "control",
    "event",
    "measurements",
    "parse_heartbeat",
    "parse_measurements_ack",
    "parse_order",
    "status",
]
