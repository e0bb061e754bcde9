"""A tiny gateway with a site of its own that keeps the contract, or breaks exactly one clause of it when told to."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime
from types import TracebackType

import aiomqtt
import msgspec
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from hil.dso.strict import StrictPublisher
from tests.hil.messages import BASE, SITE, Json

FREE_W = 50_000.0
RATED_W = 60_000.0
STEP_S = 0.03


def _time() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class StandIn:
    """
    `breaks` names the clause to break: disobeys, loses_a_frame, takes_150, never_effective, never_releases,
    forgets_supersede.
    """

    def __init__(self, port: int, *, breaks: str = "") -> None:
        self._port, self._breaks = port, breaks
        self._open: dict[str, Json] = {}  # order id → order, in force
        self._replies: dict[str, tuple[str, bytes]] = {}
        self._n: dict[str, int] = {}
        self._outbox: list[Json] = []
        self._frames: dict[int, Json] = {}
        self._sent: set[int] = set()
        self._seq = 0
        self._task: asyncio.Task[None] | None = None
        self._leaving = False

    def truth(self) -> dict[str, float]:
        limits = [self._watts(order) for order in self._open.values() if order["unit"] == "%"]
        setpoints = [order["value"] for order in self._open.values() if order["unit"] == "var"]
        obeyed = [] if self._breaks == "disobeys" else limits
        return {
            "pcc.active_power": min([FREE_W, *obeyed]),
            "pcc.reactive_power": float(setpoints[0]) if setpoints else -2_000.0,
        }

    async def __aenter__(self) -> StandIn:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._task is not None
        self._leaving = True
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._measure())
            while not self._leaving:  # a cancellation alone may be lost inside aiomqtt, as StrictPublisher says
                with contextlib.suppress(aiomqtt.MqttError):
                    await self._connection()
                await asyncio.sleep(0.05)

    async def _measure(self) -> None:
        while not self._leaving:
            self._seq += 1
            self._frames[self._seq] = {"seq": self._seq, "time": _time(), "values": self.truth()}
            await asyncio.sleep(STEP_S)

    async def _connection(self) -> None:
        will = aiomqtt.Will(BASE + "status", self._message("status", state="offline"), 1, retain=True)
        async with aiomqtt.Client(
            "127.0.0.1", self._port, protocol=aiomqtt.ProtocolVersion.V5, will=will, timeout=2.0
        ) as client:
            await client.subscribe([(BASE + "activations", 1), (BASE + "measurements/ack", 1)])
            await client.publish(BASE + "birth", self._message("birth", devices=[]), qos=1, retain=True)
            await client.publish(BASE + "status", self._message("status", state="online"), qos=1, retain=True)
            self._sent.clear()
            hearing = asyncio.create_task(self._hear(client))
            try:
                publisher = StrictPublisher(client)
                while not hearing.done() and not self._leaving:
                    await self._send(publisher)
                    await asyncio.sleep(STEP_S)
                await hearing
            finally:
                hearing.cancel()

    async def _send(self, publisher: StrictPublisher) -> None:
        if self._breaks == "loses_a_frame":
            self._frames.pop(5, None)
        for seq in sorted(self._frames.keys() - self._sent):
            frame = self._frames[seq]
            fields = {"epoch": "e1", "first": seq, "last": seq, "lane": "live"}
            await publisher.publish(BASE + "measurements", self._message("measurements", frames=[frame], **fields))
            self._sent.add(seq)
        while self._outbox:
            body = self._outbox[0]
            payload = msgspec.json.encode(body)
            await publisher.publish(BASE + "acks", payload)
            topic, correlation = self._replies[body["id"]]
            reply = Properties(PacketTypes.PUBLISH)
            reply.CorrelationData = correlation
            await publisher.publish(topic, payload, reply)
            self._outbox.pop(0)

    async def _hear(self, client: aiomqtt.Client) -> None:
        async for message in client.messages:
            body = msgspec.json.decode(message.payload)
            if body["schema"] == "measurements-ack/1":
                for first, last in body["ranges"]:
                    for seq in range(first, last + 1):
                        self._frames.pop(seq, None)
            elif body["schema"] == "cancellation/1":
                self._cancel(body["id"])
            else:
                assert message.properties is not None
                self._replies[body["id"]] = (message.properties.ResponseTopic, message.properties.CorrelationData)
                self._order(body)

    def _order(self, order: Json) -> None:
        self._ack(order, "received")
        if order["unit"] == "%" and order["value"] > 100 and self._breaks != "takes_150":
            self._ack(order, "rejected", code="out_of_range")
            return
        self._ack(order, "accepted")
        for older in [one for one in self._open.values() if one["function"] == order["function"]]:
            if self._breaks != "forgets_supersede":
                self._ack(older, "superseded")
            self._open.pop(older["id"])
        self._open[order["id"]] = order
        self._ack(order, "started")
        if self._breaks != "never_effective":
            self._ack(order, "effective")

    def _cancel(self, order_id: str) -> None:
        order = self._open.get(order_id)
        if order is None:
            return
        if self._breaks != "never_releases":
            self._open.pop(order_id)
        self._ack(order, "cancelled")

    def _ack(self, order: Json, status: str, code: str | None = None) -> None:
        n = self._n[order["id"]] = self._n.get(order["id"], 0) + 1
        value = self._watts(order) if order["unit"] == "%" else float(order["value"])
        powers = {"requested": value, "applied": value, "measured": value}
        fields = {"id": order["id"], "revision": order["revision"], "n": n, "status": status, "code": code}
        self._outbox.append({"schema": "ack/1", "site": SITE, "time": _time(), "unit": "W", **powers, **fields})

    @staticmethod
    def _watts(order: Json) -> float:
        return float(order["value"]) / 100 * RATED_W

    @staticmethod
    def _message(name: str, **fields: object) -> bytes:
        return msgspec.json.encode({"schema": f"{name}/1", "site": SITE, "time": _time(), **fields})
