"""The daemon as its users meet it: real processes, real Modbus TCP, a real broker."""

from __future__ import annotations

import asyncio
import json
import random
import re
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway.store import StoreError, inspect
from hil.dso.book import Book
from tests.e2e.gateway import SITE, bench

LIMIT = {"target": "pcc", "function": "limit_active_power", "value": 50, "unit": "%"}


async def test_an_order_takes_effect_is_proven_and_given_back(tmp_path: Path) -> None:
    async with bench(tmp_path) as one:
        await one.online()
        id_ = await one.dso.send({**LIMIT, "tolerance": {"value": 2, "unit": "%"}, "respond_within": 10})
        await one.dso.acked(id_, "effective", timeout_s=20)
        assert one.pcc_w == pytest.approx(30_000, abs=1_200)
        await one.dso.until("in the mirror", lambda book: id_ in str(book.control), timeout_s=5)
        await one.dso.cancel(id_)
        await one.dso.acked(id_, "cancelled", timeout_s=10)
        await one.until("the limit is out of force", lambda: not one.limit_enabled)

        assert await one.daemon.end() == 0
        await one.dso.until("offline", lambda book: not book.online, timeout_s=5)
        assert one.dso.book.faults == []


async def test_killed_in_the_middle_it_comes_back_goes_on_and_ends_the_order(tmp_path: Path) -> None:
    """The limit stays in force all along; the count of acknowledgements has no gap; the end gives back."""
    async with bench(tmp_path) as one:
        await one.online()
        id_ = await one.dso.send(LIMIT)
        await one.dso.acked(id_, "effective", timeout_s=20)
        await one.daemon.end(signal.SIGKILL)
        assert one.limit_enabled
        await one.daemon.start()
        await one.dso.until("a second session", lambda book: book.status and book.status.session == 2, timeout_s=20)
        await one.online()
        writes = len(one.site.writes)
        revised = {**LIMIT, "value": 25, "id": id_, "revision": 2}
        await one.dso.send(revised)
        await one.dso.acked(id_, "effective", timeout_s=20, revision=2)
        assert one.pcc_w == pytest.approx(15_000, abs=1_200)
        assert all(value > 0 for _, _, what, value in one.site.writes[writes:] if what == "WMaxLim_Ena")
        await one.dso.cancel(id_)
        await one.dso.acked(id_, "cancelled", timeout_s=10, revision=2)
        await one.until("the limit is out of force", lambda: not one.limit_enabled)

        counted = sorted({heard.ack.n for order in one.dso.book.orders for heard in order.heard})
        assert counted == list(range(1, counted[-1] + 1))
        assert one.dso.book.faults == []


async def test_an_order_that_ended_while_the_daemon_was_dead_is_ended_and_given_back(tmp_path: Path) -> None:
    async with bench(tmp_path) as one:
        await one.online()
        id_ = await one.dso.send({**LIMIT, "end": _utc_in(8)})
        await one.dso.acked(id_, "effective", timeout_s=20)
        await one.daemon.end(signal.SIGKILL)
        await asyncio.sleep(5)  # the end of the order passes: nothing tells, as nobody is there
        await one.daemon.start()
        await one.dso.acked(id_, "completed", timeout_s=20)
        await one.until("the limit is out of force", lambda: not one.limit_enabled)
        assert one.dso.book.faults == []


async def test_nothing_is_lost_while_the_broker_is_dead(tmp_path: Path) -> None:
    """Killed, the broker forgets even what it has acknowledged; what the DSO has not acknowledged is sent again."""
    async with bench(tmp_path) as one:
        await one.online()
        await one.dso.until("frames", lambda book: book.frames.count().distinct >= 3, timeout_s=20)
        one.broker.kill()
        await asyncio.sleep(3)  # an outage has a length; what is measured in it must arrive afterwards
        one.broker.start()
        await one.dso.until("online again", lambda book: book.online, timeout_s=40)
        before = one.dso.book.frames.count().distinct
        await one.dso.until("the backlog", lambda book: book.frames.count().distinct > before + 5, timeout_s=20)

        await one.dso.until("no frame missing", lambda book: not book.frames.missing(), timeout_s=20)
        assert one.dso.book.faults == []


