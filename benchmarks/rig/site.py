"""The site that is measured: ten devices behind ten connections, 50 points each, one of them takes orders."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.rig.devices import LIMIT_ADDRESS, POINTS
from benchmarks.rig.process import RigError, mosquitto, python, running

DEVICES = 10
SITE = "bench"
PREFIX = f"der/v1/{SITE}/"
DER = "d1"
READY_S = 20.0

_ROLES = {1: "pv", 2: "meter"}
_SITE_FILE = """\
site: {{id: {site}, name: benchmark, rated_power: 100kW}}
state_dir: {state}
devices:
{devices}
control: {{pcc: d2, ders: [{der}]}}
uplinks:
  - {{id: dso, type: mqtt, url: "mqtt://127.0.0.1:{broker}", acknowledge: application}}
"""


@dataclass(frozen=True, slots=True)
class Rig:
    """A broker and devices that run; the folder is on a disk, and goes when the rig goes."""

    folder: Path
    broker_port: int
    device_ports: tuple[int, ...]
    devices: asyncio.subprocess.Process

    @asynccontextmanager
    async def daemon(self, name: str = "daemon") -> AsyncIterator[asyncio.subprocess.Process]:
        """The real daemon with a store of its own, from process start on; it may not have connected yet."""
        file = self.folder / f"{name}.yaml"
        file.write_text(_site_file(self.folder / name, self.device_ports, self.broker_port), encoding="utf-8")
        log = self.folder / f"{name}.log"
        async with running(*python("gateway.cli", "run", str(file)), log=log) as process:
            try:
                yield process
            except TimeoutError as error:
                raise failed("the daemon", log) from error

    @asynccontextmanager
    async def bare(self) -> AsyncIterator[asyncio.subprocess.Process]:
        """The reference, connected on both sides."""
        command = python("benchmarks.rig.bare", str(self.broker_port), str(self.device_ports[0]), PREFIX)
        async with running(*command, log=self.folder / "bare.log") as process:
            await ready(process, self.folder / "bare.log")
            yield process


@asynccontextmanager
async def rig(devices: int = DEVICES) -> AsyncIterator[Rig]:
    """Broker and devices, each a process of its own."""
    with _folder() as folder:
        log = folder / "devices.log"
        async with (
            mosquitto(folder) as broker_port,
            running(*python("benchmarks.rig.devices", str(devices)), log=log) as process,
        ):
            ports = tuple(map(int, await ready(process, log)))
            yield Rig(folder, broker_port, ports, process)


@contextmanager
def _folder() -> Iterator[Path]:
    # /tmp is often memory, where a commit costs nothing; /var/tmp is a disk.
    with tempfile.TemporaryDirectory(prefix="dergate-bench-", dir="/var/tmp") as folder:
        yield Path(folder)


async def ready(process: asyncio.subprocess.Process, log: Path) -> Sequence[str]:
    """Wait for the line `ready …` of a process of the rig; what follows the word."""
    if process.stdout is None:
        raise RuntimeError("the process has no pipe")
    async with asyncio.timeout(READY_S):
        word, *rest = (await process.stdout.readline()).decode().split() or [""]
    if word != "ready":
        raise failed("a process of the rig", log)
    return rest


def failed(what: str, log: Path) -> RigError:
    return RigError(f"{what} did not start: " + log.read_text(encoding="utf-8"))


def _site_file(state: Path, ports: Sequence[int], broker: int) -> str:
    devices = "\n".join(_device(number, port) for number, port in enumerate(ports, start=1))
    return _SITE_FILE.format(site=SITE, state=state, devices=devices, der=DER, broker=broker)


def _device(number: int, port: int) -> str:
    names = ["active_power", *(f"power_{n:02d}" for n in range(2, POINTS + 1))]
    points = "\n".join(
        f'      - {{name: {name}, register: "holding:{2 * index}", type: float32, unit: W}}'
        for index, name in enumerate(names)
    )
    return f"""\
  - id: d{number}
    driver: modbus
    endpoint: tcp://127.0.0.1:{port}
    role: {_ROLES.get(number, "load")}
    rated_power: 60kW
    poll: 1s
    points:
{points}
      - name: active_power_limit
        register: "holding:{LIMIT_ADDRESS}"
        type: uint16
        unit: "%"
        access: read-write"""
