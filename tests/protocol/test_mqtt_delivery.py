"""Frames between the outbox and a head end, over a real broker: nothing lost, nothing flooded, live before backfill."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import aiomqtt
import pytest

from tests.protocol.mosquitto import Mosquitto, mosquitto
from tests.protocol.mqtt_peers import PREFIX, QUICK, MemoryOutbox, head_end, site, until

MEASUREMENTS = PREFIX + "measurements"


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with mosquitto(Mosquitto(tmp_path)) as running:
        yield running


def backlog(blocks: int) -> MemoryOutbox:
    """An outbox with blocks of two frames from before any connection; each value is its frame's number."""
    outbox = MemoryOutbox()
    for n in range(blocks):
        outbox.commit(2 * n + 1, 2 * n + 2)
    return outbox


async def test_a_foreign_client_gets_live_blocks_as_one_message_each(broker: Mosquitto) -> None:
    async with site(broker) as running:
        listening = asyncio.create_task(
            broker.client("mosquitto_sub", "-t", MEASUREMENTS, "-q", "1", "-C", "2", "-W", "10", "-i", "sub", "-c")
        )
        found = []
        for n in range(1000):
            running.outbox.commit(2 * n + 1, 2 * n + 2)
            await asyncio.sleep(0.02)  # until the foreign client has subscribed
            if listening.done():
                break
        found = [json.loads(line) for line in (await listening).splitlines()]
        for batch in found:
            assert (batch["schema"], batch["site"], batch["epoch"]) == ("measurements/1", "pv-park-7", "e1")
            assert batch["lane"] == "live"
            assert [frame["seq"] for frame in batch["frames"]] == [batch["first"], batch["last"]]
            assert [frame["values"]["inv1.active_power"] for frame in batch["frames"]] == [
                batch["first"],
                batch["last"],
            ]


async def test_what_was_not_acknowledged_before_comes_as_backfill_oldest_first(broker: Mosquitto) -> None:
    outbox = backlog(10)
    outbox.free_frames = {1, 2, 3, 8}
    async with head_end(broker, MEASUREMENTS, acknowledges=True) as end, site(broker, outbox=outbox):
        await until(lambda: len(outbox.free_frames) == 20)
        assert {batch["lane"] for batch in end.on("measurements")} == {"backfill"}
        assert [number for _, number, _ in end.frames()] == [4, 5, 6, 7, *range(9, 21)]


async def test_with_acknowledge_broker_the_puback_frees_a_block(broker: Mosquitto) -> None:
    outbox = backlog(30)
    async with head_end(broker, MEASUREMENTS) as end, site(broker, outbox=outbox, acknowledge="broker"):
        outbox.commit(61.0)
        await until(lambda: len(outbox.free_frames) == 61)
        await until(lambda: len(end.frames()) == 61)


async def test_with_acknowledge_application_only_what_is_named_is_freed(broker: Mosquitto) -> None:
    slow = replace(QUICK, resend_min_s=60, resend_max_s=60)
    async with head_end(broker, MEASUREMENTS) as end, site(broker, timing=slow) as running:
        outbox = running.outbox
        for n in range(5):
            outbox.commit(2 * n + 1, 2 * n + 2)
        await until(lambda: len(end.frames()) == 10)
        await end.acknowledge([(1, 10)], epoch="another store")
        await end.acknowledge([(2, 3), (7, 7), (90, 99)])
        await until(lambda: outbox.free_frames)
        assert outbox.free_frames == {2, 3, 7}
        await end.acknowledge([(3, 4), (7, 8)])
        await until(lambda: len(outbox.free_frames) == 5)
        assert outbox.free_frames == {2, 3, 4, 7, 8}
        assert len(end.frames()) == 10, "nothing was sent twice within the time-out"


