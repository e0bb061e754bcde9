"""
An independent judge: the models that entsoe-apy has generated from ENTSO-E's own XSDs.

They know the elements, their order, how often, and the lists of codes; their metadata tells lengths and patterns.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from enum import Enum
from importlib import import_module
from typing import Any

import pytest
from xsdata.formats.dataclass.parsers.config import ParserConfig
from xsdata_pydantic.bindings import XmlContext, XmlParser, XmlSerializer

from gateway.model import Ack, Activation, Frame, Kind, Quality, Schedule, Status
from gateway.uplink.messages.cim_xml import schema
from gateway.uplink.messages.cim_xml.acknowledgement import acknowledgement, read_acknowledgement
from gateway.uplink.messages.cim_xml.activation import parse_order
from gateway.uplink.messages.cim_xml.measurement import measurements
from gateway.uplink.messages.cim_xml.ordering import activation, response
from gateway.uplink.messages.cim_xml.parties import Agreement
from gateway.uplink.messages.cim_xml.schema import Facet, Part

CONTEXT = XmlContext()
NEWEST = "urn:iec62325.351:tc57wg16:451-7:activationdocument:6:4"
MODELS = {
    **{
        f"urn:iec62325.351:tc57wg16:451-7:activationdocument:6:{version}": (
            f"iec62325_451_7_activationdocument_v6_{version}",
            "ActivationMarketDocument",
        )
        for version in range(5)
    },
    **{
        f"urn:iec62325.351:tc57wg16:451-1:acknowledgementdocument:8:{version}": (
            f"iec62325_451_1_acknowledgement_v8_{version}",
            "AcknowledgementMarketDocument",
        )
        for version in (0, 1)
    },
    "urn:iec62325.351:tc57wg16:451-n:measurementvaluedocument:1:1": (
        "iec62325_451_n_measurementvalue_v1_1",
        "MeasurementValueMarketDocument",
    ),
}
SCHEMAS = {**schema.ACTIVATION, **schema.ACKNOWLEDGEMENT, **schema.MEASUREMENT_VALUE}


def model(namespace: str) -> Any:
    module, name = MODELS[namespace]
    return getattr(import_module(f"entsoe.xml_models.{module}"), name)


def judged(payload: bytes, namespace: str) -> Any:
    """The document as the judge reads it, who takes no unknown element and no value that has to be bent."""
    config = ParserConfig(
        fail_on_unknown_properties=True, fail_on_unknown_attributes=True, fail_on_converter_warnings=True
    )
    return XmlParser(context=CONTEXT, config=config).from_bytes(payload, model(namespace))


def theirs(of: Any, path: str) -> Iterator[tuple[str, int, bool, bool, dict[str, Any]]]:
    """Each element of a model: path, least, whether many, whether it has a coding scheme, what is said of its text."""
    fields = {info.xsdata_metadata.get("name", name): info for name, info in of.model_fields.items()}
    for one in sorted(CONTEXT.build(of).get_all_vars(), key=lambda var: var.index):
        said = (
            fields[one.local_name].xsdata_metadata
            if one.local_name in fields
            else of.model_fields[one.name].xsdata_metadata
        )
        least = 1 if said.get("required") or said.get("min_occurs") else 0
        here = f"{path}/{one.local_name}"
        kind = one.types[0]
        coded = one.clazz is not None and "coding_scheme" in one.clazz.model_fields
        if coded:
            said = one.clazz.model_fields["value"].xsdata_metadata
        yield here, least, bool(one.list_element), coded, {**said, "type": kind}
        if one.clazz is not None and not coded:
            yield from theirs(one.clazz, here)


def ours(part: Part, path: str) -> Iterator[tuple[str, int, bool, bool, Facet | None]]:
    for one in part.parts:
        here = f"{path}/{one.name}"
        yield here, one.least, one.most is None, one.coded, one.facet
        yield from ours(one, here)


TEXTS = [
    *("", "0", "1", "01", "999", "1000", "2026-10-25T08:00Z", "2026-10-25T08:00:00Z", "2026-02-29T08:00Z"),
    *("2024-02-29T08:00Z", "2024-02-29T08:00:01Z", "2026-13-01T00:00Z", "2026-10-25T24:00Z", "2026-10-25 08:00Z"),
    *("2026-10-25T08:60Z", "2026-10-25T08:00:60Z", "2026-10-25T08:00+00:00", "2026-10-25T08:00z"),
]


@pytest.mark.parametrize("namespace", SCHEMAS, ids=lambda namespace: namespace.partition("wg16:")[2])
def test_our_schema_is_that_of_the_generated_models(namespace: str) -> None:
    expected = list(theirs(model(namespace), ""))
    found = list(ours(SCHEMAS[namespace], ""))
    assert [row[:4] for row in found] == [row[:4] for row in expected]
    for (path, *_, facet), (*_, said) in zip(found, expected, strict=True):
        if facet is None:
            continue
        if issubclass(said["type"], Enum):
            values = {member.value for member in said["type"]}
            assert all(map(facet.allows, values)), path
            assert not facet.allows("Z99"), path
            assert sum(map(facet.allows, ALL_CODES)) == len(values), path
        if "max_length" in said:
            assert facet.allows("x" * said["max_length"]), path
            assert not facet.allows("x" * (said["max_length"] + 1)), path
        if "pattern" in said:
            assert [text for text in TEXTS if facet.allows(text)] == [
                t for t in TEXTS if re.fullmatch(said["pattern"], t)
            ]
        if "max_inclusive" in said:
            allowed = [number for number in (0, 1, 999_999, 1_000_000) if facet.allows(str(number))]
            assert allowed == [1, 999_999], path


ALL_CODES = {
    member.value
    for kind in vars(import_module("entsoe.xml_models.urn_entsoe_eu_wgedi_codelists")).values()
    if isinstance(kind, type) and issubclass(kind, Enum)
    for member in kind
}

ORDER = Activation(
    id="ACT-1#1",
    revision=7,
    issuer="10XDSO-EXAMPLE-X",
    issued=1792914072.0,
    target="pcc",
    function="set_active_power",
    unit="W",
    schedule=Schedule(900.0, (-12_000.0, -0.5)),
    kind=Kind.MARKET,
    start=1792915200.0,
    end=1792917000.0,
)


def test_an_order_of_ours_is_understood(agreed: Agreement) -> None:
    document = judged(activation([ORDER], agreed), NEWEST)
    series = document.time_series[0]
    assert (document.m_rid, document.revision_number, document.type_value.value) == ("ACT-1", "7", "A96")
    assert document.activation_time_period_time_interval.end == "2026-10-25T08:30Z"
    assert (series.business_type.value, series.flow_direction_direction.value) == ("A85", "A02")
    assert (series.measurement_unit_name.value, str(series.period[0].resolution)) == ("KWT", "PT15M")
    points = [(point.position, point.quantity) for point in series.period[0].point]
    assert points == [(1, Decimal(12)), (2, Decimal("0.0005"))]


@pytest.mark.parametrize("namespace", schema.ACTIVATION, ids=lambda namespace: namespace.rpartition("document:")[2])
def test_an_order_of_theirs_is_understood(agreed: Agreement, namespace: str) -> None:
    document = judged(activation([ORDER], agreed, namespace=namespace), namespace)
    document.time_series[0].period[0].point[0].quantity = Decimal("7.25")
    payload = XmlSerializer(context=CONTEXT).render(document).encode()
    (order,) = parse_order(payload, "pv-park-7", agreed)
    assert isinstance(order, Activation), order
    assert order.schedule == Schedule(900.0, (-7_250.0, -0.5))


@pytest.mark.parametrize("status", Status)
def test_an_acknowledgement_of_ours_is_understood_and_survives_their_hands(agreed: Agreement, status: Status) -> None:
    ack = Ack(
        id="ACT-1#1",
        revision=7,
        n=3,
        status=status,
        time=1792915204.21,
        measured=59_720.5,
        unit="W",
        detail="<so>",
        code="x",
    )
    namespace = "urn:iec62325.351:tc57wg16:451-1:acknowledgementdocument:8:1"
    document = judged(acknowledgement("pv-park-7", ack, agreed=agreed, issued=1792914072.0), namespace)
    assert document.received_market_document_m_rid == "ACT-1"
    assert document.received_market_document_created_date_time == "2026-10-25T07:41:12Z"
    assert len(document.rejected_time_series) == (status is Status.REJECTED)
    assert read_acknowledgement(XmlSerializer(context=CONTEXT).render(document).encode()) == (ack,)


def test_measurements_of_ours_are_understood(agreed: Agreement) -> None:
    payload = measurements(
        "pv-park-7",
        [
            Frame(1792915200.0, {"pcc.active_power": 59_800.0}),
            Frame(1792916100.0, {}, {"pcc.active_power": Quality.STALE}),
        ],
        units={"pcc.active_power": "W"},
        start=1792915200.0,
        end=1792917000.0,
        step_s=900.0,
        created=1792917001.0,
        agreed=agreed,
    )
    series = judged(payload, next(iter(schema.MEASUREMENT_VALUE))).time_series[0]
    points = [(point.position, point.quantity, point.quality.value) for point in series.period[0].point]
    assert points == [(1, Decimal("59.8"), "A04"), (2, None, "A02")]
    assert series.market_evaluation_point_m_rid.value == "SITE-0042"


def test_a_response_of_ours_is_understood(agreed: Agreement) -> None:
    ack = Ack(id=ORDER.id, revision=7, n=3, status=Status.STARTED, time=1792915204.21)
    document = judged(response("pv-park-7", ORDER, ack, agreed) or b"", NEWEST)
    assert (document.type_value.value, document.order_market_document_m_rid) == ("A41", "ACT-1")
    assert document.time_series[0].market_object_status_status.value == "A07"
