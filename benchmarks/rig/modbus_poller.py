"""
The real driver objects of many devices: `python -m benchmarks.rig.modbus_poller POINTS TURNS PERIOD_MS LIVE PORT...`.

Ends when each of the first LIVE devices had so many turns after its first, which is that of connecting; prints as
modbus_poller.c. The other devices are dead.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterable
from contextlib import suppress

import uvloop

from drivers import build
from drivers.base import ConnectionLost, Driver, Emission
from drivers.modbus.config import ModbusDevice
from gateway.model import Measurement

PAUSE_S = 1.0
"""Before a dead device is tried again: more often than the daemon does, whose pause grows."""


class Counter:
    """What one device emitted: the moment of each turn that brought all its values."""

    def __init__(self, points: int) -> None:
        self.stamps: list[float] = []
        self._points = points

    def emit(self, items: Iterable[Emission]) -> None:
        good = sum(isinstance(item, Measurement) and item.value is not None for item in items)
        if good == self._points:
            self.stamps.append(time.monotonic())


def device(number: int, port: int, points: int, period_ms: int) -> ModbusDevice:
    return ModbusDevice.model_validate(
        {
            "id": f"d{number}",
            "driver": "modbus",
            "role": "meter",
            "endpoint": f"tcp://127.0.0.1:{port}",
            "poll": f"{period_ms}ms",
            "points": [
                {"name": f"p{n}", "register": f"input:{2 * n}", "type": "float32", "unit": "W"} for n in range(points)
            ],
        }
    )


async def keep(driver: Driver, counter: Counter) -> None:
    while True:
        with suppress(ConnectionLost):
            await driver.run(counter.emit)
        await asyncio.sleep(PAUSE_S)


async def reached(counters: list[Counter], turns: int, period_s: float) -> None:
    while min(len(counter.stamps) for counter in counters) < turns:  # noqa: ASYNC110 - an event for each emit would be measured, too
        await asyncio.sleep(period_s / 10)


async def main(points: int, turns: int, period_ms: int, live: int, *ports: int) -> None:
    drivers = build([device(n, port, points, period_ms) for n, port in enumerate(ports)], revert_s=None)
    counters = [Counter(points) for _ in drivers]
    tasks = [asyncio.create_task(keep(*pair), name=pair[0].name) for pair in zip(drivers, counters, strict=True)]
    await reached(counters[:live], 2, period_ms / 1e3)
    began, cpu = time.monotonic(), time.process_time()
    await reached(counters[:live], turns + 1, period_ms / 1e3)
    print(time.monotonic() - began, time.process_time() - cpu)
    for counter in counters[:live]:
        print(*counter.stamps[1 : turns + 1])
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


if __name__ == "__main__":
    uvloop.run(main(*map(int, sys.argv[1:])))
