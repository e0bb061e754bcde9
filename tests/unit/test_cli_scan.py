"""`dergate scan`: what it takes, what it says, how it ends, and that the file it writes is right as it is."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from drivers.base import ConnectionLost
from drivers.modbus.scan import Device, Survey
from gateway import cli
from gateway.commands import scan as command
from gateway.config import load, profiles

INVERTER = Device(
    unit=3,
    profile="sunspec",
    role="pv",
    manufacturer="Vendor",
    model="PV60",
    serial="SN-1",
    models=(1, 103, 123),
    rated_power_w=60000.0,
)
BATTERY = Device(unit=1, profile="sunspec", role="battery", models=(1, 103, 124))
METER = Device(unit=2, profile="eastron-sdm630", role="meter", manufacturer="Eastron", model="SDM630")
UNKNOWN = Device(unit=9)
UNREADABLE = Device(unit=4, manufacturer="Vendor", models=(1, 307), note="no model with readings")
ENDPOINT = "tcp://192.168.1.20:502"

Ending = Callable[[Survey], None]


def dergate(*words: object) -> Result:
    return CliRunner().invoke(cli.main, [str(word) for word in words], prog_name="dergate")


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets what stands on the line, in place of a connection, and how the scan of it ends."""

    def given(*devices: Device, asked: int = 1, end: BaseException | None = None, any_unit: bool = False) -> None:
        async def run(survey: Survey, *_: object) -> None:
            survey.found.extend(devices)
            survey.asked, survey.at, survey.any_unit = asked, 1, any_unit
            if end is not None:
                raise end

        monkeypatch.setattr(command, "run", run)

    return given


def test_the_command_has_help_with_an_example() -> None:
    result = dergate("scan", "--help")

    assert result.exit_code == 0
    assert "Example:\n" in result.stdout
    assert "scan" in dergate("--help").stdout


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("1", (1,)),
        ("1-3", (1, 2, 3)),
        ("126, 1-2,2", (1, 2, 126)),
        ("1-247", tuple(range(1, 248))),
        ("255", (255,)),
    ],
)
def test_units_are_given_one_by_one_or_as_ranges(text: str, units: tuple[int, ...]) -> None:
    assert command.unit_ids(text, 255) == units


@pytest.mark.parametrize(
    ("words", "says"),
    [
        pytest.param(["host", "--unit", "0"], "from 1 to 255", id="unit 0"),
        pytest.param(["host", "--unit", "250-256"], "from 1 to 255", id="unit 256"),
        pytest.param(["host", "--unit", "5-3"], "'5-3'", id="falling range"),
        pytest.param(["host", "--unit", "all"], "'all'", id="no number"),
        pytest.param(["/dev/ttyUSB0", "--unit", "248"], "from 1 to 247", id="unit 248 on a serial line"),
        pytest.param(["host:port"], "should be HOST", id="no port"),
        pytest.param(["host:0"], "should be HOST", id="port 0"),
        pytest.param([""], "should be HOST", id="nothing"),
        pytest.param(["opc.tcp://host"], "should be HOST", id="another protocol"),
        pytest.param(["tls://host"], "certificates", id="TLS"),
        pytest.param(["host", "--parity", "E"], "--parity is for a serial line", id="parity without a serial line"),
        pytest.param(["/dev/ttyUSB0", "--baudrate", "9601"], "9601", id="no such speed"),
    ],
)
def test_what_cannot_be_meant_exits_2_with_a_sentence_and_asks_nobody(
    words: Sequence[str], says: str, line: Callable[..., None]
) -> None:
    line(end=AssertionError("asked"))
    result = dergate("scan", *words)

    assert result.exit_code == 2
    assert says in " ".join(result.stderr.split())


@pytest.mark.parametrize(
    ("target", "settings", "endpoint"),
    [
        ("192.168.1.20", {}, "tcp://192.168.1.20:502"),
        ("gateway.example:1502", {}, "tcp://gateway.example:1502"),
        ("[fe80::1]", {}, "tcp://[fe80::1]:502"),
        ("rtu-over-tcp://10.0.0.1:4001", {}, "rtu-over-tcp://10.0.0.1:4001"),
        ("/dev/ttyUSB0", {}, "rtu:///dev/ttyUSB0?baudrate=9600&parity=N&stopbits=1"),
        ("/dev/ttyS1", {"parity": "E", "stopbits": None}, "rtu:///dev/ttyS1?baudrate=9600&parity=E&stopbits=1"),
    ],
)
def test_the_endpoint_is_written_as_a_site_file_writes_it(target: str, settings: dict[str, str], endpoint: str) -> None:
    assert command.line_to(target, settings)[0] == endpoint


