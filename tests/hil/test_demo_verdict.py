"""The demo's verdict is green for a run without fault, and red for each single kind of fault in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from hil.demo.promise import EXCURSION_S, Promise
from hil.demo.verdict import DemoVerdict, judge, report
from hil.dso import Book
from tests.hil.messages import BASE, SITE, ack, batch, cancellation, encoded, order

LIMIT_W, TOLERANCE_W = 36_000.0, 1_200.0
WORDS = ("received", "accepted", "started", "effective", "cancelled")


def promise_over(powers_w: Sequence[float], *, step_s: float = 0.1, **fields: object) -> Promise:
    """A limit of 36 kW that was in force while these powers flowed."""
    promise = Promise("a", "at most 60 %", "pcc.active_power", "limit", LIMIT_W, TOLERANCE_W, since_s=0.0)
    for name, value in fields.items():
        setattr(promise, name, value)
    for number, power_w in enumerate(powers_w):
        promise.watch({promise.point: power_w}, number * step_s)
    return promise


class Run:
    """A run without fault; a test changes one thing of it."""

    def __init__(self) -> None:
        self.acks = [ack(n, word) for n, word in enumerate(WORDS, 1)]
        self.batches = [batch([1, 2, 3])]
        self.powers_w = [35_000.0] * 50
        self.acknowledged = 3
        self.script_faults: list[str] = []
        self.promised = True

    def verdict(self) -> DemoVerdict:
        book = Book(SITE)
        book.sent(order(), 0.0)
        book.sent(cancellation(), 0.5)
        for number, body in enumerate(self.acks):
            book.feed(BASE + "acks", encoded(body), 1.0 + number)
        for body in self.batches:
            book.feed(BASE + "measurements", encoded(body), 1.0)
        promises = [promise_over(self.powers_w)] if self.promised else []
        return judge(book.verdict(), promises, acknowledged=self.acknowledged, script_faults=self.script_faults)


def test_a_run_without_fault_is_green() -> None:
    assert Run().verdict().faults == ()


def _not_obeyed(run: Run) -> None:
    run.powers_w[10:40] = [40_000.0] * 30


def _illegal(run: Run) -> None:
    del run.acks[2]
    for n, body in enumerate(run.acks, 1):
        body["n"] = n


def _missing_n(run: Run) -> None:
    del run.acks[0]


def _left_open(run: Run) -> None:
    run.acks.pop()


def _lost(run: Run) -> None:
    run.batches = [batch([1]), batch([3])]
    run.acknowledged = 2


def _conflicting(run: Run) -> None:
    run.batches.append(batch([3], value=9.0))


def _unacknowledged(run: Run) -> None:
    run.acknowledged = 2


def _script(run: Run) -> None:
    run.script_faults = ["release: 40 kW at the PCC again: not within 20 s"]


def _no_measurement(run: Run) -> None:
    run.batches, run.acknowledged = [], 0


def _nothing_proved(run: Run) -> None:
    run.promised = False


FAULTS: dict[str, tuple[Callable[[Run], None], str]] = {
    "a limit not obeyed": (_not_obeyed, "not obeyed, for 2.9 s (allowed 2 s) outside the tolerance, by up to 4.0 kW"),
    "an illegal acknowledgement": (_illegal, "effective after accepted"),
    "an acknowledgement missing": (_missing_n, "n=1 is missing before n=2"),
    "an order left open": (_left_open, "a r1: left effective"),
    "a frame lost": (_lost, "frames 2 of epoch e1 never came"),
    "a frame with two contents": (_conflicting, "frame 3 of epoch e1 came twice with other content"),
    "a frame not acknowledged": (_unacknowledged, "3 frames arrived, but 2 were acknowledged"),
    "a step of the script failed": (_script, "40 kW at the PCC again"),
    "no measurement at all": (_no_measurement, "no measurement arrived"),
    "no order in force at all": (_nothing_proved, "nothing is proved"),
}


@pytest.mark.parametrize(("spoil", "fault"), FAULTS.values(), ids=FAULTS.keys())
def test_each_single_fault_is_red_and_named(spoil: Callable[[Run], None], fault: str) -> None:
    run = Run()
    spoil(run)
    verdict = run.verdict()
    assert not verdict.ok
    assert fault in "\n".join(verdict.faults)


def test_a_repeat_of_a_frame_is_counted_and_no_fault() -> None:
    run = Run()
    run.batches.append(batch([2, 3]))
    verdict = run.verdict()
    assert verdict.ok
    assert verdict.book.frames.duplicates == 2


OBEYED: dict[str, tuple[Promise, bool]] = {
    "below the limit": (promise_over([0.0, 20_000.0, 36_000.0]), True),
    "above, within the tolerance, for ever": (promise_over([37_200.0] * 100), True),
    "above for just the settling time": (promise_over([40_000.0] * 21), True),
    "above for longer": (promise_over([40_000.0] * 22), False),
    "above again and again, each time briefly": (promise_over(([40_000.0] * 15 + [35_000.0]) * 9), True),
    "never looked at": (promise_over([]), False),
    "before it was in force": (promise_over([40_000.0] * 50 + [35_000.0] * 9, since_s=5.0), True),
    "after it was withdrawn": (promise_over([35_000.0] * 9 + [40_000.0] * 50, until_s=0.8), True),
    "a set-point missed from below": (promise_over([30_000.0] * 50, form="setpoint"), False),
    "a set-point met": (promise_over([35_000.0] * 50, form="setpoint"), True),
}


@pytest.mark.parametrize(("promise", "obeyed"), OBEYED.values(), ids=OBEYED.keys())
def test_obeying_is_to_be_outside_the_tolerance_never_longer_than_the_settling_time(
    promise: Promise, obeyed: bool
) -> None:
    assert promise.obeyed is obeyed


@given(st.lists(st.booleans(), min_size=1, max_size=80))
def test_the_longest_excursion_is_that_of_the_longest_run_outside(outside: list[bool]) -> None:
    """Counted in whole steps of 1 s, from the first sample outside to the last one in a row."""
    longest = run = 0
    for is_outside in outside:
        run = run + 1 if is_outside else 0
        longest = max(longest, run)
    promise = promise_over([40_000.0 if one else 0.0 for one in outside], step_s=1.0)
    assert promise.longest_excursion_s == max(longest - 1, 0)
    assert promise.obeyed == (max(longest - 1, 0) <= EXCURSION_S)


def printed(verdict: DemoVerdict, width: int = 80) -> str:
    console = Console(file=StringIO(), width=width)
    console.print(report(verdict))
    text: str = console.file.getvalue()
    return text


def test_the_report_of_a_green_run_says_what_was_proved() -> None:
    text = printed(Run().verdict())
    assert "PASSED" in text
    assert "3 published, 3 acknowledged, 0 lost, 0 duplicated" in text
    assert "effective ▸ cancelled" in text
    assert all(len(line) <= 80 for line in text.splitlines())


def test_the_report_of_a_red_run_names_the_faults_and_not_more_than_fit() -> None:
    run = Run()
    run.script_faults = [f"fault {number}" for number in range(30)]
    text = printed(run.verdict())
    assert "FAILED: 30 faults" in text
    assert "fault 0" in text
    assert "and 20 more" in text


def test_a_run_of_hundreds_of_orders_fits_on_a_screen() -> None:
    book = Book(SITE)
    for number in range(300):
        book.sent(order(f"cycle-{number}"), 0.0)
    text = printed(judge(book.verdict(), [], acknowledged=0))
    assert "… and 288 more" in text
    assert len(text.splitlines()) < 40
