"""The DSO on the wire: sends orders, acknowledges measurements, and keeps its book (aiomqtt, MQTT 5)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import secrets
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar
from urllib.parse import urlsplit

import aiomqtt
import msgspec
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from hil.dso.book import Book, correlation_of
from hil.dso.messages import Measurements, Message
from hil.dso.orders import Heard
from hil.dso.ranges import Ranges
from hil.dso.strict import PublishError, StrictPublisher

log = logging.getLogger(__name__)

SUBSCRIPTIONS = ("status", "birth", "control", "measurements", "acks", "reports", "events", "responses")
ACK_PERIOD_S = 0.25  # measurements are acknowledged in batches: at 5 frames a second, one message for one or two
BACK_OFF_S = (0.2, 5.0)  # first and longest pause before connecting again; a demo's outage is 10 s
CALL_TIMEOUT_S = 3.0  # for one packet's answer; a broker on the path answers in ms
SESSION_S = 3600  # the broker keeps what we have not heard over an outage this long
QUEUE_MESSAGES = 100_000  # aiomqtt drops beyond it; the book would show the hole, memory stays bounded

T = TypeVar("T")


class DsoError(Exception):
    """What was asked of the DSO's side did not come about; the text says what was heard instead."""


@dataclass(frozen=True, slots=True)
class Tls:
    """Files for a `mqtts://` connection; without `ca` the system's authorities are trusted."""

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    def context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.ca)
        if self.certificate is not None:
            context.load_cert_chain(self.certificate, self.key)
        return context


