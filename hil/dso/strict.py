"""Publishing over aiomqtt 2.5 that fails when the broker refuses, and ends when it is cancelled."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import Any

import aiomqtt
from paho.mqtt.properties import Properties

_packet: ContextVar[int] = ContextVar("_packet", default=0)  # of the publish that the running task is in


class PublishError(Exception):
    """The broker answered PUBACK with a reason that is a failure (not authorised, quota exceeded, …)."""


class StrictPublisher:
    """Publishes with QoS 1 on one connection; several tasks may at once. aiomqtt alone passes over PUBACK's reason."""

    def __init__(self, client: aiomqtt.Client) -> None:
        self._client = client
        self._reasons: dict[int, str] = {}
        paho: Any = client._client  # noqa: SLF001 - the reason is known to paho's callback alone
        publish, forward = paho.publish, paho.on_publish

        def remember_packet(*args: Any, **kwargs: Any) -> Any:
            info = publish(*args, **kwargs)
            _packet.set(info.mid)
            return info

        def note_reason(of: Any, data: Any, mid: int, reason: Any, properties: Any) -> None:
            if reason.is_failure:
                self._reasons[mid] = str(reason)
            forward(of, data, mid, reason, properties)

        paho.publish, paho.on_publish = remember_packet, note_reason

    async def publish(self, topic: str, payload: bytes, properties: Properties | None = None) -> None:
        """
        Publish once and wait for the broker's answer.

        Raises:
            PublishError: The broker did not take it.
            aiomqtt.MqttError: No answer, or no connection: it is not known whether the broker has it.
        """
        task = asyncio.current_task()
        cancels = task.cancelling() if task is not None else 0
        await self._client.publish(topic, payload, qos=1, properties=properties)
        if task is not None and task.cancelling() > cancels:
            # Python 3.11's wait_for, which aiomqtt uses, returns when it is cancelled just as the answer arrives: the
            # task would never end.
            raise asyncio.CancelledError
        if (reason := self._reasons.pop(_packet.get(), None)) is not None:
            raise PublishError(f"{topic}: {reason}")
