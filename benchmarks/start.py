"""How long the daemon takes from the start of its process to the first measurements at the DSO."""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections import defaultdict
from pathlib import Path

import click

from benchmarks.rig.dso import Dso
from benchmarks.rig.process import running
from benchmarks.rig.site import READY_S, rig
from benchmarks.rig.table import Result, Row

STARTS = 20
AIM_S = 1.0
LARGEST = 8
_IMPORTS = "import gateway.commands.run, gateway.app, drivers.modbus.driver"
"""What a daemon of this site imports; the command line imports some of it only when it is needed."""


async def bare(log: Path) -> float:
    """Seconds that a Python takes to import its loop and end."""
    began = time.monotonic_ns()
    async with running(sys.executable, "-c", "import asyncio, uvloop", log=log) as process:
        await process.wait()
        return (time.monotonic_ns() - began) / 1e9


async def imports(log: Path) -> list[tuple[str, float]]:
    """Milliseconds each top-level package takes to import, without what it imports from others; the largest first."""
    async with running(sys.executable, "-X", "importtime", "-c", _IMPORTS, log=log) as process:
        await process.wait()
    return _by_package(log)


def _by_package(log: Path) -> list[tuple[str, float]]:
    took: dict[str, float] = defaultdict(float)
    for line in log.read_text(encoding="utf-8").splitlines():
        own_us, _, module = (
            line.removeprefix("import time:").split("|") if line.startswith("import time:") else ("",) * 3
        )
        if own_us.strip().isdigit():  # the first line is a heading
            took[module.strip().partition(".")[0]] += int(own_us) / 1000
    return sorted(took.items(), key=lambda item: -item[1])


async def measure(starts: int) -> Result:
    """One start to warm the caches, then daemon and reference in turn."""
    daemon, reference = [], []
    async with rig() as site:
        for number in range(-1, starts):
            dso = await Dso.connect(site.broker_port)
            began = time.monotonic_ns()
            async with site.daemon(f"start{number}"), asyncio.timeout(READY_S):  # each with a new store
                stamp = await dso.measured()
            dso.close()
            once = await bare(site.folder / "bare.log")
            if number >= 0:
                daemon.append((stamp - began) / 1e9)
                reference.append(once)
        by_package = await imports(site.folder / "importtime.log")
    largest = ", ".join(f"{name} {took:.0f} ms" for name, took in by_package[:LARGEST])
    return Result(
        title="start: process start to the first measurements at the DSO",
        reference='python -c "import asyncio, uvloop", from start to end',
        rows=(
            Row("median", statistics.median(daemon), "s", statistics.median(reference), AIM_S),
            Row("max", max(daemon), "s", max(reference), AIM_S),
        ),
        notes=(
            "10 devices x 51 points, a new store at each start, byte code compiled before",
            f"imports: {sum(took for _, took in by_package):.0f} ms under -X importtime, of which {largest}",
        ),
        sent=starts,
        lost=starts - len(daemon),
    )


@click.command()
@click.option("--starts", default=STARTS, show_default=True)
def main(starts: int) -> None:
    """Process start to the first published measurements."""
    print(asyncio.run(measure(starts)))


if __name__ == "__main__":
    main()
