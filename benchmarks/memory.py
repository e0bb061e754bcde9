"""How much memory the daemon holds while it polls, stores and publishes, beside a Python that only imports its loop."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path

import click

from benchmarks.rig.dso import Dso
from benchmarks.rig.process import running
from benchmarks.rig.site import READY_S, ready, rig
from benchmarks.rig.table import Result, Row

SECONDS = 60.0
AIM_MB = 60.0
FIELDS = {"VmRSS": "status", "Pss": "smaps_rollup"}
"""RSS counts shared pages in full, PSS each process's share of them."""
_REFERENCE = "import asyncio, uvloop; print('ready', flush=True); uvloop.run(asyncio.Event().wait())"


def held(pid: int) -> dict[str, float]:
    """What a process holds in memory now, in MB (10⁶ bytes)."""
    found = {}
    for field, file in FIELDS.items():
        text = Path(f"/proc/{pid}/{file}").read_text(encoding="utf-8")
        match = re.search(rf"^{field}:\s+(\d+) kB", text, re.MULTILINE)
        if match is None:
            raise RuntimeError(f"/proc/{pid}/{file} has no {field}")
        found[field] = int(match[1]) * 1024 / 1e6
    return found


async def measure(seconds: float) -> Result:
    async with rig() as site:
        log = site.folder / "reference.log"
        async with running(sys.executable, "-c", _REFERENCE, log=log) as process:
            await ready(process, log)
            reference = held(process.pid)
        dso = await Dso.connect(site.broker_port)
        async with site.daemon() as process:
            async with asyncio.timeout(READY_S):
                await dso.measured()
            began = held(process.pid)
            await asyncio.sleep(seconds)
            after = held(process.pid)
        dso.close()
    last = max(dso.frames, default=0)
    values = f"{dso.values} values in {len(dso.frames)} frames came and were acknowledged by the application"
    return Result(
        title=f"memory: the daemon after {seconds:g} s of polling and publishing",
        reference="a bare Python with asyncio and uvloop imported and the loop running",
        rows=(
            Row("resident (VmRSS)", after["VmRSS"], "MB", reference["VmRSS"], AIM_MB),
            Row("proportional (PSS)", after["Pss"], "MB", reference["Pss"], AIM_MB),
        ),
        notes=(
            f"10 devices x 51 points polled each second, all but the limits changing; {values}",
            f"VmRSS with the first measurements: {began['VmRSS']:.1f} MB",
        ),
        sent=last,
        lost=last - len(dso.frames),
    )


@click.command()
@click.option("--seconds", default=SECONDS, show_default=True)
def main(seconds: float) -> None:
    """Resident memory of the daemon at work."""
    print(asyncio.run(measure(seconds)))


if __name__ == "__main__":
    main()
