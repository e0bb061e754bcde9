"""
Every fault of a Modbus device or line, and the test that shows what becomes of it: never a wrong value.

Tests of other files stand here by their path under tests/; those without a path are below.

Modbus TCP
S01 off, port closed            ::test_a_closed_port_is_asked_again_with_growing_pauses_that_are_never_the_same
                                protocol/test_modbus_units.py::test_nobody_listening_is_said_with_the_address
                                unit/test_supervise.py::test_a_device_that_stays_away_is_one_line_in_the_log
S02 off in mid-session          ::test_a_device_that_falls_silent_is_offline_alone_and_good_again_when_it_is_back
                                contract/test_drivers.py::test_a_peer_that_says_nothing_any_more_ends_the_run
S03 half-open                   ::test_a_device_that_falls_silent_is_offline_alone_and_good_again_when_it_is_back
S04 closed or reset             protocol/test_modbus_answers.py::test_a_dropped_connection_ends_the_run_at_once
                                protocol/test_modbus_answers.py::test_a_write_fails_at_once_when_the_connection_drops
S05 slow                        ::test_a_slow_device_is_good_while_it_keeps_its_time_out
                                protocol/test_modbus_answers.py::test_a_late_answer_is_nobodys_value
S06 late answers                ::test_10_000_late_doubled_and_reordered_answers_give_no_wrong_value
                                ::test_late_doubled_and_reordered_answers_over_a_connection_give_no_wrong_value
S07 wrong head                  protocol/test_modbus_answers.py::test_a_wrong_answer_is_never_data
                                unit/drivers/test_modbus_pdu.py::test_a_head_that_is_none_is_an_error_of_the_stream
S08 wrong unit or function      protocol/test_modbus_answers.py::test_a_wrong_answer_is_never_data
                                unit/drivers/test_modbus_pdu.py::test_an_answer_to_anything_else_is_an_error
S09 fewer or more registers     protocol/test_modbus_answers.py::test_a_wrong_answer_is_never_data
S10 garbage, torn, dripped      protocol/test_modbus_answers.py::test_a_wrong_answer_is_never_data
                                protocol/test_modbus_answers.py::test_an_answer_in_single_bytes_is_as_good_as_in_one
                                protocol/test_modbus_answers.py::test_dripping_is_bounded_by_the_whole_answers_time
S11 exceptions                  ::test_each_exception_has_its_consequence
                                protocol/test_modbus_units.py::test_a_device_that_is_busy_is_asked_again_and_says_nothing_meanwhile
                                protocol/test_modbus_units.py::test_a_refused_point_is_said_to_be_invalid_each_turn_but_not_asked_for_each_turn
S12 one connection at most      ::test_a_device_has_one_connection_however_many_units_and_writes_it_serves
S13 reordered or doubled        ::test_10_000_late_doubled_and_reordered_answers_give_no_wrong_value
                                protocol/test_modbus_answers.py::test_an_answer_given_twice_counts_once
S14 not implemented             unit/drivers/test_modbus_codec.py::test_what_the_device_does_not_implement_is_no_number
                                unit/drivers/test_modbus_codec.py::test_no_bytes_become_a_number_that_is_not_finite
                                unit/drivers/test_modbus_sunspec_models.py::test_the_vectors_of_the_standard
                                unit/drivers/test_modbus_sunspec_models.py::test_values_are_those_the_reference_decodes
S15 counter goes back           ::test_a_counter_that_is_reset_while_the_device_restarts_is_flagged
                                unit/drivers/test_modbus_screen.py::test_a_counter_of_energy_that_goes_back_is_uncertain_until_the_next_read_goes_on_from_there
                                unit/drivers/test_modbus_screen.py::test_a_counter_that_begins_again_is_told_once_with_both_its_readings
S16 other register map          protocol/test_modbus_sunspec.py::test_a_map_that_moves_between_polls_ends_the_run
                                protocol/test_modbus_sunspec.py::test_nothing_is_written_to_a_map_that_moved
                                unit/drivers/test_modbus_sunspec.py::test_a_model_that_moved_is_noticed_in_every_answer
S17 frozen                      ::test_a_frozen_value_is_uncertain_until_it_moves_and_its_neighbour_is_good
                                unit/drivers/test_modbus_screen.py::test_a_value_that_stands_still_for_too_long_is_uncertain_until_it_moves
                                unit/drivers/test_modbus_screen.py::test_a_value_that_stands_still_is_told_once_and_so_is_its_end
S18 flapping link               ::test_a_flapping_link_leaves_nothing_behind_and_says_each_change_once
S19 50 dead, 10 healthy         ::test_healthy_devices_keep_every_turn_beside_50_dead_ones
S20 write refused or torn       protocol/test_modbus_writes.py::test_a_refused_value_leaves_nothing_of_its_sequence_behind
                                protocol/test_modbus_answers.py::test_a_write_that_is_echoed_but_not_held_is_refused
                                ::test_a_write_that_the_device_took_in_part_is_refused_and_not_repeated
                                protocol/test_modbus_answers.py::test_a_write_that_is_never_answered_is_not_repeated_and_not_known
                                protocol/test_modbus_writes.py::test_flash_is_written_only_when_its_value_differs_and_within_its_budget

Modbus RTU
S21 bit noise                   ::test_noise_on_a_line_costs_the_answers_it_hits_and_no_more
                                protocol/test_modbus_rtu.py::test_noise_costs_answers_and_never_gives_a_value
                                unit/drivers/test_modbus_rtu.py::test_one_wrong_bit_anywhere_makes_an_answer_none
S22 late answer, no number      ::test_10_000_answers_without_a_number_give_no_wrong_value_however_late_they_are
                                protocol/test_modbus_rtu.py::test_an_answer_after_its_time_out_is_never_taken_for_the_next_one
                                protocol/test_modbus_rtu.py::test_a_late_answer_that_the_loop_has_not_handed_on_yet_is_no_answer_to_the_next_request
                                protocol/test_modbus_rtu.py::test_nothing_is_sent_while_a_late_answer_may_come
S23 babble, burst, echo         ::test_a_line_that_babbled_for_a_while_is_read_again
                                protocol/test_modbus_rtu.py::test_a_line_that_never_falls_silent_ends_the_run
                                protocol/test_modbus_rtu.py::test_an_echo_that_nobody_expects_is_named
                                protocol/test_modbus_rtu.py::test_an_answer_given_twice_counts_once
S24 dead unit on a line         protocol/test_modbus_rtu.py::test_a_dead_unit_costs_the_others_one_time_out_a_step_of_its_back_off
S25 adapter unplugged           protocol/test_modbus_rtu.py::test_an_unplugged_adapter_ends_the_run_at_once_and_the_next_run_works
                                protocol/test_modbus_rtu.py::test_an_unplugged_adapter_ends_a_request_that_waits
S26 wrong baud rate or parity   ::test_a_line_with_wrong_settings_is_told_from_a_silent_one
"""  # noqa: E501 -- names of tests

