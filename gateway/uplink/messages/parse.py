"""
What a head end sends, read strictly: bytes in, the model's words out, and never an exception.

Nothing is guessed: a number is a finite JSON number (not a boolean, not a text), a key stands once, and what the
contract does not name is refused, with where it stands, what was found and what is accepted.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from gateway.model import Activation, Cancellation, Kind, Refusal

PAYLOAD_MAX = 256 * 1024
"""Bytes. Room for any activation by far; a payload up to here is read within some milliseconds."""
DEPTH_MAX = 8
"""Levels of objects and lists. An activation has two; a deep one costs stack, and means nothing."""
RANGES_MAX = 10_000
"""Ranges of one `measurements/ack`: more than a window of blocks ever has; what is not named is sent again."""
ID_MAX = 128
"""Characters. An id is a key of the journal and stands in every acknowledgement."""
FOUND_MAX = 60
"""Characters of a refused value that the answer repeats."""
INTEGER_MAX = 2**53 - 1
"""Numbers of frames and revisions stay exact in every JSON reader, and in the store."""

ACTIVE_UNITS = ("W", "%")
REACTIVE_UNITS = ("var", "%")
UNITS = {
    "limit_active_power": ACTIVE_UNITS,
    "set_active_power": ACTIVE_UNITS,
    "set_reactive_power": REACTIVE_UNITS,
}
"""The functions that are carried out, and the units their value may have."""
OTHER_FUNCTIONS = frozenset(
    (
        "set_power_factor",
        "limit_import",
        "limit_export",
        "volt_var",
        "volt_watt",
        "watt_var",
        "watt_power_factor",
        "frequency_droop",
        "reserve",
        "connect",
        "disconnect",
    )
)
"""The contract's other functions: known by name, refused."""
_SECONDS = {"s": 1.0, "min": 60.0}

_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=ID_MAX)]
_Time = Annotated[datetime, msgspec.Meta(tz=True)]
_Revision = Annotated[int, msgspec.Meta(ge=1, le=INTEGER_MAX)]
_Positive = Annotated[float, msgspec.Meta(gt=0)]
_NotNegative = Annotated[float, msgspec.Meta(ge=0)]
_FrameNumber = Annotated[int, msgspec.Meta(ge=0, le=INTEGER_MAX)]


_Order = TypeVar("_Order", Activation, Cancellation)
_Payload = TypeVar("_Payload", bound=msgspec.Struct)


class _Ramp(msgspec.Struct, forbid_unknown_fields=True):
    unit: str
    up: _Positive | None = None
    down: _Positive | None = None


class _Tolerance(msgspec.Struct, forbid_unknown_fields=True):
    value: _NotNegative
    unit: str