async def test_an_acknowledgement_of_all_there_is_frees_only_what_was_sent(broker: Mosquitto) -> None:
    """A head end that acknowledges `1 to newest` has not seen the backlog that still waits behind it."""
    outbox = backlog(400)
    slow = replace(QUICK, resend_min_s=60, resend_max_s=60, backfill_window_blocks=5)
    async with head_end(broker, MEASUREMENTS) as end, site(broker, outbox=outbox, timing=slow):
        await until(lambda: len(end.frames()) == 10)
        await end.acknowledge([(1, 800)])
        await until(lambda: len(end.frames()) >= 20)
        assert outbox.free_frames == set(range(1, 11))


async def test_a_block_without_acknowledgement_is_sent_again_on_the_backfill_lane(broker: Mosquitto) -> None:
    async with head_end(broker, MEASUREMENTS) as end, site(broker) as running:
        running.outbox.commit(1.0)
        await until(lambda: len(end.frames()) == 3)
        assert [batch["lane"] for batch in end.on("measurements")] == ["live", "backfill", "backfill"]
        assert len(set(end.frames())) == 1, "a repeat is the same frame: epoch, number and content"
        await end.acknowledge([(1, 1)])
        await until(lambda: running.outbox.free_frames == {1})
        assert len(running.uplink._frames._in_doubt) == 0


async def test_a_dead_head_end_is_not_flooded_and_gets_everything_when_it_is_back(broker: Mosquitto) -> None:
    timing = replace(QUICK, window_blocks=10, backfill_window_blocks=5, resend_min_s=0.3, backfill_per_s=1000)
    async with head_end(broker, MEASUREMENTS) as end, site(broker, outbox=backlog(20), timing=timing) as running:
        await until(lambda: len(end.on("measurements")) >= 5)
        for n in range(40, 60):
            running.outbox.commit(float(n + 1))
        await until(lambda: len(end.on("measurements")) >= 20, "repeats")
        assert len(end.numbers()) == 10 + 5, "5 blocks of two frames as backfill, 5 of one as live; then the same again"
        end.acknowledges = True
        await until(lambda: len(running.outbox.free_frames) == 60)
        assert end.numbers() == set(range(1, 61))


async def test_a_live_block_arrives_before_a_backlog_is_drained(broker: Mosquitto) -> None:
    outbox = backlog(300)
    async with (
        head_end(broker, MEASUREMENTS, acknowledges=True) as end,
        site(broker, outbox=outbox, timing=replace(QUICK, backfill_per_s=500)),
    ):
        await until(lambda: len(end.on("measurements")) > 10)
        outbox.commit(601.0)
        await until(lambda: len(outbox.free_frames) == 601)
        lanes = [batch["lane"] for batch in end.on("measurements")]
        assert lanes.count("live") == 1
        assert lanes.index("live") < 200


async def test_a_broker_killed_twice_under_load_loses_no_frame_and_repeats_only_the_same(broker: Mosquitto) -> None:
    outbox = MemoryOutbox()
    seen: list[tuple[str, int, float]] = []

    async def load() -> None:
        while True:
            outbox.commit(outbox.last_frame + 1, outbox.last_frame + 2)
            outbox.send(b'{"n": %d}' % outbox.last_frame)
            await asyncio.sleep(0.002)

    async with site(broker, outbox=outbox, timing=replace(QUICK, backfill_per_s=1000)) as running:
        loading = asyncio.create_task(load())
        for life in range(3):
            async with head_end(broker, acknowledges=True, timeout=1) as end:
                await until(lambda end=end: len(end.frames()) > 100)
                if life == 2:
                    loading.cancel()
                    await until(lambda: len(outbox.free_frames) == outbox.last_frame)
                    await until(lambda: len(outbox.free_messages) == len(outbox.sent))
                else:
                    with suppress(aiomqtt.MqttError):
                        broker.kill()
                    await until(lambda: not running.uplink.connected)
                seen += end.frames()
            if life < 2:
                broker.start()
    written = outbox.last_frame
    assert written > 300
    assert {number for _, number, _ in seen} == set(range(1, written + 1))
    assert set(seen) == {("e1", number, float(number)) for number in range(1, written + 1)}, (
        "a repeat is the same frame"
    )


