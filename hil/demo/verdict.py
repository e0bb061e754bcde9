"""The judgement of the demo: green only if every order was obeyed, every word was legal, and no frame was lost."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from hil.demo.promise import EXCURSION_S, Promise
from hil.dso import BookVerdict

LATENCIES = ("received", "accepted", "started", "effective")
SHOWN_FAULTS = 10
SHOWN_ORDERS = 12  # a long run has hundreds; the faults name those that matter


@dataclass(frozen=True, slots=True)
class DemoVerdict:
    """`faults` in one sentence each; `acknowledged` counts frames that the DSO has acknowledged."""

    book: BookVerdict
    promises: Sequence[Promise]
    acknowledged: int
    faults: tuple[str, ...]

    @property
    def ok(self) -> bool:
        return not self.faults


def judge(
    book: BookVerdict,
    promises: Sequence[Promise],
    *,
    acknowledged: int,
    script_faults: Iterable[str] = (),
) -> DemoVerdict:
    """Collect every fault there is, worst first."""
    faults = [*script_faults, *book.faults]
    faults += [
        f"{promise.order_id}: not obeyed, for {promise.longest_excursion_s:.1f} s (allowed {EXCURSION_S:g} s) "
        f"outside the tolerance, by up to {_kilo(promise.worst_excess)} {_unit(promise)}"
        for promise in promises
        if promise.since_s is not None and not promise.obeyed  # one withdrawn before its effect promised nothing
    ]
    faults += [f"{order.id} r{order.revision}: left {order.status}" for order in book.orders if not order.ended]
    if not any(promise.samples for promise in promises):
        faults.append("no order was in force, so nothing is proved")
    if not book.frames.distinct:
        faults.append("no measurement arrived")
    if acknowledged != book.frames.distinct:
        faults.append(f"{book.frames.distinct} frames arrived, but {acknowledged} were acknowledged")
    return DemoVerdict(book, promises, acknowledged, tuple(faults))


def report(verdict: DemoVerdict) -> RenderableType:
    """What is printed at the end."""
    orders = Table(box=None, pad_edge=False, header_style="dim")
    for title, justify in (("order", "left"), ("acknowledged", "left"), ("effective", "right"), ("worst", "right")):
        orders.add_column(title, justify="right" if justify == "right" else "left")
    orders.add_column("obeyed")
    promised = {promise.order_id: promise for promise in verdict.promises}
    for order in verdict.book.orders[:SHOWN_ORDERS]:
        promise, effective = promised.get(order.id), order.first("effective")
        orders.add_row(
            order.id,
            _path(heard.ack.status for heard in order.heard),
            f"{effective.latency_s:.2f} s" if effective else "",
            f"+{_kilo(promise.worst_excess)} {_unit(promise)}" if promise and promise.samples else "",
            _obeyed(promise),
        )
    if len(verdict.book.orders) > SHOWN_ORDERS:
        orders.add_row(f"… and {len(verdict.book.orders) - SHOWN_ORDERS} more")
    latencies = Table(box=None, pad_edge=False, header_style="dim")
    for title in ("latency", *LATENCIES):
        latencies.add_column(title, justify="right" if title != "latency" else "left")
    known = [verdict.book.latencies.get(status) for status in LATENCIES]
    latencies.add_row("median", *(f"{one.median_s:.3f} s" if one else "" for one in known))
    latencies.add_row("max", *(f"{one.max_s:.3f} s" if one else "" for one in known))
    frames = verdict.book.frames
    counted = Text(
        f"frames: {frames.distinct + frames.missing} published, {verdict.acknowledged} acknowledged, "
        f"{frames.missing} lost, {frames.duplicates} duplicated"
    )
    shown = [Text(f"  {fault}", style="red") for fault in verdict.faults[:SHOWN_FAULTS]]
    if len(verdict.faults) > SHOWN_FAULTS:
        shown.append(Text(f"  … and {len(verdict.faults) - SHOWN_FAULTS} more", style="red"))
    return Group(orders, Text(), latencies, Text(), counted, Text(), _line(verdict), *shown)


def _line(verdict: DemoVerdict) -> Text:
    if not verdict.ok:
        count = len(verdict.faults)
        return Text(f"FAILED: {count} fault{'s' if count > 1 else ''}", style="bold red")
    return Text("PASSED: every order obeyed, every acknowledgement legal, no frame lost", style="bold green")


def _path(statuses: Iterable[str]) -> str:
    """`received ▸ accepted ▸ …` is the same for most, so it is shown by what differs: the last words."""
    said = list(statuses)
    return f"{len(said)}: … {' ▸ '.join(said[-2:])}" if len(said) > 2 else f"{len(said)}: {' ▸ '.join(said)}"


def _obeyed(promise: Promise | None) -> str:
    if promise is None or promise.since_s is None:
        return ""
    return "[green]yes[/]" if promise.obeyed else "[red]no[/]"


def _kilo(value: float) -> str:
    return f"{value / 1e3:.1f}"


def _unit(promise: Promise) -> str:
    return "kvar" if promise.form == "setpoint" else "kW"
