"""The embedded broker does what the contract needs of MQTT 5, comes up ready, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import aiomqtt
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from hil.broker import BrokerError, EmbeddedBroker, accepts_mqtt5

DEADLINE_S = 5.0


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with EmbeddedBroker() as broker:
        yield broker.port


def properties(packet: int, **values: Any) -> Properties:
    made = Properties(packet)
    for name, value in values.items():
        setattr(made, name, value)
    return made


def client(port: int, name: str, *, session_s: int = 0, **options: Any) -> aiomqtt.Client:
    return aiomqtt.Client(
        "127.0.0.1",
        port,
        identifier=name,
        protocol=aiomqtt.ProtocolVersion.V5,
        clean_start=False,
        properties=properties(PacketTypes.CONNECT, SessionExpiryInterval=session_s),
        timeout=DEADLINE_S,
        **options,
    )


async def heard(listener: aiomqtt.Client) -> aiomqtt.Message:
    async with asyncio.timeout(DEADLINE_S):
        return await anext(aiter(listener.messages))


async def test_response_topic_and_correlation_data_arrive(port: int) -> None:
    async with client(port, "p-sub") as listener, client(port, "p-pub") as sender:
        await listener.subscribe("props/#", qos=1)
        sent = properties(PacketTypes.PUBLISH, ResponseTopic="back/here", CorrelationData=b"\x00\x01")
        await sender.publish("props/a", b"x", qos=1, properties=sent)
        message = await heard(listener)
        assert message.properties is not None
        assert message.properties.ResponseTopic == "back/here"
        assert message.properties.CorrelationData == b"\x00\x01"


async def test_a_retained_message_meets_a_later_subscriber(port: int) -> None:
    async with client(port, "r-pub") as sender:
        await sender.publish("kept/status", b"online", qos=1, retain=True)
    async with client(port, "r-sub") as listener:
        await listener.subscribe("kept/status", qos=1)
        message = await heard(listener)
        assert (message.payload, message.retain) == (b"online", True)


async def test_the_will_of_a_client_that_vanished_is_published(port: int) -> None:
    will = aiomqtt.Will("will/status", b"offline", qos=1, retain=True)
    async with client(port, "w-sub") as listener:
        await listener.subscribe("will/status", qos=1)
        vanishing = client(port, "w-pub", will=will)
        await vanishing.__aenter__()
        vanished = vanishing._client.socket()
        assert vanished is not None
        vanished.shutdown(socket.SHUT_RDWR)  # no DISCONNECT: as a pulled plug does it
        assert (await heard(listener)).payload == b"offline"
        with pytest.raises(aiomqtt.MqttError):
            await heard(vanishing)
        with contextlib.suppress(aiomqtt.MqttError):
            await vanishing.__aexit__(None, None, None)


async def test_qos_1_waits_for_a_session_that_is_offline(port: int) -> None:
    async with client(port, "o-sub", session_s=60) as listener:
        await listener.subscribe("queue/#", qos=1)
    async with client(port, "o-pub") as sender:
        for number in range(50):
            await sender.publish("queue/a", b"%d" % number, qos=1)
    async with client(port, "o-sub", session_s=60) as listener:
        assert [(await heard(listener)).payload for _ in range(50)] == [b"%d" % number for number in range(50)]


async def test_a_message_that_expired_is_not_delivered_later(port: int) -> None:
    async with client(port, "e-sub", session_s=60) as listener:
        await listener.subscribe("expiry/#", qos=1)
    async with client(port, "e-pub") as sender:
        for payload, seconds in ((b"gone", 1), (b"kept", 60)):
            expiring = properties(PacketTypes.PUBLISH, MessageExpiryInterval=seconds)
            await sender.publish("expiry/a", payload, qos=1, properties=expiring)
        await asyncio.sleep(2.1)  # what is awaited is the passing of time itself: expiry counts in whole seconds
    async with client(port, "e-sub", session_s=60) as listener:
        assert (await heard(listener)).payload == b"kept"


async def test_a_backlog_batch_of_several_100_kb_fits(port: int) -> None:
    async with client(port, "b-sub") as listener, client(port, "b-pub") as sender:
        await listener.subscribe("big", qos=1)
        await sender.publish("big", b"x" * 500_000, qos=1)
        assert len((await heard(listener)).payload) == 500_000


def test_it_is_ready_when_entered_and_gone_when_left() -> None:
    with EmbeddedBroker() as broker:
        assert accepts_mqtt5(broker.port)
        process = broker._process
        assert process is not None
    assert process.returncode is not None
    assert not accepts_mqtt5(broker.port)


def test_it_survives_a_ctrl_c_of_the_terminal_and_two_run_side_by_side() -> None:
    """It leads a process group of its own, so the terminal's SIGINT does not reach it."""
    with EmbeddedBroker() as one, EmbeddedBroker() as other:
        assert one.port != other.port
        assert one._process is not None
        assert os.getpgid(one._process.pid) == one._process.pid != os.getpgid(0)


def test_it_ends_when_its_parent_was_killed() -> None:
    script = "from hil.broker import EmbeddedBroker as B; b = B(); b.__enter__(); print(b.port, flush=True); input()"
    parent = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert parent.stdout is not None
    assert parent.stdin is not None
    port = int(parent.stdout.readline())
    assert accepts_mqtt5(port)
    parent.kill()
    parent.wait()
    for pipe in (parent.stdin, parent.stdout):
        pipe.close()
    deadline = time.monotonic() + DEADLINE_S
    while (alive := accepts_mqtt5(port)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not alive


def test_a_broker_that_does_not_come_up_says_what_it_wrote(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hil.broker.CONFIG", "id = {port} nonsense {payload}")
    with pytest.raises(BrokerError, match=r"it said: (?s:.*)nonsense"), EmbeddedBroker():
        pass