class Dso:
    """
    One DSO talking to one site, as an async context manager; it stays, and connects again, until left.

    `book` is the record. `on_message` sees each message after it is in the book; it must not block or raise.
    """

    def __init__(
        self,
        url: str,
        site: str,
        *,
        prefix: str = "der/v1",
        username: str | None = None,
        password: str | None = None,
        tls: Tls | None = None,
        identifier: str | None = None,
        heartbeat_s: float | None = None,
        acknowledge: bool = True,
        on_message: Callable[[str, Message], None] | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        """
        Args:
            url: `mqtt://host[:port]` or `mqtts://host[:port]`.
            heartbeat_s: Say on `heartbeat` this often that the head end is alive; None says nothing.
            acknowledge: Free the gateway's buffer of what was received; only one head end of a site may.
            now: UTC seconds, for the time that messages carry.

        Raises:
            ValueError: The URL names no host, or another scheme.
        """
        parts = urlsplit(url)
        if parts.scheme not in {"mqtt", "mqtts"} or not parts.hostname:
            raise ValueError(f"{url!r} is no broker's address; accepted: mqtt://host[:port], mqtts://host[:port]")
        self._host = parts.hostname
        self._port = parts.port or (8883 if parts.scheme == "mqtts" else 1883)
        self._tls = (tls or Tls()).context() if parts.scheme == "mqtts" else None
        self._credentials = (username, password)
        self._identifier = identifier or f"dergate-dso-{secrets.token_hex(4)}"
        self._heartbeat_s = heartbeat_s
        self._acknowledge = acknowledge
        self._on_message = on_message
        self._now = now
        base = f"{prefix}/{site}/"
        self.book = Book(site, prefix=prefix, reply_topic=f"{base}acks/{self._identifier}")
        self._owed: dict[str, Ranges] = {}  # frames to acknowledge, by epoch
        self._acknowledged: dict[str, Ranges] = {}  # frames acknowledged to the broker's satisfaction, by epoch
        self._publisher: StrictPublisher | None = None  # of the present connection, once subscribed
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._leaving = False
        self._last_error = "not tried yet"

    async def __aenter__(self) -> Dso:
        self._task = asyncio.get_running_loop().create_task(self._run(), name=f"dso {self.book.site}")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leaving = True
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    @property
    def connected(self) -> bool:
        """Subscribed on a live connection."""
        return self._publisher is not None

    @property
    def frames_acknowledged(self) -> int:
        """How many distinct frames we have acknowledged, over all epochs."""
        return sum(len(ranges) for ranges in self._acknowledged.values())

    # ---- what a person or a script does -----------------------------------------------------------------------------

    async def until(self, what: str, find: Callable[[Book], T | None], *, timeout_s: float) -> T:
        """
        Wait until `find` gives something else than None (or False) about the book, and return it.

        Raises:
            DsoError: It did not within `timeout_s`; the text names `what`.
        """
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    changed = self._changed
                    if found := find(self.book):
                        return found
                    await changed.wait()
        except TimeoutError:
            raise DsoError(f"{what}: not within {timeout_s:.3g} s{self._link_note()}") from None

    async def ready(self, *, timeout_s: float = 10.0) -> None:
        """
        Wait for a subscribed connection.

        Raises:
            DsoError: There is none within `timeout_s`; the text says what the last try met.
        """
        await self.until("connected to the broker", lambda _: self.connected, timeout_s=timeout_s)

    async def send(self, order: Mapping[str, Any], *, timeout_s: float = 10.0) -> str:
        """
        Send an activation; what the order leaves out of id, revision, issuer and time is filled in. Returns the id.

        Returns once the broker has it. Over an outage it is repeated, which the id makes harmless.

        Raises:
            DsoError: The broker refused it, or could not be reached within `timeout_s`.
        """
        body: dict[str, Any] = {
            "schema": "activation/1",
            "id": f"dso-{datetime.fromtimestamp(self._now(), UTC):%Y-%m-%d}-{secrets.token_hex(4)}",
            "revision": 1,
            "issuer": "dso",
            "time": self._time(),
            **order,
        }
        await self._send_order(body, timeout_s)
        return str(body["id"])

    async def cancel(self, order_id: str, revision: int | None = None, *, timeout_s: float = 10.0) -> None:
        """
        Send a cancellation, of the highest revision sent unless told.

        Raises:
            DsoError: As for `send`.
        """
        if revision is None:
            sent = self.book.orders.get(order_id)
            revision = 1 if sent is None else sent.revision
        body = {"schema": "cancellation/1", "id": order_id, "revision": revision, "time": self._time()}
        await self._send_order(body, timeout_s)

    async def acked(self, order_id: str, *statuses: str, timeout_s: float, revision: int | None = None) -> Heard:
        """
        Wait until an order has been acknowledged with one of the statuses; returns that acknowledgement.

        Raises:
            DsoError: It ended otherwise, or nothing came within `timeout_s`; the text says how far it came.
        """

        def find(book: Book) -> Heard | None:
            order = book.orders.get(order_id, revision)
            if order is None:
                return None
            found = next((heard for heard in order.heard if heard.ack.status in statuses), None)
            if found is None and order.ended:
                ack = order.heard[-1].ack
                why = f" ({ack.code}: {ack.detail})" if ack.code else ""
                raise DsoError(f"{order_id} ended as {ack.status}{why}, awaited was {' or '.join(statuses)}")
            return found

        try:
            return await self.until(f"{order_id} {' or '.join(statuses)}", find, timeout_s=timeout_s)
        except DsoError as error:
            order = self.book.orders.get(order_id, revision)
            heard = ", ".join(heard.ack.status for heard in order.heard) if order else ""
            raise DsoError(f"{error}; acknowledged so far: {heard or 'nothing'}") from None

    async def publish(self, name: str, payload: bytes, *, timeout_s: float = 10.0) -> None:
        """
        Publish any payload below the site's prefix (`grid-state`, `requests`, a corrupt activation), QoS 1.

        Raises:
            DsoError: As for `send`.
        """
        await self._publish(name, payload, _properties(PacketTypes.PUBLISH), timeout_s)

    # ---- the wire ---------------------------------------------------------------------------------------------------

    async def _send_order(self, body: Mapping[str, Any], timeout_s: float) -> None:
        properties = _properties(
            PacketTypes.PUBLISH,
            ResponseTopic=self.book.reply_topic,
            CorrelationData=correlation_of(str(body["id"]), int(body["revision"])),
        )
        payload = msgspec.json.encode(body)
        await self._publish("activations", payload, properties, timeout_s, before=lambda: self._note_sent(body))

    def _note_sent(self, body: Mapping[str, Any]) -> None:
        self.book.sent(body, asyncio.get_running_loop().time())
        self._notify()

    async def _publish(
        self,
        name: str,
        payload: bytes,
        properties: Properties,
        timeout_s: float,
        *,
        before: Callable[[], None] | None = None,
    ) -> None:
        """Publish until the broker has it; `before` runs before each try."""
        deadline = asyncio.get_running_loop().time() + timeout_s
        while True:
            await self.ready(timeout_s=max(deadline - asyncio.get_running_loop().time(), 0.0))
            publisher = self._publisher
            if publisher is None:
                continue
            if before is not None:
                before()
            try:
                await publisher.publish(self.book.base + name, payload, properties)
            except PublishError as error:
                raise DsoError(f"the broker refused {error}") from None
            except aiomqtt.MqttError as error:
                self._last_error = str(error)
                await asyncio.sleep(BACK_OFF_S[0])  # the connection's own task is about to notice, too
            else:
                return

    async def _run(self) -> None:
        pause_s = BACK_OFF_S[0]
        while not self._leaving:  # a cancellation alone may be lost: aiomqtt raises MqttError if it cannot disconnect
            try:
                await self._connection()
            except* (aiomqtt.MqttError, OSError, PublishError) as group:
                self._last_error = str(group.exceptions[0])
                log.debug("dso: connection ended: %s", self._last_error)
            if self._publisher is not None:
                self._publisher = None
                pause_s = BACK_OFF_S[0]
            await asyncio.sleep(pause_s * random.uniform(0.8, 1.2))
            pause_s = min(pause_s * 2, BACK_OFF_S[1])

    async def _connection(self) -> None:
        """One connection's life: a new aiomqtt client, since a used one would send again what paho kept."""
        username, password = self._credentials
        async with aiomqtt.Client(
            self._host,
            self._port,
            identifier=self._identifier,
            protocol=aiomqtt.ProtocolVersion.V5,
            clean_start=False,  # the default would wipe our session at each connection of a new client object
            properties=_properties(PacketTypes.CONNECT, SessionExpiryInterval=SESSION_S),
            username=username,
            password=password,
            tls_context=self._tls,
            timeout=CALL_TIMEOUT_S,
            keepalive=10,
            max_queued_incoming_messages=QUEUE_MESSAGES,
            socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],  # else 40 ms wait for each small packet
        ) as client:
            publisher = StrictPublisher(client)
            wanted = [self.book.base + name for name in SUBSCRIPTIONS]
            await client.subscribe([(topic, 1) for topic in [*wanted, str(self.book.reply_topic)]])
            if self._leaving:  # the answer may have met the cancellation, and won: see StrictPublisher
                return
            self._publisher = publisher
            self._notify()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._hear(client), name="dso hear")
                if self._acknowledge:
                    tasks.create_task(self._acknowledge_frames(publisher), name="dso acknowledge")
                if self._heartbeat_s is not None:
                    tasks.create_task(self._beat(publisher, self._heartbeat_s), name="dso heartbeat")

    async def _hear(self, client: aiomqtt.Client) -> None:
        loop = asyncio.get_running_loop()
        async for message in client.messages:
            topic, payload = str(message.topic), message.payload
            correlation = getattr(message.properties, "CorrelationData", None)
            heard = self.book.feed(topic, payload, loop.time(), correlation)
            if isinstance(heard, Measurements):
                owed = self._owed.setdefault(heard.epoch, Ranges())
                for frame in heard.frames:
                    owed.add(frame.seq, frame.seq)
            if heard is not None and self._on_message is not None:
                self._on_message(topic.removeprefix(self.book.base), heard)
            self._notify()

    async def _acknowledge_frames(self, publisher: StrictPublisher) -> None:
        while True:
            await asyncio.sleep(ACK_PERIOD_S)
            for epoch in list(self._owed):
                ranges = list(self._owed.pop(epoch))
                body = {
                    "schema": "measurements-ack/1",
                    "site": self.book.site,
                    "time": self._time(),
                    "epoch": epoch,
                    "ranges": ranges,
                }
                # Should this fail, the gateway sends the frames again, and they are owed again.
                await publisher.publish(self.book.base + "measurements/ack", msgspec.json.encode(body))
                done = self._acknowledged.setdefault(epoch, Ranges())
                for first, last in ranges:
                    done.add(first, last)
                self._notify()

    async def _beat(self, publisher: StrictPublisher, period_s: float) -> None:
        while True:
            body = {"schema": "heartbeat/1", "site": self.book.site, "time": self._time()}
            await publisher.publish(self.book.base + "heartbeat", msgspec.json.encode(body))
            await asyncio.sleep(period_s)

    def _notify(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def _link_note(self) -> str:
        return "" if self.connected else f" (no connection to {self._host}:{self._port}: {self._last_error})"

    def _time(self) -> str:
        moment = datetime.fromtimestamp(self._now(), UTC)
        return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


def _properties(packet: int, **values: object) -> Properties:
    properties = Properties(packet)  # type: ignore[no-untyped-call]  # paho leaves it untyped
    for name, value in values.items():
        setattr(properties, name, value)
    return properties
