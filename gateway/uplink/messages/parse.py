"""
What a head end orders, read strictly: bytes in, the model's words out, and never an exception.

Nothing is guessed: a number is a finite JSON number (not a boolean, not a text), a key stands once, and what the
contract does not name is refused, with where it stands, what was found and what is accepted.
"""

from __future__ import annotations

import hashlib
from dataclasses import fields, replace
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from gateway.model import Activation, Cancellation, Refusal
from gateway.uplink.messages.activation import read_activation
from gateway.uplink.messages.refusals import MalformedError, OtherSiteError, UnsupportedError, convert, found
from gateway.uplink.messages.strict import ID_MAX, INTEGER_MAX, PAYLOAD_MAX, identity, is_readable, read_object

_Order = TypeVar("_Order", Activation, Cancellation)


class _Cancellation(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    schema: Literal["cancellation/1"]
    site: str | None = None
    id: str
    revision: Annotated[int, msgspec.Meta(ge=1, le=INTEGER_MAX)] = 1
    issuer: Annotated[str, msgspec.Meta(min_length=1, max_length=ID_MAX)] | None = None
    time: Annotated[datetime, msgspec.Meta(tz=True)] | None = None


def parse_order(payload: bytes, site: str) -> Activation | Cancellation | Refusal:
    """
    An activation or a cancellation for *site*, or why the payload is neither.

    A refusal carries the id and the revision (1 where it cannot be read) whenever the payload is a JSON object that has
    a readable id, so that it can be answered. What needs the site (targets, ratings, authority, age, which functions
    are carried out) is judged elsewhere.
    """
    if len(payload) > PAYLOAD_MAX:
        return Refusal("malformed", f"the payload has {len(payload)} bytes; accepted are up to {PAYLOAD_MAX}")
    try:
        return _order(read_object(payload), site)
    except MalformedError as error:
        return Refusal("malformed", str(error), *identity(payload))
    except UnsupportedError as error:
        return Refusal("unsupported_function", str(error), *identity(payload))
    except OtherSiteError as error:
        return Refusal("unknown_target", str(error), *identity(payload))


def _order(document: dict[str, Any], site: str) -> Activation | Cancellation:
    schema = document.get("schema")
    if schema not in ("activation/1", "cancellation/1"):  # a tuple: a list found there has no hash
        raise MalformedError(f"schema is {found(schema)}; accepted are activation/1 and cancellation/1")
    if not is_readable(document.get("id")):
        raise MalformedError(f"id is {found(document.get('id'))}; accepted are 1 to {ID_MAX} printable characters")
    if document.get("site", site) != site:
        raise OtherSiteError(f"site is {found(document['site'])}; accepted is {site}")
    if schema == "cancellation/1":
        cancellation = convert(document, _Cancellation)
        return _digested(Cancellation(cancellation.id, cancellation.revision))
    return _digested(read_activation(document))


def _digested(order: _Order) -> _Order:
    """
    The order with the digest of its content: equal for payloads that say the same, however they are written.

    When it was issued is no part of it: a head end that repeats an order may stamp it anew. Nor is what it leaves at
    its default, so that an order known to the journal has the same digest when the model has learned another field.
    """
    named = ((field, getattr(order, field.name)) for field in fields(order) if field.name not in {"issued", "digest"})
    content = {field.name: value for field, value in named if value != field.default}
    encoded = msgspec.json.encode(content, order="deterministic")
    return replace(order, digest=hashlib.sha256(encoded).hexdigest()[:16])
