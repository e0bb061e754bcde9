"""Every command of the README is run: one that is not in the table below fails the test."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hil.site import SimulatedSite
from tests.e2e.gateway import bench
from tests.protocol.mosquitto import free_port

ROOT = Path(__file__).parent.parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = [block.strip().splitlines() for block in re.findall(r"```sh\n(.*?)```", README, flags=re.DOTALL)]
MAKE, INSTALL, SCAN, FIRST, BEFORE, EVERYDAY = BLOCKS
NEEDS_AN_INIT = ("useradd", "systemctl")
"""What changes the host itself; the unit is verified instead."""


def test_every_command_belongs_to_a_test() -> None:
    assert MAKE == ["make demo", "make test"]
    for line in SCAN + FIRST + BEFORE + EVERYDAY:
        assert line.startswith("dergate ")


@pytest.mark.parametrize("line", MAKE)
def test_make_knows_its_targets(line: str) -> None:
    """That they succeed is what the demo's own test and this very run show."""
    done = subprocess.run([*shlex.split(line), "-n"], cwd=ROOT, check=True, capture_output=True, text=True)

    assert done.stdout.strip()


def test_the_install_installs(tmp_path: Path) -> None:
    """Below a folder in place of /, without the users and services of a host."""
    for folder in ("opt", "etc/systemd/system", "var/lib"):
        (tmp_path / folder).mkdir(parents=True)
    for line in INSTALL:
        words = shlex.split(line)[1:]
        if words[0] in NEEDS_AN_INIT:
            continue
        words = [f"{tmp_path}{word}" if word.startswith("/") else word for word in words]
        while "-g" in words:
            del words[words.index("-o") : words.index("-g") + 2]
        subprocess.run(words, cwd=ROOT, check=True, capture_output=True)

    dergate = tmp_path / "opt/dergate/bin/dergate"
    checked = subprocess.run([dergate, "check", tmp_path / "etc/dergate/site.yaml"], capture_output=True, check=False)
    assert checked.returncode == 0, checked.stderr.decode()
    unit = (tmp_path / "etc/systemd/system/dergate.service").read_text()
    assert "ExecStart=/opt/dergate/bin/dergate run /etc/dergate/site.yaml" in unit


async def _run(line: str, folder: Path, *more: str, until: str | None = None) -> tuple[int, str]:
    """Run one line as a user would; with *until*, end it by Ctrl-C once its output has that text."""
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONUNBUFFERED": "1"}
    process = await asyncio.create_subprocess_exec(
        *shlex.split(line), *more, cwd=folder, env=environment, stdout=asyncio.subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert process.stdout is not None
    text = ""
    try:
        async with asyncio.timeout(60):
            while chunk := await process.stdout.read(4096):
                text += chunk.decode()
                if until is not None and until in text and process.returncode is None:
                    process.send_signal(signal.SIGINT)
                    until = None
            return await process.wait(), text
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_the_everyday_commands_work_beside_a_running_daemon(tmp_path: Path) -> None:
    async with bench(tmp_path, name="pv-park-7", start=False) as one:
        with one.daemon.file.open("a", encoding="utf-8") as file:
            file.write(f"local: {{http: '127.0.0.1:{free_port()}'}}\n")
        await one.daemon.start()
        await one.online()
        for line in EVERYDAY:
            more = ["--url", one.broker.url] if line.startswith("dergate dso") else []
            until = "active_power" if line.startswith("dergate dso watch") else None
            status, text = await _run(line, tmp_path, *more, until=until)
            assert status == (130 if until else 0), f"{line}: {status}\n{text}"
            assert text.strip()


async def test_the_scan_finds_a_device_and_writes_a_file_that_check_accepts(tmp_path: Path) -> None:
    """The address of the README stands for the simulated inverter's; a few units do for all."""
    async with SimulatedSite() as site:
        for line in SCAN:
            here = line.replace("192.168.1.20", f"127.0.0.1:{site.ports['inv1']}")
            assert "127.0.0.1" in here
            status, text = await _run(here, tmp_path, "--unit", "1-3")
            assert status == 0, text
        status, text = await _run("dergate check site.yaml", tmp_path)
        assert status == 0, text


async def test_the_first_commands_work_on_a_site(tmp_path: Path) -> None:
    async with bench(tmp_path, start=False):
        for line in FIRST:
            running = line.startswith("dergate run")
            status, text = await _run(line, tmp_path, until="connected to mqtt" if running else None)
            assert status == 0, f"{line}: {status}\n{text}"


async def test_the_commands_before_it_goes_live_work_on_a_site(tmp_path: Path) -> None:
    async with bench(tmp_path, start=False):
        for line in BEFORE:
            status, text = await _run(line, tmp_path)
            assert status == 0, f"{line}: {status}\n{text}"
            assert text.strip()
