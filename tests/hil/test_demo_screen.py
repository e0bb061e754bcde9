"""The demo's screen fits its terminal and shows what is so, from the first moment on."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from hil.demo.screen import View, render
from hil.demo.script import State, Step
from hil.dso import Book
from tests.hil.messages import BASE, SITE, TIME, ack, batch, encoded, order

TITLES = ("limit the export to 60 %", "tighten it to 30 %", *(f"step {n}" for n in range(7)))


async def _nothing() -> str:
    return ""


def steps(*states: State, note: str = "in 3.6 s") -> list[Step]:
    padded = [*states, *[State.WAITING] * (len(TITLES) - len(states))]
    return [
        Step(title, _nothing, state, note if state is State.DONE else "")
        for title, state in zip(TITLES, padded, strict=True)
    ]


def recorded() -> Book:
    """The book of a run: a site of three devices, a limit in force, a refusal."""
    book = Book(SITE)
    devices = [{"id": "pcc", "role": "meter"}, {"id": "inv1", "role": "pv"}, {"id": "bat1", "role": "battery"}]
    common = {"site": SITE, "time": TIME}
    in_force = {"target": "pcc", "value": 36_000.0, "unit": "W", "source": "limit-60", "limited_by": None}
    control = {**common, "quantities": [in_force], "headroom": {"p_up": 100.0, "p_down": 42_000.0}}
    frames = batch([1, 2, 4])
    frames["frames"][2] |= {
        "values": {"pcc.active_power": 35_900.0, "inv1.active_power": 41_234.0, "bat1.active_power": 0.0},
        "quality": {"bat1.active_power": "stale"},
    }
    book.sent(order("limit-60"), 0.0)
    book.sent(order("limit-150"), 5.0)
    for name, body in (
        ("status", {**common, "state": "online"}),
        ("birth", {**common, "devices": devices}),
        ("control", control),
        ("measurements", frames),
        *(("acks", ack(n, word, "limit-60")) for n, word in enumerate(("received", "accepted", "started"), 1)),
        ("acks", ack(1, "received", "limit-150")),
        ("acks", ack(2, "rejected", "limit-150")),
    ):
        book.feed(BASE + name, encoded(body), 6.5)
    return book


def drawn(width: int, **fields: Any) -> list[str]:
    view = View(
        **{"book": recorded(), "steps": steps(State.DONE, State.RUNNING), "elapsed_s": 75.0, **fields}, rated_w=60_000.0
    )
    console = Console(file=StringIO(), width=width, height=30)
    console.print(render(view))
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined,no-any-return]


@pytest.mark.parametrize("width", [80, 100, 140])
@pytest.mark.parametrize("book", [Book(SITE), recorded()], ids=["nothing yet", "a run"])
def test_it_fits_30_lines_of_any_width_from_80(width: int, book: Book) -> None:
    lines = drawn(width, book=book)
    assert len(lines) < 30
    assert max(map(len, lines)) <= width


SHOWN = {
    "the connection and the time": ({}, "01:15 ● online"),
    "a step that is done, with what came of it": ({}, "✓ limit the export to 60 % in 3.6 s"),
    "the step that runs": ({}, "▶ tighten it to 30 %"),
    "a step that failed": ({"steps": steps(State.FAILED)}, "✗ limit the export to 60 % failed"),
    "the set-point in force": ({}, "pcc limit-60 36.0 kW"),
    "the headroom": ({}, "↑ 0.1 kW ↓ 42.0 kW"),
    "frames on their way": ({"acknowledged": 2}, "2 acknowledged, 1 outstanding"),
    "frames missing": ({}, "1 missing, 0 duplicated"),
    "the path cut": ({"path_cut": True}, "path cut, buffering"),
    "no connection while the path is cut": ({"path_cut": True}, "○ not connected"),
    "the backlog": ({"backlog": 36}, "36 of the outage delivered"),
    "the power at the PCC against its limit": ({}, "┃░░░░░░░░░░░░░░░░ 35.9 kW, limit 36.0 kW"),
    "a stale device": ({}, "stale"),
    "a refusal with its code": ({}, "rejected out_of_range"),
    "a latency": ({}, "1.50 s"),
    "that nothing is in force yet": ({"book": Book(SITE)}, "no set-point"),
    "that nothing was measured yet": ({"book": Book(SITE)}, "pcc no value yet"),
}


@pytest.mark.parametrize(("fields", "text"), SHOWN.values(), ids=SHOWN.keys())
def test_it_shows(fields: dict[str, Any], text: str) -> None:
    assert text in " ".join("\n".join(drawn(80, **fields)).split())


def test_without_a_limit_the_power_is_shown_against_the_rated_one() -> None:
    book = recorded()
    book.control = None
    assert "35.9 kW of 60.0 kW" in "\n".join(drawn(80, book=book))
