"""The protocol: what stands in it, how it is shown, and that a change in any of its files is found."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import identity
from gateway.commissioning import folder
from gateway.commissioning.folder import Forged
from gateway.commissioning.page import page
from gateway.commissioning.plot import Line, svg
from gateway.commissioning.protocol import Heading, as_bytes, document
from gateway.commissioning.result import Result, Sample, Trace, Verdict, counted, worst

HEADING = Heading(
    site="park",
    site_name="Park <7>",
    configuration="c0ffee",
    version="1.2.3",
    begun="2026-11-22T10:00:00.000Z",
    finished="2026-11-22T10:05:00.000Z",
    operator="A. Miller",
    consent={"inv1": "given by --yes"},
    ended="complete",
)
SERIES = [Sample(0.0, 50_000.0), Sample(1.5, 44_000.0), Sample(3.0, 50_000.0)]
RESULTS = [
    Result("inv1", "answers", Verdict.PASS, "its points", "8 of 8 points"),
    Result(
        "inv1",
        "follows its set-point",
        Verdict.FAIL,
        "-6000 W",
        "<script>alert(1)</script>",
        "check it & more",
        {"dead_time_s": 0.61234, "t90_s": 1.5},
        Trace(SERIES, SERIES, SERIES),
    ),
]


def test_the_document_says_what_was_tested_when_by_whom_and_on_which_configuration() -> None:
    content = json.loads(as_bytes(document(HEADING, RESULTS)))
    assert content["schema"] == "commissioning/1"
    assert (content["site"], content["configuration"], content["version"]) == ("park", "c0ffee", "1.2.3")
    assert (content["time"], content["operator"]) == ("2026-11-22T10:05:00.000Z", "A. Miller")
    assert content["verdict"] == "FAIL"
    test = content["tests"][1]
    assert (test["expected"], test["verdict"]) == ("-6000 W", "FAIL")
    assert test["values"] == {"dead_time_s": 0.6123, "t90_s": 1.5}
    assert test["trace"]["device"] == [[0.0, 50_000.0], [1.5, 44_000.0], [3.0, 50_000.0]]


@pytest.mark.parametrize(
    ("verdicts", "whole"),
    [
        (("PASS", "PASS"), "PASS"),
        (("PASS", "NOT RUN"), "INCONCLUSIVE"),
        (("PASS", "INCONCLUSIVE"), "INCONCLUSIVE"),
        (("INCONCLUSIVE", "FAIL", "PASS"), "FAIL"),
        ((), "INCONCLUSIVE"),
    ],
)
def test_one_failed_test_fails_the_whole_and_only_passed_ones_pass_it(verdicts: tuple[str, ...], whole: str) -> None:
    assert worst([Result("d", "t", Verdict(verdict)) for verdict in verdicts]) == whole


def test_tests_are_counted_by_how_they_ended() -> None:
    assert counted(RESULTS) == "1 PASS, 1 FAIL"
    assert counted([]) == "no test"


class Tags(HTMLParser):
    """Every tag that is opened or closed, and whatever is fetched from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.fetched: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.fetched += [str(value) for name, value in attrs if name in {"src", "href"}]
        if tag not in {"meta", "br"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_stands_alone_and_shows_text_as_text() -> None:
    shown = page(HEADING, RESULTS)
    tags = Tags()
    tags.feed(shown)
    assert tags.open == []
    assert tags.fetched == []
    assert "script" not in tags.seen
    assert {"svg", "polyline"} <= tags.seen
    for text in ("Park &lt;7&gt;", "check it &amp; more", "dead time 0.6 s, T90 1.5 s", "A. Miller", "c0ffee"):
        assert text in shown


@given(st.lists(st.tuples(st.floats(0, 1e4), st.floats(-1e9, 1e9)).map(lambda pair: Sample(*pair)), max_size=50))
def test_any_series_is_drawn_within_its_panel_or_not_at_all(series: list[Sample]) -> None:
    drawn = svg([[Line("device", "#000", series)]])
    assert "nan" not in drawn
    assert "inf" not in drawn
    assert (drawn == "") == (not series or max(sample.mono for sample in series) <= 0)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    """A protocol, and the public key it was signed with."""
    state, target = tmp_path_factory.mktemp("state"), tmp_path_factory.mktemp("protocol")
    key = identity.load_or_create(state)
    heading = Heading(
        **{name: getattr(HEADING, name) for name in Heading.__dataclass_fields__ if name != "key"}, key=""
    )
    folder.write(target, heading, RESULTS, key)
    return target, key.public_key_pem


def test_a_protocol_as_it_was_written_is_genuine(written: tuple[Path, bytes]) -> None:
    target, key = written
    assert folder.check(target, None)["site"] == "park"
    assert folder.check(target, key)["site"] == "park"


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_one_changed_byte_of_any_file_is_found(written: tuple[Path, bytes], data: st.DataObject) -> None:
    target, _ = written
    file = data.draw(st.sampled_from(sorted(target.iterdir())))
    genuine = file.read_bytes()
    at = data.draw(st.integers(0, len(genuine) - 1))
    changed = data.draw(st.integers(1, 255))
    try:
        file.write_bytes(genuine[:at] + bytes([genuine[at] ^ changed]) + genuine[at + 1 :])
        with pytest.raises(Forged):
            folder.check(target, None)
    finally:
        file.write_bytes(genuine)


def test_a_protocol_signed_by_another_key_is_not_this_gateways(written: tuple[Path, bytes], tmp_path: Path) -> None:
    target, _ = written
    other = identity.load_or_create(tmp_path)
    with pytest.raises(Forged, match="not the key of this gateway"):
        folder.check(target, other.public_key_pem)
