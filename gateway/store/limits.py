"""What the store is allowed to take, and what it says of itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import msgspec


def gap_event(first: int, last: int, reason: str) -> bytes:
    """The plainest payload that announces lost frames, in the contract's words."""
    return msgspec.json.encode({"schema": "event/1", "code": "buffer_gap", "from": first, "to": last, "reason": reason})


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """
    How much is kept and how often the disk is written.

    `max_size_bytes` bounds the pages in use; `max_age_s` is how long what was delivered stays as history (what was not
    delivered has no age: a step of the clock must not lose it). `on_gap(first, last, reason)` makes the payload of the
    event that announces lost frames; it is called on the writer thread. Reasons are `max_size`, `overflow`, `damaged`
    and `wal_lost`; with `damaged, epoch <epoch>` the numbers are those of the lost store, 0 to 0 where not known.
    """

    max_size_bytes: int = 2_000_000_000
    max_age_s: float = 90 * 86_400.0
    commit_interval_s: float = 1.0
    on_gap: Callable[[int, int, str], bytes] = gap_event


@dataclass(frozen=True, slots=True)
class Backlog:
    """What an uplink has not acknowledged; `oldest` is the UTC time in seconds of the oldest such frame."""

    frames: int
    messages: int
    oldest: float | None
