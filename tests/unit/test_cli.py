"""The command line: exit codes, one line a fault, and no traceback for a user's mistake."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner, Result

from drivers.base import ConnectionLost, Driver, Emit, PlannedDevice
from gateway import cli, log
from gateway.model import (
    Ack,
    Activation,
    Entry,
    Frame,
    Instant,
    Measurement,
    Nameplate,
    Outgoing,
    Point,
    Quality,
    Status,
)
from gateway.store import Limits, Store
from gateway.uplink.messages import json as messages

ENDPOINTS = (
    "tcp://host[:port], rtu:///dev/ttyUSB0?baudrate=9600&parity=N, rtu-over-tcp://host[:port] or tls://host[:port]"
)
COMMANDS = [
    "demo",
    "run",
    "check",
    "schema",
    "scan",
    "read",
    "buffer",
    "activations",
    "dso",
    "status",
    "control",
    "commission",
]
SITE = """\
site: {id: park, rated_power: 100kW}
state_dir: state
devices:
  - {id: inv1, driver: modbus, endpoint: "tcp://127.0.0.1:1502", profile: sunspec, role: pv}
  - id: pcc
    driver: modbus
    endpoint: tcp://127.0.0.1:1503
    role: meter
    points:
      - {name: active_power, register: "input:52", type: float32, unit: W}
control: {pcc: pcc}
"""
FIVE_MISTAKES = """\
site:
  id: Park
  rated_power: 100kW
devices:
  - id: inv1
    driver: modbus
    endpoint: 192.168.1.20
    profile: sunspec
    unit: 300
    rol: pv
    role: pv
