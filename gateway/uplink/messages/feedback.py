"""What a head end sends beside orders: what it has received, and that it is alive. Bytes in, never an exception."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from gateway.uplink.messages.strict import ID_MAX, INTEGER_MAX, PAYLOAD_MAX

RANGES_MAX = 10_000
"""Ranges of one `measurements/ack`: more than a window of blocks ever has; what is not named is sent again."""

_FrameNumber = Annotated[int, msgspec.Meta(ge=0, le=INTEGER_MAX)]


class _MeasurementsAck(msgspec.Struct):
    schema: Literal["measurements-ack/1"]
    epoch: Annotated[str, msgspec.Meta(max_length=ID_MAX)]
    ranges: Annotated[list[tuple[_FrameNumber, _FrameNumber]], msgspec.Meta(max_length=RANGES_MAX)]


class _Heartbeat(msgspec.Struct):
    schema: Literal["heartbeat/1"]


def parse_measurements_ack(payload: bytes) -> tuple[str, tuple[tuple[int, int], ...]] | None:
    """The epoch and the ranges (first and last included) that the head end holds safely; None if it is no such text."""
    if len(payload) > PAYLOAD_MAX:
        return None
    try:
        ack = msgspec.json.decode(payload, type=_MeasurementsAck)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    if any(first > last for first, last in ack.ranges):
        return None
    return ack.epoch, tuple(ack.ranges)


def parse_heartbeat(payload: bytes) -> bool:
    """Whether the payload is the head end's sign of life."""
    if len(payload) > PAYLOAD_MAX:
        return False
    try:
        msgspec.json.decode(payload, type=_Heartbeat)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return False
    return True
