"""One uplink and a real broker: what it says of itself, which orders it takes, and how it comes back."""

from __future__ import annotations

import asyncio
import json
import logging
import random
import socket
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import aiomqtt
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from gateway.model import Activation, Refusal
from tests.protocol.mosquitto import Mosquitto, mosquitto
from tests.protocol.mqtt_peers import PREFIX, QUICK, MemoryOutbox, head_end, ids, order, site, until


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with mosquitto(Mosquitto(tmp_path)) as running:
        yield running


def asking(response_topic: str, correlation: bytes) -> Properties:
    properties = Properties(PacketTypes.PUBLISH)
    properties.ResponseTopic = response_topic
    properties.CorrelationData = correlation
    return properties


async def test_a_foreign_client_finds_status_birth_and_control_retained(broker: Mosquitto) -> None:
    async with site(broker) as running:
        running.uplink.set_document("birth", b'{"schema": "birth/1"}')
        for n in range(50):
            running.uplink.set_document("control", b'{"schema": "control/1", "n": %d}' % n)
        await until(lambda: not running.uplink._documents_on_their_way)
        out = await broker.client("mosquitto_sub", "-t", PREFIX + "+", "-C", "3", "-W", "10", "-F", "%r %t %p")
        rows = [line.split(" ", 2) for line in out.decode().splitlines()]
        assert {retained for retained, _, _ in rows} == {"1"}, "all three are retained"
        found = {topic: json.loads(payload) for _, topic, payload in rows}
        assert found[PREFIX + "control"] == {"schema": "control/1", "n": 49}
        assert found[PREFIX + "status"] | {"time": ""} == {
            "schema": "status/1",
            "site": "pv-park-7",
            "time": "",
            "state": "online",
            "session": 4,
            "version": "0.1.0",
        }
        assert found[PREFIX + "birth"] == {"schema": "birth/1"}


async def test_documents_set_before_a_connection_are_published_after_each_connect(broker: Mosquitto) -> None:
    async with site(broker) as running:
        running.uplink.set_document("birth", b'{"schema": "birth/1"}')
        broker.kill()  # takes the retained messages with it
        await until(lambda: not running.uplink.connected)
        broker.start()
        async with head_end(broker) as end:
            await until(lambda: end.on("birth") and end.on("status"))


async def test_the_will_says_offline_when_the_gateway_is_gone_without_a_word(broker: Mosquitto) -> None:
    away = replace(QUICK, reconnect_min_s=60, reconnect_max_s=60)
    async with head_end(broker, PREFIX + "status") as end, site(broker, timing=away) as running:
        await until(lambda: end.on("status"))
        running.uplink._link._paho.socket().shutdown(socket.SHUT_RDWR)
        await until(lambda: [status["state"] for status in end.on("status")] == ["online", "offline"])


async def test_a_gateway_that_is_stopped_says_offline_itself(broker: Mosquitto) -> None:
    async with head_end(broker, PREFIX + "status") as end:
        async with site(broker):
            await until(lambda: end.on("status"))
        await until(lambda: len(end.on("status")) == 2)
        assert [status["state"] for status in end.on("status")] == ["online", "offline"]


async def test_an_order_of_a_foreign_client_arrives_with_where_the_answer_is_wanted(broker: Mosquitto) -> None:
    async with site(broker) as running:
        asked = asyncio.create_task(
            broker.client(
                "mosquitto_rr",
                *("-t", PREFIX + "activations", "-e", "dso/answers", "-q", "1", "-W", "10", "-F", "%t %D %p"),
                *("-D", "publish", "correlation-data", "k7", "-m", order("a-1").decode()),
            )
        )
        await until(lambda: running.orders)
        received = running.orders[0]
        assert isinstance(received.order, Activation)
        assert (received.uplink, received.order.id, received.order.value) == ("dso", "a-1", 60.0)
        assert (received.response_topic, received.correlation) == ("dso/answers", b"k7")
        running.outbox.send(b'{"n": 1}', response_topic=received.response_topic, correlation=received.correlation)
        assert b'dso/answers k7 {"n": 1}' in await asked
        assert running.heard == 0, "only a heartbeat is one"


