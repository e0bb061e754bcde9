"""`dergate dso send` and `watch`: what a person at a shell sees, and the exit status a script sees."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from hil.broker import EmbeddedBroker
from hil.dso.commands import ack_line, message_lines, order_text, send_command
from hil.dso.messages import Ack, decode
from tests.hil.messages import SITE, Json, ack, batch, encoded, gap
from tests.hil.peer import gateway

DEADLINE_S = 5.0
LIMIT = {"id": "x", "target": "pcc", "function": "limit_active_power", "value": 60, "unit": "%"}


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with EmbeddedBroker() as broker:
        yield broker.port


class Answering:
    """A gateway in a thread of its own that answers the first message on `activations` with these acknowledgements."""

    def __init__(self, port: int, *answers: Json) -> None:
        self._port, self._answers = port, answers
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))
        self.heard: Json = {}

    def __enter__(self) -> Answering:
        self._thread.start()
        assert self._ready.wait(DEADLINE_S)
        return self

    def __exit__(self, *error: object) -> None:
        self._thread.join(2 * DEADLINE_S)
        assert not self._thread.is_alive()

    async def _run(self) -> None:
        async with gateway(self._port) as gw:
            self._ready.set()
            self.heard, _ = await gw.heard("activations")
            for body in self._answers:
                await gw.says("acks", body)


def send(port: int, **options: Any) -> int:
    return send_command(url=f"mqtt://127.0.0.1:{port}", site=SITE, **{"timeout_s": DEADLINE_S, **options})


FULL = [ack(n, status, "x") for n, status in enumerate(("received", "accepted", "started", "effective"), 1)]
ENDS = {
    "effective": (FULL, 0, "effective"),
    "rejected": ([ack(1, "received", "x"), ack(2, "rejected", "x")], 5, "out_of_range"),
    "failed": ([*FULL[:3], ack(4, "failed", "x")], 1, "failed"),
}


@pytest.mark.parametrize(("answers", "status", "text"), ENDS.values(), ids=ENDS.keys())
def test_send_prints_each_answer_and_ends_with_the_status_of_the_last(
    port: int, capsys: pytest.CaptureFixture[str], answers: list[Json], status: int, text: str
) -> None:
    with Answering(port, ack(1, "effective", "of another order"), *answers) as gw:
        assert send(port, order=LIMIT) == status
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + len(answers)
    assert "sent x revision 1: pcc limit_active_power 60 %" in lines[0]
    assert text in lines[-1]
    assert gw.heard["function"] == "limit_active_power"


def test_a_cancellation_of_an_order_sent_by_someone_else_ends_with_its_last_word(
    port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with Answering(port, ack(7, "cancelled", "x", revision=3)) as gw:
        assert send(port, cancel=("x", 3)) == 0
    assert "cancelled" in capsys.readouterr().out.splitlines()[-1]
    assert (gw.heard["schema"], gw.heard["revision"]) == ("cancellation/1", 3)


def test_a_gateway_that_does_not_answer_is_told(port: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert send(port, order=LIMIT, timeout_s=0.3) == 1
    assert "no further answer within 0.3 s; last was: nothing at all" in capsys.readouterr().err


def test_an_order_accepted_for_a_later_start_is_no_failure(port: int) -> None:
    with Answering(port, *FULL[:2]):
        assert send(port, order=LIMIT, timeout_s=0.5) == 0


MISTAKES: dict[str, tuple[Callable[[], int], str]] = {
    "no broker": (lambda: send(1, order=LIMIT, timeout_s=0.3), "error: connected to the broker: not within 0.3 s"),
    "no address": (lambda: send_command(url="broker", site=SITE, order=LIMIT), "accepted: mqtt://"),
    "nothing to send": (lambda: send(1), "give either an order or a cancellation"),
}


@pytest.mark.parametrize(("run", "text"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_one_line(capsys: pytest.CaptureFixture[str], run: Callable[[], int], text: str) -> None:
    assert run() == 1
    error = capsys.readouterr().err
    assert text in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("json_lines", [False, True], ids=["readable", "json"])
def test_watch_prints_what_arrives_until_ctrl_c(port: int, json_lines: bool) -> None:
    arguments = f"url='mqtt://127.0.0.1:{port}', site={SITE!r}, json_lines={json_lines}"
    script = f"import sys; from hil.dso.commands import watch_command as w; sys.exit(w({arguments}))"
    watching = subprocess.Popen([sys.executable, "-u", "-c", script], stdout=subprocess.PIPE, text=True)
    assert watching.stdout is not None
    try:
        seen = asyncio.run(_say_until_seen(port, watching))
    finally:
        watching.send_signal(signal.SIGINT)
        assert watching.wait(DEADLINE_S) == 130
        watching.stdout.close()
    if json_lines:
        assert json.loads(seen)["topic"] == "acks"
        assert json.loads(seen)["message"]["status"] == "received"
    else:
        assert seen.startswith("ack    x r1 n=1")


async def _say_until_seen(port: int, watching: subprocess.Popen[str]) -> str:
    """Say the same word again and again, since nobody tells when the other process has subscribed."""
    assert watching.stdout is not None
    reading = asyncio.create_task(asyncio.to_thread(watching.stdout.readline))
    async with asyncio.timeout(2 * DEADLINE_S), gateway(port) as gw:
        while not reading.done():
            await gw.says("acks", ack(1, "received", "x"))
            await asyncio.wait([reading], timeout=0.1)
    return await reading


LINES = {
    "ack": ("acks", ack(4, "effective"), "ack    a r1 n=4  10:00:00.000  effective   requested 36,000 W  applied"),
    "frames": ("measurements", batch([1], lane="backfill"), "frame  10:00:00.000  1  pcc.active_power=1  (backfill)"),
    "event": ("events", gap(2, 3), 'event  {"time":"2026-11-22T10:00:00.000Z","code":"buffer_gap","from":2,"to":3}'),
    "status": ("status", {"site": SITE, "state": "offline"}, "status offline"),
}


@pytest.mark.parametrize(("name", "body", "start"), LINES.values(), ids=LINES.keys())
def test_a_message_is_a_line_a_person_can_read(name: str, body: Json, start: str) -> None:
    assert message_lines(name, decode(name, encoded(body)))[0].startswith(start)


def test_a_refusal_names_its_code_and_detail() -> None:
    refused = decode("acks", encoded(ack(2, "rejected", requested=None, applied=None, measured=None, detail="150 %")))
    assert isinstance(refused, Ack)
    assert ack_line(refused, 0.1234) == "10:00:00.000    0.123 s  rejected    out_of_range: 150 %"


def test_a_power_factor_keeps_its_digits() -> None:
    effective = decode("acks", encoded(ack(4, "effective", requested=0.95, applied=0.95, measured=-0.9512, unit=None)))
    assert isinstance(effective, Ack)
    assert ack_line(effective).endswith("requested 0.95  applied 0.95  measured -0.951")


TEXTS: dict[str, tuple[Json, str]] = {
    "value": ({"value": 60.0, "unit": "%"}, "60.0 %"),
    "schedule": ({"schedule": {"resolution": 900, "values": [1, 2, 3]}, "unit": "W"}, "3 steps of 900 s, 1 to 3 W"),
    "power factor": ({"value": 0.9, "excitation": "under", "response": 5.0}, "0.9 under response 5 s"),
    "mean": ({"value": 5.0, "unit": "W", "mean": 900.0}, "5.0 W mean 900 s"),
    "curve": ({"curve": [(0.5, 1), (1, -0.9)]}, "0.5:1 1:-0.9"),
    "preset": ({"curve": "ieee1547-2018-b"}, "ieee1547-2018-b"),
    "droop": ({"value": {"deadband_hz": 0.2, "sides": "over"}}, "deadband_hz=0.2 sides=over"),
    "nothing": ({}, ""),
}


@pytest.mark.parametrize(("fields", "text"), TEXTS.values(), ids=TEXTS.keys())
def test_what_is_sent_is_told_in_one_line(fields: Json, text: str) -> None:
    assert order_text({"target": "pcc", "function": "f", **fields}) == f"pcc f {text}".rstrip()


def test_an_order_without_a_number_ends_with_its_acknowledgements(
    port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    silent = {"requested": None, "applied": None, "measured": None, "unit": None}
    answers = [ack(n, status, "x", **silent) for n, status in enumerate(("received", "accepted", "started"), 1)]
    with Answering(port, *answers, ack(4, "effective", "x", **silent)) as gw:
        assert send(port, order={"id": "x", "target": "inv1", "function": "disconnect"}) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "sent x revision 1: inv1 disconnect"
    assert lines[-1].endswith("effective")
    assert "value" not in gw.heard
