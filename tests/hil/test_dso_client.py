"""The DSO's client sends, hears, acknowledges and comes back, on the embedded broker and on mosquitto alike."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from hil.dso import Dso, DsoError
from hil.dso.messages import Ack, Message
from hil.dso.strict import StrictPublisher
from hil.faults import TcpProxy
from tests.hil.brokers import broker, mosquitto
from tests.hil.messages import BASE, SITE, ack, batch
from tests.hil.peer import gateway

DEADLINE_S = 5.0


@pytest.fixture(scope="module", params=["embedded", "mosquitto"])
def port(request: pytest.FixtureRequest) -> Iterator[int]:
    with broker(request.param) as port:
        yield port


@asynccontextmanager
async def dso(port: int, **options: object) -> AsyncIterator[Dso]:
    async with Dso(f"mqtt://127.0.0.1:{port}", SITE, **options) as one:  # type: ignore[arg-type]
        await one.ready(timeout_s=DEADLINE_S)
        yield one


LIMIT = {"target": "pcc", "function": "limit_active_power", "value": 60, "unit": "%"}


async def test_an_order_is_complete_and_its_answers_are_found_on_both_topics(port: int) -> None:
    async with gateway(port) as gw, dso(port) as one:
        order_id = await one.send(LIMIT)
        body, message = await gw.heard("activations")
        assert (
            body.items() >= {**LIMIT, "schema": "activation/1", "id": order_id, "revision": 1, "issuer": "dso"}.items()
        )
        await gw.says("acks", ack(1, "received", order_id), to=message)
        await gw.says("acks", ack(2, "rejected", order_id, code="out_of_range"), to=message)
        heard = await one.acked(order_id, "rejected", timeout_s=DEADLINE_S)
        assert (heard.ack.code, heard.ack.n) == ("out_of_range", 2)
        await one.until("both topics agree", lambda book: not book.unfinished(), timeout_s=DEADLINE_S)
        assert one.book.verdict().ok
        assert 0 < heard.latency_s < DEADLINE_S


async def test_a_cancellation_names_the_highest_revision_sent(port: int) -> None:
    async with gateway(port) as gw, dso(port) as one:
        await one.send({**LIMIT, "id": "x"})
        await one.send({**LIMIT, "id": "x", "revision": 3})
        await one.cancel("x")
        bodies = [(await gw.heard("activations"))[0] for _ in range(3)]
        assert (bodies[2]["schema"], bodies[2]["id"], bodies[2]["revision"]) == ("cancellation/1", "x", 3)


async def test_every_frame_received_is_acknowledged_by_ranges_also_when_it_is_a_repeat(port: int) -> None:
    async with gateway(port) as gw, dso(port) as one:
        for _ in range(2):
            await gw.says("measurements", batch([1, 2, 3, 7]))
            acknowledged: list[list[int]] = []
            while acknowledged != [[1, 3], [7, 7]]:
                body, _ = await gw.heard("measurements/ack")
                assert (body["schema"], body["epoch"]) == ("measurements-ack/1", "e1")
                acknowledged = body["ranges"]
        assert one.book.frames.count().duplicates == 4


async def test_the_heartbeat_is_heard_again_and_again(port: int) -> None:
    async with gateway(port) as gw, dso(port, heartbeat_s=0.05):
        for _ in range(3):
            body, _ = await gw.heard("heartbeat")
            assert body["schema"] == "heartbeat/1"


async def test_what_a_listener_is_told_is_already_in_the_book(port: int) -> None:
    seen: list[tuple[Message, int]] = []

    def note(name: str, message: Message) -> None:
        seen.append((message, sum(len(order.heard) for order in one.book.orders)))

    async with gateway(port) as gw, dso(port, on_message=note) as one:
        order_id = await one.send(LIMIT)
        await gw.says("acks", ack(1, "received", order_id))
        await one.acked(order_id, "received", timeout_s=DEADLINE_S)
    assert [(type(message), in_book) for message, in_book in seen] == [(Ack, 1)]


async def test_an_order_that_ended_otherwise_is_told_at_once_with_its_code(port: int) -> None:
    async with gateway(port) as gw, dso(port) as one:
        order_id = await one.send(LIMIT)
        await gw.says("acks", ack(1, "received", order_id))
        await gw.says("acks", ack(2, "rejected", order_id, code="grid_state", detail="red"))
        with pytest.raises(DsoError, match=r"ended as rejected \(grid_state: red\)"):
            await one.acked(order_id, "effective", timeout_s=60.0)


async def test_a_silent_gateway_is_told_with_what_was_heard(port: int) -> None:
    async with dso(port) as one:
        order_id = await one.send(LIMIT)
        with pytest.raises(DsoError, match=r"effective: not within 0\.1 s; acknowledged so far: nothing"):
            await one.acked(order_id, "effective", timeout_s=0.1)


async def test_a_missing_broker_is_told_with_its_address() -> None:
    async with Dso("mqtt://127.0.0.1:1", SITE) as one:
        with pytest.raises(DsoError, match=r"no connection to 127\.0\.0\.1:1: .*refused"):
            await one.send(LIMIT, timeout_s=0.5)


async def test_it_connects_again_and_hears_what_was_said_meanwhile() -> None:
    """The broker keeps the session of a DSO whose path was taken away."""
    with broker("mosquitto") as port:
        async with TcpProxy("127.0.0.1", port) as path, gateway(port) as gw, dso(path.port) as one:
            await path.cut()
            await gw.says("measurements", batch([1]))
            sending = asyncio.create_task(one.send({**LIMIT, "id": "over-outage"}, timeout_s=DEADLINE_S))
            await path.heal()
            assert await sending == "over-outage"
            assert (await gw.heard("activations"))[0]["id"] == "over-outage"
            await one.until("the frame", lambda book: book.frames.count().distinct == 1, timeout_s=DEADLINE_S)


async def test_a_refusal_by_the_broker_is_told_and_not_taken_for_delivery(tmp_path: Path) -> None:
    acl = tmp_path / "acl"
    acl.write_text(f"topic read {BASE}#\n")
    acl.chmod(0o600)
    with mosquitto("allow_anonymous true", f"acl_file {acl}") as port:
        async with dso(port) as one:
            with pytest.raises(DsoError, match=r"the broker refused der/v1/demo/activations: Not authorized"):
                await one.send(LIMIT)


@pytest.mark.parametrize("url", ["127.0.0.1:1883", "http://broker", "mqtt://"])
async def test_an_address_that_is_none_is_refused_with_what_is_accepted(url: str) -> None:
    with pytest.raises(ValueError, match="accepted: mqtt://"):
        Dso(url, SITE)


async def test_a_cancellation_that_meets_the_brokers_answer_is_not_lost(port: int) -> None:
    """Python 3.11 loses it inside aiomqtt, and a task that publishes again and again would never end."""
    async with aiomqtt.Client("127.0.0.1", port, protocol=aiomqtt.ProtocolVersion.V5, timeout=DEADLINE_S) as client:
        publisher = StrictPublisher(client)
        publishing = asyncio.create_task(publisher.publish("any/topic", b"x"))
        answered = client._client.on_publish

        def cancel_at_the_answer(*arguments: Any) -> None:
            answered(*arguments)
            publishing.cancel()

        client._client.on_publish = cancel_at_the_answer
        async with asyncio.timeout(DEADLINE_S):
            with pytest.raises(asyncio.CancelledError):
                await publishing
