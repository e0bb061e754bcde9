"""
One connection to an MQTT 5 broker: aiomqtt, with the gaps closed that its users fall into.

- A PUBACK says whether the broker took the message; aiomqtt drops its reason, `Link.publish` hands it on.
- Messages are handed over in paho's own callback, and are acknowledged to the broker after that call has returned: no
  queue that can overflow, no task a message.
- A lost connection is known at once, also before CONNACK and right after it; nothing waits for a time-out.
- paho ignores what the broker can take (receive maximum, packet size); here both bound what is sent.
- paho keeps what it could not send and sends it when a client is used again: each connection has a client of its own.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiomqtt
import paho.mqtt.client as paho
from aiomqtt.exceptions import MqttConnectError
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

KEEPALIVE_S = 15
"""A broker that is silent is found out within two of these."""
TIMEOUT_S = 10.0
"""For CONNACK and SUBACK: a mobile link with a lossy start needs some seconds."""
SESSION_EXPIRY_S = 86_400
"""Orders that come while we are away wait at the broker for a day; older ones have expired anyway."""
WILL_DELAY_S = 2
"""A connection that is back within this time was never reported as offline."""
RECEIVE_MAX = 50
"""Orders that the broker may send ahead of our acknowledgements."""
PACKET_MAX = 1024 * 1024
"""Bytes. The broker drops what is larger; what is above the cap of an order and below this is refused with a reason."""
IN_FLIGHT_MAX = 100
"""Above this paho's bookkeeping costs more than the waiting that it saves."""
HEADER_ROOM = 64
"""Bytes of a PUBLISH beside topic, payload and correlation data: fixed header, packet id, property lengths."""
TOO_LARGE = 0x95
TAKEN_OVER = 0x8E

OnAnswer = Callable[[int], None]
"""Takes the reason code of a PUBACK; below 0x80 the broker has taken the message."""


