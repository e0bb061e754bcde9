"""The composition root: site file → objects → one task group. The only file that knows all the others."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING

import uvloop

import drivers
from gateway import __version__, assemble, clock, identity, shown
from gateway.config import Site, configuration_hash
from gateway.control.cycle import Event, Inputs, Outcome, Reply, State, resume, tick
from gateway.control.mirror import Headroom, Mirror
from gateway.image import Image, Snapshot
from gateway.ledger import Recorder
from gateway.ledger_head import LedgerHead
from gateway.local.listen import CannotListen, listen
from gateway.local.look import Look
from gateway.local.recent import Recent
from gateway.local.ticks import Ticks
from gateway.local.watchdog import Watchdog
from gateway.model import Entry, Hold, Nameplate, Outgoing, Received, Value
from gateway.report import Reporter, Rule
from gateway.store import Limits, Store, StoreError
from gateway.store.errors import StoreDamaged
from gateway.store.ledger import Signer
from gateway.supervise import Supervisor
from gateway.uplink.config import SecretError
from gateway.uplink.messages import json as messages
from gateway.uplink.mqtt import MqttUplink

if TYPE_CHECKING:
    from gateway.local.server import LocalServer

INBOX_MAX = 2_000
"""Orders waiting for a tick: a burst of a second at the rate a broker delivers; beyond it none is taken in."""
RETRY_COMMIT_S = 1.0
RECORD_WITHIN_S = 1.0
"""Writes of which no order is answered wait so long for a commit that comes anyway, before they get their own."""
HEADROOM_STEP_SHARE = 0.01
"""Of the site's rated power: a headroom that moved less does not make a new mirror."""
MIRROR_INTERVAL_S = 1.0
"""A mirror whose headroom alone moved is published no more often than this."""

log = logging.getLogger(__name__)


def main(site: Site) -> int:
    """Run until SIGTERM or SIGINT. Returns the exit status: 0 when asked to stop, 1 on a fault."""
    return uvloop.run(_run(site))


async def _run(site: Site) -> int:
    try:
        gateway = Gateway(site)
        gateway.check()
    except (StoreError, SecretError, CannotListen, identity.IdentityError) as error:
        log.error("%s", error)
        return 1
    gc.freeze()  # modules and site stay: searching them for garbage again and again stops all for 20 ms each time
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    running = asyncio.create_task(gateway.run(), name="gateway")
    stop = asyncio.create_task(stopping.wait(), name="stop signal")
    await asyncio.wait({running, stop}, return_when=asyncio.FIRST_COMPLETED)
    stop.cancel()
    if stopping.is_set():
        running.cancel()
    try:
        await running
    except asyncio.CancelledError:
        log.info("stopped")
        return 0
    except BaseExceptionGroup:
        log.exception("a fault in the gateway; it ends so that it is started afresh")
    return 1


