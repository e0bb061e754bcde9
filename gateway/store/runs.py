"""
Interval arithmetic over record numbers: pure.

A run is `(first, last)`, both included. `Runs` are sorted, disjoint and not adjacent; every function returns them so.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

Run = tuple[int, int]
Runs = tuple[Run, ...]


def merged(runs: Iterable[Run]) -> Runs:
    """
    Any runs, in order; a reversed one is nothing.

    >>> merged([(5, 6), (1, 2), (3, 4), (9, 8)])
    ((1, 6),)
    """
    result: list[Run] = []
    for first, last in sorted(run for run in runs if run[0] <= run[1]):
        if result and first <= result[-1][1] + 1:
            result[-1] = (result[-1][0], max(result[-1][1], last))
        else:
            result.append((first, last))
    return tuple(result)


def clipped(runs: Iterable[Run], first: int, last: int) -> Runs:
    """What of any runs lies within first to last."""
    return merged((max(run[0], first), min(run[1], last)) for run in runs)


def missing(runs: Runs, first: int, last: int) -> Runs:
    """
    The numbers from first to last that are in no run.

    >>> missing(((1, 3), (6, 6)), 2, 9)
    ((4, 5), (7, 9))
    """
    result: list[Run] = []
    for run in runs:
        if run[0] > last:
            break
        if first < run[0]:
            result.append((first, run[0] - 1))
        first = max(first, run[1] + 1)
    if first <= last:
        result.append((first, last))
    return tuple(result)


def intersection(a: Runs, b: Runs) -> Runs:
    """The numbers in both."""
    result: list[Run] = []
    i = j = 0
    while i < len(a) and j < len(b):
        first, last = max(a[i][0], b[j][0]), min(a[i][1], b[j][1])
        if first <= last:
            result.append((first, last))
        if a[i][1] < b[j][1]:
            i += 1
        else:
            j += 1
    return tuple(result)


def contains(runs: Runs, number: int) -> bool:
    """Whether the number is in a run."""
    return any(first <= number <= last for first, last in runs)


def total(runs: Sequence[Run]) -> int:
    """How many numbers the runs hold."""
    return sum(last - first + 1 for first, last in runs)


def bounded(runs: Runs, limit: int) -> Runs:
    """At most `limit` runs: the longest ones."""
    if len(runs) <= limit:
        return runs
    longest = sorted(runs, key=lambda run: run[0] - run[1])[:limit]
    return tuple(sorted(longest))
