"""What the demo shows: one screen of at most 30 lines, 80 columns or more. Pure: from a `View` to what rich draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from hil.demo.script import State, Step
from hil.dso import Book
from hil.dso.frames import FrameBook
from hil.dso.messages import Quality
from hil.dso.orders import Heard

SHOWN_ACKS = 6
SHOWN_POINTS = ("active_power", "reactive_power", "voltage_l1", "state_of_charge")
SHOWN_STEPS = 10
GAUGE_CELLS = 40
SYMBOLS = {State.WAITING: "·", State.RUNNING: "▶", State.DONE: "✓", State.FAILED: "✗"}
STEP_STYLES = {State.WAITING: "dim", State.RUNNING: "bold cyan", State.DONE: "green", State.FAILED: "bold red"}
QUALITY_STYLES: Mapping[Quality, str] = {
    "good": "green",
    "uncertain": "yellow",
    "invalid": "red",
    "stale": "yellow",
    "offline": "red",
}
STATUS_STYLES = {"effective": "green", "deviating": "yellow", "rejected": "red", "failed": "red"}
WORST_FIRST: Sequence[Quality] = ("offline", "invalid", "stale", "uncertain", "good")


@dataclass(frozen=True, slots=True)
class View:
    """All that is shown: the DSO's book, and what the demo itself knows."""

    book: Book
    steps: Sequence[Step]
    elapsed_s: float
    rated_w: float
    acknowledged: int = 0
    path_cut: bool = False
    backlog: int = 0


def render(view: View) -> RenderableType:
    """The screen."""
    upper = Table.grid(expand=True, padding=0)
    upper.add_column(ratio=5)
    upper.add_column(ratio=4)
    upper.add_row(
        Panel(_script(view.steps), title="script", title_align="left", border_style="dim"),
        Group(
            Panel(_in_force(view.book.control), title="in force", title_align="left", border_style="dim"),
            Panel(_delivery(view), title="delivery", title_align="left", border_style="dim"),
        ),
    )
    site = Group(_devices(view.book), _gauge(view))
    return Group(
        _head(view),
        upper,
        Panel(site, title="site", title_align="left", border_style="dim"),
        Panel(_acks(view.book), title="last acknowledgements", title_align="left", border_style="dim"),
    )


def _head(view: View) -> Text:
    return Text.assemble(
        ("dergate demo", "bold"),
        f"  {int(view.elapsed_s) // 60:02d}:{int(view.elapsed_s) % 60:02d}  ",
        ("● online", "green") if view.book.online and not view.path_cut else ("○ not connected", "red"),
        no_wrap=True,
    )


def _script(steps: Sequence[Step]) -> Table:
    table = Table.grid(expand=True, padding=(0, 1))
    table.add_column(width=1)
    table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    table.add_column(justify="right", no_wrap=True)
    for step in steps[-SHOWN_STEPS:]:
        style = STEP_STYLES[step.state]
        note = "failed" if step.state is State.FAILED else step.note  # why, the verdict says
        table.add_row(Text(SYMBOLS[step.state], style), Text(step.title, style), Text(note, "dim"))
    return table


def _in_force(control: Mapping[str, Any] | None) -> RenderableType:
    control = control or {}
    quantities = control.get("quantities", [])
    table = Table.grid(expand=True, padding=(0, 1))
    table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    table.add_column(justify="right", no_wrap=True)
    for entry in quantities[:2]:
        limited = entry.get("limited_by")
        source = f"{entry.get('source')}" + (f" ({limited})" if limited else "")
        table.add_row(
            Text(f"{entry.get('target')} {source}"), Text(_power(entry.get("value"), entry.get("unit")), "bold")
        )
    for _ in range(2 - len(quantities)):
        table.add_row(Text("no set-point", "dim") if not quantities and not table.rows else "", "")
    headroom = control.get("headroom", {})
    up, down = _power(headroom.get("p_up"), "W"), _power(headroom.get("p_down"), "W")
    return Group(table, Text(f"headroom  ↑ {up or '?'}  ↓ {down or '?'}", "dim", no_wrap=True, overflow="ellipsis"))


def _delivery(view: View) -> Text:
    frames = view.book.frames.count()
    outstanding = frames.distinct - view.acknowledged
    counted = Text(no_wrap=True, overflow="ellipsis")
    counted.append(f"{frames.distinct} frames received\n")
    counted.append(f"{view.acknowledged} acknowledged, {outstanding} outstanding\n")
    counted.append(f"{frames.missing} missing", "yellow" if frames.missing else "")
    counted.append(f", {frames.duplicates} duplicated\n")
    if view.path_cut:
        counted.append("path cut, buffering", "bold yellow")
    elif view.backlog:
        counted.append(f"{view.backlog} of the outage delivered", "green")
    elif view.book.faults:
        counted.append(f"{len(view.book.faults)} faults", "bold red")
    return counted


