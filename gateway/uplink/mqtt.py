"""
The uplink to a DSO's MQTT 5 broker: orders in, everything else out, over as many connections as it takes.

    broker ──activations──► parse ──on_order──►        (acknowledged to the broker once it is handed over)
           ──measurements/ack──► frames            outbox ──► messages ──► acks, events, reports (and response topics)
           ──heartbeat──► on_heard                 outbox ──► frames ────► measurements, live before backfill
           ◄── status, birth, control: retained, the latest only
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable
from functools import partial
from typing import Any

from gateway.model import Instant, Received
from gateway.uplink.config import MqttConfig, SecretError, read_password
from gateway.uplink.frame_lanes import FrameLanes
from gateway.uplink.link import TAKEN_OVER, Broker, Incoming, Link, Loss, NotConnected, Will, connect
from gateway.uplink.message_lane import REFUSED, MessageLane
from gateway.uplink.messages import json as messages
from gateway.uplink.outbox import Outbox
from gateway.uplink.timing import Pause, Timing

log = logging.getLogger(__name__)


class MqttUplink:
    """
    One uplink. All calls are made on the event loop.

    `on_order` takes each order, or why a payload is none, before the broker hears that it has arrived; `on_heard` is
    called for every heartbeat: what else comes may come from a queue that outlived its sender. Neither may block.
    """

    def __init__(
        self,
        config: MqttConfig,
        *,
        site: str,
        outbox: Outbox,
        now: Callable[[], Instant],
        version: str,
        session: int,
        on_order: Callable[[Received], None],
        on_heard: Callable[[], None],
        timing: Timing | None = None,
    ) -> None:
        self.name = config.id
        self.connected = False
        self._config = config
        self._site = site
        self._now = now
        self._version = version
        self._session = session
        self._on_order = on_order
        self._on_heard = on_heard
        self._timing = timing or Timing()
        self._prefix = f"{config.topic_prefix}/{site}/"
        self._link: Link | None = None
        self._documents: dict[str, bytes] = {}
        self._documents_on_their_way: dict[str, bytes] = {}
        self._retained_logged: set[str] = set()
        self._down: dict[str, Callable[[Incoming], None]] = {
            self._prefix + "activations": self._order,
            self._prefix + "measurements/ack": self._frames_acknowledged,
            self._prefix + "heartbeat": self._heartbeat,
        }
        outbox.register(self.name)
        self._messages = MessageLane(outbox, self.name, self._prefix, self._timing)
        self._frames = FrameLanes(
            outbox,
            self.name,
            site=site,
            prefix=self._prefix,
            by_application=config.acknowledge == "application",
            now=now,
            timing=self._timing,
        )
        outbox.on_commit(self._messages.committed)
        outbox.on_commit(self._frames.committed)

    def check(self) -> None:
        """
        Look at the password and certificate files, so that a mistake is found before the daemon runs.

        Raises:
            SecretError: One cannot be used, and why.
        """
        self._broker()

    def set_document(self, topic: str, payload: bytes) -> None:
        """Keep `birth` or `control` retained at the broker: the latest, now and after each connect."""
        self._documents[topic] = payload
        if self._link is not None:
            self._publish_document(self._link, topic)

    async def run(self) -> None:
        """Stay connected, for ever."""
        if self._config.is_plain:
            log.warning(
                "%s: %s is not encrypted: anyone on the way can read and send orders", self.name, self._config.url
            )
        async with asyncio.TaskGroup() as group:
            group.create_task(self._messages.settle(), name=f"{self.name} messages arrived")
            group.create_task(self._frames.settle(), name=f"{self.name} frames arrived")
            group.create_task(self._stay_connected(), name=f"{self.name} connection")

    async def _stay_connected(self) -> None:
        loop = asyncio.get_running_loop()
        pause = Pause(self._timing)
        reason = ""
        while True:
            lasted_s, refused, loss = 0.0, False, None
            try:
                broker = await asyncio.to_thread(self._broker)
                async with connect(broker, self._received) as link:
                    started = loop.time()
                    loss = await self._serve(link)
                lasted_s, refused = loop.time() - started, loss.code == TAKEN_OVER
                reason = ""
            except (NotConnected, SecretError) as error:
                refused = isinstance(error, SecretError) or error.refused
                if reason != str(error):
                    reason = str(error)
                    log.error("%s: no connection to %s: %s", self.name, self._config.url, reason)
            pause_s = pause.after(lasted_s, refused=refused)
            if loss is not None:
                advice = "; does another client use our client id?" if refused or pause.is_kicked else ""
                log.warning("%s: connection lost: %s%s", self.name, loss.reason, advice)
            await asyncio.sleep(pause_s)

    def _broker(self) -> Broker:
        config = self._config
        credentials = config.credentials
        return Broker(
            host=config.host,
            port=config.port,
            client_id=config.client_id or self._site,
            will=Will(self._prefix + "status", self._status("offline")),
            username=None if credentials is None else credentials.username,
            password=None if credentials is None else read_password(credentials.password_file),
            tls=_tls(config) if config.is_tls else None,
        )

    def _status(self, state: str) -> bytes:
        return messages.status(self._site, self._now().wall, state, self._session, self._version)

    async def _serve(self, link: Link) -> Loss:
        """Everything of one connection, until it is lost."""
        session = asyncio.create_task(self._deliver(link), name=f"{self.name} session")
        try:
            ends: set[asyncio.Future[Any]] = {session, link.lost}
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if session.done():
                await session  # it ends by a fault alone, which is not ours to hide
            return link.lost.result()
        finally:
            self.connected, self._link = False, None
            session.cancel()
            await asyncio.wait({session})
            if not link.lost.done():
                await self._say_farewell(link)

    async def _deliver(self, link: Link) -> None:
        self._retained_logged.clear()
        for topic, reason in (await link.subscribe(tuple(self._down))).items():
            log.error("%s: the broker refuses the subscription to %s: %s", self.name, topic, reason)
        if link.lost.done():
            return
        link.publish(
            self._prefix + "status", self._status("online"), partial(self._document_answered, "status"), retain=True
        )
        self.connected, self._link = True, link
        self._documents_on_their_way.clear()
        for topic in self._documents:
            self._publish_document(link, topic)
        log.info("%s: connected to %s", self.name, self._config.url)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._messages.run(link), name=f"{self.name} messages")
            group.create_task(self._frames.run(link), name=f"{self.name} frames")

    async def _say_farewell(self, link: Link) -> None:
        """Offline, in our own words: a broker does not speak the will of a client that leaves in order."""
        said = asyncio.Event()
        link.publish(self._prefix + "status", self._status("offline"), lambda _code: said.set(), retain=True)
        try:
            async with asyncio.timeout(self._timing.farewell_s):
                await said.wait()
        except TimeoutError:
            log.warning("%s: the broker did not take the status offline", self.name)

    # What goes up, retained: one of a topic on its way at a time, so that a slow line carries the latest and no queue.

    def _publish_document(self, link: Link, topic: str) -> None:
        if topic not in self._documents_on_their_way:
            payload = self._documents_on_their_way[topic] = self._documents[topic]
            link.publish(self._prefix + topic, payload, partial(self._document_answered, topic), retain=True)

    def _document_answered(self, topic: str, code: int) -> None:
        if code >= REFUSED:
            log.error("%s: the broker refuses %s with reason 0x%02x", self.name, topic, code)
        sent = self._documents_on_their_way.pop(topic, None)
        if self._link is not None and sent != self._documents.get(topic):
            self._publish_document(self._link, topic)

    # What comes down.

    def _received(self, message: Incoming) -> None:
        take = self._down.get(message.topic)
        if take is None:
            return
        if message.retained:  # old by nature: nobody can tell when the order was given, or whether the head end lives
            if message.topic not in self._retained_logged:
                self._retained_logged.add(message.topic)
                log.warning("%s: ignored a retained message on %s: orders are not retained", self.name, message.topic)
            return
        take(message)

    def _order(self, message: Incoming) -> None:
        order = messages.parse_order(message.payload, self._site)
        self._on_order(Received(self.name, self._now(), order, message.response_topic, message.correlation))

    def _frames_acknowledged(self, message: Incoming) -> None:
        acknowledgement = messages.parse_measurements_ack(message.payload)
        if acknowledgement is not None:
            self._frames.acknowledged(*acknowledgement)

    def _heartbeat(self, message: Incoming) -> None:
        if messages.parse_heartbeat(message.payload):
            self._on_heard()


def _tls(config: MqttConfig) -> ssl.SSLContext:
    files = config.tls
    try:
        context = ssl.create_default_context(cafile=files.ca)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if files.certificate is not None:
            context.load_cert_chain(files.certificate, files.key)
    except (OSError, ssl.SSLError) as error:
        used = ", ".join(str(file) for file in (files.ca, files.certificate, files.key) if file is not None)
        raise SecretError(f"the TLS files ({used}) cannot be used: {error}") from error
    return context
