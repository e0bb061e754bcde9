"""A bad site file: every fault at once, each with its line, its column, what was found and what is accepted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.config import SiteFaults, load
from gateway.config.document import SIZE_MAX
from gateway.config.profiles import names

Faults = Callable[..., list[str]]

FIVE_MISTAKES = """\
site:
  id: pv-park-7
  rated_power: 100kW
devices:
  - id: inv1
    driver: modbus
    endpoint: tcp://192.168.1.20:502
    profile: sunspec
    unit: 300
    role: pv
    rated_power: -60kW
    pol: 1s
  - id: pcc
    driver: dnp3
    role: meter
control:
  pcc: pccc
"""


def test_five_mistakes_are_reported_all_at_once_each_at_its_place(faults: Faults) -> None:
    assert faults(FIVE_MISTAKES) == [
        "site.yaml:9:11: devices[0].unit: should be between 0 and 255, found 300",
        "site.yaml:11:18: devices[0].rated_power: should be greater than 0, found -60kW",
        "site.yaml:12:5: devices[0].pol: unknown key; did you mean 'poll'?",
        "site.yaml:14:13: devices[1].driver: 'dnp3' is not one of 'modbus', 'iec104', 'opcua'",
        "site.yaml:17:8: control.pcc: there is no device 'pccc'; did you mean 'pcc'?",
    ]


DEVICE = """\
  - id: m1
    driver: modbus
    endpoint: tcp://192.168.1.21
    role: meter
"""
POINTS = DEVICE + "    points:\n"
UPLINK = "uplinks:\n  - id: dso\n    type: mqtt\n    url: mqtts://mqtt.example\n"
POWER = '{name: active_power, register: "input:52", type: float32, unit: W}'

BUS = f"""\
  - id: m1
    driver: modbus
    endpoint: rtu:///dev/ttyUSB0
    role: meter
    unit: 3
    profile: sunspec
  - id: m2
    driver: modbus
    endpoint: rtu:///dev/ttyUSB0?baudrate=9600
    role: meter
    unit: 2
    points:
      - {POWER}
