"""A DSO that has nothing of ours: it speaks with mosquitto's own clients, and a book judges each acknowledgement."""

from __future__ import annotations

import asyncio
import json
import math
import secrets
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from hil.dso.book import Book
from hil.dso.messages import Ack
from hil.dso.orders import FINAL, Heard, Order
from hil.plant.grid import GridParameters
from hil.plant.load import Load, LoadParameters
from hil.plant.sun import Sun, SunParameters
from hil.site import SimulatedSite, site_yaml
from tests.e2e.gateway import SITE, Daemon
from tests.protocol.mosquitto import Mosquitto

WAIT_S = 20.0
"""What is awaited comes within 10 s; a busy machine is given twice that."""
LINE_BYTES = 1 << 20
"""A catalogue is one line of some 20 kB; asyncio's own bound is 64 kB."""
_UP = ("status", "birth", "control", "measurements", "acks", "reports", "events")

T = TypeVar("T")


def utc(after_s: float = 0.0) -> str:
    """Now, or later, as a message says it."""
    return f"{datetime.now(UTC) + timedelta(seconds=after_s):%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z"


@dataclass(slots=True)
class HeadEnd:
    """mosquitto_pub sends, one mosquitto_sub hears; `book` is what was heard of it, and whether it was allowed."""

    broker: Mosquitto
    book: Book = field(default_factory=lambda: Book(SITE))
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def send(self, function: str, target: str = "pcc", **fields: Any) -> str:
        """Send an order, settled after 1 s unless told; returns its id."""
        body = {
            "schema": "activation/1",
            "id": f"{function}-{secrets.token_hex(3)}",
            "revision": 1,
            "issuer": "dso",
            "time": utc(),
            "target": target,
            "function": function,
            "settle": 1,
            **fields,
        }
        await self._publish(body)
        return str(body["id"])

    async def cancel(self, *ids: str) -> None:
        """Cancel orders, and wait for their last word."""
        for id_ in ids:
            await self._publish({"schema": "cancellation/1", "id": id_, "revision": 1, "time": utc()})
        for id_ in ids:
            await self.acked(id_, "cancelled")

    async def acked(self, id_: str, *statuses: str, after: int = 0) -> Ack:
        """
        The first acknowledgement with one of these statuses whose number is above *after*.

        An order that ended otherwise fails at once.
        """

        def find() -> Ack | None:
            order = self.order(id_)
            heard = [one.ack for one in order.heard if one.ack.n > after]
            found = next((ack for ack in heard if ack.status in statuses), None)
            assert found or order.status not in FINAL, f"awaited was {statuses}: {order.heard[-1].ack}"
            return found

        return await self.until(f"{id_} {' or '.join(statuses)}", find)

    async def proven(self, *ids: str) -> None:
        """Each order has gone the whole way: received, accepted, started, effective."""
        for id_ in ids:
            await self.acked(id_, "effective")
            assert self.words(id_)[:4] == ["received", "accepted", "started", "effective"]

    async def until(self, what: str, find: Callable[[], T | None], timeout_s: float = WAIT_S) -> T:
        """What *find* gives of the book as soon as it is something."""
        try:
            async with asyncio.timeout(timeout_s):
                while not (found := find()):
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(f"{what}: not within {timeout_s:g} s\n{self.story()}") from None
        return found

    def order(self, id_: str) -> Order:
        order = self.book.orders.get(id_)
        assert order is not None, id_
        return order

    def words(self, id_: str) -> list[str]:
        return [heard.ack.status for heard in self.order(id_).heard]

    async def in_mirror(self, id_: str) -> Mapping[str, Any]:
        """What the `control` mirror says of the quantity that this order decides."""

        def find() -> Mapping[str, Any] | None:
            quantities = (self.book.control or {}).get("quantities", [])
            return next((one for one in quantities if one["source"] == id_), None)

        return await self.until(f"{id_} in the mirror", find)

    async def mirror_empty(self) -> None:
        await self.until("an empty mirror", lambda: self.book.control and not self.book.control["quantities"])

    def story(self) -> str:
        """Every order with the time of each word after its sending: what a failed test has to tell."""
        lines = [f"{order.id}: " + ", ".join(_told(heard) for heard in order.heard) for order in self.book.orders]
        return "\n".join([*lines, f"mirror: {(self.book.control or {}).get('quantities')}", *self.book.faults])

    async def command(self, *words: str) -> tuple[int, str]:
        """Run `dergate dso send`; its exit status, and what it printed."""
        if "--cancel" not in words:
            self.sent_elsewhere({"id": words[words.index("--id") + 1], "revision": 1})
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway.cli", "dso", "send", "--url", self.broker.url, "--site", SITE, *words),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        out, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, out.decode()

    def sent_elsewhere(self, body: Mapping[str, Any]) -> None:
        """Another program sent this order; only the book has to know."""
        self.book.sent(body, asyncio.get_running_loop().time())

    async def _publish(self, body: Mapping[str, Any]) -> None:
        self.sent_elsewhere(body)
        topic = f"{self.book.base}activations"
        await self.broker.client("mosquitto_pub", "-q", "1", "-t", topic, "-m", json.dumps(body))

    async def hear(self) -> None:
        """Feed the book with what one mosquitto_sub prints, until cancelled."""
        topics = [word for name in _UP for word in ("-t", self.book.base + name)]
        process = await asyncio.create_subprocess_exec(
            *("stdbuf", "-oL", "mosquitto_sub", "-h", "127.0.0.1", "-p", str(self.broker.port), "-V", "mqttv5"),
            *("-q", "1", "-F", "%t %p", *topics),
            stdout=asyncio.subprocess.PIPE,
            limit=LINE_BYTES,
        )
        assert process.stdout is not None
        try:
            async for line in process.stdout:
                topic, _, payload = line.rstrip(b"\n").partition(b" ")
                self.book.feed(topic.decode(), payload, asyncio.get_running_loop().time())
                self._changed.set()
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