from __future__ import annotations

import ast
import asyncio
import logging
import random
import re
import selectors
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from drivers.base import Driver, WriteRefused
from drivers.modbus import pdu
from drivers.modbus.config import ModbusDevice
from drivers.modbus.driver import build
from drivers.modbus.framing import TcpFraming
from drivers.modbus.link import Link
from drivers.modbus.pdu import NoAnswerError
from drivers.modbus.rtu import RtuFraming, answer_size
from gateway import clock, supervise
from gateway.image import Image
from gateway.model import Measurement, Quality, SetPoint
from gateway.supervise import Supervisor
from hil.faces.modbus import MemoryRegisters, ModbusFace
from hil.faults import TcpProxy
from tests.contract.watch import running
from tests.protocol import modbus_peers as peers
from tests.protocol import serial_peers
from tests.protocol.modbus_peers import frame, right_answer
from tests.protocol.serial_peers import ScriptedLine

TESTS = Path(__file__).parents[1]
POINT = {"name": "r7", "register": "holding:7", "type": "uint16"}


def shown() -> Iterator[tuple[str, Path, str]]:
    """Row, file and test of each line of the table."""
    row = ""
    for line in (__doc__ or "").splitlines():
        if found := re.match(r"(S\d\d) ", line):
            row = found[1]
        if found := re.search(r"(\S*)::(\w+)$", line):
            yield row, TESTS / found[1] if found[1] else Path(__file__), found[2]


