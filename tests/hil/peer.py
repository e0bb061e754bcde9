"""A gateway by hand, for tests of the DSO's side."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tests.hil.messages import BASE, Json, encoded

DEADLINE_S = 5.0


class Gateway:
    """It says what the test wants, and hears what the DSO sends."""

    def __init__(self, client: aiomqtt.Client) -> None:
        self._client = client

    async def heard(self, name: str) -> tuple[Json, aiomqtt.Message]:
        async with asyncio.timeout(DEADLINE_S):
            async for message in self._client.messages:
                if str(message.topic) == BASE + name:
                    return json.loads(message.payload), message
        raise AssertionError("the connection ended")

    async def says(self, name: str, body: Json, *, to: aiomqtt.Message | None = None) -> None:
        await self._client.publish(BASE + name, encoded(body), qos=1)
        if to is not None and to.properties is not None:
            reply = to.properties
            topic, reply_properties = reply.ResponseTopic, Properties(PacketTypes.PUBLISH)
            reply_properties.CorrelationData = reply.CorrelationData
            await self._client.publish(topic, encoded(body), qos=1, properties=reply_properties)


@asynccontextmanager
async def gateway(port: int) -> AsyncIterator[Gateway]:
    async with aiomqtt.Client("127.0.0.1", port, protocol=aiomqtt.ProtocolVersion.V5, timeout=DEADLINE_S) as client:
        await client.subscribe([(BASE + name, 1) for name in ("activations", "measurements/ack", "heartbeat")])
        yield Gateway(client)