@dataclass(frozen=True, slots=True)
class Will:
    """What the broker says for us, retained, when we are gone."""

    topic: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Broker:
    """How to reach the broker, and who we are there."""

    host: str
    port: int
    client_id: str
    will: Will
    username: str | None = None
    password: str | None = None
    tls: ssl.SSLContext | None = None


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message of the other side; `response_topic` is one that can be published to, or None."""

    topic: str
    payload: bytes
    retained: bool
    response_topic: str | None = None
    correlation: bytes | None = None


@dataclass(frozen=True, slots=True)
class Loss:
    """Why a connection ended; `code` is the MQTT reason code where the broker gave one."""

    reason: str
    code: int = 0


class NotConnected(Exception):
    """The broker was not reached, or refused; `refused` means that trying again soon is of no use."""

    def __init__(self, reason: str, *, refused: bool) -> None:
        super().__init__(reason)
        self.refused = refused


class Link:
    """One open connection. `lost` is done when it is not open any more."""

    def __init__(self, client: aiomqtt.Client, on_message: Callable[[Incoming], None], *, is_tls: bool) -> None:
        self.lost: asyncio.Future[Loss] = asyncio.get_running_loop().create_future()
        self.packet_max = PACKET_MAX
        self._client = client
        self._paho = client._client  # noqa: SLF001 - aiomqtt shows neither reason codes nor the end of a connection
        self._on_message = on_message
        self._is_tls = is_tls
        self._answers: dict[int, OnAnswer] = {}
        self._loop = asyncio.get_running_loop()
        self._aiomqtt_connected, self._paho.on_connect = self._paho.on_connect, self._connected
        self._paho.on_disconnect = self._disconnected
        self._paho.on_message = self._received
        self._paho.on_publish = self._answered

    def publish(
        self,
        topic: str,
        payload: bytes,
        on_answer: OnAnswer,
        *,
        retain: bool = False,
        correlation: bytes | None = None,
    ) -> None:
        """Send at QoS 1, in order. `on_answer` gets the reason code of the PUBACK; never, once the link is lost."""
        size = HEADER_ROOM + len(topic.encode()) + len(payload) + len(correlation or b"")
        if size > self.packet_max:  # a broker would close the connection for it
            self._loop.call_soon(on_answer, TOO_LARGE)
            return
        properties = None
        if correlation is not None:
            properties = _properties(PacketTypes.PUBLISH, CorrelationData=correlation)
        info = self._paho.publish(topic, payload, qos=1, retain=retain, properties=properties)
        if info.rc == paho.MQTT_ERR_SUCCESS:
            self._answers[info.mid] = on_answer

    async def subscribe(self, topics: Sequence[str]) -> dict[str, str]:
        """Subscribe at QoS 1; the topics that the broker refuses, each with its reason."""
        try:
            codes = await self._client.subscribe([(topic, 1) for topic in topics])
            _heed_cancellation()
        except aiomqtt.MqttError as error:
            _heed_cancellation()
            self._lose(Loss(f"no answer to SUBSCRIBE: {error}"))
            return {}
        answers = zip(topics, codes, strict=True)
        return {topic: str(code) for topic, code in answers if isinstance(code, ReasonCode) and code.is_failure}

    def _lose(self, loss: Loss) -> None:
        if not self.lost.done():
            self.lost.set_result(loss)

    def _connected(self, client: Any, data: Any, flags: Any, code: ReasonCode, properties: Properties | None) -> None:
        self.packet_max = min(PACKET_MAX, getattr(properties, "MaximumPacketSize", PACKET_MAX))
        in_flight = min(IN_FLIGHT_MAX, getattr(properties, "ReceiveMaximum", IN_FLIGHT_MAX))
        self._paho._max_inflight_messages = in_flight  # noqa: SLF001 - its setter refuses what CONNACK has just said
        self._aiomqtt_connected(client, data, flags, code, properties)  # type: ignore[misc,call-arg,arg-type]

    def _disconnected(self, _client: Any, _data: Any, _flags: Any, code: ReasonCode, _properties: Any) -> None:
        connected = self._client._connected  # noqa: SLF001 - as above
        if not connected.done():
            why = "the broker closed the connection before it answered"
            if self._is_tls:  # TLS 1.3 judges our certificate after the handshake, and paho loses the alert
                why += "; does it accept our certificate, and is the certificate still valid?"
            connected.set_exception(aiomqtt.MqttError(why))
        self._lose(Loss(str(code), code.value))
        self.let_go()

    def let_go(self) -> None:
        """Tell aiomqtt that there is nothing left to disconnect."""
        disconnected = self._client._disconnected  # noqa: SLF001 - as above
        if not disconnected.done():
            disconnected.set_result(None)

    def _received(self, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        properties = message.properties
        response = getattr(properties, "ResponseTopic", None)
        incoming = Incoming(
            topic=message.topic,
            payload=bytes(message.payload),
            retained=message.retain,
            response_topic=response if response and _can_be_published_to(response) else None,
            correlation=getattr(properties, "CorrelationData", None),
        )
        self._guarded(self._on_message, incoming)

    def _answered(self, _client: Any, _data: Any, mid: int, code: ReasonCode, _properties: Any) -> None:
        on_answer = self._answers.pop(mid, None)
        if on_answer is not None:
            self._guarded(on_answer, code.value)

    def _guarded(self, call: Callable[[Any], None], argument: object) -> None:
        """paho would log a fault of ours and go on; here it ends the session, and whoever waits for that sees it."""
        try:
            call(argument)
        except Exception as error:
            if not self.lost.done():
                self.lost.set_exception(error)
            raise


def _can_be_published_to(topic: str) -> bool:
    return not any(character in topic for character in "+#\0") and len(topic.encode()) <= 1024


@asynccontextmanager
async def connect(broker: Broker, on_message: Callable[[Incoming], None]) -> AsyncIterator[Link]:
    """
    A connection, from CONNACK to DISCONNECT.

    Raises:
        NotConnected: There is none, and why.
    """
    client = aiomqtt.Client(
        broker.host,
        broker.port,
        username=broker.username,
        password=broker.password,
        identifier=broker.client_id,
        protocol=aiomqtt.ProtocolVersion.V5,
        clean_start=False,
        properties=_properties(
            PacketTypes.CONNECT,
            SessionExpiryInterval=SESSION_EXPIRY_S,
            ReceiveMaximum=RECEIVE_MAX,
            MaximumPacketSize=PACKET_MAX,
        ),
        will=aiomqtt.Will(
            broker.will.topic,
            broker.will.payload,
            qos=1,
            retain=True,
            properties=_properties(PacketTypes.WILLMESSAGE, WillDelayInterval=WILL_DELAY_S),
        ),
        keepalive=KEEPALIVE_S,
        timeout=TIMEOUT_S,
        tls_context=broker.tls,
        socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
    )
    link = Link(client, on_message, is_tls=broker.tls is not None)
    try:
        await client.__aenter__()
    except MqttConnectError as error:
        _heed_cancellation()
        raise NotConnected(f"the broker refuses the connection: {error.rc}", refused=True) from error
    except aiomqtt.MqttError as error:
        client._client.disconnect()  # noqa: SLF001 - aiomqtt leaves the socket open when CONNACK does not come
        _heed_cancellation()
        raise NotConnected(_explained(str(error)), refused="CERTIFICATE" in str(error)) from error
    except asyncio.CancelledError:
        client._client.disconnect()  # noqa: SLF001 - as above
        raise
    if link.lost.done():  # right after CONNACK, which aiomqtt forgets
        link.let_go()
    try:
        _heed_cancellation()
        disconnected = client._disconnected  # noqa: SLF001 - an error while reading ends here, without a callback
        disconnected.add_done_callback(lambda done: link._lose(Loss(str(done.exception() or "closed"))))  # noqa: SLF001
        yield link
    finally:
        try:
            await client.__aexit__(None, None, None)
        except aiomqtt.MqttError:
            link._lose(Loss("no answer to DISCONNECT"))  # noqa: SLF001 - the same module
        _heed_cancellation()


def _heed_cancellation() -> None:
    """
    Raise the cancellation that aiomqtt may have swallowed.

    It awaits with `asyncio.wait_for`, which until Python 3.12 returns its result, or raises its error, in place of a
    cancellation that comes in the same moment. Whoever cancelled would then wait for ever.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _properties(kind: int, **values: object) -> Properties:
    properties = Properties(kind)  # type: ignore[no-untyped-call]  # paho has no types here
    for name, value in values.items():
        setattr(properties, name, value)
    return properties


_REFUSED_CERTIFICATE = re.compile(r"certificate verify failed: (.+?)\.?(?: \(_ssl.*)?$")


def _explained(error: str) -> str:
    match = _REFUSED_CERTIFICATE.search(error)
    return f"the broker's certificate is refused: {match[1]}" if match else error
