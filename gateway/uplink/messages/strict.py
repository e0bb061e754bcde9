"""
JSON from outside, read strictly: bounded in size and depth, every key once, every number finite.

Nothing is guessed, and nothing is silently dropped: decoders keep the last of equal keys, and say nothing.
"""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec

from gateway.uplink.messages.refusals import MalformedError, found

PAYLOAD_MAX = 256 * 1024
"""Bytes. Room for the longest schedule; a payload up to here is read within some milliseconds."""
DEPTH_MAX = 8
"""Levels of objects and lists. An activation has three; a deep one costs stack, and means nothing."""
ID_MAX = 128
"""Characters. An id is a key of the journal and stands in every acknowledgement."""
INTEGER_MAX = 2**53 - 1
"""Numbers of frames and revisions stay exact in every JSON reader, and in the store."""


def read_object(payload: bytes) -> dict[str, Any]:
    """
    The payload as a JSON object.

    Raises:
        MalformedError: It is none, is nested too deep, or has a key twice.
    """
    try:
        document = msgspec.json.decode(payload)
    except RecursionError:
        raise MalformedError(f"the payload is nested too deep; accepted are {DEPTH_MAX} levels") from None
    except (msgspec.MsgspecError, ValueError) as error:
        raise MalformedError(f"the payload is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise MalformedError(f"the payload is {found(document)}; accepted is an object")
    keys = _count_keys(document, DEPTH_MAX)
    if keys != _count_written_keys(payload):
        raise MalformedError(f"the key {found(_repeated_key(payload))} stands twice in one object; accepted is once")
    return document


def _count_keys(value: object, levels: int) -> int:
    if not isinstance(value, dict | list):
        return 0
    if levels == 0:
        raise MalformedError(f"the payload is nested too deep; accepted are {DEPTH_MAX} levels")
    if isinstance(value, dict):
        return len(value) + sum(_count_keys(item, levels - 1) for item in value.values())
    return sum(_count_keys(item, levels - 1) for item in value)


_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+"(\s*+:)?')
"""Any string of a valid JSON text, and whether it is a key."""


def _count_written_keys(payload: bytes) -> int:
    return sum(1 for match in _STRING.finditer(payload) if match[1])


def _repeated_key(payload: bytes) -> str:
    repeated = ""

    def note(pairs: list[tuple[str, Any]]) -> None:
        nonlocal repeated
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                repeated = key
            seen.add(key)

    json.loads(payload, object_pairs_hook=note, parse_int=str)
    return repeated


def identity(payload: bytes) -> tuple[str | None, int | None]:
    """
    The id and the revision of a refused payload, read as leniently as is unambiguous.

    (None, None) where no id can be read; the revision is 1 where it alone cannot be.
    """
    ambiguous = False

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal ambiguous
        keys = [key for key, _ in pairs]
        ambiguous = keys.count("id") > 1 or keys.count("revision") > 1  # the outermost object comes last
        return dict(pairs)

    try:
        document = json.loads(payload, object_pairs_hook=once, parse_int=_integer)
    except (ValueError, RecursionError):
        return None, None
    if ambiguous or not isinstance(document, dict) or not is_readable(document.get("id")):
        return None, None
    revision = document.get("revision", 1)
    readable = isinstance(revision, int) and not isinstance(revision, bool) and 1 <= revision <= INTEGER_MAX
    return document["id"], revision if readable else 1


def _integer(text: str) -> int | None:
    return int(text) if len(text) <= len(str(INTEGER_MAX)) else None


def is_readable(identifier: object) -> bool:
    """Whether this can be the id of an order: printable, and not too long."""
    return isinstance(identifier, str) and 1 <= len(identifier) <= ID_MAX and identifier.isprintable()
