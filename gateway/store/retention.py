"""
What is kept and what goes, in this order: delivered history past its age, the front of the ledger past its age or its
share of the store; then, while the store is too large, delivered
frames, undelivered frames (announced), delivered messages, undelivered messages. Runs on the writer thread.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.store import ledger
from gateway.store import runs as ivl
from gateway.store.journal import REMEMBERED_S, forget_entries
from gateway.store.limits import Limits
from gateway.store.outbox import Numbered, Outbox, Position
from gateway.store.runs import Run, Runs

STEP_ROWS = 100
"""Rows deleted before the size is looked at again."""

PASS_ROWS = 2000
"""Rows deleted in one transaction: an order waits behind it for some ten milliseconds."""

HEADROOM = 64
"""A store that is too large shrinks by this part of its limit, so that not every commit has to delete."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """What went: all runs without frames now, the messages deleted and added, and whether another pass is needed."""

    gone: Runs
    deleted: tuple[tuple[int, str | None], ...]
    announced: tuple[Numbered, ...]
    more: bool
    lost_frames: int
    lost_messages: int
    last_message: int


@dataclass(slots=True)
class _Pass:
    """One bounded pass over the store."""

    outbox: Outbox
    positions: Mapping[str, Position]
    limits: Limits
    wall: float

    def delivered(self) -> Runs:
        """The frame numbers that every uplink has acknowledged; all of them when there is no uplink."""
        result: Runs = ((1, max(self.outbox.last_frame, 1)),)
        for position in self.positions.values():
            result = ivl.intersection(result, position.frames)
        return result

    def over(self, target_bytes: int) -> bool:
        return self.outbox.used_bytes() > target_bytes

    def oldest_blocks(self, within: Runs) -> list[tuple[int, int, float]]:
        """(first, last, newest) of the oldest whole blocks within the runs, at most STEP_ROWS."""
        found: list[tuple[int, int, float]] = []
        for first, last in within:
            found += self.outbox.connection.execute(
                "select first, last, newest from block where first between ? and ? and last <= ?"
                " order by first limit ?",
                (first, last, last, STEP_ROWS - len(found)),
            ).fetchall()
            if len(found) == STEP_ROWS:
                break
        return found

    def drop_blocks(self, within: Runs, *, target_bytes: int | None) -> list[Run]:
        """Delete the oldest blocks within the runs: down to the target, or without one those past their age."""
        dropped: list[Run] = []
        while len(dropped) < PASS_ROWS and (target_bytes is None or self.over(target_bytes)):
            found = self.oldest_blocks(within)
            old = self.wall - self.limits.max_age_s
            step = [(first, last) for first, last, newest in found if target_bytes is not None or newest < old]
            if not step:
                break
            self.outbox.connection.executemany("delete from block where first = ?", ((first,) for first, _ in step))
            dropped += step
        return dropped

    def concerned(self, number: int, uplink: str | None) -> bool:
        """Whether some uplink still waits for the message."""
        return any(
            uplink in {None, name} and not ivl.contains(position.messages, number)
            for name, position in self.positions.items()
        )

    def drop_messages(self, *, target_bytes: int | None, delivered: bool) -> list[tuple[int, str | None]]:
        """Delete the oldest messages, only delivered ones if so: down to the target, or those past their age."""
        before = float("inf") if target_bytes is not None else self.wall - self.limits.max_age_s
        rows = self.outbox.connection.execute(
            "select number, uplink from message where time < ? order by number", (before,)
        )
        found: list[tuple[int, str | None]] = []
        for number, uplink in rows:
            if not (delivered and self.concerned(number, uplink)):
                found.append((number, uplink))
            if len(found) == PASS_ROWS:
                break
        rows.close()
        dropped: list[tuple[int, str | None]] = []
        while len(dropped) < len(found) and (target_bytes is None or self.over(target_bytes)):
            step = found[len(dropped) : len(dropped) + STEP_ROWS]
            self.outbox.delete_messages([number for number, _ in step])
            dropped += step
        return dropped


def prune(
    outbox: Outbox,
    positions: Mapping[str, Position],
    limits: Limits,
    wall: float,
    signer: ledger.Signer | None = None,
) -> Pruned:
    """One pass. `positions` are those of the uplinks in use; a message for any other is delivered as far as we know."""
    job = _Pass(outbox, positions, limits, wall)
    everything: Runs = ((1, max(outbox.last_frame, 1)),)
    delivered = job.delivered()
    aged = job.drop_blocks(delivered, target_bytes=None)
    aged_messages = job.drop_messages(target_bytes=None, delivered=True)
    age_s = max(limits.max_age_s, REMEMBERED_S)
    forget_entries(outbox.connection, wall - age_s, PASS_ROWS)
    more_of_ledger = signer is not None and ledger.prune(
        outbox.connection, signer, wall=wall, max_age_s=age_s, max_bytes=limits.max_size_bytes // ledger.SHARE
    )

    squeezed: list[Run] = []
    messages: list[tuple[int, str | None]] = []
    target = limits.max_size_bytes - limits.max_size_bytes // HEADROOM
    if job.over(limits.max_size_bytes):
        squeezed = job.drop_blocks(delivered, target_bytes=target)
        if len(squeezed) < PASS_ROWS:
            squeezed += job.drop_blocks(everything, target_bytes=target)
        if not squeezed:
            messages = job.drop_messages(target_bytes=target, delivered=True)
            messages += job.drop_messages(target_bytes=target, delivered=False)

    lost = tuple(gap for run in ivl.merged(squeezed) for gap in ivl.missing(delivered, *run))
    if aged or squeezed:
        outbox.lose(aged + squeezed)
    announced = tuple(outbox.announce(gap, "max_size", wall, limits.on_gap) for gap in lost)
    deleted = (*aged_messages, *messages)
    return Pruned(
        gone=outbox.gone,
        deleted=deleted,
        announced=announced,
        more=more_of_ledger
        or len(aged) >= PASS_ROWS
        or len(aged_messages) >= PASS_ROWS
        or (bool(squeezed or messages) and job.over(limits.max_size_bytes)),
        lost_frames=ivl.total(lost),
        lost_messages=sum(job.concerned(number, uplink) for number, uplink in messages),
        last_message=outbox.last_message,
    )
