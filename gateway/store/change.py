"""What is written together: the jobs that the event loop gives to the writer thread."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gateway.model import Frame, Hold, Outgoing
from gateway.store import ledger
from gateway.store.chain import Note
from gateway.store.journal import EntryRow, save_entries, save_holds
from gateway.store.outbox import Added, Outbox, Position
from gateway.store.runs import Runs


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One all-or-nothing addition; `skipped` frames were dropped before `frames` and are announced."""

    wall: float
    entries: tuple[EntryRow, ...] = ()
    holds: tuple[Hold, ...] = ()
    released: tuple[str, ...] = ()
    outgoing: tuple[Outgoing, ...] = ()
    frames: tuple[Frame, ...] = ()
    skipped: int = 0
    notes: tuple[Note, ...] = ()


def apply(
    outbox: Outbox,
    change: Change,
    positions: Mapping[str, Position],
    on_gap: Callable[[int, int, str], bytes],
    signer: ledger.Signer | None = None,
) -> Added:
    """Write the change, and with it the positions that moved since the last one."""
    if signer is not None:
        ledger.append(outbox.connection, change.notes, signer)
    save_entries(outbox.connection, change.entries)
    save_holds(outbox.connection, change.holds, change.released)
    outbox.save_positions(positions)
    return outbox.add(change.frames, change.skipped, change.outgoing, change.wall, on_gap)


def discard(
    outbox: Outbox, lost: Runs, announced: Runs, wall: float, on_gap: Callable[[int, int, str], bytes]
) -> Added:
    """Delete blocks that cannot be read; `announced` is what of them an uplink waits for."""
    outbox.discard(lost)
    messages = tuple(outbox.announce(run, "damaged", wall, on_gap) for run in announced)
    return Added((), messages, outbox.gone, 0, outbox.last_frame, outbox.last_message, outbox.used_bytes())


def close_session(outbox: Outbox, positions: Mapping[str, Position]) -> None:
    """The last thing to be written: positions, and that the end was an orderly one."""
    outbox.save_positions(positions)
    outbox.mark_closed()
