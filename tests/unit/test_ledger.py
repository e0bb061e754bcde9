"""What is recorded, what `verify` tells of it, and that the published procedure finds every kind of damage."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from gateway import identity
from gateway.commands.activations import BROKEN, command
from gateway.control.cycle import Event, Outcome, Reply
from gateway.control.mirror import Mirror
from gateway.ledger import WAITING_MAX, Recorder, signed
from gateway.model import Ack, Activation, Entry, Hold, Instant, SetPoint, Status, WriteResult
from gateway.store import Limits, Store
from gateway.store.chain import Note
from gateway.store.ledger import Signer
from gateway.uplink.messages import json as messages

T0 = 1_795_341_600.0
LIMIT = "inv1.active_power_limit"
ORDER = Activation(id="a", revision=1, issuer="dso", issued=T0, target="pcc", function="limit_active_power", value=60.0)


def outcome(*, replies=(), entries=(), holds=(), released=(), events=(), setpoints=()) -> Outcome:
    return Outcome(1, replies, entries, holds, released, events, setpoints, Mirror())


def said(n: int, status: Status, code: str | None = None) -> Reply:
    ack = Ack(id="a", revision=1, n=n, status=status, time=T0 + 1, code=code, detail=code and "too much")
    return Reply(ack, "dso")


def entry(status: Status, n: int, activation: Activation | None = ORDER) -> Entry:
    reply = said(n, status)
    return Entry(
        id="a",
        revision=1,
        uplink="dso",
        status=status,
        n=n,
        received=T0,
        activation=activation,
        digest="d1",
        last=reply.ack,
    )


def setpoint(value: float | None, cause: str = "a", expires: float = 5.0) -> SetPoint:
    return SetPoint(LIMIT, value, expires, cause)


def result(value: float, mono: float, error: str | None = None) -> WriteResult:
    return WriteResult(LIMIT, value, None if error else value, error, mono)


def recorder() -> Recorder:
    return Recorder(lambda ack: messages.ack("s", ack))


def told(one: Recorder) -> list[tuple[str, str | None, dict[str, object]]]:
    """Kind, ref and body of all that waits; it is on disk then."""
    notes = one.notes()
    one.recorded(len(notes))
    return [(note.kind, note.ref, json.loads(note.body)) for note in notes]


def test_an_accepted_order_is_recorded_as_understood_with_its_acknowledgements():
    one = recorder()
    replies = (said(1, Status.RECEIVED), said(2, Status.ACCEPTED))
    one.take(T0, outcome(replies=replies, entries=(entry(Status.ACCEPTED, 2),)), {})
    (order, *acks) = [note for note in told(one) if note[0] != "ack" or note[2]["status"] == "accepted"]
    assert (order[0], order[1]) == ("order", "a")
    assert (order[2]["digest"], order[2]["uplink"], order[2]["order"]["value"]) == ("d1", "dso", 60.0)
    assert acks == [("ack", "a", json.loads(messages.ack("s", replies[1].ack)))]


@pytest.mark.parametrize("activation", [ORDER, None], ids=["readable", "unreadable"])
def test_a_refused_payload_is_recorded_with_its_code_and_what_was_read(activation):
    one = recorder()
    replies = (said(1, Status.RECEIVED), said(2, Status.REJECTED, "out_of_range"))
    one.take(T0, outcome(replies=replies, entries=(entry(Status.REJECTED, 2, activation),)), {})
    notes = told(one)
    assert [kind for kind, _, _ in notes] == ["ack", "refused", "ack"]
    body = notes[1][2]
    assert (body["code"], body["detail"]) == ("out_of_range", "too much")
    assert (body["order"] or {}).get("target") == (activation and "pcc")


def test_an_acknowledgement_that_is_sent_again_is_no_new_record():
    one = recorder()
    one.take(T0, outcome(replies=(said(2, Status.ACCEPTED),)), {})
    assert told(one) == []


def test_a_write_is_recorded_when_it_is_handed_over_and_when_it_has_ended():
    one = recorder()
    one.take(T0, outcome(setpoints=(setpoint(60.0),)), {})
    one.take(T0 + 1, outcome(), {LIMIT: result(60.0, 1.0)})
    assert told(one) == [
        ("write", "a", {"point": LIMIT, "value": 60.0}),
        ("written", "a", {"point": LIMIT, "value": 60.0, "readback": 60.0}),
    ]


@pytest.mark.parametrize(
    ("then", "results", "kinds"),
    [
        (setpoint(60.0, expires=50.0), result(60.0, 2.0), []),
        (setpoint(50.0), result(50.0, 2.0), ["write", "written"]),
        (setpoint(60.0, "b"), result(60.0, 2.0), ["write"]),
        (setpoint(None, "release"), result(60.0, 2.0), ["write"]),
        (setpoint(60.0), result(60.0, 2.0, "no answer"), ["written"]),
    ],
    ids=["refreshed", "another value", "another cause", "out of force", "it fails now"],
)
def test_of_writes_only_changes_are_recorded(then, results, kinds):
    one = recorder()
    one.take(T0, outcome(setpoints=(setpoint(60.0),)), {})
    one.take(T0 + 1, outcome(), {LIMIT: result(60.0, 1.0)})
    told(one)
    one.take(T0 + 2, outcome(setpoints=(then,)), {LIMIT: result(60.0, 1.0)})
    one.take(T0 + 3, outcome(), {LIMIT: results})
    assert [kind for kind, _, _ in told(one)] == kinds


def test_what_is_taken_over_given_back_and_told_is_recorded():
    one = recorder()
    holds, events = (Hold(LIMIT, 100.0),), (Event("der_lost", "inv1 is away"),)
    one.take(T0, outcome(holds=holds, released=("bat.connect",), events=events), {})
    assert told(one) == [
        ("hold", None, {"point": LIMIT, "before": 100.0}),
        ("release", None, {"point": "bat.connect"}),
        ("event", None, {"code": "der_lost", "detail": "inv1 is away"}),
    ]


def test_notes_stay_until_they_are_on_disk():
    one = recorder()
    assert not one.waits
    one.take(T0, outcome(setpoints=(setpoint(60.0),)), {})
    assert one.waits
    first = one.notes()
    one.take(T0, outcome(setpoints=(setpoint(50.0),)), {})
    assert one.notes()[: len(first)] == first
    one.recorded(len(first))
    assert [json.loads(note.body)["value"] for note in one.notes()] == [50.0]
    one.recorded(1)
    assert not one.waits


def test_while_the_disk_fails_memory_is_bounded_and_the_gap_is_recorded():
    one = recorder()
    for i in range(WAITING_MAX + 7):
        one.take(T0, outcome(setpoints=(setpoint(float(i)),)), {})
        if i % 1000 == 0:
            one.notes()  # the commit is tried, and fails
    assert len(one.notes()) == WAITING_MAX
    one.recorded(WAITING_MAX)
    one.take(T0, outcome(events=(Event("x", ""),)), {})
    assert told(one)[0] == ("event", None, {"code": "ledger_gap", "writes": 7})


# -- the command and the published procedure

PAGE = Path(__file__).parents[2] / "config" / "contract" / "ledger.md"
SCRIPT = re.search(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[1]
SITE = """
site: {id: s, rated_power: 60kW}
state_dir: state
devices:
  - id: inv1
    driver: modbus
    endpoint: tcp://127.0.0.1:502
    unit: 1
    role: pv
    points: [{name: active_power, register: "input:0", type: float32, unit: W}]