def test_every_fault_has_a_test_that_exists() -> None:
    table = list(shown())
    defined = {
        file: {
            node.name
            for node in ast.parse(file.read_text()).body
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        }
        for file in {file for _, file, _ in table}
    }

    assert list(dict.fromkeys(row for row, _, _ in table)) == [f"S{number:02}" for number in range(1, 27)]
    assert [(row, test) for row, file, test in table if test not in defined[file]] == []


def device(name: str, port: int, *points: dict[str, Any], **changes: Any) -> Driver:
    return peers.driver(port, *(points or (POINT,)), id=name, **changes)


@asynccontextmanager
async def supervised(*drivers: Driver) -> AsyncIterator[Image]:
    """The drivers as the gateway runs them: each with its own pauses, all into one image."""
    image = Image([nameplate for driver in drivers for nameplate in driver.nameplates])
    tasks = [
        asyncio.create_task(Supervisor(driver, image, now=clock.now, wake=lambda: None).run(), name=driver.name)
        for driver in drivers
    ]
    try:
        yield image
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def reading(image: Image, point: str) -> tuple[object, Quality]:
    found = image.snapshot(clock.now()).readings.get(point)
    return (None, Quality.OFFLINE) if found is None else (found.value, found.quality)


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 -- what is awaited is looked at from outside, it sets no event
            await asyncio.sleep(0.002)


# Off, silent, slow


async def test_a_closed_port_is_asked_again_with_growing_pauses_that_are_never_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No more than 40 tries in ten minutes, the first within a second; 60 gateways do not come back all at once."""
    pauses: list[float] = []
    sleep = asyncio.sleep

    async def at_once(delay_s: float) -> None:
        pauses.append(delay_s)
        await sleep(0)

    async with ModbusFace({1: MemoryRegisters()}) as face:
        await face.stop()
        driver = device("d", face.port)
        async with supervised(driver) as image:
            with monkeypatch.context() as patched:
                patched.setattr(asyncio, "sleep", at_once)
                async with asyncio.timeout(10):
                    while len(pauses) < 40:
                        await sleep(0)
            assert reading(image, "d.r7")[1] is Quality.OFFLINE

    nominal = [min(supervise.PAUSE_MIN_S * 2**index, supervise.PAUSE_MAX_S) for index in range(40)]
    assert all(0.8 * each <= found <= 1.2 * each for each, found in zip(nominal, pauses, strict=False))
    assert len({found / each for each, found in zip(nominal, pauses, strict=False)}) > 30
    assert sum(pauses[:40]) > 600


async def test_a_device_that_falls_silent_is_offline_alone_and_good_again_when_it_is_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its connection stays open and nothing passes; another device misses no turn meanwhile."""
    monkeypatch.setattr(supervise, "PAUSE_MIN_S", 0.01)
    monkeypatch.setattr("drivers.modbus.unit.PAUSE_MIN_S", 0.01)
    registers = MemoryRegisters(holding={7: 1007})
    async with ModbusFace({1: registers}) as face, TcpProxy("127.0.0.1", face.port) as proxy:
        other = device("other", face.port, poll="200ms")
        async with supervised(device("d", proxy.port), other) as image:
            await until(lambda: reading(image, "d.r7") == reading(image, "other.r7") == (1007, Quality.GOOD))
            proxy.blackhole = True
            registers.holding[7] = 1008
            await until(lambda: reading(image, "d.r7")[1] is Quality.OFFLINE)
            await until(lambda: reading(image, "other.r7") == (1008, Quality.GOOD))
            registers.holding[7] = 1009  # what the silence held back is not taken for it
            proxy.blackhole = False
            await until(lambda: reading(image, "d.r7") == (1009, Quality.GOOD))

        assert other.traffic()[0].skipped == 0


