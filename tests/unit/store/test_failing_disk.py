"""A disk that fails, is full, or is held by another: nothing is half done, nothing committed is lost, and it passes."""

import asyncio
import logging
import os
import sqlite3
import subprocess

import pytest

from gateway.model import Outgoing
from gateway.store import database, intake, writer
from gateway.store.errors import StoreOverloaded, StoreUnavailable
from tests.unit.store.helpers import ack, entry, frame, frames, numbers, opened, pending, until, written


@pytest.fixture
def failing_disk(monkeypatch):
    """Lets a store find its disk full, or its file out of reach, until told otherwise."""

    class Disk:
        full = False
        dead = False

        def attach(self, store):
            reopen = store._writer._reopen

            def limited():
                if self.dead:
                    raise sqlite3.OperationalError("unable to open database file")
                outbox = reopen()
                if self.full:
                    outbox.connection.execute("pragma max_page_count = 1")
                return outbox

            store._writer._reopen = limited

        async def fill(self, store):
            self.full = True
            await self.fail(store)

        async def die(self, store):
            self.dead = True
            await self.fail(store)

        async def fail(self, store):
            self.attach(store)

            def fail(outbox):
                raise sqlite3.OperationalError("disk I/O error")

            with pytest.raises(StoreUnavailable):
                await store._writer.write(fail)

    return Disk()


def big(i: int) -> Outgoing:
    return Outgoing("acks", b"%d" % i + b" " * 20_000)


async def test_a_full_disk_fails_a_commit_as_a_whole_and_serves_again_after_it(tmp_path, failing_disk, caplog):
    async with opened(tmp_path, "dso", commit_interval_s=0.01) as store:
        await store.commit(entries=[entry("before")], outgoing=[ack(0)])
        await failing_disk.fill(store)
        for i in range(3):
            with pytest.raises(StoreUnavailable, match=r"full.*check the disk's space"):
                await store.commit(entries=[entry(f"during {i}")], outgoing=[big(i)])
        store.append(frames(3000))
        await until(lambda: store.fault, "the fault is known")
        assert [m.payload for _, m in await pending(store, "dso")] == [b"0"]
        assert (store.waiting, store.last_frame, store.last_message) == (3000, 0, 1)

        failing_disk.full = False
        await until(lambda: store.last_frame == 3000, "the frames are committed after the repair")
        await store.commit(entries=[entry("after")], outgoing=[big(9)])
        assert store.fault is None
        assert store.dropped == 0
    async with opened(tmp_path, "dso") as store:
        assert [e.id for e in store.entries()] == ["before", "after"]
        assert [n for n, _ in await pending(store, "dso")] == [1, 2]
        assert await numbers(store, "dso") == list(range(1, 3001))
    told = [r.message for r in caplog.records if r.levelno >= logging.WARNING]
    assert len([m for m in told if "commits fail" in m]) == 1
    assert len([m for m in told if "commits succeed again" in m]) == 1


async def test_an_acknowledgement_outlives_the_failed_commit_it_was_to_be_saved_with(tmp_path, failing_disk):
    async with opened(tmp_path, "dso") as store:
        await written(store, frames(3))
        await store.acknowledge_frames("dso", [(1, 2)])
        await failing_disk.die(store)
        with pytest.raises(StoreUnavailable):
            await store.commit(entries=[entry("a")])
        failing_disk.dead = False
    async with opened(tmp_path, "dso") as store:
        assert await numbers(store, "dso") == [3]


async def test_frames_that_find_no_room_in_memory_are_dropped_oldest_first_and_announced(
    tmp_path, failing_disk, monkeypatch
):
    monkeypatch.setattr(intake, "MAX_WAITING", 10)
    async with opened(
        tmp_path, "dso", commit_interval_s=0.01, on_gap=lambda a, b, why: f"gap {a} {b} {why}".encode()
    ) as store:
        await written(store, frames(2))
        await failing_disk.die(store)
        for i in range(2, 27):
            store.append([frame(i)])
        assert store.waiting == 10
        await until(lambda: store.fault, "the fault is known")
        assert store.dropped == 15
        failing_disk.dead = False
        await until(lambda: not store.waiting, "the frames are committed")
        blocks = await store.blocks("dso", after=2)
        assert [f.time for b in blocks for f in b.frames] == [frame(i).time for i in range(17, 27)]
        assert await numbers(store, "dso") == [1, 2, *range(18, 28)]
        assert [m.payload for _, m in await pending(store, "dso")] == [b"gap 3 17 overflow"]
        assert store.backlog("dso").frames == 12
    async with opened(tmp_path, "dso") as store:
        assert store.backlog("dso").frames == 12
        store.register("new")
        assert await numbers(store, "new") == [1, 2, *range(18, 28)]


