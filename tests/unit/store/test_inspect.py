"""The command line reads a store while the daemon runs, and after it."""

import pytest

from gateway.model import Outgoing, Status
from gateway.store import inspect
from gateway.store.errors import StoreMissing
from tests.unit.store.helpers import T0, entry, frame, frames, opened, written


async def test_the_figures_are_those_of_the_running_store(tmp_path):
    async with opened(tmp_path, "dso", "scada") as store:
        await written(store, frames(10))
        await store.commit(outgoing=[Outgoing("acks", b"1"), Outgoing("acks", b"2", "dso")])
        await store.acknowledge_frames("dso", [(1, 4), (8, 8)])
        await store.acknowledge_messages("dso", [2])
        await store.commit(entries=[entry("a")])
        stats = inspect.stats(tmp_path)
        assert (stats.epoch, stats.session) == (store.epoch, store.session)
    assert (stats.frames, stats.messages, stats.first, stats.last) == (10, 2, 1, 10)
    assert (stats.oldest, stats.newest) == (T0, T0 + 9)
    assert stats.size_bytes > 4096
    assert stats.uplinks == (
        inspect.UplinkStats("dso", position=4, frames=5, messages=1),
        inspect.UplinkStats("scada", position=0, frames=10, messages=1),
    )


async def test_a_store_without_frames_has_no_first_and_no_last(tmp_path):
    async with opened(tmp_path, "dso"):
        pass
    stats = inspect.stats(tmp_path)
    assert (stats.frames, stats.first, stats.last, stats.oldest, stats.newest) == (0, None, None, None, None)


@pytest.mark.parametrize(
    ("since", "until", "seen"),
    [
        (None, None, range(1, 13)),
        (T0 + 3, None, range(4, 13)),
        (None, T0 + 3, range(1, 4)),
        (T0 + 3, T0 + 5, range(4, 6)),
        (T0 + 50, None, []),
    ],
    ids=["all", "since", "until", "between", "none"],
)
async def test_frames_are_read_by_time_in_the_order_of_their_numbers(tmp_path, monkeypatch, since, until, seen):
    monkeypatch.setattr(inspect, "PAGE_BLOCKS", 2)
    async with opened(tmp_path, "dso") as store:
        for i in range(0, 12, 2):
            await written(store, frames(2, start=i))
        assert list(inspect.frames(tmp_path, since, until)) == [(n, frame(n - 1)) for n in seen]


async def test_a_long_reading_does_not_hold_up_the_daemon(tmp_path, monkeypatch):
    monkeypatch.setattr(inspect, "PAGE_BLOCKS", 1)
    async with opened(tmp_path, "dso") as store:
        await written(store, frames(1))
        await written(store, frames(1, start=1))
        reading = inspect.frames(tmp_path, None, None)
        assert next(reading) == (1, frame(0))
        await store.commit(entries=[entry("a")])
        busy, _, _ = await store._writer.read(
            lambda o: o.connection.execute("pragma wal_checkpoint(truncate)").fetchone()
        )
        assert not busy
        assert next(reading) == (2, frame(1))


async def test_a_block_that_cannot_be_read_is_passed_over(tmp_path):
    async with opened(tmp_path, "dso") as store:
        for i in range(3):
            await written(store, [frame(i)])
        await store._writer.write(lambda o: o.connection.execute("update block set body = x'00' where first = 2"))
        assert [n for n, _ in inspect.frames(tmp_path, None, None)] == [1, 3]


async def test_orders_and_their_acknowledgements_are_found_by_id(tmp_path):
    async with opened(tmp_path, "dso") as store:
        for n, status in enumerate((Status.ACCEPTED, Status.STARTED, Status.COMPLETED), start=2):
            answers = [Outgoing("acks", b"a%d" % n, ref="a"), Outgoing("acks", b"b%d" % n, ref="b")]
            await store.commit(entries=[entry("a", status=status, n=n)], outgoing=answers)
        await store.commit(outgoing=[Outgoing("reports", b"report", ref="a")])
        assert inspect.acks(tmp_path, "a") == [b"a2", b"a3", b"a4"]
        assert inspect.acks(tmp_path, "nobody's") == []
        assert inspect.entries(tmp_path) == [entry("a", status=Status.COMPLETED, n=4)]


@pytest.mark.parametrize(
    "read",
    [
        inspect.stats,
        inspect.entries,
        lambda path: inspect.acks(path, "a"),
        lambda path: list(inspect.frames(path, None, None)),
    ],
    ids=["stats", "entries", "acks", "frames"],
)
def test_a_missing_store_is_a_clear_error_and_is_not_made(tmp_path, read):
    with pytest.raises(StoreMissing, match=r"there is no store in .*; see state_dir"):
        read(tmp_path)
    assert list(tmp_path.iterdir()) == []
