"""What the daemon may rely on while the disk works."""

import asyncio
import dataclasses
import math
import os

import pytest

from gateway.model import Ack, Activation, Entry, Frame, Hold, Kind, Outgoing, Quality, Status
from gateway.store import Store, StoreError, recent
from gateway.store.errors import StoreLocked, StoreTooNew
from gateway.store.outbox import BLOCK_FRAMES
from tests.unit.store.helpers import (
    T0,
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


async def test_a_commit_is_found_again_after_a_restart(tmp_path):
    full = Entry(
        id="dso-1",
        revision=2,
        uplink="dso",
        status=Status.DEVIATING,
        n=4,
        received=T0,
        activation=Activation(
            id="dso-1", revision=2, issuer="dso", issued=T0, target="pcc", function="limit_active_power", value=60.0,
            unit="%", kind=Kind.EMERGENCY, end=T0 + 60,
        ),
        digest="d",
        response_topic="r",
        correlation=b"\x00\xff",
        engaged=True,
        was_effective=True,
        last=Ack(id="dso-1", revision=2, n=4, status=Status.DEVIATING, time=T0, measured=1.5, unit="W"),
    )  # fmt: skip
    message = Outgoing("acks", b"payload", "dso", "answer/here", b"\x01", ref="dso-1")
    async with opened(tmp_path, "dso") as store:
        await store.commit(entries=[full], holds=[Hold("a.p", 100.0), Hold("b.p", None)], outgoing=[message])
        await store.commit(released=["a.p"])
    async with opened(tmp_path, "dso") as store:
        assert store.entries() == (full,)
        assert store.holds() == (Hold("b.p", None),)
        assert await pending(store, "dso") == [(1, message)]
        assert store.opened_after_damage is None


async def test_an_entry_is_replaced_by_its_next_state_and_keeps_its_place(tmp_path):
    async with opened(tmp_path) as store:
        await store.commit(entries=[entry("a"), entry("b")])
        await store.commit(entries=[entry("a", status=Status.EFFECTIVE, n=4), entry("a", revision=2)])
    async with opened(tmp_path) as store:
        assert [(e.id, e.revision, e.status) for e in store.entries()] == [
            ("a", 1, Status.EFFECTIVE),
            ("b", 1, Status.ACCEPTED),
            ("a", 2, Status.ACCEPTED),
        ]


async def test_open_orders_are_loaded_however_old_and_ended_ones_for_thirty_days(tmp_path):
    clock = Clock()
    async with opened(tmp_path, now=clock) as store:
        await store.commit(entries=[entry("open"), entry("long ended", status=Status.COMPLETED)])
        clock.wall += 20 * 86_400
        await store.commit(entries=[entry("lately ended", status=Status.EXPIRED)])
    clock.wall += 11 * 86_400
    async with opened(tmp_path, now=clock) as store:
        assert [e.id for e in store.entries()] == ["open", "lately ended"]


async def test_jobs_that_wait_share_one_transaction_and_each_is_answered(tmp_path):
    async with opened(tmp_path, "dso") as store:
        commits = 0
        statements: list[str] = []
        store._outbox.connection.set_trace_callback(statements.append)
        await asyncio.gather(*(store.commit(entries=[entry(f"{i}")], outgoing=[ack(i)]) for i in range(100)))
        commits = sum(s.lower() == "commit" for s in statements)
        assert 1 <= commits < 20
        assert [m.payload for _, m in await pending(store, "dso")] == [b"%d" % i for i in range(100)]
        assert store.last_message == 100


async def test_a_commit_that_cannot_be_encoded_fails_alone_and_at_once(tmp_path):
    async with opened(tmp_path, "dso") as store:
        bad = dataclasses.replace(entry("bad"), digest=object())
        results = await asyncio.gather(
            store.commit(outgoing=[ack(1)]),
            store.commit(entries=[bad], outgoing=[ack(2)]),
            store.commit(outgoing=[ack(3)]),
            return_exceptions=True,
        )
        assert results[0] is results[2] is None
        assert isinstance(results[1], TypeError)
        assert [m.payload for _, m in await pending(store, "dso")] == [b"1", b"3"]


async def test_a_job_whose_statement_fails_takes_no_other_with_it(tmp_path):
    async with opened(tmp_path, "dso") as store:
        results = await asyncio.gather(
            store.commit(outgoing=[ack(1)]),
            store.commit(entries=[entry("x")], outgoing=[Outgoing("acks", None)]),  # type: ignore[arg-type]
            store.commit(outgoing=[ack(3)]),
            return_exceptions=True,
        )
        assert results[0] is results[2] is None
        assert isinstance(results[1], StoreError)
        assert [m.payload for _, m in await pending(store, "dso")] == [b"1", b"3"]
        await store.commit(outgoing=[ack(4)])
    async with opened(tmp_path, "dso") as store:
        assert store.entries() == ()
        assert len(await pending(store, "dso")) == 3


async def test_a_cancelled_caller_does_not_take_its_commit_back(tmp_path):
    async with opened(tmp_path, "dso") as store:
        task = asyncio.create_task(store.commit(outgoing=[ack(1)]))
        await asyncio.sleep(0)
        task.cancel()
        await until(lambda: store.last_message == 1, "the message is committed")
        assert store.backlog("dso").messages == 1


async def test_frames_come_back_as_they_were(tmp_path):
    odd = [
        Frame(T0, {"a.p": 1.5, "a.n": 3, "a.b": True, "a.s": 'says ":null"'}, {"a.q": Quality.OFFLINE}),
        Frame(T0 + 1, {}, {}),
    ]
    async with opened(tmp_path, "dso") as store:
        await written(store, odd)
    async with opened(tmp_path, "dso") as store:
        assert flat(await store.blocks("dso", after=0)) == [(1, odd[0]), (2, odd[1])]


async def test_a_value_that_is_no_number_is_kept_as_invalid_and_a_frame_without_a_written_form_is_dropped(tmp_path):
    async with opened(tmp_path, "dso") as store:
        impossible = Frame(T0, {"a.p": "\ud800"})
        await written(store, [Frame(T0, {"a.p": math.nan, "a.q": 1.0}), impossible, frame(2)])
        expected = [(1, Frame(T0, {"a.q": 1.0}, {"a.p": Quality.INVALID})), (2, frame(2))]
        assert flat(await store.blocks("dso", after=0)) == expected
        assert store.dropped == 1
    async with opened(tmp_path, "dso") as store:
        assert flat(await store.blocks("dso", after=0)) == expected


async def test_the_first_frames_are_written_at_once_and_the_next_with_the_interval(tmp_path):
    async with opened(tmp_path, "dso", commit_interval_s=3600.0) as store:
        await written(store, frames(1))
        store.append(frames(2, start=1))
        await store.commit(outgoing=[ack(1)])
        assert store.waiting == 2
        assert store.last_frame == 1
    async with opened(tmp_path, "dso") as store:
        assert await numbers(store, "dso") == [1, 2, 3]


async def test_frames_appended_before_the_start_are_written_after_it(tmp_path):
    store = Store.open(tmp_path, now=Clock(), limits=limits())
    store.append(frames(2))
    await store.start()
    await until(lambda: store.last_frame == 2, "the frames are committed")
    await store.close()


async def test_many_frames_are_cut_into_blocks_of_bounded_size(tmp_path):
    async with opened(tmp_path, "dso") as store:
        await written(store, frames(2 * BLOCK_FRAMES + 1))
        blocks = await store.blocks("dso", after=0)
        assert [(b.first, b.last) for b in blocks] == [
            (1, BLOCK_FRAMES),
            (BLOCK_FRAMES + 1, 2 * BLOCK_FRAMES),
            (2 * BLOCK_FRAMES + 1, 2 * BLOCK_FRAMES + 1),
        ]


async def test_reading_from_memory_and_from_disk_gives_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(recent, "RECENT_FRAMES", 10)
    async with opened(tmp_path, "dso") as store:
        for i in range(0, 60, 6):
            await written(store, frames(6, start=i))
        await store.acknowledge_frames("dso", [(3, 8), (51, 51)])
        left = [n for n in range(1, 61) if not (3 <= n <= 8 or n == 51)]
        for after in range(62):
            got = flat(await store.blocks("dso", after=after))
            assert got == [(n, frame(n - 1)) for n in left if n > after]
        assert [n for n, _ in flat(await store.blocks("dso", after=40, upto=52))] == [*range(41, 51), 52]


async def test_a_limit_gives_the_front_and_asking_on_gives_the_rest(tmp_path):
    async with opened(tmp_path, "dso") as store:
        for i in range(5):
            await written(store, frames(2, start=2 * i))
        blocks = await store.blocks("dso", after=0, limit=2)
        assert [(b.first, b.last) for b in blocks] == [(1, 2), (3, 4)]
        await store.commit(outgoing=[ack(i) for i in range(5)])
        first = await store.messages("dso", after=0, limit=2)
        rest = await store.messages("dso", after=first[-1][0], limit=100)
        assert [m.payload for _, m in first + rest] == [b"0", b"1", b"2", b"3", b"4"]


@pytest.mark.parametrize(
    ("ranges", "left"),
    [
        ([(1, 10)], []),
        ([(2, 3), (3, 5)], [1, 6, 7, 8, 9, 10]),
        ([(5, 2)], list(range(1, 11))),
        ([(9, 10**25)], list(range(1, 9))),
        ([(-5, 0), (11, 12)], list(range(1, 11))),
        ([(10, 10), (1, 1)], list(range(2, 10))),
        ([], list(range(1, 11))),
    ],
    ids=["all", "overlapping", "reversed", "into the future", "never committed", "both ends", "none"],
)
async def test_an_acknowledgement_counts_what_was_committed_and_named(tmp_path, ranges, left):
    async with opened(tmp_path, "dso", "scada") as store:
        await written(store, frames(10))
        await store.acknowledge_frames("dso", ranges)
        assert await numbers(store, "dso") == left
        assert store.backlog("dso").frames == len(left)
        assert await numbers(store, "scada") == list(range(1, 11))
        await written(store, frames(2, start=10))
        assert await numbers(store, "dso") == [*left, 11, 12]
    async with opened(tmp_path, "dso", "scada") as store:
        assert await numbers(store, "dso") == [*left, 11, 12]
        assert await numbers(store, "scada") == list(range(1, 13))


async def test_messages_go_to_whom_they_are_for_until_each_has_acknowledged_them(tmp_path):
    async with opened(tmp_path, "dso", "scada") as store:
        for i, whom in enumerate(["dso", None, "scada", "dso", None], start=1):
            await store.commit(outgoing=[ack(i, whom)])
        await store.acknowledge_messages("dso", [4, 1, 4, 3, 99, -1, 10**25])
        assert [n for n, _ in await pending(store, "dso")] == [2, 5]
        assert [n for n, _ in await pending(store, "scada")] == [2, 3, 5]
        assert (store.backlog("dso").messages, store.backlog("scada").messages) == (2, 3)
    async with opened(tmp_path, "dso", "scada") as store:
        assert [n for n, _ in await pending(store, "dso")] == [2, 5]
        assert (store.backlog("dso").messages, store.backlog("scada").messages) == (2, 3)
        await store.acknowledge_messages("dso", [2, 5])
        assert store.backlog("dso").messages == 0
        assert store._progress.position("dso").messages == ((1, 5),)


async def test_messages_for_others_leave_no_holes_in_a_position(tmp_path):
    async with opened(tmp_path, "dso", "scada") as store:
        for i in range(20):
            await store.commit(outgoing=[ack(i, "dso" if i % 2 else "scada")])
        await store.acknowledge_messages("dso", list(range(1, 20)))
        assert store._progress.position("dso").messages == ((1, 18),)
        assert store.backlog("dso").messages == 1


async def test_a_new_uplink_starts_at_the_oldest_kept_record(tmp_path):
    async with opened(tmp_path, "dso") as store:
        await written(store, frames(3))
        await store.commit(outgoing=[ack(1), ack(2, "dso")])
        await store.acknowledge_frames("dso", [(1, 3)])
        store.register("new")
        assert await numbers(store, "new") == [1, 2, 3]
        assert [n for n, _ in await pending(store, "new")] == [1]
        assert store.backlog("new").messages == 1
        await until(lambda: store.backlog("new").oldest == T0, "the time of its oldest frame is known")


async def test_an_uplink_that_was_not_registered_is_refused(tmp_path):
    async with opened(tmp_path) as store:
        with pytest.raises(StoreError, match="'typo' is not registered"):
            await store.blocks("typo", after=0)


async def test_the_oldest_frame_not_acknowledged_is_known_by_its_time(tmp_path, monkeypatch):
    monkeypatch.setattr(recent, "RECENT_FRAMES", 2)
    async with opened(tmp_path, "dso") as store:
        assert store.backlog("dso").oldest is None
        for i in range(8):
            await written(store, [frame(i)])
        assert store.backlog("dso").oldest == T0
        await store.acknowledge_frames("dso", [(1, 3)])
        assert store.backlog("dso").oldest == T0 + 3
        await store.acknowledge_frames("dso", [(4, 8)])
        assert store.backlog("dso").oldest is None
        await store.acknowledge_frames("dso", [(1, 3)])
        await written(store, [frame(8)])
        assert store.backlog("dso").oldest == T0 + 8
    async with opened(tmp_path, "dso") as store:
        assert store.backlog("dso").oldest == T0 + 8


async def test_whoever_asked_is_told_of_each_commit_that_added_something(tmp_path):
    async with opened(tmp_path, "dso") as store:
        seen: list[tuple[int, int]] = []
        store.on_commit(lambda: seen.append((store.last_frame, store.last_message)))
        await written(store, frames(2))
        await store.commit(outgoing=[ack(1)])
        await store.commit(entries=[entry("silent")])
        assert seen == [(2, 0), (2, 1)]


async def test_the_session_counts_the_openings_and_the_epoch_stays(tmp_path):
    seen = []
    for _ in range(3):
        async with opened(tmp_path) as store:
            seen.append((store.epoch, store.session))
    assert [session for _, session in seen] == [1, 2, 3]
    assert len({epoch for epoch, _ in seen}) == 1


async def test_a_store_that_was_opened_and_never_started_closes_cleanly(tmp_path):
    await Store.open(tmp_path, now=Clock(), limits=limits()).close()
    store = Store.open(tmp_path, now=Clock(), limits=limits())
    assert store.opened_after_damage is None
    await store.close()
    await store.close()


async def test_a_closed_store_takes_nothing_more(tmp_path):
    async with opened(tmp_path) as store:
        pass
    with pytest.raises(StoreError, match="closed"):
        store.append(frames(1))
    with pytest.raises(StoreError, match="closed"):
        await store.commit(outgoing=[ack(1)])


async def test_a_second_opening_of_the_directory_is_refused_with_the_pid_of_the_first(tmp_path):
    async with opened(tmp_path) as store:
        with pytest.raises(StoreLocked, match=rf"in use by process {os.getpid()}.*stop that one first"):
            Store.open(tmp_path, now=Clock(), limits=limits())
        await store.commit(outgoing=[ack(1)])
    await Store.open(tmp_path, now=Clock(), limits=limits()).close()


async def test_a_store_of_a_newer_version_is_refused_and_left_as_it_is(tmp_path):
    async with opened(tmp_path) as store:
        store._outbox.connection.execute("pragma user_version = 999")
    with pytest.raises(StoreTooNew, match=r"schema 999.*install the version that wrote it"):
        Store.open(tmp_path, now=Clock(), limits=limits())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["lock", "store.db"]


async def test_the_state_directory_is_made_and_is_nobody_elses(tmp_path):
    async with opened(tmp_path / "a" / "state"):
        assert (tmp_path / "a" / "state").stat().st_mode & 0o777 == 0o700


async def test_a_state_directory_that_cannot_be_made_is_a_clear_error(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match="check the disk's space, mount and permissions"):
        Store.open(tmp_path / "file" / "state", now=Clock(), limits=limits())
