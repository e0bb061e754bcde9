"""The example configuration of a DSO's broker does what it says: every site for itself, the head end for all."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.model import Received
from tests.protocol.mosquitto import Mosquitto, mosquitto
from tests.protocol.mqtt_peers import PREFIX, SITE, head_end, ids, order, site, until

EXAMPLE = Path(__file__).parents[2] / "config" / "mosquitto"
OF_THE_HOST = ("listener", "cafile", "certfile", "keyfile", "tls_version", "require_certificate", "use_identity")
OF_THE_TEST = ("allow_anonymous", "acl_file", "set_tcp_nodelay", "persistence")


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    """The example with passwords in place of certificates."""
    lines = (EXAMPLE / "mosquitto.conf").read_text().splitlines()
    kept = [line for line in lines if not line.startswith((*OF_THE_HOST, *OF_THE_TEST))]
    users = {"head-end": "h", SITE: "s", "other-site": "o"}
    acl = (EXAMPLE / "acl").read_text()
    with mosquitto(Mosquitto(tmp_path, config="\n".join(kept), users=users, acl=acl)) as running:
        yield running


async def test_a_site_and_the_head_end_can_say_all_they_have_to(
    broker: Mosquitto, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "site.password"
    file.write_text("s\n")
    file.chmod(0o600)
    async with (
        head_end(broker, "der/v1/#", acknowledges=True, username="head-end", password="h") as end,
        site(broker, credentials={"username": SITE, "password_file": file}) as running,
    ):
        running.uplink.set_document("birth", b"{}")
        running.uplink.set_document("control", b"{}")
        await end.order(order("a-1"))
        await until(lambda: ids(running.orders) == ["a-1"])
        running.outbox.commit(1.0)
        for topic in ("acks", "events", "reports"):
            running.outbox.send(b"{}", topic=topic)
        await until(lambda: running.outbox.free_frames == {1} and len(running.outbox.free_messages) == 3)
        await until(lambda: end.on("birth") and end.on("control") and end.on("status"))
    assert not [r.message for r in caplog.records if r.levelno >= logging.ERROR]


async def test_a_site_can_neither_order_another_nor_hear_it(broker: Mosquitto, tmp_path: Path) -> None:
    file = tmp_path / "site.password"
    file.write_text("s\n")
    file.chmod(0o600)
    orders: list[Received] = []
    async with (
        head_end(broker, "der/v1/#", identifier="other", username="other-site", password="o") as other,
        head_end(broker, "none", username="head-end", password="h") as end,
        site(broker, on_order=orders.append, credentials={"username": SITE, "password_file": file}) as running,
    ):
        await other.order(order("from another site"))
        await end.order(order("from the head end"))
        number = running.outbox.send(b"{}")
        await until(lambda: orders and number in running.outbox.free_messages)
    assert ids(orders) == ["from the head end"]
    assert [topic for topic, *_ in other.messages if topic.startswith(PREFIX)] == []