UNREADABLE = [
    b"limit everything",
    b'{"id": "\xff"}',
    b"[1, 2, 3]",
    b'{"schema":"activation/1","id":"deep","x":' + b"[" * 10_000 + b"]" * 10_000 + b"}",
    b'{"schema":"activation/1","id":"big","pad":"' + b"x" * 300_000 + b'"}',
    b'{"schema":"activation/1","id":"nan","value":NaN}',
]


def order(id_: str, **fields: object) -> bytes:
    body: dict[str, object] = {
        "schema": "activation/1",
        "id": id_,
        "revision": 1,
        "issuer": "dso",
        "time": _utc_in(0),
        **LIMIT,
    }
    return json.dumps({key: value for key, value in (body | fields).items() if value is not None}).encode()


def _utc_in(seconds: float) -> str:
    return f"{datetime.now(UTC) + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S}Z"


REFUSED: list[tuple[str, dict[str, object], str]] = [
    ("no-value", {"value": None}, "malformed"),
    ("value-is-text", {"value": "50"}, "malformed"),
    ("value-is-true", {"value": True}, "malformed"),
    ("wrong-unit", {"unit": "kW"}, "malformed"),
    ("unit-of-q", {"unit": "var"}, "malformed"),
    ("unknown-field", {"valeu": 5}, "malformed"),
    ("unknown-target", {"target": "inv9"}, "unknown_target"),
    ("unknown-function", {"function": "fly"}, "unsupported_function"),
    ("beyond-range", {"value": 150}, "out_of_range"),
    ("expired", {"end": "2026-01-01T00:00:00Z"}, "expired"),
    ("issued-long-ago", {"time": "2026-01-01T00:00:00Z"}, "too_old"),
]


async def test_bad_orders_are_refused_or_dropped_and_nothing_is_written(tmp_path: Path) -> None:
    """Malformed, oversized, nested, NaN, wrong, expired, replayed and 1 000 random payloads; the daemon lives on."""
    async with bench(tmp_path) as one:
        await one.online()
        memory = _resident_kb(one.daemon.pid)
        for payload in UNREADABLE:
            await one.dso.publish("activations", payload)
        for id_, fields, _ in REFUSED:
            await one.dso.publish("activations", order(id_, **fields))
        rng = random.Random(7)
        for _ in range(1_000):
            await one.dso.publish("activations", rng.randbytes(rng.randrange(200)))
        replayed = order("issued-long-ago", time="2026-01-01T00:00:00Z")
        for _ in range(3):
            await one.dso.publish("activations", replayed)

        codes = {id_: code for id_, _, code in REFUSED}
        await one.dso.until("all refused", lambda _: codes.keys() <= one.refused.keys(), timeout_s=30)
        assert {id_: one.refused[id_] for id_ in codes} == codes
        assert one.site.writes == []
        assert one.daemon.running
        assert _resident_kb(one.daemon.pid) < memory + 20_000

        id_ = await one.dso.send(LIMIT)
        await one.dso.acked(id_, "effective", timeout_s=20)


def _resident_kb(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])


async def test_a_device_that_is_not_there_at_start_stops_nobody(tmp_path: Path) -> None:
    async with bench(tmp_path, start=False) as one:
        await one.site.faces["bat1"].stop()
        await one.daemon.start()
        await one.dso.until("online", lambda book: book.online, timeout_s=20)
        id_ = await one.dso.send(LIMIT)
        await one.dso.acked(id_, "effective", timeout_s=20)
        await one.site.faces["bat1"].start()
        await one.online()