async def test_an_ack_goes_to_its_topic_and_to_the_response_topic_with_the_correlation(broker: Mosquitto) -> None:
    async with head_end(broker, PREFIX + "acks", "dso/answers") as end, site(broker) as running:
        await end.order(order("a-1"), properties=asking("dso/answers", b"\x01\x02"))
        await until(lambda: running.orders)
        received = running.orders[0]
        number = running.outbox.send(b"{}", response_topic=received.response_topic, correlation=received.correlation)
        await until(lambda: len(end.messages) == 2)
        await until(lambda: number in running.outbox.free_messages)
        assert [topic for topic, _, _ in end.messages] == [PREFIX + "acks", "dso/answers"]
        assert end.messages[1][2].properties.CorrelationData == b"\x01\x02"


async def test_messages_go_in_order_and_each_once(broker: Mosquitto) -> None:
    outbox = MemoryOutbox()
    for n in range(150):
        outbox.send(b'{"n": %d}' % n)
    async with head_end(broker, PREFIX + "acks") as end, site(broker, outbox=outbox):
        for n in range(150, 300):
            outbox.send(b'{"n": %d}' % n)
        await until(lambda: len(outbox.free_messages) == 300)
        await until(lambda: len(end.messages) == 300)
        assert [ack["n"] for ack in end.on("acks")] == list(range(300))


async def test_orders_that_come_while_the_gateway_is_away_wait_at_the_broker(broker: Mosquitto) -> None:
    async with site(broker):
        pass
    async with head_end(broker, "none") as end:
        await end.order(order("a-1"))
        async with site(broker) as running:
            await until(lambda: ids(running.orders) == ["a-1"])


async def test_a_retained_order_is_ignored_and_logged_once(broker: Mosquitto, caplog: pytest.LogCaptureFixture) -> None:
    await broker.client("mosquitto_pub", "-t", PREFIX + "activations", "-r", "-q", "1", "-m", order("old").decode())
    async with head_end(broker, "none") as end, site(broker) as running:
        await end.order(order("new"))
        await until(lambda: running.orders)
        assert ids(running.orders) == ["new"]
        assert sum("ignored a retained message" in record.message for record in caplog.records) == 1


async def test_an_order_handed_over_twice_by_the_broker_is_handed_on_twice(broker: Mosquitto) -> None:
    """Its id makes a repeat harmless; the uplink does not judge it."""
    async with head_end(broker, "none") as end, site(broker) as running:
        await end.order(order("a-1"))
        await end.order(order("a-1"))
        await until(lambda: ids(running.orders) == ["a-1", "a-1"])


async def test_a_payload_above_the_cap_is_refused_and_the_next_order_is_taken(broker: Mosquitto) -> None:
    async with head_end(broker, "none") as end, site(broker) as running:
        await end.order(order("big", issuer="x" * 300_000))
        await end.order(order("bigger", issuer="x" * 2_000_000))  # dropped by the broker, which knows what we take
        await end.order(order("a-1"))
        await until(lambda: ids(running.orders) == ["a-1"])
        first = running.orders[0].order
        assert isinstance(first, Refusal)
        assert "accepted are up to" in first.detail
        assert len(running.orders) == 2


async def test_a_thousand_random_payloads_are_each_refused_and_the_next_order_is_taken(broker: Mosquitto) -> None:
    rng = random.Random(20261122)
    async with head_end(broker, "none", max_inflight_messages=100) as end, site(broker) as running:
        end.client.pending_calls_threshold = 10_000
        example = order("a-1")
        for start in range(0, 1000, 100):
            payloads = []
            for n in range(start, start + 100):
                cut = rng.randrange(len(example))
                payloads.append(rng.randbytes(rng.randrange(200)) if n % 2 else example[:cut] + rng.randbytes(3))
            topics = [PREFIX + ("activations", "measurements/ack", "heartbeat")[n % 3] for n in range(100)]
            await asyncio.gather(
                *(end.client.publish(topic, payload, qos=1) for topic, payload in zip(topics, payloads, strict=True))
            )
        await end.order(example)
        await until(lambda: ids(running.orders) == ["a-1"])
        assert len(running.orders) == 340 + 1
        assert not running.task.done()


async def test_a_heartbeat_is_heard_and_anything_else_on_its_topic_is_not(broker: Mosquitto) -> None:
    async with head_end(broker, "none") as end, site(broker) as running:
        await end.client.publish(PREFIX + "heartbeat", b"{}", qos=1)
        await end.client.publish(PREFIX + "heartbeat", b'{"schema": "heartbeat/1"}', qos=1)
        await until(lambda: running.heard == 1)


async def test_a_fault_in_taking_an_order_ends_the_uplink_and_is_not_hidden(broker: Mosquitto) -> None:
    def fail(_: object) -> None:
        raise LookupError("no journal")

    async def play() -> None:
        async with head_end(broker, "none") as end, site(broker, on_order=fail) as running:
            await end.order(order("a-1"))
            await until(running.task.done)

    with pytest.raises(BaseExceptionGroup) as raised:
        await play()
    assert raised.group_contains(LookupError, match="no journal")


