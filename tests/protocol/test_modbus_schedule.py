"""Each device is asked as often as its schedule says, and not once more."""

from __future__ import annotations

import asyncio

import uvloop

from drivers.modbus.config import ModbusDevice
from drivers.modbus.driver import build
from hil.faces.modbus import MemoryRegisters, ModbusFace
from tests.contract.watch import running

DEVICES = 24
POLL_S = 0.05
SECONDS = 1.0


def test_a_turn_that_its_timer_wakes_a_little_early_is_not_taken_twice() -> None:
    """uvloop counts in milliseconds, and each device has its turn at a moment of its own between them."""

    async def polled() -> list[float]:
        async with ModbusFace({unit: MemoryRegisters(holding={7: 1}) for unit in range(1, DEVICES + 1)}) as face:
            devices = [
                ModbusDevice.model_validate(
                    {
                        "id": f"d{unit}",
                        "driver": "modbus",
                        "role": "meter",
                        "endpoint": f"tcp://127.0.0.1:{face.port}",
                        "unit": unit,
                        "poll": f"{POLL_S * 1e3:g}ms",
                        "points": [{"name": "x", "register": "holding:7", "type": "uint16"}],
                    }
                )
                for unit in range(1, DEVICES + 1)
            ]
            (driver,) = build(devices, revert_s=None)
            loop = asyncio.get_running_loop()
            async with running(driver) as watch:
                await watch.until(lambda: len(watch.measurements) >= DEVICES)
                began, before = loop.time(), {one.device: one.requests for one in driver.traffic()}
                await asyncio.sleep(SECONDS)
                turns = (loop.time() - began) / POLL_S
                return [one.requests - before[one.device] - turns for one in driver.traffic()]

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        more = runner.run(polled())

    assert max(more) <= 2