class _Activation(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    schema: Literal["activation/1"]
    site: _Text | None = None
    id: str
    revision: _Revision = 1
    issuer: _Text
    time: _Time
    target: _Text
    function: str
    value: float
    unit: str
    start: _Time | None = None
    end: _Time | None = None
    kind: Kind = Kind.DSO
    ramp: _Ramp | None = None
    tolerance: _Tolerance | None = None
    respond_within: _Positive | None = None
    settle: _NotNegative = 2.0


class _Cancellation(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    schema: Literal["cancellation/1"]
    site: _Text | None = None
    id: str
    revision: _Revision = 1
    issuer: _Text | None = None
    time: _Time | None = None


class _MeasurementsAck(msgspec.Struct):
    schema: Literal["measurements-ack/1"]
    epoch: Annotated[str, msgspec.Meta(max_length=ID_MAX)]
    ranges: Annotated[list[tuple[_FrameNumber, _FrameNumber]], msgspec.Meta(max_length=RANGES_MAX)]


class _Heartbeat(msgspec.Struct):
    schema: Literal["heartbeat/1"]


class _MalformedError(Exception):
    """The text for the head end: where, what was found, what is accepted."""


class _UnsupportedError(Exception):
    """An order that is well formed, and that this gateway does not carry out."""


class _OtherSiteError(Exception):
    """An order that names another site than the one it was sent to."""


def parse_order(payload: bytes, site: str) -> Activation | Cancellation | Refusal:
    """
    An activation or a cancellation for *site*, or why the payload is neither.

    A refusal carries the id and the revision (1 where it cannot be read) whenever the payload is a JSON object that has
    a readable id, so that it can be answered. What needs the site (targets, ratings, authority, age) is judged
    elsewhere.
    """
    if len(payload) > PAYLOAD_MAX:
        return Refusal("malformed", f"the payload has {len(payload)} bytes; accepted are up to {PAYLOAD_MAX}")
    try:
        return _order(_document(payload), site)
    except _MalformedError as error:
        return Refusal("malformed", str(error), *_identity(payload))
    except _UnsupportedError as error:
        return Refusal("unsupported_function", str(error), *_identity(payload))
    except _OtherSiteError as error:
        return Refusal("unknown_target", str(error), *_identity(payload))


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


def _document(payload: bytes) -> dict[str, Any]:
    """The payload as a JSON object: strict, of bounded depth, every key once."""
    try:
        document = msgspec.json.decode(payload)
    except RecursionError:
        raise _MalformedError(f"the payload is nested too deep; accepted are {DEPTH_MAX} levels") from None
    except (msgspec.MsgspecError, ValueError) as error:
        raise _MalformedError(f"the payload is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise _MalformedError(f"the payload is {_found(document)}; accepted is an object")
    keys = _count_keys(document, DEPTH_MAX)
    if keys != _count_written_keys(payload):
        raise _MalformedError(f"the key {_found(_repeated_key(payload))} stands twice in one object; accepted is once")
    return document


def _count_keys(value: object, levels: int) -> int:
    if not isinstance(value, dict | list):
        return 0
    if levels == 0:
        raise _MalformedError(f"the payload is nested too deep; accepted are {DEPTH_MAX} levels")
    if isinstance(value, dict):
        return len(value) + sum(_count_keys(item, levels - 1) for item in value.values())
    return sum(_count_keys(item, levels - 1) for item in value)


_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+"(\s*+:)?')
"""Any string of a valid JSON text, and whether it is a key. Decoders keep the last of equal keys and say nothing."""


def _count_written_keys(payload: bytes) -> int:
    return sum(1 for match in _STRING.finditer(payload) if match[1])


def _repeated_key(payload: bytes) -> str:
    found = ""

    def note(pairs: list[tuple[str, Any]]) -> None:
        nonlocal found
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                found = key
            seen.add(key)

    json.loads(payload, object_pairs_hook=note, parse_int=str)
    return found


def _identity(payload: bytes) -> tuple[str | None, int | None]:
    """The id and the revision of a refused payload, read as leniently as is unambiguous."""
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
    if ambiguous or not isinstance(document, dict) or not _readable(document.get("id")):
        return None, None
    revision = document.get("revision", 1)
    readable = isinstance(revision, int) and not isinstance(revision, bool) and 1 <= revision <= INTEGER_MAX
    return document["id"], revision if readable else 1


def _integer(text: str) -> int | None:
    return int(text) if len(text) <= len(str(INTEGER_MAX)) else None


def _readable(identifier: object) -> bool:
    return isinstance(identifier, str) and 1 <= len(identifier) <= ID_MAX and identifier.isprintable()


def _order(document: dict[str, Any], site: str) -> Activation | Cancellation:
    schema = document.get("schema")
    if schema not in ("activation/1", "cancellation/1"):  # a tuple: a list found there has no hash
        raise _MalformedError(f"schema is {_found(schema)}; accepted are activation/1 and cancellation/1")
    if not _readable(document.get("id")):
        raise _MalformedError(f"id is {_found(document.get('id'))}; accepted are 1 to {ID_MAX} printable characters")
    if document.get("site", site) != site:
        raise _OtherSiteError(f"site is {_found(document['site'])}; accepted is {site}")
    if schema == "cancellation/1":
        cancellation = _convert(document, _Cancellation)
        return _digested(Cancellation(cancellation.id, cancellation.revision))
    _refuse_unsupported(document)
    return _digested(_activation(_convert(document, _Activation)))


def _refuse_unsupported(document: dict[str, Any]) -> None:
    function = document.get("function")
    if isinstance(function, str) and function not in UNITS:
        known = "not carried out by this gateway" if function in OTHER_FUNCTIONS else "not known"
        raise _UnsupportedError(f"function {_found(function)} is {known}; accepted are {_listed(UNITS)}")
    if "schedule" in document:
        raise _UnsupportedError("schedules are not supported; accepted is one value from start to end")


def _activation(order: _Activation) -> Activation:
    units = UNITS[order.function]
    _accept("unit", order.unit, units)
    start, end = _seconds(order.start), _seconds(order.end)
    if start is not None and end is not None and end <= start:
        raise _MalformedError("end is not after start; accepted is a later end, or none")
    ramp_up, ramp_down, ramp_unit = _ramp(order.ramp, units)
    if order.tolerance is not None:
        _accept("tolerance.unit", order.tolerance.unit, units)
    return Activation(
        id=order.id,
        revision=order.revision,
        issuer=order.issuer,
        issued=order.time.timestamp(),
        target=order.target,
        function=order.function,
        value=order.value + 0.0,  # -0.0 becomes 0.0
        unit=order.unit,
        kind=order.kind,
        start=start,
        end=end,
        ramp_up=ramp_up,
        ramp_down=ramp_down,
        ramp_unit=ramp_unit,
        tolerance=None if order.tolerance is None else order.tolerance.value,
        tolerance_unit="%" if order.tolerance is None else order.tolerance.unit,
        respond_within=order.respond_within,
        settle=order.settle,
    )


def _ramp(ramp: _Ramp | None, units: tuple[str, ...]) -> tuple[float | None, float | None, str]:
    """Up, down and their unit, a second: what is given a minute is converted."""
    if ramp is None:
        return None, None, f"{units[0]}/s"
    _accept("ramp.unit", ramp.unit, [f"{unit}/{time}" for unit in units for time in _SECONDS])
    unit, _, time = ramp.unit.partition("/")
    seconds = _SECONDS[time]
    up, down = (None if rate is None else rate / seconds for rate in (ramp.up, ramp.down))
    return up, down, f"{unit}/s"


def _seconds(time: datetime | None) -> float | None:
    return None if time is None else time.timestamp()


def _digested(order: _Order) -> _Order:
    """
    The order with the digest of its content: equal for payloads that say the same, however they are written.

    When it was issued is no part of it: a head end that repeats an order may stamp it anew.
    """
    stamped = replace(order, issued=0.0) if isinstance(order, Activation) else order
    content = msgspec.json.encode(stamped, order="deterministic")
    return replace(order, digest=hashlib.sha256(content).hexdigest()[:16])


def _convert(document: dict[str, Any], schema: type[_Payload]) -> _Payload:
    try:
        return msgspec.convert(document, schema)
    except msgspec.ValidationError as error:
        raise _MalformedError(_explained(str(error), document, schema)) from None


_PATH = re.compile(r" - at `\$(?:\.([\w.]+))?.*`$")


def _explained(message: str, document: dict[str, Any], schema: type[msgspec.Struct]) -> str:
    """A msgspec message with its path in front, what was found, and for an unknown field what is accepted."""
    match = _PATH.search(message)
    path = match[1] if match and match[1] else ""
    text = message[: match.start()] if match else message
    found: Any = document
    for key in path.split(".") if path else []:
        found = found.get(key) if isinstance(found, dict) else None
    if text.startswith("Object contains unknown field"):
        fields = {"ramp": _Ramp, "tolerance": _Tolerance}.get(path, schema).__struct_fields__
        text = f"{text}; accepted are {_listed(fields)}"
    elif path and not isinstance(found, dict):
        text = f"{text}; found {_found(found)}"
    return f"{path or 'payload'}: {text}"


def _accept(where: str, found: str, accepted: Iterable[str]) -> None:
    if found not in accepted:
        raise _MalformedError(f"{where} is {_found(found)}; accepted are {_listed(accepted)}")


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)


def _found(value: object) -> str:
    """A refused value as the answer may repeat it: short, printable, on one line."""
    if value is None:
        return "missing"
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    text = ascii(value)
    return text if len(text) <= FOUND_MAX else f"{text[:FOUND_MAX]}…"
