"""Which frames were published and not acknowledged yet, and when they are to be sent again. Pure; time is monotonic."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import inf

Range = tuple[int, int]
"""Numbers of frames, first and last included."""


@dataclass(slots=True)
class _Sent:
    first: int
    last: int
    attempts: int
    due: float
    delivered: bool = False


class InDoubt:
    """Runs of frames, none overlapping another. Few enough (the window bounds them) that each question looks at all."""

    def __init__(self) -> None:
        self._sent: list[_Sent] = []

    def __len__(self) -> int:
        return len(self._sent)

    def attempts(self, first: int, last: int) -> int:
        """How often any of these frames was published."""
        return max((sent.attempts for sent in self._overlapping(first, last)), default=0)

    def add(self, first: int, last: int, due: float) -> None:
        """They were published, perhaps again."""
        attempts = self.attempts(first, last) + 1
        self.release([(first, last)])
        self._sent.append(_Sent(first, last, attempts, due))

    def deliver(self, first: int, last: int) -> None:
        """The broker has taken them."""
        for sent in self._overlapping(first, last):
            sent.delivered = True

    def postpone(self, first: int, last: int, due: float) -> None:
        for sent in self._overlapping(first, last):
            sent.due = due

    def named(self, ranges: Iterable[Range]) -> list[Range]:
        """What of the ranges is in doubt: an acknowledgement frees nothing that was not sent."""
        return [
            (max(first, sent.first), min(last, sent.last))
            for first, last in ranges
            for sent in self._overlapping(first, last)
        ]

    def release(self, ranges: Iterable[Range]) -> None:
        """They are not in doubt any more; what is left of a run stays as it was."""
        for first, last in ranges:
            for sent in self._overlapping(first, last):
                self._sent.remove(sent)
                if sent.first < first:
                    self._sent.append(_Sent(sent.first, first - 1, sent.attempts, sent.due, sent.delivered))
                if sent.last > last:
                    self._sent.append(_Sent(last + 1, sent.last, sent.attempts, sent.due, sent.delivered))

    def missing(self, first: int, last: int) -> list[Range]:
        """What of these frames is not in doubt, in order."""
        result: list[Range] = []
        for sent in sorted(self._overlapping(first, last), key=lambda sent: sent.first):
            if first < sent.first:
                result.append((first, sent.first - 1))
            first = sent.last + 1
        return [*result, (first, last)] if first <= last else result

    def oldest_due(self, now: float) -> Range | None:
        """The run with the lowest numbers that is to be sent again."""
        return min(((sent.first, sent.last) for sent in self._sent if sent.due <= now), default=None)

    def hasten(self, due: float) -> None:
        """The other side is back: nothing waits longer than until then, but what only the broker can answer for."""
        for sent in self._sent:
            if sent.due != inf:
                sent.due = min(sent.due, due)

    def reconnect(self) -> None:
        """What the broker had not taken when the connection ended is due at once."""
        for sent in self._sent:
            if not sent.delivered:
                sent.due = -inf

    def _overlapping(self, first: int, last: int) -> list[_Sent]:
        return [sent for sent in self._sent if sent.first <= last and sent.last >= first]
