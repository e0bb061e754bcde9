"""`dergate control explain`: the page it prints of rules and of a decision, with and without a running gateway."""

from __future__ import annotations

import json
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gateway import cli
from gateway.assemble import plant_of
from gateway.commands import control, control_page
from gateway.config import load
from gateway.local import documents
from tests.unit.local.world import decided, look
from tests.unit.test_cli_status import answering, http

SITE = """\
site: {id: park, rated_power: 100kW}
devices:
  - {id: inv1, driver: modbus, endpoint: "tcp://127.0.0.1:1502", profile: sunspec, role: pv}
  - id: bat1
    driver: modbus
    endpoint: "tcp://127.0.0.1:1503"
    role: battery
    rated_power: 30kW
    points:
      - {name: active_power_setpoint, register: "holding:200", type: int32, unit: W, access: read-write}
  - id: pcc
    driver: modbus
    endpoint: "tcp://127.0.0.1:1504"
    role: meter
    points:
      - {name: active_power, register: "input:52", type: float32, unit: W}
control:
  pcc: pcc
  ramp: {up: 10%/min, emergency: {up: 100W/s}, release: 50W/s}
  der: {bat1: {ramp: {up: 10%/s}}}
  fallback:
    uplink_lost: {after: 15min, active_power: {limit: 50%}, reactive_power: {value: 0%, ramp: 1%/s}}
    pcc_meter_lost: {after: 10s, active_power: disconnect, reactive_power: release}
    der_lost: {after: 30s, device_revert: 60s}
uplinks:
  - {id: dso, type: mqtt, url: "mqtt://127.0.0.1", authority: {priority: 20, functions: [limit_active_power, connect]}}
  - {id: trader, type: mqtt, url: "mqtt://127.0.0.1:1884"}
"""

STATIC = """\
Site park, rated 100000 W; the meter pcc is its PCC; controls inv1, bat1

WHO DECIDES, the highest first: each level only narrows what those above it left
  1  capability  what the site and its devices can do: ratings, apparent power, state of charge.
                 No order, fallback or ramp leaves it, and what a device does to protect itself
                 none of them can undo
"""


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(cli.main, ["control", "explain", *map(str, words)])


def site_file(folder: Path, address: str | None) -> Path:
    file = folder / "site.yaml"
    file.write_text(SITE + (f"local: {{http: '{address}'}}\n" if address else ""))
    return file


def section(page: str, title: str) -> list[list[str]]:
    """The lines of one part of the page, each as its columns."""
    [part] = [part for part in page.split("\n\n") if part.startswith(title)]
    return [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in part.splitlines()[1:]]


def test_the_rules_are_printed_of_a_site_whose_gateway_answers_nowhere(tmp_path: Path) -> None:
    result = run(site_file(tmp_path, None))
    page = result.stdout

    assert (result.exit_code, result.stderr) == (0, "")
    assert page.startswith(STATIC)
    assert page.endswith("NOW: not known, local.http is not set in the site file, so its gateway answers nowhere\n")
    assert max(map(len, page.splitlines())) <= 96
    ranked = [row[0] for row in section(page, "WHO DECIDES") if row[0].isdecimal()]
    assert ranked == ["1", "2", "3", "4", "5", "6"]
    assert section(page, "WHO MAY ORDER") == [
        ["uplink", "priority", "functions"],
        ["dso", "20", "connect, limit_active_power"],
        ["trader", "10", "all"],
    ]
    assert section(page, "HOW FAST") == [
        ["orders without a ramp of their own", "up 166.7 W/s, down unlimited"],
        ["the same of the kind emergency", "up 100 W/s, down unlimited"],
        ["up again after a limit", "50 W/s"],
        ["up again after a disconnection", "unlimited"],
        ["the device bat1, at any time", "up 3000 W/s, down unlimited"],
    ]
    assert section(page, "WHEN SOMETHING") == [
        ["of", "after", "quantity", "what becomes of it"],
        ["the DSO", "900 s", "active_power", "orders stay, at most 50000 W"],
        ["the DSO", "900 s", "reactive_power", "0 var at 1000 var/s for all set-points"],
        ["the PCC meter", "10 s", "active_power", "the devices leave the grid"],
        ["the PCC meter", "10 s", "reactive_power", "orders are let go"],
        ["the clock", "-", "active_power", "orders stay"],
        ["the clock", "-", "reactive_power", "orders stay"],
        ["a device", "30 s", "all", "it lets go 60 s after the last refresh"],
    ]


