"""The ledger: whatever is changed, left out, put in or moved is found, and where; what was committed is in it."""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from gateway import identity
from gateway.ledger import signed
from gateway.model import Hold, Outgoing
from gateway.store import Store, StoreError, chain, database, inspect, ledger, opening
from gateway.store.chain import NOTHING, Base, Link, Note
from gateway.store.errors import StoreMissing
from gateway.store.ledger import Signer
from tests.unit.store import test_crash
from tests.unit.store.helpers import T0, Clock, entry, limits, opened, until

DAY = 86_400.0


def signer() -> Signer:
    one = identity.Identity(Ed25519PrivateKey.generate())
    return Signer(one.public_key_pem.decode(), one.sign)


KEY = signer()


def note(i: int, time: float = T0) -> Note:
    return Note(time, "ack", f"order {i % 3}", b'{"n":%d,"text":"\\"hash\\":\\"}"}' % i)


@asynccontextmanager
async def keeping(path: Path, *, by: Signer = KEY, wall: float = T0, **changes: object) -> AsyncIterator[Store]:
    """A store with a ledger, started and closed in the end."""
    store = Store.open(path, now=Clock(wall), limits=limits(**changes))
    store.register("dso")
    store.keep_ledger(by, {"site": "s"})
    await store.start()
    try:
        yield store
    finally:
        await store.close()


def verdict(path):
    with inspect.ledger(path) as (base, links):
        return chain.verify(base, links, signed)


