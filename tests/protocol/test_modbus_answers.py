"""Answers that are wrong, late, torn or doubled: no value is ever emitted that the device did not give."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from drivers.base import ConnectionLost, Driver, Emit, Traffic, WriteRefused
from drivers.modbus import plan
from drivers.modbus.config import ModbusDevice
from drivers.modbus.driver import build
from drivers.modbus.link import Link
from drivers.modbus.unit import Unit
from gateway.model import Quality, SetPoint
from tests.contract.watch import Watch, running
from tests.protocol import modbus_peers as peers
from tests.protocol.modbus_peers import frame, right_answer

TIMEOUT_S = 0.15  # of the device as modbus_peers.driver makes it
POINTS = [{"name": f"r{at}", "register": f"holding:{at}", "type": "uint16"} for at in (0, 1)]
OTHERS = [{"name": f"r{at}", "register": f"holding:{at}", "type": "uint16"} for at in (40, 41)]


def only_right_values(watch: Watch) -> bool:
    """Each value is 1000 plus the address in the point's name, or there is none."""
    return all(each.value in (None, 1000 + int(each.point.removeprefix("d.r"))) for each in watch.measurements)


def offline(watch: Watch) -> bool:
    return any(each.quality is Quality.OFFLINE for each in watch.measurements)


def next_transaction(request: bytes) -> bytes:
    return ((int.from_bytes(request[:2], "big") + 1) & 0xFFFF).to_bytes(2, "big")


def longer(request: bytes, by: int) -> bytes:
    """A right answer with a wrong length in its head."""
    answer = right_answer(request)
    return answer[:4] + (int.from_bytes(answer[4:6], "big") + by).to_bytes(2, "big") + answer[6:]


WRONG: dict[str, Callable[[bytes], bytes]] = {
    "wrong-transaction": lambda q: frame(next_transaction(q), q[6], right_answer(q)[7:]),
    "wrong-unit": lambda q: frame(q[:2], q[6] + 1, right_answer(q)[7:]),
    "wrong-function": lambda q: frame(q[:2], q[6], b"\x04" + right_answer(q)[8:]),
    "fewer-registers": lambda q: frame(q[:2], q[6], b"\x03\x02" + right_answer(q)[9:11]),
    "more-registers": lambda q: frame(q[:2], q[6], b"\x03\x06" + right_answer(q)[9:] + b"\xff\xff"),
    "short-byte-count": lambda q: frame(q[:2], q[6], b"\x03\x02" + right_answer(q)[9:]),
    "long-byte-count": lambda q: frame(q[:2], q[6], b"\x03\x08" + right_answer(q)[9:]),
    "short-length": lambda q: longer(q, -2),
    "long-length": lambda q: longer(q, 2),
    "wrong-protocol": lambda q: q[:2] + b"\0\1" + right_answer(q)[4:],
    "garbage": lambda q: b"\x99" * 40,
    "another-requests-data": lambda q: right_answer(next_transaction(q) + q[2:]),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG.keys())
async def test_a_wrong_answer_is_never_data(wrong: Callable[[bytes], bytes]) -> None:
    """The fourth answer is wrong: every value stays right, and the next connection works."""
    requests = 0

    async def answer(request: bytes, writer: asyncio.StreamWriter) -> None:
        nonlocal requests
        requests += 1
        writer.write(wrong(request) if requests == 4 else right_answer(request))

    async with peers.scripted(answer) as port:
        driver = peers.driver(port, *POINTS)
        async with running(driver) as watch:
            # What breaks the stream ends the run; what does not fit its request takes the unit offline.
            await watch.until(lambda: watch.task.done() or offline(watch))
    assert requests >= 4
    assert only_right_values(watch)
    async with peers.scripted(answer) as port, running(peers.driver(port, *POINTS)) as again:
        await again.until(lambda: again.value("d.r1") == 1001)


