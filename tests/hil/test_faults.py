"""The TCP proxy: what it passes, and how a link dies behind it."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from hil.faces.tcp import TcpListener
from hil.faults import TcpProxy

DEADLINE_S = 5.0
SILENCE_S = 0.1  # how long nothing must come where nothing may come


class Echo:
    """A peer that sends back what it gets, and knows who is connected."""

    def __init__(self) -> None:
        self.listener = TcpListener(self._serve, name="echo")
        self.connected = 0
        self.received = b""
        self.gone = asyncio.Event()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connected += 1
        try:
            while data := await reader.read(65536):
                self.received += data
                writer.write(data)
                await writer.drain()
        finally:
            self.connected -= 1
            self.gone.set()


@asynccontextmanager
async def proxied() -> AsyncIterator[tuple[Echo, TcpProxy]]:
    echo = Echo()
    async with echo.listener, TcpProxy("127.0.0.1", echo.listener.port) as proxy:
        yield echo, proxy


@asynccontextmanager
async def client(proxy: TcpProxy) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def answered(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, data: bytes) -> bool:
    writer.write(data)
    return await asyncio.wait_for(reader.readexactly(len(data)), DEADLINE_S) == data


async def at_end(reader: asyncio.StreamReader) -> bytes:
    """What still came before the peer closed."""
    return await asyncio.wait_for(reader.read(), DEADLINE_S)


async def test_bytes_pass_both_ways_unchanged_for_several_clients() -> None:
    async with proxied() as (_echo, proxy), client(proxy) as first, client(proxy) as second:
        assert await answered(*first, bytes(range(256)) * 2000)
        assert await answered(*second, b"two")
        assert await answered(*first, b"one")


async def test_both_sides_have_tcp_nodelay() -> None:
    async with proxied() as (echo, proxy), client(proxy) as (reader, writer):
        assert await answered(reader, writer, b"up")
        ports = {proxy.port, echo.listener.port}
        no_delays = [
            transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            for transport in gc.get_objects()
            if isinstance(transport, asyncio.Transport)
            and ports & {(transport.get_extra_info(name) or (None, None))[1] for name in ("sockname", "peername")}
        ]
        assert no_delays == [1] * 4  # client, proxy to it, proxy to its target, target


async def test_a_cut_closes_both_sides_and_refuses_until_healed() -> None:
    async with proxied() as (echo, proxy):
        port = proxy.port
        async with client(proxy) as (reader, writer):
            assert await answered(reader, writer, b"up")
            await proxy.cut()
            assert await at_end(reader) == b""
            await asyncio.wait_for(echo.gone.wait(), DEADLINE_S)
            assert echo.connected == 0
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
        await proxy.heal()
        assert proxy.port == port
        async with client(proxy) as (reader, writer):
            assert await answered(reader, writer, b"up again")


async def test_a_black_hole_keeps_connections_open_passes_nothing_and_delivers_later() -> None:
    async with proxied() as (echo, proxy), client(proxy) as (reader, writer):
        assert await answered(reader, writer, b"up")
        proxy.blackhole = True
        writer.write(b"lost?")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), SILENCE_S)
        assert (echo.received, echo.connected) == (b"up", 1)
        async with client(proxy) as (_reader, second):  # still accepts
            assert not second.is_closing()
        proxy.blackhole = False
        assert await asyncio.wait_for(reader.readexactly(5), DEADLINE_S) == b"lost?"


async def test_a_cut_also_ends_what_a_black_hole_holds() -> None:
    async with proxied() as (echo, proxy), client(proxy) as (reader, writer):
        assert await answered(reader, writer, b"up")
        proxy.blackhole = True
        writer.write(b"lost")
        await proxy.cut()
        assert await at_end(reader) == b""
        await asyncio.wait_for(echo.gone.wait(), DEADLINE_S)
        assert echo.received == b"up"


async def test_latency_holds_data_back_in_each_direction() -> None:
    loop = asyncio.get_running_loop()
    async with proxied() as (_echo, proxy), client(proxy) as (reader, writer):
        proxy.latency_s = 0.05
        begin = loop.time()
        assert await answered(reader, writer, b"there and back")
        assert loop.time() - begin >= 0.1


async def test_a_client_that_leaves_is_passed_on_with_its_last_words() -> None:
    async with proxied() as (echo, proxy):
        async with client(proxy) as (_reader, writer):
            writer.write(b"goodbye")
            writer.close()
            await asyncio.wait_for(echo.gone.wait(), DEADLINE_S)
        assert echo.received == b"goodbye"


async def test_a_target_that_leaves_is_passed_on_with_its_last_words() -> None:
    async def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"goodbye" * 1_000_000)

    async with (
        TcpListener(greet, name="greeter") as target,
        TcpProxy("127.0.0.1", target.port) as proxy,
        client(proxy) as (reader, _writer),
    ):
        assert await at_end(reader) == b"goodbye" * 1_000_000


async def test_a_target_out_of_reach_closes_its_client_and_the_proxy_lives_on() -> None:
    async with proxied() as (echo, proxy):
        await echo.listener.stop()
        async with client(proxy) as (reader, _writer):
            assert await at_end(reader) == b""
        await echo.listener.start()
        async with client(proxy) as (reader, writer):
            assert await answered(reader, writer, b"up again")


async def test_cutting_and_healing_twice_is_as_good_as_once() -> None:
    async with proxied() as (_echo, proxy):
        await proxy.cut()
        await proxy.cut()
        await proxy.heal()
        await proxy.heal()
        async with client(proxy) as (reader, writer):
            assert await answered(reader, writer, b"up")


async def test_leaving_a_proxy_in_any_state_leaves_no_task() -> None:
    before = asyncio.all_tasks()
    async with proxied() as (_echo, proxy), client(proxy) as (reader, writer):
        assert await answered(reader, writer, b"up")
        proxy.blackhole = True
        writer.write(b"held")
    assert asyncio.all_tasks() == before
