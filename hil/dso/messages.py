"""What a gateway sends, as the contract publishes it (section 4): decoded, checked for shape, and frozen."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import msgspec

Time = Annotated[str, msgspec.Meta(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")]
"""UTC, RFC 3339 with milliseconds and `Z`; such texts sort as their times do."""
Quality = Literal["good", "uncertain", "invalid", "stale", "offline"]
Status = Literal[
    "received",
    "accepted",
    "rejected",
    "started",
    "effective",
    "deviating",
    "completed",
    "cancelled",
    "superseded",
    "expired",
    "failed",
]
Value = float | int | bool | str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ack:
    """One acknowledgement; `requested`, `applied` and `measured` in `unit` (W or var), None where it is not known."""

    schema: Literal["ack/1"]
    site: str
    time: Time
    id: str
    revision: int
    n: Annotated[int, msgspec.Meta(ge=1)]
    status: Status
    requested: float | None = None
    applied: float | None = None
    measured: float | None = None
    unit: str | None = None
    code: str | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """Values of one moment; a point without a word in `quality` is good, one named only there has no known value."""

    seq: int
    time: Time
    values: dict[str, Value]
    quality: dict[str, Quality] = field(default_factory=dict)
    clock: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurements:
    """A batch of frames of one store's life."""

    schema: Literal["measurements/1"]
    site: str
    time: Time
    epoch: str
    first: int
    last: int
    lane: Literal["live", "backfill"]
    frames: Annotated[list[Frame], msgspec.Meta(min_length=1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkStatus:
    """Whether the gateway is there; the will says `offline` for it."""

    site: str
    state: Literal["online", "offline"]
    session: int | None = None
    version: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Any other message: birth, control, reports, events, responses; `body` is the whole of it."""

    name: str
    body: dict[str, Any]


Message = Ack | Measurements | LinkStatus | Notice


class PayloadError(ValueError):
    """A payload that is not what the contract says of its topic; the text says which and why."""


def decode(name: str, payload: bytes) -> Message:
    """
    Decode what came in on the topic `name` below the site's prefix.

    Raises:
        PayloadError: Not JSON, or a field that is missing or not of its type.
    """
    try:
        if name == "acks" or name.startswith("acks/"):
            return msgspec.json.decode(payload, type=Ack)
        if name == "measurements":
            return msgspec.json.decode(payload, type=Measurements)
        if name == "status":
            return msgspec.json.decode(payload, type=LinkStatus)
        body = msgspec.json.decode(payload, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:  # text that is no UTF-8 raises the latter
        raise PayloadError(f"{name}: {error}") from error
    return Notice(name=name, body=body)
