"""
How long an order takes: from the PUBLISH to the register write at the device, and to its acknowledgements.

    publisher ──► mosquitto ──► dergate (journal, tick, journal, tick) ──► device        stamped on one monotonic clock
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click

from benchmarks.rig.dso import Dso
from benchmarks.rig.site import DER, Rig, rig
from benchmarks.rig.table import Result, Row, quantile

ORDERS = 500
WARM_UP = 20
"""Orders that are carried out and not counted: the first one takes the register over, and code paths grow warm."""
LOST_S = 10.0
"""What has not happened by then counts as lost."""
AIM_MEDIAN_MS, AIM_P99_MS = 2.0, 10.0
QUANTILES = {"p50": 0.50, "p90": 0.90, "p99": 0.99, "max": 1.0}


@dataclass(slots=True)
class Times:
    """Milliseconds from the PUBLISH of each order on."""

    write: list[float] = field(default_factory=list)
    received: list[float] = field(default_factory=list)
    started: list[float] = field(default_factory=list)
    lost: int = 0


class Registers:
    """The writes that the devices tell of."""

    def __init__(self, lines: asyncio.StreamReader) -> None:
        self._lines = lines

    async def written(self, value: int) -> int:
        """The stamp of the next write of a value to the DER."""
        while True:
            stamp, device, found = map(int, (await self._lines.readline()).split())
            if device == 0 and found == value:
                return stamp


async def send(orders: int, name: str, dso: Dso, registers: Registers, times: Times) -> None:
    """Send orders one at a time, the next one when the register was written and `started` was heard."""
    for number in range(-WARM_UP, orders):
        id_ = f"{name}-{number}"
        value = 30 + 7 * (number + WARM_UP) % 70  # each at least 7 % from the last, so that each is a write
        published = dso.order(id_, value)
        try:
            async with asyncio.timeout(LOST_S):
                written = await registers.written(value)
                started = await dso.acknowledged(id_, "started")
                received = await dso.acknowledged(id_, "received")
        except TimeoutError:
            times.lost += 1
            continue
        if number >= 0:
            for to, stamp in ((times.write, written), (times.received, received), (times.started, started)):
                to.append((stamp - published) / 1e6)


async def measure(orders: int) -> Result:
    """The reference before and after, the daemon between: both see the same machine."""
    daemon, bare = Times(), Times()
    async with rig() as site:
        dso = await Dso.connect(site.broker_port)
        registers = _registers(site)
        half = -(-orders // 2)
        async with site.bare():
            await send(half, "before", dso, registers, bare)
        async with site.daemon():
            async with asyncio.timeout(LOST_S):
                await dso.measured(f"{DER}.active_power_limit")
            await send(orders, "daemon", dso, registers, daemon)
        async with site.bare():
            await send(half, "after", dso, registers, bare)
        dso.close()
        syncs = fsyncs(site.folder / "fsync")
    disk = f"append of 4 KiB and fdatasync p50 {quantile(syncs, 0.5):.2f} ms, p99 {quantile(syncs, 0.99):.2f} ms"
    return Result(
        title="order_to_write: PUBLISH of an order to the register, and to its acknowledgements",
        reference="a bare script between the same broker and device: no journal, no checks, no polling, no read-back",
        rows=rows(daemon, bare),
        notes=(
            f"10 devices x 51 points polled each second, all but the limits changing; {WARM_UP} orders before counting",
            f"the journal's disk: {disk}; a write waits for one commit, `started` for two more",
        ),
        sent=orders + WARM_UP + 2 * (half + WARM_UP),
        lost=daemon.lost + bare.lost,
    )


def rows(daemon: Times, bare: Times) -> tuple[Row, ...]:
    aims = {("write", "p50"): AIM_MEDIAN_MS, ("write", "p99"): AIM_P99_MS}
    pairs: dict[str, tuple[Sequence[float], Sequence[float]]] = {
        "write": (daemon.write, bare.write),
        "received": (daemon.received, bare.received),
        "started": (daemon.started, bare.started),
    }
    return tuple(
        Row(
            f"publish -> {'register ' if to == 'write' else ''}{to} {name}",
            quantile(ours, share),
            "ms",
            quantile(theirs, share),
            aims.get((to, name)),
        )
        for to, (ours, theirs) in pairs.items()
        if ours and theirs
        for name, share in QUANTILES.items()
    )


def fsyncs(path: Path, count: int = 200) -> list[float]:
    """Milliseconds that each of so many durable appends takes."""
    taken = []
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        for _ in range(count):
            began = time.monotonic_ns()
            os.write(descriptor, bytes(4096))
            os.fdatasync(descriptor)
            taken.append((time.monotonic_ns() - began) / 1e6)
    finally:
        os.close(descriptor)
    return taken


def _registers(site: Rig) -> Registers:
    if site.devices.stdout is None:
        raise RuntimeError("the devices have no pipe")
    return Registers(site.devices.stdout)


@click.command()
@click.option("--orders", default=ORDERS, show_default=True)
def main(orders: int) -> None:
    """Publish -> register write, `received` and `started`, beside a bare script."""
    print(asyncio.run(measure(orders)))


if __name__ == "__main__":
    main()
