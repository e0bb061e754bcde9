"""What an uplink is tested with: a store in memory, a head end, and one site's uplink running against a broker."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiomqtt

from gateway.model import Activation, Block, Frame, Instant, Outgoing, Received
from gateway.uplink.config import MqttConfig
from gateway.uplink.mqtt import MqttUplink
from gateway.uplink.timing import Timing
from tests.protocol.mosquitto import Mosquitto

SITE = "pv-park-7"
PREFIX = f"der/v1/{SITE}/"
DEADLINE_S = 15.0

QUICK = Timing(
    reconnect_min_s=0.02, reconnect_max_s=0.2, refused_min_s=0.1, resend_min_s=0.2, resend_max_s=1.0, retry_s=0.1
)
"""The uplink's waits, short enough for a test."""


async def until(condition: Callable[[], object], what: str = "") -> None:
    """Await a state; fails when it does not come."""
    try:
        async with asyncio.timeout(DEADLINE_S):
            while not condition():  # noqa: ASYNC110 - the states awaited are of other programs, too
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise AssertionError(f"did not come: {what or condition}") from None


def instant() -> Instant:
    return Instant(time.time(), time.monotonic())


class MemoryOutbox:
    """The store's outbox in memory; like it, it gives only what is not acknowledged."""

    def __init__(self, epoch: str = "e1") -> None:
        self.epoch = epoch
        self.last_frame = 0
        self.committed: list[Block] = []
        self.sent: dict[int, Outgoing] = {}
        self.free_frames: set[int] = set()
        self.free_messages: set[int] = set()
        self.callbacks: list[Callable[[], None]] = []
        self.registered: list[str] = []

    def register(self, uplink: str) -> None:
        self.registered.append(uplink)

    def on_commit(self, callback: Callable[[], None]) -> None:
        self.callbacks.append(callback)

    def commit(self, *values: float) -> Block:
        """One block, a frame a value."""
        frames = tuple(Frame(time.time(), {"inv1.active_power": value}) for value in values)
        block = Block(self.last_frame + 1, frames)
        self.committed.append(block)
        self.last_frame = block.last
        self._notify()
        return block

    def send(self, payload: bytes, topic: str = "acks", **fields: Any) -> int:
        number = len(self.sent) + 1
        self.sent[number] = Outgoing(topic, payload, **fields)
        self._notify()
        return number

    def _notify(self) -> None:
        for callback in self.callbacks:
            callback()

    async def blocks(self, uplink: str, *, after: int, upto: int | None = None, limit: int = 100) -> list[Block]:
        await asyncio.sleep(0)
        found = []
        for block in self.committed:
            if len(found) < limit and block.last > after and (upto is None or block.first <= upto):
                found += self._unacknowledged(block)
        return found[:limit]

    def _unacknowledged(self, block: Block) -> list[Block]:
        pieces: list[list[int]] = []
        for number in range(block.first, block.last + 1):
            if number in self.free_frames:
                continue
            if pieces and pieces[-1][-1] == number - 1:
                pieces[-1].append(number)
            else:
                pieces.append([number])
        start = block.first
        return [Block(run[0], block.frames[run[0] - start : run[-1] + 1 - start]) for run in pieces]

    async def messages(self, uplink: str, *, after: int, limit: int = 100) -> list[tuple[int, Outgoing]]:
        await asyncio.sleep(0)
        wanted = [item for item in self.sent.items() if item[0] > after and item[0] not in self.free_messages]
        return wanted[:limit]

    async def acknowledge_frames(self, uplink: str, ranges: Sequence[tuple[int, int]]) -> None:
        await asyncio.sleep(0)
        for first, last in ranges:
            self.free_frames.update(range(first, last + 1))

    async def acknowledge_messages(self, uplink: str, numbers: Sequence[int]) -> None:
        await asyncio.sleep(0)
        self.free_messages.update(numbers)


@dataclass(slots=True)
class Site:
    """A running uplink and what it handed over."""

    uplink: MqttUplink
    outbox: MemoryOutbox
    orders: list[Received] = field(default_factory=list)
    heard: int = 0
    task: asyncio.Task[None] | None = None

    def hear(self) -> None:
        self.heard += 1

    async def stop(self) -> None:
        """Cancel it as the daemon does; a fault in it is the test's."""
        assert self.task is not None
        self.task.cancel()
        done, _ = await asyncio.wait({self.task}, timeout=DEADLINE_S)
        assert done, "the uplink did not end after being cancelled"
        if not self.task.cancelled():
            self.task.result()