def test_what_was_found_is_a_table_by_unit(line: Callable[..., None]) -> None:
    line(INVERTER, UNKNOWN, METER)
    result = dergate("scan", "192.168.1.20")

    assert result.exit_code == 0
    assert result.stderr == ""
    assert result.stdout.splitlines() == [
        "unit  profile         role   manufacturer  model   serial  found",
        "2     eastron-sdm630  meter  Eastron       SDM630  -       answers as its profile says",
        "3     sunspec         pv     Vendor        PV60    SN-1    SunSpec models 1, 103, 123; rated 60000 W",
        "9     -               -      -             -       -       answers, unknown device",
    ]


def test_json_says_the_same_for_programs(line: Callable[..., None]) -> None:
    line(INVERTER, METER)
    result = dergate("scan", "192.168.1.20", "--json")

    found = json.loads(result.stdout)
    assert (found["endpoint"], found["complete"], found["any_unit"]) == (ENDPOINT, True, False)
    assert [unit["unit"] for unit in found["units"]] == [2, 3]
    assert found["units"][1]["models"] == [1, 103, 123]


@pytest.mark.parametrize(
    ("end", "says"),
    [
        pytest.param(None, "none of 247 units answered", id="silent"),
        pytest.param(ConnectionLost("tcp://h:1: no connection within 3 s"), "no connection within 3 s", id="nobody"),
    ],
)
def test_nothing_that_answers_is_one_line_and_exit_3(
    end: BaseException | None, says: str, line: Callable[..., None], tmp_path: Path
) -> None:
    line(asked=0, end=end)
    result = dergate("scan", "192.168.1.20", "--write", tmp_path / "site.yaml")

    assert (result.exit_code, result.stdout) == (3, "")
    (sentence,) = result.stderr.splitlines()
    assert says in sentence
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("end", "code", "says"),
    [
        pytest.param(KeyboardInterrupt(), 130, "interrupted: 20 of 247 units were asked", id="Ctrl-C"),
        pytest.param(ConnectionLost("reset by peer"), 0, "reset by peer; ended at unit 1, 20 of 247", id="lost"),
    ],
)
def test_a_scan_that_ends_early_shows_what_was_found_and_writes_no_file(
    end: BaseException, code: int, says: str, line: Callable[..., None], tmp_path: Path
) -> None:
    line(INVERTER, asked=20, end=end)
    result = dergate("scan", "192.168.1.20", "--write", tmp_path / "site.yaml")

    assert result.exit_code == code
    assert "SN-1" in result.stdout
    assert says in result.stderr
    assert "site.yaml was not written" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_what_is_odd_is_said_on_stderr(line: Callable[..., None]) -> None:
    line(UNREADABLE, any_unit=True)
    result = dergate("scan", "192.168.1.20")

    assert result.exit_code == 0
    assert "unit 4: its SunSpec models cannot be read: no model with readings" in result.stderr
    assert "answers to every unit id as the same device" in result.stderr


