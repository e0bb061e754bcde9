"""Pydantic's errors in the words of the house: what was found, what is accepted."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError

from gateway.config.document import Document
from gateway.config.faults import Fault, Steps
from gateway.config.quantities import ADDRESS_PATTERN

_NOT_SERVED: Mapping[tuple[str, ...], tuple[str | bool, ...]] = {
    ("devices", "driver"): ("iec104", "opcua"),
    ("uplinks", "type"): ("iec104-server",),
    ("uplinks", "payload"): ("cim-xml", "sparkplug-b"),
    ("uplinks", "require_signature"): (True,),
}
"""Values of the contract that this version refuses, by the keys that lead to them."""

_KIND_KEYS = {("devices", "driver"), ("uplinks", "type")}
"""What the other keys beside these mean is known only once these are right."""

_PATTERNS = {
    ADDRESS_PATTERN: "an address with its port, like 127.0.0.1:8080",
    r"^[a-z0-9-]{1,63}$": "1 to 63 characters of a-z, 0-9 and -",
    r"^[a-z0-9_-]{1,63}$": "1 to 63 characters of a-z, 0-9, _ and -",
}
_SECRET = re.compile(r"password|passwd|secret|token|credential|private|\bkey\b", re.IGNORECASE)
_USER_INFO = re.compile(r"//[^/@\s]*@")
_FOUND_MAX = 60

_SENTENCES = {
    "bool_parsing": "should be true or false",
    "bool_type": "should be true or false",
    "dict_type": "should be a mapping of keys to values",
    "finite_number": "should be a finite number",
    "float_parsing": "should be a number",
    "float_type": "should be a number",
    "int_from_float": "should be a whole number",
    "int_parsing": "should be a whole number",
    "int_parsing_size": "should be a whole number that is not that large",
    "int_type": "should be a whole number",
    "list_type": "should be a list",
    "model_attributes_type": "should be a mapping of keys to values",
    "model_type": "should be a mapping of keys to values",
    "path_type": "should be a path",
    "string_type": "should be text",
    "tuple_type": "should be a list",
}
_BOUNDS = {
    "greater_than": ("should be greater than {}", "gt"),
    "greater_than_equal": ("should be at least {}", "ge"),
    "less_than": ("should be less than {}", "lt"),
    "less_than_equal": ("should be at most {}", "le"),
}


def suggest(word: str, accepted: Iterable[str]) -> str:
    """
    What to write instead: the near match, else all that is accepted.

    >>> suggest("pol", ["poll", "unit"])
    "did you mean 'poll'?"
    """
    accepted = list(accepted)
    near = get_close_matches(word, accepted, n=1)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"accepted: {', '.join(accepted)}" if accepted else "nothing is accepted here"


def faults(error: ValidationError, document: Document, schema: Mapping[str, Any]) -> Iterator[Fault]:
    """
    The faults of one validation, each at its position.

    Args:
        error: What pydantic found in `document.data`.
        document: Where everything stands.
        schema: JSON Schema of what was validated; says which keys and bounds are accepted where.
    """
    found = [(_steps(detail["loc"], document.data), detail) for detail in error.errors(include_url=False)]
    unknown_kinds = {
        steps[:-1] for steps, detail in found if _names(steps) in _KIND_KEYS and detail["type"] != "missing"
    }
    for steps, detail in found:
        if steps[:2] in unknown_kinds and _names(steps) not in _KIND_KEYS:
            continue
        if detail["type"] == "too_short" and document.get(steps):
            continue  # only because its entries have faults of their own
        if detail["type"] == "extra_forbidden":
            accepted = keys_at(schema, steps[:-1])
            yield document.key_place(steps).fault(f"unknown key; {suggest(str(steps[-1]), accepted)}")
        else:
            yield document.place(steps).fault(_USER_INFO.sub("//***@", _message(detail, steps, document, schema)))


def _names(steps: Steps) -> tuple[str, ...]:
    return tuple(step for step in steps if isinstance(step, str))


def _steps(loc: tuple[str | int, ...], data: Any) -> Steps:
    """The way through the file: pydantic also names the members of unions that it tried."""
    steps: list[str | int] = []
    for number, step in enumerate(loc):
        inside = (isinstance(data, dict) and step in data) or (
            isinstance(data, list) and isinstance(step, int) and step < len(data)
        )
        if inside:
            data = data[step]
            steps.append(step)
        elif number == len(loc) - 1 and isinstance(data, dict):
            steps.append(step)  # the key that is missing
    return tuple(steps)


def _message(detail: Any, steps: Steps, document: Document, schema: Mapping[str, Any]) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "missing":
        return "is missing"
    if kind == "literal_error":
        return _not_one_of(steps, document, _literals(context["expected"]))
    if kind == "value_error":
        sentence = _as_written(str(context["error"]), steps, document)
    elif kind in _BOUNDS:
        sentence = _bounds(kind, context, steps, schema)
    elif kind == "string_pattern_mismatch":
        sentence = f"should be {_PATTERNS.get(context['pattern'], 'text that matches ' + context['pattern'])}"
    elif kind == "too_short":
        sentence = f"should have at least {context['min_length']} of them"
    else:
        sentence = _SENTENCES.get(kind) or detail["msg"].replace("Input should", "should")
    shown = _found(steps, document)
    if shown is None or ", found " in sentence:
        return sentence
    quoted = kind == "string_type" and not isinstance(detail["input"], dict | list) and detail["input"] is not None
    return f"{sentence}, found {shown}{'; put it in quotes' if quoted else ''}"


def _not_one_of(steps: Steps, document: Document, served: list[str]) -> str:
    not_served = _NOT_SERVED.get(_names(steps), ())
    value, shown = document.get(steps), _found(steps, document)
    shown = f"'{shown}'" if isinstance(value, str) else shown
    if value in not_served:
        return f"{shown} is not served by this version; accepted: {', '.join(served)}"
    accepted = ", ".join([*served, *(f"'{word}'" for word in not_served if isinstance(word, str))])
    return f"{shown} is not one of {accepted}" if isinstance(value, str) else f"should be one of {accepted}"


def _literals(expected: str) -> list[str]:
    """
    >>> _literals("'a', 'b' or 'c'")
    ["'a'", "'b'", "'c'"]
    >>> _literals("False")
    ['false']
    """
    return re.findall(r"'[^']*'", expected) or [expected.lower()]


def _bounds(kind: str, context: Mapping[str, Any], steps: Steps, schema: Mapping[str, Any]) -> str:
    for node in _nodes_at(schema, steps):
        if "minimum" in node and "maximum" in node:
            return f"should be between {node['minimum']} and {node['maximum']}"
    sentence, name = _BOUNDS[kind]
    return sentence.format(context[name])


def _as_written(sentence: str, steps: Steps, document: Document) -> str:
    """What a variable stands for is not shown: it may be a secret."""
    value, written = document.get(steps), document.written.get(steps)
    return sentence.replace(value, written) if written and isinstance(value, str) and value else sentence


def _found(steps: Steps, document: Document) -> str | None:
    """The value as it stands in the file; None where nothing should be shown."""
    if any(isinstance(step, str) and _SECRET.search(step) for step in steps):
        return None
    value = document.get(steps)
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    text = document.written.get(steps, "")
    if not text.strip():
        return "nothing" if value is None else repr(text)
    text = text if text.isprintable() else repr(text)
    return text if len(text) <= _FOUND_MAX else f"{text[:_FOUND_MAX]}…"


def keys_at(schema: Mapping[str, Any], steps: Steps) -> list[str]:
    """The keys that a JSON Schema accepts at one place, in its order."""
    keys: dict[str, None] = {}
    for node in _nodes_at(schema, steps):
        keys |= dict.fromkeys(node.get("properties", {}))
    return list(keys)


def _nodes_at(schema: Mapping[str, Any], steps: Steps) -> list[Mapping[str, Any]]:
    nodes = list(_alternatives(schema, schema))
    for step in steps:
        below: list[Mapping[str, Any]] = []
        for node in nodes:
            if isinstance(step, int):
                candidate = node.get("items")
            else:
                candidate = node.get("properties", {}).get(step, node.get("additionalProperties"))
            if isinstance(candidate, dict):
                below += _alternatives(candidate, schema)
        nodes = below
    return nodes


def _alternatives(node: Mapping[str, Any], schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The node itself, with references followed and unions opened."""
    yield node
    if "$ref" in node:
        yield from _alternatives(schema["$defs"][node["$ref"].rpartition("/")[2]], schema)
    for union in ("anyOf", "oneOf", "allOf"):
        for member in node.get(union, ()):
            yield from _alternatives(member, schema)
