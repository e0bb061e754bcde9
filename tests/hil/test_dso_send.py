"""`dergate dso send`: what its options order is what a gateway reads; a mistake is told, and nothing is sent."""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gateway.characteristic import Droop
from gateway.commands.dso import command
from gateway.model import Activation, Reserve, Schedule
from gateway.uplink.messages.activation import FUNCTIONS
from gateway.uplink.messages.json import parse_order
from hil.dso.commands import order_text

SITE = "pv-park-7"
NOON = "2026-11-22T12:00:00Z"

Sent = list[dict[str, Any]]


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Sent:
    """The orders that would have been sent; the schedule of the examples is in the working folder."""
    orders: Sent = []

    def send_command(*, order: dict[str, Any] | None = None, **_: object) -> int:
        if order is not None:
            orders.append(order)
        return 0

    monkeypatch.setitem(sys.modules, "hil.dso.commands", SimpleNamespace(send_command=send_command))
    monkeypatch.chdir(tmp_path)
    Path("day.csv").write_text("power in W\n0\n1500.5\n-20\n")
    return orders


def run(*words: str) -> Result:
    return CliRunner().invoke(command, ["send", "--site", SITE, *words])


def read(order: dict[str, Any]) -> Activation:
    """The order as the gateway reads it, with what the client fills in."""
    said = {"schema": "activation/1", "id": "a", "issuer": "dso", "time": "2026-11-22T09:59:58.000Z", **order}
    parsed = parse_order(json.dumps(said).encode(), SITE)
    assert isinstance(parsed, Activation), parsed
    return parsed


def order_of(sent: Sent, *words: str) -> Activation:
    result = run(*words)
    assert result.exit_code == 0, result.output
    (order,) = sent
    return read(order)


def examples() -> list[str]:
    return re.findall(r"^\s*dergate dso send (.*)$", str(command.commands["send"].help), re.MULTILINE)


def test_the_help_has_an_example_of_each_function_and_a_gateway_reads_them(sent: Sent) -> None:
    for example in examples():
        result = CliRunner().invoke(command, ["send", *shlex.split(example)])
        assert result.exit_code == 0, f"{example}: {result.output}"
    assert {read(order).function for order in sent} == set(FUNCTIONS)
    assert all(order_text(order) for order in sent)
    assert len(sent) == len(examples()) - 1, "the last one cancels"


ORDERS: dict[str, tuple[Sequence[str], dict[str, Any]]] = {
    "watts unless told": (("--value", "-5", "--function", "set_active_power"), {"value": -5.0, "unit": "W"}),
    "vars unless told": (("--value", "5", "--function", "set_reactive_power"), {"value": 5.0, "unit": "var"}),
    "a mean": (("--function", "limit_import", "--value", "9", "--mean", "15min"), {"value": 9.0, "mean_s": 900.0}),
    "a power factor": (
        ("--function", "set_power_factor", "--value", "0.9", "--excitation", "under", "--response", "10s"),
        {"value": 0.9, "unit": "", "excitation": "under", "response_s": 10.0},
    ),
    "a schedule by quarters": (
        ("--schedule", "day.csv", "--start", NOON),
        {"schedule": Schedule(900.0, (0.0, 1500.5, -20.0)), "unit": "W"},
    ),
    "a schedule by minutes": (
        ("--schedule", "day.csv", "--start", NOON, "--resolution", "1min", "--unit", "%", "--for", "90s"),
        {"schedule": Schedule(60.0, (0.0, 1500.5, -20.0)), "unit": "%"},
    ),
    "a curve": (("--function", "volt_var", "--curve", "-1:0.4,1:-0.4"), {"curve": ((-1.0, 0.4), (1.0, -0.4))}),
    "a curve by name": (("--function", "volt_watt", "--preset", "ieee1547-2018-b"), {"preset": "ieee1547-2018-b"}),
    "a droop": (
        ("--function", "frequency_droop", "--droop", "deadband_hz=0.2,droop=0.05", "--droop", "sides=over"),
        {"droop": Droop(0.2, 0.05, sides="over")},
    ),
    "a droop by name": (("--function", "frequency_droop", "--preset", "lfsm-o"), {"preset": "lfsm-o"}),
    "a reserve": (("--function", "reserve", "--reserve-down", "50"), {"reserve": Reserve(0.0, 50.0)}),
    "a switch": (("--function", "disconnect", "--target", "inv1"), {"target": "inv1", "value": None}),
}


