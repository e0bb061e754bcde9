"""Figures, their references beside them, and the machine they were taken on, as plain text that is Markdown, too."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Row:
    """One figure, the reference taken in the same run, and what we aim at; all in `unit`. `more` of it is better."""

    name: str
    value: float
    unit: str
    reference: float | None = None
    aim: float | None = None
    more: bool = False

    @property
    def cells(self) -> tuple[str, ...]:
        ratio = f"{self.value / self.reference:.1f}" if self.reference else ""
        aim = "" if self.aim is None else self._against(self.aim)
        return (self.name, f"{self.value:.2f}", _text(self.reference), ratio, self.unit, aim)

    def _against(self, aim: float) -> str:
        met = self.value > aim if self.more else self.value < aim
        return f"{'>' if self.more else '<'} {aim:.4g}: {'met' if met else 'MISSED'}"


@dataclass(frozen=True, slots=True)
class Result:
    """
    One benchmark's figures. `sent` and `lost` count what went through: a figure of a run that lost something is none.
    """

    title: str
    reference: str
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    sent: int = 0
    lost: int = 0

    def row(self, name: str) -> Row:
        return next(row for row in self.rows if row.name == name)

    def __str__(self) -> str:
        lines = [("figure", "value", "reference", "ratio", "unit", "aim"), *(row.cells for row in self.rows)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        text = ["| " + " | ".join(map(str.ljust, line, widths)) + " |" for line in lines]
        text.insert(1, "| " + " | ".join("-" * width for width in widths) + " |")
        counted = [f"{self.sent} sent, {self.lost} lost"] if self.sent else []
        notes = [f"- {note}" for note in (f"reference: {self.reference}", *counted, *self.notes)]
        return "\n".join([f"### {self.title}", "", *text, "", *notes, ""])


def _text(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def quantile(values: Sequence[float], share: float) -> float:
    """
    The smallest value that at least this share of all do not exceed.

    >>> quantile([4, 1, 3, 2], 0.5)
    2
    """
    return sorted(values)[max(ceil(share * len(values)) - 1, 0)]


def machine() -> str:
    """Cores, processor, kernel and Python, in one line."""
    cpuinfo = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    model = next((line.partition(":")[2].strip() for line in cpuinfo if line.startswith("model name")), "unknown CPU")
    load = os.getloadavg()[0]
    return (
        f"{os.cpu_count()} cores, {model}, {platform.machine()}, Linux {platform.release()}, "
        f"Python {platform.python_version()}, load average {load:.1f}"
    )
