"""The Modbus face as a foreign master sees it: pymodbus's own client, and raw frames where a client is too polite."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from pymodbus.client import AsyncModbusTcpClient

from hil.faces.modbus import MemoryRegisters, ModbusFace, ModbusFault

DEADLINE_S = 5.0
READ_TWO = bytes.fromhex("000100000006 01 03 0000 0002")
TWO = bytes.fromhex("000100000007 01 03 04 000A 000B")


@asynccontextmanager
async def master(face: ModbusFace) -> AsyncIterator[AsyncModbusTcpClient]:
    client = AsyncModbusTcpClient("127.0.0.1", port=face.port, timeout=DEADLINE_S, retries=0, reconnect_delay=0)
    assert await client.connect()
    try:
        yield client
    finally:
        client.close()


@asynccontextmanager
async def wire(face: ModbusFace) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", face.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def exchange(face: ModbusFace, request: bytes, answer_length: int) -> bytes:
    async with wire(face) as (reader, writer):
        writer.write(request)
        return await asyncio.wait_for(reader.readexactly(answer_length), DEADLINE_S)


def registers() -> MemoryRegisters:
    return MemoryRegisters(
        holding={0: 10, 1: 11, 2: 12}, input={52: 0x4366, 53: 0x8000}, coil={0: 0, 1: 1}, discrete={7: 1}
    )


async def test_each_space_is_read_where_it_stands() -> None:
    async with ModbusFace({1: registers()}) as face, master(face) as client:
        assert (await client.read_holding_registers(0, count=3)).registers == [10, 11, 12]
        assert (await client.read_input_registers(52, count=2)).registers == [0x4366, 0x8000]
        assert (await client.read_coils(0, count=2)).bits[:2] == [False, True]
        assert (await client.read_discrete_inputs(7, count=1)).bits[:1] == [True]


async def test_every_way_of_writing_arrives_and_is_recorded_with_its_loop_time() -> None:
    memory = registers()
    before = asyncio.get_running_loop().time()
    async with ModbusFace({1: memory}) as face, master(face) as client:
        assert not (await client.write_register(0, 500)).isError()
        assert not (await client.write_registers(1, [501, 502])).isError()
        assert not (await client.write_coil(0, True)).isError()
        assert not (await client.write_coils(0, [False, True])).isError()
        assert not (await client.mask_write_register(address=2, and_mask=0xFF00, or_mask=0x00AB)).isError()
        both = await client.readwrite_registers(read_address=0, read_count=3, write_address=0, values=[7])
    assert both.registers == [7, 501, (502 & 0xFF00) | 0xAB]
    assert [write[1:] for write in memory.writes] == [
        ("holding", 0, [500]),
        ("holding", 1, [501, 502]),
        ("coil", 0, [1]),
        ("coil", 0, [0, 1]),
        ("holding", 2, [(502 & 0xFF00) | 0xAB]),
        ("holding", 0, [7]),
    ]
    times = [write[0] for write in memory.writes]
    assert times == sorted(times)
    assert before <= times[0]


@pytest.mark.parametrize(
    ("address", "count"), [(3, 1), (2, 2), (60000, 1)], ids=["behind the last", "across the end", "far away"]
)
async def test_a_missing_address_is_refused_with_exception_2_and_nothing_is_written(address: int, count: int) -> None:
    memory = registers()
    async with ModbusFace({1: memory}) as face, master(face) as client:
        assert (await client.read_holding_registers(address, count=count)).exception_code == 2
        assert (await client.write_registers(address, [9] * count)).exception_code == 2
    assert memory.holding == {0: 10, 1: 11, 2: 12}
    assert memory.writes == []


async def test_a_refused_address_is_refused_in_any_request_that_touches_it_and_its_neighbours_answer() -> None:
    memory = registers()
    memory.refuse.add(("holding", 1))
    async with ModbusFace({1: memory}) as face, master(face) as client:
        assert (await client.read_holding_registers(0, count=3)).exception_code == 2
        assert (await client.write_register(1, 5)).exception_code == 2
        assert (await client.read_holding_registers(2, count=1)).registers == [12]


async def test_a_single_write_is_echoed_without_reading_the_register() -> None:
    class WriteOnly(MemoryRegisters):
        def read(self, space: str, address: int, count: int) -> list[int]:
            raise ModbusFault(2)

    memory = WriteOnly(holding={0: 0}, coil={0: 0})
    async with ModbusFace({1: memory}) as face, master(face) as client:
        assert (await client.write_register(0, 5)).registers == [5]
        assert (await client.write_coil(0, True)).bits[:1] == [True]
        assert (await client.read_holding_registers(0, count=1)).exception_code == 2


async def test_units_share_a_port_and_an_unknown_one_is_answered_as_by_a_gateway(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.INFO):
        async with ModbusFace({1: registers(), 7: MemoryRegisters(holding={0: 70})}) as face, master(face) as client:
            assert (await client.read_holding_registers(0, count=1, device_id=7)).registers == [70]
            assert (await client.read_holding_registers(0, count=1, device_id=9)).exception_code == 0x0B
    assert caplog.records == []


@pytest.mark.parametrize(
    ("request_hex", "code"),
    [("2B0E0100", 1), ("4100", 1), ("030000007E", 3), ("0300", 3), ("10000000020400", 3)],
    ids=["device identification", "unknown function", "126 registers", "cut short", "two words announced, none sent"],
)
async def test_a_request_that_is_not_understood_is_answered_with_its_exception(request_hex: str, code: int) -> None:
    pdu = bytes.fromhex(request_hex)
    frame = bytes.fromhex("00050000") + (len(pdu) + 1).to_bytes(2) + b"\x01" + pdu
    async with ModbusFace({1: registers()}) as face:
        answer = await exchange(face, frame, 9)
    assert answer == bytes.fromhex("000500000003 01") + bytes([pdu[0] | 0x80, code])


async def test_what_is_not_modbus_closes_the_connection() -> None:
    async with ModbusFace({1: registers()}) as face, wire(face) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
            await asyncio.wait_for(reader.readexactly(1), DEADLINE_S)


async def test_requests_sent_together_are_each_answered_in_order_under_their_own_transaction() -> None:
    second = bytes.fromhex("000200000006 01 03 0002 0001")
    async with ModbusFace({1: registers()}) as face:
        answers = await exchange(face, READ_TWO + second, len(TWO) + 11)
    assert answers == TWO + bytes.fromhex("000200000005 01 03 02 000C")


async def test_a_silent_face_takes_requests_and_neither_answers_nor_carries_them_out() -> None:
    memory = registers()
    async with ModbusFace({1: memory}) as face, wire(face) as (reader, writer):
        face.silent = True
        writer.write(bytes.fromhex("000100000006 01 06 0000 01F4"))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.1)
        face.silent = False
        writer.write(READ_TWO)
        assert await asyncio.wait_for(reader.readexactly(len(TWO)), DEADLINE_S) == TWO


async def test_a_late_answer_leaves_after_its_delay_and_the_write_stood_before() -> None:
    memory = registers()
    loop = asyncio.get_running_loop()
    async with ModbusFace({1: memory}) as face, master(face) as client:
        face.delay_s = 0.1
        await client.write_register(0, 500)
        assert memory.writes[0][0] <= loop.time() - 0.1


async def test_dropped_clients_see_the_end_and_may_connect_again_at_once() -> None:
    async with ModbusFace({1: registers()}) as face, wire(face) as (reader, writer):
        writer.write(READ_TWO)
        await asyncio.wait_for(reader.readexactly(len(TWO)), DEADLINE_S)
        await face.drop()
        assert await asyncio.wait_for(reader.read(), DEADLINE_S) == b""
        assert await exchange(face, READ_TWO, len(TWO)) == TWO


async def test_a_stopped_face_refuses_connections_and_starts_again_on_the_same_port() -> None:
    async with ModbusFace({1: registers()}) as face:
        port = face.port
        for _ in range(2):
            async with wire(face) as (reader, _writer):
                await face.stop()
                assert await asyncio.wait_for(reader.read(), DEADLINE_S) == b""
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", port)
            await face.start()
            assert face.port == port
            assert await exchange(face, READ_TWO, len(TWO)) == TWO


async def test_leaving_closes_the_port_and_every_client_and_leaves_no_task(recwarn: pytest.WarningsRecorder) -> None:
    before = asyncio.all_tasks()
    async with ModbusFace({1: registers()}) as face:
        face.delay_s = 60.0
        async with wire(face) as (reader, writer):
            writer.write(READ_TWO)
            await asyncio.sleep(0)
            await face.__aexit__(None, None, None)
            assert await asyncio.wait_for(reader.read(), DEADLINE_S) == b""
    assert asyncio.all_tasks() == before
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", face.port)
    gc.collect()
    assert [str(warning.message) for warning in recwarn if warning.category is ResourceWarning] == []
