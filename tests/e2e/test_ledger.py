"""The ledger of a running gateway: an order's whole life is in it, and it verifies also after a kill."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import signal
import sqlite3
import sys
from pathlib import Path
from typing import Any

from tests.e2e.gateway import Bench, bench

LIMIT = {"target": "pcc", "function": "limit_active_power", "value": 50, "unit": "%"}
PAGE = Path(__file__).parents[2] / "config" / "contract" / "ledger.md"


async def ended(*arguments: object) -> tuple[int, str]:
    """The exit status of a Python command line, and what it said."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, *map(str, arguments), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    async with asyncio.timeout(20):
        output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


async def verified(one: Bench, *options: object) -> tuple[int, str]:
    return await ended("-m", "gateway.cli", "activations", one.daemon.file, "verify", *options)


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()[1:]]


async def exported(one: Bench, path: Path) -> list[dict[str, Any]]:
    """The records of a ledger that verifies, by the gateway's word and by the published procedure."""
    assert (await verified(one, "--export", path))[0] == 0
    script = path.with_name("verify.py")
    script.write_text(re.search(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[1])
    status, output = await ended("-I", script, path)
    assert (status, output[:6]) == (0, "holds:"), output
    return read(path)


async def test_an_orders_whole_life_is_in_the_ledger_through_a_kill_and_the_end_is_told(tmp_path: Path) -> None:
    async with bench(tmp_path) as one:
        await one.online()
        id_ = await one.dso.send(LIMIT)
        await one.dso.acked(id_, "effective", timeout_s=20)
        refused = await one.dso.send({**LIMIT, "value": 150})
        await one.dso.acked(refused, "rejected", timeout_s=10)
        await exported(one, tmp_path / "running.jsonl")

        await one.daemon.end(signal.SIGKILL)
        await exported(one, tmp_path / "killed.jsonl")
        await one.daemon.start()
        await one.dso.until("a second session", lambda book: book.status and book.status.session == 2, timeout_s=20)
        await one.online()
        await one.dso.cancel(id_)
        await one.dso.acked(id_, "cancelled", timeout_s=10)
        await one.until("the limit is out of force", lambda: not one.limit_enabled)
        assert await one.daemon.end() == 0
        await one.daemon.start()
        await one.dso.until("the head", lambda book: heads(book.events), timeout_s=20)
        records = await exported(one, tmp_path / "all.jsonl")

        assert [r["body"]["session"] for r in records if r["kind"] == "start"] == [1, 2, 3]
        heard = sorted({h.ack.n for order in one.dso.book.orders if order.id == id_ for h in order.heard})
        assert [r["body"]["n"] for r in records if r["kind"] == "ack" and r["ref"] == id_] == heard
        order = next(r["body"] for r in records if r["kind"] == "order")
        assert (order["order"]["id"], order["order"]["value"], order["uplink"]) == (id_, 50.0, "dso")
        refusal = next(r for r in records if r["kind"] == "refused")
        assert (refusal["ref"], refusal["body"]["code"]) == (refused, "out_of_range")
        taken = {r["body"]["point"] for r in records if r["kind"] == "hold"}
        assert taken
        for kind in ("write", "written", "release"):
            assert taken <= {r["body"]["point"] for r in records if r["kind"] == kind}, kind
        last = heads(one.dso.book.events)[-1]
        assert {r["n"]: (r["hash"], r.get("signature")) for r in records}[last["n"]] == (
            last["hash"],
            last["signature"],
        )

        assert await one.daemon.end() == 0
        with contextlib.closing(sqlite3.connect(tmp_path / "state" / "store.db")) as connection:
            connection.execute("update ledger set record = cast(replace(record, 'accepted', 'rejected') as blob)")
            connection.commit()
        status, output = await verified(one)
        assert status == 4
        assert re.search(r"^broken +record \d+ was changed", output, re.MULTILINE)
        assert one.dso.book.faults == []


def heads(events: Any) -> list[dict[str, Any]]:
    return [event for event in events if event["code"] == "ledger_head"]


async def test_an_order_that_only_stands_adds_no_record(tmp_path: Path) -> None:
    """Its set-points are refreshed in the devices all along."""
    async with bench(tmp_path, name="refresh", control=REFRESHED) as one:
        await one.online()
        id_ = await one.dso.send({**LIMIT, "target": "inv1"})
        await one.dso.acked(id_, "effective", timeout_s=20)
        before = len(await exported(one, tmp_path / "before.jsonl"))
        writes = len(one.site.writes)
        await one.until("three refreshes", lambda: len(one.site.writes) >= writes + 3)
        after = await exported(one, tmp_path / "after.jsonl")
        assert len(after) <= before + 1  # the last write before may not have been on disk


REFRESHED = "  fallback: {der_lost: {after: 30s, device_revert: 4s}}\n"
