"""Several units on one connection, several periods, refusals that pass: what one does must not reach the others."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from drivers.base import ConnectionLost, Driver, WriteRefused
from drivers.modbus.config import ModbusDevice
from drivers.modbus.driver import build
from gateway.model import Quality, SetPoint
from hil.faces.modbus import MemoryRegisters, ModbusFace, ModbusFault
from tests.contract.watch import Watch, running
from tests.protocol import modbus_peers as peers
from tests.protocol.modbus_peers import frame, right_answer


def line(port: int, *units: int, **changes: Any) -> list[Driver]:
    """Devices u1, u2 … on one endpoint, each with the point `r7`."""
    given = {
        "driver": "modbus",
        "role": "meter",
        "endpoint": f"tcp://127.0.0.1:{port}",
        "poll": "20ms",
        "timeout": "150ms",
        "points": [{"name": "r7", "register": "holding:7", "type": "uint16", "access": "read-write"}],
    }
    devices = [ModbusDevice.model_validate(given | {"id": f"u{unit}", "unit": unit} | changes) for unit in units]
    return build(devices, revert_s=None)


def count(watch: Watch, point: str, quality: Quality = Quality.GOOD) -> int:
    return sum(each.point == point and each.quality is quality for each in watch.measurements)


def test_one_endpoint_is_one_driver() -> None:
    assert [len(driver.nameplates) for driver in line(502, 1, 2)] == [2]


async def test_a_unit_that_does_not_answer_goes_offline_once_and_leaves_the_others_good() -> None:
    async def answer(request: bytes, writer: asyncio.StreamWriter) -> None:
        if request[6] != 2:
            writer.write(right_answer(request))

    async with peers.scripted(answer) as port:
        (driver,) = line(port, 1, 2, 3)
        async with running(driver) as watch:
            await watch.until(lambda: count(watch, "u2.r7", Quality.OFFLINE) == 1)
            before = count(watch, "u1.r7")
            await watch.until(lambda: count(watch, "u1.r7") > before + 20 and count(watch, "u3.r7") > 20)

            assert count(watch, "u2.r7", Quality.OFFLINE) == 1
            with pytest.raises(ConnectionLost, match="does not answer"):
                await driver.write(SetPoint("u2.r7", 1, expires=float("inf"), cause="test"))


async def test_a_gateways_word_for_a_dead_unit_is_taken_like_silence() -> None:
    """Exception 0x0B from the gateway; the unit comes back by itself."""
    dead = True

    async def answer(request: bytes, writer: asyncio.StreamWriter) -> None:
        no_target = frame(request[:2], request[6], b"\x83\x0b")
        writer.write(no_target if dead and request[6] == 2 else right_answer(request))

    async with peers.scripted(answer) as port:
        (driver,) = line(port, 1, 2)
        async with running(driver) as watch:
            await watch.until(lambda: count(watch, "u2.r7", Quality.OFFLINE) == 1)
            dead = False
            await watch.until(lambda: count(watch, "u2.r7") > 0)

            assert count(watch, "u1.r7", Quality.OFFLINE) == 0


@pytest.mark.parametrize("code", [4, 5, 6])
async def test_a_device_that_is_busy_is_asked_again_and_says_nothing_meanwhile(code: int) -> None:
    requests = 0

    async def answer(request: bytes, writer: asyncio.StreamWriter) -> None:
        nonlocal requests
        requests += 1
        writer.write(frame(request[:2], 1, bytes((0x83, code))) if requests <= 3 else right_answer(request))

    async with peers.scripted(answer) as port:
        (driver,) = line(port, 1)
        async with running(driver) as watch:
            await watch.until(lambda: watch.value("u1.r7") == 1007)

            assert requests >= 4
            assert {each.quality for each in watch.measurements} == {Quality.GOOD}


async def test_a_refused_point_is_said_to_be_invalid_each_turn_but_not_asked_for_each_turn() -> None:
    """No hammering: the register is asked for once a minute."""
    registers = MemoryRegisters(holding={8: 8})
    asked: list[tuple[int, int]] = []
    read = registers.read

    def listen(space: str, address: int, number: int) -> list[int]:
        asked.append((address, number))
        return read(space, address, number)

    registers.read = listen  # type: ignore[method-assign]  # a spy
    points = [{"name": f"r{at}", "register": f"holding:{at}", "type": "uint16"} for at in (7, 8)]
    async with ModbusFace({1: registers}) as face:
        (driver,) = line(face.port, 1, points=points)
        async with running(driver) as watch:
            await watch.until(lambda: count(watch, "u1.r7", Quality.INVALID) >= 5 and count(watch, "u1.r8") >= 5)

            assert asked.count((7, 2)) == 1
            assert asked.count((7, 1)) == 1


async def test_periods_of_one_device_are_kept_apart() -> None:
    """A point with an hour's period is read once while another is read many times."""
    points = [
        {"name": "fast", "register": "holding:7", "type": "uint16"},
        {"name": "slow", "register": "holding:8", "type": "uint16", "poll": "1h"},
    ]
    async with ModbusFace({1: MemoryRegisters(holding={7: 7, 8: 8})}) as face:
        (driver,) = line(face.port, 1, points=points)
        async with running(driver) as watch:
            await watch.until(lambda: count(watch, "u1.fast") >= 5)

            assert count(watch, "u1.slow") == 1
            (planned,) = driver.plan()
            assert planned.requests == ("holding 7 every 20 ms", "holding 8 every 3600 s")


