"""What is wrong with a site file: where it stands, what was found, what is accepted."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

Steps = tuple[str | int, ...]
"""The way to a value: the keys and list indices that lead to it."""


def spell(steps: Steps, start: str = "") -> str:
    """
    The way to a value as a person reads it.

    >>> spell(("devices", 1, "points", 0, "register"))
    'devices[1].points[0].register'
    """
    text = start
    for step in steps:
        if isinstance(step, str) and re.fullmatch(r"[\w-]+", step):
            text += f".{step}" if text else step
        else:
            text += f"[{step!r}]"
    return text


@dataclass(frozen=True, slots=True)
class Place:
    """A position in a file, and the way to it as a person reads it."""

    path: str
    line: int
    column: int
    where: str = ""

    def below(self, steps: Steps) -> Place:
        """For what is not there: the position of what should hold it."""
        return replace(self, where=spell(steps, self.where))

    def fault(self, message: str) -> Fault:
        return Fault(self.path, self.line, self.column, self.where, message)


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """One fault. Line and column count from 1; line 0 is the file as a whole."""

    path: str
    line: int
    column: int
    where: str
    message: str

    def __str__(self) -> str:
        parts = [self.path]
        if self.line:
            parts[0] += f":{self.line}:{self.column}"
        if self.where:
            parts.append(self.where)
        return ": ".join([*parts, self.message])


class SiteFaults(Exception):
    """Every fault of a site file, sorted by position; nothing was started. Its text is one line a fault."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = sorted(set(faults))
        super().__init__(self.faults)

    def __str__(self) -> str:
        return "\n".join(map(str, self.faults))
