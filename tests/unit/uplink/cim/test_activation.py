"""What an activation document orders, what it cannot, and how its orders are written."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.model import Activation, Cancellation, Kind, Refusal, Schedule
from gateway.uplink.messages.cim_xml.activation import parse_order
from gateway.uplink.messages.cim_xml.ordering import activation
from gateway.uplink.messages.cim_xml.parties import Agreement, Mrid, Party, order_id, split_id

SAMPLE = (Path(__file__).parent / "samples" / "activation.xml").read_text(encoding="utf-8")
EIGHT = 1792915200.0  # 2026-10-25T08:00Z
SERIES = re.search(r"<TimeSeries>.*</TimeSeries>", SAMPLE, re.DOTALL)[0]  # type: ignore[index]
"""The one series of the sample."""

END = "</activation_Time_Period.timeInterval>"
REVISION_3 = "<order_MarketDocument.revisionNumber>3</order_MarketDocument.revisionNumber>"

Sample = Callable[[str], bytes]


def changed(*changes: tuple[str, str]) -> bytes:
    """The sample with texts replaced; each stands in it."""
    text = SAMPLE
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    return text.encode()


def period(start: str, end: str, resolution: str) -> str:
    """A period of one point, 7."""
    interval = f"<timeInterval><start>{start}</start><end>{end}</end></timeInterval>"
    point = "<Point><position>1</position><quantity>7</quantity></Point>"
    return f"<Period>{interval}<resolution>{resolution}</resolution>{point}</Period>"


def ordered(*changes: tuple[str, str]) -> Activation:
    (order,) = parse_order(changed(*changes), "pv-park-7")
    assert isinstance(order, Activation), order
    return order


def refused(*changes: tuple[str, str]) -> Refusal:
    (order,) = parse_order(changed(*changes), "pv-park-7")
    assert isinstance(order, Refusal), order
    return order


def tag(name: str, old: str, new: str) -> tuple[str, str]:
    return f"<{name}>{old}</{name}>", f"<{name}>{new}</{name}>"


def test_the_sample_curtails_production_to_a_schedule(agreed: Agreement, sample: Sample) -> None:
    (order,) = parse_order(sample("activation"), "pv-park-7", agreed)
    assert isinstance(order, Activation)
    assert order == Activation(
        id="ACT-20261025-0001#1",
        revision=1,
        issuer="10XDSO-EXAMPLE-X",
        issued=EIGHT - 18 * 60 - 48,
        target="pcc",
        function="limit_active_power",
        unit="W",
        schedule=Schedule(900.0, (120_000.0, 80_000.0)),
        kind=Kind.DSO,
        start=EIGHT,
        end=EIGHT + 1800,
        digest=order.digest,
    )
    assert len(order.digest) == 16


def test_what_the_sample_orders_is_written_as_the_sample(agreed: Agreement, sample: Sample) -> None:
    (order,) = parse_order(sample("activation"), "pv-park-7", agreed)
    assert isinstance(order, Activation)
    assert canonical(activation([order], agreed)) == canonical(sample("activation"))


def canonical(payload: bytes) -> str:
    return ET.canonicalize(payload.decode(), strip_text=True)


REDISPATCHED = tag("businessType", "C55", "A85")
UP = tag("flowDirection.direction", "A02", "A01")


@pytest.mark.parametrize(
    ("changes", "function", "unit", "values"),
    [
        pytest.param((), "limit_active_power", "W", (120e3, 80e3), id="production curtailment"),
        pytest.param((tag("businessType", "C55", "A76"), UP), "limit_import", "W", (120e3, 80e3), id="consumption"),
        pytest.param((REDISPATCHED, UP), "set_active_power", "W", (120e3, 80e3), id="set-point up is generation"),
        pytest.param((REDISPATCHED,), "set_active_power", "W", (-120e3, -80e3), id="set-point down is consumption"),
        pytest.param(
            (REDISPATCHED, UP, tag("type", "A96", "B50"), tag("measurement_Unit.name", "KWT", "KVR")),
            "set_reactive_power",
            "var",
            (120e3, 80e3),
            id="voltage control up is over-excited",
        ),
        pytest.param(
            (REDISPATCHED, tag("type", "A96", "B50"), tag("measurement_Unit.name", "KWT", "MAR")),
            "set_reactive_power",
            "var",
            (-120e6, -80e6),
            id="voltage control down is under-excited",
        ),
        pytest.param((tag("measurement_Unit.name", "KWT", "WTT"),), "limit_active_power", "W", (120.0, 80.0), id="W"),
        pytest.param((tag("measurement_Unit.name", "KWT", "MAW"),), "limit_active_power", "W", (120e6, 80e6), id="MW"),
        pytest.param((tag("measurement_Unit.name", "KWT", "A90"),), "limit_active_power", "W", (120e9, 80e9), id="GW"),
        pytest.param((tag("measurement_Unit.name", "KWT", "P1"),), "limit_active_power", "%", (120.0, 80.0), id="%"),
        pytest.param((tag("quantity", "120", "0.1"),), "limit_active_power", "W", (100.0, 80e3), id="exact decimals"),
        pytest.param((REDISPATCHED, tag("quantity", "120", "0")), "set_active_power", "W", (0.0, -80e3), id="zero"),
    ],
)
def test_business_type_direction_and_unit_are_our_function_sign_and_si_unit(
    changes: tuple[tuple[str, str], ...], function: str, unit: str, values: tuple[float, ...]
) -> None:
    order = ordered(*changes)
    assert order.schedule is not None
    assert (order.function, order.unit, order.schedule.values) == (function, unit, values)
    assert all(str(value) != "-0.0" for value in order.schedule.values)


ONE_POINT = (
    ("<Point><position>2</position><quantity>80</quantity></Point>", ""),
    ("<resolution>PT15M", "<resolution>PT30M"),
)


def test_a_period_of_one_point_is_a_value() -> None:
    order = ordered(*ONE_POINT)
    assert (order.value, order.schedule, order.start, order.end) == (120_000.0, None, EIGHT, EIGHT + 1800)


def test_periods_that_follow_one_another_are_one_schedule_of_the_finest_common_step() -> None:
    second = (
        "</Period>",
        "</Period>" + period("2026-10-25T08:30Z", "2026-10-25T08:40Z", "PT10M"),
    )
    longer = ("08:30Z</end></activation", "08:40Z</end></activation")
    order = ordered(second, longer)
    assert order.schedule == Schedule(300.0, (120e3, 120e3, 120e3, 80e3, 80e3, 80e3, 7e3, 7e3))
    assert order.end == EIGHT + 2400


@pytest.mark.parametrize(
    ("resource", "target"),
    [
        pytest.param(
            '<registeredResource.mRID codingScheme="NDE">SITE-0042</registeredResource.mRID>', "pcc", id="agreed"
        ),
        pytest.param(
            '<registeredResource.mRID codingScheme="NDE">pv-park-7</registeredResource.mRID>', "pcc", id="site"
        ),
        pytest.param('<registeredResource.mRID codingScheme="A01">inv1</registeredResource.mRID>', "inv1", id="device"),
        pytest.param(
            '<registeredResource.mRID codingScheme="A01">SITE-0042</registeredResource.mRID>',
            "SITE-0042",
            id="other scheme",
        ),
        pytest.param("", "pcc", id="left out"),
    ],
)
def test_the_registered_resource_is_the_target(agreed: Agreement, resource: str, target: str) -> None:
    payload = changed(('<registeredResource.mRID codingScheme="NDE">SITE-0042</registeredResource.mRID>', resource))
    (order,) = parse_order(payload, "pv-park-7", agreed)
    assert isinstance(order, Activation)
    assert order.target == target


@pytest.mark.parametrize(("process", "kind"), [("A41", Kind.DSO), ("A47", Kind.MARKET), ("A40", Kind.MARKET)])
def test_the_process_says_whether_a_market_orders(process: str, kind: Kind) -> None:
    assert ordered(tag("process.processType", "A41", process)).kind is kind


def test_each_series_of_a_document_is_an_order_and_is_refused_alone_when_it_has_no_word_of_ours() -> None:
    other = SERIES.replace("<mRID>1<", "<mRID>2<").replace(">KWT<", ">MAW<")
    delta = SERIES.replace("<mRID>1<", "<mRID>3<").replace(">C55<", ">A46<")
    orders = parse_order(changed((SERIES, SERIES + other + delta), tag("revisionNumber", "1", "4")), "pv-park-7")
    assert [(type(order), order.id, order.revision) for order in orders] == [
        (Activation, "ACT-20261025-0001#1", 4),
        (Activation, "ACT-20261025-0001#2", 4),
        (Refusal, "ACT-20261025-0001#3", 4),
    ]
    assert isinstance(orders[2], Refusal)
    assert orders[2].code == "unsupported_function"
    assert orders[2].detail.startswith(
        "/Activation_MarketDocument/TimeSeries[3]/businessType (line 32) is 'A46'; accepted are C55, A76, A85"
    )


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param((tag("marketObjectStatus.status", "A10", "A09"),), id="series cancelled"),
        pytest.param((tag("marketObjectStatus.status", "A10", "A13"),), id="series withdrawn"),
        pytest.param((tag("type", "A96", "A36"),), id="deactivation document"),
    ],
)
def test_an_order_is_taken_back_by_its_mrids(changes: tuple[tuple[str, str], ...]) -> None:
    (order,) = parse_order(changed(*changes, tag("revisionNumber", "1", "2")), "pv-park-7")
    assert isinstance(order, Cancellation)
    assert (order.id, order.revision) == ("ACT-20261025-0001#1", 2)


def test_a_deactivation_names_the_document_that_it_ends() -> None:
    named = (
        END,
        END + "<order_MarketDocument.mRID>ACT-7</order_MarketDocument.mRID>" + REVISION_3,
    )
    (order,) = parse_order(changed(tag("type", "A96", "A36"), named), "pv-park-7")
    assert isinstance(order, Cancellation)
    assert (order.id, order.revision) == ("ACT-7#1", 3)


def test_the_same_order_has_the_same_digest_however_it_is_written_and_stamped() -> None:
    assert ordered().digest == ordered(("07:41:12Z", "07:42:00Z"), ("><", "> <!-- so -->\n<")).digest
    assert ordered().digest != ordered(tag("quantity", "80", "81")).digest


@pytest.mark.parametrize("version", range(5))
def test_every_version_of_the_document_is_read_and_written(agreed: Agreement, version: int) -> None:
    namespace = f"urn:iec62325.351:tc57wg16:451-7:activationdocument:6:{version}"
    (order,) = parse_order(changed(("document:6:4", f"document:6:{version}")), "pv-park-7", agreed)
    assert isinstance(order, Activation)
    assert parse_order(activation([order], agreed, namespace=namespace), "pv-park-7", agreed) == (order,)


@pytest.mark.parametrize(
    ("changes", "code", "detail"),
    [
        pytest.param(
            (tag("type", "A96", "A41"),),
            "unsupported_function",
            "/Activation_MarketDocument/type (line 2) is 'A41'; accepted are A36, A39, A40, A96, B50",
            id="a response is no order",
        ),
        pytest.param(
            (tag("process.processType", "A41", "A01"),),
            "unsupported_function",
            "process.processType (line 3) is 'A01'; accepted are A40, A41, A47, A51, A60, A61",
            id="process",
        ),
        pytest.param(
            (tag("marketObjectStatus.status", "A10", "A07"),),
            "unsupported_function",
            "TimeSeries[1]/marketObjectStatus.status (line 16) is 'A07'; accepted are A10, A31, A09, A13",
            id="status of a response",
        ),
        pytest.param(
            (UP,),
            "unsupported_function",
            "TimeSeries[1]/flowDirection.direction (line 15) is 'A01'; accepted are A02",
            id="a curtailment that raises",
        ),
        pytest.param(
            (REDISPATCHED, tag("flowDirection.direction", "A02", "A03")),
            "unsupported_function",
            "TimeSeries[1]/flowDirection.direction (line 15) is 'A03'; accepted are A01, A02",
            id="both directions",
        ),
        pytest.param(
            (tag("measurement_Unit.name", "KWT", "MAR"),),
            "malformed",
            "TimeSeries[1]/measurement_Unit.name (line 15) is 'MAR'; accepted are WTT, KWT, MAW, A90, P1",
            id="reactive unit of an active order",
        ),
        pytest.param(
            (tag("quantity", "80", "-80"),),
            "malformed",
            "Point[2]/quantity (line 19) is negative; accepted is 0 or more, the direction is the sign",
            id="negative",
        ),
        pytest.param(
            (tag("position", "2", "3"),),
            "malformed",
            "Period[1]/Point[2]/position (line 19) is '3'; accepted are 2",
            id="gap in the positions",
        ),
        pytest.param(
            (("<resolution>PT15M", "<resolution>PT10M"),),
            "malformed",
            "Period[1] (line 18) has 2 points of PT10M; accepted are 3 in its 1800 s",
            id="too few points",
        ),
        pytest.param(
            (("<resolution>PT15M", "<resolution>P1M"),),
            "malformed",
            "Period[1]/resolution (line 18) is 'P1M'; accepted is a duration in days, hours, minutes and seconds",
            id="months have no length",
        ),
        pytest.param(
            (("08:30Z</end></activation", "08:15Z</end></activation"),),
            "malformed",
            "Period[1]/timeInterval (line 18) is 2026-10-25T08:00Z to 2026-10-25T08:30Z; accepted is within",
            id="period outside of the document's",
        ),
        pytest.param(
            (("<end>2026-10-25T08:30Z", "<end>2026-10-25T08:00Z"),),
            "malformed",
            "timeInterval/end (line 9) is 2026-10-25T08:00Z; accepted is after 2026-10-25T08:00Z",
            id="no time at all",
        ),
        pytest.param(
            (("</Period>", "</Period>" + SERIES[SERIES.index("<Period>") : SERIES.index("</Period>")] + "</Period>"),),
            "malformed",
            "Period[2]/timeInterval (line 19) begins 2026-10-25T08:00Z; accepted is 2026-10-25T08:30Z",
            id="periods overlap",
        ),
        pytest.param(
            ((SERIES, SERIES + SERIES),),
            "malformed",
            "TimeSeries[2]/mRID (line 20) is '1' again; accepted is another in each",
            id="series twice",
        ),
        pytest.param(((SERIES, ""),), "malformed", "has no TimeSeries; accepted is at least one", id="no series"),
        pytest.param(
            ((SERIES[SERIES.index("<Period>") : SERIES.index("</TimeSeries>")], ""),),
            "malformed",
            "TimeSeries[1] (line 10) has no Period; accepted is at least one",
            id="no period",
        ),
        pytest.param(
            (("2026-10-25T08:30Z", "2027-10-25T08:00Z"), ("PT15M", "PT262800M")),
            None,
            "",
            id="a year in two steps is no long schedule",
        ),
        pytest.param(
            (("2026-10-25T08:30Z", "2027-10-25T08:01Z"), ("PT15M", "PT1M")),
            "malformed",
            "has 2 points",
            id="a year of min",
        ),
    ],
)
def test_what_is_no_order_is_refused_with_where_found_and_accepted(
    changes: tuple[tuple[str, str], ...], code: str | None, detail: str
) -> None:
    if code is None:
        assert ordered(*changes).schedule == Schedule(262_800 * 60.0, (120e3, 80e3))
        return
    refusal = refused(*changes)
    assert (refusal.code, refusal.revision) == (code, 1)
    assert detail in refusal.detail
    series = code == "unsupported_function" and "TimeSeries" in detail
    assert refusal.id == ("ACT-20261025-0001#1" if series else "ACT-20261025-0001")


def test_a_schedule_that_would_grow_beyond_its_bound_is_refused_before_it_does() -> None:
    far = (
        "</Period>",
        "</Period>" + period("2026-10-25T08:30Z", "2036-10-25T08:30Z", "P3653D"),
    )
    refusal = refused(far, ("2026-10-25T08:30Z</end></activation", "2036-10-25T08:30Z</end></activation"))
    assert (refusal.code, refusal.id) == ("malformed", "ACT-20261025-0001")
    assert "TimeSeries[1] (line 10) has more than 10000 steps of 900 s" in refusal.detail


@pytest.mark.parametrize(
    ("start", "end", "points"),
    [
        pytest.param("2026-06-09T22:00Z", "2026-06-10T22:00Z", 96, id="a day of 24 h"),
        pytest.param("2026-10-24T22:00Z", "2026-10-25T23:00Z", 100, id="the day of 25 h"),
        pytest.param("2026-03-28T23:00Z", "2026-03-29T22:00Z", 92, id="the day of 23 h"),
    ],
)
def test_a_local_day_has_as_many_quarters_of_an_hour_as_it_lasts(start: str, end: str, points: int) -> None:
    """The day-ahead profile on the days on which the clocks change."""

    def day(count: int) -> tuple[tuple[str, str], ...]:
        quarters = "".join(
            f"<Point><position>{n}</position><quantity>{n}</quantity></Point>" for n in range(1, count + 1)
        )
        old = SAMPLE[SAMPLE.index("<Point>") : SAMPLE.rindex("</Point>") + len("</Point>")]
        return (old, quarters), ("2026-10-25T08:00Z", start), ("2026-10-25T08:30Z", end)

    order = ordered(*day(points))
    assert order.schedule == Schedule(900.0, tuple(n * 1000.0 for n in range(1, points + 1)))
    for wrong in {92, 96, 100} - {points}:
        assert f"has {wrong} points of PT15M; accepted are {points}" in refused(*day(wrong)).detail


def test_a_party_of_another_coding_scheme_is_another_party(agreed: Agreement) -> None:
    other = ('codingScheme="A01">10XAGG-EXAMPLE-Y</receiver', 'codingScheme="A10">10XAGG-EXAMPLE-Y</receiver')
    (refusal,) = parse_order(changed(other), "pv-park-7", agreed)
    assert isinstance(refusal, Refusal)
    assert refusal.code == "unknown_target"


@pytest.mark.parametrize(
    ("old", "new", "code", "where"),
    [
        ("10XAGG-EXAMPLE-Y", "10XOTHER-------Z", "unknown_target", "receiver_MarketParticipant.mRID"),
        ("10XDSO-EXAMPLE-X", "10XOTHER-------Z", "not_authorised", "sender_MarketParticipant.mRID"),
    ],
)
def test_the_parties_have_to_be_those_of_the_agreement(
    agreed: Agreement, old: str, new: str, code: str, where: str
) -> None:
    (refusal,) = parse_order(changed((old, new)), "pv-park-7", agreed)
    assert isinstance(refusal, Refusal)
    assert refusal.code == code
    assert f"/Activation_MarketDocument/{where}" in refusal.detail
    assert f"is '{new}' (A01); accepted is {old} (A01)" in refusal.detail


MINUTES = st.integers(min_value=0, max_value=10**8).map(lambda minute: minute * 60.0)
MRIDS = st.text(
    st.characters(min_codepoint=33, max_codepoint=0x2FF, blacklist_categories=("C", "Z")), min_size=1, max_size=60
)
POWERS = st.floats(min_value=0.0, max_value=1e9).map(lambda power: round(power, 3))
TARGETS = st.sampled_from(["pcc", "plant", "inv1", "bat-2"])


@st.composite
def orders(draw: st.DrawFn, document: str, revision: int, issued: float, kind: Kind, reactive: bool) -> Activation:
    function = "set_reactive_power"
    if not reactive:
        function = draw(st.sampled_from(["limit_active_power", "limit_import", "set_active_power"]))
    sign = draw(st.sampled_from([-1, 1])) if function.startswith("set") else 1
    step_s = draw(st.sampled_from([1, 4, 60, 300, 900, 3600, 86_400]))
    values = draw(st.lists(POWERS.map(lambda power: power * sign + 0.0), min_size=1, max_size=20))
    steps = len(values) * (1 if step_s % 60 == 0 else 60)  # an interval has whole minutes
    values = (values * 60)[:steps]
    start = draw(MINUTES)
    return Activation(
        id=order_id(document, draw(MRIDS.filter(lambda mrid: "#" not in mrid))),
        revision=revision,
        issuer="10XDSO-EXAMPLE-X",
        issued=issued,
        target=draw(TARGETS),
        function=function,
        value=values[0] if steps == 1 else None,
        unit=draw(st.sampled_from(["%", "var" if reactive else "W"])),
        schedule=None if steps == 1 else Schedule(float(step_s), tuple(values)),
        kind=kind,
        start=start,
        end=start + step_s * steps,
        ramp_unit="var/s" if reactive else "W/s",
    )


@st.composite
def documents(draw: st.DrawFn) -> list[Activation]:
    of_document = orders(
        draw(MRIDS),
        draw(st.integers(min_value=1, max_value=999)),
        float(draw(st.integers(min_value=0, max_value=10**10))),
        draw(st.sampled_from([Kind.DSO, Kind.MARKET])),
        draw(st.booleans()),
    )
    return draw(st.lists(of_document, min_size=1, max_size=3, unique_by=lambda order: order.id))


@given(documents())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None)
def test_what_is_written_is_read_as_the_same_orders(agreed: Agreement, written: list[Activation]) -> None:
    read = parse_order(activation(written, agreed), "pv-park-7", agreed)
    assert [replace(order, digest="") for order in read] == written
    assert [split_id(order.id or "")[0] for order in read] == [split_id(written[0].id)[0]] * len(written)


def test_a_written_order_is_taken_back_by_the_same_document_with_status_cancelled(agreed: Agreement) -> None:
    order = ordered()
    (back,) = parse_order(activation([replace(order, revision=2)], agreed, status="A09"), "pv-park-7", agreed)
    assert isinstance(back, Cancellation)
    assert (back.id, back.revision) == (order.id, 2)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        pytest.param({"function": "volt_var"}, "has the function volt_var", id="no business type"),
        pytest.param({"kind": Kind.EMERGENCY}, "is of the kind emergency", id="no process"),
        pytest.param({"end": None}, "has no start or no end", id="until cancelled"),
        pytest.param({"start": EIGHT + 1}, "not a whole minute", id="seconds"),
        pytest.param({"ramp_up": 5.0}, "ramp_up is 5.0, and would be read as None", id="ramp"),
        pytest.param({"tolerance": 2.0}, "tolerance is 2.0", id="tolerance"),
        pytest.param({"settle": 5.0}, "settle is 5.0", id="settling time"),
        pytest.param({"issuer": "someone"}, "issuer is 'someone'", id="another issuer"),
        pytest.param({"issued": EIGHT + 0.5}, "issued is", id="milliseconds"),
        pytest.param({"revision": 1000}, "revisionNumber", id="revision beyond its facet"),
        pytest.param({"id": "x" * 61 + "#1"}, "mRID", id="mRID beyond its facet"),
        pytest.param({"id": "ACT-1"}, "TimeSeries[1]/mRID", id="no series"),
        pytest.param({"unit": "hp"}, "has the unit hp", id="unit"),
        pytest.param({"schedule": None, "value": -5.0}, "negative", id="a ceiling below zero"),
        pytest.param({"schedule": None, "value": float("nan")}, "quantity", id="not a number"),
        pytest.param({"schedule": Schedule(0.5, (1.0, 2.0))}, "whole seconds", id="half a second"),
    ],
)
def test_what_the_standard_cannot_say_is_not_written(agreed: Agreement, changes: dict[str, object], why: str) -> None:
    order = replace(ordered((">SITE-0042<", ">pv-park-7<")), **changes)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=re.escape(why)):
        activation([order], agreed)


def test_a_schedule_of_both_signs_is_not_written(agreed: Agreement) -> None:
    order = replace(ordered(REDISPATCHED, UP), target="pcc", schedule=Schedule(900.0, (5.0, -5.0)))
    with pytest.raises(ValueError, match="negative"):
        activation([order], agreed)


def test_an_agreement_with_an_overlong_party_writes_nothing(agreed: Agreement) -> None:
    other = replace(agreed, site=Party(Mrid("10XAGG-EXAMPLE-YY"), "A27"))
    with pytest.raises(ValueError, match=r"receiver_MarketParticipant\.mRID .* accepted is 1 to 16"):
        activation([ordered()], other)


def test_two_series_of_one_mrid_are_not_written(agreed: Agreement) -> None:
    order = ordered((">SITE-0042<", ">pv-park-7<"))
    with pytest.raises(ValueError, match="'1' again"):
        activation([order, order], agreed)
    with pytest.raises(ValueError, match="at least one order"):
        activation([], agreed)


@pytest.mark.parametrize("status", ["A07", "A34"])
def test_a_status_that_orders_nothing_is_not_written_as_an_order(agreed: Agreement, status: str) -> None:
    with pytest.raises(ValueError, match="accepted are A10, A31, A09, A13"):
        activation([ordered()], agreed, status=status)
