"""What was measured, in steps, with what stands behind each value."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.model import Frame, Quality
from gateway.uplink.messages.cim_xml.measurement import measurements
from gateway.uplink.messages.cim_xml.parties import Agreement, Mrid, Party

NS = "{urn:iec62325.351:tc57wg16:451-n:measurementvaluedocument:1:1}"
EIGHT = 1792915200.0  # 2026-10-25T08:00Z
AGREED = Agreement(
    dso=Party(Mrid("10XDSO-EXAMPLE-X"), "A50"),
    site=Party(Mrid("10XAGG-EXAMPLE-Y"), "A27"),
    domain=Mrid("10YEXAMPLE-----1"),
    resources={"pcc": Mrid("SITE-0042", "NDE")},
)
P = "pcc.active_power"
E = "pcc.energy_export"
GOOD, UNCERTAIN, OFFLINE = Quality.GOOD, Quality.UNCERTAIN, Quality.OFFLINE

Step = tuple[str | None, str | None]


def document(frames: list[Frame], steps: int = 2, step_s: float = 60.0, **units: str) -> bytes:
    return measurements(
        "pv-park-7",
        frames,
        units={name.replace("__", "."): unit for name, unit in units.items()} or {P: "W"},
        start=EIGHT,
        end=EIGHT + steps * step_s,
        step_s=step_s,
        created=EIGHT + 3600,
        agreed=AGREED,
    )


def steps_of(payload: bytes) -> list[Step]:
    points = list(ET.fromstring(payload).iter(f"{NS}Point"))
    assert [point.findtext(f"{NS}position") for point in points] == [str(n) for n in range(1, len(points) + 1)]
    return [(point.findtext(f"{NS}quantity"), point.findtext(f"{NS}quality")) for point in points]


def frame(
    after_s: float, value: float | str | bool | None = None, quality: Quality | None = None, point: str = P
) -> Frame:
    return Frame(EIGHT + after_s, {} if value is None else {point: value}, {} if quality is None else {point: quality})


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        pytest.param([frame(-5, 60_000.0)], [("60", "A04"), ("60", "A04")], id="what held before still holds"),
        pytest.param([frame(0, -1_500.0)], [("-1.5", "A04"), ("-1.5", "A04")], id="consumption is negative"),
        pytest.param([frame(0, 100.0), frame(45, 500.0)], [("0.2", "A04"), ("0.5", "A04")], id="mean over time"),
        pytest.param([frame(45, 500.0), frame(0, 100.0)], [("0.2", "A04"), ("0.5", "A04")], id="in any order"),
        pytest.param([frame(30, 500.0)], [("0.5", "A05"), ("0.5", "A04")], id="known in a part"),
        pytest.param([frame(0, 500.0), frame(60, None, OFFLINE)], [("0.5", "A04"), (None, "A02")], id="lost"),
        pytest.param(
            [frame(0, 500.0), frame(60, 7.0, OFFLINE)], [("0.5", "A04"), (None, "A02")], id="a value that is none"
        ),
        pytest.param([frame(0, 500.0), frame(75, 500.0, UNCERTAIN)], [("0.5", "A04"), ("0.5", "A03")], id="uncertain"),
        pytest.param([frame(0, float("nan"))], [(None, "A02"), (None, "A02")], id="not a number"),
        pytest.param([frame(0, "on")], [(None, "A02"), (None, "A02")], id="a text"),
        pytest.param([], [(None, "A02"), (None, "A02")], id="never read: absent, and never 0"),
        pytest.param([frame(500, 9.0)], [(None, "A02"), (None, "A02")], id="after the interval"),
        pytest.param([frame(0, 5.0, point="inv1.active_power")], [(None, "A02"), (None, "A02")], id="of another point"),
    ],
)
def test_a_step_has_the_mean_and_says_what_stands_behind_it(frames: list[Frame], expected: list[Step]) -> None:
    assert steps_of(document(frames)) == expected


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        pytest.param([frame(0, 1e6, point=E), frame(50, 1.5e6, point=E)], [("500", "A04"), ("0", "A04")], id="counted"),
        pytest.param([frame(0, 2e6, point=E), frame(50, 0.0, point=E)], [(None, "A02"), ("0", "A04")], id="replaced"),
        pytest.param([frame(10, 1e6, point=E)], [(None, "A02"), ("0", "A04")], id="not known at first"),
        pytest.param([frame(0, 1e6, UNCERTAIN, point=E)], [("0", "A03"), ("0", "A03")], id="uncertain"),
    ],
)
def test_a_step_of_a_counter_has_what_it_has_counted(frames: list[Frame], expected: list[Step]) -> None:
    assert steps_of(document(frames, pcc__energy_export="Wh")) == expected


def test_a_series_names_its_point_product_unit_and_resource() -> None:
    root = ET.fromstring(
        document([], pcc__active_power="W", inv1__reactive_power="var", pcc__frequency="Hz", inv1__temperature="°C")
    )
    names = ("mRID", "product", "measurement_Unit.name", "marketEvaluationPoint.mRID", "businessType", "curveType")
    assert [[series.findtext(f"{NS}{name}") for name in names] for series in root.iter(f"{NS}TimeSeries")] == [
        ["pcc.active_power", "8716867000016", "KWT", "SITE-0042", "A07", "A01"],
        ["inv1.reactive_power", "8716867000023", "KVR", "inv1", "A07", "A01"],
    ]
    assert root.findtext(f"{NS}type") == "A45"
    assert root.findtext(f"{NS}process.processType") == "A16"


def test_the_same_interval_is_the_same_document() -> None:
    assert document([frame(0, 1.0)]) == document([frame(0, 1.0)])
    first, longer = (ET.fromstring(document([], steps=steps)).findtext(f"{NS}mRID") for steps in (2, 3))
    assert first != longer


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        pytest.param({"steps": 0}, "no whole number of steps", id="no step"),
        pytest.param({"steps": 1.5}, "no whole number of steps", id="half a step"),
        pytest.param({"step_s": 7.5, "steps": 8}, "whole seconds", id="half a second"),
        pytest.param({"step_s": 1.0}, "not a whole minute", id="interval within a minute"),
        pytest.param({"pcc__frequency": "Hz"}, "has no TimeSeries", id="nothing to report"),
        pytest.param({"step_s": 1.0, "steps": 6000}, "accepted are up to", id="too much for one document"),
    ],
)
def test_what_has_no_place_in_the_document_is_not_written(changes: dict[str, object], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        document([], **changes)  # type: ignore[arg-type]


@given(
    st.lists(
        st.tuples(st.integers(-300, 1200), st.integers(-(10**6), 10**6), st.sampled_from([GOOD, UNCERTAIN, OFFLINE])),
        max_size=30,
        unique_by=lambda one: one[0],
    )
)
@settings(deadline=None)
def test_means_lie_within_the_values_and_sum_up_to_that_of_one_long_step(
    changes: list[tuple[int, int, Quality]],
) -> None:
    frames = [frame(after_s, float(value), quality) for after_s, value, quality in changes]
    short = steps_of(document(frames, steps=15))
    known = [float(quantity) * 1000 for quantity, _ in short if quantity is not None]
    values = [value for _, value, quality in changes if quality is not OFFLINE]
    assert all(min(values) - 0.001 <= power <= max(values) + 0.001 for power in known)
    assert all((quantity is None) == (quality == "A02") for quantity, quality in short)
    ((quantity, quality),) = steps_of(document(frames, steps=1, step_s=900.0))
    if {quality for _, quality in short} <= {"A03", "A04"}:
        assert quantity is not None
        assert float(quantity) * 1000 == pytest.approx(sum(known) / 15, abs=0.01)
        assert quality == ("A04" if {quality for _, quality in short} == {"A04"} else "A03")
