"""`dergate commission` as an installer meets it: its own process, and real Modbus TCP to every device."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from gateway import clock
from gateway.store import Limits, Store, inspect
from hil.site import SimulatedSite, site_yaml

QUICK = ("--read-seconds", "0.6", "--follow-seconds", "4", "--hold-seconds", "0.2", "--cycles", "1")
END_S = 30.0


@dataclass(slots=True)
class Bench:
    """A simulated site, its site file, and the registers as they were before anything was done."""

    site: SimulatedSite
    file: Path
    before: dict[str, list[int]] = field(default_factory=dict)

    @property
    def output(self) -> Path:
        return self.file.parent / "protocol"

    @property
    def protocol(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.output / "protocol.json").read_text())
        return content

    def verdict(self, device: str, test: str) -> str:
        return next(str(t["verdict"]) for t in self.protocol["tests"] if (t["device"], t["test"]) == (device, test))

    def advice(self, device: str, test: str) -> str:
        return next(str(t["advice"]) for t in self.protocol["tests"] if (t["device"], t["test"]) == (device, test))

    @property
    def limited(self) -> bool:
        """Whether a limit is in force in the inverter itself."""
        return self.site.plant.inverter.converter.limit.enabled

    def settings(self) -> dict[str, object]:
        """What a master can set in both devices."""
        inverter, battery = self.site.plant.inverter.converter, self.site.plant.battery
        settings = {"limit": inverter.limit, "charge": battery.charge, "discharge": battery.discharge}
        return {name: (one.value, one.enabled, one.revert_s) for name, one in settings.items()}

    async def start(self, *options: str, stdin: int = asyncio.subprocess.DEVNULL) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway.cli", "commission", str(self.file), "--output", str(self.output)),
            *(*QUICK, *options),
            stdin=stdin,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )

    async def run(self, *options: str) -> tuple[int, str]:
        """Exit status and all that was printed."""
        process = await self.start(*options)
        try:
            return await ended(process)
        finally:
            if process.returncode is None:
                process.kill()


async def ended(process: asyncio.subprocess.Process) -> tuple[int, str]:
    async with asyncio.timeout(END_S):
        output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode()


@asynccontextmanager
async def bench(folder: Path, *, meter_scale: int = -1) -> AsyncIterator[Bench]:
    """Devices that are quick to follow, read ten times a second."""
    site = SimulatedSite(seed=1)
    for converter in (site.plant.inverter.converter, site.plant.battery.converter):
        converter.parameters = replace(converter.parameters, t90_s=0.3)
    async with site:
        devices = site_yaml(site.ports).replace("profile: sunspec", "profile: sunspec\n    poll: 100ms")
        devices = devices.replace("scale: -1, poll: 200ms", f"scale: {meter_scale}, poll: 100ms", 1)
        file = folder / "site.yaml"
        file.write_text(f"site: {{id: park, rated_power: 60kW}}\nstate_dir: state\n{devices}")
        yield Bench(site, file)


async def until_limited(one: Bench) -> None:
    async with asyncio.timeout(END_S):
        while not one.limited:  # noqa: ASYNC110 - registers do not tell
            await asyncio.sleep(0.02)


async def test_a_site_as_it_should_be_passes_and_is_left_as_it_was_found(tmp_path: Path) -> None:
    async with bench(tmp_path) as one:
        before = one.settings()
        status, said = await one.run("--yes", "--operator", "A. Miller <installer>")

        assert status == 0, said
        for device in ("inv1", "bat1"):
            for test in ("answers", "follows its set-point", "seen by the PCC meter", "given back"):
                assert one.verdict(device, test) == "PASS", said
        assert one.settings() == before
        assert {device for _, device, *_ in one.site.writes} == {"inv1", "bat1"}
        assert not inspect.stats(tmp_path / "state").frames
        assert one.protocol["operator"] == "A. Miller <installer>"
        assert "about" in one.protocol["consent"]["inv1"]
        page = (one.output / "protocol.html").read_text()
        assert page.count("<svg") == 2
        assert "A. Miller &lt;installer&gt;" in page
        values = next(t["values"] for t in one.protocol["tests"] if t["test"] == "follows its set-point")
        assert 0 < values["dead_time_s"] <= values["t90_s"] < 3


async def test_a_meter_that_counts_the_other_way_fails_with_the_advice(tmp_path: Path) -> None:
    async with bench(tmp_path, meter_scale=1) as one:
        before = one.settings()
        status, said = await one.run("--yes")

        assert status == 1, said
        assert one.verdict("inv1", "seen by the PCC meter") == "FAIL"
        assert "set scale: -1 on pcc.active_power" in said
        assert one.settings() == before


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP], ids=["SIGTERM", "Ctrl-C", "lost-ssh"])
async def test_stopped_in_the_middle_of_a_step_it_gives_back_and_says_so(tmp_path: Path, how: signal.Signals) -> None:
    async with bench(tmp_path) as one:
        before = one.settings()
        process = await one.start("--yes")
        await until_limited(one)
        process.send_signal(how)
        status, said = await ended(process)

        assert status == 1, said
        assert one.settings() == before
        assert one.protocol["ended"] == "broken off"
        assert one.verdict("inv1", "given back") == "PASS"
        assert "bat1" not in {device for _, device, *_ in one.site.writes}


async def test_killed_in_the_middle_of_a_step_the_daemon_gives_back_at_its_next_start(tmp_path: Path) -> None:
    async with bench(tmp_path) as one:
        process = await one.start("--yes")
        await until_limited(one)
        process.kill()
        await ended(process)
        assert one.limited

        daemon = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway.cli", "run", str(one.file)), stderr=asyncio.subprocess.DEVNULL
        )
        try:
            async with asyncio.timeout(END_S):
                while one.limited:  # noqa: ASYNC110 - registers do not tell
                    await asyncio.sleep(0.02)
        finally:
            daemon.terminate()
            await daemon.wait()


@pytest.mark.parametrize(
    ("option", "why"),
    [pytest.param(("--read-only",), "--read-only", id="read-only"), pytest.param((), "no terminal", id="no-terminal")],
)
async def test_without_consent_nothing_is_written_and_the_protocol_says_why(
    tmp_path: Path, option: tuple[str, ...], why: str
) -> None:
    async with bench(tmp_path) as one:
        status, said = await one.run(*option)

        assert status == 0, said
        assert one.site.writes == []
        assert one.verdict("inv1", "step test") == "NOT RUN"
        assert why in one.protocol["consent"]["inv1"]
        assert one.verdict("pcc", "frequency") == "PASS"


async def test_a_device_that_is_away_fails_and_its_neighbours_are_tested(tmp_path: Path) -> None:
    async with bench(tmp_path) as one:
        await one.site.faces["bat1"].stop()
        status, said = await one.run("--read-only", "--appear-seconds", "2")

        assert status == 1, said
        assert one.verdict("bat1", "answers") == "FAIL"
        assert one.verdict("inv1", "answers") == "PASS"


async def test_it_does_not_start_beside_the_daemon(tmp_path: Path) -> None:
    async with bench(tmp_path) as one:
        store = Store.open(tmp_path / "state", now=clock.now, limits=Limits())
        try:
            status, said = await one.run("--yes")
        finally:
            await store.close()

        assert status == 1
        assert "is in use by process" in said
        assert "fight over the devices" in said
        assert one.site.writes == []
        assert not one.output.exists()


async def test_each_device_is_asked_for_at_a_terminal_and_a_no_is_kept(tmp_path: Path) -> None:
    """What will be written is told first; a signal ends the asking, too."""
    async with bench(tmp_path) as one:
        keyboard, terminal = os.openpty()
        try:
            process = await one.start(stdin=terminal)
            assert process.stdout is not None
            async with asyncio.timeout(END_S):
                told = (await process.stdout.readuntil(b"[y/N] ")).decode()
                os.write(keyboard, b"n\n")
                await process.stdout.readuntil(b"[y/N] ")
            process.send_signal(signal.SIGTERM)
            status, _ = await ended(process)
        finally:
            os.close(keyboard)
            os.close(terminal)

        assert status == 1
        assert "inv1.active_power_limit: about" in told
        assert "which is given back" in told
        assert one.protocol["consent"]["inv1"].startswith("refused at the terminal")
        assert one.verdict("inv1", "step test") == "NOT RUN"
        assert one.site.writes == []


async def test_a_protocol_is_verified_and_one_changed_byte_is_found(tmp_path: Path) -> None:
    async with bench(tmp_path) as one:
        await one.run("--read-only")
    assert await verified(one.output, one.file) == 0
    document = one.output / "protocol.json"
    document.write_bytes(document.read_bytes().replace(b'"park"', b'"pork"', 1))
    assert await verified(one.output) == 4


async def verified(protocol: Path, *site: Path) -> int:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway.cli", "commission", "--verify", str(protocol), *map(str, site)),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    return await process.wait()
