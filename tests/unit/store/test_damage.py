"""A damaged file never stops the daemon: it is kept, a new store is made, and what can be read is carried over."""

import os
import random
import shutil
import sqlite3

import pytest

from gateway.model import Hold, Outgoing
from gateway.store import Store, StoreError, opening, recent
from gateway.store.outbox import WAL_LOST_NUMBERS
from tests.unit.store.helpers import (
    Clock,
    ack,
    entry,
    flat,
    frame,
    frames,
    limits,
    numbers,
    opened,
    pending,
    until,
    written,
)


def gap(first: int, last: int, reason: str) -> bytes:
    return f"gap {first} {last} {reason}".encode()


async def filled(state_dir):
    """A store with frames, orders and messages, closed; its epoch."""
    async with opened(state_dir, "dso", on_gap=gap) as store:
        for i in range(40):
            await store.commit(entries=[entry(f"order {i}")], outgoing=[Outgoing("acks", b"%d" % i + b" " * 3000)])
        await store.commit(holds=[Hold("inv1.active_power_limit", 100.0)])
        await written(store, frames(700))
        await store.acknowledge_messages("dso", list(range(1, 31)))
        return store.epoch


def scribble_header(path):
    with path.open("r+b") as file:
        file.write(os.urandom(100))


def truncate(path):
    os.truncate(path, path.stat().st_size // 2 // 4096 * 4096)


def empty(path):
    os.truncate(path, 0)


def foreign_text(path):
    path.write_text("this is a shopping list\n" * 1000)


def foreign_database(path):
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("create table songs (title text)")
    connection.close()


def directory(path):
    path.unlink()
    path.mkdir()


def lost_table(path):
    with sqlite3.connect(path) as connection:
        connection.execute("drop table position")
    connection.close()


def scribble_pages(path):
    """Every fifth page behind the tables' roots."""
    rng = random.Random(7)
    with path.open("r+b") as file:
        for page in range(14, path.stat().st_size // 4096, 5):
            file.seek(page * 4096)
            file.write(rng.randbytes(4096))


@pytest.mark.parametrize(
    "harm",
    [
        scribble_header,
        truncate,
        empty,
        foreign_text,
        foreign_database,
        directory,
        lost_table,
        scribble_pages,
    ],
    ids=lambda harm: harm.__name__,
)
async def test_a_damaged_file_is_kept_and_a_new_store_goes_on(tmp_path, harm):
    old_epoch = await filled(tmp_path)
    path = tmp_path / "store.db"
    harm(path)
    damaged = None if path.is_dir() else path.read_bytes()

    async with opened(tmp_path, "dso", on_gap=gap) as store:
        assert "kept as store.damaged-1" in store.opened_after_damage
        assert store.epoch != old_epoch
        assert store.last_frame == 0
        events = [m.payload for _, m in await pending(store, "dso") if m.topic == "events"]
        assert len(events) == 1
        assert b"damaged, epoch " in events[0]
        await written(store, frames(3))
        await store.commit(entries=[entry("new")], outgoing=[ack(1)])
        assert await numbers(store, "dso") == [1, 2, 3]
        assert (await pending(store, "dso"))[-1][1] == ack(1)
    kept = tmp_path / "store.damaged-1"
    if damaged is None:
        assert kept.is_dir()
    elif harm is lost_table:  # found out only by using it
        assert kept.stat().st_size == len(damaged)
    else:
        assert kept.read_bytes() == damaged

    async with opened(tmp_path, "dso") as store:
        assert store.opened_after_damage is None
        assert "new" in [e.id for e in store.entries()]


@pytest.mark.parametrize("harm", [lost_table, scribble_pages], ids=lambda harm: harm.__name__)
async def test_what_can_be_read_of_orders_and_messages_is_carried_over(tmp_path, harm):
    old_epoch = await filled(tmp_path)
    harm(tmp_path / "store.db")
    async with opened(tmp_path, "dso", on_gap=gap) as store:
        orders = [e.id for e in store.entries()]
        messages = [m.payload.strip() for _, m in await pending(store, "dso")]
        assert orders == [f"order {i}" for i in range(40) if f"order {i}" in orders]
        assert 5 < len(orders) <= 40
        assert len(messages) > 5
        if harm is lost_table:  # everything but the positions
            assert len(orders) == 40
            assert store.holds() == (Hold("inv1.active_power_limit", 100.0),)
            assert messages == [*(b"%d" % i for i in range(40)), b"gap 1 700 damaged, epoch " + old_epoch.encode()]


async def test_what_was_acknowledged_before_the_damage_is_not_sent_again_and_new_messages_are(tmp_path):
    await filled(tmp_path)
    with sqlite3.connect(tmp_path / "store.db") as connection:
        connection.execute("drop table block")
    connection.close()
    async with opened(tmp_path, "dso", on_gap=gap) as store:
        sent = [m.payload.strip() for _, m in await pending(store, "dso")]
        assert sent[:-1] == [b"%d" % i for i in range(30, 40)]
        assert store.backlog("dso").messages == 11
        await store.commit(outgoing=[ack(77)])
        assert (await pending(store, "dso"))[-1][1] == ack(77)


async def test_only_the_last_few_damaged_files_are_kept(tmp_path):
    for _ in range(5):
        async with opened(tmp_path):
            pass
        scribble_header(tmp_path / "store.db")
    async with opened(tmp_path):
        pass
    kept = sorted(p.name for p in tmp_path.iterdir() if p.name.startswith("store.damaged"))
    assert kept == ["store.damaged-3", "store.damaged-4", "store.damaged-5"]


async def test_a_write_ahead_log_that_vanished_is_noticed_and_no_number_is_used_twice(tmp_path):
    crashed = tmp_path / "crashed"
    crashed.mkdir()
    async with opened(tmp_path / "live", "dso") as store:
        await written(store, frames(5))
        shutil.copy(tmp_path / "live" / "store.db", crashed)  # as after a crash, but without the log
    async with opened(crashed, "dso", on_gap=gap) as after:
        assert "the write-ahead log is missing" in after.opened_after_damage
        await written(after, frames(2))
        assert await numbers(after, "dso") == [WAL_LOST_NUMBERS + 1, WAL_LOST_NUMBERS + 2]
        assert [m.payload for _, m in await pending(after, "dso")] == [b"gap 1 %d wal_lost" % WAL_LOST_NUMBERS]
        assert after.backlog("dso").frames == 2
    async with opened(crashed, "dso") as after:
        assert after.opened_after_damage is None


async def test_a_crash_with_its_log_is_no_damage(tmp_path):
    crashed = tmp_path / "crashed"
    crashed.mkdir()
    async with opened(tmp_path / "live", "dso") as store:
        await written(store, frames(5))
        for name in ("store.db", "store.db-wal"):
            shutil.copy(tmp_path / "live" / name, crashed)
    async with opened(crashed, "dso") as after:
        assert after.opened_after_damage is None
        assert await numbers(after, "dso") == [1, 2, 3, 4, 5]


async def test_a_block_that_cannot_be_read_is_announced_and_the_rest_is_delivered(tmp_path, monkeypatch):
    monkeypatch.setattr(recent, "RECENT_FRAMES", 1)
    async with opened(tmp_path, "dso", on_gap=gap) as store:
        for i in range(4):
            await written(store, frames(5, start=5 * i))
        rot = store._outbox.connection.execute("select body from block where first = 6").fetchone()[0]
        rot = rot[:-6] + bytes([rot[-6] ^ 0x10]) + rot[-5:]
        await store._writer.write(lambda o: o.connection.execute("update block set body = ? where first = 6", (rot,)))
        await store.acknowledge_frames("dso", [(7, 7)])
        assert await numbers(store, "dso") == [*range(1, 6), *range(11, 21)]
        assert [m.payload for _, m in await pending(store, "dso")] == [b"gap 6 6 damaged", b"gap 8 10 damaged"]
        assert store.backlog("dso").frames == 15
        assert flat(await store.blocks("dso", after=10))[0] == (11, frame(10))
    async with opened(tmp_path, "dso") as store:
        assert await numbers(store, "dso") == [*range(1, 6), *range(11, 21)]


async def test_damage_that_shows_while_running_is_mended_by_the_next_opening(tmp_path):
    async with opened(tmp_path, "dso", on_gap=gap) as store:
        epoch = store.epoch

        def broken(outbox):
            raise sqlite3.DatabaseError("database disk image is malformed")

        error = sqlite3.DatabaseError("database disk image is malformed")
        error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT

        def job(outbox):
            raise error

        future = store._writer.write(job)
        future.add_done_callback(lambda done: store._note_fault(done.exception()))
        with pytest.raises(StoreError, match="a restart sets it aside"):
            await future
        await until(lambda: store.fault, "the fault is known")
    async with opened(tmp_path, "dso", on_gap=gap) as store:
        assert "damage was found while it was running" in store.opened_after_damage
        assert store.epoch != epoch
    assert not (tmp_path / opening.SUSPECT).exists()


async def test_an_order_that_cannot_be_read_is_left_out_and_said(tmp_path):
    async with opened(tmp_path) as store:
        await store.commit(entries=[entry("good"), entry("bad")])
        await store._writer.write(lambda o: o.connection.execute("update entry set body = x'00' where id = 'bad'"))
    store = Store.open(tmp_path, now=Clock(), limits=limits())
    assert [e.id for e in store.entries()] == ["good"]
    assert "1 orders in the journal cannot be read" in store.opened_after_damage
    await store.close()