contrl: {}
"""


@pytest.fixture
def site_file(tmp_path: Path) -> Path:
    path = tmp_path / "site.yaml"
    path.write_text(SITE, encoding="utf-8")
    return path


def dergate(*words: object) -> Result:
    return CliRunner().invoke(cli.main, [str(word) for word in words], prog_name="dergate")


def warnings_of(result: Result) -> list[str]:
    return [line.removeprefix("warning: ") for line in result.stdout.splitlines() if line.startswith("warning: ")]


@pytest.mark.parametrize("words", [[], *([name] for name in COMMANDS)], ids=lambda words: " ".join(words) or "dergate")
def test_every_command_has_help_with_an_example(words: list[str]) -> None:
    result = dergate(*words, "--help")

    assert result.exit_code == 0
    assert "Example:\n" in result.stdout


@pytest.mark.parametrize("words", ["dso send", "dso watch", "buffer x stats", "buffer x export", "activations x show"])
def test_every_sub_command_has_help_with_an_example(words: str) -> None:
    result = dergate(*words.split(), "--help")

    assert result.exit_code == 0
    assert "Example:\n" in result.stdout


@pytest.mark.parametrize("command", ["run", "check"])
def test_a_bad_site_file_exits_2_with_one_line_a_fault_and_starts_nothing(tmp_path: Path, command: str) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(FIVE_MISTAKES, encoding="utf-8")

    done = subprocess.run(
        [sys.executable, "-m", "gateway.cli", command, "site.yaml"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=60,
        check=False,
    )

    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "site.yaml:2:7: site.id: should be 1 to 63 characters of a-z, 0-9 and -, found Park",
        f"site.yaml:7:15: devices[0].endpoint: should be {ENDPOINTS}, found 192.168.1.20",
        "site.yaml:9:11: devices[0].unit: should be between 0 and 255, found 300",
        "site.yaml:10:5: devices[0].rol: unknown key; did you mean 'role'?",
        "site.yaml:12:1: contrl: unknown key; did you mean 'control'?",
        "site.yaml: 5 faults" + (", nothing was started" if command == "run" else ""),
    ]
    assert [entry.name for entry in tmp_path.iterdir()] == ["site.yaml"]


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(("run", "{absent}"), id="run"),
        pytest.param(("check", "{absent}"), id="check"),
        pytest.param(("read", "{absent}", "inv1"), id="read"),
        pytest.param(("buffer", "{absent}", "stats"), id="buffer"),
        pytest.param(("activations", "{absent}", "list"), id="activations"),
    ],
)
def test_an_absent_site_file_exits_2_with_a_sentence(tmp_path: Path, words: Sequence[str]) -> None:
    result = dergate(*(word.format(absent=tmp_path / "absent.yaml") for word in words))

    assert result.exit_code == 2
    assert result.stderr.splitlines()[0] == f"{tmp_path}/absent.yaml: cannot be read: no such file or directory"


def test_run_ends_as_the_application_ended(site_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    application = SimpleNamespace(main=lambda site: seen.append(site.site.id) or 1)
    monkeypatch.setitem(sys.modules, "gateway.app", application)

    assert dergate("run", site_file).exit_code == 1
    assert seen == ["park"]


def test_sigterm_before_the_application_is_up_ends_with_0(tmp_path: Path) -> None:
    """Reading the site file takes a moment; whoever stops the service then has not met a fault."""
    os.mkfifo(tmp_path / "site.yaml")
    process = subprocess.Popen([sys.executable, "-m", "gateway.cli", "run", "site.yaml"], cwd=tmp_path)
    try:
        pipe = opened_once_it_is_read(tmp_path / "site.yaml", process)
        ended = None
        deadline = time.monotonic() + 20
        while ended is None and time.monotonic() < deadline:
            process.send_signal(signal.SIGTERM)  # again: one just before read() waits is seen after it
            with suppress(subprocess.TimeoutExpired):
                ended = process.wait(1)
        assert ended == 0
        os.close(pipe)
    finally:
        process.kill()
        process.wait(5)


def opened_once_it_is_read(pipe: Path, process: subprocess.Popen[bytes]) -> int:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and process.poll() is None:
        try:
            return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:  # nobody reads it yet
            time.sleep(0.02)
    raise AssertionError(f"the site file was not read; exit status {process.poll()}")


def test_the_daemon_does_not_load_what_only_other_commands_need(site_file: Path) -> None:
    program = (
        "import sys\nfrom types import SimpleNamespace\nfrom gateway.cli import main\n"
        "sys.modules['gateway.app'] = SimpleNamespace(main=lambda site: 0)\n"
        f"try:\n    main(['run', {str(site_file)!r}])\nfinally:\n"
        "    print([m for m in ('rich', 'hil', 'pymodbus', 'asyncua', 'c104') if m in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)

    assert (done.returncode, done.stdout) == (0, "[]\n")


# check


def test_check_prints_the_plan_and_warns_of_what_cannot_work(site_file: Path) -> None:
    result = dergate("check", site_file)

    assert result.exit_code == 0
    assert "pcc" in result.stdout
    assert "input 52-53 every 1 s" in result.stdout
    assert warnings_of(result) == [
        "no uplink: nothing is reported, and no order can arrive",
        "control.fallback.uplink_lost is not set: orders stay in force for as long as the DSO is not heard",
        "control.fallback.pcc_meter_lost is not set: without the meter the last set-points stay in force",
        "control.fallback.der_lost.device_revert is not set: devices keep a set-point when the gateway is gone",
    ]


@pytest.mark.parametrize(
    ("found", "replaced", "warning"),
    [
        pytest.param(
            "control: {pcc: pcc}",
            "",
            "control.pcc is not set: orders for the target pcc cannot be followed",
            id="no-pcc",
        ),
        pytest.param("role: pv", "role: load", "no device follows set-points: orders cannot be followed", id="no-der"),
        pytest.param(
            "control: {pcc: pcc}",
            "control: {pcc: pcc, fallback: {der_lost: {after: 30s, device_revert: 3s}}}",
            "control.fallback.der_lost.device_revert: after 3 s inv1 would let go between two refreshes; "
            "give it at least 4.8 s",
            id="reverts-too-soon",
        ),
        pytest.param(
            "control: {pcc: pcc}",
            "control: {pcc: pcc, fallback: {uplink_lost: {after: 1min}, der_lost: {after: 30s, device_revert: 2min}}}",
            "control.fallback.uplink_lost stands in after 60 s, but with the gateway gone, too, devices keep their "
            "set-points for 120 s (der_lost.device_revert)",
            id="reverts-too-late",
        ),
        pytest.param(
            "role: meter",
            "role: battery",
            "pcc: has no set-point that can be written, so it cannot follow orders",
            id="nothing-to-write",
        ),
        pytest.param(
            "unit: W}",
            "unit: W, poll: 2s}",
            "pcc: active_power is read every 2 s, the control loop runs every 0.2 s; read it at least every 1 s",
            id="slow-meter",
        ),
        pytest.param(
            "control: {pcc: pcc}",
            '      - {name: active_power_limit, register: "holding:1", type: uint16, unit: "%", access: write}\n'
            "control: {ders: [pcc]}",
            "pcc: active_power_limit is in %, and rated_power, which that is of, is not set",
            id="share-of-nothing",
        ),
    ],
)
def test_check_warns(site_file: Path, found: str, replaced: str, warning: str) -> None:
    site_file.write_text(SITE.replace(found, replaced), encoding="utf-8")

    assert warning in warnings_of(dergate("check", site_file))


class FakeLine:
    """A driver in memory: emits what it is given, then stays or is lost."""

    def __init__(
        self, *devices: Nameplate, load: float = 0.0, emits: Sequence[Measurement] = (), lost: str = ""
    ) -> None:
        self.name = "fake line"
        self.nameplates = devices
        self._load, self._emits, self._lost = load, emits, lost

    def plan(self) -> tuple[PlannedDevice, ...]:
        share = self._load / len(self.nameplates)
        return tuple(PlannedDevice(one.device, 1.0, share, 1.0, ()) for one in self.nameplates)

    async def run(self, emit: Emit) -> None:
        if self._lost:
            raise ConnectionLost(self._lost)
        emit([*self.nameplates, *self._emits])
        await asyncio.Event().wait()

    async def write(self, setpoint: object) -> float | None:
        raise AssertionError(f"nothing is to be written, was {setpoint}")


INV1 = Nameplate(
    "inv1", (Point("inv1.active_power", "W"), Point("inv1.active_power_limit", "%", readable=False, writable=True))
)
PCC = Nameplate("pcc", (Point("pcc.active_power", "W"), Point("pcc.frequency", "Hz")))


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def use(*lines: Driver) -> None:
        monkeypatch.setattr("drivers.build", lambda devices, revert_s: list(lines))

    return use


def test_check_warns_of_a_line_above_70_percent(site_file: Path, lines: Callable[..., None]) -> None:
    lines(FakeLine(INV1, PCC, load=0.8))

    result = dergate("check", site_file)

    assert result.exit_code == 0
    assert "fake line: loaded to 80%; repeats and writes will make values late" in warnings_of(result)


def test_check_refuses_a_line_above_100_percent(site_file: Path, lines: Callable[..., None]) -> None:
    lines(FakeLine(PCC, load=1.3))

    result = dergate("check", site_file)

    assert result.exit_code == 2
    load = "fake line would be loaded to 130%, pcc alone to 130%"
    assert result.stderr.splitlines() == [
        f"{site_file}:5:5: devices[1].poll: {load}; raise poll, or read fewer points",
        f"{site_file}: 1 fault",
    ]


# read

POWER = Measurement("pcc.active_power", -1500.0, time=1795341600.5)
FREQUENCY = Measurement("pcc.frequency", 49.99, time=1795341600.5)


def test_read_prints_every_readable_point_of_a_device(site_file: Path, lines: Callable[..., None]) -> None:
    lines(FakeLine(PCC, emits=[POWER, FREQUENCY]))

    result = dergate("read", site_file, "pcc")

    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "point             value  unit  quality  time",
        "pcc.active_power  -1500  W     good     2026-11-22T10:00:00.500Z",
        "pcc.frequency     49.99  Hz    good     2026-11-22T10:00:00.500Z",
    ]


def test_read_prints_json(site_file: Path, lines: Callable[..., None]) -> None:
    lines(FakeLine(PCC, emits=[POWER]))

    result = dergate("read", site_file, "pcc.active_power", "--json")

    assert result.exit_code == 0
    assert json.loads(result.stdout) == {
        "pcc.active_power": {"value": -1500.0, "unit": "W", "quality": "good", "time": "2026-11-22T10:00:00.500Z"}
    }


def test_read_prints_only_what_was_asked_for(site_file: Path, lines: Callable[..., None]) -> None:
    lines(FakeLine(PCC, emits=[POWER, FREQUENCY]))

    assert "frequency" not in dergate("read", site_file, "pcc.active_power").stdout


@pytest.mark.parametrize(
    ("line", "asked", "reason"),
    [
        pytest.param(
            FakeLine(PCC, lost="127.0.0.1:1503: refused"), "pcc", "pcc: 127.0.0.1:1503: refused", id="no-connection"
        ),
        pytest.param(FakeLine(PCC), "pcc", "pcc: no answer within 0.1 s", id="silent-device"),
        pytest.param(FakeLine(PCC, emits=[POWER]), "pcc", "pcc.frequency: no answer within 0.1 s", id="silent-point"),
        pytest.param(
            FakeLine(PCC, emits=[POWER._replace(value=None, quality=Quality.INVALID)]),
            "pcc.active_power",
            "pcc.active_power: the device's answer is invalid",
            id="invalid",
        ),
        pytest.param(
            FakeLine(PCC, emits=[POWER]),
            "pcc.activ_power",
            "pcc.activ_power: the device has no such point; did you mean 'active_power'?",
            id="no-such-point",
        ),
    ],
)
def test_read_exits_3_with_the_reason(
    site_file: Path, lines: Callable[..., None], line: FakeLine, asked: str, reason: str
) -> None:
    lines(line)

    result = dergate("read", site_file, asked, "--timeout", "0.1")

    assert result.exit_code == 3
    assert result.stderr.splitlines() == [reason]


def test_read_of_an_unknown_device_is_a_mistake_of_the_command_line(site_file: Path) -> None:
    result = dergate("read", site_file, "pc.active_power")

    assert result.exit_code == 2
    assert "there is no device 'pc' in this site; did you mean 'pcc'?" in result.stderr


# the store


@pytest.fixture
def stored(tmp_path: Path) -> None:
    """A store with two frames, and an order that was accepted and became effective."""
    order = Activation(
        id="dso-1",
        revision=1,
        issuer="dso",
        issued=0.0,
        target="pcc",
        function="limit_active_power",
        value=60,
        unit="%",
    )
    acks = [
        Ack(id="dso-1", revision=1, n=1, status=Status.ACCEPTED, time=1795341600.0, requested=60_000.0, unit="W"),
        Ack(
            id="dso-1",
            revision=1,
            n=2,
            status=Status.DEVIATING,
            time=1795341601.0,
            requested=60_000.0,
            applied=60_000.0,
            measured=70_123.0,
            unit="W",
            code="device_offline",
            detail="inv1",
        ),
    ]
    entry = Entry(
        id="dso-1", revision=1, uplink="dso", status=Status.DEVIATING, n=2, received=1795341600.0, activation=order
    )

    async def fill() -> None:
        now = Instant(1795341600.0, 0.0)
        store = Store.open(tmp_path / "state", now=lambda: now, limits=Limits())
        await store.start()
        store.append(
            [
                Frame(1795341600.0, {"pcc.active_power": 1.5}),
                Frame(1795341601.0, {}, {"pcc.active_power": Quality.OFFLINE}),
            ]
        )
        payloads = [Outgoing("acks", messages.ack("park", ack), ref="dso-1") for ack in acks]
        await store.commit(entries=[entry], holds=[], released=[], outgoing=payloads)
        await store.close()

    asyncio.run(fill())


@pytest.mark.usefixtures("stored")
def test_activations_show_prints_the_life_of_an_order(site_file: Path) -> None:
    result = dergate("activations", site_file, "show", "dso-1")

    assert result.exit_code == 0
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert lines == [
        "dso-1: deviating; pcc limit_active_power 60 %, at once, until cancelled, dso by dso",
        "n time rev status requested applied measured why",
        "1 2026-11-22T10:00:00.000Z 1 accepted 60000 W - -",
        "2 2026-11-22T10:00:01.000Z 1 deviating 60000 W 60000 W 70123 W device_offline: inv1",
    ]


@pytest.mark.usefixtures("stored")
def test_activations_list_prints_every_order(site_file: Path) -> None:
    result = dergate("activations", site_file, "list")

    assert result.exit_code == 0
    assert "dso-1" in result.stdout
    assert "deviating" in result.stdout


@pytest.mark.usefixtures("stored")
def test_activations_show_of_an_unknown_order_suggests_the_near_match(site_file: Path) -> None:
    result = dergate("activations", site_file, "show", "dso-2")

    assert result.exit_code == 1
    assert "there is no order 'dso-2'; did you mean 'dso-1'?" in result.stderr


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        pytest.param(
            ("--format", "csv"),
            [
                "seq,time,point,value,quality",
                "1,2026-11-22T10:00:00.000Z,pcc.active_power,1.5,good",
                "2,2026-11-22T10:00:01.000Z,pcc.active_power,,offline",
            ],
            id="csv",
        ),
        pytest.param(
            ("--format", "jsonl", "--to", "2026-11-22T10:00:01Z"),
            ['{"seq": 1, "time": "2026-11-22T10:00:00.000Z", "values": {"pcc.active_power": 1.5}}'],
            id="jsonl-until",
        ),
        pytest.param(
            ("--from", "2026-11-22T11:00:01+01:00"),
            ["seq,time,point,value,quality", "2,2026-11-22T10:00:01.000Z,pcc.active_power,,offline"],
            id="csv-from",
        ),
    ],
)
def test_buffer_export(site_file: Path, words: Sequence[str], expected: list[str]) -> None:
    result = dergate("buffer", site_file, "export", *words)

    assert result.exit_code == 0
    assert result.stdout.splitlines() == expected


@pytest.mark.usefixtures("stored")
def test_buffer_stats(site_file: Path) -> None:
    result = dergate("buffer", site_file, "stats")

    assert result.exit_code == 0
    assert "2 (numbers 1 to 2)" in result.stdout


@pytest.mark.parametrize("words", [("buffer", "stats"), ("buffer", "export"), ("activations", "list")], ids=" ".join)
def test_a_missing_store_is_a_sentence(site_file: Path, words: tuple[str, str]) -> None:
    result = dergate(words[0], site_file, words[1])

    assert result.exit_code == 1
    assert "there is no store in" in result.stderr


# the other side


def test_dso_send_hands_the_order_over_and_ends_as_it_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    calls: list[dict[str, object]] = []

    def send_command(**words: object) -> int:
        calls.append(words)
        return 5

    monkeypatch.setitem(sys.modules, "hil.dso.commands", SimpleNamespace(send_command=send_command))
    password = tmp_path / "password"
    password.write_text("hunter2\n")
    password.chmod(0o600)

    result = dergate(
        *("dso", "send", "--site", "park", "--value", "60", "--unit", "%", "--start", "2026-11-22T10:00:00Z"),
        *("--for", "10min", "--id", "a", "--username", "u", "--password-file", password, "--timeout", "3"),
    )

    assert result.exit_code == 5
    assert calls == [
        {
            "url": "mqtt://127.0.0.1:1883",
            "site": "park",
            "prefix": "der/v1",
            "username": "u",
            "password": "hunter2",
            "tls": None,
            "timeout_s": 3.0,
            "order": {
                "id": "a",
                "revision": 1,
                "issuer": "dso",
                "target": "pcc",
                "function": "limit_active_power",
                "value": 60.0,
                "unit": "%",
                "start": "2026-11-22T10:00:00.000Z",
                "end": "2026-11-22T10:10:00.000Z",
            },
        }
    ]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        pytest.param(("--value", "1", "--end", "tomorrow"), "should be a time like 2026-11-22T10:00:00Z", id="time"),
        pytest.param(("--value", "1", "--for", "10"), "should be a duration with its unit", id="duration"),
        pytest.param((), "give --value, or --cancel ID", id="nothing-to-send"),
        pytest.param(
            ("--value", "1", "--for", "1s", "--end", "2026-11-22T10:00:00Z"),
            "give either --end or --for",
            id="two-ends",
        ),
    ],
)
def test_a_mistake_in_an_order_is_told_and_nothing_is_sent(words: Sequence[str], sentence: str) -> None:
    result = dergate("dso", "send", "--site", "park", *words)

    assert result.exit_code == 2
    assert sentence in result.stderr


@pytest.mark.parametrize(
    ("words", "module"),
    [
        pytest.param(("demo",), "hil.demo", id="demo"),
        pytest.param(("dso", "watch", "--site", "x"), "hil.dso.commands", id="dso"),
    ],
)
def test_a_missing_extra_is_told_with_the_way_to_get_it(
    words: Sequence[str], module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)

    result = dergate(*words)

    assert result.exit_code == 1
    assert result.stderr.startswith("Error: this command needs the library")
    assert result.stderr.endswith("get it with: pip install 'dergate[hil]'\n")


def test_a_log_record_is_one_line_and_shows_no_password(capsys: pytest.CaptureFixture[str]) -> None:
    """The journal of the host is read by line; a record with a traceback is still one."""
    root = logging.getLogger()
    before = (root.level, root.handlers[:])
    try:
        log.setup("warning")
        logger = logging.getLogger("gateway.test")
        logger.info("not seen")
        logger.error("first\nsecond", exc_info=ValueError("mqtt://me:hunter2@broker"))
    finally:
        root.setLevel(before[0])
        root.handlers[:] = before[1]

    (line,) = capsys.readouterr().err.splitlines()
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z ERROR gateway\.test: first\\nsecond\\nValueError", line)
    assert "mqtt://***@broker" in line
    assert "hunter2" not in line
