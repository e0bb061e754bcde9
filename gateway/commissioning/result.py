"""What a test says: one result a test, with what was expected, what was measured, and what to do about it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple


class Verdict(StrEnum):
    """How a test ended. Only a FAIL says that something is wrong."""

    PASS = "PASS"  # noqa: S105 - a verdict, not a password
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"
    NOT_RUN = "NOT RUN"


class Sample(NamedTuple):
    """A value and when it arrived, monotonic seconds."""

    mono: float
    value: float


@dataclass(frozen=True, slots=True)
class Trace:
    """What a step looked like: times in s from its beginning, powers in W. A plot is drawn from it."""

    asked: Sequence[Sample] = ()
    device: Sequence[Sample] = ()
    meter: Sequence[Sample] = ()


@dataclass(frozen=True, slots=True)
class Result:
    """One test of one device; `values` are its figures by a name that ends with the unit."""

    device: str
    test: str
    verdict: Verdict
    expected: str = ""
    measured: str = ""
    advice: str = ""
    values: Mapping[str, float] = field(default_factory=dict)
    trace: Trace | None = None


@dataclass(frozen=True, slots=True)
class Device:
    """A device under test; `rated_w` None is not known, `controlled` that orders may be given to it."""

    id: str
    role: str
    rated_w: float | None
    controlled: bool


def worst(results: Sequence[Result]) -> Verdict:
    """What stands above a protocol: one failed test fails it, one that says nothing or was not run leaves it open."""
    verdicts = {result.verdict for result in results}
    if Verdict.FAIL in verdicts:
        return Verdict.FAIL
    return Verdict.PASS if verdicts == {Verdict.PASS} else Verdict.INCONCLUSIVE


def counted(results: Sequence[Result]) -> str:
    """How many tests ended how, in words."""
    verdicts = [result.verdict for result in results]
    return ", ".join(f"{verdicts.count(one)} {one}" for one in Verdict if one in verdicts) or "no test"
