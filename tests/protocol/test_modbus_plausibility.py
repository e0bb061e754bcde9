"""A step that no device can make is uncertain until a read confirms it, on a network and on a serial line alike."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pymodbus.constants import ExcCodes

from drivers.modbus.config import ModbusDevice
from drivers.modbus.driver import build
from gateway.model import Measurement, Quality
from hil.faces.modbus import MemoryRegisters, ModbusFace, ModbusFault
from hil.faces.modbus_rtu import ModbusSerialFace
from tests.contract.watch import Watch, running

COUNTER, NEIGHBOUR = 7, 8
Line = tuple[str, ModbusFace | ModbusSerialFace]
"""The endpoint of a device, and what stands behind it."""


class Jumping(MemoryRegisters):
    """Gives the numbers of a list for its counter, one a read, and the last one for ever; its neighbour never moves."""

    def __init__(self, *numbers: int) -> None:
        super().__init__(holding={COUNTER: numbers[0], NEIGHBOUR: 5})
        self.coming = list(numbers)
        self.busy = 0
        """So many reads are answered by "busy" first."""

    def read(self, space: str, address: int, count: int) -> list[int]:
        if self.busy:
            self.busy -= 1
            raise ModbusFault(ExcCodes.DEVICE_BUSY)
        self.holding[COUNTER] = self.coming.pop(0) if len(self.coming) > 1 else self.coming[0]
        return super().read(space, address, count)


@asynccontextmanager
async def network(device: MemoryRegisters) -> AsyncIterator[Line]:
    async with ModbusFace({1: device}) as face:
        yield f"tcp://127.0.0.1:{face.port}", face


@asynccontextmanager
async def serial_line(device: MemoryRegisters) -> AsyncIterator[Line]:
    with tempfile.TemporaryDirectory() as folder:
        async with ModbusSerialFace({1: device}, Path(folder) / "ttyUSB0") as face:
            yield f"rtu://{face.path}?baudrate=115200", face


lines = pytest.mark.parametrize("line", [pytest.param(network, id="tcp"), pytest.param(serial_line, id="rtu")])
Make = Callable[[MemoryRegisters], AbstractAsyncContextManager[Line]]


def device_at(endpoint: str) -> ModbusDevice:
    points: list[dict[str, Any]] = [
        {"name": "counter", "register": f"holding:{COUNTER}", "type": "uint16", "max_step": 100},
        {"name": "neighbour", "register": f"holding:{NEIGHBOUR}", "type": "uint16"},
    ]
    return ModbusDevice.model_validate(
        {"id": "d", "driver": "modbus", "role": "meter", "endpoint": endpoint, "poll": "20ms", "points": points}
    )


def told(watch: Watch) -> list[tuple[object, Quality]]:
    """What was said of the counter, without repeats."""
    said = [(each.value, each.quality) for each in watch.measurements if each.point == "d.counter"]
    return [each for before, each in zip([None, *said], said, strict=False) if each != before]


@lines
async def test_one_wrong_answer_is_uncertain_and_nothing_else_is(line: Make) -> None:
    async with line(Jumping(1000, 1001, 60_000, 1002, 1003)) as (endpoint, _):
        (driver,) = build([device_at(endpoint)], revert_s=None)
        async with running(driver) as watch:
            await watch.until(lambda: watch.value("d.counter") == 1003)

    assert told(watch) == [
        (1000, Quality.GOOD),
        (1001, Quality.GOOD),
        (60_000, Quality.UNCERTAIN),
        (1002, Quality.GOOD),
        (1003, Quality.GOOD),
    ]
    assert {each.quality for each in watch.measurements if each.point == "d.neighbour"} == {Quality.GOOD}


@lines
async def test_a_true_step_is_good_from_the_next_read_on(line: Make) -> None:
    async with line(Jumping(1000, 5000, 5001)) as (endpoint, _):
        (driver,) = build([device_at(endpoint)], revert_s=None)
        async with running(driver) as watch:
            await watch.until(lambda: watch.value("d.counter") == 5001)

    assert told(watch) == [(1000, Quality.GOOD), (5000, Quality.UNCERTAIN), (5001, Quality.GOOD)]


@lines
async def test_after_a_lost_connection_the_first_reading_is_believed(line: Make) -> None:
    """What moved while nobody looked is no step."""
    device = Jumping(1000)
    async with line(device) as (endpoint, face):
        (driver,) = build([device_at(endpoint)], revert_s=None)
        async with running(driver) as watch:
            await watch.until(lambda: watch.value("d.counter") == 1000)
            await face.stop()
            await watch.lost()
        device.coming = [60_000]
        await face.start()
        async with running(driver) as watch:
            await watch.until(lambda: watch.latest("d.counter") is not None)

    assert told(watch) == [(60_000, Quality.GOOD)]


@lines
async def test_a_new_start_that_begins_with_a_wrong_answer_is_right_two_reads_later(line: Make) -> None:
    """The first reading has no neighbour; the true ones after it confirm each other."""
    async with line(Jumping(60_000, 1000, 1001)) as (endpoint, _):
        (driver,) = build([device_at(endpoint)], revert_s=None)
        async with running(driver) as watch:
            await watch.until(lambda: watch.latest("d.counter") == Measurement("d.counter", 1001))

    assert told(watch) == [(60_000, Quality.GOOD), (1000, Quality.UNCERTAIN), (1001, Quality.GOOD)]


@lines
async def test_a_device_that_was_busy_for_a_while_is_not_doubted_for_ever(line: Make) -> None:
    """Its connection stands, so that one more read has to confirm what moved meanwhile."""
    device = Jumping(1000)
    async with line(device) as (endpoint, _):
        (driver,) = build([device_at(endpoint)], revert_s=None)
        async with running(driver) as watch:
            await watch.until(lambda: watch.value("d.counter") == 1000)
            device.busy = 5
            device.coming = [60_000, 60_001]
            await watch.until(lambda: watch.value("d.counter") == 60_001)

    assert told(watch) == [(1000, Quality.GOOD), (60_000, Quality.UNCERTAIN), (60_001, Quality.GOOD)]
    assert device.busy == 0