def _devices(book: Book) -> Table:
    table = Table(box=None, expand=True, pad_edge=False, header_style="dim")
    for title in ("device", "role", "P kW", "Q kvar", "U V", "SoC %", "quality"):
        table.add_column(title, justify="left" if title in {"device", "role", "quality"} else "right", no_wrap=True)
    devices = book.birth.get("devices", []) if book.birth is not None else []
    for device in islice(devices, 4):
        name = str(device.get("id"))
        quality = _worst_quality(book.frames, name)
        style = "" if quality in {None, "good"} else "dim"
        table.add_row(
            Text(name, "bold"),
            str(device.get("role", "")),
            Text(_number(book.frames, f"{name}.active_power", 1e-3), style),
            Text(_number(book.frames, f"{name}.reactive_power", 1e-3), style),
            Text(_number(book.frames, f"{name}.voltage_l1", 1.0), style),
            Text(_number(book.frames, f"{name}.state_of_charge", 1.0), style),
            Text(quality or "no value yet", QUALITY_STYLES[quality] if quality else "dim"),
        )
    return table


def _gauge(view: View) -> Text:
    """The PCC's export between 0 and the rated power, with the limit as a mark on it."""
    latest = view.book.frames.latest.get("pcc.active_power")
    if latest is None or not isinstance(latest.value, int | float):
        return Text("pcc  no value yet", "dim")
    limit_w = _limit_in_force(view.book.control)
    filled = _cells(float(latest.value), view.rated_w)
    mark = None if limit_w is None else _cells(limit_w, view.rated_w)
    gauge = Text("pcc ", no_wrap=True, overflow="ellipsis")
    for cell in range(GAUGE_CELLS + 1):
        if cell == mark:
            gauge.append("┃", "bold yellow")
        else:
            gauge.append("█" if cell < filled else "░", "green" if cell < filled else "dim")
    gauge.append(f" {_power(float(latest.value), 'W')}", "bold")
    gauge.append(f" of {_power(view.rated_w, 'W')}" if limit_w is None else f", limit {_power(limit_w, 'W')}")
    return gauge


def _acks(book: Book) -> Table:
    table = Table(box=None, expand=True, pad_edge=False, header_style="dim")
    for title in ("time", "order", "status", "requested", "measured", "after"):
        table.add_column(title, justify="left" if title in {"time", "order", "status"} else "right", no_wrap=True)
    heard = sorted((heard for order in book.orders for heard in order.heard), key=lambda one: one.at_s)
    for one in heard[-SHOWN_ACKS:]:
        table.add_row(*_ack_cells(one))
    for _ in range(SHOWN_ACKS - len(heard)):
        table.add_row("")
    return table


def _ack_cells(heard: Heard) -> tuple[RenderableType, ...]:
    ack = heard.ack
    status = f"{ack.status} {ack.code}" if ack.code else ack.status
    return (
        ack.time[11:19],
        Text(ack.id, overflow="ellipsis", no_wrap=True),
        Text(status, STATUS_STYLES.get(ack.status, ""), overflow="ellipsis", no_wrap=True),
        _power(ack.requested, ack.unit),
        _power(ack.measured, ack.unit),
        f"{heard.latency_s:.2f} s",
    )


def _worst_quality(frames: FrameBook, device: str) -> Quality | None:
    shown = (frames.latest.get(f"{device}.{name}") for name in SHOWN_POINTS)
    known = {latest.quality for latest in shown if latest is not None}
    return next((quality for quality in WORST_FIRST if quality in known), None)


def _number(frames: FrameBook, point: str, scale: float) -> str:
    latest = frames.latest.get(point)
    if latest is None:
        return ""
    return f"{latest.value * scale:.1f}" if isinstance(latest.value, int | float) else "?"


def _limit_in_force(control: Mapping[str, Any] | None) -> float | None:
    limits = [
        entry["value"]
        for entry in (control or {}).get("quantities", [])
        if entry.get("target") == "pcc" and entry.get("unit") == "W" and isinstance(entry.get("value"), int | float)
    ]
    return min(limits, default=None)


def _cells(power_w: float, rated_w: float) -> int:
    return round(max(0.0, min(power_w / rated_w, 1.0)) * GAUGE_CELLS)


def _power(value: object, unit: object) -> str:
    """A power for people, in kW or kvar."""
    return f"{value / 1e3:.1f} k{unit}" if isinstance(value, int | float) else ""