async def test_a_slow_device_is_good_while_it_keeps_its_time_out() -> None:
    async def answer(request: bytes, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.1)
        writer.write(right_answer(request))

    async with peers.scripted(answer) as port, running(device("d", port, timeout="2s")) as watch:
        await watch.until(lambda: sum(each == Measurement("d.r7", 1007) for each in watch.measurements) >= 3)

        assert {each.quality for each in watch.measurements} == {Quality.GOOD}


# Late, doubled, in another order


def test_10_000_late_doubled_and_reordered_answers_give_no_wrong_value() -> None:
    """Each register holds its own number; what comes is the answer asked for, an earlier one, or both in any order."""
    chance = random.Random(6)
    framing = TcpFraming()
    earlier: list[bytes] = []
    right = wrong = strange = 0
    for _ in range(10_000):
        address = chance.randrange(60_000)
        asked = framing.frame(pdu.read(1, "holding", address, 1))
        answer = right_answer(asked)
        coming = chance.choices(earlier, k=chance.randrange(3)) if earlier else []
        coming += [answer] * chance.choice((0, 1, 1, 2))
        chance.shuffle(coming)
        earlier = [*earlier[-20:], answer]
        stream = b"".join(coming)
        cut = chance.randrange(len(stream) + 1)
        for piece in (stream[:cut], stream[cut:]):
            whole = framing.whole(piece) if piece else None
            for said in [whole] if whole is not None else framing.received(piece):
                if said is None:
                    strange += 1
                elif isinstance(said, bytes) and said == (1000 + address).to_bytes(2, "big"):
                    right += 1
                else:
                    wrong += 1

    assert wrong == 0
    assert right > 7000
    assert strange > 7000


async def test_late_doubled_and_reordered_answers_over_a_connection_give_no_wrong_value() -> None:
    """Every fifth answer leaves with the next request, before or behind that one's own; others come twice."""
    chance = random.Random(13)
    held: list[bytes] = []
    heard: list[int | None] = []

    async def answer(request: bytes, writer: asyncio.StreamWriter) -> None:
        if int.from_bytes(request[8:10], "big") % 5 == 4:
            held.append(right_answer(request))
            return
        coming = [right_answer(request)] * chance.choice((1, 2)) + held
        held.clear()
        chance.shuffle(coming)
        writer.write(b"".join(coming))

    async with peers.scripted(answer) as port:
        link = await Link.connect("127.0.0.1", port)
        for address in range(300):
            late = address % 5 == 4
            try:
                data = await link.request(pdu.read(1, "holding", address, 1), 0.02 if late else 5.0)
            except NoAnswerError:
                heard.append(None)
            else:
                heard.append(int.from_bytes(data, "big"))
        link.close("done")
        await link.ended()

    assert heard == [None if address % 5 == 4 else 1000 + address for address in range(300)]


# Refusals, connections