@dataclass(slots=True)
class Station:
    """All of one test; `site` is the truth."""

    site: SimulatedSite
    broker: Mosquitto
    daemon: Daemon
    dso: HeadEnd

    async def until(self, what: str, true: Callable[[], bool], timeout_s: float = WAIT_S) -> None:
        """Wait until *true()* of the simulated site; the devices do not tell, so it is looked at often."""
        try:
            async with asyncio.timeout(timeout_s):
                while not true():  # noqa: ASYNC110 - the simulated devices have no event to wait for
                    await asyncio.sleep(0.02)
        except TimeoutError:
            story = f"{self.site.truth()}\n{self.dso.story()}"
            raise AssertionError(f"{what}: not within {timeout_s:g} s\n{story}") from None

    async def near(self, name: str, value: float, within: float = 1_200.0) -> None:
        """Wait until this truth of the site is there; 1 200 W is 2 % of its rated power."""
        await self.until(f"{name} at {value:g}", lambda: abs(self.site.truth()[name] - value) <= within)

    async def online(self, session: int = 1) -> None:
        """Connected in its so many-th session, and the inverter and the battery have told what they can do."""
        book = self.dso.book
        await self.dso.until("online", lambda: book.online and book.status and book.status.session == session)
        await self.dso.until(
            "birth with all devices", lambda: book.birth and all(device["points"] for device in book.birth["devices"])
        )

    def voltage(self, per_unit: float) -> None:
        """From now on the grid is stiff, at this share of 230 V."""
        self.site.plant.grid = GridParameters(source_v=per_unit * 230.0 * math.sqrt(3.0), r_ohm=0.0, x_ohm=0.0)

    def frequency(self, hertz: float) -> None:
        self.site.plant.frequency_hz = hertz

    def weather(self, sun_w: float, load_w: float) -> None:
        """From now on the sun gives, and the load takes, this much."""
        self.site.plant.sun = Sun(SunParameters(clear_w=sun_w, haze=0.0), seed=1)
        self.site.plant.load = Load(LoadParameters(base_w=load_w, unrest=0.0), seed=1)

    @property
    def inverter_w(self) -> float:
        return self.site.plant.inverter.converter.active_power_w

    @property
    def inverter_var(self) -> float:
        return self.site.plant.inverter.converter.reactive_power_var

    @property
    def battery_w(self) -> float:
        return self.site.plant.battery.converter.active_power_w

    @property
    def engaged(self) -> list[str]:
        """What of ours stands in the devices: the settings that are enabled, and the curves."""
        inverter, battery = self.site.plant.inverter.converter, self.site.plant.battery
        settings = {
            "inv1.limit": inverter.limit,
            "inv1.reactive": inverter.reactive,
            "inv1.disconnect": inverter.disconnect,
            "bat1.limit": battery.converter.limit,
            "bat1.reactive": battery.converter.reactive,
            "bat1.disconnect": battery.converter.disconnect,
            "bat1.charge": battery.charge,
            "bat1.discharge": battery.discharge,
        }
        curves = [f"inv1.{name}" for name, bank in self.site.curves.items() if bank.in_force is not None]
        return [name for name, setting in settings.items() if setting.enabled] + curves

    async def given_back(self) -> None:
        """Nothing of ours stands in a device, and the mirror says so."""
        await self.until("the registers given back", lambda: not self.engaged)
        await self.dso.mirror_empty()


def _told(heard: Heard) -> str:
    why = f" ({heard.ack.code}: {heard.ack.detail})" if heard.ack.code else ""
    return f"{heard.ack.status} {heard.latency_s:.2f} s{why}"


@asynccontextmanager
async def station(
    folder: Path, *, der: bool = False, control: str = "", inverter: str = "", voltage: bool = True
) -> AsyncIterator[Station]:
    """
    A running site whose DSO is foreign, with a sun of 56 kW, a load of 6 kW and a stiff grid at 230 V and 50 Hz.

    With *der* its inverter follows curves by itself; without *voltage* its meter does not show any. *control* and
    *inverter* are added to these parts of the site file. Afterwards the book must be without a fault.
    """
    broker = Mosquitto(folder)
    broker.start()
    dso = HeadEnd(broker)
    async with SimulatedSite(seed=1, der=der) as site:
        file = folder / "site.yaml"
        devices = site_yaml(site.ports).replace("    rated_power: 60kW\n", f"    rated_power: 60kW\n{inverter}")
        if not voltage:
            devices = "".join(line for line in devices.splitlines(keepends=True) if "voltage_l" not in line)
        file.write_text(
            f"site: {{id: {SITE}, rated_power: 60kW}}\n"
            "state_dir: state\n"
            f"{devices}{control}"
            f"uplinks:\n  - {{id: dso, type: mqtt, url: {broker.url}, acknowledge: broker}}\n"
        )
        daemon = Daemon(file)
        hearing = asyncio.create_task(dso.hear(), name="foreign head end")
        try:
            await daemon.start()
            one = Station(site, broker, daemon, dso)
            one.weather(sun_w=56_000, load_w=6_000)
            one.voltage(1.0)
            await one.online()
            yield one
            assert dso.book.faults == []
        finally:
            log = daemon.log.read_text() if daemon.log.exists() else ""
            print(dso.story(), log[-2_000:], sep="\n")  # noqa: T201 - pytest shows it where a test fails
            hearing.cancel()
            with suppress(asyncio.CancelledError):
                await hearing
            if daemon.running:
                await daemon.end(signal.SIGKILL)
            broker.stop()
