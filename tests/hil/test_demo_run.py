"""The demo's processes: the site file it writes is valid, a daemon that dies is told, Ctrl-C leaves nothing behind."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gateway.config import load
from hil.demo.daemon import SITE_FILE, Daemon, DaemonDied
from hil.site import site_yaml

DEADLINE_S = 20.0


def test_the_site_file_is_one_the_gateway_accepts(tmp_path: Path) -> None:
    devices = site_yaml({"pcc": 1502, "inv1": 1503, "bat1": 1504})
    text = SITE_FILE.format(site="demo", rated_kw=60.0, devices=devices, broker_port=1883)
    (tmp_path / "site.yaml").write_text(text)
    site = load(tmp_path / "site.yaml")
    assert (site.site.id, site.site.rated_power) == ("demo", 60_000.0)
    assert (site.uplinks[0].acknowledge, site.report.default.min_interval) == ("application", 1.0)


def script(tmp_path: Path, text: str) -> Daemon:
    return Daemon([sys.executable, "-c", text], log=tmp_path / "daemon.log")


async def test_a_daemon_that_dies_is_told_with_its_status_and_the_end_of_its_log(tmp_path: Path) -> None:
    text = "import sys; [print('line', n, file=sys.stderr) for n in range(40)]; sys.exit(2)"
    async with script(tmp_path, text) as daemon:
        with pytest.raises(DaemonDied, match="exit status 2") as died:
            await daemon.watch()
    assert "line 39" in str(died.value)
    assert "line 10" not in str(died.value)


async def test_a_daemon_is_ended_with_sigterm_and_its_status_known(tmp_path: Path) -> None:
    async with script(tmp_path, "import time; time.sleep(60)") as daemon:
        assert await daemon.stop() == -signal.SIGTERM
        assert await daemon.stop() == -signal.SIGTERM  # a second time changes nothing


async def test_a_daemon_that_ignores_sigterm_is_ended_by_force(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hil.demo.daemon.STOP_TIMEOUT_S", 0.2)
    deaf = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
    )
    async with script(tmp_path, deaf) as daemon:
        deadline = time.monotonic() + DEADLINE_S
        while "deaf" not in daemon.tail() and time.monotonic() < deadline:  # noqa: ASYNC110 - a file tells nobody
            await asyncio.sleep(0.02)
        assert await daemon.stop() == -signal.SIGKILL


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["Ctrl-C", "SIGTERM"])
def test_the_demo_ends_at_a_signal_and_leaves_nothing_behind(tmp_path: Path, number: int, status: int) -> None:
    """The real daemon runs by then: its process, the broker's and the temporary folders must all be gone."""
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    demo = subprocess.Popen(
        [sys.executable, "-u", "-c", "import sys; from hil.demo import run; sys.exit(run())"],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert demo.stdout is not None
    try:
        seen = ""
        while "status online" not in seen and (line := demo.stdout.readline()):
            seen += line
        assert "status online" in seen
        assert len(_processes_naming(tmp_path)) == 2  # broker and daemon
        demo.send_signal(number)
        assert demo.wait(DEADLINE_S) == status
    finally:
        demo.kill()
        demo.wait()
        demo.stdout.close()
    assert _processes_naming(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def _processes_naming(folder: Path) -> list[int]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (process / "cmdline").read_bytes()
        except OSError:
            continue  # it has just ended
        if str(folder).encode() in arguments:
            found.append(int(process.name))
    return found


def test_a_demo_that_is_killed_takes_the_daemon_with_it(tmp_path: Path) -> None:
    """What nobody can catch leaves no process behind either."""
    demo = subprocess.Popen(
        [sys.executable, "-u", "-c", "import sys; from hil.demo import run; sys.exit(run())"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    assert demo.stdout is not None
    with demo.stdout:
        while "status online" not in (line := demo.stdout.readline()):
            assert line
        demo.kill()
        demo.wait()
    deadline = time.monotonic() + DEADLINE_S
    while _processes_naming(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert _processes_naming(tmp_path) == []