class Gateway:
    """All parts of one site, wired; `run` keeps them going."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._plant = assemble.plant_of(site)
        self._drivers = drivers.build(
            site.devices, revert_s=assemble.revert_s(site), state_dir=site.state_dir, now=clock.now
        )
        self._image = Image(nameplate for driver in self._drivers for nameplate in driver.nameplates)
        self._reporter = Reporter(self._report_rule)
        self._store = Store.open(
            site.state_dir,
            now=clock.now,
            limits=Limits(
                commit_interval_s=site.buffer.commit_interval,
                max_size_bytes=site.buffer.max_size,
                max_age_s=site.buffer.max_age,
                on_gap=self._gap_event,
            ),
        )
        self._state: State = resume(self._store.entries(), self._store.holds())
        self._inbox: deque[Received] = deque()
        self._woken: asyncio.Future[None] | None = None
        self._uncommitted: list[Outcome] = []
        self._recorder = Recorder(partial(messages.ack, site.site.id))
        self._recording: asyncio.TimerHandle | None = None
        self._ledger_head = LedgerHead(self._store, site.site.id, clock.now)
        self._to_commit = asyncio.Event()
        self._journaled = 0
        self._supervisors = [Supervisor(d, self._image, now=clock.now, wake=self._wake) for d in self._drivers]
        self._by_device = {device: one for one in self._supervisors for device in one.devices}
        self._uplinks = [
            MqttUplink(
                uplink,
                site=site.site.id,
                outbox=self._store,
                now=clock.now,
                version=__version__,
                session=self._store.session,
                on_order=self._take_in,
                on_heard=partial(self._hear, uplink.id),
            )
            for uplink in site.uplinks
        ]
        started = clock.now()
        self._heard: dict[str, float | None] = dict.fromkeys(uplink.id for uplink in site.uplinks)
        self._clock = clock.Synchronisation(started)
        self._facts = shown.facts_of(site, started)
        self._ticks = Ticks()
        self._recent = Recent()
        self._local: LocalServer | None = None
        self._snapshot = self._image.snapshot(started)
        self._mirror: Mirror | None = None
        self._mirrored = 0.0
        self._born: Mapping[str, Nameplate] = {}
        self._watchdog = Watchdog()

    def check(self) -> None:
        """
        Look at what can be wrong before anything runs.

        Raises:
            SecretError: A password or certificate file cannot be used.
            CannotListen: The address of the local API is taken.
            IdentityError: The key that signs the ledger cannot be used.
            StoreError: The ledger cannot be written.
        """
        for uplink in self._uplinks:
            uplink.check()
        if self._site.local.http is not None:  # its libraries are loaded where it is wanted: memory counts
            serve: type[LocalServer] = import_module("gateway.local.server").LocalServer
            self._local = serve(listen(self._site.local.http), look=self._look, drivers=self._drivers)
        key = identity.load_or_create(self._site.state_dir)
        facts = {"site": self._site.site.id, "version": __version__, "configuration": configuration_hash(self._site)}
        self._store.keep_ledger(Signer(key.public_key_pem.decode(), key.sign), facts)

    async def run(self) -> None:
        """Run all parts until cancelled; a fault in one of them ends all."""
        await self._store.start()
        if self._store.opened_after_damage:
            damaged = self._event_only(Event("store_damaged", self._store.opened_after_damage))
            self._recent.take(clock.now().wall, damaged)
            self._uncommitted.append(damaged)
            self._recorder.take(clock.now().wall, damaged, {})
            self._to_commit.set()
        try:
            async with asyncio.TaskGroup() as group:
                for supervisor in self._supervisors:
                    group.create_task(supervisor.run(), name="supervisor")
                for uplink in self._uplinks:
                    group.create_task(uplink.run(), name=f"uplink {uplink.name}")
                group.create_task(self._commit_outcomes(), name="journal")
                group.create_task(self._ledger_head.run(), name="ledger head")
                group.create_task(self._tick_for_ever(), name="tick")
                if self._local is not None:
                    group.create_task(self._local.run(), name="local API")
                    log.info("local API at http://%s", self._site.local.http)
                self._watchdog.ready()
                log.info(
                    "running: site %s, %d devices, %d open orders",
                    self._site.site.id,
                    len(self._site.devices),
                    len(self._state.orders.open),
                )
        finally:
            self._watchdog.stopping()
            await self._ledger_head.finish(() if self._uncommitted else self._recorder.notes())
            await self._store.close()

    # What comes in

    def _take_in(self, received: Received) -> None:
        if len(self._inbox) >= INBOX_MAX:
            log.warning("more orders than can be taken in: %s dropped one", received.uplink)
            return
        self._inbox.append(received)
        self._wake()

    def _hear(self, uplink: str) -> None:
        self._heard[uplink] = clock.now().mono

    def _heard_until(self) -> dict[str, float | None]:
        """Where no heartbeat is agreed, the broker's presence stands for the DSO's."""
        now = clock.now().mono
        until: dict[str, float | None] = {}
        for config, uplink in zip(self._site.uplinks, self._uplinks, strict=True):
            if config.heartbeat is None and uplink.connected:
                self._heard[config.id] = now
            heard = self._heard[config.id]
            until[config.id] = None if heard is None else heard + (config.heartbeat or 0.0)
        return until

    # The tick

    async def _tick_for_ever(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            self._woken = loop.create_future()
            self._tick()
            self._watchdog.alive()
            if (late_s := loop.time() - due) >= 0:
                self._ticks.overran(int(late_s / self._site.control.period))
                due = max(due + self._site.control.period, loop.time())  # an overrun is skipped, not made up for
            timer = loop.call_at(due, self._wake)
            await self._woken
            timer.cancel()

    def _wake(self) -> None:
        """Have a tick at once: something came in that it should see."""
        if self._woken is not None and not self._woken.done():
            self._woken.set_result(None)

    def _tick(self) -> None:
        now = clock.now()
        snapshot = self._image.snapshot(now)
        frames = self._reporter.due(snapshot.changes, now)
        if frames:
            self._store.append(frames)
        received = [self._inbox.popleft() for _ in range(len(self._inbox))]
        clock_lost_s = self._clock.unsynchronised_s(now)
        inputs = Inputs(snapshot, received, self._journaled, self._heard_until(), clock_lost_s)
        self._state, outcome = tick(self._plant, self._state, inputs)
        for setpoint in outcome.setpoints:
            self._by_device[setpoint.point.partition(".")[0]].offer(setpoint)
        self._recorder.take(now.wall, outcome, snapshot.writes)
        if outcome.durable:
            self._uncommitted.append(outcome)
            self._to_commit.set()
        elif self._recorder.waits and self._recording is None:
            self._recording = asyncio.get_running_loop().call_later(RECORD_WITHIN_S, self._to_commit.set)
        self._publish_documents(snapshot, outcome.mirror)
        self._snapshot = snapshot
        self._recent.take(now.wall, outcome)
        self._ticks.completed(now.mono, clock.now().mono)

    def _report_rule(self, point: str) -> Rule:
        return assemble.report_rule(self._site, self._image.point(point))

    # What is durable

    async def _commit_outcomes(self) -> None:
        failing = False
        while True:
            await self._to_commit.wait()
            self._to_commit.clear()
            if self._recording is not None:
                self._recording.cancel()
                self._recording = None
            outcomes, notes = list(self._uncommitted), self._recorder.notes()
            entries: dict[tuple[str, int], Entry] = {}
            holds: dict[str, Hold | None] = {}
            outgoing: list[Outgoing] = []
            for outcome in outcomes:
                entries |= {(entry.id, entry.revision): entry for entry in outcome.entries}
                holds |= {hold.point: hold for hold in outcome.holds}
                holds |= dict.fromkeys(outcome.released)
                outgoing += [self._ack(reply) for reply in outcome.replies]
                outgoing += [self._event(event) for event in outcome.events]
            try:
                await self._store.commit(
                    entries=list(entries.values()),
                    holds=[hold for hold in holds.values() if hold is not None],
                    released=[point for point, hold in holds.items() if hold is None],
                    outgoing=outgoing,
                    notes=notes,
                )
            except StoreDamaged:
                raise  # only a new opening sets the damaged file aside; the service is started again at once
            except StoreError as error:
                if not failing:
                    log.error("the journal cannot be written, no new order takes part until it can: %s", error)
                failing = True
                await asyncio.sleep(RETRY_COMMIT_S)
                self._to_commit.set()
                continue
            if failing:
                log.warning("the journal can be written again")
                failing = False
            self._recorder.recorded(len(notes))
            if not outcomes:
                continue
            del self._uncommitted[: len(outcomes)]
            self._journaled = max(self._journaled, outcomes[-1].serial)
            if self._uncommitted:
                self._to_commit.set()
            self._tick()  # before the uplink's turn: the device comes before the answer

    def _ack(self, reply: Reply) -> Outgoing:
        return Outgoing(
            topic="acks",
            payload=messages.ack(self._site.site.id, reply.ack),
            uplink=reply.uplink,
            response_topic=reply.response_topic,
            correlation=reply.correlation,
            ref=reply.ack.id,
        )

    def _event(self, event: Event) -> Outgoing:
        payload = messages.event(self._site.site.id, clock.now().wall, event.code, event.detail)
        return Outgoing(topic="events", payload=payload)

    def _gap_event(self, first: int, last: int, reason: str) -> bytes:
        fields: dict[str, Value] = {"from": first, "to": last}
        return messages.event(self._site.site.id, clock.now().wall, "buffer_gap", reason, **fields)

    def _event_only(self, event: Event) -> Outcome:
        return Outcome(0, (), (), (), (), (event,), (), Mirror())

    # What is retained at the broker

    def _publish_documents(self, snapshot: Snapshot, mirror: Mirror) -> None:
        site = self._site.site.id
        if snapshot.nameplates != self._born:
            self._born = snapshot.nameplates
            birth = messages.birth(site, snapshot.now.wall, assemble.catalogue_of(self._site, self._born))
            self._set_document("birth", birth)
        if self._mirror is None or self._moved(mirror, snapshot.now.mono):
            self._mirror, self._mirrored = mirror, snapshot.now.mono
            control = messages.control(site, snapshot.now.wall, assemble.mirror_message(mirror))
            self._set_document("control", control)

    def _moved(self, mirror: Mirror, mono: float) -> bool:
        if self._mirror is None or _orders_of(mirror) != _orders_of(self._mirror):
            return True
        if mono - self._mirrored < MIRROR_INTERVAL_S:
            return False
        if mirror.quantities != self._mirror.quantities:
            return True
        return _apart(mirror.headroom, self._mirror.headroom, HEADROOM_STEP_SHARE * self._plant.rated_power_w)

    def _set_document(self, topic: str, payload: bytes) -> None:
        for uplink in self._uplinks:
            uplink.set_document(topic, payload)

    # What is shown on the spot

    def _look(self) -> Look:
        """What the local API may know; cheap, as it is taken between two ticks."""
        return Look(
            now=clock.now(),
            site=self._facts,
            snapshot=self._snapshot,
            control=self._recent.look(self._state.orders, self._state.writes.held),
            uplinks=tuple(shown.uplinks_of(self._site, self._uplinks, self._store)),
            store=shown.store_of(self._store, journaled=self._journaled, unjournaled=len(self._uncommitted)),
            ticks=self._ticks.look(),
        )


def _orders_of(mirror: Mirror) -> tuple[object, ...]:
    """The mirror without what moves all the time."""
    return (mirror.reserve, *(replace(quantity, value=0.0, limited_by=None) for quantity in mirror.quantities))


def _apart(new: Headroom, old: Headroom, step: float) -> bool:
    pairs = ((new.p_up, old.p_up), (new.p_down, old.p_down), (new.q_up, old.q_up), (new.q_down, old.q_down))
    return any(a != b if a is None or b is None else abs(a - b) > step for a, b in pairs)