async def test_a_fast_point_does_not_wait_for_all_of_a_slow_turn() -> None:
    """Of what is due, the value that would be too old first is read first: not 40 requests of the slow turn."""
    slow = range(100, 140)
    asked: list[int] = []
    registers = MemoryRegisters(holding={7: 7} | {at * 10: at for at in slow})
    read = registers.read

    def listen(space: str, address: int, number: int) -> list[int]:
        asked.append(address)
        return read(space, address, number)

    registers.read = listen  # type: ignore[method-assign]  # a spy
    points = [{"name": "fast", "register": "holding:7", "type": "uint16", "poll": "1ms"}]
    points += [{"name": f"s{at}", "register": f"holding:{at * 10}", "type": "uint16", "poll": "1h"} for at in slow]
    async with ModbusFace({1: registers}) as face:
        face.delay_s = 0.002
        (driver,) = line(face.port, 1, points=points)
        async with running(driver) as watch:
            await watch.until(lambda: count(watch, "u1.s139") == 1)

    assert len(asked) > 2 * len(slow)
    assert asked[:20].count(7) >= 9
    assert {asked.count(at * 10) for at in slow} == {1}


async def test_a_device_that_answers_for_one_point_at_a_time_is_asked_so() -> None:
    points = [{"name": f"r{at}", "register": f"holding:{at}", "type": "uint16"} for at in (7, 8)]
    async with ModbusFace({1: MemoryRegisters(holding={7: 7, 8: 8})}) as face:
        (driver,) = line(face.port, 1, points=points, quirks={"one_point": True})
        async with running(driver) as watch:
            await watch.until(lambda: watch.value("u1.r7") == 7 and watch.value("u1.r8") == 8)

            assert all(len(batch) == 1 for batch in watch.batches)


async def test_an_answer_is_never_longer_than_the_device_gives() -> None:
    class Short(MemoryRegisters):
        def read(self, space: str, address: int, number: int) -> list[int]:
            if number > 5:
                raise ModbusFault(3)
            return super().read(space, address, number)

    points = [{"name": f"r{at}", "register": f"holding:{at}", "type": "uint16"} for at in range(12)]
    async with ModbusFace({1: Short(holding={at: at for at in range(12)})}) as face:
        (driver,) = line(face.port, 1, points=points, quirks={"max_registers": 5})
        async with running(driver) as watch:
            await watch.until(lambda: watch.value("u1.r11") == 11)

            assert {each.quality for each in watch.measurements} == {Quality.GOOD}
            assert len(driver.plan()[0].requests) == 3


