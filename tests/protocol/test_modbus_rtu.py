"""The Modbus driver on a serial line: whatever happens on it, no value is emitted that the device did not give."""

from __future__ import annotations

import asyncio
import os
import random
import time
from pathlib import Path

import pytest
import uvloop

from drivers.base import ConnectionLost
from drivers.modbus import pdu, serial_line
from drivers.modbus.endpoint import SerialLine
from drivers.modbus.link import Pace
from drivers.modbus.pdu import NoAnswerError
from drivers.modbus.rtu import frame
from gateway.model import Quality, SetPoint
from hil.faces.modbus import MemoryRegisters
from hil.faces.modbus_rtu import ModbusRtuFace, ModbusSerialFace
from tests.contract.watch import Watch, running
from tests.protocol import serial_peers as peers
from tests.protocol.serial_peers import ScriptedLine, right_answer

TIMEOUT_S = 0.1  # of the devices that serial_peers.driver makes


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ttyUSB0"


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return peers.compile_server(tmp_path_factory.mktemp("libmodbus-rtu"))


def setpoint(point: str, value: float) -> SetPoint:
    return SetPoint(point, value, expires=float("inf"), cause="test")


def count(watch: Watch, point: str, quality: Quality = Quality.GOOD) -> int:
    return sum(each.point == point and each.quality is quality for each in watch.measurements)


def only_right_values(watch: Watch) -> bool:
    """Each value is 1000 plus the address in the point's name, or there is none."""
    return all(each.value in (None, 1000 + int(each.point.partition(".r")[2])) for each in watch.measurements)


async def answer_right(request: bytes, line: ScriptedLine) -> None:
    line.write(right_answer(request))


async def test_reads_and_writes_libmodbus(program: Path) -> None:
    """An implementation that shares nothing with the driver."""
    with peers.null_modem() as (near, far), peers.libmodbus(program, far):
        driver = peers.driver(Path(near), 42, 43, 199, timeout="1s")
        async with running(driver) as watch:
            await watch.until(lambda: (watch.value("u1.r42"), watch.value("u1.r199")) == (42, 199))

            assert await driver.write(setpoint("u1.r43", 1234)) == 1234
            assert watch.value("u1.r43") == 1234


async def test_reads_the_longest_answer_there_is_from_libmodbus(program: Path) -> None:
    with peers.null_modem() as (near, far), peers.libmodbus(program, far):
        async with running(peers.driver(Path(near), *range(125), timeout="1s")) as watch:
            await watch.until(lambda: len(watch.measurements) >= 125)

            assert [watch.value(f"u1.r{at}") for at in range(125)] == list(range(125))


@pytest.mark.parametrize("parity", ["N", "E", "O"])
async def test_reads_and_writes_pymodbus(path: Path, parity: str) -> None:
    registers = MemoryRegisters(holding={7: 1007, 8: 1008})
    async with ModbusSerialFace({1: registers}, path):
        driver = peers.driver(path, 7, 8, options=f"&parity={parity}&stopbits=2")
        async with running(driver) as watch:
            await watch.until(lambda: watch.value("u1.r8") == 1008)

            assert await driver.write(setpoint("u1.r7", 5)) == 5
            assert registers.holding[7] == 5


async def test_an_answer_after_its_time_out_is_never_taken_for_the_next_one(path: Path) -> None:
    """
    Of 90 requests of the same shape, each to its own register, every third is answered after its time-out.

    The late answer has the right unit, function, length and checksum: only the quiet line tells it from the next one.
    """
    timeout_s = 0.03
    wrong = late = right = 0

    async def answer(request: bytes, line: ScriptedLine) -> None:
        if len(line.requests) % 3 == 0:
            await asyncio.sleep(1.2 * timeout_s)  # and the quiet time is the time-out again: room for a loaded machine
        line.write(right_answer(request))

    async with ScriptedLine(path, answer):
        link = serial_line.connect(SerialLine(str(path), 115200), Pace())
        for address in range(90):
            try:
                data = await link.request(pdu.read(1, "holding", address, 1), timeout_s)
            except NoAnswerError:
                late += 1
            else:
                right += 1
                wrong += int.from_bytes(data, "big") != 1000 + address
        link.close("done")
        await link.ended()

    assert wrong == 0
    assert late >= 28
    assert right >= 20


def test_a_late_answer_that_the_loop_has_not_handed_on_yet_is_no_answer_to_the_next_request(path: Path) -> None:
    """The process stands still while the answer comes: uvloop then runs its timers before it reads the line."""
    requests: list[bytes] = []

    async def answer(request: bytes, line: ScriptedLine) -> None:
        requests.append(request)
        if len(requests) > 1:
            line.write(right_answer(request))

    async def late() -> int:
        async with ScriptedLine(path, answer) as line:
            link = serial_line.connect(SerialLine(str(path), 115200), Pace())
            with pytest.raises(NoAnswerError):
                await link.request(pdu.read(1, "holding", 1, 1), 0.05)
            stalled, stall = os.pipe()

            def stand_still() -> None:  # called where the loop reads its descriptors
                loop.remove_reader(stalled)
                line.write(right_answer(requests[0]))
                time.sleep(0.2)  # past the quiet time

            loop = asyncio.get_running_loop()
            loop.add_reader(stalled, stand_still)
            os.write(stall, b"!")
            data = await link.request(pdu.read(1, "holding", 2, 1), 2.0)
            link.close("done")
            await link.ended()
            os.close(stalled)
            os.close(stall)
            return int.from_bytes(data, "big")

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(late()) == 1002


