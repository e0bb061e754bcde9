"""What a site says of an order's life in the standard's own words: a response document with a status."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest

from gateway.model import Ack, Activation, Kind, Refusal, Status
from gateway.uplink.messages.cim_xml.activation import parse_order
from gateway.uplink.messages.cim_xml.ordering import response
from gateway.uplink.messages.cim_xml.parties import Agreement

NS = "{urn:iec62325.351:tc57wg16:451-7:activationdocument:6:4}"
ORDER = Activation(
    id="ACT-1#1",
    revision=7,
    issuer="10XDSO-EXAMPLE-X",
    issued=1792914072.0,
    target="pcc",
    function="limit_active_power",
    value=60_000.0,
    unit="W",
    start=1792915200.0,
    end=1792917000.0,
)
ACK = Ack(id="ACT-1#1", revision=7, n=3, status=Status.STARTED, time=1792915204.21)


def said(agreed: Agreement, status: Status, name: str) -> str | None:
    payload = response("pv-park-7", ORDER, replace(ACK, status=status), agreed)
    assert payload is not None
    return next((element.text for element in ET.fromstring(payload).iter(f"{NS}{name}")), None)


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (Status.ACCEPTED, "A10"),
        (Status.REJECTED, "A34"),
        (Status.STARTED, "A07"),
        (Status.EFFECTIVE, "A07"),
        (Status.DEVIATING, "A07"),
        (Status.COMPLETED, "A03"),
        (Status.CANCELLED, "A09"),
        (Status.SUPERSEDED, "A31"),
        (Status.EXPIRED, "A76"),
        (Status.FAILED, "A11"),
    ],
)
def test_each_status_has_its_code(agreed: Agreement, status: Status, code: str) -> None:
    assert said(agreed, status, "marketObjectStatus.status") == code


def test_what_is_only_received_has_no_response(agreed: Agreement) -> None:
    assert response("pv-park-7", ORDER, replace(ACK, status=Status.RECEIVED), agreed) is None


def test_it_names_the_order_and_goes_from_the_site_to_the_dso(agreed: Agreement) -> None:
    assert said(agreed, Status.STARTED, "type") == "A41"
    assert said(agreed, Status.STARTED, "order_MarketDocument.mRID") == "ACT-1"
    assert said(agreed, Status.STARTED, "order_MarketDocument.revisionNumber") == "7"
    assert said(agreed, Status.STARTED, "sender_MarketParticipant.mRID") == "10XAGG-EXAMPLE-Y"
    assert said(agreed, Status.STARTED, "receiver_MarketParticipant.mRID") == "10XDSO-EXAMPLE-X"
    assert said(agreed, Status.STARTED, "createdDateTime") == "2026-10-25T08:00:04Z"
    assert said(agreed, Status.STARTED, "quantity") == "60"


def test_each_acknowledgement_has_a_response_of_its_own(agreed: Agreement) -> None:
    first, again, other = (response("s", ORDER, replace(ACK, n=n), agreed) for n in (1, 1, 2))
    assert first == again != other


def test_a_response_that_comes_back_is_no_order(agreed: Agreement) -> None:
    payload = response("pv-park-7", ORDER, ACK, agreed)
    assert payload is not None
    (refusal,) = parse_order(payload, "pv-park-7")
    assert isinstance(refusal, Refusal)
    assert refusal.code == "unsupported_function"


@pytest.mark.parametrize("changes", [{"end": None}, {"function": "connect"}, {"kind": Kind.LOCAL}])
def test_an_order_that_no_document_has_brought_has_no_response(agreed: Agreement, changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="an activation document has"):
        response("pv-park-7", replace(ORDER, **changes), ACK, agreed)  # type: ignore[arg-type]
