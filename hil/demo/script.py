"""The play: what the DSO of the demo does to the site, step by step, and what must come of it."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Protocol

from hil.demo.promise import Promise
from hil.dso import Book, Dso, DsoError
from hil.dso.messages import Measurements, Message

SAMPLE_S = 0.1  # the step of the simulated plant: looking more often shows nothing new
EFFECT_S = 20.0  # from an order to its effect: ramp, dead time, settling and slack for a Raspberry Pi
BACKLOG_S = 30.0  # the gateway's pause before it connects again, and the sending
ANSWER_S = 10.0  # for a word that needs no movement of power
CYCLE_S = 10.0  # how long each limit of the slow cycle stands, and the pause after it
TOLERANCE = 0.02  # of the site's rated power, as the orders say

ACTIVE, REACTIVE = "pcc.active_power", "pcc.reactive_power"


class State(StrEnum):
    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(slots=True)
class Step:
    """One line of the script; `note` says what came of it."""

    title: str
    act: Callable[[], Awaitable[str]]
    state: State = State.WAITING
    note: str = ""


class Path(Protocol):
    """The path between gateway and broker, which can be taken away."""

    async def cut(self) -> None: ...

    async def heal(self) -> None: ...


class Script:
    """
    Plays the steps in order and stops at the first that fails; `faults` says in a sentence what did.

    Args:
        truth: What really is, by full point name, in W and var.
        rated_w: The site's rated power: what % means.
        cut_s: How long the path to the broker is away.
        hold_s: How long each order stands after its effect, so that obeying it can be seen.
        on_step: Told of each step when it begins and when it has ended; must not block or raise.
    """

    def __init__(
        self,
        dso: Dso,
        path: Path,
        truth: Callable[[], Mapping[str, float]],
        *,
        rated_w: float,
        cut_s: float = 10.0,
        hold_s: float = 3.0,
        on_step: Callable[[Step], None] = lambda _: None,
    ) -> None:
        self._dso, self._path, self._truth, self._rated_w = dso, path, truth, rated_w
        self._cut_s, self._hold_s, self._on_step = cut_s, hold_s, on_step
        self.promises: list[Promise] = []
        self.faults: list[str] = []
        self.path_cut = False
        self.backlog = 0  # frames of the outage that have arrived
        self._outage = ("", "")  # from and to, as times of frames are written; empty: not yet
        self._free_w = 0.0
        self.steps = [
            Step("limit the export to 60 %", self._limit_60),
            Step("tighten it to 30 %", self._limit_30),
            Step("set 8 kvar at the PCC", self._set_q),
            Step("release both", self._release),
            Step("order 150 %: refused", self._refuse),
            Step("limit to 50 %", self._limit_50),
            Step(f"cut the broker off for {cut_s:g} s", self._cut),
            Step("deliver the backlog", self._backlog),
            Step("release", self._end),
        ]

    async def play(self) -> None:
        """Play all steps; one that fails is noted and ends the play."""
        self._free_w = self._truth()[ACTIVE]
        for step in self.steps:
            await self._play(step)
            if step.state is State.FAILED:
                break

    async def cycle(self) -> None:
        """Go on for ever with a slow cycle of limits; a failure ends it."""
        last = len(self.steps)  # one line for all of them, so that the list does not grow
        for percent in itertools.cycle((70.0, 40.0)):
            if self.faults:
                break
            self.steps[last:] = [step := Step(f"a slow cycle: limit to {percent:g} %", self._cycle_of(percent))]
            await self._play(step)

    async def finish(self) -> None:
        """Leave no order in force, and wait until nothing is owed any more; what stays owed is for the verdict."""
        with suppress(DsoError):
            for promise in self.promises:
                order = self._dso.book.orders.get(promise.order_id)
                if order is not None and not order.ended:
                    await self._cancel(promise.order_id)
            await self._dso.until(
                "all answers and acknowledgements",
                lambda book: not book.unfinished() and self._dso.frames_acknowledged == book.frames.count().distinct,
                timeout_s=ANSWER_S,
            )

    async def observe(self) -> None:
        """Hold the truth against every order in force, until cancelled."""
        while True:
            truth, at_s = self._truth(), _now_s()
            for promise in self.promises:
                promise.watch(truth, at_s)
            await asyncio.sleep(SAMPLE_S)

    async def _play(self, step: Step) -> None:
        step.state = State.RUNNING
        self._on_step(step)
        try:
            step.note = await step.act()
            step.state = State.DONE
        except DsoError as error:
            step.state, step.note = State.FAILED, str(error)
            self.faults.append(f"{step.title}: {error}")
        self._on_step(step)

    def hear(self, _name: str, message: Message) -> None:
        """Count the frames that were taken during the outage, as they arrive."""
        if isinstance(message, Measurements) and self._outage[0]:
            since, until = self._outage
            self.backlog += sum(since < frame.time < (until or "~") for frame in message.frames)

    # ---- the steps --------------------------------------------------------------------------------------------------

    async def _limit_60(self) -> str:
        if self._free_w <= (0.6 + TOLERANCE) * self._rated_w:
            raise DsoError(f"only {self._free_w / 1e3:.1f} kW flow without it, so the limit would prove nothing")
        return await self._effective(await self._limit("limit-60", 60.0))

    async def _limit_30(self) -> str:
        first = self._open("limit-60")
        promise = await self._limit("limit-30", 30.0)
        first.until_s = _now_s()
        await self._dso.acked(first.order_id, "superseded", timeout_s=ANSWER_S)
        return await self._effective(promise)

    async def _set_q(self) -> str:
        order = {"function": "set_reactive_power", "value": 8_000, "unit": "var"}
        return await self._effective(await self._send("q-8k", "8 kvar", order, REACTIVE, 8_000.0))

    async def _release(self) -> str:
        await self._cancel("limit-30", "q-8k")
        await self._awaited(f"{0.8 * self._free_w / 1e3:.0f} kW at the PCC again", lambda: self._free_again)
        return f"{self._truth()[ACTIVE] / 1e3:.1f} kW again"

    async def _refuse(self) -> str:
        await self._dso.send(self._order("limit-150", {"function": "limit_active_power", "value": 150, "unit": "%"}))
        ack = (await self._dso.acked("limit-150", "rejected", timeout_s=ANSWER_S)).ack
        if ack.code != "out_of_range":
            raise DsoError(f"refused with {ack.code}, not with out_of_range")
        return "out_of_range"

    async def _limit_50(self) -> str:
        return await self._effective(await self._limit("limit-50", 50.0))

    async def _cut(self) -> str:
        self._outage = (_utc_now(), "")
        await self._path.cut()
        self.path_cut = True
        try:
            await asyncio.sleep(self._cut_s)
        finally:
            await self._path.heal()
            self.path_cut = False
            self._outage = (self._outage[0], _utc_now())
        return f"{self._truth()[ACTIVE] / 1e3:.1f} kW"

    async def _backlog(self) -> str:
        _, healed = self._outage

        def delivered(book: Book) -> bool:
            newest = max((latest.time for latest in book.frames.latest.values()), default="")
            return book.online and newest > healed and not book.frames.missing()

        await self._dso.until("the backlog of the outage delivered", delivered, timeout_s=BACKLOG_S)
        if not self.backlog:
            raise DsoError("not one frame of the outage arrived")
        return f"{self.backlog} frames"

    async def _end(self) -> str:
        await self._cancel("limit-50")
        return ""

    def _cycle_of(self, percent: float) -> Callable[[], Awaitable[str]]:
        async def act() -> str:
            order_id = f"cycle-{len(self.promises)}"
            await self._effective(await self._limit(order_id, percent))
            await asyncio.sleep(CYCLE_S)
            await self._cancel(order_id)
            await asyncio.sleep(CYCLE_S)
            return ""

        return act

    # ---- what the steps share ---------------------------------------------------------------------------------------

    def _order(self, order_id: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        return {"id": order_id, "target": "pcc", "tolerance": {"value": TOLERANCE * 100, "unit": "%"}, **fields}

    async def _limit(self, order_id: str, percent: float) -> Promise:
        order = {"function": "limit_active_power", "value": percent, "unit": "%"}
        value_w = percent / 100 * self._rated_w
        return await self._send(order_id, f"at most {percent:g} %", order, ACTIVE, value_w)

    async def _send(self, order_id: str, title: str, fields: Mapping[str, Any], point: str, value: float) -> Promise:
        form: Any = "limit" if point == ACTIVE else "setpoint"
        promise = Promise(order_id, title, point, form, value, TOLERANCE * self._rated_w)
        await self._dso.send(self._order(order_id, fields))
        self.promises.append(promise)
        return promise

    async def _effective(self, promise: Promise) -> str:
        heard = await self._dso.acked(promise.order_id, "effective", timeout_s=EFFECT_S)
        promise.since_s = heard.at_s
        promise.watch(self._truth(), _now_s())
        await asyncio.sleep(self._hold_s)
        return f"in {heard.latency_s:.1f} s"

    async def _cancel(self, *order_ids: str) -> None:
        for order_id in order_ids:
            self._open(order_id).until_s = _now_s()
            await self._dso.cancel(order_id)
        for order_id in order_ids:
            await self._dso.acked(order_id, "cancelled", timeout_s=ANSWER_S)

    def _open(self, order_id: str) -> Promise:
        return next(promise for promise in self.promises if promise.order_id == order_id)

    @property
    def _free_again(self) -> bool:
        return self._truth()[ACTIVE] >= 0.8 * self._free_w

    async def _awaited(self, what: str, reached: Callable[[], bool]) -> None:
        deadline_s = _now_s() + EFFECT_S
        while not reached():
            if _now_s() > deadline_s:
                raise DsoError(f"{what}: not within {EFFECT_S:g} s")
            await asyncio.sleep(SAMPLE_S)


def _now_s() -> float:
    return asyncio.get_running_loop().time()


def _utc_now() -> str:
    moment = datetime.now(UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"
