"""`dergate status`: the page it prints of a state, and each way in which nobody answers."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gateway import cli
from gateway.commands import status
from gateway.local import documents
from gateway.model import WriteResult
from tests.unit.local.world import LIMIT, ordered, snapshot, view

SITE = """\
site: {id: park, rated_power: 100kW}
devices:
  - {id: inv1, driver: modbus, endpoint: "tcp://127.0.0.1:1502", profile: sunspec, role: pv}
"""


def state_of(one: documents.View) -> Any:
    return json.loads(documents.encode(documents.state(one)))


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(cli.main, ["status", *map(str, words)])


def site_file(folder: Path, address: str | None) -> Path:
    file = folder / "site.yaml"
    file.write_text(SITE + (f"local: {{http: '{address}'}}\n" if address else ""))
    return file


@contextmanager
def answering(raw: bytes) -> Iterator[str]:
    """Something that answers every connection with the same bytes; its address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            try:
                connection, _ = listener.accept()
            except OSError:
                return  # the test is over and nobody came
            with connection:
                connection.recv(4096)
                connection.sendall(raw)

        thread = threading.Thread(target=answer)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def http(body: bytes, code: str = "200 OK") -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (code.encode(), len(body), body)


def test_the_page_of_a_site_at_rest() -> None:
    assert list(status.rows(state_of(view()))) == [
        ("site", "park (Park Seven)"),
        ("version", "9.9, up 1 min 40 s"),
        ("health", "every part makes progress"),
        ("devices", "1 of 4 online, away: inv1, bat1"),
        ("uplink dso", "connected; waiting: 5 frames, 1 messages"),
        ("activations", "0 open"),
        ("headroom", "+- -- W, +- -- var"),
    ]


def test_the_page_tells_orders_reasons_and_writes_that_failed() -> None:
    refused = {LIMIT.id: WriteResult(LIMIT.id, 60.0, None, "illegal data value", 0.0)}
    page = dict(
        status.rows(state_of(view(("store: full", "tick: late"), control=ordered(), snapshot=snapshot(writes=refused))))
    )

    assert page["health"] == "store: full; tick: late"
    assert page["activations"] == "1 open"
    assert page["pcc active_power"] == "limit_active_power 60000 W by o1 until 2026-11-22T10:10:00.000Z"
    assert page[f"write {LIMIT.id}"] == "illegal data value"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.9, "59 s"), (60, "1 min"), (125, "2 min 5 s"), (3600, "1 h"), (90_061, "1 d 1 h")],
)
def test_a_duration_is_told_in_its_two_largest_units(seconds: float, text: str) -> None:
    assert status.duration(seconds) == text


def test_a_table_or_the_raw_state(tmp_path: Path) -> None:
    body = documents.encode(documents.state(view()))
    with answering(http(body)) as address:
        assert run(site_file(tmp_path, address)).stdout.startswith("site         park (Park Seven)\n")
    with answering(http(body)) as address:
        result = run(site_file(tmp_path, address), "--json")
    assert (result.exit_code, json.loads(result.stdout)) == (0, json.loads(body))


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        pytest.param(http(b"<html>", "200 OK"), "is no gateway (HTTP 200)", id="a-web-page"),
        pytest.param(http(b'{"error": "x"}', "404 Not Found"), "is no gateway (HTTP 404)", id="no-such-path"),
        pytest.param(http(b"[]"), "is no gateway (HTTP 200)", id="another-document"),
        pytest.param(b"220 mail ready\r\n", "no gateway answers at", id="another-protocol"),
        pytest.param(b"", "no gateway answers at", id="hangs-up"),
        pytest.param(
            http(documents.encode({"site": "other", "uptime_s": 1})),
            "another site answers: other, not park",
            id="another-site",
        ),
    ],
)
def test_what_answers_otherwise_is_not_our_gateway(raw: bytes, reason: str, tmp_path: Path) -> None:
    with answering(raw) as address:
        result = run(site_file(tmp_path, address))

    assert (result.exit_code, result.stdout) == (3, "")
    assert reason in result.stderr
    assert "Traceback" not in result.stderr


def test_nobody_there_is_exit_3(tmp_path: Path) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))  # bound, and not listened at
        address = f"127.0.0.1:{reserved.getsockname()[1]}"
        result = run(site_file(tmp_path, address))

    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr == f"dergate status: no gateway runs: nothing listens at {address}\n"


def test_a_site_without_a_local_api_cannot_be_asked(tmp_path: Path) -> None:
    result = run(site_file(tmp_path, None))

    assert result.exit_code == 3
    assert "local.http is not set" in result.stderr


def test_without_a_site_file_the_usual_address_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def ask(address: str, document: str, **_: object) -> Any:
        asked.append(address)
        return state_of(view())

    monkeypatch.setattr(status, "ask", ask)

    assert run().exit_code == 0
    assert asked == ["127.0.0.1:8080"]


def test_a_bad_site_file_is_exit_2(tmp_path: Path) -> None:
    assert run(tmp_path / "none.yaml").exit_code == 2
