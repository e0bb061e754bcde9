"""The daemon as its own process, beside a simulated site, a real broker and a DSO that keeps book."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from hil.dso.client import Dso
from hil.dso.messages import Ack, Message
from hil.site import SimulatedSite, site_yaml
from tests.protocol.mosquitto import Mosquitto

SITE = "e2e"
END_S = 10.0
"""A daemon that was asked to stop has 5 s; a busy machine twice that."""


@dataclass(slots=True)
class Daemon:
    """One `dergate run`, startable again on the same site file and store."""

    file: Path
    _process: asyncio.subprocess.Process | None = None

    @property
    def log(self) -> Path:
        return self.file.with_suffix(".log")

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "gateway.cli", "run", str(self.file), stdout=log, stderr=log
            )

    async def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait for the exit status."""
        assert self._process is not None
        if self._process.returncode is None:
            self._process.send_signal(how)
        async with asyncio.timeout(END_S):
            return await self._process.wait()

    async def wait(self) -> int:
        assert self._process is not None
        async with asyncio.timeout(END_S):
            return await self._process.wait()


@dataclass(slots=True)
class Bench:
    """
    All of one test: `site` is the truth, `dso.book` what the DSO was told, `refused` the code of each refusal by id.
    """

    site: SimulatedSite
    broker: Mosquitto
    daemon: Daemon
    dso: Dso
    refused: dict[str, str | None]

    @property
    def limit_enabled(self) -> bool:
        """Whether a limit is in force in the inverter itself."""
        return self.site.plant.inverter.converter.limit.enabled

    @property
    def pcc_w(self) -> float:
        return self.site.truth()["pcc.active_power"]

    async def until(self, what: str, true: Callable[[], bool], timeout_s: float = 20.0) -> None:
        """Wait until *true()* of the simulated site; the devices do not tell, so it is looked at often."""
        async with asyncio.timeout(timeout_s):
            while not true():
                assert self.daemon.running or "daemon" in what, f"the daemon ended while {what} was awaited"
                await asyncio.sleep(0.02)

    async def online(self) -> None:
        """Connected, and the whole site known: the inverter and the battery have told what they can do."""
        await self.dso.until("online", lambda book: book.online, timeout_s=20)
        await self.dso.until("birth with all devices", lambda book: _complete(book.birth), timeout_s=20)


def _complete(birth: Mapping[str, object] | None) -> bool:
    devices = birth.get("devices") if birth else None
    return isinstance(devices, list) and all(device["points"] for device in devices)


@asynccontextmanager
async def bench(
    folder: Path, *, broker: bool = True, start: bool = True, name: str = SITE, control: str = "", uplink: str = ""
) -> AsyncIterator[Bench]:
    """
    A running site; with *broker* or *start* false, broker or daemon are yet to be started. *control* and *uplink* are
    added to these parts of the site file.
    """
    peer = Mosquitto(folder)
    if broker:
        peer.start()
    async with SimulatedSite(seed=1) as site:
        file = folder / "site.yaml"
        file.write_text(
            f"site: {{id: {name}, rated_power: 60kW}}\n"
            "state_dir: state\n"
            f"{site_yaml(site.ports)}{control}"
            f"uplinks:\n  - {{id: dso, type: mqtt, url: {peer.url}{uplink}}}\n"
        )
        daemon = Daemon(file)
        try:
            if start:
                await daemon.start()
            refused: dict[str, str | None] = {}

            def note(_: str, message: Message) -> None:
                if isinstance(message, Ack) and message.status == "rejected":
                    refused[message.id] = message.code

            async with Dso(peer.url, name, on_message=note) as dso:
                yield Bench(site, peer, daemon, dso, refused)
        finally:
            if daemon.running:
                await daemon.end(signal.SIGKILL)
            peer.stop()
