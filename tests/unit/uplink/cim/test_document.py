"""What is let in as XML: nothing that a document of numbers does not need, and never an exception."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.model import Activation, Refusal
from gateway.uplink.messages.cim_xml.acknowledgement import read_acknowledgement
from gateway.uplink.messages.cim_xml.activation import parse_order
from gateway.uplink.messages.strict import PAYLOAD_MAX

SAMPLES = Path(__file__).parent / "samples"
SAMPLE = (SAMPLES / "activation.xml").read_bytes()
ACKNOWLEDGEMENT = (SAMPLES / "acknowledgement.xml").read_bytes()
ID = "ACT-20261025-0001"


def with_root(attributes: bytes) -> bytes:
    return SAMPLE.replace(b"<Activation_MarketDocument ", b"<Activation_MarketDocument " + attributes + b" ", 1)


def refused(payload: bytes) -> Refusal:
    (order,) = parse_order(payload, "pv-park-7")
    assert isinstance(order, Refusal), order
    return order


BOMB = b"<!DOCTYPE a [<!ENTITY a 'ha'>" + b"".join(
    b"<!ENTITY a%d '&a%d;&a%d;&a%d;&a%d;'>" % (n, n - 1, n - 1, n - 1, n - 1) for n in range(1, 30)
)


@pytest.mark.parametrize(
    ("payload", "detail", "id_"),
    [
        pytest.param(BOMB + b"]>" + SAMPLE, "a document type definition of 'a'", None, id="entity bomb"),
        pytest.param(
            b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>' + SAMPLE.replace(b">1<", b">&x;<", 1),
            "line 1, column 13: a document type definition of 'a'; accepted is a document without one",
            None,
            id="external entity",
        ),
        pytest.param(
            b'<!DOCTYPE a SYSTEM "http://example.org/a.dtd">' + SAMPLE,
            "document type definition",
            None,
            id="external DTD",
        ),
        pytest.param(SAMPLE.replace(b">120<", b">&x;<"), "undefined entity", ID, id="undefined entity"),
        pytest.param(
            SAMPLE.replace(b"<Period>", b"<?php do() ?><Period>"),
            "the processing instruction 'php'",
            ID,
            id="instruction",
        ),
        pytest.param(
            b'<?xml-stylesheet href="a.xsl"?>' + SAMPLE,
            "processing instruction 'xml-stylesheet'",
            None,
            id="stylesheet",
        ),
        pytest.param(
            SAMPLE.replace(b"document:6:4", b"document:7:0"),
            "document:7:0'; accepted is urn:iec62325.351",
            None,
            id="namespace",
        ),
        pytest.param(SAMPLE.replace(b' xmlns="', b' title="'), "in the namespace ''", None, id="no namespace"),
        pytest.param(
            with_root(b'xmlns:x="urn:other"'), "the namespace 'urn:other'", None, id="another namespace beside"
        ),
        pytest.param(
            SAMPLE.replace(b"<quantity>", b'<quantity xmlns="">', 1), "the namespace", ID, id="a namespace taken away"
        ),
        pytest.param(
            SAMPLE.replace(b"<mRID>1<", b'<mRID xmlns="urn:iec62325.351:tc57wg16:451-7:activationdocument:6:3">1<'),
            "'mRID' in the namespace 'urn:iec62325.351",
            ID,
            id="two versions in one document",
        ),
        pytest.param(b"<?xml version='1.0' encoding='UTF-16'?>" + SAMPLE, "encoding 'UTF-16'", None, id="encoding"),
        pytest.param(b"<?xml version='1.1'?>" + SAMPLE, "1.1", None, id="version"),
        pytest.param(SAMPLE.decode().encode("utf-16"), "is not UTF-8, by its first bytes", None, id="UTF-16"),
        pytest.param(SAMPLE.decode().encode("utf-16-be"), "is not UTF-8", None, id="UTF-16 without a mark"),
        pytest.param(SAMPLE.replace(b"SITE-0042", b"SITE-\xff"), "not well-formed", ID, id="not UTF-8"),
        pytest.param(SAMPLE.replace(b"SITE-0042", b"SITE\x00"), "not well-formed", ID, id="NUL"),
        pytest.param(SAMPLE[:-9], "not XML", ID, id="cut off"),
        pytest.param(SAMPLE + b"<a/>", "junk after document element", ID, id="something after the end"),
        pytest.param(b"", "no element found", None, id="empty"),
        pytest.param(b'{"schema": "activation/1"}', "not XML", None, id="JSON"),
        pytest.param(b" " * (PAYLOAD_MAX + 1), f"{PAYLOAD_MAX + 1} bytes", None, id="too long"),
        pytest.param(SAMPLE.replace(b"<Period>", b"<Period>" * 9), "'Period' nested too deep", ID, id="deep"),
        pytest.param(
            SAMPLE.replace(b"<Period>", b"<Period>" + b"<Point/>" * 20_000),
            "accepted is up to 16384 elements",
            ID,
            id="many",
        ),
        pytest.param(
            SAMPLE.replace(b"</Period>", b"so</Period>"), "the text 'so' in /Activation", ID, id="text between"
        ),
        pytest.param(ACKNOWLEDGEMENT, "acknowledgementdocument:8:1", None, id="another document"),
    ],
)
def test_what_no_document_needs_is_refused(payload: bytes, detail: str, id_: str | None) -> None:
    refusal = refused(payload)
    assert (refusal.code, refusal.id) == ("malformed", id_)
    assert detail in refusal.detail
    assert len(refusal.detail) < 1000  # an answer is short, whatever was sent


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(b'<?xml version="1.0" encoding="utf-8" standalone="yes"?>\n' + SAMPLE, id="declaration"),
        pytest.param(b"\xef\xbb\xbf" + SAMPLE, id="byte order mark"),
        pytest.param(
            re.sub(rb"<(/?)(?=\w)", rb"<\1c:", SAMPLE).replace(b" xmlns=", b" xmlns:c="),
            id="a prefix for the namespace",
        ),
        pytest.param(
            with_root(
                b'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
                b'xsi:schemaLocation="urn:iec62325.351:tc57wg16:451-7:activationdocument:6:4 a.xsd"'
            ),
            id="where a schema may be found",
        ),
        pytest.param(
            SAMPLE.replace(b">A96<", b">\n  A96\t<").replace(b">120<", b"> 120 <"), id="white space around codes"
        ),
        pytest.param(SAMPLE.replace(b">120<", b"><![CDATA[12]]>&#48;<"), id="other ways to write a text"),
        pytest.param(SAMPLE.replace(b"\n", b"\r\n"), id="line ends"),
    ],
)
def test_what_says_the_same_in_other_xml_is_the_same_order(payload: bytes) -> None:
    assert parse_order(payload, "pv-park-7") == parse_order(SAMPLE, "pv-park-7")
    assert isinstance(parse_order(payload, "pv-park-7")[0], Activation)


@pytest.mark.parametrize(
    ("old", "new", "detail"),
    [
        pytest.param(
            b"<mRID>ACT-", b"<mRID> ACT-", "/mRID (line 2) is ' ACT-20261025-0001'; accepted is 1 to 60", id="space"
        ),
        pytest.param(b"ACT-20261025-0001", b"A" * 61, "accepted is 1 to 60 printable characters", id="mRID too long"),
        pytest.param(b"<mRID>1<", b"<mRID>1#2<", "TimeSeries[1]/mRID (line 10) is '1#2'; accepted is 1 to 60", id="#"),
        pytest.param(b"<mRID>1<", b"<mRID><", "TimeSeries[1]/mRID (line 10) is ''; accepted is 1 to 60", id="empty"),
        pytest.param(b"10XDSO-EXAMPLE-X", b"10XDSO-EXAMPLE-XX", "accepted is 1 to 16 printable", id="party too long"),
        pytest.param(b"10YEXAMPLE-----1", b"10YEXAMPLE-------12", "accepted is 1 to 18 printable", id="area too long"),
        pytest.param(b"SITE-0042", b"S" * 61, "registeredResource.mRID (line 17) is 'SSS", id="resource too long"),
        pytest.param(
            b">1</revisionNumber>", b">0</revisionNumber>", "/revisionNumber (line 2) is '0'", id="revision 0"
        ),
        pytest.param(
            b">1</revisionNumber>", b">1000</revisionNumber>", "a whole number from 1 to 999", id="revision 1000"
        ),
        pytest.param(b">1</revisionNumber>", b">01</revisionNumber>", "a whole number from 1 to 999", id="revision 01"),
        pytest.param(
            b">A96<", b">A29<", "/type (line 2) is 'A29'; accepted is a code of the list MessageType", id="type"
        ),
        pytest.param(b">A41<", b">A76<", "accepted is a code of the list ProcessType", id="process"),
        pytest.param(b">A50<", b">A60<", "accepted is a code of the list Role", id="role"),
        pytest.param(b">C55<", b">A39<", "accepted is a code of the list BusinessType", id="business"),
        pytest.param(b">KWT<", b">kW<", "measurement_Unit.name (line 15) is 'kW'; accepted is a code", id="unit"),
        pytest.param(b">A02<", b">A99<", "accepted is a code of the list Direction", id="direction"),
        pytest.param(b">A10<", b">A77<", "accepted is a code of the list Status", id="status"),
        pytest.param(b'"NDE"', b'"DE"', "registeredResource.mRID/@codingScheme (line 17) is 'DE'", id="coding scheme"),
        pytest.param(b' codingScheme="NDE"', b"", "/@codingScheme (line 17) is missing", id="no coding scheme"),
        pytest.param(
            b"<type>", b'<type v="1">', "/type (line 2) has the attribute 'v'; accepted is none", id="attribute"
        ),
        pytest.param(b"41:12Z", b"41:12+00:00", "a UTC time with seconds: YYYY-MM-DDThh:mm:ssZ", id="offset"),
        pytest.param(b"2026-10-25T07:41:12Z", b"2026-02-29T07:41:12Z", "a UTC time with seconds", id="no such day"),
        pytest.param(
            b"2026-10-25T08:00Z", b"2026-10-25T08:00:00Z", "a UTC time in minutes: YYYY", id="interval with seconds"
        ),
        pytest.param(b"2026-10-25T08:00Z", b"0000-10-25T08:00Z", "a UTC time in minutes", id="year 0"),
        pytest.param(b">PT15M<", b">15min<", "is '15min'; accepted is a duration", id="resolution"),
        pytest.param(b">PT15M<", b">PT<", "is 'PT'; accepted is a duration", id="resolution without length"),
        pytest.param(b">PT15M<", b">PT0M<", "is 'PT0M'; accepted is a duration", id="resolution 0"),
        pytest.param(b"<position>1<", b"<position>0<", "a whole number from 1 to 999999", id="position 0"),
        pytest.param(b"<position>1<", b"<position>1000000<", "a whole number from 1 to 999999", id="position 1000000"),
        pytest.param(b">120<", b">1.2e2<", "a decimal number of up to 17 digits", id="exponent"),
        pytest.param(b">120<", b">NaN<", "a decimal number of up to 17 digits", id="not a number"),
        pytest.param(b">120<", b">.<", "a decimal number of up to 17 digits", id="no digit"),
        pytest.param(b">120<", b">120,5<", "a decimal number of up to 17 digits", id="comma"),
        pytest.param(b">120<", b">123456789012345678<", "a decimal number of up to 17 digits", id="18 digits"),
        pytest.param(b">120<", b">\xd9\xa1<", "a decimal number of up to 17 digits", id="digits of another script"),
        pytest.param(
            b"<type>A96</type>", b"", "has no type; found is 'process.processType', accepted is type", id="missing"
        ),
        pytest.param(
            b"<type>A96</type>", b"<type>A96</type><type>A96</type>", "/type[2] (line 2) stands once more", id="twice"
        ),
        pytest.param(
            b"<businessType>C55</businessType>",
            b"<price>1</price>",
            "has no businessType; found is 'price'",
            id="unknown",
        ),
        pytest.param(
            b"</TimeSeries>",
            b"<type>A96</type></TimeSeries>",
            "is not expected here; accepted are mRID",
            id="elsewhere",
        ),
        pytest.param(
            b"</TimeSeries>", b"<mRID>2</mRID></TimeSeries>", "mRID[2] (line 20) is not expected here", id="order"
        ),
        pytest.param(b">120<", b"><quantity>1</quantity><", "has 'quantity' in it; accepted is a decimal", id="nested"),
    ],
)
def test_each_facet_is_checked_and_the_answer_says_where(old: bytes, new: bytes, detail: str) -> None:
    assert old in SAMPLE
    refusal = refused(SAMPLE.replace(old, new))
    assert refusal.code == "malformed"
    assert detail in refusal.detail
    assert "accepted" in refusal.detail
    assert refusal.id == (None if b"A" * 61 in new else ID if b"<mRID> " not in new else " " + ID)


@pytest.mark.parametrize(
    ("mrid", "id_"),
    [
        (b"<mRID>ACT-1</mRID>", "ACT-1"),
        (b"<mRID>ACT#1</mRID>", "ACT#1#"),
        (b"<mRID>A</mRID><mRID>B</mRID>", None),
        (b"<mRID>A\nB</mRID>", None),
        (b"<mRID></mRID>", None),
    ],
)
def test_an_id_that_is_one_and_legible_is_answered_even_if_the_rest_is_not(mrid: bytes, id_: str | None) -> None:
    payload = SAMPLE.replace(b"<mRID>ACT-20261025-0001</mRID>", mrid).replace(b">KWT<", b">kW<")
    refusal = refused(payload)
    assert (refusal.id, refusal.revision) == (id_, None if id_ is None else 1)


@given(st.binary(max_size=300))
def test_no_bytes_are_an_exception(payload: bytes) -> None:
    assert isinstance(parse_order(payload, "pv-park-7")[0], Refusal)
    assert isinstance(read_acknowledgement(payload), Refusal)


PIECES = [
    b"<", b">", b"/", b"&", b"&#0;", b"&#x110000;", b"]]>", b"<!--", b"-->", b"<![CDATA[", b"<?", b"?>",
    b"<!DOCTYPE a>", b"\x00", b"\xff", b"\xed\xa0\x80", b"-", b"e", b".", b"9" * 40, b"T", b"Z", b"P", b" ",
    b"#", b"0", b"=",
    b' xmlns="a"', b"A09", b"A36", b"<mRID>", b"</mRID>", b"<Reason><code>A01</code></Reason>", b"<Period>",
    b"</Period>", b"<Point>", b"9999-12-31T23:59Z", b"0001-01-01T00:00Z", b"P999999D", b"PT1S",
]  # fmt: skip


@given(st.sampled_from([SAMPLE, ACKNOWLEDGEMENT]), st.randoms(use_true_random=False), st.integers(1, 4))
@settings(max_examples=400, deadline=None)
def test_no_change_of_a_sample_is_an_exception(sample: bytes, chance: random.Random, changes: int) -> None:
    payload = sample
    words = re.findall(rb"[^<>\s]+|<[^>]*>", sample)
    for _ in range(changes):
        start = chance.randrange(len(payload))
        end = min(len(payload), start + chance.choice([0, 1, 1, 5, 40]))
        match chance.randrange(3):
            case 0:
                payload = payload[:start] + chance.choice(PIECES) + payload[end:]
            case 1:
                payload = payload[:start] + payload[start:end] * 2 + payload[end:]
            case _:
                payload = payload.replace(chance.choice(words), chance.choice([*PIECES, *words]), 1)
    orders = parse_order(payload, "pv-park-7")
    assert orders
    for order in orders:
        if isinstance(order, Refusal):
            assert order.code in {"malformed", "unsupported_function"}
            assert 0 < len(order.detail) < 1000
            assert (order.id is None) == (order.revision is None)
        else:
            assert 1 <= len(order.id) <= 121
    read_acknowledgement(payload)
