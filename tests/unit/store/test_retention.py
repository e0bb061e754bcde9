"""What is kept and what goes: delivered history first, frames before messages, and no loss without an announcement."""

import random

import pytest

from gateway.model import Frame, Outgoing, Status
from gateway.store import inspect, retention
from tests.unit.store.helpers import T0, Clock, ack, entry, numbers, opened, pending, until

DAY = 86_400.0
SIZE = 400_000


def gap(first: int, last: int, reason: str) -> bytes:
    return f"{first} {last} {reason}".encode()


def bulky(i: int) -> Frame:
    """A frame of some 2 kB that no compression makes small."""
    return Frame(T0 + i, {"a.text": random.Random(i).randbytes(1000).hex()})


async def fill(store, count, start=0):
    """One block a frame."""
    for i in range(start, start + count):
        store.append([bulky(i)])
        await until(lambda: not store.waiting, "the frame is committed")
    await until(lambda: not store._pruning, "retention is at rest")


def announced(messages) -> list[range]:
    lost = [m.payload.decode().split() for _, m in messages if m.topic == "events"]
    assert all(reason == "max_size" for _, _, reason in lost)
    return [range(int(first), int(last) + 1) for first, last, _ in lost]


async def test_a_full_store_drops_the_oldest_frames_and_announces_exactly_those(tmp_path):
    async with opened(tmp_path, "dso", max_size_bytes=SIZE, on_gap=gap) as store:
        await store.commit(outgoing=[ack(i) for i in range(5)])
        await fill(store, 600)
        left = await numbers(store, "dso")
        messages = await pending(store, "dso")
        lost = [n for run in announced(messages) for n in run]
        assert lost == sorted(lost)
        assert lost + left == list(range(1, 601))
        assert lost
        assert [m for _, m in messages if m.topic == "acks"] == [ack(i) for i in range(5)]
        assert store._outbox.used_bytes() <= SIZE
        assert store.backlog("dso").frames == len(left)
        assert store.backlog("dso").messages == len(messages)
        await until(lambda: store.backlog("dso").oldest == T0 + left[0] - 1, "the oldest kept frame's time is known")
    assert inspect.stats(tmp_path).first == left[0]
    async with opened(tmp_path, "dso", max_size_bytes=SIZE, on_gap=gap) as store:
        assert await numbers(store, "dso") == left
        assert store.backlog("dso").frames == len(left)