async def test_a_small_order_gets_through_where_a_large_neighbour_finds_no_room(tmp_path, failing_disk):
    async with opened(tmp_path, "dso") as store:
        await store.commit(outgoing=[Outgoing("acks", b" " * 3000)])
        await failing_disk.fill(store)
        results = await asyncio.gather(
            store.commit(outgoing=[big(1)]), store.commit(entries=[entry("small")]), return_exceptions=True
        )
        assert isinstance(results[0], StoreUnavailable)
        assert results[1] is None
        failing_disk.full = False
    async with opened(tmp_path, "dso") as store:
        assert [e.id for e in store.entries()] == ["small"]


async def test_another_process_that_holds_the_file_delays_frames_and_loses_none(tmp_path, monkeypatch):
    monkeypatch.setattr(database, "BUSY_S", 0.02)
    async with opened(tmp_path, "dso", commit_interval_s=0.01) as store:
        other = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
        other.execute("begin immediate")
        store.append(frames(3))
        with pytest.raises(StoreUnavailable, match="locked"):
            await store.commit(entries=[entry("refused")])
        await until(lambda: store.fault, "the fault is known")
        other.execute("rollback")
        other.close()
        await until(lambda: not store.waiting, "the frames are committed")
        assert await numbers(store, "dso") == [1, 2, 3]


async def test_a_file_out_of_reach_is_tried_again_with_each_job(tmp_path, failing_disk):
    async with opened(tmp_path, "dso") as store:
        await failing_disk.die(store)
        for i in range(3):
            with pytest.raises(StoreUnavailable, match="unable to open"):
                await store.commit(outgoing=[ack(i)])
        failing_disk.dead = False
        await store.commit(outgoing=[ack(4)])
        assert [m for _, m in await pending(store, "dso")] == [ack(4)]


async def test_more_jobs_than_can_wait_are_refused_and_those_that_wait_are_done(tmp_path, monkeypatch):
    monkeypatch.setattr(writer, "MAX_JOBS", 5)
    async with opened(tmp_path, "dso") as store:
        results = await asyncio.gather(*(store.commit(outgoing=[ack(i)]) for i in range(200)), return_exceptions=True)
        refused = [r for r in results if r is not None]
        assert refused
        assert all(isinstance(r, StoreOverloaded) for r in refused)
        assert store.last_message == 200 - len(refused) == len(await pending(store, "dso"))


async def test_closing_on_a_failing_disk_ends_and_says_what_is_lost(tmp_path, failing_disk, caplog):
    async with opened(tmp_path, "dso", commit_interval_s=3600.0) as store:
        await written(store, frames(1))
        await failing_disk.fill(store)
        store.append(frames(5000))
    assert "5000 frames could not be written and are lost" in caplog.text
    async with opened(tmp_path, "dso") as store:
        assert await numbers(store, "dso") == [1]


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 2 MB."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    disk = tmp_path / "disk"
    disk.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", disk], capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"cannot mount a small file system: {done.stderr.decode().strip()}")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


async def test_a_really_full_file_system_is_survived_and_left_again(small_disk):
    noise = small_disk / "noise"
    async with opened(small_disk / "state", "dso", commit_interval_s=0.01) as store:
        await store.commit(entries=[entry("before")])
        with noise.open("wb", buffering=0) as file:
            try:
                while file.write(b"x" * 4096):
                    pass
            except OSError:
                pass
        done = 0
        with pytest.raises(StoreUnavailable):  # noqa: PT012 - how many fit is the file system's business
            for i in range(1000):
                await store.commit(outgoing=[big(i)])
                done += 1
        store.append(frames(5000))
        await until(lambda: store.fault, "the fault is known")
        noise.unlink()
        await until(lambda: not store.waiting, "the frames are committed after the repair")
        await store.commit(entries=[entry("after")])
        assert len(await pending(store, "dso")) == done
    async with opened(small_disk / "state", "dso") as store:
        assert [e.id for e in store.entries()] == ["before", "after"]
        assert await numbers(store, "dso") == list(range(1, 5001))