@asynccontextmanager
async def site(
    broker: Mosquitto | str,
    *,
    outbox: MemoryOutbox | None = None,
    timing: Timing = QUICK,
    connected: bool = True,
    on_order: Callable[[Received], None] | None = None,
    **config: Any,
) -> AsyncIterator[Site]:
    """One site's uplink, running; awaited until it is connected unless told otherwise."""
    url = broker if isinstance(broker, str) else broker.url
    outbox = outbox or MemoryOutbox()
    settings = MqttConfig.model_validate({"id": "dso", "type": "mqtt", "url": url} | config)
    orders: list[Received] = []
    running: Site
    uplink = MqttUplink(
        settings,
        site=SITE,
        outbox=outbox,
        now=instant,
        version="0.1.0",
        session=4,
        on_order=on_order or orders.append,
        on_heard=lambda: running.hear(),  # noqa: PLW0108 - it is made below
        timing=timing,
    )
    running = Site(uplink, outbox, orders)
    running.task = asyncio.create_task(uplink.run(), name="uplink under test")
    try:
        if connected:
            await until(lambda: uplink.connected or running.task.done(), "connected")
        yield running
    finally:
        await running.stop()


class HeadEnd:
    """The DSO's side: keeps every message, acknowledges frames when asked to."""

    def __init__(self, client: aiomqtt.Client) -> None:
        self.client = client
        self.messages: list[tuple[str, Any, aiomqtt.Message]] = []
        self.acknowledges = False

    def on(self, topic: str) -> list[Any]:
        """What came on a topic of the site, in order."""
        return [content for name, content, _ in self.messages if name == PREFIX + topic]

    def frames(self) -> list[tuple[str, int, float]]:
        """Every frame as it came, repeats too: epoch, number, value."""
        return [
            (batch["epoch"], frame["seq"], frame["values"]["inv1.active_power"])
            for batch in self.on("measurements")
            for frame in batch["frames"]
        ]

    def numbers(self) -> set[int]:
        return {number for _, number, _ in self.frames()}

    async def acknowledge(self, ranges: Iterable[tuple[int, int]], epoch: str = "e1") -> None:
        content = {"schema": "measurements-ack/1", "epoch": epoch, "ranges": list(ranges)}
        await self.client.publish(PREFIX + "measurements/ack", json.dumps(content), qos=1)

    async def order(self, payload: bytes, **publish: Any) -> None:
        await self.client.publish(PREFIX + "activations", payload, qos=1, **publish)

    async def listen(self) -> None:
        async for message in self.client.messages:
            content = json.loads(message.payload) if message.payload else None
            self.messages.append((str(message.topic), content, message))
            if self.acknowledges and str(message.topic) == PREFIX + "measurements":
                await self.acknowledge([(content["first"], content["last"])])


@asynccontextmanager
async def head_end(
    broker: Mosquitto, *topics: str, acknowledges: bool = False, **client: Any
) -> AsyncIterator[HeadEnd]:
    """A head end that listens to the whole site, or to the given topics."""
    options = {"identifier": "head-end", "protocol": aiomqtt.ProtocolVersion.V5} | client
    async with aiomqtt.Client("127.0.0.1", broker.port, **options) as peer:
        end = HeadEnd(peer)
        end.acknowledges = acknowledges
        for topic in topics or (PREFIX + "#",):
            await peer.subscribe(topic, qos=1)
        listening = asyncio.create_task(end.listen(), name="head end")
        try:
            yield end
        finally:
            while not listening.done():  # aiomqtt's wait_for may swallow a cancellation, before Python 3.12
                listening.cancel()
                await asyncio.wait({listening}, timeout=0.5)
            if peer._disconnected.done():
                peer._disconnected.exception()  # the broker may have been killed: nothing to tell of


def order(identifier: str = "a-1", **changes: Any) -> bytes:
    """An order that every site can read."""
    content = {
        "schema": "activation/1",
        "id": identifier,
        "issuer": "dso",
        "time": "2026-11-22T09:59:58.000Z",
        "target": "pcc",
        "function": "limit_active_power",
        "value": 60,
        "unit": "%",
    }
    return json.dumps(content | changes).encode()


def ids(received: Iterable[Received]) -> list[str]:
    return [item.order.id for item in received if isinstance(item.order, Activation)]
