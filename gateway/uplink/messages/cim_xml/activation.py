"""
The activation document (IEC 62325-451-7) and the orders that it is: each time series one.

    businessType  type            direction        is                   quantity
    C55           A36 A39 A40 A96 A02 down         limit_active_power   what may still be produced
    A76           likewise        A01 up           limit_import         what may still be consumed
    A85           likewise        A01 +, A02 -     set_active_power     the set-point
    A85           B50             A01 +, A02 -     set_reactive_power   the set-point, + over-excited

Quantities have no sign: up is more generation, as in our frame. A period of one point is a value, of several a
schedule. `marketObjectStatus.status` A10 (ordered) and A31 (modified) order; A09 and A13, or a document of type A36
(deactivation), take back the order of the same mRIDs, or of the document that `order_MarketDocument.mRID` names.
A delta to a baseline (A46) and reserve products (A95, A96, A97) have no word in the contract and are refused.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from math import gcd

from gateway.model import Activation, Cancellation, Refusal, Schedule
from gateway.uplink.messages.activation import STEPS_MAX
from gateway.uplink.messages.cim_xml import codes
from gateway.uplink.messages.cim_xml.document import Element
from gateway.uplink.messages.cim_xml.meaning import MEANINGS, Meaning
from gateway.uplink.messages.cim_xml.parties import Agreement, Mrid, order_id
from gateway.uplink.messages.cim_xml.schema import ACTIVATION, MRID_MAX, checked, reader
from gateway.uplink.messages.cim_xml.times import minute, resolution_s, seconds
from gateway.uplink.messages.parse import _digested as digested  # equal orders have equal digests, however they came
from gateway.uplink.messages.refusals import MalformedError, found, listed
from gateway.uplink.messages.strict import is_readable

Order = Activation | Cancellation | Refusal


class _RefusedError(Exception):
    """A document or a series that is well-formed, and yet no order for us; `code` is the contract's."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


def parse_order(payload: bytes, site: str, agreed: Agreement | None = None) -> tuple[Order, ...]:
    """
    The orders of an activation document for *site*, or why it is none: never an exception, and never nothing.

    A document that departs from its schema, or whose numbers do not fit together, is refused as a whole; a series that
    orders what the contract has no word for is refused alone. A refusal carries the id of what it refuses whenever it
    can be read and answered. With an *agreed* exchange the parties have to be its own.
    """
    source = reader(ACTIVATION)
    try:
        return _orders(checked(source, payload, ACTIVATION), site, agreed)
    except MalformedError as error:
        return (Refusal("malformed", str(error), *_identity(source.root)),)
    except _RefusedError as error:
        return (Refusal(error.code, str(error), *_identity(source.root)),)


def _identity(root: Element | None) -> tuple[str | None, int | None]:
    """The id of a refused document and its revision (1 where it cannot be read), if an answer can name it."""
    mrids = [] if root is None else list(root.all("mRID"))
    if root is None or len(mrids) != 1 or not is_readable(mrids[0].text) or len(mrids[0].text) > MRID_MAX:
        return None, None
    revision = root.said("revisionNumber") or ""
    readable = revision.isascii() and revision.isdecimal() and len(revision) <= 3 and int(revision) >= 1
    return order_id(mrids[0].text), int(revision) if readable else 1


def _orders(document: Element, site: str, agreed: Agreement | None) -> tuple[Order, ...]:
    kind = document["type"].text
    if kind not in codes.ORDERS:
        raise _RefusedError(
            "unsupported_function", f"{document['type'].where} is {found(kind)}; accepted are {listed(codes.ORDERS)}"
        )
    process = document.said("process.processType")
    if process not in codes.KIND_OF_PROCESS:
        accepted = listed(sorted(code for code in codes.KIND_OF_PROCESS if code))
        raise _RefusedError(
            "unsupported_function",
            f"{document['process.processType'].where} is {found(process)}; accepted are {accepted}",
        )
    if agreed is not None:
        _expect("unknown_target", document["receiver_MarketParticipant.mRID"], agreed.site.mrid)
        _expect("not_authorised", document["sender_MarketParticipant.mRID"], agreed.dso.mrid)
    series = list(document.all("TimeSeries"))
    if not series:
        raise MalformedError(f"{document.where} has no TimeSeries; accepted is at least one")
    mrids = [one["mRID"].text for one in series]
    for number, one in enumerate(series):
        if mrids[number] in mrids[:number]:
            raise MalformedError(f"{one['mRID'].where} is {found(mrids[number])} again; accepted is another in each")
    return tuple(_order(document, one, site, agreed) for one in series)


def _expect(code: str, element: Element, mrid: Mrid) -> None:
    read = Mrid(element.text, element.attributes["codingScheme"])
    if read != mrid:
        raise _RefusedError(
            code, f"{element.where} is {found(read.text)} ({read.scheme}); accepted is {mrid.text} ({mrid.scheme})"
        )