def test_what_a_target_can_do_is_told_as_far_as_the_site_file_tells(tmp_path: Path) -> None:
    told = control.by_file(load(site_file(tmp_path, None)))
    able = {(one["target"], one["function"]): one["by"] for one in told["abilities"]}

    assert able["inv1", "limit_active_power"] == "unknown", "a SunSpec device tells it by itself"
    assert able["bat1", "set_active_power"] == "gateway"
    assert able["bat1", "set_reactive_power"] == "none"
    assert able["pcc", "limit_export"] == "gateway"


def running(site: Path, **changes: Any) -> bytes:
    """What the gateway of the site answers."""
    seen = look(control=decided(), **changes)
    own = replace(seen.site, plant=plant_of(load(site)))
    return documents.encode(documents.control(documents.View(replace(seen, site=own))))


def test_of_a_running_site_it_is_printed_who_decides_each_quantity(tmp_path: Path) -> None:
    body = running(site_file(tmp_path, None))
    with answering(http(body)) as address:
        result = run(site_file(tmp_path, address))
    _, _, now = result.stdout.rpartition("NOW, ")

    assert (result.exit_code, result.stderr) == (0, "")
    assert now.splitlines() == [
        "2026-11-22T10:00:00.000Z, tick 51",
        "  pcc active_power: at most 40000 W, decided by t1",
        "       capability: -100000 to 100000 W",
        "     1  o1: limit_active_power (limits), dso, priority 10, until 2026-11-22T10:10:00.000Z",
        "        says at most 60000 W; overruled by t1",
        "     2  t1: limit_active_power (limits), market, priority 10, without end",
        "        says at most 40000 W; decides: ceiling",
        "  all devices in sum, active_power: at most 40000 W",
        "  inv1.active_power_limit is to be 40000 W, because of o1 t1",
    ]


def test_json_is_both_parts_as_one_document(tmp_path: Path) -> None:
    body = running(site_file(tmp_path, None))
    with answering(http(body)) as address:
        told = json.loads(run(site_file(tmp_path, address), "--json").stdout)
    silent = json.loads(run(site_file(tmp_path, None), "--json").stdout)

    assert (told["running"], told["not_running"]) == (json.loads(body), None)
    assert told["rules"] == told["running"]["rules"]
    assert (silent["running"], silent["rules"], silent["site"]) == (None, told["rules"], "park")
    assert "local.http is not set" in silent["not_running"]


def test_it_is_told_when_the_running_gateway_has_other_rules_than_the_file(tmp_path: Path) -> None:
    body = running(site_file(tmp_path, None))
    with answering(http(body)) as address:
        file = site_file(tmp_path, address)
        file.write_text(file.read_text().replace("release: 50W/s", "release: 60W/s"))
        page = run(file).stdout

    assert page.endswith("The running gateway was started with other rules than this site file's: ramps\n")


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        pytest.param(http(b"<html>"), "is no gateway (HTTP 200)", id="a-web-page"),
        pytest.param(http(b'{"error": "x"}', "404 Not Found"), "is no gateway (HTTP 404)", id="no-such-path"),
        pytest.param(b"220 mail ready\r\n", "no gateway answers at", id="another-protocol"),
        pytest.param(
            http(b'{"site": "other", "places": []}'), "another site answers: other, not park", id="another-site"
        ),
    ],
)
def test_what_answers_otherwise_leaves_the_rules_and_says_so(raw: bytes, reason: str, tmp_path: Path) -> None:
    with answering(raw) as address:
        result = run(site_file(tmp_path, address))

    assert (result.exit_code, result.stderr) == (0, "")
    assert "WHO DECIDES" in result.stdout
    _, _, now = result.stdout.rpartition("NOW: not known, ")
    assert reason in " ".join(now.split())


def test_nobody_there_is_said_and_no_failure(tmp_path: Path) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))  # bound, and not listened at
        address = f"127.0.0.1:{reserved.getsockname()[1]}"
        result = run(site_file(tmp_path, address))

    assert result.exit_code == 0
    assert result.stdout.endswith(f"NOW: not known, no gateway runs: nothing listens at {address}\n")


def test_a_bad_site_file_is_exit_2(tmp_path: Path) -> None:
    assert run(tmp_path / "none.yaml").exit_code == 2


def voice(**changes: Any) -> dict[str, Any]:
    order = {"lo": None, "hi": None, "wanted_lo": None, "wanted_hi": None, "handed": None}
    return {**order, "rank": 1, "source": "a", "kind": "dso", "priority": 10, "level": "x", "function": "f",
            "decides": [], "overruled_by": None, "expires": None, **changes}  # fmt: skip