@pytest.mark.parametrize(("words", "expected"), ORDERS.values(), ids=ORDERS.keys())
def test_the_options_order(sent: Sent, words: Sequence[str], expected: dict[str, Any]) -> None:
    order = order_of(sent, *words)
    assert {name: getattr(order, name) for name in expected} == expected


def test_a_schedule_without_a_start_begins_now(sent: Sent) -> None:
    order = order_of(sent, "--schedule", "day.csv", "--for", "30min")
    assert order.start is not None
    assert order.end == pytest.approx(order.start + 1800.0, abs=0.01)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("list.json", "[1, 2.5]", Schedule(900.0, (1.0, 2.5))),
        ("object.json", '{"resolution": 60, "values": [1]}', Schedule(60.0, (1.0,))),
        ("bare.csv", "1\n\n2\n", Schedule(900.0, (1.0, 2.0))),
        ("office.CSV", "\ufeffpower\r\n1\r\n", Schedule(900.0, (1.0,))),
    ],
)
def test_a_schedule_is_read_from_a_file_of_either_kind(sent: Sent, name: str, text: str, expected: Schedule) -> None:
    Path(name).write_text(text, encoding="utf-8", newline="")
    assert order_of(sent, "--schedule", name).schedule == expected


BAD_FILES = {
    "no file": ("missing.csv", None, "missing.csv cannot be read"),
    "no number": ("a.csv", "power\n1\nmany\n", "a.csv:3: found 'many', accepted is one number"),
    "two columns": ("a.csv", "1\n2,3\n", "a.csv:2: found '2,3', accepted is one number"),
    "not finite": ("a.csv", "1\nnan\n", "a.csv:2: found 'nan'"),
    "a heading alone": ("a.csv", "power\n", "a.csv holds no number"),
    "not JSON": ("a.json", "[1,", "a.json should be JSON"),
    "NaN in JSON": ("a.json", "[NaN]", "a.json should be JSON"),
    "deep JSON": ("a.json", "[" * 200_000, "a.json should be JSON"),
    "a JSON number": ("a.json", "7", 'should hold a list of numbers, or {"resolution": 900'),
    "too long": ("a.csv", "1\n" * 140_000, "a.csv has 280000 bytes; accepted are up to 262144"),
    "not text": ("a.csv", "\udcff", "a.csv cannot be read"),
}


@pytest.mark.parametrize(("name", "text", "sentence"), BAD_FILES.values(), ids=BAD_FILES.keys())
def test_a_file_that_is_no_schedule_is_told_with_its_line(
    sent: Sent, name: str, text: str | None, sentence: str
) -> None:
    if text is not None:
        Path(name).write_text(text, encoding="utf-8", errors="surrogateescape")
    result = run("--schedule", name)
    assert result.exit_code == 2
    assert sentence in result.stderr
    assert sent == []


MISTAKES = {
    "a curve of numbers": (("--curve", "0.9,1.1"), "'0.9,1.1' should be points x:y, like 0.92:0.44"),
    "a curve of texts": (("--curve", "a:b"), "should be points x:y"),
    "a droop without a key": (("--droop", "0.05"), "'0.05' should be pairs key=value, like deadband_hz=0.2"),
    "two things": (("--value", "1", "--curve", "0:1,1:0"), "give one of --value, --curve"),
    "a step of nothing": (("--value", "1", "--resolution", "15min"), "--resolution is of a --schedule"),
    "an excitation": (("--value", "1", "--excitation", "lag"), "'lag' is not one of 'over', 'under'"),
    "nothing": (("--function", "volt_var"), "in place of a value, as the function asks, --schedule, --curve, --preset"),
}


@pytest.mark.parametrize(("words", "sentence"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_told_and_nothing_is_sent(sent: Sent, words: Sequence[str], sentence: str) -> None:
    result = run(*words)
    assert result.exit_code == 2
    assert sentence in result.stderr
    assert sent == []