async def test_a_block_without_puback_is_sent_again_with_the_next_connection(broker: Mosquitto) -> None:
    async with site(broker, acknowledge="broker") as running:
        outbox = running.outbox
        outbox.commit(1.0)
        await until(lambda: outbox.free_frames == {1})
        broker.freeze()
        outbox.commit(2.0)
        await until(lambda: len(running.uplink._frames._in_doubt) == 1)
        broker.kill()
        await until(lambda: not running.uplink.connected)
        assert outbox.free_frames == {1}
        broker.start()
        await until(lambda: outbox.free_frames == {1, 2})


async def test_that_nobody_listens_is_said_once(broker: Mosquitto, caplog: pytest.LogCaptureFixture) -> None:
    async with site(broker, outbox=backlog(10), acknowledge="broker") as running:
        await until(lambda: len(running.outbox.free_frames) == 20)
    assert sum("nobody is subscribed to" in record.message for record in caplog.records) == 1


async def test_a_block_that_no_broker_would_take_is_sent_in_parts(tmp_path: Path) -> None:
    with mosquitto(Mosquitto(tmp_path, config="max_packet_size 8000")) as broker:
        outbox = MemoryOutbox()
        outbox.commit(*(float(n + 1) for n in range(300)))
        async with head_end(broker, MEASUREMENTS, acknowledges=True) as end, site(broker, outbox=outbox):
            await until(lambda: len(outbox.free_frames) == 300)
            assert [number for _, number, _ in end.frames()] == list(range(1, 301))
            assert len(end.on("measurements")) > 4


async def test_frames_that_the_broker_refuses_are_kept_logged_once_and_hold_nothing_up(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    acl = f"topic readwrite {PREFIX}acks\ntopic readwrite {PREFIX}status\n"
    with mosquitto(Mosquitto(tmp_path, acl=acl)) as broker:
        outbox = backlog(5)
        async with site(broker, outbox=outbox, acknowledge="broker"):
            for n in range(5):
                outbox.commit(11.0 + n)
            number = outbox.send(b"{}")
            await until(lambda: number in outbox.free_messages)
            await until(lambda: any("refuses frames" in r.message for r in caplog.records))
        assert not outbox.free_frames
        assert sum("refuses frames" in r.message for r in caplog.records if r.levelno == logging.ERROR) == 1


async def test_a_block_that_was_pruned_while_it_waited_is_not_waited_for_any_more(broker: Mosquitto) -> None:
    async with head_end(broker, MEASUREMENTS) as end, site(broker) as running:
        running.outbox.commit(1.0)
        await until(end.frames)
        running.outbox.committed.clear()
        await until(lambda: len(running.uplink._frames._in_doubt) == 0)


async def test_a_broker_that_takes_one_message_at_a_time_gets_one_at_a_time(tmp_path: Path) -> None:
    with mosquitto(Mosquitto(tmp_path, config="max_inflight_messages 1")) as broker:
        outbox = backlog(30)
        for _ in range(60):
            outbox.send(b"{}")
        async with head_end(broker, "none"), site(broker, outbox=outbox, acknowledge="broker") as running:
            assert running.uplink._link._paho._max_inflight_messages == 1
            await until(lambda: len(outbox.free_frames) == 60 and len(outbox.free_messages) == 60)


async def test_the_uplink_ends_when_cancelled_while_the_broker_is_silent(broker: Mosquitto) -> None:
    outbox = backlog(3)
    async with site(broker, outbox=outbox, acknowledge="broker", timing=replace(QUICK, farewell_s=0.1)) as running:
        await until(lambda: len(outbox.free_frames) == 6)
        broker.freeze()
        outbox.commit(7.0)
        await running.stop()
    broker.thaw()
    assert outbox.free_frames == set(range(1, 7))