FATES = [
    pytest.param(voice(hi=5.0, wanted_hi=5.0, decides=["ceiling"]), "says at most 5 W; decides: ceiling", id="decides"),
    pytest.param(voice(hi=9.0, wanted_hi=5.0), "says at most 9 W, on its way to at most 5 W; the same as what decides",
                 id="on-its-way"),
    pytest.param(voice(lo=5.0, hi=5.0, wanted_lo=5.0, wanted_hi=5.0, decides=["set-point"], overruled_by="b"),
                 "says 5 W; decides: set-point, held back by b", id="held-back"),
    pytest.param(voice(lo=-5.0, hi=5.0, wanted_lo=-5.0, wanted_hi=5.0, overruled_by="b"),
                 "says -5 to 5 W; overruled by b", id="overruled"),
    pytest.param(voice(), "says nothing; has no part now", id="silent"),
    pytest.param(voice(handed="curve", decides=["device"]), "given to the device; decides: device", id="handed"),
]  # fmt: skip


@pytest.mark.parametrize(("order", "expected"), FATES)
def test_each_order_is_told_in_two_lines(order: dict[str, Any], expected: str) -> None:
    place = {"target": "pcc", "quantity": "active_power", "unit": "W", "capability": {"lo": 0, "hi": 9},
             "left": {"lo": 0, "hi": 5}, "value": 5.0, "decided_by": {"ceiling": "a"}, "orders": [order]}  # fmt: skip
    let_go = {"source": "z", "function": "g", "target": "pcc", "why": "let go by the fallback uplink_lost"}
    running = {"time": "t", "ticks": 1, "fallbacks": ["uplink_lost"], "totals": {}, "wishes": []}
    page = list(control_page.now({**running, "places": [place], "let_go": [let_go]}))

    assert page[1] == "  the fallback uplink_lost stands"
    assert page[-2].strip() == expected
    assert page[-1] == "  z (g at pcc) has no say: let go by the fallback uplink_lost"


@pytest.mark.parametrize("words", [["control"], ["control", "explain"]], ids=" ".join)
def test_every_help_has_an_example(words: list[str]) -> None:
    result = CliRunner().invoke(cli.main, [*words, "--help"])

    assert result.exit_code == 0
    assert "dergate control explain site.yaml" in result.stdout


PLACE = {"target": "inv1", "quantity": "active_power", "unit": "W", "capability": {"lo": -9, "hi": 9}}
PLACES = [
    pytest.param(
        {"left": {"lo": -2, "hi": 9}, "value": -2.0, "decided_by": {"ceiling": "capability", "floor": "r"}},
        "-2 to 9 W, decided by capability (ceiling) and r (floor)",
        id="two-edges",
    ),
    pytest.param({"left": {"lo": -2, "hi": 9}, "value": -2.0, "decided_by": {"floor": "r"}},
                 "at least -2 W, decided by r", id="a-floor"),
    pytest.param({"left": {"lo": 4, "hi": 4}, "value": 4.0, "decided_by": {"set-point": "l"}},
                 "4 W, decided by l", id="a-set-point"),
    pytest.param({"left": {"lo": -9, "hi": 9}, "value": None, "decided_by": {}}, "nothing is said now", id="silence"),
    pytest.param({"left": {"lo": 0, "hi": 0}, "value": 0.0, "decided_by": {"connection": "x"}, "unit": ""},
                 "disconnected, decided by x", id="a-connection"),
    pytest.param({"left": {"lo": -9, "hi": 9}, "value": None, "decided_by": {}, "orders": [voice(decides=["device"])]},
                 "the device follows by itself", id="by-itself"),
]  # fmt: skip


@pytest.mark.parametrize(("place", "expected"), PLACES)
def test_what_is_in_force_is_told_in_one_line(place: dict[str, Any], expected: str) -> None:
    running = {"time": "t", "ticks": 1, "fallbacks": [], "totals": {}, "wishes": [], "let_go": []}
    page = list(control_page.now({**running, "places": [{"orders": [], **PLACE, **place}]}))

    assert page[1] == f"  inv1 active_power: {expected}"


def test_a_characteristic_is_broken_between_its_parts() -> None:
    text = ",".join(f'"number{number}":0.02' for number in range(20))
    wish = {"point": "inv1.volt_var", "value": text, "unit": "", "cause": "v"}
    running = {"time": "t", "ticks": 1, "fallbacks": [], "totals": {}, "let_go": [], "places": [], "wishes": [wish]}
    place = {"orders": [], **PLACE, "left": {"lo": 0, "hi": 0}, "value": None, "decided_by": {}}
    page = list(control_page.now({**running, "places": [place]}))

    assert all(part in " ".join(page) for part in text.split(","))
    assert max(map(len, page)) <= control_page.WIDTH
