"""
XML from outside, read strictly and safely; and XML to the outside, which the same reader has accepted.

Nothing that a document of numbers needs is missing, and nothing else is let in: no document type (so no entity, no
external file, no expansion), no processing instruction, no namespace but the document's own, bounds on size, depth and
count. The parser is the standard library's expat; it is fed in pieces, so that it stops near to the first fault.
"""

from __future__ import annotations

import codecs
import html
from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.parsers import expat

from gateway.uplink.messages.refusals import MalformedError, found
from gateway.uplink.messages.strict import PAYLOAD_MAX

DEPTH_MAX = 8
"""Levels of elements. The reason of a point is on the sixth."""
ELEMENTS_MAX = 16_384
"""More than the points of the longest schedule that a payload has room for."""
NAME_MAX = 100
"""Characters of an element's name, of ASCII: twice the longest, and short enough to be repeated in an answer."""
_PIECE = 4096
"""Bytes between two looks at whether a fault was found; few enough that what follows a fault costs nothing."""
_WHITE = " \t\r\n"
_XSI = "http://www.w3.org/2001/XMLSchema-instance"
_IGNORED = {f"{_XSI} schemaLocation", f"{_XSI} noNamespaceSchemaLocation"}
"""Says where a schema may be found: we have ours, and fetch nothing."""


@dataclass(slots=True)
class Element:
    """One element; a leaf has `text`, any other has `children`. `path` and `line` say where it was found."""

    name: str
    text: str = ""
    attributes: dict[str, str] = field(default_factory=dict)
    children: list[Element] = field(default_factory=list)
    path: str = ""
    line: int = 0

    @property
    def where(self) -> str:
        return f"{self.path} (line {self.line})"

    def get(self, name: str) -> Element | None:
        """The first child of this name."""
        return next(self.all(name), None)

    def __getitem__(self, name: str) -> Element:
        """A child that the schema has made sure of."""
        if (child := self.get(name)) is None:
            raise KeyError(f"{self.where} has no {name}")
        return child

    def all(self, name: str) -> Iterator[Element]:
        return (child for child in self.children if child.name == name)

    def said(self, name: str) -> str | None:
        """The text of a child, or None without one."""
        child = self.get(name)
        return None if child is None else child.text


def leaf(name: str, text: str, **attributes: str) -> Element:
    """An element with text."""
    return Element(name, text, attributes)