def test_a_file_that_exists_is_kept_unless_force_is_given(line: Callable[..., None], tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text("mine", encoding="utf-8")
    line(end=AssertionError("asked"))

    result = dergate("scan", "192.168.1.20", "--write", path)
    assert (result.exit_code, path.read_text(encoding="utf-8")) == (2, "mine")
    assert "--force" in result.stderr

    line(INVERTER)
    result = dergate("scan", "192.168.1.20", "--write", path, "--force")
    assert result.exit_code == 0
    assert load(path).devices[0].id == "inv1"


def test_a_folder_that_is_missing_is_said_before_anybody_is_asked(line: Callable[..., None], tmp_path: Path) -> None:
    line(end=AssertionError("asked"))
    result = dergate("scan", "192.168.1.20", "--write", tmp_path / "absent" / "site.yaml")

    assert result.exit_code == 2
    assert "there is no folder" in " ".join(result.stderr.split())


@pytest.mark.parametrize(
    ("devices", "living"),
    [
        pytest.param([INVERTER], ["inv1"], id="inverter"),
        pytest.param([BATTERY, METER, INVERTER, UNKNOWN], ["bat1", "meter1", "inv1"], id="all kinds"),
        pytest.param([UNKNOWN, METER], ["meter1"], id="unknown before known"),
        pytest.param([UNKNOWN, UNREADABLE], ["device1"], id="unknown only"),
    ],
)
@pytest.mark.parametrize("endpoint", [ENDPOINT, "tcp://[fe80::1]:502", "rtu:///dev/ttyUSB0?baudrate=9600&parity=N"])
def test_the_file_passes_check_with_what_is_known_and_the_rest_in_comments(
    devices: Sequence[Device], living: list[str], endpoint: str, tmp_path: Path
) -> None:
    path = tmp_path / "site.yaml"
    text = command.starter(endpoint, devices)
    path.write_text(text, encoding="utf-8")

    result = dergate("check", path)
    assert (result.exit_code, result.stderr) == (0, "")
    site = load(path)
    assert [device.id for device in site.devices] == living
    by_unit = {device.unit: device for device in devices}
    assert [device.role for device in site.devices] == [by_unit[d.unit].role or "meter" for d in site.devices]
    assert re.findall(r"^  (?:# )?  unit: (\d+)", text, re.MULTILINE) == [str(device.unit) for device in devices]


def test_the_file_stays_right_when_the_examples_are_made_devices(tmp_path: Path) -> None:
    text = command.starter(ENDPOINT, [METER, UNKNOWN])
    path = tmp_path / "site.yaml"
    path.write_text(re.sub(r"^  # (?=[- p])", "  ", text, flags=re.MULTILINE), encoding="utf-8")

    site = load(path)
    assert [device.id for device in site.devices] == ["meter1", "device1"]
    assert site.control.pcc == "meter1"


def test_what_an_installer_has_to_fill_in_is_marked() -> None:
    text = command.starter(ENDPOINT, [INVERTER])

    for key in ("  id: my-site", "  rated_power:", "    role:"):
        (line,) = [line for line in text.splitlines() if line.startswith(key)]
        assert "# <- your value" in line


@pytest.mark.parametrize(
    ("device", "asked"), [(INVERTER, False), (BATTERY, True), (METER, False)], ids=["says it", "does not", "no DER"]
)
def test_a_nameplate_is_asked_for_where_a_der_does_not_say_it(device: Device, asked: bool) -> None:
    assert ("  # rated_power: 60kW" in command.starter(ENDPOINT, [device])) is asked


def test_each_profile_with_marks_is_looked_for() -> None:
    marked = {name for name in profiles.names() if name != "sunspec" and profiles.load(name).identify}

    found = command.signatures()
    assert {signature.profile for signature in found} == marked
    assert all(check.low <= check.high for signature in found for check in signature.checks)


@pytest.mark.parametrize(
    ("terminal", "every_s", "shown"),
    [
        pytest.param(
            True,
            10,
            "\runit 1 (1 of 2), 0 found\x1b[K\runit 2 (2 of 2), 1 found\x1b[K\r\x1b[K",
            id="a terminal: one line that changes, and is gone in the end",
        ),
        pytest.param(False, 10, "", id="a log: nothing of a short scan"),
        pytest.param(
            False,
            0,
            "unit 1 (1 of 2), 0 found\n" * 2 + "unit 2 (2 of 2), 1 found\n",
            id="a log: a line once the time is up",
        ),
    ],
)
async def test_progress_is_on_stderr(
    terminal: bool,
    every_s: float,
    shown: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(command, "PROGRESS_S", every_s)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    monkeypatch.setattr(click.utils, "should_strip_ansi", lambda *_: False)
    survey = Survey((1, 2), at=1)
    progress = command.Progress(survey)
    progress()
    progress()
    survey.at, survey.asked = 2, 1
    survey.found.append(INVERTER)
    progress()
    progress.clear()

    out, err = capsys.readouterr()
    assert (out, err) == ("", shown)