def chained(batches: list[int]) -> tuple[Base, list[Link]]:
    """A ledger of a start and batches of records, made in memory."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    database.migrate(connection, database.migrations())
    ledger.begin(connection, KEY, {"site": "s"}, T0)
    for batch in batches:
        ledger.append(connection, [note(i) for i in range(batch)], KEY)
    base = ledger.load_base(connection)
    assert base is not None
    return base, [Link(*row) for row in connection.execute("select * from ledger order by n")]


BASE, LINKS = chained([1, 3, 2, 1, 4])
SEEN = chain.verify(BASE, LINKS, signed)


# -- the chain ----------------------------------------------------------------------------


def found(links: list[Link], base: Base | None = BASE) -> list[str]:
    return [fault.text for fault in chain.verify(base, links, signed).faults]


def test_an_untouched_ledger_holds_and_says_what_is_in_it():
    assert SEEN.holds
    assert (SEEN.records, SEEN.first.n, SEEN.last.n) == (12, 1, 12)
    assert SEEN.keys == ((1, KEY.public_key),)
    assert SEEN.head == LINKS[-1]
    assert SEEN.answered == {"order 0": 3, "order 1": 1, "order 2": 2}


PARTS = ("record", "hash", "signature")


@given(st.integers(0, len(LINKS) - 1), st.sampled_from(PARTS), st.integers(0, 10_000), st.integers(1, 255))
def test_any_single_byte_that_is_changed_is_found_at_its_record(index, part, position, change):
    link = LINKS[index]
    old = getattr(link, part) or link.record
    part = part if getattr(link, part) else "record"
    at = position % len(old)
    new = old[:at] + bytes([old[at] ^ change]) + old[at + 1 :]
    verdict = chain.verify(BASE, [*LINKS[:index], replace(link, **{part: new}), *LINKS[index + 1 :]], signed)
    assert not verdict.holds
    # a changed hash is wrong at its record; what follows was made with the true one
    assert link.n in {fault.n for fault in verdict.faults}
    assert {fault.n for fault in verdict.faults} <= {0, link.n, link.n + 1}


@given(st.integers(0, len(LINKS) - 2))
def test_any_record_that_is_removed_is_found(index):
    assert found([*LINKS[:index], *LINKS[index + 1 :]])[0] == f"records {index + 1} to {index + 1} are missing"


@given(st.integers(0, len(LINKS) - 1), st.integers(0, len(LINKS)))
def test_any_record_that_is_repeated_or_put_in_elsewhere_is_found(index, at):
    assert found([*LINKS[:at], LINKS[index], *LINKS[at:]])


@given(st.integers(0, len(LINKS) - 1), st.integers(0, len(LINKS) - 1))
def test_any_two_records_that_are_swapped_are_found(one, other):
    links = list(LINKS)
    links[one], links[other] = links[other], links[one]
    assert bool(found(links)) == (one != other)


@given(st.integers(1, len(LINKS) - 1), st.booleans())
def test_any_record_that_is_made_up_and_chained_anew_is_found_by_the_signature(index, signed_by_another):
    """Who changes a record and all hashes behind it lacks the key for the signatures."""
    other = signer()
    links, previous = LINKS[:index], LINKS[index - 1].hash
    for link in LINKS[index:]:
        forged = chain.linked(previous, link.n, note(link.n + 100))
        previous = forged.hash
        signature = other.sign(chain.SEAL + forged.hash) if signed_by_another else link.signature
        links = [*links, replace(forged, signature=link.signature and signature)]
    assert any("signature" in text for text in found(links))


@given(st.integers(0, len(LINKS) - 1))
def test_an_end_cut_off_within_a_commit_is_found_and_one_between_commits_shows_in_what_was_answered(kept):
    links = LINKS[:kept]
    if kept and links[-1].signature is None:
        assert found(links)[-1].endswith("is not signed: what followed it was cut off")
    elif kept:  # by itself it is whole: what others know has to be compared
        verdict = chain.verify(BASE, links, signed)
        assert verdict.holds
        assert verdict.head != SEEN.head
        assert verdict.answered != SEEN.answered
    else:
        assert found(links) == ["there is no record"]


@pytest.mark.parametrize(
    ("base", "says"),
    [
        (None, "what stands before the oldest record cannot be read"),
        (replace(BASE, hash="11" * 32), "something else than nothing stands before the first record"),
        (replace(BASE, hash="no hash"), "the hash before the oldest record is none"),
        (replace(BASE, key=signer().public_key), "no record confirms what stands before record 1"),
        (Base(0, NOTHING.hex(), "no key"), "no record confirms what stands before record 1"),
    ],
    ids=["none", "hash", "no-hash", "key", "no-key"],
)
def test_a_base_that_is_not_the_one_that_was_signed_is_found(base, says):
    assert says in found(LINKS, base)


def test_a_front_that_was_cut_off_with_a_base_to_fit_is_found():
    """Only a base that a signed record names is one."""
    base = Base(3, LINKS[2].hash.hex(), KEY.public_key)
    assert found(LINKS[3:], base) == ["no record confirms what stands before record 4"]


def test_what_is_no_record_is_told_and_the_rest_is_still_looked_at():
    odd = [replace(link, record=b"\xff{" * 3) if link.n in {4, 9} else link for link in LINKS]
    assert {fault.n for fault in chain.verify(BASE, odd, signed).faults} == {4, 9}


def test_all_faults_are_counted_and_the_first_are_told():
    verdict = chain.verify(BASE, [replace(link, hash=b"") for link in LINKS] * 5, signed)
    assert verdict.fault_count > len(verdict.faults) == chain.FAULTS_MAX


# -- on disk ------------------------------------------------------------------------------


async def test_a_store_without_a_ledger_begins_one_and_keeps_what_it_has(tmp_path):
    scripts = database.migrations()
    async with opened(tmp_path) as store:
        await store.commit(entries=[entry("a")], holds=[Hold("inv1.active_power_limit", 70.0)])
    connection = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
    connection.executescript(f"drop table ledger; pragma user_version = {len(scripts[:2])};")
    connection.close()
    with pytest.raises(StoreMissing, match="has no ledger yet"):
        verdict(tmp_path)
    async with keeping(tmp_path) as store:
        assert [one.id for one in store.entries()] == ["a"]
        assert store.holds() == (Hold("inv1.active_power_limit", 70.0),)
    seen = verdict(tmp_path)
    assert seen.holds
    assert (seen.records, seen.first.kind) == (1, "start")
    assert seen.first.body["epoch"] == store.epoch
    assert seen.first.body["site"] == "s"


async def test_what_is_committed_is_in_the_ledger_at_once_and_signed(tmp_path):
    async with keeping(tmp_path) as store:
        for i in range(5):
            await store.commit(entries=[entry(str(i))], notes=[note(i), note(i + 1)])
            head = await store.ledger_head()
            assert (head.n, head.signature is None) == (1 + 2 * (i + 1), False)
            assert verdict(tmp_path).holds


async def test_a_commit_that_fails_leaves_no_record(tmp_path):
    async with keeping(tmp_path) as store:
        odd = Outgoing("acks", b"", ref=object())  # type: ignore[arg-type]  # has no form in the file
        with pytest.raises(StoreError):
            await store.commit(outgoing=[odd], notes=[note(1)])
        await store.commit(notes=[note(2)])
    seen = verdict(tmp_path)
    assert seen.holds
    assert seen.last.body["n"] == 2


async def test_notes_for_a_ledger_that_is_not_kept_are_refused(tmp_path):
    async with opened(tmp_path) as store:
        with pytest.raises(StoreError, match="no ledger is kept"):
            await store.commit(notes=[note(1)])


async def test_each_start_is_recorded_and_another_key_shows(tmp_path):
    other = signer()
    for by in (KEY, KEY, other):
        async with keeping(tmp_path, by=by) as store:
            await store.commit(notes=[note(1)])
    seen = verdict(tmp_path)
    assert seen.holds
    assert seen.keys == ((1, KEY.public_key), (5, other.public_key))
    with inspect.ledger(tmp_path) as (_, links):
        starts = [r.body["session"] for r in (chain.read(link.record) for link in links) if r.kind == "start"]
    assert starts == [1, 2, 3]


async def pruned(path: Path, **changes: object) -> None:
    """Open and close once more, after the pruning at the start is done."""
    async with keeping(path, **changes) as store:  # type: ignore[arg-type]  # the tests name real arguments
        await until(lambda: not store._pruning, "pruned")


async def test_the_front_is_pruned_past_its_age_and_the_rest_still_holds(tmp_path):
    other = signer()
    async with keeping(tmp_path) as store:
        await store.commit(notes=[note(i) for i in range(10)])
    async with keeping(tmp_path, by=other, wall=T0 + 1 * DAY) as store:
        await store.commit(notes=[note(i, T0 + 1 * DAY) for i in range(10)])
    await pruned(tmp_path, by=other, wall=T0 + 29 * DAY, max_age_s=DAY)
    assert verdict(tmp_path).first.n == 1  # kept as long as orders are, 30 days, whatever the buffer's age
    await pruned(tmp_path, by=other, wall=T0 + 31.5 * DAY, max_age_s=DAY)
    seen = verdict(tmp_path)
    assert seen.holds
    assert seen.first.time > chain.stamp(T0 + 1 * DAY)
    assert seen.keys == ((23, other.public_key),)
    assert "checkpoint" in {r.kind for r in records(tmp_path)}
    await pruned(tmp_path, by=other, wall=T0 + 300 * DAY, max_age_s=DAY)
    seen = verdict(tmp_path)
    assert seen.holds
    assert seen.records <= 2


def records(path):
    with inspect.ledger(path) as (_, links):
        return [chain.read(link.record) for link in links]


async def test_a_ledger_that_is_more_than_its_share_loses_its_front_and_says_so(tmp_path):
    most = 20
    size = most * ledger.RECORD_BYTES * ledger.SHARE
    async with keeping(tmp_path) as store:
        await store.commit(notes=[note(i) for i in range(200)])
    await pruned(tmp_path, max_size_bytes=size)
    seen = verdict(tmp_path)
    assert seen.holds
    assert seen.records <= most + 1
    checkpoints = [record for record in records(tmp_path) if record.kind == "checkpoint"]
    assert checkpoints[-1].body["reason"] == "max_size"


async def test_a_front_is_pruned_in_passes_that_hold_nothing_up(tmp_path, monkeypatch):
    monkeypatch.setattr(ledger, "PRUNE_ROWS", 30)
    async with keeping(tmp_path) as store:
        await store.commit(notes=[note(i) for i in range(200)])
    await pruned(tmp_path, wall=T0 + 100 * DAY)
    async with keeping(tmp_path, wall=T0 + 100 * DAY) as store:
        await until(lambda: verdict(tmp_path).records < 30, "all passes are done")
    assert verdict(tmp_path).holds


async def test_a_ledger_is_read_in_pages_also_while_it_grows(tmp_path, monkeypatch):
    monkeypatch.setattr(inspect, "PAGE_RECORDS", 3)
    async with keeping(tmp_path) as store:
        await store.commit(notes=[note(i) for i in range(10)])
        with inspect.ledger(tmp_path) as (base, links):
            first = next(links)
            await store.commit(notes=[note(i) for i in range(10)])
            seen = chain.verify(base, [first, *links], signed)
    assert seen.holds
    assert seen.records == 21


async def test_a_pruning_during_a_reading_is_told_and_not_taken_for_a_fault(tmp_path, monkeypatch):
    monkeypatch.setattr(inspect, "PAGE_RECORDS", 3)
    async with keeping(tmp_path) as store:
        await store.commit(notes=[note(i) for i in range(20)])
    with inspect.ledger(tmp_path) as (base, links):
        first = next(links)
        await pruned(tmp_path, wall=T0 + 100 * DAY)
        with pytest.raises(StoreError, match="pruned while it was being read"):
            chain.verify(base, [first, *links], signed)


async def test_a_damaged_store_takes_its_ledger_along_and_goes_on(tmp_path):
    async with keeping(tmp_path) as store:
        await store.commit(notes=[note(i) for i in range(10)])
    (tmp_path / opening.SUSPECT).touch()
    async with keeping(tmp_path) as store:
        assert "11 ledger rows" in store.opened_after_damage
        await store.commit(notes=[note(1)])
    seen = verdict(tmp_path)
    assert seen.holds
    assert seen.records == 13


async def test_of_a_long_ledger_the_newest_part_is_taken_along_and_holds(tmp_path, monkeypatch):
    async with keeping(tmp_path) as store:
        await store.commit(notes=[note(i) for i in range(50)])
    (tmp_path / opening.SUSPECT).touch()
    monkeypatch.setattr(opening, "CARRIED_ROWS", 20)
    async with keeping(tmp_path):
        pass
    seen = verdict(tmp_path)
    assert [fault.text for fault in seen.faults] == []
    assert (seen.first.n, seen.records) == (32, 21)


async def test_records_lost_to_damage_stay_missing(tmp_path):
    async with keeping(tmp_path) as store:
        await store.commit(notes=[note(i) for i in range(10)])
    connection = sqlite3.connect(tmp_path / "store.db")
    connection.execute("delete from ledger where n in (4, 5)")
    connection.commit()
    connection.close()
    (tmp_path / opening.SUSPECT).touch()
    async with keeping(tmp_path) as store:
        await store.commit(notes=[note(1)])
    assert [fault.text for fault in verdict(tmp_path).faults] == ["records 4 to 5 are missing"]


def test_killed_twenty_times_under_load_the_chain_is_whole_and_has_all_that_was_told(tmp_path, monkeypatch):
    monkeypatch.setattr(test_crash, "CHILD", Path(__file__).with_name("ledger_child.py"))
    rng = random.Random(20261122)
    victims = test_crash.Victims(tmp_path)
    try:
        for round_ in range(20):
            pid = victims.start()
            if round_ % 4:  # every fourth is killed while it opens, or shortly after
                victims.work()
            time.sleep(rng.uniform(0.0, 0.03))  # the moment of a kill is nobody's state
            victims.kill(pid)
    finally:
        victims.close()
    seen = verdict(victims.state_dir)
    assert [fault.text for fault in seen.faults] == []
    assert len(seen.keys) == 1
    told = {ref for _, ref in victims.lines()}
    kept = {record.ref for record in records(victims.state_dir) if record.kind == "order"}
    assert len(told) > 20
    assert told <= kept
