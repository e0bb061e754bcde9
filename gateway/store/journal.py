"""The journal: the life of every order, and what is to be given back to the devices. SQL on the store's connection."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

from gateway.model import Entry, Hold, Status
from gateway.store.codec import Unreadable, pack_entry, unpack_entry

LAST_WORDS = frozenset(
    {Status.REJECTED, Status.COMPLETED, Status.CANCELLED, Status.SUPERSEDED, Status.EXPIRED, Status.FAILED}
)

REMEMBERED_S = 30 * 86_400.0
"""For this long an ended order is loaded at start: a repeat of it is answered, not done again."""

REMEMBERED_ENTRIES = 10_000
"""At most so many ended orders are loaded (about 10 MB); the newest ones."""

EntryRow = tuple[str, int, int, float, bytes]


def entry_rows(entries: Iterable[Entry], wall: float) -> tuple[EntryRow, ...]:
    """The rows of the entries as of now; made by the caller, so that what has no form fails the caller alone."""
    return tuple((e.id, e.revision, int(e.status in LAST_WORDS), wall, pack_entry(e)) for e in entries)


def save_entries(connection: sqlite3.Connection, rows: Iterable[EntryRow]) -> None:
    connection.executemany(
        "insert into entry (id, revision, ended, changed, body) values (?, ?, ?, ?, ?)"
        " on conflict (id, revision) do update"
        " set ended = excluded.ended, changed = excluded.changed, body = excluded.body",
        rows,
    )


def save_holds(connection: sqlite3.Connection, holds: Sequence[Hold], released: Sequence[str]) -> None:
    connection.executemany("delete from hold where point = ?", ((point,) for point in released))
    connection.executemany(
        "insert or replace into hold (point, before) values (?, ?)", ((h.point, h.before) for h in holds)
    )


def load_entries(connection: sqlite3.Connection, wall: float) -> tuple[tuple[Entry, ...], int]:
    """The open entries and the lately ended ones in the order they came in, and how many could not be read."""
    rows = connection.execute(
        "select body from entry where ended = 0 or rowid in"
        " (select rowid from entry where ended = 1 and changed >= ? order by rowid desc limit ?) order by rowid",
        (wall - REMEMBERED_S, REMEMBERED_ENTRIES),
    ).fetchall()
    entries, unreadable = [], 0
    for (body,) in rows:
        try:
            entries.append(unpack_entry(body))
        except Unreadable:
            unreadable += 1
    return tuple(entries), unreadable


def all_entries(connection: sqlite3.Connection) -> list[Entry]:
    """Every readable entry, in the order they came in."""
    entries = []
    for (body,) in connection.execute("select body from entry order by rowid"):
        try:
            entries.append(unpack_entry(body))
        except Unreadable:
            continue
    return entries


def load_holds(connection: sqlite3.Connection) -> tuple[Hold, ...]:
    return tuple(Hold(*row) for row in connection.execute("select point, before from hold order by point"))


def forget_entries(connection: sqlite3.Connection, ended_before: float, limit: int) -> None:
    """Delete ended entries last changed before the time; never one that may still be repeated."""
    connection.execute(
        "delete from entry where rowid in (select rowid from entry where ended = 1 and changed < ? limit ?)",
        (ended_before, limit),
    )