async def test_delivered_frames_go_before_undelivered_ones_without_a_word(tmp_path):
    async with opened(tmp_path, "dso", "scada", max_size_bytes=SIZE // 2, on_gap=gap) as store:
        await fill(store, 100)
        await store.acknowledge_frames("dso", [(11, 100)])
        await store.acknowledge_frames("scada", [(11, 60)])
        await fill(store, 40, start=100)
        assert await numbers(store, "dso") == [*range(1, 11), *range(101, 141)]
        assert await numbers(store, "scada") == [*range(1, 11), *range(61, 141)]
        assert announced(await pending(store, "dso")) == []
        assert inspect.stats(tmp_path).frames < 140


async def test_without_an_uplink_the_oldest_history_goes(tmp_path):
    async with opened(tmp_path, max_size_bytes=SIZE, on_gap=gap) as store:
        await fill(store, 300)
        stats = inspect.stats(tmp_path)
        assert (stats.last, stats.messages) == (300, 0)
        assert stats.first > 1
        assert stats.frames == 300 - stats.first + 1


async def test_numbers_go_on_after_everything_was_pruned_and_a_restart(tmp_path):
    clock = Clock()
    async with opened(tmp_path, "dso", now=clock, max_age_s=DAY) as store:
        await fill(store, 5)
        await store.commit(outgoing=[ack(1), ack(2)])
        await store.acknowledge_frames("dso", [(1, 5)])
        await store.acknowledge_messages("dso", [1, 2])
    clock.wall += 3 * DAY
    async with opened(tmp_path, "dso", now=clock, max_age_s=DAY) as store:
        await until(lambda: not store._pruning, "retention is at rest")
        stats = inspect.stats(tmp_path)
        assert (stats.frames, stats.messages, stats.first, stats.oldest) == (0, 0, None, None)
    async with opened(tmp_path, "dso", now=clock, max_age_s=DAY) as store:
        assert store.last_frame == 5
        assert store.last_message == 2
        await fill(store, 1, start=1000)
        await store.commit(outgoing=[ack(3)])
        assert await numbers(store, "dso") == [6]
        assert [n for n, _ in await pending(store, "dso")] == [3]
        store.register("new")
        assert await numbers(store, "new") == [6]


async def test_what_was_not_delivered_has_no_age(tmp_path):
    """A clock that steps ten years ahead must not lose a frame or a message that was not delivered."""
    clock = Clock()
    async with opened(tmp_path, "dso", "scada", now=clock, max_age_s=DAY, on_gap=gap) as store:
        await fill(store, 5)
        await store.commit(outgoing=[ack(1), ack(2, "scada")], entries=[entry("open")])
        await store.acknowledge_frames("dso", [(1, 5)])
        await store.acknowledge_frames("scada", [(4, 5)])
        await store.acknowledge_messages("dso", [1])
    clock.wall += 3650 * DAY
    async with opened(tmp_path, "dso", "scada", now=clock, max_age_s=DAY, on_gap=gap) as store:
        await until(lambda: not store._pruning, "retention is at rest")
        assert await numbers(store, "scada") == [1, 2, 3]
        assert [n for n, _ in await pending(store, "scada")] == [1, 2]
        assert store.backlog("scada").messages == 2
        assert inspect.stats(tmp_path).frames == 3
        assert [e.id for e in store.entries()] == ["open"]


async def test_ended_orders_are_forgotten_after_their_age_and_never_before_thirty_days(tmp_path):
    clock = Clock()
    async with opened(tmp_path, now=clock) as store:
        await store.commit(entries=[entry("ended", status=Status.COMPLETED), entry("open")])
    for days, left in ((29, ["ended", "open"]), (2, ["open"])):
        clock.wall += days * DAY
        async with opened(tmp_path, now=clock, max_age_s=DAY) as store:
            await until(lambda: not store._pruning, "retention is at rest")
        assert [e.id for e in inspect.entries(tmp_path)] == left


async def test_messages_go_last_and_delivered_ones_before_the_others(tmp_path):
    async with opened(tmp_path, "dso", max_size_bytes=SIZE, on_gap=gap) as store:
        await fill(store, 20)
        for i in range(120):
            await store.commit(outgoing=[Outgoing("acks", b"%d" % i + b" " * 4000)])
            if i == 50:
                await store.acknowledge_messages("dso", list(range(11, 51)))
        await until(lambda: not store._pruning, "retention is at rest")
        assert await numbers(store, "dso") == []
        got = [int(m.payload) for _, m in await pending(store, "dso") if m.topic == "acks"]
        assert got == [*range(10), *range(50, 120)]
        assert store.backlog("dso").messages == len(await pending(store, "dso"))
        assert store._outbox.used_bytes() <= SIZE


@pytest.mark.parametrize("rows", [3, 2000], ids=["many small passes", "one pass"])
async def test_a_pass_is_bounded_and_the_next_follows_until_it_is_enough(tmp_path, monkeypatch, rows):
    async with opened(tmp_path, "dso", on_gap=gap) as store:
        await fill(store, 200)
    monkeypatch.setattr(retention, "PASS_ROWS", rows)
    monkeypatch.setattr(retention, "STEP_ROWS", min(rows, 100))
    async with opened(tmp_path, "dso", max_size_bytes=SIZE // 2, on_gap=gap) as store:
        await until(lambda: not store._pruning, "retention is at rest")
        left = await numbers(store, "dso")
        lost = [n for run in announced(await pending(store, "dso")) for n in run]
        assert lost + left == list(range(1, 201))
        assert store._outbox.used_bytes() <= SIZE // 2
