"""The server's bounds, on a loopback port of its own: no client holds it for longer than it allows."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import pytest

from gateway.image import Snapshot
from gateway.local import server
from gateway.local.listen import listen
from gateway.local.look import Look
from gateway.model import Nameplate, Point
from tests.unit.local.world import NOW, TICKS, look, snapshot

HEAD = b"GET /api/v1/points HTTP/1.1\r\nHost: localhost\r\n"
WAIT_S = 10.0


def many_points() -> Snapshot:
    """More than any socket buffers: some 6 MB as a document."""
    plate = Nameplate("pcc", tuple(Point(f"pcc.p{number}", "W") for number in range(40_000)))
    return replace(snapshot(), nameplates={"pcc": plate}, points={point.id: point for point in plate.points})


@asynccontextmanager
async def serving(
    monkeypatch: pytest.MonkeyPatch, *, connection_s: float = 30.0, shown: Look | None = None
) -> AsyncIterator[int]:
    """A server that shows *shown*, by default a site with many points; its port."""
    monkeypatch.setattr(server, "CONNECTION_S", connection_s)
    monkeypatch.setattr(server, "GRACE_S", 0.2)
    seen = shown or look(snapshot=many_points())
    listening = listen("127.0.0.1:0")
    port: int = listening.getsockname()[1]
    task = asyncio.create_task(server.LocalServer(listening, look=lambda: seen, drivers=()).run())
    try:
        yield port
    finally:
        task.cancel()
        async with asyncio.timeout(WAIT_S):
            with suppress(asyncio.CancelledError):
                await task


async def ended(reader: asyncio.StreamReader) -> bytes:
    """What comes until the server closes the connection, in order or not."""
    heard = b""
    async with asyncio.timeout(WAIT_S):
        with suppress(ConnectionError):
            while piece := await reader.read(65_536):
                heard += piece
    return heard


async def test_a_stalled_tick_is_503_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop still turns and answers, and yet nothing is decided any more."""
    stalled = look(ticks=replace(TICKS, ended=NOW.mono - 60))
    async with serving(monkeypatch, shown=stalled) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        head, _, body = (await ended(reader)).partition(b"\r\n\r\n")

        assert head.startswith(b"HTTP/1.1 503 ")
        assert json.loads(body) == {
            "healthy": False,
            "reasons": ["tick: none was completed for 60.0 s, the period is 0.2 s"],
        }
        writer.close()


@pytest.mark.parametrize("first", [b"", HEAD], ids=["nothing", "half-a-head"])
async def test_a_request_that_does_not_come_ends_the_connection(monkeypatch: pytest.MonkeyPatch, first: bytes) -> None:
    async with serving(monkeypatch, connection_s=0.2) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(first)

        assert await ended(reader) == b""
        writer.close()


async def test_a_head_that_trickles_on_does_not_last_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(monkeypatch, connection_s=0.5) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(HEAD)
        end = asyncio.create_task(ended(reader))
        while not end.done():
            writer.write(b"X: y\r\n")
            await asyncio.sleep(0.02)  # the pace of the trickle

        assert await end == b""
        writer.close()


async def test_an_answer_that_nobody_takes_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not wait in our memory for as long as its reader likes: the rest of it never comes."""
    async with serving(monkeypatch, connection_s=1.0) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writer.write(HEAD + b"\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].split()[0])
        await asyncio.sleep(2.0)  # a reader that has other things to do, for longer than a connection may last

        assert len(await ended(reader)) < length
        writer.close()


async def test_the_oldest_connection_gives_way_to_a_new_one(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(monkeypatch) as port:
        idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(server.CONNECTIONS_MAX)]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(HEAD + b"Connection: close\r\n\r\n")

        assert (await ended(reader)).startswith(b"HTTP/1.1 200")
        assert await ended(idle[0][0]) == b""
        assert not idle[-1][0].at_eof(), "the others stay"
        for _, one in (*idle, (reader, writer)):
            one.close()


async def test_it_ends_with_an_answer_on_its_way(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(monkeypatch) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(HEAD + b"\r\n")
        async with asyncio.timeout(WAIT_S):
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    writer.close()  # and `serving` has waited for the end of the server
