"""The local API as its users meet it: a real daemon, asked over its real port."""

from __future__ import annotations

import asyncio
import json
import resource
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.gateway import SITE, Bench, bench
from tests.protocol.mosquitto import free_port

LIMIT = {"target": "pcc", "function": "limit_active_power", "value": 50, "unit": "%"}
WRITING = ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE")
ANSWER_S = 10.0
"""An answer takes milliseconds; a busy machine is given much more before it counts as none."""


@dataclass(slots=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(slots=True)
class Local:
    """The local API of a bench, asked byte by byte."""

    bench: Bench
    port: int

    async def ask(self, path: str, *, method: str = "GET", host: str | None = None, more: str = "") -> Answer:
        host = f"127.0.0.1:{self.port}" if host is None else host
        head = f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{more}\r\n"
        async with asyncio.timeout(ANSWER_S):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            writer.write(head.encode())
            raw = await reader.read()
            writer.close()
        first, _, rest = raw.partition(b"\r\n")
        fields, _, body = rest.partition(b"\r\n\r\n")
        lines = (line.split(": ", 1) for line in fields.decode().split("\r\n"))
        return Answer(int(first.split()[1]), {name.lower(): value for name, value in lines}, body)

    async def state(self) -> Any:
        return (await self.ask("/api/v1/state")).json

    async def until(self, true: Callable[[Any], bool], path: str = "/api/v1/state", timeout_s: float = 30.0) -> Answer:
        """Ask until *true* of the document."""
        async with asyncio.timeout(timeout_s):
            while not true((answer := await self.ask(path)).json):
                assert self.bench.daemon.running, f"the daemon ended while {path} was asked"
                await asyncio.sleep(0.1)
        return answer

    async def ticks_go_on(self) -> None:
        """Five more ticks than now."""
        before = (await self.state())["control"]["ticks"]
        await self.until(lambda state: state["control"]["ticks"] >= before + 5)


@asynccontextmanager
async def local(folder: Path) -> AsyncIterator[Local]:
    """A running daemon with its local API, online and with all devices known."""
    async with bench(folder, start=False) as one:
        port = free_port()
        one.daemon.file.write_text(f"{one.daemon.file.read_text()}local: {{http: '127.0.0.1:{port}'}}\n")
        await one.daemon.start()
        await one.online()
        yield Local(one, port)


async def status(*arguments: object) -> tuple[int, str, str]:
    """`dergate status`: its exit status, what it printed, what it complained of."""
    return await dergate("status", *arguments)


async def dergate(*arguments: object) -> tuple[int, str, str]:
    """One command, likewise."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway.cli", *map(str, arguments)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def test_every_path_tells_what_is(tmp_path: Path) -> None:
    async with local(tmp_path) as one:
        id_ = await one.bench.dso.send({**LIMIT, "tolerance": {"value": 2, "unit": "%"}})
        await one.bench.dso.acked(id_, "effective", timeout_s=20)

        state = await one.state()
        assert (state["site"], state["healthy"], state["reasons"]) == (SITE, True, [])
        assert state["devices"] == {"configured": 3, "online": 3, "away": []}
        assert [(uplink["id"], uplink["connected"]) for uplink in state["uplinks"]] == [("dso", True)]
        [quantity] = state["mirror"]["quantities"]
        assert (quantity["source"], quantity["value"], quantity["unit"]) == (id_, 30_000.0, "W")
        assert {setpoint["written"] for setpoint in state["control"]["setpoints"]} == {True}
        assert state["control"]["held"]

        devices = {device["id"]: device for device in (await one.ask("/api/v1/devices")).json["devices"]}
        assert (devices["inv1"]["serial"], devices["inv1"]["online"]) == ("SIM-INV1", True)
        points = {point["point"]: point for point in (await one.ask("/api/v1/points")).json["points"]}
        power = points["pcc.active_power"]
        assert (power["value"], power["unit"], power["quality"]) == (pytest.approx(30_000, abs=2_000), "W", "good")
        [activation] = (await one.ask("/api/v1/activations")).json["open"]
        assert (activation["id"], activation["status"]) == (id_, "effective")
        buffer = (await one.ask("/api/v1/buffer")).json
        [uplink] = buffer["uplinks"]
        assert uplink["frames_acknowledged"] + uplink["frames_pending"] == buffer["last_frame"]
        plan = {device["device"]: device for device in (await one.ask("/api/v1/plan")).json["devices"]}
        assert set(plan) == {"pcc", "inv1", "bat1"}
        assert plan["pcc"]["planned"]["requests_per_s"] > 0
        assert plan["pcc"]["actual"]["total"].keys() >= {"requests", "unanswered", "refused", "skipped", "busy_s"}

        scraped = await one.ask("/metrics")
        assert scraped.headers["content-type"].startswith("text/plain; version=0.0.4")
        metrics = {family.name: family for family in text_string_to_metric_families(scraped.body.decode())}
        assert metrics["dergate_devices_online"].samples[0].value == 3
        assert metrics["dergate_orders_open"].samples[0].value == 1
        assert metrics["dergate_tick_duration_seconds"].type == "histogram"

        code, out, _ = await status(one.bench.daemon.file)
        told = {line.partition("  ")[0]: line.partition("  ")[2].strip() for line in out.splitlines()}
        assert (code, told["devices"], told["health"]) == (0, "3 of 3 online", "every part makes progress")
        assert told["pcc active_power"] == f"limit_active_power 30000 W by {id_}"


async def test_only_a_reader_on_the_host_is_answered(tmp_path: Path) -> None:
    """Foreign names (DNS rebinding), what would write, bodies and endless heads are refused, each with its status."""
    async with local(tmp_path) as one:
        health = await one.ask("/healthz")
        assert (health.status, health.json) == (200, {"healthy": True, "reasons": []})
        for name in ("localhost", "127.0.0.1", f"[::1]:{one.port}"):
            assert (await one.ask("/healthz", host=name)).status == 200

        refused = {
            "foreign host": await one.ask("/api/v1/state", host="dso.example"),
            "foreign host with our port": await one.ask("/api/v1/state", host=f"rebound.example:{one.port}"),
            "no host": await one.ask("/api/v1/state", host=""),
            "no such path": await one.ask("/api/v2/state"),
            "out of the folder": await one.ask("/..%2f..%2fetc/passwd"),
            **{
                method: await one.ask("/api/v1/state", method=method, more="Content-Length: 0\r\n")
                for method in WRITING
            },
            "a body": await one.ask("/api/v1/state", more="Content-Length: 3\r\n\r\nabc"),
            "a body in pieces": await one.ask("/api/v1/state", more="Transfer-Encoding: chunked\r\n"),
        }
        assert {why: answer.status for why, answer in refused.items()} == {
            "foreign host": 403,
            "foreign host with our port": 403,
            "no host": 403,
            "no such path": 404,
            "out of the folder": 404,
            **dict.fromkeys(WRITING, 405),
            "a body": 413,
            "a body in pieces": 413,
        }
        for answer in (health, *refused.values()):
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["content-security-policy"] == "default-src 'none'"
            assert answer.headers["cache-control"] == "no-store"
        assert (await one.ask("/healthz", more=f"X: {'x' * 20_000}")).status == 400  # its head has not ended yet


async def test_status_asks_the_gateway_of_its_site_or_ends_with_3(tmp_path: Path) -> None:
    async with local(tmp_path) as one:
        file = one.bench.daemon.file
        code, out, _ = await status(file, "--json")
        assert (code, json.loads(out)["site"]) == (0, SITE)
        foreign = tmp_path / "foreign.yaml"
        foreign.write_text(file.read_text().replace(f"id: {SITE}", "id: other", 1))
        code, out, err = await status(foreign)
        assert (code, out) == (3, "")
        assert f"another site answers: {SITE}, not other" in err
        assert await one.bench.daemon.end() == 0
        code, out, err = await status(file)
        assert (code, out) == (3, "")
        assert "no gateway runs" in err


async def test_of_a_dsos_limit_and_a_tighter_one_it_is_explained_which_decides_and_which_is_overruled(
    tmp_path: Path,
) -> None:
    async with local(tmp_path) as one:
        wide = await one.bench.dso.send(LIMIT)
        tight = await one.bench.dso.send({**LIMIT, "issuer": "marketer", "kind": "market", "value": 30})
        await one.bench.dso.acked(tight, "effective", timeout_s=20)

        document = (await one.ask("/api/v1/control")).json
        [place] = document["places"]
        assert (place["target"], place["quantity"], place["decided_by"]) == ("pcc", "active_power", {"ceiling": tight})
        assert (place["value"], place["left"]["hi"], place["capability"]["hi"]) == (18_000.0, 18_000.0, 60_000.0)
        fates = {order["source"]: (order["rank"], order["decides"], order["overruled_by"]) for order in place["orders"]}
        assert fates == {wide: (1, [], tight), tight: (2, ["ceiling"], None)}
        assert document["wishes"]
        assert {wish["cause"] for wish in document["wishes"]} == {f"{wide} {tight}"}
        able = {(ability["target"], ability["function"]): ability["by"] for ability in document["abilities"]}
        assert able["inv1", "limit_active_power"] == "gateway", "a SunSpec device has told what it is"

        file = one.bench.daemon.file
        code, page, _ = await dergate("control", "explain", file)
        assert code == 0
        rules, _, now = page.partition("\nNOW, ")
        assert "WHO DECIDES" in rules
        assert f"  pcc active_power: at most 18000 W, decided by {tight}\n" in now
        assert f"says at most 30000 W; overruled by {tight}\n" in now
        assert "other rules" not in now
        code, told, _ = await dergate("control", "explain", file, "--json")
        running = json.loads(told)["running"]
        assert (code, running["rules"], running["places"]) == (0, json.loads(told)["rules"], document["places"])

        assert await one.bench.daemon.end() == 0
        code, page, _ = await dergate("control", "explain", file)
        assert (code, page.partition("\nNOW")[0].partition("WHAT EACH")[0]) == (0, rules.partition("WHAT EACH")[0])
        assert "NOW: not known, no gateway runs" in page


async def test_health_is_ours_alone_a_lost_device_is_not_a_full_disk_is(tmp_path: Path) -> None:
    async with local(tmp_path) as one:
        await one.bench.site.faces["bat1"].stop()
        await one.until(lambda state: "bat1" in state["devices"]["away"])
        assert (await one.ask("/healthz")).status == 200

        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.prlimit(one.bench.daemon.pid, resource.RLIMIT_FSIZE, (0, hard))  # no file may grow: a full disk
        ill = await one.until(lambda health: not health["healthy"], "/healthz")
        assert ill.status == 503
        assert any(reason.startswith("store: commits fail: ") for reason in ill.json["reasons"])
        assert (await one.state())["healthy"] is False
        await one.ticks_go_on()

        resource.prlimit(one.bench.daemon.pid, resource.RLIMIT_FSIZE, (hard, hard))
        well = await one.until(lambda health: health["healthy"], "/healthz")
        assert (well.status, well.json["reasons"]) == (200, [])


async def test_idle_slow_and_greedy_clients_move_nothing_and_the_end_does_not_wait_for_them(tmp_path: Path) -> None:
    """More than are served at a time say nothing, or half a head; one sends 100 MB: orders are obeyed all the same."""
    async with local(tmp_path) as one, AsyncExitStack() as clients:

        async def connect(first: bytes) -> asyncio.StreamReader:
            reader, writer = await asyncio.open_connection("127.0.0.1", one.port)
            clients.callback(writer.close)
            writer.write(first)
            return reader

        for number in range(200):
            await connect(b"" if number % 2 else b"GET /api/v1/state HTTP/1.1\r\nHost: loc")
        greedy = asyncio.create_task(_send_100_mb(one.port))
        id_ = await one.bench.dso.send(LIMIT)
        await one.bench.dso.acked(id_, "effective", timeout_s=20)
        await one.ticks_go_on()
        assert (await one.ask("/healthz")).status == 200
        assert await greedy < 100_000_000, "the body was taken to its end"
        assert _open_sockets(one.bench.daemon.pid) < 100

        kept = await connect(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        async with asyncio.timeout(ANSWER_S):
            assert (await kept.readline()).startswith(b"HTTP/1.1 200")
        assert await one.bench.daemon.end() == 0


async def _send_100_mb(port: int) -> int:
    """How many bytes were taken."""
    sent = 0
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST /api/v1/state HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000000\r\n\r\n")
    with suppress(ConnectionError):
        while sent < 100_000_000:
            writer.write(bytes(1_000_000))
            async with asyncio.timeout(ANSWER_S):
                await writer.drain()
            sent += 1_000_000
    writer.close()
    return sent


def _open_sockets(pid: int) -> int:
    links = (entry for entry in Path(f"/proc/{pid}/fd").iterdir())
    return sum(1 for link in links if str(link.readlink()).startswith("socket:"))


async def test_a_port_in_use_is_one_clear_line_and_exit_1(tmp_path: Path) -> None:
    async with local(tmp_path) as one:
        (tmp_path / "second").mkdir()
        second = type(one.bench.daemon)(tmp_path / "second" / "site.yaml")
        second.file.write_text(one.bench.daemon.file.read_text())
        await second.start()

        assert await second.wait() == 1
        [line] = [line for line in second.log.read_text().splitlines() if "ERROR" in line]
        assert f"local.http: cannot listen at 127.0.0.1:{one.port}: address already in use" in line
        assert "Traceback" not in second.log.read_text()
        assert (await one.ask("/healthz")).status == 200
