"""A set of whole numbers as sorted, disjoint ranges: what was received, announced as gone, or acknowledged."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator


class Ranges:
    """Holds numbers as inclusive ranges that neither overlap nor touch; a store's whole life is usually one of them."""

    __slots__ = ("_firsts", "_lasts")

    def __init__(self) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []

    def add(self, first: int, last: int) -> None:
        """Put in all numbers from `first` to `last`, both included."""
        if last < first:
            raise ValueError(f"range [{first}, {last}] ends before it starts")
        lo = bisect_left(self._lasts, first - 1)
        hi = bisect_right(self._firsts, last + 1)
        if lo < hi:
            first = min(first, self._firsts[lo])
            last = max(last, self._lasts[hi - 1])
        self._firsts[lo:hi] = [first]
        self._lasts[lo:hi] = [last]

    def __contains__(self, number: int) -> bool:
        at = bisect_left(self._lasts, number)
        return at < len(self._lasts) and self._firsts[at] <= number

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Yield the ranges as (first, last), in order."""
        return zip(self._firsts, self._lasts, strict=True)

    def __len__(self) -> int:
        """How many numbers there are, not how many ranges."""
        return sum(self._lasts) - sum(self._firsts) + len(self._firsts)

    def gaps(self) -> Ranges:
        """The numbers between the first and the last that are not in."""
        missing = Ranges()
        for before, after in zip(self._lasts, self._firsts[1:], strict=False):
            missing.add(before + 1, after - 1)
        return missing

    def minus(self, other: Ranges) -> Ranges:
        """The numbers of this set that are not in the other."""
        left = Ranges()
        for range_first, last in self:
            first = range_first
            for taken_first, taken_last in other:
                if taken_last < first or taken_first > last:
                    continue
                if taken_first > first:
                    left.add(first, taken_first - 1)
                first = taken_last + 1
            if first <= last:
                left.add(first, last)
        return left
