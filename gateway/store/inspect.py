"""Reading a store from outside, also while the daemon runs: nothing is locked or changed, and no reading lasts long."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway.model import Entry, Frame
from gateway.store import journal
from gateway.store import runs as ivl
from gateway.store.chain import Base, Link
from gateway.store.codec import Unreadable, unpack
from gateway.store.database import BUSY_S, NAME, explained
from gateway.store.errors import StoreError, StoreMissing
from gateway.store.ledger import load_base
from gateway.store.opening import SUFFIXES
from gateway.store.outbox import Outbox

PAGE_BLOCKS = 100
"""Blocks read at a time: a reading that goes on for long would keep the daemon's write-ahead log from being emptied."""


PAGE_RECORDS = 1000
"""Records of the ledger read at a time, for the same reason."""


@dataclass(frozen=True, slots=True)
class UplinkStats:
    """
    How far one uplink is: all frames up to `position` are acknowledged.

    As of the last commit: a position is saved with the commit that follows the acknowledgement.
    """

    uplink: str
    position: int
    frames: int
    messages: int


@dataclass(frozen=True, slots=True)
class Stats:
    """What a store holds. Times are UTC seconds of the oldest and the newest frame; None without frames."""

    epoch: str
    session: int
    frames: int
    messages: int
    first: int | None
    last: int | None
    oldest: float | None
    newest: float | None
    size_bytes: int
    uplinks: tuple[UplinkStats, ...]


@contextmanager
def _reading(state_dir: Path) -> Iterator[sqlite3.Connection]:
    path = state_dir / NAME
    if not path.is_file():
        raise StoreMissing(
            f"there is no store in {state_dir}", "see state_dir in the site file; `dergate run` makes the store"
        )
    try:
        uri = f"{path.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, timeout=BUSY_S, isolation_level=None)) as connection:
            yield connection
    except (sqlite3.Error, Unreadable) as error:
        raise explained(error) from error


def stats(state_dir: Path) -> Stats:
    """
    What the store holds and how far its uplinks are.

    Raises:
        StoreMissing: There is no store.
        StoreError: It cannot be read.
    """
    with _reading(state_dir) as connection:
        connection.execute("begin")
        outbox = Outbox(connection)
        meta = dict(connection.execute("select key, value from meta where key in ('epoch', 'session')"))
        kept = ivl.missing(outbox.gone, 1, outbox.last_frame)
        oldest = connection.execute("select oldest from block order by first limit 1").fetchone()
        newest = connection.execute("select newest from block order by first desc limit 1").fetchone()
        uplinks = []
        for uplink, position in sorted(outbox.positions().items()):
            done = ivl.merged((*position.frames, *outbox.gone))
            pending = ivl.missing(position.messages, 1, outbox.last_message)
            uplinks.append(
                UplinkStats(
                    uplink=uplink,
                    position=done[0][1] if done and done[0][0] == 1 else 0,
                    frames=ivl.total(ivl.missing(done, 1, outbox.last_frame)),
                    messages=outbox.count_messages(uplink, pending),
                )
            )
        return Stats(
            epoch=str(meta["epoch"]),
            session=int(meta["session"]),
            frames=ivl.total(kept),
            messages=sum(outbox.kept_messages().values()),
            first=kept[0][0] if kept else None,
            last=kept[-1][1] if kept else None,
            oldest=oldest[0] if oldest else None,
            newest=newest[0] if newest else None,
            size_bytes=sum(
                path.stat().st_size for suffix in SUFFIXES if (path := state_dir / f"{NAME}{suffix}").exists()
            ),
            uplinks=tuple(uplinks),
        )


def frames(state_dir: Path, since: float | None, until: float | None) -> Iterator[tuple[int, Frame]]:
    """
    The kept frames with since <= time < until (UTC seconds; None is open), in the order of their numbers. A block that
    cannot be read is passed over.

    Raises:
        StoreMissing: There is no store.
        StoreError: It cannot be read.
    """
    low = float("-inf") if since is None else since
    high = float("inf") if until is None else until
    after = 0
    with _reading(state_dir) as connection:
        while rows := connection.execute(
            "select first, body from block where first > ? and newest >= ? and oldest < ? order by first limit ?",
            (after, low, high, PAGE_BLOCKS),
        ).fetchall():
            for first, body in rows:
                after = first
                try:
                    block = unpack(body)
                except Unreadable:
                    continue
                for number, frame in enumerate(block, start=first):
                    if low <= frame.time < high:
                        yield number, frame


def entries(state_dir: Path) -> list[Entry]:
    """Every order in the journal, in the order they came in."""
    with _reading(state_dir) as connection:
        return journal.all_entries(connection)


@contextmanager
def ledger(state_dir: Path) -> Iterator[tuple[Base | None, Iterator[Link]]]:
    """
    What stands before the oldest record (None: it cannot be read), and the records in the order of their numbers.

    Raises:
        StoreMissing: There is no store, or no ledger in it.
        StoreError: It cannot be read, or it was pruned while it was being read.
    """
    with _reading(state_dir) as connection:
        if not connection.execute("select 1 from sqlite_master where name = 'ledger'").fetchone():
            raise StoreMissing(f"the store in {state_dir} has no ledger yet", "`dergate run` begins one")
        connection.execute("begin")
        base, first = load_base(connection), _page(connection, 0)
        connection.execute("commit")
        if base is None and not first:
            raise StoreMissing(f"the store in {state_dir} has no ledger yet", "`dergate run` begins one")
        yield base, _links(connection, base, first)


def _page(connection: sqlite3.Connection, after: int) -> list[Link]:
    rows = connection.execute(
        "select n, record, hash, signature from ledger where n > ? order by n limit ?", (after, PAGE_RECORDS)
    )
    return [Link(*row) for row in rows]


def _links(connection: sqlite3.Connection, base: Base | None, page: list[Link]) -> Iterator[Link]:
    while page:
        yield from page
        after = page[-1].n
        page = _page(connection, after)
        if page and page[0].n > after + 1 and (now := load_base(connection)) != base and now and now.n > after:
            raise StoreError("the ledger was pruned while it was being read", "try again")


def acks(state_dir: Path, activation: str) -> list[bytes]:
    """The payloads of the acknowledgements of an activation id, in the order of their `n`."""
    with _reading(state_dir) as connection:
        return [
            bytes(payload)
            for (payload,) in connection.execute(
                "select payload from message where topic = 'acks' and ref = ? order by number", (activation,)
            )
        ]