@pytest.mark.parametrize(
    ("code", "quality", "asked_again"),
    [
        pytest.param(1, Quality.INVALID, False, id="illegal-function"),
        pytest.param(2, Quality.INVALID, False, id="illegal-address"),
        pytest.param(3, Quality.INVALID, False, id="illegal-value"),
        pytest.param(4, None, True, id="device-failure"),
        pytest.param(5, None, True, id="acknowledge"),
        pytest.param(6, None, True, id="busy"),
        pytest.param(8, None, True, id="memory-parity"),
        pytest.param(10, Quality.OFFLINE, False, id="no-path"),
        pytest.param(11, Quality.OFFLINE, False, id="no-target"),
    ],
)
async def test_each_exception_has_its_consequence(code: int, quality: Quality | None, asked_again: bool) -> None:
    """What stays wrong is not asked for each turn, what may pass is; the neighbour that answers is good throughout."""
    refused = 0

    async def answer(request: bytes, writer: asyncio.StreamWriter) -> None:
        nonlocal refused
        refused += request[6] == 2
        wrong = frame(request[:2], request[6], bytes((0x83, code)))
        writer.write(wrong if request[6] == 2 else right_answer(request))

    async with peers.scripted(answer) as port:
        given = {"driver": "modbus", "role": "meter", "endpoint": f"tcp://127.0.0.1:{port}", "poll": "20ms"}
        (driver,) = build(
            [
                ModbusDevice.model_validate({**given, "id": f"u{unit}", "unit": unit, "points": [POINT]})
                for unit in (1, 2)
            ],
            revert_s=None,
        )
        async with running(driver) as watch:
            await watch.until(lambda: sum(each.point == "u1.r7" for each in watch.measurements) >= 10)

    told = {each.quality for each in watch.measurements if each.point == "u2.r7"}
    assert told == (set() if quality is None else {quality})
    assert {each.quality for each in watch.measurements if each.point == "u1.r7"} == {Quality.GOOD}
    assert refused > 3 if asked_again else refused == 1
    (traffic,) = (each for each in driver.traffic() if each.device == "u2")
    assert (traffic.unanswered if quality is Quality.OFFLINE else traffic.refused) == refused


async def test_a_device_has_one_connection_however_many_units_and_writes_it_serves() -> None:
    writers: set[asyncio.StreamWriter] = set()

    async def answer(request: bytes, writer: asyncio.StreamWriter) -> None:
        writers.add(writer)
        writer.write(right_answer(request) if request[7] == 3 else request)

    async with peers.scripted(answer) as port:
        given = {"driver": "modbus", "role": "meter", "endpoint": f"tcp://127.0.0.1:{port}", "poll": "20ms"}
        points = [POINT | {"access": "read-write"}]
        (driver,) = build(
            [
                ModbusDevice.model_validate({**given, "id": f"u{unit}", "unit": unit, "points": points})
                for unit in (1, 2, 3)
            ],
            revert_s=None,
        )
        async with running(driver) as watch:
            await watch.until(lambda: {each.point for each in watch.measurements} == {"u1.r7", "u2.r7", "u3.r7"})
            for unit in (1, 2, 3) * 3:
                await driver.write(SetPoint(f"u{unit}.r7", 1007, expires=float("inf"), cause="test"))
            read = len(watch.measurements)
            await watch.until(lambda: len(watch.measurements) > read + 30)

    assert len(writers) == 1


# What a device says that cannot be


async def test_a_counter_that_is_reset_while_the_device_restarts_is_flagged(caplog: pytest.LogCaptureFixture) -> None:
    registers = MemoryRegisters(holding={7: 0, 8: 50_000})
    energy = {"name": "energy_export", "register": "holding:7", "type": "uint32", "unit": "Wh"}
    async with ModbusFace({1: registers}) as face:
        driver = device("d", face.port, energy)
        async with running(driver) as watch:
            await watch.until(lambda: watch.value("d.energy_export") == 50_000)
            await face.stop()
            await watch.lost()
        registers.holding[8] = 3
        await face.start()
        async with running(driver) as watch:
            await watch.until(lambda: watch.latest("d.energy_export") == Measurement("d.energy_export", 3))

    assert watch.measurements[0] == Measurement("d.energy_export", 3, Quality.UNCERTAIN)
    assert caplog.text.count("d.energy_export: went back from 50000 to 3") == 1


