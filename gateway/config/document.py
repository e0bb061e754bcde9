"""YAML text to plain data, with the place of every key and value, so that a fault can say where it is."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from gateway.config.faults import Fault, Place, SiteFaults, Steps, spell

SIZE_MAX = 1_000_000
"""Bytes. A site of 250 devices with 50 points each stays below; a log or an image given by mistake does not."""
NODES_MAX = 100_000
"""Values after aliases are followed: a few lines of nested aliases could otherwise stand for billions."""

_TAG = "tag:yaml.org,2002:"
_VARIABLE = re.compile(r"\$(\$\{)|\$\{([^}]*)\}")
_PROBLEMS = {
    "found character '\\t' that cannot start any token": "a tab cannot be used here; indent with spaces",
    "mapping values are not allowed here": "a ':' is not expected here; is a quote or a line break missing before it?",
    "but found another document": "only one document is accepted in this file",
    "found unexpected end of stream": "a quote is opened and never closed",
}


@dataclass(slots=True)
class Document:
    """
    One YAML file as plain data.

    `places` and `keys` say where a value and its key stand, by the way to it. `written` is a scalar as it stands in the
    file: with its variables, and so without the secrets that they may hold.
    """

    path: str
    data: Any = None
    places: dict[Steps, Place] = field(default_factory=dict)
    keys: dict[Steps, Place] = field(default_factory=dict)
    written: dict[Steps, str] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    def place(self, steps: Steps) -> Place:
        """Where the value stands; for one that is not there, where the nearest mapping or list around it does."""
        for length in range(len(steps), -1, -1):
            place = self.places.get(steps[:length])
            if place is not None:
                return place.below(steps[length:])
        return Place(self.path, 1, 1).below(steps)

    def key_place(self, steps: Steps) -> Place:
        return self.keys.get(steps) or self.place(steps)

    def get(self, steps: Steps) -> Any:
        """The value there, or None."""
        value = self.data
        for step in steps:
            match value:
                case dict() if step in value:
                    value = value[step]
                case list() if isinstance(step, int) and 0 <= step < len(value):
                    value = value[step]
                case _:
                    return None
        return value

    def adopt(self, other: Document, source: Steps, target: Steps) -> None:
        """Take over where the parts of *other* below *source* stand, as parts of this document below *target*."""
        for own, theirs in ((self.places, other.places), (self.keys, other.keys)):
            own.update({target + s[len(source) :]: place for s, place in theirs.items() if s[: len(source)] == source})
        self.written.update(
            {target + s[len(source) :]: text for s, text in other.written.items() if s[: len(source)] == source}
        )


def read(path: Path, environment: Mapping[str, str] = os.environ) -> Document:
    """
    Read one file.

    Returns:
        Its data, and the faults that leave the rest of it usable: duplicate keys, unset variables, strange tags.

    Raises:
        SiteFaults: There is no data to look at: no such file, not UTF-8, over 1 MB, not YAML.
    """
    try:
        with path.open("rb") as file:
            content = file.read(SIZE_MAX + 1)
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise SiteFaults([_of_file(path, f"cannot be read: {reason[:1].lower()}{reason[1:]}")]) from None
    if len(content) > SIZE_MAX:
        raise SiteFaults([_of_file(path, f"is larger than {SIZE_MAX // 10**6} MB; is it the right file?")])
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        column = error.start - content.rfind(b"\n", 0, error.start)
        raise SiteFaults([Fault(str(path), line, column, "", "is not UTF-8 text; save it as UTF-8")]) from None
    root = _compose(str(path), text)
    document = Document(str(path))
    if root is not None:
        document.data = _Builder(document, environment).build(root, (), None)
    return document


def _of_file(path: Path, message: str) -> Fault:
    return Fault(str(path), 0, 0, "", message)


def _compose(path: str, text: str) -> Node | None:
    try:
        root: Node | None = YAML(typ="safe", pure=True).compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        problem = str(error.problem or error.context or "cannot be understood")
        message = next((ours for theirs, ours in _PROBLEMS.items() if theirs in problem), problem)
        raise SiteFaults([Fault(path, line, column, "", f"not YAML: {message}")]) from None
    except ReaderError as error:
        before = text[: error.position]
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        message = f"not YAML: the character U+{ord(text[error.position]):04X} is not allowed"
        raise SiteFaults([Fault(path, line, column, "", message)]) from None
    except RecursionError:
        raise SiteFaults([Fault(path, 1, 1, "", "not YAML of a site: nested too deeply")]) from None
    except (YAMLError, ValueError, OverflowError) as error:  # e.g. an escape beyond the last Unicode character
        raise SiteFaults([Fault(path, 1, 1, "", f"not YAML: {str(error).splitlines()[0]}")]) from None
    return root


class _TooMany(Exception):
    """Aliases multiply into more values than a site can mean."""


class _Builder:
    def __init__(self, document: Document, environment: Mapping[str, str]) -> None:
        self._document = document
        self._environment = environment
        self._open: list[Node] = []  # from the root to here: an alias to one of them would have no end
        self._count = 0

    def build(self, node: Node, steps: Steps, key: Place | None) -> Any:
        self._count += 1
        place = self._place(node, steps)
        if key is not None and isinstance(node, ScalarNode) and node.value == "" and node.style is None:
            place = key  # an empty value is marked where the next token stands; a reader looks for it at its key
        self._document.places[steps] = place
        if self._count > NODES_MAX:
            if self._count == NODES_MAX + 1:
                self._fault(place, f"holds more than {NODES_MAX} values; are aliases nested in aliases?")
            return None
        if any(node is opened for opened in self._open):
            self._fault(place, "an alias to something that holds the alias itself")
            return None
        if isinstance(node, ScalarNode):
            return self._scalar(node, steps, place)
        self._open.append(node)
        try:
            if isinstance(node, MappingNode):
                return self._mapping(node, steps, place)
            return self._sequence(node, steps, place) if isinstance(node, SequenceNode) else None
        finally:
            self._open.pop()

    def _mapping(self, node: MappingNode, steps: Steps, place: Place) -> dict[str, Any]:
        self._check_tag(node, "map", place)
        data: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, ScalarNode):
                self._fault(self._place(key_node, steps), "a key should be a word")
                continue
            key = str(key_node.value)
            key_place = self._place(key_node, (*steps, key))
            if key in data:
                self._fault(key_place, "is given twice")
                continue
            self._document.keys[(*steps, key)] = key_place
            data[key] = self.build(value_node, (*steps, key), key_place)
        return data

    def _sequence(self, node: SequenceNode, steps: Steps, place: Place) -> list[Any]:
        self._check_tag(node, "seq", place)
        return [self.build(item, (*steps, index), None) for index, item in enumerate(node.value)]

    def _scalar(self, node: ScalarNode, steps: Steps, place: Place) -> Any:
        text = str(node.value)
        self._document.written[steps] = text
        kind = str(node.tag).removeprefix(_TAG)
        if kind in {"str", "timestamp"}:  # YAML 1.2 has no time stamps: a date is text
            return self._expand(text, place)
        value = _SCALARS[kind](text) if kind in _SCALARS else None
        if kind not in _SCALARS:
            self._fault(place, f"the tag {node.tag} is not accepted")
        elif isinstance(value, float) and not math.isfinite(value):
            self._fault(place, f"should be a finite number, found {text}")
        return value

    def _expand(self, text: str, place: Place) -> str:
        def substitute(match: re.Match[str]) -> str:
            name = match[2]
            if match[1]:
                return "${"
            if name not in self._environment:
                self._fault(place, f"the environment variable {name or '${}'} is not set; write $${{ for a plain ${{")
                return ""
            return self._environment[name]

        return _VARIABLE.sub(substitute, text)

    def _place(self, node: Node, steps: Steps) -> Place:
        return Place(self._document.path, node.start_mark.line + 1, node.start_mark.column + 1, spell(steps))

    def _check_tag(self, node: Node, kind: str, place: Place) -> None:
        if node.tag not in {_TAG + kind, None}:
            self._fault(place, f"the tag {node.tag} is not accepted")

    def _fault(self, place: Place, message: str) -> None:
        self._document.faults.append(place.fault(message))


def _integer(text: str) -> int | str:
    digits = text.replace("_", "")
    try:
        return int(digits, 0) if digits.lstrip("+-")[:2].lower() in {"0x", "0o", "0b"} else int(digits)
    except ValueError:
        return text


def _real(text: str) -> float | str:
    try:
        return float(re.sub(r"^([+-]?)\.(inf|nan)$", r"\1\2", text.replace("_", "").lower()))
    except ValueError:
        return text


_SCALARS = {
    "null": lambda text: None,  # noqa: ARG005 - one form for all kinds
    "bool": lambda text: text.lower() == "true",
    "int": _integer,
    "float": _real,
}