async def test_a_message_that_the_acl_refuses_is_parked_and_the_rest_flows(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    acl = f"topic readwrite {PREFIX}acks\ntopic readwrite {PREFIX}status\ntopic read {PREFIX}#\n"
    with mosquitto(Mosquitto(tmp_path, acl=acl)) as broker:
        outbox = MemoryOutbox()
        forbidden = outbox.send(b"{}", topic="events")
        allowed = [outbox.send(b"{}") for _ in range(40)]
        answered = outbox.send(b"{}", response_topic="forbidden/answers")
        async with site(broker, outbox=outbox) as running:
            await until(lambda: outbox.free_messages == {*allowed, answered})
            assert running.uplink.connected
        refused = [r.message for r in caplog.records if r.levelno == logging.ERROR]
        assert len(refused) == 1
        assert f"refuses message {forbidden} on events with reason 0x87" in refused[0]
        async with site(broker, outbox=outbox):
            await until(lambda: len([r for r in caplog.records if r.levelno == logging.ERROR]) == 2, "tried again")


async def test_a_message_larger_than_the_broker_takes_is_parked_and_the_connection_lasts(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with mosquitto(Mosquitto(tmp_path, config="max_packet_size 2000")) as broker:
        outbox = MemoryOutbox()
        outbox.send(b"x" * 4000)
        small = outbox.send(b"{}")
        async with site(broker, outbox=outbox):
            await until(lambda: outbox.free_messages == {small})
        assert not [r for r in caplog.records if "connection lost" in r.message]
        assert any("reason 0x95" in r.message for r in caplog.records)


async def test_two_clients_of_one_client_id_do_not_storm_the_broker_and_the_log_asks_for_it(
    broker: Mosquitto, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    loop = asyncio.get_running_loop()
    gaps = []
    async with site(broker) as running:
        for _ in range(4):
            async with aiomqtt.Client("127.0.0.1", broker.port, identifier="pv-park-7"):
                await until(lambda: not running.uplink.connected)
                lost = loop.time()
                await until(lambda: running.uplink.connected)
                gaps.append(loop.time() - lost)
    assert min(gaps[2:]) >= 0.8 * QUICK.refused_min_s, "the loss is seen here a little after the uplink has seen it"
    lines = [record.message for record in caplog.records if record.name.startswith("gateway")]
    assert ["does another client use our client id?" in line for line in lines if "lost" in line] == [
        *[False] * 2,
        *[True] * 2,
    ]
    assert len(lines) == 9, "one line for each change of state"


@pytest.mark.parametrize("disconnect", [b"", b"\xe0\x02\x8b\x00"], ids=["accepted", "closed"])
@pytest.mark.parametrize("steps", range(8))
async def test_the_uplink_ends_when_it_is_cancelled_just_as_the_broker_answers(steps: int, disconnect: bytes) -> None:
    """Until Python 3.12 `asyncio.wait_for` prefers a result to a cancellation, some few steps of the loop apart."""
    answered = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1024)
        writer.write(b"\x20\x03\x00\x00\x00" + disconnect)  # CONNACK
        answered.set()
        await reader.read()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with site(f"mqtt://127.0.0.1:{port}", connected=False, timing=replace(QUICK, farewell_s=0.05)) as running:
        await answered.wait()
        for _ in range(steps):
            await asyncio.sleep(0)
        await running.stop()
    server.close()


@pytest.mark.parametrize(
    ("reason", "pause_s"),
    [(0x8B, QUICK.reconnect_min_s), (0x8E, QUICK.refused_min_s)],
    ids=["going down", "taken over"],
)
async def test_a_broker_that_closes_right_after_connack_is_not_stormed(reason: int, pause_s: float) -> None:
    connects: list[float] = []

    async def kick(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1024)
        connects.append(asyncio.get_running_loop().time())
        writer.write(bytes([0x20, 3, 0, 0, 0]) + bytes([0xE0, 2, reason, 0]))  # CONNACK, then DISCONNECT
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(kick, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, site(f"mqtt://127.0.0.1:{port}", connected=False):
        await until(lambda: len(connects) == 5)
    gaps = [after - before for before, after in pairwise(connects)]
    assert min(gaps) >= pause_s
    assert min(gaps[2:]) >= QUICK.refused_min_s