async def test_a_wrong_answer_does_not_wait_for_the_time_out() -> None:
    async def answer(request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(WRONG["wrong-unit"](request))

    async with peers.scripted(answer) as port, running(peers.driver(port, *POINTS, timeout="1h")) as watch:
        await watch.until(lambda: offline(watch))


async def test_an_answer_in_single_bytes_is_as_good_as_in_one() -> None:
    async def answer(request: bytes, writer: asyncio.StreamWriter) -> None:
        for byte in right_answer(request):
            writer.write(bytes((byte,)))
            await writer.drain()
            await asyncio.sleep(0)

    async with peers.scripted(answer) as port, running(peers.driver(port, *POINTS)) as watch:
        await watch.until(lambda: watch.value("d.r1") == 1001)
        assert only_right_values(watch)


async def test_dripping_is_bounded_by_the_whole_answers_time() -> None:
    """One byte and then nothing: each byte buys no further time."""

    async def answer(request: bytes, writer: asyncio.StreamWriter) -> None:
        for byte in right_answer(request)[:-1]:
            writer.write(bytes((byte,)))
            await asyncio.sleep(TIMEOUT_S / 2)

    async with peers.scripted(answer) as port, running(peers.driver(port, *POINTS)) as watch:
        await watch.until(lambda: offline(watch))
        assert only_right_values(watch)


async def test_a_late_answer_is_nobodys_value() -> None:
    """Two blocks of different addresses; each answer leaves when the next request is there, under its own number."""
    held: list[bytes] = []

    async def answer(request: bytes, writer: asyncio.StreamWriter) -> None:
        if held:
            writer.write(held.pop())
        held.append(right_answer(request))

    async with peers.scripted(answer) as port, running(peers.driver(port, *POINTS, *OTHERS)) as watch:
        await watch.until(lambda: offline(watch))
        assert all(each.value is None for each in watch.measurements)


async def test_an_answer_given_twice_counts_once() -> None:
    """The second one would answer the next request, of another block, were it not for its number."""

    async def answer(request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(right_answer(request) * 2)

    async with peers.scripted(answer) as port, running(peers.driver(port, *POINTS, *OTHERS)) as watch:
        await watch.until(lambda: sum(each.point == "d.r41" for each in watch.measurements) >= 5)
        assert only_right_values(watch)
        assert all(each.quality is Quality.GOOD for each in watch.measurements)


@pytest.mark.parametrize("how", ["close", "abort"])
async def test_a_dropped_connection_ends_the_run_at_once(how: str) -> None:
    """A time-out of an hour shows that nobody waits for it."""

    async def answer(_request: bytes, writer: asyncio.StreamWriter) -> None:
        getattr(writer if how == "close" else writer.transport, how)()

    async with peers.scripted(answer) as port, running(peers.driver(port, *POINTS, timeout="1h")) as watch:
        assert f"tcp://127.0.0.1:{port}" in await watch.lost()


@pytest.mark.parametrize("dropped_at", [3, 6], ids=["while-it-waits", "while-it-is-under-way"])
async def test_a_write_fails_at_once_when_the_connection_drops(dropped_at: int) -> None:
    """Whether a read before it or the write itself is on the wire; a time-out of an hour shows that nobody waits."""
    reads = 0
    second_read, written = asyncio.Event(), asyncio.Event()

    async def answer(request: bytes, writer: asyncio.StreamWriter) -> None:
        nonlocal reads
        reads += request[7] == 3
        if reads == 2:
            second_read.set()
            await written.wait()
            if dropped_at == 3:
                writer.transport.abort()
        if request[7] == dropped_at == 6:
            writer.transport.abort()
        else:
            writer.write(right_answer(request))

    point = {"name": "r0", "register": "holding:0", "type": "uint16", "access": "read-write"}
    async with peers.scripted(answer) as port:
        driver = peers.driver(port, point, timeout="1h")
        async with running(driver) as watch:
            await second_read.wait()
            write = asyncio.create_task(driver.write(SetPoint("d.r0", 5, expires=float("inf"), cause="test")))
            await asyncio.sleep(0)
            written.set()
            with pytest.raises(ConnectionLost):
                await write
            await watch.lost()


async def test_a_write_that_is_never_answered_is_not_repeated_and_not_known() -> None:
    writes = 0

    async def answer(request: bytes, writer: asyncio.StreamWriter) -> None:
        nonlocal writes
        if request[7] == 3:
            writer.write(right_answer(request))
        else:
            writes += 1

    point = {"name": "r0", "register": "holding:0", "type": "uint16", "access": "read-write"}
    async with peers.scripted(answer) as port:
        driver = peers.driver(port, point)
        async with running(driver) as watch:
            await watch.until(lambda: watch.value("d.r0") == 1000)
            with pytest.raises(ConnectionLost, match="not known"):
                await driver.write(SetPoint("d.r0", 5, expires=float("inf"), cause="test"))
            assert writes == 1


async def test_a_write_that_is_echoed_but_not_held_is_refused() -> None:
    async def answer(request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(right_answer(request) if request[7] == 3 else request)

    point = {"name": "r0", "register": "holding:0", "type": "uint16", "access": "read-write"}
    async with peers.scripted(answer) as port:
        driver = peers.driver(port, point)
        async with running(driver) as watch:
            await watch.until(lambda: watch.value("d.r0") == 1000)
            with pytest.raises(WriteRefused, match="wrote 5, the device holds 1000"):
                await driver.write(SetPoint("d.r0", 5, expires=float("inf"), cause="test"))


@pytest.mark.parametrize(
    ("value", "accepted"), [(70000.0, "0 to 65535"), (float("nan"), "finite"), (None, "no off state")]
)
async def test_what_cannot_be_written_never_reaches_the_wire(value: float | None, accepted: str) -> None:
    functions: set[int] = set()

    async def answer(request: bytes, writer: asyncio.StreamWriter) -> None:
        functions.add(request[7])
        writer.write(right_answer(request))

    point = {"name": "r0", "register": "holding:0", "type": "uint16", "access": "read-write"}
    async with peers.scripted(answer) as port:
        driver = peers.driver(port, point)
        async with running(driver) as watch:
            await watch.until(lambda: watch.value("d.r0") == 1000)
            with pytest.raises(WriteRefused, match=accepted):
                await driver.write(SetPoint("d.r0", value, expires=float("inf"), cause="test"))
            assert functions == {3}


def traffic_of(driver: Driver, device: str = "d") -> Traffic:
    (found,) = (each for each in driver.traffic() if each.device == device)
    return found


async def test_traffic_is_all_zero_before_the_first_connection() -> None:
    assert peers.driver(502, *POINTS).traffic() == (Traffic("d"),)


async def test_traffic_counts_what_was_asked_and_how_it_ended() -> None:
    """A write echoed, a block refused, and the time the line was taken: at least that of the device's own turns."""
    turn_s = 0.02
    answered = 0

    async def answer(request: bytes, writer: asyncio.StreamWriter) -> None:
        nonlocal answered
        await asyncio.sleep(turn_s)
        answered += 1
        if request[7] == 6:
            writer.write(request)
        elif request[9] == 41:  # the low byte of the address
            writer.write(frame(request[:2], request[6], bytes((request[7] | 0x80, 2))))
        else:
            writer.write(right_answer(request))

    write_only = {"name": "w", "register": "holding:9", "type": "uint16", "access": "write"}
    async with peers.scripted(answer) as port:
        driver = peers.driver(port, POINTS[0], OTHERS[1], write_only)
        async with running(driver) as watch:
            await watch.until(lambda: watch.value("d.r0") == 1000 and watch.latest("d.r41") is not None)
            await driver.write(SetPoint("d.w", 5, expires=float("inf"), cause="test"))
        found = traffic_of(driver)
    assert (found.refused, found.unanswered, found.writes) == (1, 0, 1)
    assert answered <= found.requests <= answered + 1  # the last may be cut off by the end
    assert found.busy_s >= (answered - 1) * turn_s * 0.9


async def test_a_request_without_an_answer_is_counted_with_its_whole_time() -> None:
    async def answer(_request: bytes, _writer: asyncio.StreamWriter) -> None:
        return

    async with peers.scripted(answer) as port:
        driver = peers.driver(port, *POINTS)
        async with running(driver) as watch:
            await watch.until(lambda: traffic_of(driver).unanswered == 1)
        assert traffic_of(driver).requests == 1
        assert traffic_of(driver).busy_s >= TIMEOUT_S * 0.9


async def test_traffic_is_kept_over_connections_and_told_by_device() -> None:
    """Unit 1 answers, and the device behind unit 2 does not; a second run goes on counting."""

    async def answer(request: bytes, writer: asyncio.StreamWriter) -> None:
        if request[6] == 1:
            writer.write(right_answer(request))

    async with peers.scripted(answer) as port:
        given = {"driver": "modbus", "role": "meter", "endpoint": f"tcp://127.0.0.1:{port}", "poll": "20ms"}
        devices = [
            ModbusDevice.model_validate({**given, "id": f"d{unit}", "unit": unit, "timeout": "50ms", "points": POINTS})
            for unit in (1, 2)
        ]
        (driver,) = build(devices, revert_s=None)
        async with running(driver) as watch:
            await watch.until(lambda: traffic_of(driver, "d2").unanswered == 1)
        before = traffic_of(driver, "d1").requests
        async with running(driver) as watch:
            await watch.until(lambda: traffic_of(driver, "d2").unanswered == 2)
            await watch.until(lambda: traffic_of(driver, "d1").requests > before)
    assert traffic_of(driver, "d1").unanswered == 0
    assert traffic_of(driver, "d2").requests == 2


async def test_each_endpoint_has_its_turns_at_its_own_phase(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the driver tells its devices, the same at each start."""
    told: dict[str, float] = {}

    async def run(unit: Unit, _link: Link, emit: Emit, *, phase: float, **_others: object) -> None:
        told[unit.device.id] = phase
        emit([unit.nameplate])
        await asyncio.get_running_loop().create_future()

    async def answer(_request: bytes, _writer: asyncio.StreamWriter) -> None:
        return

    monkeypatch.setattr(Unit, "run", run)
    starts = []
    async with peers.scripted(answer) as one, peers.scripted(answer) as two:
        for _ in range(2):
            told.clear()
            first, second = peers.driver(one, *POINTS, id="a"), peers.driver(two, *POINTS, id="b")
            async with running(first) as watch, running(second) as other:
                await watch.until(lambda: "a" in told)
                await other.until(lambda: "b" in told)
            starts.append(dict(told))
    assert starts[0] == starts[1]
    assert starts[0] == {"a": plan.phases(first.name, 1)[0], "b": plan.phases(second.name, 1)[0]}
    assert starts[0]["a"] != starts[0]["b"]