def _order(document: Element, series: Element, site: str, agreed: Agreement | None) -> Order:
    name, revision = document["mRID"].text, int(document["revisionNumber"].text)
    mrid, status, kind = series["mRID"].text, series["marketObjectStatus.status"].text, document["type"].text
    if kind == codes.DEACTIVATION or status in {codes.CANCELLED, codes.WITHDRAWN}:
        ordered = document.said("order_MarketDocument.mRID")
        of = int(document.said("order_MarketDocument.revisionNumber") or 1) if ordered else revision
        return digested(Cancellation(order_id(ordered or name, mrid), of))
    try:
        meaning = _meaning(document, series)
    except _RefusedError as error:
        return Refusal(error.code, str(error), order_id(name, mrid), revision)
    unit, power_of_ten = _unit(series, meaning)
    sign = -1 if meaning.direction is None and series["flowDirection.direction"].text == codes.DOWN else 1
    start, end, step_s, quantities = _steps(document, series)
    values = tuple(float(quantity.scaleb(power_of_ten)) * sign + 0.0 for quantity in quantities)  # -0.0 becomes 0.0
    return digested(
        Activation(
            id=order_id(name, mrid),
            revision=revision,
            issuer=document["sender_MarketParticipant.mRID"].text,
            issued=seconds(document["createdDateTime"].text),
            target=_target(series, site, agreed),
            function=meaning.function,
            value=values[0] if len(values) == 1 else None,
            unit=unit,
            schedule=None if len(values) == 1 else Schedule(step_s, values),
            kind=codes.KIND_OF_PROCESS[document.said("process.processType")],
            start=start,
            end=end,
            ramp_unit=f"{'var' if meaning.reactive else 'W'}/s",
        )
    )


def _meaning(document: Element, series: Element) -> Meaning:
    status = series["marketObjectStatus.status"].text
    ordering = (codes.ORDERED, codes.MODIFIED, codes.CANCELLED, codes.WITHDRAWN)
    if status not in ordering:
        raise _RefusedError("unsupported_function", _found(series, "marketObjectStatus.status", ordering))
    reactive = document["type"].text == codes.VOLTAGE_CONTROL
    of_type = {meaning.business: meaning for meaning in MEANINGS if meaning.reactive == reactive}
    meaning = of_type.get(series["businessType"].text)
    if meaning is None:
        raise _RefusedError("unsupported_function", _found(series, "businessType", of_type))
    directions = (codes.UP, codes.DOWN) if meaning.direction is None else (meaning.direction,)
    if series["flowDirection.direction"].text not in directions:
        raise _RefusedError("unsupported_function", _found(series, "flowDirection.direction", directions))
    return meaning


def _unit(series: Element, meaning: Meaning) -> tuple[str, int]:
    name = series["measurement_Unit.name"].text
    if name not in meaning.units:
        raise MalformedError(_found(series, "measurement_Unit.name", meaning.units))
    return meaning.units[name]


def _target(series: Element, site: str, agreed: Agreement | None) -> str:
    resource = series.get("registeredResource.mRID")
    if resource is None:
        return "pcc"
    named = {mrid: target for target, mrid in agreed.resources.items()} if agreed is not None else {}
    target = named.get(Mrid(resource.text, resource.attributes["codingScheme"]), resource.text)
    return "pcc" if target == site else target


def _steps(document: Element, series: Element) -> tuple[float, float, float, list[Decimal]]:
    """Start, end, seconds of a step, and a quantity for each step of the periods, which follow one another."""
    periods = list(series.all("Period"))
    if not periods:
        raise MalformedError(f"{series.where} has no Period; accepted is at least one")
    first, last = _interval(document, "activation_Time_Period.timeInterval")
    read: list[tuple[int, list[Decimal]]] = []
    at = begin = _interval(periods[0], "timeInterval")[0]
    for period in periods:
        start, end = _interval(period, "timeInterval")
        if start < first or end > last:
            raise MalformedError(
                f"{period['timeInterval'].where} is {minute(start)} to {minute(end)}; "
                f"accepted is within the document's, {minute(first)} to {minute(last)}"
            )
        if start != at:
            raise MalformedError(f"{period['timeInterval'].where} begins {minute(start)}; accepted is {minute(at)}")
        at = end
        read.append(_points(period, end - start))
    step_s = gcd(*(length_s for length_s, _ in read))
    if sum(len(points) * (length_s // step_s) for length_s, points in read) > STEPS_MAX:
        raise MalformedError(f"{series.where} has more than {STEPS_MAX} steps of {step_s} s; accepted are up to that")
    return (
        begin,
        at,
        float(step_s),
        [one for length_s, points in read for one in points for _ in range(length_s // step_s)],
    )


def _interval(parent: Element, name: str) -> tuple[float, float]:
    start, end = (seconds(parent[name][edge].text) for edge in ("start", "end"))
    if end <= start:
        raise MalformedError(f"{parent[name]['end'].where} is {minute(end)}; accepted is after {minute(start)}")
    return start, end


def _points(period: Element, length_s: float) -> tuple[int, list[Decimal]]:
    """Seconds of a step and the quantities of a period: one a step, in their order, and none left out."""
    text = period["resolution"].text
    step_s = resolution_s(text)
    points = list(period.all("Point"))
    if len(points) * step_s != length_s:
        raise MalformedError(
            f"{period.where} has {len(points)} points of {text}; "
            f"accepted are {length_s / step_s:g} in its {length_s:g} s"
        )
    for number, point in enumerate(points, start=1):
        if int(point["position"].text) != number:
            raise MalformedError(_found(point, "position", (str(number),)))
        if point["quantity"].text.startswith("-"):
            raise MalformedError(
                f"{point['quantity'].where} is negative; accepted is 0 or more, the direction is the sign"
            )
    return step_s, [Decimal(point["quantity"].text) for point in points]


def _found(parent: Element, name: str, accepted: Iterable[str]) -> str:
    return f"{parent[name].where} is {found(parent[name].text)}; accepted are {listed(accepted)}"
