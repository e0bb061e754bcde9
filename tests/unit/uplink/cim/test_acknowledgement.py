"""How our acknowledgements stand in the standard's document, and how they are found in it again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.model import Ack, Refusal, Status
from gateway.uplink.messages.cim_xml.acknowledgement import REASON_OF, acknowledgement, read_acknowledgement
from gateway.uplink.messages.cim_xml.parties import Agreement, order_id
from gateway.uplink.messages.cim_xml.schema import ACKNOWLEDGEMENT, checked, reader, written

NS = "{urn:iec62325.351:tc57wg16:451-1:acknowledgementdocument:8:1}"
ACK = Ack(id="ACT-1#1", revision=2, n=3, status=Status.EFFECTIVE, time=1792915204.21, requested=60e3, unit="W")


def codes(payload: bytes, path: str = f"{NS}Reason") -> list[str | None]:
    return [code.text for code in ET.fromstring(payload).findall(f"{path}/{NS}code")]


def text(payload: bytes, name: str) -> str | None:
    return ET.fromstring(payload).findtext(f"{NS}{name}")


def test_the_sample_is_an_acceptance_and_is_written_as_it_was_read(sample: Callable[[str], bytes]) -> None:
    (ack,) = read_acknowledgement(sample("acknowledgement"))  # type: ignore[misc]
    assert ack == Ack(id="ACT-20261025-0001", revision=1, n=1, status=Status.ACCEPTED, time=1792914073.0)
    document = checked(reader(ACKNOWLEDGEMENT), sample("acknowledgement"), ACKNOWLEDGEMENT)
    rewritten = written(document, ACKNOWLEDGEMENT)
    assert ET.canonicalize(rewritten, strip_text=True) == ET.canonicalize(sample("acknowledgement"), strip_text=True)


def test_it_names_the_document_its_revision_and_when_it_was_issued(agreed: Agreement) -> None:
    payload = acknowledgement("pv-park-7", ACK, agreed=agreed, issued=1792914072.0)
    assert text(payload, "received_MarketDocument.mRID") == "ACT-1"
    assert text(payload, "received_MarketDocument.revisionNumber") == "2"
    assert text(payload, "received_MarketDocument.createdDateTime") == "2026-10-25T07:41:12Z"
    assert text(payload, "createdDateTime") == "2026-10-25T08:00:04Z"
    assert text(payload, "sender_MarketParticipant.mRID") == "10XAGG-EXAMPLE-Y"
    assert text(payload, "receiver_MarketParticipant.mRID") == "10XDSO-EXAMPLE-X"


def test_the_same_acknowledgement_is_the_same_document_and_another_has_another_mrid(agreed: Agreement) -> None:
    first, again = (acknowledgement("pv-park-7", ACK, agreed=agreed) for _ in range(2))
    assert first == again
    others = [("pv-park-8", ACK), ("pv-park-7", replace(ACK, n=4)), ("pv-park-7", replace(ACK, revision=3))]
    mrids = {text(acknowledgement(site, ack, agreed=agreed), "mRID") for site, ack in others}
    assert len(mrids | {text(first, "mRID")}) == 4


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (Status.RECEIVED, None, ["A95"]),
        (Status.ACCEPTED, None, ["A01", "A95"]),
        (Status.STARTED, None, ["A95"]),
        (Status.EFFECTIVE, None, ["A95"]),
        (Status.DEVIATING, "device_offline", ["B59", "A95"]),
        (Status.DEVIATING, "overridden", ["A96", "A95"]),
        (Status.DEVIATING, "resource_short", ["A65", "A95"]),
        (Status.DEVIATING, "write_failed", ["B18", "A95"]),
        (Status.COMPLETED, None, ["A95"]),
        (Status.CANCELLED, None, ["A95"]),
        (Status.SUPERSEDED, None, ["A95"]),
        (Status.EXPIRED, None, ["A57", "A95"]),
        (Status.FAILED, None, ["B18", "A95"]),
    ],
)
def test_each_status_has_its_reason(agreed: Agreement, status: Status, code: str | None, expected: list[str]) -> None:
    assert codes(acknowledgement("s", replace(ACK, status=status, code=code), agreed=agreed)) == expected


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("malformed", "A94"),
        ("unknown_target", "A64"),
        ("unsupported_function", "A62"),
        ("out_of_range", "A65"),
        ("expired", "A57"),
        ("too_old", "A57"),
        ("stale_revision", "A51"),
        ("not_authorised", "A78"),
        ("bad_signature", "A78"),
        ("grid_state", "A59"),
        ("clock_not_trusted", "A96"),
        ("conflict", "A51"),
        ("overloaded", "A96"),
        ("another", "999"),
    ],
)
def test_each_code_of_the_contract_rejects_with_its_reason(agreed: Agreement, code: str, reason: str) -> None:
    rejected = replace(ACK, status=Status.REJECTED, code=code, detail="so it is")
    series = acknowledgement("s", rejected, agreed=agreed)
    assert codes(series) == ["A02", "A95"]
    assert codes(series, f"{NS}Rejected_TimeSeries/{NS}Reason") == ["A20", reason]
    assert ET.fromstring(series).findtext(f"{NS}Rejected_TimeSeries/{NS}mRID") == "1"
    document = acknowledgement("s", replace(rejected, id="ACT-1"), agreed=agreed)
    assert codes(document) == ["A02", reason, "A95"]
    assert b"Rejected_TimeSeries" not in document


def test_the_orders_of_one_document_are_acknowledged_together(agreed: Agreement) -> None:
    acks = (
        replace(ACK, status=Status.ACCEPTED),
        replace(ACK, id="ACT-1#2", status=Status.REJECTED, code="out_of_range", detail="too much"),
        replace(ACK, id="ACT-1#3", status=Status.ACCEPTED),
    )
    payload = acknowledgement("s", *acks, agreed=agreed)
    assert codes(payload) == ["A03", "A95", "A95", "A95"]
    assert codes(payload, f"{NS}Rejected_TimeSeries/{NS}Reason") == ["A20", "A65"]
    assert read_acknowledgement(payload) == acks


@pytest.mark.parametrize(
    "acks",
    [
        pytest.param((), id="none"),
        pytest.param((ACK, replace(ACK, id="ACT-2#1")), id="two documents"),
        pytest.param((ACK, replace(ACK, revision=9)), id="two revisions"),
        pytest.param((replace(ACK, id="x" * 61),), id="an id beyond the facet"),
    ],
)
def test_what_is_not_of_one_document_is_not_written(agreed: Agreement, acks: tuple[Ack, ...]) -> None:
    with pytest.raises(ValueError, match=r"one revision of one document|received_MarketDocument\.mRID"):
        acknowledgement("s", *acks, agreed=agreed)


def test_a_revision_beyond_the_facet_is_left_out(agreed: Agreement) -> None:
    payload = acknowledgement("s", replace(ACK, revision=1000), agreed=agreed)
    assert text(payload, "received_MarketDocument.revisionNumber") is None


@pytest.mark.parametrize("status", Status)
def test_a_detail_that_is_too_long_is_cut_and_what_is_no_character_is_replaced(
    agreed: Agreement, status: Status
) -> None:
    (back,) = read_acknowledgement(  # type: ignore[misc]
        acknowledgement("s", replace(ACK, status=status, detail="ä<&\x00\ud800" * 300), agreed=agreed)
    )
    assert back.status is status
    assert back.detail is not None
    assert back.detail.startswith("ä<&")
    assert back.detail.endswith("…")
    assert len(back.detail) <= 512


MRIDS = st.text(
    st.characters(min_codepoint=33, max_codepoint=0x2FF, exclude_categories=("C", "Z")), min_size=1, max_size=60
)
SERIES = st.just("") | MRIDS.filter(lambda mrid: "#" not in mrid)
POWERS = st.none() | st.floats(allow_nan=False, allow_infinity=False)
WORDS = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=80)


@st.composite
def acks(draw: st.DrawFn) -> Ack:
    return Ack(
        id=order_id(draw(MRIDS), draw(SERIES)),
        revision=draw(st.integers(min_value=1, max_value=999)),
        n=draw(st.integers(min_value=1, max_value=2**53)),
        status=draw(st.sampled_from(list(Status))),
        time=draw(st.integers(min_value=0, max_value=10**13)) / 1000,
        requested=draw(POWERS),
        applied=draw(POWERS),
        measured=draw(POWERS),
        unit=draw(st.sampled_from([None, "W", "var"])),
        code=draw(st.none() | st.sampled_from([*REASON_OF, "another"])),
        detail=draw(st.none() | WORDS),
    )


@given(ack=acks())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_what_is_written_is_read_as_the_same_acknowledgement(agreed: Agreement, ack: Ack) -> None:
    assert read_acknowledgement(acknowledgement("pv-park-7", ack, agreed=agreed)) == (ack,)


FOREIGN = b"""<Acknowledgement_MarketDocument xmlns="urn:iec62325.351:tc57wg16:451-1:acknowledgementdocument:8:0">
<mRID>A</mRID><createdDateTime>2026-10-25T08:00:00Z</createdDateTime>
<sender_MarketParticipant.mRID codingScheme="A01">X</sender_MarketParticipant.mRID>
<sender_MarketParticipant.marketRole.type>A50</sender_MarketParticipant.marketRole.type>
<receiver_MarketParticipant.mRID codingScheme="A01">Y</receiver_MarketParticipant.mRID>
<received_MarketDocument.mRID>D</received_MarketDocument.mRID>@@</Acknowledgement_MarketDocument>"""
LATE = b"<Reason><code>A57</code><text>too late</text></Reason>"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(b"<Reason><code>A02</code></Reason>" + LATE, [("D", "rejected", "expired", "too late")], id="A02"),
        pytest.param(
            b"<Rejected_TimeSeries><mRID>7</mRID>" + LATE + b"</Rejected_TimeSeries><Reason><code>A03</code></Reason>",
            [("D#7", "rejected", "expired", "too late")],
            id="A03",
        ),
        pytest.param(
            b"<Reason><code>A01</code></Reason><Reason><code>A95</code><text>{}</text></Reason>",
            [("D", "accepted", None, "{}")],
            id="A95 of another",
        ),
    ],
)
def test_a_document_of_another_maker_is_understood(content: bytes, expected: list[tuple[str | None, ...]]) -> None:
    read = read_acknowledgement(FOREIGN.replace(b"@@", content))
    assert not isinstance(read, Refusal), read
    assert [(ack.id, str(ack.status), ack.code, ack.detail) for ack in read] == expected


@pytest.mark.parametrize(
    ("content", "detail"),
    [
        (LATE, "Reason[1]/code (line 6) is 'A57'; accepted are A01, A02, A03, B70"),
        (b"<Reason><code>A03</code></Reason>", "has no Rejected_TimeSeries; accepted is at least one beside A03"),
        (b"", "has no Reason; found is its end, accepted is Reason"),
    ],
)
def test_what_acknowledges_nothing_is_refused(content: bytes, detail: str) -> None:
    read = read_acknowledgement(FOREIGN.replace(b"@@", content))
    assert isinstance(read, Refusal)
    assert read.code == "malformed"
    assert detail in read.detail
