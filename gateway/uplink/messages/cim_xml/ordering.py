"""
Orders as an activation document: those of a DSO, and what a site says back of their life.

What is written is read again before it leaves. An order that the standard has no words for (a ramp, a tolerance, an
order without end, a function without a business type) is not written rather than written as something else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import fields, replace

from gateway.model import Ack, Activation, Cancellation, Refusal, Status
from gateway.uplink.messages.cim_xml import codes
from gateway.uplink.messages.cim_xml.activation import Order, parse_order
from gateway.uplink.messages.cim_xml.document import Element, leaf
from gateway.uplink.messages.cim_xml.leaves import interval, quantity
from gateway.uplink.messages.cim_xml.meaning import FUNCTIONS, MEANINGS, Meaning
from gateway.uplink.messages.cim_xml.parties import Agreement, Mrid, split_id
from gateway.uplink.messages.cim_xml.schema import ACTIVATION, written
from gateway.uplink.messages.cim_xml.times import duration, second
from gateway.uplink.messages.refusals import listed

_RESPONSE = "A41"
STATUS_OF = {
    Status.ACCEPTED: "A10",  # ordered
    Status.REJECTED: "A34",
    Status.STARTED: "A07",  # activated
    Status.EFFECTIVE: "A07",
    Status.DEVIATING: "A07",
    Status.COMPLETED: "A03",  # deactivated
    Status.CANCELLED: "A09",
    Status.SUPERSEDED: "A31",  # modified
    Status.EXPIRED: "A76",  # timed out
    Status.FAILED: "A11",  # unavailable
}
"""`marketObjectStatus.status` of each status; `received` has none."""


def activation(
    orders: Sequence[Activation], agreed: Agreement, *, status: str = codes.ORDERED, namespace: str | None = None
) -> bytes:
    """
    The document that orders these activations, of one document and revision; status A09 takes them back.

    Raises:
        ValueError: The standard cannot say what they say: a reader would take something else for it.
    """
    if not orders:
        raise ValueError("a document has at least one order")
    first = orders[0]
    head = [
        leaf("mRID", split_id(first.id)[0]),
        leaf("revisionNumber", str(first.revision)),
        leaf("type", codes.VOLTAGE_CONTROL if _meaning_of(first).reactive else codes.REDISPATCH),
        leaf("process.processType", _process(first)),
        *agreed.dso.written("sender"),
        *agreed.site.written("receiver"),
        leaf("createdDateTime", second(first.issued)),
    ]
    payload = _written(head, [], [_series(order, agreed, status) for order in orders], orders, namespace)
    for order, back in zip(orders, parse_order(payload, "", agreed), strict=False):  # a document is refused once
        if (difference := _difference(order, back, status)) is not None:
            raise ValueError(f"{order.id} cannot be ordered by an activation document: {difference}")
    return payload


def response(site: str, order: Activation, ack: Ack, agreed: Agreement) -> bytes | None:
    """
    The document (type A41) that says where an order stands, beside its acknowledgement; None: the standard has no word.

    Raises:
        ValueError: The order is none that an activation document can carry.
    """
    if ack.status not in STATUS_OF:
        return None
    document = split_id(order.id)[0]
    named = f"{site} {ack.id} {ack.revision} {ack.n}"
    head = [
        leaf("mRID", f"RES-{hashlib.sha256(named.encode()).hexdigest()[:31]}"),  # 35 characters fit in every version
        leaf("revisionNumber", "1"),
        leaf("type", _RESPONSE),
        leaf("process.processType", _process(order)),
        *agreed.site.written("sender"),
        *agreed.dso.written("receiver"),
        leaf("createdDateTime", second(ack.time)),
    ]
    answered = [
        leaf("order_MarketDocument.mRID", document),
        leaf("order_MarketDocument.revisionNumber", str(ack.revision)),
    ]
    return _written(head, answered, [_series(order, agreed, STATUS_OF[ack.status])], [order], None)


def _written(
    head: list[Element],
    answered: list[Element],
    series: list[Element],
    orders: Sequence[Activation],
    namespace: str | None,
) -> bytes:
    spans = [_span(order) for order in orders]
    whole = min(start for start, _ in spans), max(end for _, end in spans)
    children = [*head, interval("activation_Time_Period.timeInterval", *whole), *answered, *series]
    return written(Element("Activation_MarketDocument", children=children), ACTIVATION, namespace)


def _difference(order: Activation, back: Order, status: str) -> str | None:
    """What a reader would not find as it was ordered; None: nothing."""
    if isinstance(back, Refusal):
        return back.detail
    if status in {codes.CANCELLED, codes.WITHDRAWN}:
        return None if isinstance(back, Cancellation) and back.id == order.id else f"it would be read as {back.id}"
    found = replace(back, digest=order.digest)
    differing = (
        f"{field.name} is {getattr(order, field.name)!r}, and would be read as {getattr(found, field.name)!r}"
        for field in fields(order)
        if getattr(order, field.name) != getattr(found, field.name)
    )
    return "; ".join(differing) or None


def _process(order: Activation) -> str:
    if order.kind not in codes.PROCESS_OF_KIND:
        raise ValueError(
            f"{order.id} is of the kind {order.kind}; an activation document has {listed(codes.PROCESS_OF_KIND)}"
        )
    return codes.PROCESS_OF_KIND[order.kind]


def _meaning_of(order: Activation) -> Meaning:
    meaning = next((one for one in MEANINGS if one.function == order.function), None)
    if meaning is None:
        raise ValueError(
            f"{order.id} has the function {order.function}; an activation document has {listed(FUNCTIONS)}"
        )
    return meaning


def _span(order: Activation) -> tuple[float, float]:
    if order.start is None or order.end is None:
        raise ValueError(f"{order.id} has no start or no end; an activation document has both")
    return order.start, order.end


def _series(order: Activation, agreed: Agreement, status: str) -> Element:
    meaning = _meaning_of(order)
    start, end = _span(order)
    values = order.schedule.values if order.schedule is not None else (order.value or 0.0,)
    step_s = order.schedule.resolution_s if order.schedule is not None else end - start
    direction = meaning.direction or (codes.DOWN if min(values) < 0 else codes.UP)
    sign = -1 if meaning.direction is None and direction == codes.DOWN else 1
    if order.unit not in codes.WRITTEN:
        raise ValueError(f"{order.id} has the unit {order.unit}; a document has {listed(codes.WRITTEN)}")
    unit = codes.WRITTEN[order.unit]
    period = Element("Period", children=[interval("timeInterval", start, end), leaf("resolution", duration(step_s))])
    for position, value in enumerate(values, start=1):
        text = quantity(value * sign, unit)
        period.children.append(Element("Point", children=[leaf("position", str(position)), leaf("quantity", text)]))
    resource = agreed.resources.get(order.target) or (Mrid(order.target) if order.target != "pcc" else None)
    return Element(
        "TimeSeries",
        children=[
            leaf("mRID", split_id(order.id)[1]),
            agreed.site.mrid.written("resourceProvider_MarketParticipant.mRID"),
            leaf("businessType", meaning.business),
            agreed.domain.written("acquiring_Domain.mRID"),
            agreed.domain.written("connecting_Domain.mRID"),
            leaf("measurement_Unit.name", unit),
            leaf("flowDirection.direction", direction),
            leaf("marketObjectStatus.status", status),
            *([resource.written("registeredResource.mRID")] if resource is not None else []),
            period,
        ],
    )