async def test_a_frozen_value_is_uncertain_until_it_moves_and_its_neighbour_is_good(
    caplog: pytest.LogCaptureFixture,
) -> None:
    registers = MemoryRegisters(holding={7: 2300, 8: 5})
    points = [POINT | {"stuck_after": "100ms"}, POINT | {"name": "r8", "register": "holding:8"}]
    async with ModbusFace({1: registers}) as face, running(device("d", face.port, *points)) as watch:
        await watch.until(lambda: watch.latest("d.r7") == Measurement("d.r7", 2300, Quality.UNCERTAIN))
        registers.holding[7] = 2301
        await watch.until(lambda: watch.latest("d.r7") == Measurement("d.r7", 2301))

    assert watch.measurements[0] == Measurement("d.r7", 2300)
    assert {each.quality for each in watch.measurements if each.point == "d.r8"} == {Quality.GOOD}
    assert caplog.text.count("d.r7: has stood at 2300") == 1


async def test_a_write_that_the_device_took_in_part_is_refused_and_not_repeated() -> None:
    """Of two registers it keeps the first."""

    class Torn(MemoryRegisters):
        def write(self, space: str, address: int, words: list[int]) -> None:
            super().write(space, address, words[:1])

    registers = Torn(holding={7: 0, 8: 0})
    limit = {"name": "limit", "register": "holding:7", "type": "uint32", "access": "read-write"}
    async with ModbusFace({1: registers}) as face:
        driver = device("d", face.port, limit)
        async with running(driver) as watch:
            await watch.until(lambda: watch.value("d.limit") == 0)
            with pytest.raises(WriteRefused, match="wrote 65538, the device holds 65536"):
                await driver.write(SetPoint("d.limit", 0x10002, expires=float("inf"), cause="test"))
            read = len(watch.measurements)
            await watch.until(lambda: len(watch.measurements) > read + 3)

    assert len(registers.writes) == 1


# Many, and often


async def test_a_flapping_link_leaves_nothing_behind_and_says_each_change_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(supervise, "PAUSE_MIN_S", 0.005)
    monkeypatch.setattr(supervise, "PAUSE_MAX_S", 0.005)
    caplog.set_level(logging.INFO)
    flaps = 100
    used: list[tuple[int, int]] = []
    async with AsyncExitStack() as stack:
        face = await stack.enter_async_context(ModbusFace({1: MemoryRegisters(holding={7: 1007})}))
        proxy = await stack.enter_async_context(TcpProxy("127.0.0.1", face.port))
        image = await stack.enter_async_context(supervised(device("d", proxy.port)))
        for _ in range(flaps):
            await proxy.heal()
            await until(lambda: reading(image, "d.r7") == (1007, Quality.GOOD))
            used.append((descriptors(), len(asyncio.all_tasks())))
            await proxy.cut()
            await until(lambda: reading(image, "d.r7")[1] is Quality.OFFLINE)

    # The connection before may be closed a turn of the loop later than this one is made: a few, and not one a flap.
    assert max(fds for fds, _ in used) <= used[0][0] + 6
    assert max(tasks for _, tasks in used) <= used[0][1] + 6
    ours = [record for record in caplog.records if record.name.startswith(("gateway", "drivers"))]
    assert sum(record.message.endswith("connected") for record in ours) == flaps
    assert flaps * 2 <= len(ours) <= flaps * 3  # lost, refused where a try fell into the gap, connected


