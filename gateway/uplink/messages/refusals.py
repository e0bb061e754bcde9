"""Why a payload is refused: where it stands, what was found, what is accepted."""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import Enum
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import msgspec

FOUND_MAX = 60
"""Characters of a refused value that the answer repeats."""

_Payload = TypeVar("_Payload", bound=msgspec.Struct)


class MalformedError(Exception):
    """The text for the head end: where, what was found, what is accepted."""


class UnsupportedError(Exception):
    """An order of a function that the contract does not know."""


class OtherSiteError(Exception):
    """An order that names another site than the one it was sent to."""


def convert(document: dict[str, Any], schema: type[_Payload]) -> _Payload:
    """
    The document as *schema*.

    Raises:
        MalformedError: It is not.
    """
    try:
        return msgspec.convert(document, schema)
    except msgspec.ValidationError as error:
        raise MalformedError(_explained(str(error), document, schema)) from None


def accept(where: str, value: str, accepted: Iterable[str]) -> None:
    """
    Go on if *value* is one of the accepted.

    Raises:
        MalformedError: It is not.
    """
    if value not in accepted:
        raise MalformedError(f"{where} is {found(value)}; accepted are {listed(accepted)}")


def listed(names: Iterable[str]) -> str:
    return ", ".join(name or "none" for name in names)


def found(value: object) -> str:
    """A refused value as the answer may repeat it: short, printable, on one line."""
    if value is None:
        return "missing"
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else f"a list of {len(value)}"
    text = ascii(value)
    return text if len(text) <= FOUND_MAX else f"{text[:FOUND_MAX]}…"


_PATH = re.compile(r" - at `\$((?:\.\w+|\[\d{1,6}\])*)`$")
_STEP = re.compile(r"\.(\w+)|\[(\d{1,6})\]")
"""An index has few digits: the payload is bounded, and what stands in an unknown key is no path."""


def _explained(message: str, document: dict[str, Any], schema: type[msgspec.Struct]) -> str:
    """A msgspec message with its path in front, what was found, and what is accepted where msgspec leaves it out."""
    match = _PATH.search(message)
    path = match[1].removeprefix(".") if match else ""
    text = message[: match.start()] if match else message
    at: Any = document
    hint: Any = schema
    for key, index in _STEP.findall(match[1]) if match else ():
        if key:
            at = at.get(key) if isinstance(at, dict) else None
            struct = _struct(hint)
            hint = None if struct is None else get_type_hints(struct).get(key)
        else:
            at = at[int(index)] if isinstance(at, list) and int(index) < len(at) else None
    if message.startswith("Object contains unknown field"):  # its name, which msgspec repeats, may look like a path
        for where, inside, struct in ((path, at, _struct(hint)), ("payload", document, schema)):
            accepted = struct.__struct_fields__ if struct is not None and isinstance(inside, dict) else ()
            unknown = [key for key in inside if key not in accepted] if accepted else []
            if unknown:
                return f"{where or 'payload'}: unknown field {found(unknown[0])}; accepted are {listed(accepted)}"
    if text.startswith("Invalid enum value"):
        return f"{path} is {found(at)}; accepted are {listed(_choices(hint))}"
    return f"{path or 'payload'}: {text}{'' if isinstance(at, dict) else f'; found {found(at)}'}"


def _members(hint: Any) -> tuple[Any, ...]:
    """The types of a union; a type alone is its own."""
    if hint is None or isinstance(hint, type) or get_origin(hint) in {Literal, Annotated}:
        return (hint,)
    return get_args(hint)


def _struct(hint: Any) -> type[msgspec.Struct] | None:
    return next((one for one in _members(hint) if isinstance(one, type) and issubclass(one, msgspec.Struct)), None)


def _choices(hint: Any) -> Iterable[str]:
    for one in _members(hint):
        if get_origin(one) is Literal:
            yield from get_args(one)
        elif isinstance(one, type) and issubclass(one, Enum):
            yield from (member.value for member in one)