class Reader:
    """One payload; `root` and `namespace` are what was read of it, also when `read` has raised."""

    def __init__(self, namespaces: tuple[str, ...]) -> None:
        self.root: Element | None = None
        self.namespace = ""
        self._namespaces = namespaces
        self._open: list[Element] = []
        self._elements = 0
        self._counts: list[dict[str, int]] = []
        self._parser = parser = expat.ParserCreate("UTF-8", namespace_separator=" ")
        parser.buffer_text = True
        parser.XmlDeclHandler = self._declared
        parser.StartDoctypeDeclHandler = self._doctype
        parser.ProcessingInstructionHandler = self._instruction
        parser.StartNamespaceDeclHandler = self._namespace_declared
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text

    def read(self, payload: bytes) -> Element:
        """
        The root element of a document.

        Raises:
            MalformedError: It is not well-formed, or has what is not let in.
        """
        if len(payload) > PAYLOAD_MAX:
            raise MalformedError(f"the payload has {len(payload)} bytes; accepted are up to {PAYLOAD_MAX}")
        if payload[:2] in {codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE} or b"\0" in payload[:4]:
            raise MalformedError("the payload is not UTF-8, by its first bytes; accepted is a UTF-8 document")
        try:
            for start in range(0, len(payload), _PIECE):
                self._parser.Parse(payload[start : start + _PIECE], False)
            self._parser.Parse(b"", True)
        except expat.ExpatError as error:
            raise MalformedError(
                f"the payload is not XML: line {error.lineno}, column {error.offset + 1}: "
                f"{expat.errors.messages.get(error.code, 'unknown error')}; accepted is a well-formed UTF-8 document"
            ) from None
        if self.root is None:
            raise MalformedError("the payload has no element; accepted is a market document")
        return self.root

    def _refuse(self, what: str, accepted: str) -> MalformedError:
        line, column = self._parser.CurrentLineNumber, self._parser.CurrentColumnNumber + 1
        return MalformedError(f"line {line}, column {column}: {what}; accepted is {accepted}")

    def _declared(self, version: str, encoding: str | None, _standalone: int) -> None:
        if version != "1.0":
            raise self._refuse(f"XML version {found(version)}", "1.0")
        if encoding is not None and encoding.upper() not in {"UTF-8", "US-ASCII"}:
            raise self._refuse(f"encoding {found(encoding)}", "UTF-8")

    def _doctype(self, name: str, *_ids: object) -> None:
        raise self._refuse(f"a document type definition of {found(name)}", "a document without one")

    def _instruction(self, target: str, _data: str) -> None:
        raise self._refuse(f"the processing instruction {found(target)}", "none but the XML declaration")

    def _namespace_declared(self, _prefix: str | None, uri: str | None) -> None:
        if uri not in self._namespaces and uri != _XSI:
            raise self._refuse(f"the namespace {found(uri)}", " or ".join(self._namespaces))

    def _start(self, qualified: str, attributes: dict[str, str]) -> None:
        namespace, _, name = qualified.rpartition(" ")
        if self.root is None:
            if namespace not in self._namespaces:
                raise self._refuse(f"{found(name)} in the namespace {found(namespace)}", " or ".join(self._namespaces))
            self.namespace = namespace
        if namespace != self.namespace:
            raise self._refuse(f"{found(name)} in the namespace {found(namespace)}", self.namespace)
        if len(name) > NAME_MAX or not name.isascii():
            raise self._refuse(f"an element {found(name)}", f"a name of up to {NAME_MAX} ASCII characters")
        self._elements += 1
        if self._elements > ELEMENTS_MAX:
            raise self._refuse("one element more", f"up to {ELEMENTS_MAX} elements")
        if len(self._open) == DEPTH_MAX:
            raise self._refuse(f"{found(name)} nested too deep", f"up to {DEPTH_MAX} levels")
        kept = {key: value for key, value in attributes.items() if key not in _IGNORED}
        element = Element(name, attributes=kept, path=self._path(name), line=self._parser.CurrentLineNumber)
        if self._open:
            self._open[-1].children.append(element)
        else:
            self.root = element
        self._open.append(element)
        self._counts.append({})

    def _path(self, name: str) -> str:
        """As XPath has it; the position is left out of the first of what stands only once, by its small letter."""
        if not self._open:
            return f"/{name}"
        counts = self._counts[-1]
        number = counts[name] = counts.get(name, 0) + 1
        return f"{self._open[-1].path}/{name}" + (f"[{number}]" if number > 1 or name[0].isupper() else "")

    def _end(self, _qualified: str) -> None:
        element = self._open.pop()
        self._counts.pop()
        if element.children:
            if element.text.strip(_WHITE):
                raise self._refuse(f"the text {found(element.text.strip(_WHITE))} in {element.path}", "elements alone")
            element.text = ""

    def _text(self, text: str) -> None:
        self._open[-1].text += text


def write(root: Element, namespace: str) -> bytes:
    """The document as UTF-8, one element a line. What cannot stand in XML is written as `?`."""
    lines = ['<?xml version="1.0" encoding="UTF-8"?>']
    _append(lines, root, f' xmlns="{html.escape(namespace)}"', "")
    return "\n".join([*lines, ""]).encode()


def _append(lines: list[str], element: Element, declared: str, indent: str) -> None:
    attributes = "".join(f' {key}="{html.escape(legible(value))}"' for key, value in element.attributes.items())
    opening = f"{indent}<{element.name}{declared}{attributes}>"
    if not element.children:
        lines.append(f"{opening}{html.escape(legible(element.text), quote=False)}</{element.name}>")
        return
    lines.append(opening)
    for child in element.children:
        _append(lines, child, "", indent + " ")
    lines.append(f"{indent}</{element.name}>")


def legible(text: str) -> str:
    """The text on one line, with `?` for what is no character of XML."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else " " if letter in _WHITE else "?" for letter in text)
