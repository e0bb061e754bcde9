"""
The outbox on disk: numbered frames and messages, and what each uplink has acknowledged of them.

Everything here runs on the thread that owns the connection, inside a transaction of the writer where it changes rows.
A number becomes known to others only after its commit. Numbers without frames (`gone`: pruned, dropped before they were
written, lost) are kept as runs, so that the last number is known even when no block is left.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.model import Block, Frame, Outgoing
from gateway.store import runs as ivl
from gateway.store.codec import Unreadable, pack, pack_runs, unpack, unpack_runs, writable
from gateway.store.runs import Run, Runs

BLOCK_FRAMES = 500
"""Frames in one row: more pack no better, and a reader unpacks a whole row for one frame of it."""

READ_FRAMES = 5000
"""Frames of one reading: it holds up the next commit for as long as unpacking them takes (some 50 ms)."""

WAL_LOST_NUMBERS = 10_000_000
"""Numbers skipped when the write-ahead log vanished after a crash: more than it can have held, so that none is used
twice. It cannot be told from one that another program has emptied into the file; then nothing is lost but numbers."""


@dataclass(frozen=True, slots=True)
class Position:
    """What one uplink has acknowledged."""

    frames: Runs = ()
    messages: Runs = ()


Numbered = tuple[int, Outgoing]
"""A message and its number."""


@dataclass(frozen=True, slots=True)
class Added:
    """What one commit added: numbered messages, frames, and the numbers that came to nothing."""

    blocks: tuple[Block, ...]
    messages: tuple[Numbered, ...]
    gone: Runs
    odd_frames: int
    last_frame: int
    last_message: int
    used_bytes: int


@dataclass(frozen=True, slots=True)
class Read:
    """Blocks in order, and the runs whose block is there but cannot be read."""

    blocks: list[Block]
    unreadable: Runs


class Outbox:
    """The tables `block`, `message`, `position` and the counters; made anew with each connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.gone: Runs = ()
        body = self._value("gone")
        if isinstance(body, bytes):
            self.gone = unpack_runs(body)
        newest = connection.execute("select last from block order by first desc limit 1").fetchone()
        self.last_frame = max(newest[0] if newest else 0, self.gone[-1][1] if self.gone else 0)
        number = connection.execute("select max(number) from message").fetchone()[0]
        self.last_message = max(int(number or 0), int(self._value("last_message") or 0))

    def _value(self, key: str) -> Any:
        row = self.connection.execute("select value from meta where key = ?", (key,)).fetchone()
        return row[0] if row else None

    def _set(self, key: str, value: object) -> None:
        self.connection.execute("insert or replace into meta (key, value) values (?, ?)", (key, value))

    # -- adding -----------------------------------------------------------------------------------------------------

    def add(
        self,
        frames: Sequence[Frame],
        skipped: int,
        outgoing: Sequence[Outgoing],
        wall: float,
        on_gap: Callable[[int, int, str], bytes],
    ) -> Added:
        """Number and insert; `skipped` frames were dropped before these, and get the numbers that say so."""
        before = self.gone
        messages = [self._insert_message(message, wall) for message in outgoing]
        if skipped:
            lost = (self.last_frame + 1, self.last_frame + skipped)
            messages.append(self.announce(lost, "overflow", wall, on_gap))
            self.lose((lost,))
        kept = writable(frames)
        blocks = tuple(self._insert_block(kept[i : i + BLOCK_FRAMES]) for i in range(0, len(kept), BLOCK_FRAMES))
        return Added(
            blocks=blocks,
            messages=tuple(messages),
            gone=self.gone if self.gone is not before else (),
            odd_frames=len(frames) - len(kept),
            last_frame=self.last_frame,
            last_message=self.last_message,
            used_bytes=self.used_bytes(),
        )

    def _insert_block(self, frames: tuple[Frame, ...]) -> Block:
        block = Block(self.last_frame + 1, frames)
        times = [frame.time for frame in frames]
        self.connection.execute(
            "insert into block (first, last, oldest, newest, body) values (?, ?, ?, ?, ?)",
            (block.first, block.last, min(times), max(times), pack(frames)),
        )
        self.last_frame = block.last
        return block

    def _insert_message(self, message: Outgoing, wall: float) -> Numbered:
        number = self.last_message + 1
        self.connection.execute(
            "insert into message (number, time, topic, uplink, response_topic, correlation, ref, payload)"
            " values (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                number,
                wall,
                message.topic,
                message.uplink,
                message.response_topic,
                message.correlation,
                message.ref,
                message.payload,
            ),
        )
        self.last_message = number
        return number, message

    def announce(self, lost: Run, reason: str, wall: float, on_gap: Callable[[int, int, str], bytes]) -> Numbered:
        """Tell every uplink that these frames will not come."""
        return self._insert_message(Outgoing("events", on_gap(lost[0], lost[1], reason)), wall)

    def lose(self, lost: Iterable[Run]) -> None:
        """These numbers hold no frames from now on."""
        self.gone = ivl.merged((*self.gone, *lost))
        self.last_frame = max(self.last_frame, self.gone[-1][1])
        self._set("gone", pack_runs(self.gone))

    def discard(self, unreadable: Runs) -> None:
        """Delete the blocks that make up the runs."""
        self.connection.executemany("delete from block where first between ? and ?", unreadable)
        self.lose(unreadable)

    def number_messages_after(self, number: int) -> None:
        """Go on behind the number, also when no row tells it any more."""
        self.last_message = max(self.last_message, number)
        self._set("last_message", self.last_message)

    def delete_messages(self, numbers: Sequence[int]) -> None:
        self.number_messages_after(self.last_message)
        self.connection.executemany("delete from message where number = ?", ((number,) for number in numbers))

    # -- positions --------------------------------------------------------------------------------------------------

    def positions(self) -> dict[str, Position]:
        """Every uplink's stored position; one that cannot be read is empty, which only means sending again."""
        found = {}
        for uplink, frames, messages in self.connection.execute("select uplink, frames, messages from position"):
            try:
                found[str(uplink)] = Position(unpack_runs(frames), unpack_runs(messages))
            except Unreadable:
                found[str(uplink)] = Position()
        return found

    def save_positions(self, positions: Mapping[str, Position]) -> None:
        self.connection.executemany(
            "insert or replace into position (uplink, frames, messages) values (?, ?, ?)",
            ((uplink, pack_runs(p.frames), pack_runs(p.messages)) for uplink, p in positions.items()),
        )

    def owned(self, uplink: str, numbers: Sequence[int]) -> list[Run]:
        """
        The run each message stands for in this uplink's position: from behind its predecessor for the same uplink to
        itself, so that messages for others leave no holes. Numbers that are not there or not for it are left out.
        """
        found = []
        for number in numbers:
            rows = self.connection.execute(
                "select number from message where number <= ? and (uplink is null or uplink = ?)"
                " order by number desc limit 2",
                (number, uplink),
            ).fetchall()
            if rows and rows[0][0] == number:
                found.append((rows[1][0] + 1 if len(rows) > 1 else 1, number))
        return found

    # -- reading ----------------------------------------------------------------------------------------------------

    def read_blocks(self, wanted: Runs, limit: int) -> Read:
        """The frames of the wanted runs, up to `limit` blocks and about READ_FRAMES frames."""
        blocks: list[Block] = []
        unreadable: list[Run] = []
        frames = 0
        for first, last in wanted:
            rows = self.connection.execute(
                "select first, body, last from block where first between"
                " coalesce((select max(first) from block where first <= ?), 0) and ? and last >= ?"
                " order by first limit ?",
                (first, last, first, limit),
            ).fetchall()
            for start, body, end in rows:
                if len(blocks) >= limit or frames >= READ_FRAMES:
                    return Read(blocks, tuple(unreadable))
                try:
                    block = Block(start, unpack(body))
                except Unreadable:
                    block = None
                if block is None or block.last != end:
                    unreadable.append((start, end))
                    continue
                piece = cut(block, max(first, start), min(last, end))
                blocks.append(piece)
                frames += len(piece.frames)
        return Read(blocks, tuple(unreadable))

    def time_of(self, number: int) -> float | None:
        """The time of the oldest frame in the first block that holds the number, or follows it."""
        row = self.connection.execute(
            "select oldest from block where first >= coalesce((select max(first) from block where first <= ?), 0)"
            " and last >= ? order by first limit 1",
            (number, number),
        ).fetchone()
        return row[0] if row else None

    def read_messages(self, uplink: str, wanted: Runs, limit: int) -> list[Numbered]:
        """The messages for the uplink within the wanted runs, oldest first."""
        found: list[Numbered] = []
        for first, last in wanted:
            rows = self.connection.execute(
                "select number, topic, payload, uplink, response_topic, correlation, ref from message"
                " where number between ? and ? and (uplink is null or uplink = ?) order by number limit ?",
                (first, last, uplink, limit - len(found)),
            ).fetchall()
            found += [(number, Outgoing(*rest)) for number, *rest in rows]
            if len(found) == limit:
                break
        return found

    def count_messages(self, uplink: str, wanted: Runs) -> int:
        return sum(
            self.connection.execute(
                "select count(*) from message where number between ? and ? and (uplink is null or uplink = ?)",
                (first, last, uplink),
            ).fetchone()[0]
            for first, last in wanted
        )

    def kept_messages(self) -> dict[str | None, int]:
        """How many messages there are, by the uplink they are for."""
        return dict(self.connection.execute("select uplink, count(*) from message group by uplink").fetchall())

    def mark_closed(self) -> None:
        self._set("closed", 1)

    def used_bytes(self) -> int:
        """The pages in use; free ones are filled before the file grows."""
        pages, free, size = (
            int(self.connection.execute(f"pragma {name}").fetchone()[0])
            for name in ("page_count", "freelist_count", "page_size")
        )
        return (pages - free) * size

    def close(self) -> None:
        self.connection.close()


def cut(block: Block, first: int, last: int) -> Block:
    """The frames first to last of a block."""
    return Block(first, block.frames[first - block.first : last + 1 - block.first])