async def test_healthy_devices_keep_every_turn_beside_50_dead_ones() -> None:
    """Half of the dead ones refuse a connection, the others accept it and say nothing."""

    async def silent(_request: bytes, _writer: asyncio.StreamWriter) -> None:
        return

    async def healthy(request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(right_answer(request))

    async with AsyncExitStack() as stack:
        mute = [await stack.enter_async_context(peers.scripted(silent)) for _ in range(25)]
        alive = [await stack.enter_async_context(peers.scripted(healthy)) for _ in range(10)]
        async with AsyncExitStack() as gone:
            closed = [await gone.enter_async_context(peers.scripted(silent)) for _ in range(25)]
        drivers = [device(f"dead{at}", port, poll="300ms") for at, port in enumerate(mute + closed)]
        good = [device(f"good{at}", port, poll="300ms") for at, port in enumerate(alive)]
        image = await stack.enter_async_context(supervised(*drivers, *good))
        await until(lambda: all(driver.traffic()[0].requests >= 8 for driver in good))

        assert {driver.traffic()[0].skipped for driver in good} == {0}
        assert {reading(image, f"good{at}.r7") for at in range(10)} == {(1007, Quality.GOOD)}
        assert all(reading(image, f"dead{at}.r7")[1] is not Quality.GOOD for at in range(50))


# Serial lines


@pytest.mark.parametrize("rate", [0.001, 0.003, 0.01])
def test_noise_on_a_line_costs_the_answers_it_hits_and_no_more(rate: float) -> None:
    """Each byte is another one with this probability; what is left has to come through."""
    noise = random.Random(21)
    framing = RtuFraming(None)
    answers = 5000
    right = wrong = size = 0
    for _ in range(answers):
        address = noise.randrange(60_000)
        request = pdu.read(1, "holding", address, 1)
        asked = framing.frame(request)
        size = answer_size(request)
        heard = bytes(
            byte ^ noise.randrange(1, 256) if noise.random() < rate else byte
            for byte in serial_peers.right_answer(asked)
        )
        for said in framing.received(heard):
            if isinstance(said, bytes):
                right += said == (1000 + address).to_bytes(2, "big")
                wrong += said != (1000 + address).to_bytes(2, "big")

    assert wrong == 0
    assert right / answers >= (1 - rate) ** size - 0.05


class Ahead(asyncio.SelectorEventLoop):
    """A loop whose clock jumps to the next timer: an hour on a line takes a second."""

    def __init__(self) -> None:
        super().__init__(selector := selectors.SelectSelector())
        self._now_s = 0.0
        select = selector.select

        def jump(timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
            self._now_s += timeout or 0.0
            return select(0)

        selector.select = jump  # type: ignore[method-assign]  # nothing is waited for

    def time(self) -> float:
        return self._now_s


class Wire(asyncio.Transport):
    """A serial line to a device that takes up to almost twice its time-out, and now and then answers twice on end."""

    def __init__(self, link: Link, timeout_s: float) -> None:
        super().__init__()
        self._link, self._timeout_s = link, timeout_s
        self._chance = random.Random(22)
        self._file = socket.socketpair()
        link.connection_made(self)

    def get_extra_info(self, name: str, default: object = None) -> object:
        return self._file[0] if name == "socket" else default

    def write(self, data: bytes | bytearray | memoryview) -> None:
        answer = serial_peers.right_answer(bytes(data))
        delay_s = self._chance.choice((0.3, 0.9, 1.2, 1.6, 1.95)) * self._timeout_s
        for _ in range(self._chance.choice((1, 1, 1, 2))):
            asyncio.get_running_loop().call_later(delay_s, self._link.data_received, answer)

    def abort(self) -> None:
        for each in self._file:
            each.close()
        asyncio.get_running_loop().call_soon(self._link.connection_lost, None)


def test_10_000_answers_without_a_number_give_no_wrong_value_however_late_they_are() -> None:
    """As late as the quiet time after a time-out covers; each register holds its own number."""

    async def ask() -> tuple[int, int, int]:
        right = wrong = late = 0
        link = Link("line", RtuFraming(None))
        Wire(link, 1.0)
        for address in range(10_000):
            try:
                data = await link.request(pdu.read(1, "holding", address, 1), 1.0)
            except NoAnswerError:
                late += 1
            else:
                right += data == (1000 + address).to_bytes(2, "big")
                wrong += data != (1000 + address).to_bytes(2, "big")
        link.close("done")
        await link.ended()
        return right, wrong, late

    with asyncio.Runner(loop_factory=Ahead) as runner:
        right, wrong, late = runner.run(ask())

    assert wrong == 0
    assert right > 3000
    assert late > 3000


async def test_a_line_that_babbled_for_a_while_is_read_again(tmp_path: Path) -> None:
    async def answer(request: bytes, line: ScriptedLine) -> None:
        line.write(serial_peers.right_answer(request))

    path = tmp_path / "ttyUSB0"
    async with ScriptedLine(path, answer) as line, running(serial_peers.driver(path, 7)) as watch:
        await watch.until(lambda: watch.value("u1.r7") == 1007)

        for _ in range(100):
            line.write(b"\x55\xaa")
            await asyncio.sleep(0.005)
        before = len(watch.measurements)
        await watch.until(lambda: len(watch.measurements) > before + 3 and watch.value("u1.r7") == 1007)

    assert {each.value for each in watch.measurements} <= {1007, None}


def misread(data: bytes, *, sent_bd: int, read_bd: int) -> bytes:
    """What a receiver at `read_bd` makes of 8N1 bytes sent at `sent_bd`: it samples each bit in its middle."""
    levels = [bit for byte in data for bit in (0, *(byte >> at & 1 for at in range(8)), 1)]

    def level(time: float) -> int:
        at = int(time * sent_bd)
        return levels[at] if at < len(levels) else 1

    heard, time, step = bytearray(), 0.0, 1 / read_bd
    while time * sent_bd < len(levels):
        if level(time):
            time += step / 16  # looks for a start bit
            continue
        heard.append(sum(level(time + (at + 1.5) * step) << at for at in range(8)))
        time += 9.5 * step
    return bytes(heard)


def with_parity_checked(data: bytes) -> bytes:
    """What the kernel gives of 8N1 bytes on a line set to even parity: 0 for each one whose stop bit does not fit."""
    return bytes(byte if byte.bit_count() % 2 else 0 for byte in data)


@pytest.mark.parametrize(
    ("hear", "diagnosis"),
    [
        pytest.param(
            lambda data: misread(data, sent_bd=9600, read_bd=19200),
            "bytes come that make no frame: is it the baud rate, the parity",
            id="half-the-baud-rate",
        ),
        pytest.param(
            lambda data: misread(data, sent_bd=38400, read_bd=19200),
            "bytes come that make no frame: is it the baud rate, the parity",
            id="twice-the-baud-rate",
        ),
        pytest.param(
            with_parity_checked, "bytes come that make no frame: is it the baud rate, the parity", id="parity"
        ),
        pytest.param(lambda data: data[:4], r"only 4 bytes \(01 03 02 03\); bytes come that make no frame", id="torn"),
        pytest.param(
            lambda _: b"", "no answer within 0.1 s, nor anything before at 19200 Bd, parity N: settings", id="silent"
        ),
    ],
)
async def test_a_line_with_wrong_settings_is_told_from_a_silent_one(
    hear: Callable[[bytes], bytes], diagnosis: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def answer(request: bytes, line: ScriptedLine) -> None:
        line.write(hear(serial_peers.right_answer(request)))

    path = tmp_path / "ttyUSB0"
    async with ScriptedLine(path, answer), running(serial_peers.driver(path, 7)) as watch:
        await watch.until(lambda: watch.latest("u1.r7") == Measurement("u1.r7", None, Quality.OFFLINE))

    assert re.search(diagnosis, caplog.text)
    assert all(each.value is None for each in watch.measurements)


async def test_noise_on_a_line_that_was_understood_is_not_taken_for_wrong_settings(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def answer(request: bytes, line: ScriptedLine) -> None:
        right = serial_peers.right_answer(request)
        line.write(right if len(line.requests) < 3 else b"\xff" + right)

    path = tmp_path / "ttyUSB0"
    async with ScriptedLine(path, answer), running(serial_peers.driver(path, 7)) as watch:
        await watch.until(lambda: watch.latest("u1.r7") == Measurement("u1.r7", None, Quality.OFFLINE))

    assert "asked unit 1, the answer begins ff" in caplog.text
    assert "make no frame" not in caplog.text