async def test_a_broker_that_is_not_there_at_start_stops_nothing(tmp_path: Path) -> None:
    """Measurements of before the broker came are delivered when it comes."""
    async with bench(tmp_path, broker=False) as one:
        await one.until("the store holds frames", lambda: (tmp_path / "state").exists() and _frames(tmp_path) >= 3)
        one.broker.start()
        await one.online()
        await one.dso.until("no frame missing", lambda book: _first(book) == 1, timeout_s=20)
        await one.dso.until("no frame missing", lambda book: not book.frames.missing(), timeout_s=20)


def _frames(folder: Path) -> int:
    try:
        return inspect.stats(folder / "state").frames
    except StoreError:
        return 0


def _first(book: Book) -> int:
    numbers = book.frames.epoch and book.frames._epochs[book.frames.epoch].received
    return min((first for first, _ in numbers), default=0) if numbers else 0


async def test_a_dso_that_is_not_heard_any_more_leads_to_the_declared_limit_and_back(tmp_path: Path) -> None:
    """The broker lives on; it is the head end's own sign of life that counts."""
    fallback = "  fallback: {uplink_lost: {after: 1s, active_power: {limit: 50%}}}\n"
    async with bench(tmp_path, control=fallback, uplink=", heartbeat: 1s") as one:
        await one.online()
        await one.until("the fallback stands", lambda: one.limit_enabled)
        await one.dso.until("in the mirror", lambda book: "fallback:uplink_lost" in str(book.control), timeout_s=5)
        await one.until("the site obeys", lambda: one.pcc_w < 31_000)
        async with asyncio.timeout(20):
            while one.limit_enabled:
                await one.dso.publish("heartbeat", b'{"schema": "heartbeat/1", "time": "2026-11-22T10:00:00Z"}')
                await asyncio.sleep(0.2)  # a heartbeat has a period


async def test_five_mistakes_in_the_site_file_are_told_and_nothing_is_started(tmp_path: Path) -> None:
    async with bench(tmp_path, start=False) as one:
        text = one.daemon.file.read_text()
        text = text.replace("rated_power: 60kW}", "rated_power: 60}", 1)
        text = text.replace("unit: 1", "unit: 300", 1).replace("role: pv", "role: sun", 1)
        text = text.replace("period: 200ms", "perod: 200ms").replace("type: mqtt", "type: carrier-pigeon")
        one.daemon.file.write_text(text)
        await one.daemon.start()

        assert await one.daemon.wait() == 2
        position = re.compile(re.escape(str(one.daemon.file)) + r":\d+:\d+: ")
        lines = [line for line in one.daemon.log.read_text().splitlines() if position.match(line)]
        assert len(lines) == 5, lines
        assert not (tmp_path / "state").exists()


async def test_a_second_daemon_on_the_same_store_is_refused(tmp_path: Path) -> None:
    async with bench(tmp_path) as one:
        await one.online()
        second = type(one.daemon)(one.daemon.file)
        await second.start()

        assert await second.wait() == 1
        assert one.daemon.running
        assert str(one.daemon.pid) in one.daemon.log.read_text()


async def test_a_foreign_client_sees_the_contract(tmp_path: Path) -> None:
    """mosquitto_sub reads what is retained, and mosquitto_rr gets its answer on its own response topic."""
    async with bench(tmp_path) as one:
        await one.online()
        base = f"der/v1/{SITE}"
        status = json.loads(await one.broker.client("mosquitto_sub", "-t", f"{base}/status", "-C", "1", "-W", "10"))
        assert (status["schema"], status["site"], status["state"]) == ("status/1", SITE, "online")
        answer = await one.broker.client(
            "mosquitto_rr", "-q", "1", "-t", f"{base}/activations", "-e", "answers/7", "-D", "publish",
            "correlation-data", "seven", "-m", order("seven", value=150).decode(), "-W", "10",
        )  # fmt: skip
        assert json.loads(answer)["status"] == "received"