async def test_texts_words_and_bits_are_emitted_as_such() -> None:
    points = [
        {"name": "serial", "register": "holding:0", "type": "string", "length": 3},
        {"name": "state", "register": "holding:3", "type": "uint16", "enumeration": {0: "off", 1: "on"}},
        {"name": "alarm", "register": "holding:4", "type": "uint16", "bits": "4"},
        {"name": "energy", "register": "holding:5", "type": "bcd32", "unit": "Wh", "scale": 1000},
    ]
    holding = {0: 0x534E, 1: 0x3137, 2: 0, 3: 1, 4: 0x10, 5: 0x0012, 6: 0x3456}
    async with ModbusFace({1: MemoryRegisters(holding=holding)}) as face:
        (driver,) = line(face.port, 1, points=points)
        async with running(driver) as watch:
            await watch.until(lambda: watch.latest("u1.energy") is not None)

            values = [watch.value(f"u1.{name}") for name in ("serial", "state", "alarm", "energy")]
            assert values == ["SN17", "on", True, 123456000]


@pytest.mark.parametrize(("role", "requests"), [("meter", 1), ("pv", 9), ("battery", 10)])
def test_the_plan_counts_what_a_sunspec_device_is_likely_to_have(role: str, requests: int) -> None:
    (driver,) = line(502, 1, role=role, profile="sunspec", points=[], poll="1s")
    (planned,) = driver.plan()

    assert planned.requests_per_s == requests
    assert planned.requests[0] == "SunSpec readings every 1 s"


async def test_all_values_of_one_answer_are_emitted_together() -> None:
    points = [{"name": f"r{at}", "register": f"holding:{at}", "type": "uint16"} for at in (7, 8)]
    async with ModbusFace({1: MemoryRegisters(holding={7: 7, 8: 8})}) as face:
        (driver,) = line(face.port, 1, points=points)
        async with running(driver) as watch:
            await watch.until(lambda: len(watch.batches) >= 3)

            assert all(len(batch) == 2 for batch in watch.batches[1:])


async def test_a_write_passes_the_reads_that_wait() -> None:
    """While one read is under way and others wait, the write and its read-back are next on the wire."""
    seen: list[tuple[int, int]] = []
    held, release = asyncio.Event(), asyncio.Event()

    async def answer(request: bytes, writer: asyncio.StreamWriter) -> None:
        seen.append((request[6], request[7]))
        if request[6] == 2:
            held.set()
            await release.wait()
        writer.write(right_answer(request) if request[7] == 3 else request)

    async with peers.scripted(answer) as port:
        (driver,) = line(port, 1, 2, 3, timeout="5s", poll="10ms")
        async with running(driver) as watch:
            await watch.until(lambda: count(watch, "u1.r7") >= 1)
            await held.wait()
            write = asyncio.create_task(driver.write(SetPoint("u1.r7", 1007, expires=float("inf"), cause="test")))
            await asyncio.sleep(0)
            release.set()
            assert await write == 1007
            at = seen.index((1, 6))
            assert seen[at - 1 : at + 2] == [(2, 3), (1, 6), (1, 3)]


async def test_a_fault_while_writing_is_told_and_the_connection_stays() -> None:
    """Exception 4 to a write: refused with the device's word."""

    class Faulty(MemoryRegisters):
        def write(self, space: str, address: int, words: list[int]) -> None:
            raise ModbusFault(4)

    async with ModbusFace({1: Faulty(holding={7: 7})}) as face:
        (driver,) = line(face.port, 1)
        async with running(driver) as watch:
            await watch.until(lambda: count(watch, "u1.r7") >= 1)
            with pytest.raises(WriteRefused, match="exception 4"):
                await driver.write(SetPoint("u1.r7", 1, expires=float("inf"), cause="test"))
            before = count(watch, "u1.r7")
            await watch.until(lambda: count(watch, "u1.r7") > before)


async def test_nobody_listening_is_said_with_the_address() -> None:
    async with ModbusFace({1: MemoryRegisters()}) as face:
        await face.stop()
        (driver,) = line(face.port, 1)
        with pytest.raises(ConnectionLost, match=f"tcp://127.0.0.1:{face.port}"):
            await driver.run(lambda _: None)
