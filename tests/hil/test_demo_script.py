"""The demo's play is green against a gateway that keeps the contract, and red for each clause that one breaks."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from hil.broker import EmbeddedBroker
from hil.demo.script import Script, State, Step
from hil.demo.verdict import DemoVerdict, judge
from hil.dso import Dso
from hil.dso.messages import Message
from hil.faults import TcpProxy
from tests.hil.messages import SITE
from tests.hil.standin import RATED_W, StandIn

DEADLINE_S = 20.0


@pytest.fixture
def port() -> Iterator[int]:
    with EmbeddedBroker() as broker:
        yield broker.port


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """For what is known not to come: less waiting. The green runs keep the patience of the real demo."""
    for name in ("EFFECT_S", "ANSWER_S", "BACKLOG_S"):
        monkeypatch.setattr(f"hil.demo.script.{name}", 1.2)
    monkeypatch.setattr("hil.demo.promise.EXCURSION_S", 0.05)


async def played(port: int, *, breaks: str = "", cycle_s: float = 0.0) -> tuple[DemoVerdict, Script, list[Step]]:
    told: list[Step] = []

    def hear(name: str, message: Message) -> None:
        script.hear(name, message)

    async with TcpProxy("127.0.0.1", port) as path, StandIn(path.port, breaks=breaks) as gateway:
        dso = Dso(f"mqtt://127.0.0.1:{port}", SITE, on_message=hear)
        script = Script(dso, path, gateway.truth, rated_w=RATED_W, cut_s=0.3, hold_s=0.2, on_step=told.append)
        async with dso, asyncio.timeout(DEADLINE_S):
            await dso.until("online", lambda book: book.online, timeout_s=5.0)
            watching = asyncio.create_task(script.observe())
            await script.play()
            if cycle_s:
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(cycle_s):
                        await script.cycle()
            await script.finish()
            watching.cancel()
            # At once: the stand-in goes on sending, and what comes later is not acknowledged yet.
            verdict = judge(
                dso.book.verdict(), script.promises, acknowledged=dso.frames_acknowledged, script_faults=script.faults
            )
    return verdict, script, told


async def test_a_gateway_that_keeps_the_contract_passes_every_step(port: int) -> None:
    verdict, script, told = await played(port)
    assert verdict.faults == ()
    assert [step.state for step in script.steps] == [State.DONE] * len(script.steps)
    assert [step.title for step in told[::2]] == [step.title for step in script.steps]
    assert [order.status for order in verdict.book.orders] == [
        "superseded",
        "cancelled",
        "cancelled",
        "rejected",
        "cancelled",
    ]
    assert script.backlog > 3  # frames of 0.3 s at 30 ms each


async def test_the_slow_cycle_can_be_ended_at_any_moment_and_leaves_no_order_open(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hil.demo.script.CYCLE_S", 0.2)
    verdict, script, _ = await played(port, cycle_s=0.7)
    assert verdict.faults == ()
    assert len(script.promises) > 4
    assert all(order.ended for order in verdict.book.orders)


BROKEN = {
    "disobeys": "limit-60: not obeyed",
    "loses_a_frame": "frames 5 of epoch e1 never came",
    "takes_150": "limit-150 rejected: not within",
    "never_effective": "limit-60 effective: not within",
    "never_releases": "40 kW at the PCC again: not within",
    "forgets_supersede": "limit-60 superseded: not within",
}


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(("breaks", "fault"), BROKEN.items(), ids=BROKEN.keys())
async def test_a_gateway_that_breaks_one_clause_is_red_with_its_name(port: int, breaks: str, fault: str) -> None:
    verdict, _, _ = await played(port, breaks=breaks)
    assert not verdict.ok
    assert fault in "\n".join(verdict.faults)