async def test_nothing_is_sent_while_a_late_answer_may_come(path: Path) -> None:
    """The next request leaves the quiet time after the time-out, and again after each byte that comes meanwhile."""
    sent_s: list[float] = []
    heard_s = float("inf")

    async def answer(request: bytes, line: ScriptedLine) -> None:
        nonlocal heard_s
        sent_s.append(asyncio.get_running_loop().time())
        if len(sent_s) == 1:
            await asyncio.sleep(1.5 * TIMEOUT_S)
            heard_s = asyncio.get_running_loop().time()
            line.write(b"\0")
        else:
            line.write(right_answer(request))

    async with ScriptedLine(path, answer):
        link = serial_line.connect(SerialLine(str(path), 19200), Pace(gap_s=0.002))
        with pytest.raises(NoAnswerError):
            await link.request(pdu.read(1, "holding", 0, 1), TIMEOUT_S)
        await link.request(pdu.read(1, "holding", 0, 1), TIMEOUT_S)
        link.close("done")
        await link.ended()
    assert sent_s[1] >= heard_s + TIMEOUT_S


async def test_what_stands_on_the_line_before_the_first_request_is_nobodys(path: Path) -> None:
    """An answer to the request of an earlier run, which fits the first request of this one."""
    async with ScriptedLine(path, answer_right) as line:
        link = serial_line.connect(SerialLine(str(path), 19200), Pace(quiet_s=TIMEOUT_S))
        line.write(frame(1, bytes.fromhex("03 02 00 63")))

        assert await link.request(pdu.read(1, "holding", 7, 1), 5) == (1007).to_bytes(2, "big")
        link.close("done")
        await link.ended()


async def test_an_answer_given_twice_counts_once(path: Path) -> None:
    async def answer(request: bytes, line: ScriptedLine) -> None:
        line.write(right_answer(request) * 2)

    async with ScriptedLine(path, answer), running(peers.driver(path, 7, 50)) as watch:
        await watch.until(lambda: count(watch, "u1.r50") >= 3)

        assert only_right_values(watch)
        assert count(watch, "u1.r7", Quality.OFFLINE) == 0


async def test_noise_costs_answers_and_never_gives_a_value(path: Path) -> None:
    """Every third answer has a burst before it or a byte that is another one; the next request afterwards is right."""
    noise = random.Random(7)
    heard: list[int | None] = []

    async def answer(request: bytes, line: ScriptedLine) -> None:
        right = bytearray(right_answer(request))
        if len(line.requests) % 6 == 0:
            line.write(noise.randbytes(noise.randrange(1, 30)))
        elif len(line.requests) % 3 == 0:
            right[noise.randrange(len(right))] ^= noise.randrange(1, 256)
        line.write(right)

    async with ScriptedLine(path, answer):
        link = serial_line.connect(SerialLine(str(path), 115200), Pace())
        for address in range(150):
            try:
                heard.append(int.from_bytes(await link.request(pdu.read(1, "holding", address, 1), 0.02), "big"))
            except NoAnswerError:
                heard.append(None)
        link.close("done")
        await link.ended()

    # In time or not, a right answer is right; a machine under load loses some more to their time-outs.
    assert all(value in (None, 1000 + address) for address, value in enumerate(heard))
    assert all(heard[address] is None for address in range(2, 150, 3))
    assert sum(value is not None for value in heard) >= 50


