"""
The documents as data: which element follows which, how often, and what may stand in it.

As the XSDs have it (sequence, occurrence, namespace), with the facets that generated models leave out: lengths,
patterns, code lists, numbers. A document that departs is refused with where it does, what was found, what is accepted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gateway.uplink.messages.cim_xml import codes
from gateway.uplink.messages.cim_xml.document import Element, Reader, write
from gateway.uplink.messages.cim_xml.times import resolution_s, seconds
from gateway.uplink.messages.refusals import MalformedError, found

SEPARATOR = "#"
"""Between the mRID of a document and that of a series, in the id of an order."""
MRID_MAX = 60
REASON_MAX = 512
DIGITS_MAX = 17
"""Digits of a quantity, as the facets of ESMP have it."""
_WHITE = " \t\r\n"


@dataclass(frozen=True, slots=True)
class Facet:
    """What may stand in a leaf. A collapsed one is read without the white space around it, as its XSD type is."""

    accepted: str
    allows: Callable[[str], bool]
    collapsed: bool = True


@dataclass(frozen=True, slots=True)
class Part:
    """An element: a leaf with its facet, or a sequence of parts. `most` None is any number."""

    name: str
    facet: Facet | None = None
    parts: tuple[Part, ...] = ()
    least: int = 1
    most: int | None = 1
    coded: bool = False  # has a codingScheme


def _code(name: str, accepted: frozenset[str]) -> Facet:
    return Facet(f"a code of the list {name}", accepted.__contains__)


def _text(longest: int) -> Facet:
    return Facet(f"1 to {longest} characters", lambda text: 1 <= len(text) <= longest, collapsed=False)


def _mrid(longest: int, without: str = "") -> Facet:
    def allows(text: str) -> bool:
        return (
            1 <= len(text) <= longest and text.isprintable() and text == text.strip() and not set(without) & set(text)
        )

    barred = f" and no {without}" if without else ""
    return Facet(f"1 to {longest} printable characters with no space at the ends{barred}", allows, collapsed=False)


def _matching(accepted: str, pattern: str) -> Facet:
    match = re.compile(pattern, re.ASCII).fullmatch
    return Facet(accepted, lambda text: match(text) is not None)


def _parsed(accepted: str, parse: Callable[[str], float], pattern: str) -> Facet:
    match = re.compile(pattern, re.ASCII).fullmatch

    def allows(text: str) -> bool:
        try:
            return match(text) is not None and parse(text) is not None
        except ValueError:
            return False

    return Facet(accepted, allows)


def _quantity(text: str) -> bool:
    match = re.fullmatch(r"(-?)([0-9]*)(?:\.([0-9]*))?", text, re.ASCII)
    return match is not None and 1 <= len(match[2] + (match[3] or "")) <= DIGITS_MAX


_DAY = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_REVISION = _matching("a whole number from 1 to 999", r"[1-9][0-9]{0,2}")
_CREATED = _parsed(
    "a UTC time with seconds: YYYY-MM-DDThh:mm:ssZ", seconds, rf"{_DAY}T[0-9]{{2}}:[0-9]{{2}}:[0-9]{{2}}Z"
)
_MINUTE = _parsed("a UTC time in minutes: YYYY-MM-DDThh:mmZ", seconds, rf"{_DAY}T[0-9]{{2}}:[0-9]{{2}}Z")
_RESOLUTION = _parsed(
    "a duration in days, hours, minutes and seconds, such as PT15M", resolution_s, r"P[0-9DTHMS]{2,12}"
)
_POSITION = _matching("a whole number from 1 to 999999", r"0{0,5}[1-9][0-9]{0,5}")
_QUANTITY = Facet(f"a decimal number of up to {DIGITS_MAX} digits", _quantity)
_AREA = _mrid(18)
_PARTY = _mrid(16)
_MESSAGE = _code("MessageType", codes.MESSAGE_TYPES)
_PROCESS = _code("ProcessType", codes.PROCESS_TYPES)
_BUSINESS = _code("BusinessType", codes.BUSINESS_TYPES)
_ROLE = _code("Role", codes.ROLES)
_UNIT = _code("UnitOfMeasure", codes.UNITS)
_SCHEME = _code("CodingScheme", codes.CODING_SCHEMES)

_INTERVAL = (Part("start", _MINUTE), Part("end", _MINUTE))
_REASON = Part(
    "Reason",
    parts=(Part("code", _code("ReasonCode", codes.REASONS)), Part("text", _text(REASON_MAX), least=0)),
    least=0,
    most=None,
)
_REASONS = Part("Reason", parts=_REASON.parts, most=None)


def _party(name: str, least: int = 1, role_least: int | None = None) -> tuple[Part, Part]:
    role = Part(f"{name}_MarketParticipant.marketRole.type", _ROLE, least=least if role_least is None else role_least)
    return Part(f"{name}_MarketParticipant.mRID", _PARTY, least=least, coded=True), role


def _period(*of_a_point: Part) -> Part:
    point = Part("Point", parts=(Part("position", _POSITION), *of_a_point), most=None)
    parts = (Part("timeInterval", parts=_INTERVAL), Part("resolution", _RESOLUTION), point)
    return Part("Period", parts=parts, least=0, most=None)


def _activation(version: int) -> Part:
    """6:0 to 6:4; identifications grew with 6:1 and 6:2, an auction came with 6:3, further parties with 6:4."""
    mrid = MRID_MAX if version >= 2 else 35
    accounting_point = Part(
        "AccountingPoint",
        parts=(
            *_party("activation", least=0),
            Part("flowCommodityOption", _code("FlowCommodityOption", codes.COMMODITIES), least=0),
        ),
        least=0,
        most=None,
    )
    series = Part(
        "TimeSeries",
        parts=(
            Part("mRID", _mrid(mrid, without=SEPARATOR)),
            Part("resourceProvider_MarketParticipant.mRID", _PARTY, coded=True),
            Part("businessType", _BUSINESS),
            Part("acquiring_Domain.mRID", _AREA, coded=True),
            Part("connecting_Domain.mRID", _AREA, coded=True),
            Part("measurement_Unit.name", _UNIT),
            *(_party("related", least=0) if version >= 4 else ()),
            Part("flowDirection.direction", _code("Direction", codes.DIRECTIONS)),
            Part("marketObjectStatus.status", _code("Status", codes.STATUSES)),
            Part("registeredResource.mRID", _mrid(MRID_MAX if version >= 1 else 18), least=0, coded=True),
            *((Part("auction.mRID", _mrid(MRID_MAX), least=0),) if version >= 3 else ()),
            *((accounting_point,) if version >= 4 else ()),
            _period(Part("quantity", _QUANTITY), _REASON),
            _REASON,
        ),
        least=1 if version == 0 else 0,
        most=None,
    )
    return Part(
        "Activation_MarketDocument",
        parts=(
            Part("mRID", _mrid(mrid)),
            Part("revisionNumber", _REVISION),
            Part("type", _MESSAGE),
            Part("process.processType", _PROCESS, least=0),
            *_party("sender"),
            *_party("receiver"),
            Part("createdDateTime", _CREATED),
            Part("activation_Time_Period.timeInterval", parts=_INTERVAL),
            Part("domain.mRID", _AREA, least=0, coded=True),
            *_party("subject", least=0),
            Part("order_MarketDocument.mRID", _mrid(mrid), least=0),
            Part("order_MarketDocument.revisionNumber", _REVISION, least=0),
            series,
        ),
    )


def _acknowledgement(version: int) -> Part:
    """8:0 and 8:1; identifications grew with 8:1."""
    mrid = MRID_MAX if version >= 1 else 35
    in_error = Part("InError_Period", parts=(Part("timeInterval", parts=_INTERVAL), _REASONS), least=0, most=None)
    series = Part(
        "Rejected_TimeSeries",
        parts=(Part("mRID", _mrid(mrid)), Part("version", _REVISION, least=0), in_error, _REASON),
        least=0,
        most=None,
    )
    return Part(
        "Acknowledgement_MarketDocument",
        parts=(
            Part("mRID", _mrid(mrid)),
            Part("createdDateTime", _CREATED),
            *_party("sender"),
            *_party("receiver", role_least=0),
            Part("received_MarketDocument.mRID", _mrid(mrid), least=0),
            Part("received_MarketDocument.revisionNumber", _REVISION, least=0),
            Part("received_MarketDocument.type", _MESSAGE, least=0),
            Part("received_MarketDocument.process.processType", _PROCESS, least=0),
            Part("received_MarketDocument.title", _text(150), least=0),
            Part("received_MarketDocument.createdDateTime", _CREATED, least=0),
            series,
            _REASONS,
            in_error,
        ),
    )


def _measurement_value() -> Part:
    """1:1."""
    series = Part(
        "TimeSeries",
        parts=(
            Part("mRID", _mrid(MRID_MAX)),
            Part("businessType", _BUSINESS),
            Part("product", _code("EnergyProduct", codes.PRODUCTS)),
            Part("curveType", _code("CurveType", codes.CURVES)),
            Part("in_Domain.mRID", _AREA, coded=True),
            Part("out_Domain.mRID", _AREA, coded=True),
            Part("marketParticipant.mRID", _PARTY, least=0, coded=True),
            Part("marketEvaluationPoint.mRID", _mrid(MRID_MAX), least=0, coded=True),
            Part("measurement_Unit.name", _UNIT),
            _period(Part("quantity", _QUANTITY, least=0), Part("quality", _code("Quality", codes.QUALITIES), least=0)),
        ),
        most=None,
    )
    return Part(
        "MeasurementValue_MarketDocument",
        parts=(
            Part("mRID", _mrid(MRID_MAX)),
            Part("revisionNumber", _REVISION),
            Part("type", _MESSAGE),
            Part("process.processType", _PROCESS),
            *_party("sender"),
            *_party("receiver"),
            Part("createdDateTime", _CREATED),
            Part("period.timeInterval", parts=_INTERVAL),
            Part("domain.mRID", _AREA, coded=True),
            series,
        ),
    )


ACTIVATION: Mapping[str, Part] = {
    f"urn:iec62325.351:tc57wg16:451-7:activationdocument:6:{version}": _activation(version) for version in range(5)
}
ACKNOWLEDGEMENT: Mapping[str, Part] = {
    f"urn:iec62325.351:tc57wg16:451-1:acknowledgementdocument:8:{version}": _acknowledgement(version)
    for version in (0, 1)
}
MEASUREMENT_VALUE: Mapping[str, Part] = {
    "urn:iec62325.351:tc57wg16:451-n:measurementvaluedocument:1:1": _measurement_value()
}


def reader(schemas: Mapping[str, Part]) -> Reader:
    """A reader of the documents of these schemas; a namespace is a version."""
    return Reader(tuple(schemas))


def checked(source: Reader, payload: bytes, schemas: Mapping[str, Part]) -> Element:
    """
    The document, whose every leaf has what its facet allows.

    Raises:
        MalformedError: It departs from its schema.
    """
    root = source.read(payload)
    schema = schemas[source.namespace]
    if root.name != schema.name:
        raise MalformedError(f"the document is {found(root.name)}; accepted is {schema.name}")
    _check(root, schema)
    return root


def written(root: Element, schemas: Mapping[str, Part], namespace: str | None = None) -> bytes:
    """
    The document as the payload that its receiver will accept; by default in the newest version.

    Raises:
        ValueError: The standard has no place for what stands in it.
    """
    payload = write(root, namespace or list(schemas)[-1])
    try:
        checked(reader(schemas), payload, schemas)
    except MalformedError as error:
        raise ValueError(f"{root.name} cannot be written: {error}") from None
    return payload


def _check(element: Element, part: Part) -> None:
    _check_attributes(element, part)
    if part.facet is not None:
        _check_leaf(element, part.facet)
        return
    if not element.children and element.text.strip(_WHITE):
        raise MalformedError(
            f"{element.where} is {found(element.text.strip(_WHITE))}; accepted is {part.parts[0].name}"
        )
    children = element.children
    at = 0
    for of in part.parts:
        first = at
        while at < len(children) and children[at].name == of.name:
            _check(children[at], of)
            at += 1
        if at - first < of.least:
            instead = f"found is {found(children[at].name)}" if at < len(children) else "found is its end"
            raise MalformedError(f"{element.where} has no {of.name}; {instead}, accepted is {of.name}")
        if of.most is not None and at - first > of.most:
            raise MalformedError(f"{children[first + of.most].where} stands once more; accepted is {of.most} of it")
    if at < len(children):
        raise MalformedError(f"{children[at].where} is not expected here; {_order(part, children[at])}")


def _order(part: Part, element: Element) -> str:
    names = [one.name for one in part.parts]
    if element.name in names[1:]:
        return f"accepted is it after {names[names.index(element.name) - 1]}"
    return f"accepted are {', '.join(names)}"


def _check_attributes(element: Element, part: Part) -> None:
    accepted = ("codingScheme",) if part.coded else ()
    for name in element.attributes:
        if name not in accepted:
            raise MalformedError(
                f"{element.where} has the attribute {found(name)}; accepted is {accepted[0] if accepted else 'none'}"
            )
    if part.coded:
        scheme = element.attributes.get("codingScheme")
        if scheme is None or not _SCHEME.allows(scheme):
            raise MalformedError(
                f"{element.path}/@codingScheme (line {element.line}) is {found(scheme)}; accepted is {_SCHEME.accepted}"
            )


def _check_leaf(element: Element, facet: Facet) -> None:
    if element.children:
        raise MalformedError(
            f"{element.where} has {found(element.children[0].name)} in it; accepted is {facet.accepted}"
        )
    if facet.collapsed:
        element.text = element.text.strip(_WHITE)
    if not facet.allows(element.text):
        raise MalformedError(f"{element.where} is {found(element.text)}; accepted is {facet.accepted}")