"""


async def fill(state_dir: Path) -> None:
    now = Instant(T0, 0.0)
    store = Store.open(state_dir, now=lambda: now, limits=Limits())
    key = identity.load_or_create(state_dir)
    store.keep_ledger(Signer(key.public_key_pem.decode(), key.sign), {"site": "s"})
    await store.start()
    for n in range(2, 7):
        reply = said(n, Status.EFFECTIVE)
        notes = [Note(T0, "ack", "a", messages.ack("s", reply.ack)), Note(T0, "write", "a", b'{"hash":"\\u00e4"}')]
        await store.commit(entries=[entry(Status.EFFECTIVE, n)], notes=notes[: 1 + n % 2])
    await store.close()


@pytest.fixture(scope="module")
def template(tmp_path_factory) -> Path:
    """A site with a ledger of 9 records, and its export."""
    folder = tmp_path_factory.mktemp("ledger")
    (folder / "site.yaml").write_text(SITE)
    asyncio.run(fill(folder / "state"))
    assert run(folder, "--export", folder / "ledger.jsonl").exit_code == 0
    return folder


@pytest.fixture
def site(tmp_path) -> Path:
    (tmp_path / "site.yaml").write_text(SITE)
    asyncio.run(fill(tmp_path / "state"))
    return tmp_path


def run(folder: Path, *options: object):
    return CliRunner().invoke(command, [str(folder / "site.yaml"), "verify", *map(str, options)])


def change(folder: Path, statement: str) -> None:
    with contextlib.closing(sqlite3.connect(folder / "state" / "store.db")) as connection:
        connection.execute(statement)
        connection.commit()


def own_fingerprint(folder: Path) -> str:
    return identity.fingerprint(identity.load(folder / "state").public_key_pem)


def test_a_whole_ledger_is_told_with_its_head_and_its_key(template):
    told = run(template)
    assert told.exit_code == 0
    assert "records  8: 1 of 2026-11-22T10:00:00.000Z to 8 of " in told.output
    assert f"key      {own_fingerprint(template)} from record 1" in told.output
    assert "the chain is whole" in told.output


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("update ledger set n = n", None),
        (
            "update ledger set record = cast(replace(cast(record as text), 's', 'z') as blob) where n = 3",
            "record 3 was",
        ),
        ("delete from ledger where n = 4", "records 4 to 4 are missing"),
        ("delete from ledger where n > 7", "acknowledgement 6 of a is not in the ledger"),
        ("update ledger set signature = null where n = 8", "record 8, the last one, is not signed"),
        ("delete from meta where key = 'ledger_base'", "what stands before the oldest record cannot be read"),
        ("delete from ledger", "there is no record"),
    ],
    ids=["nothing", "changed", "removed", "cut", "unsigned", "no base", "emptied"],
)
def test_what_is_broken_is_told_with_its_place_and_the_exit_status(site, statement, says):
    change(site, statement)
    told = run(site)
    assert told.exit_code == (BROKEN if says else 0)
    assert (says or "whole") in told.output


def test_a_ledger_signed_by_another_key_than_the_gateways_is_broken(site):
    (site / "state" / identity.KEY_FILE).unlink()
    identity.load_or_create(site / "state")
    told = run(site)
    assert told.exit_code == BROKEN
    assert f"the gateway's own key is {own_fingerprint(site)}" in told.output


def test_without_the_key_at_hand_the_chain_is_verified_all_the_same(site):
    (site / "state" / identity.KEY_FILE).unlink()
    told = run(site)
    assert told.exit_code == 0
    assert "not compared with the gateway's own" in told.output


def test_an_export_that_cannot_be_written_is_one_sentence(site):
    for path, why in (
        (site / "nowhere" / "x.jsonl", "No such file or directory"),
        ("/dev/full", "No space left on device"),
    ):
        told = run(site, "--export", path)
        assert told.exit_code == 1
        assert f"{path}: {why}" in told.output


def test_a_site_without_a_ledger_is_one_sentence(tmp_path):
    (tmp_path / "site.yaml").write_text(SITE)
    told = run(tmp_path)
    assert told.exit_code == 1
    assert "there is no store" in told.output


def procedure(path: Path, *known: str) -> str:
    """What the published script says; its output, or why it ends."""
    out, argv = io.StringIO(), sys.argv
    sys.argv = ["verify.py", str(path), *known]
    try:
        with contextlib.redirect_stdout(out):
            exec(compile(SCRIPT, "verify.py", "exec"), {"__name__": "__main__"})
    except SystemExit as end:
        return str(end.code)
    finally:
        sys.argv = argv
    return out.getvalue()


def test_the_published_script_has_at_most_40_lines_and_runs_by_itself(template, tmp_path):
    assert len(SCRIPT.splitlines()) <= 40
    (tmp_path / "verify.py").write_text(SCRIPT)
    command_line = [sys.executable, "-I", tmp_path / "verify.py", template / "ledger.jsonl", own_fingerprint(template)]
    done = subprocess.run(command_line, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert done.stdout.startswith("holds: records 1 to 8, head ")
    (tmp_path / "broken.jsonl").write_bytes((template / "ledger.jsonl").read_bytes()[:-2])
    done = subprocess.run([*command_line[:3], tmp_path / "broken.jsonl"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr[:7]) == (1, "BROKEN:")


def test_the_published_script_refuses_a_key_that_is_not_known(template):
    assert procedure(template / "ledger.jsonl", "0000 0000 0000 0000").startswith("BROKEN: ")


def lines(folder: Path) -> list[bytes]:
    return (folder / "ledger.jsonl").read_bytes().splitlines(keepends=True)


def judged(folder: Path, changed: list[bytes]) -> str:
    path = folder / "changed.jsonl"
    path.write_bytes(b"".join(changed))
    return procedure(path)


@given(position=st.integers(0), flip=st.integers(1, 255))
def test_the_published_script_finds_any_single_byte_that_is_changed(template, position, flip):
    data = bytearray(b"".join(lines(template)))
    data[position % len(data)] ^= flip
    assert judged(template, [bytes(data)]).startswith("BROKEN: ")


@given(data=st.data())
def test_the_published_script_finds_any_line_removed_repeated_put_in_or_swapped(template, data):
    whole = lines(template)
    one = data.draw(st.integers(0, len(whole) - 1), label="line")
    other = data.draw(st.integers(0, len(whole) - 1).filter(lambda i: i != one), label="other")
    swapped = list(whole)
    swapped[one], swapped[other] = swapped[other], swapped[one]
    assert judged(template, swapped).startswith("BROKEN: ")
    assert judged(template, [*whole[:other], whole[one], *whole[other:]]).startswith("BROKEN: ")
    if one < len(whole) - 1:  # the last one is a cut of the end, which the page speaks of
        assert judged(template, whole[:one] + whole[one + 1 :]).startswith("BROKEN: ")


def test_the_published_script_finds_an_end_cut_off_within_a_transaction(template):
    whole = lines(template)
    cuts = {len(whole[:at]) - 1: judged(template, whole[:at])[:6] for at in range(2, len(whole))}
    unsigned = {n for n in cuts if b'"signature"' not in whole[n]}
    assert unsigned
    assert {n for n, verdict in cuts.items() if verdict == "BROKEN"} == unsigned


def test_the_published_script_finds_a_ledger_that_was_made_anew(template, tmp_path):
    """Whole in itself, but signed by another key."""
    (tmp_path / "site.yaml").write_text(SITE)
    asyncio.run(fill(tmp_path / "state"))
    assert run(tmp_path, "--export", tmp_path / "other.jsonl").exit_code == 0
    assert procedure(tmp_path / "other.jsonl").startswith("holds")
    assert procedure(tmp_path / "other.jsonl", own_fingerprint(template)).startswith("BROKEN: ")


def test_a_key_that_is_none_has_signed_nothing():
    key = identity.Identity(Ed25519PrivateKey.generate())
    pem = key.public_key_pem.decode()
    assert signed(pem, key.sign(b"x"), b"x")
    assert not signed(pem, key.sign(b"x"), b"y")
    assert not signed("", key.sign(b"x"), b"x")