async def test_a_line_that_never_falls_silent_ends_the_run(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drivers.modbus.link.RESTLESS_MAX_S", 0.3)

    async with ScriptedLine(path, answer_right) as line, running(peers.driver(path, 7)) as watch:
        await watch.until(lambda: count(watch, "u1.r7") >= 1)

        async def babble() -> None:
            while True:
                line.write(b"\x55")
                await asyncio.sleep(0.01)

        babbling = asyncio.create_task(babble())
        try:
            assert "is there a second master?" in await watch.lost()
        finally:
            babbling.cancel()
        assert only_right_values(watch)


async def test_the_echo_of_an_adapter_is_dropped(path: Path) -> None:
    driver = peers.driver(path, 7, 50, options="&echo=true")
    async with ScriptedLine(path, answer_right, echo=True), running(driver) as watch:
        await watch.until(lambda: count(watch, "u1.r50") >= 5)

        assert only_right_values(watch)
        assert count(watch, "u1.r7", Quality.OFFLINE) == 0


async def test_an_echo_that_nobody_expects_is_named(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with ScriptedLine(path, answer_right, echo=True), running(peers.driver(path, 7)) as watch:
        await watch.until(lambda: count(watch, "u1.r7", Quality.OFFLINE) > 0)

        assert "the adapter echoes, which echo=true accounts for" in caplog.text
        assert all(each.value is None for each in watch.measurements)


async def test_a_dead_unit_costs_the_others_one_time_out_a_step_of_its_back_off(path: Path) -> None:
    """It is asked once and then left for a growing pause, in which its neighbour is read at its period."""

    async def answer(request: bytes, line: ScriptedLine) -> None:
        if request[0] != 2:
            line.write(right_answer(request))

    async with ScriptedLine(path, answer) as line, running(peers.driver(path, 7, units=(1, 2))) as watch:
        await watch.until(lambda: sum(each[0] == 2 for each in line.requests) == 2)
        first = next(at for at, each in enumerate(line.requests) if each[0] == 2)
        between = [each[0] for each in line.requests[first + 1 :]]

        assert between.index(2) >= 20
        assert count(watch, "u2.r7", Quality.OFFLINE) == 1
        assert count(watch, "u1.r7", Quality.OFFLINE) == 0


async def test_an_unplugged_adapter_ends_the_run_at_once_and_the_next_run_works(path: Path) -> None:
    """A time-out of an hour shows that nobody waits for it; the path is the same, the terminal behind it is not."""
    async with ScriptedLine(path, answer_right) as line:
        driver = peers.driver(path, 7)
        async with running(driver) as watch:
            await watch.until(lambda: count(watch, "u1.r7") >= 1)
            line.unplug()
            assert f"rtu://{path}: the serial adapter is gone" in await watch.lost()
        with pytest.raises(ConnectionLost, match=r"no such device; is the adapter plugged in\?"):
            await driver.run(lambda _: None)
        line.plug()
        async with running(driver) as watch:
            await watch.until(lambda: count(watch, "u1.r7") >= 1)


async def test_an_unplugged_adapter_ends_a_request_that_waits(path: Path) -> None:
    async def unplug(_request: bytes, line: ScriptedLine) -> None:
        line.unplug()

    async with ScriptedLine(path, unplug):
        link = serial_line.connect(SerialLine(str(path)), Pace())
        with pytest.raises(ConnectionLost, match="the serial adapter is gone"):
            await link.request(pdu.read(1, "holding", 0, 1), 3600)
        await link.ended()


async def test_a_line_in_use_is_said_to_be(path: Path) -> None:
    async with ScriptedLine(path, answer_right):
        fd = serial_line.open_line(SerialLine(str(path)))
        try:
            with pytest.raises(ConnectionLost, match="in use by another program"):
                serial_line.open_line(SerialLine(str(path)))
        finally:
            os.close(fd)


def test_what_is_no_serial_line_is_said_to_be_none(path: Path) -> None:
    path.touch()
    with pytest.raises(ConnectionLost, match="is not a serial line"):
        serial_line.open_line(SerialLine(str(path)))


def test_a_missing_permission_names_the_group_that_has_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulated, because the user of a test may be allowed everything."""

    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    path.touch()
    monkeypatch.setattr("drivers.modbus.serial_line.os.open", refuse)
    with pytest.raises(ConnectionLost, match=f"should be in the group {path.group()}"):
        serial_line.open_line(SerialLine(str(path)))


async def test_an_adapter_without_direction_control_is_said_to_have_none(path: Path) -> None:
    async with ScriptedLine(path, answer_right):
        with pytest.raises(ConnectionLost, match=r"no RS-485 direction control .* leave out rs485=true"):
            serial_line.open_line(SerialLine(str(path), rs485=True))


async def test_a_serial_server_carries_the_same_frames() -> None:
    registers = MemoryRegisters(holding={7: 1007})
    async with ModbusRtuFace({1: registers}) as face:
        driver = peers.driver(Path("unused"), 7, endpoint=f"rtu-over-tcp://127.0.0.1:{face.port}")
        async with running(driver) as watch:
            await watch.until(lambda: watch.value("u1.r7") == 1007)

            assert await driver.write(setpoint("u1.r7", 5)) == 5


async def test_the_pause_after_connecting_and_the_gap_are_kept(path: Path) -> None:
    sent_s: list[float] = []
    answered_s: list[float] = []

    async def answer(request: bytes, line: ScriptedLine) -> None:
        sent_s.append(asyncio.get_running_loop().time())
        line.write(right_answer(request))
        answered_s.append(asyncio.get_running_loop().time())

    quirks = {"pause_after_connect": "300ms", "gap": "50ms"}
    async with ScriptedLine(path, answer):
        started_s = asyncio.get_running_loop().time()
        async with running(peers.driver(path, 7, 50, quirks=quirks)) as watch:
            await watch.until(lambda: count(watch, "u1.r50") >= 3)

    assert sent_s[0] >= started_s + 0.3
    assert all(sent >= answered + 0.05 for sent, answered in zip(sent_s[1:], answered_s, strict=False))