"""


@pytest.mark.parametrize(
    ("added", "line"),
    [
        pytest.param("contrl: {}", "8:1: contrl: unknown key; did you mean 'control'?", id="unknown-section"),
        pytest.param(
            "local: {zzz: 1}", "8:9: local.zzz: unknown key; accepted: http", id="unknown-key-without-near-match"
        ),
        pytest.param(
            "local: {http: localhost}",
            "8:15: local.http: should be an address with its port, like 127.0.0.1:8080, found localhost",
            id="address-without-port",
        ),
        pytest.param("devices: []", "8:1: devices: is given twice", id="duplicate-key"),
        pytest.param(
            "control:", "8:1: control: should be a mapping of keys to values, found nothing", id="empty-section"
        ),
        pytest.param(
            "control: [1]", "8:10: control: should be a mapping of keys to values, found a list", id="list-for-mapping"
        ),
        pytest.param(
            "control: {period: 200}",
            "8:19: control.period: should be a duration with its unit, like 250ms, 1s, 5min or 1h, found 200",
            id="duration-without-unit",
        ),
        pytest.param(
            "control: {period: 1ms}",
            "8:19: control.period: should be between 50ms and 60s, found 1ms",
            id="period-too-short",
        ),
        pytest.param(
            "control: {ramp: {up: 10%}}",
            "8:22: control.ramp.up: should be unlimited, or a rate like 10%/min, 1%/s or 500W/s, found 10%",
            id="ramp-without-time",
        ),
        pytest.param(
            "control: {fallback: {uplink_lost: {after: 1min, active_power: {limit: 50}}}}",
            "8:71: control.fallback.uplink_lost.active_power.limit: should be a share like 50% "
            "or a power like 30kW, found 50",
            id="fallback-limit-without-unit",
        ),
        pytest.param(
            "control: {fallback: {uplink_lost: {active_power: hold}}}",
            "8:35: control.fallback.uplink_lost.after: is missing",
            id="fallback-without-wait",
        ),
        pytest.param(
            "control: {fallback: {uplink_lost: {after: 1min, active_power: shutdown}}}",
            "8:63: control.fallback.uplink_lost.active_power: 'shutdown' is not one of 'hold', 'release', 'disconnect'",
            id="fallback-not-known",
        ),
        pytest.param(
            "control: {ders: [inv1, inv2]}",
            "8:24: control.ders[1]: there is no device 'inv2'; did you mean 'inv1'?",
            id="unknown-der",
        ),
        pytest.param(
            "report: {default: {deadband: 5 %%}}",
            "8:30: report.default.deadband: should be a share like 0.5%, a value with its unit "
            "like 100W, or a number, "
            "found 5 %%",
            id="deadband",
        ),
        pytest.param(
            'report: {points: {"*": {}}}',
            "8:19: report.points['*']: should be a pattern of full point names, like 'inv1.*' or '*.energy_*'",
            id="report-pattern-without-point",
        ),
        pytest.param(
            'report: {points: {"inv9.*": {}}}',
            "8:19: report.points['inv9.*']: matches no device; did you mean 'inv1'?",
            id="report-pattern-without-device",
        ),
        pytest.param(
            POINTS + f"      - {POWER}\nreport: {{default: {{deadband: 1V}}}}",
            "14:30: report.default.deadband: is in V, and would hold for m1.active_power, which is in W; "
            "give a share like 0.5%, or name the points more narrowly",
            id="deadband-in-another-unit",
        ),
        pytest.param(
            "buffer: {max_size: 2}", "8:20: buffer.max_size: should be a size like 500MB or 2GB, found 2", id="size"
        ),
        pytest.param(
            "buffer: {on_full: drop}", "8:19: buffer.on_full: 'drop' is not one of 'thin'", id="word-that-is-no-choice"
        ),
        pytest.param("state_dir: 5", "8:12: state_dir: should be a path, found 5", id="path"),
        pytest.param(
            DEVICE.replace("m1", "inv1") + "    profile: sunspec",
            "8:9: devices[1].id: the id 'inv1' is taken by devices[0] in line 3",
            id="duplicate-device-id",
        ),
        pytest.param(
            DEVICE.replace("m1", "M 1"),
            "8:9: devices[1].id: should be 1 to 63 characters of a-z, 0-9, _ and -, found M 1",
            id="device-id",
        ),
        pytest.param(
            DEVICE.replace("m1", "7"),
            "8:9: devices[1].id: should be text, found 7; put it in quotes",
            id="number-for-text",
        ),
        pytest.param(DEVICE.replace("    role: meter\n", ""), "8:5: devices[1].role: is missing", id="missing-key"),
        pytest.param(
            DEVICE.replace("modbus", "iec104"),
            "9:13: devices[1].driver: 'iec104' is not served by this version; accepted: 'modbus'",
            id="driver-not-served",
        ),
        pytest.param(
            DEVICE + "    unit: one",
            "12:11: devices[1].unit: should be a whole number, found one",
            id="text-for-number",
        ),
        pytest.param(
            DEVICE + "    unit:",
            "12:5: devices[1].unit: should be a whole number, found nothing",
            id="empty-value-stands-at-its-key",
        ),
        pytest.param(
            DEVICE + "    rated_power: 60",
            "12:18: devices[1].rated_power: should be a value with its unit, like 800W, 60kW or 1.5MW, found 60",
            id="power-without-unit",
        ),
        pytest.param(
            DEVICE + "    unit: .inf", "12:11: devices[1].unit: should be a finite number, found .inf", id="not-finite"
        ),
        pytest.param(
            DEVICE + "    profile: eastron-sdm360",
            "12:14: devices[1].profile: there is no profile 'eastron-sdm360'; did you mean 'eastron-sdm630'?",
            id="unknown-profile",
        ),
        pytest.param(
            DEVICE + "    profile: ../secret",
            f"12:14: devices[1].profile: there is no profile '../secret'; accepted: {', '.join(names())}",
            id="profile-outside-its-folder",
        ),
        pytest.param(
            DEVICE.replace("21", "20:502") + "    profile: sunspec",
            "10:15: devices[1].endpoint: unit 1 at 192.168.1.20:502 is taken by devices[0] in line 5",
            id="same-endpoint-and-unit",
        ),
        pytest.param(
            BUS.replace("baudrate=9600", "baudrate=19200"),
            "16:15: devices[2].endpoint: should be as for the device 'm1' on the same line, found another",
            id="two-speeds-on-one-line",
        ),
        pytest.param(
            BUS.replace("unit: 2", "quirks: {max_registers: 1}"),
            "20:9: devices[2].points[0]: needs 2 registers in one answer, quirks.max_registers of 'm2' is 1",
            id="value-longer-than-an-answer",
        ),
        pytest.param(
            POINTS + "      - {name: p, register: 52, type: float32}",
            "13:29: devices[1].points[0].register: should be holding:N, input:N, coil:N or "
            "discrete:N with the wire address N from 0 to 65535, found 52",
            id="register",
        ),
        pytest.param(
            POINTS + f"      - {POWER.replace('float32', 'float')}",
            "13:58: devices[1].points[0].type: 'float' is not one of 'int16', 'uint16', "
            "'int32', 'uint32', 'int64', 'uint64', 'float32', 'float64', 'bcd16', 'bcd32', 'bool', 'string'",
            id="point-type",
        ),
        pytest.param(
            POINTS + f"      - {POWER.replace('active_', '')}\ncontrol: {{pcc: m1}}",
            "14:16: control.pcc: the device 'm1' has no active_power that can be read, so it cannot close the loop",
            id="pcc-without-power",
        ),
        pytest.param(
            DEVICE + "    profile: sunspec\n    endpoint: ${HOST}",
            "13:5: devices[1].endpoint: is given twice",
            id="second-value-is-not-looked-at",
        ),
        pytest.param(
            DEVICE + "    profile: ${NO_SUCH}",
            "12:14: devices[1].profile: the environment variable NO_SUCH is not set; write $${ for a plain ${",
            id="unset-variable",
        ),
        pytest.param(
            UPLINK + "    payload: cim-xml",
            "12:14: uplinks[0].payload: 'cim-xml' is not served by this version; accepted: 'json'",
            id="payload-not-served",
        ),
        pytest.param(
            UPLINK + "    require_signature: true",
            "12:24: uplinks[0].require_signature: true is not served by this version; accepted: false",
            id="signatures-not-served",
        ),
        pytest.param(
            UPLINK.replace("mqtt\n", "iec104-server\n") + "    common_address: 1",
            "10:11: uplinks[0].type: 'iec104-server' is not served by this version; accepted: 'mqtt'",
            id="uplink-not-served",
        ),
        pytest.param(
            UPLINK + "  - {id: dso, type: mqtt, url: 'mqtts://b.example'}",
            "12:10: uplinks[1].id: the id 'dso' is taken by uplinks[0] in line 9",
            id="duplicate-uplink-id",
        ),
        pytest.param("local: {http: !secret x}", "8:15: local.http: the tag !secret is not accepted", id="tag"),
        pytest.param("? [a, b]\n: 1", "8:3: a key should be a word", id="key-that-is-no-word"),
        pytest.param(
            "local: &a {http: *a}",
            "8:8: local.http: an alias to something that holds the alias itself",
            id="endless-alias",
        ),
    ],
)
def test_a_fault_says_where_it_is_what_was_found_and_what_is_accepted(
    faults: Faults, minimal: str, added: str, line: str
) -> None:
    assert faults(minimal + added) == [f"site.yaml:{line}"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        pytest.param("", ":1:1: is empty; a site file starts with 'site:'", id="empty"),
        pytest.param("# nothing\n", ":1:1: is empty; a site file starts with 'site:'", id="only-a-comment"),
        pytest.param(
            "- a\n", ":1:1: should be a mapping of keys to values; a site file starts with 'site:'", id="list"
        ),
        pytest.param(
            "site\n", ":1:1: should be a mapping of keys to values; a site file starts with 'site:'", id="word"
        ),
        pytest.param("site:\n\tid: x\n", ":2:1: not YAML: a tab cannot be used here; indent with spaces", id="tab"),
        pytest.param("site: {id: x\n", ":2:1: not YAML: expected ',' or '}', but got '<stream end>'", id="open-brace"),
        pytest.param("site: 'x\n", ":2:1: not YAML: a quote is opened and never closed", id="open-quote"),
        pytest.param(
            "a: b: c\n",
            ":1:5: not YAML: a ':' is not expected here; is a quote or a line break missing before it?",
            id="second-colon",
        ),
        pytest.param(
            "a: 1\n---\nb: 1\n", ":2:1: not YAML: only one document is accepted in this file", id="two-documents"
        ),
        pytest.param("site: a\x00b\n", ":1:8: not YAML: the character U+0000 is not allowed", id="nul"),
        pytest.param(
            'site: "\\U00110000"\n', ":1:1: not YAML: chr() arg not in range(0x110000)", id="no-such-character"
        ),
        pytest.param("[" * 2000, ":1:1: not YAML of a site: nested too deeply", id="nested-too-deeply"),
    ],
)
def test_what_is_no_site_file_at_all_is_one_clear_line(faults: Faults, text: str, line: str) -> None:
    assert faults(text) == [f"site.yaml{line}"]


def test_a_file_that_is_not_utf8_is_told_with_its_position(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_bytes(b"site:\n  name: M\xfcller\n")

    with pytest.raises(SiteFaults, match=r":2:10: is not UTF-8 text; save it as UTF-8$"):
        load(path)


def test_a_file_that_cannot_be_read_is_told_with_its_reason(tmp_path: Path) -> None:
    with pytest.raises(SiteFaults, match=r"absent\.yaml: cannot be read: no such file or directory$"):
        load(tmp_path / "absent.yaml")
    with pytest.raises(SiteFaults, match=r": cannot be read: is a directory$"):
        load(tmp_path)


def test_a_file_over_one_megabyte_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_bytes(b"#" * (SIZE_MAX + 1))

    with pytest.raises(SiteFaults, match=r"site\.yaml: is larger than 1 MB; is it the right file\?$"):
        load(path)


def test_aliases_that_multiply_are_refused_in_time(faults: Faults) -> None:
    """A dozen lines can stand for billions of values; no more than a bounded number is ever built."""
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
    )

    assert any("holds more than 100000 values" in line for line in faults(bomb))


def test_values_below_keys_that_hold_secrets_are_not_shown(faults: Faults, minimal: str) -> None:
    lines = faults(
        minimal
        + UPLINK.replace("mqtts://", "mqtts://me:hunter2@")
        + "    credentials: {username: [hunter2], password: hunter2}\n    tls: {ca: [hunter2], key: 5}\n"
    )

    assert lines
    assert "hunter2" not in "\n".join(lines)


def test_what_a_variable_stands_for_is_not_shown(faults: Faults, minimal: str) -> None:
    added = DEVICE.replace("tcp://192.168.1.21", "${WHERE}") + "    rated_power: ${WHERE}\n"

    forms = (
        "tcp://host[:port], rtu:///dev/ttyUSB0?baudrate=9600&parity=N, rtu-over-tcp://host[:port] or tls://host[:port]"
    )
    sentence = "should be a value with its unit, like 800W, 60kW or 1.5MW"
    assert faults(minimal + added, {"WHERE": "hunter2"}) == [
        f"site.yaml:10:15: devices[1].endpoint: should be {forms}, found ${{WHERE}}",
        f"site.yaml:12:18: devices[1].rated_power: {sentence}, found ${{WHERE}}",
    ]


def test_cross_checks_run_beside_faults_of_single_values(faults: Faults, minimal: str) -> None:
    """A wrong value in one section hides no fault of another."""
    lines = faults(minimal.replace("100kW", "100") + "control: {pcc: nowhere}\n")

    assert [line.split(": ")[1] for line in lines] == ["site.rated_power", "control.pcc"]
