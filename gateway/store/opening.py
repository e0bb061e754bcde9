"""Open a store, or make one; a damaged one is set aside and never stops the start."""

from __future__ import annotations

import os
import re
import sqlite3
from collections import deque
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from gateway.model import Entry, Hold
from gateway.store.chain import Base
from gateway.store.codec import Unreadable, unpack_runs
from gateway.store.database import NAME, check, connect, is_damage, migrate, migrations
from gateway.store.errors import StoreDamaged
from gateway.store.journal import load_entries, load_holds
from gateway.store.ledger import carried, load_base, save_base
from gateway.store.limits import Limits
from gateway.store.outbox import WAL_LOST_NUMBERS, Outbox, Position
from gateway.store.progress import Progress
from gateway.store.runs import Runs

SUSPECT = "store.suspect"
"""Made when damage shows while running: the next opening sets the file aside, whatever a look at it says."""

KEPT_DAMAGED = 3
"""So many damaged files are kept for a look; the oldest goes, for a failing disk must not fill itself with them."""

SUFFIXES = ("", "-wal", "-shm")

CARRIED = {
    "entry": "rowid, id, revision, ended, changed, body",
    "hold": "point, before",
    "ledger": "n, record, hash, signature",
    "message": "number, time, topic, uplink, response_topic, correlation, ref, payload",
}
"""What is carried over from a damaged file; numbered tables begin with their number."""

STEPS = 10_000
"""Tries to get past damaged pages, one record number each: some tenths of a second where nothing more is readable."""

CARRIED_ROWS = 100_000
"""Rows of one table that are carried over, the newest: a start must not take longer than 10 s."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A store ready for use; `note` says what was done about damage."""

    outbox: Outbox
    epoch: str
    session: int
    entries: tuple[Entry, ...]
    holds: tuple[Hold, ...]
    progress: Progress
    note: str | None


def open_outbox(path: Path) -> Outbox:
    """
    Open a store that is known to be one.

    Raises:
        sqlite3.Error: It cannot be opened now.
    """
    connection = connect(path)
    try:
        return Outbox(connection)
    except BaseException:
        connection.close()
        raise


def open_or_replace(state_dir: Path, wall: float, limits: Limits) -> Opened:
    """
    Open the store of the directory; make it if there is none; set a damaged one aside and make a new one.

    Raises:
        StoreError, sqlite3.Error, OSError: Not the file is at fault, but its version, the disk or the directory.
    """
    path = state_dir / NAME
    suspect = state_dir / SUSPECT
    if suspect.exists():
        reason = "damage was found while it was running"
    else:
        try:
            return _open(path, wall, limits)
        except (StoreDamaged, sqlite3.Error, Unreadable) as error:
            if not is_damage(error) and not isinstance(error, Unreadable):
                raise
            reason = str(error)
    aside = set_aside(path)
    fresh = _open(path, wall, limits)
    try:
        carried = carry_over(aside, fresh.outbox, wall, limits)
        suspect.unlink(missing_ok=True)
        note = f"the store was damaged ({reason}); it is kept as {aside.name}, a new one was made; {carried}"
        return _loaded(fresh.outbox, fresh.epoch, fresh.session, wall, note)
    except BaseException:
        fresh.outbox.close()
        raise


def _make(path: Path) -> None:
    """A new store, whole from the moment it has its name: what is killed before leaves no empty file behind."""
    beside = path.with_name(path.name + ".new")
    for suffix in ("", "-wal", "-shm"):
        beside.with_name(beside.name + suffix).unlink(missing_ok=True)
    connection = connect(beside)
    try:
        migrate(connection, migrations())
        connection.execute("insert into meta (key, value) values ('epoch', ?), ('session', 0)", (uuid4().hex,))
        connection.execute("pragma wal_checkpoint(truncate)")
    finally:
        connection.close()
    beside.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _open(path: Path, wall: float, limits: Limits) -> Opened:
    if not path.exists():
        _make(path)
    if path.is_dir() or (path.exists() and path.stat().st_size == 0):
        raise StoreDamaged("a directory stands in its place" if path.is_dir() else "the file is empty")
    wal = path.with_name(path.name + "-wal")
    wal_lost = not wal.exists() or wal.stat().st_size == 0
    connection = connect(path)
    try:
        migrate(connection, migrations())
        check(connection, path)
        epoch, session, closed = _begin_session(connection)
        outbox = Outbox(connection)
        note = _after_lost_wal(outbox, wall, limits) if wal_lost and not closed else None
        # The main file must say by itself that it was not closed; so a log that vanishes is noticed.
        connection.execute("pragma wal_checkpoint(full)")
        return _loaded(outbox, epoch, session, wall, note)
    except sqlite3.OperationalError as error:
        connection.close()
        if error.sqlite_errorcode == sqlite3.SQLITE_ERROR:  # no such table or column
            raise StoreDamaged(str(error)) from error
        raise
    except BaseException:
        connection.close()
        raise


def _loaded(outbox: Outbox, epoch: str, session: int, wall: float, note: str | None) -> Opened:
    entries, unreadable = load_entries(outbox.connection, wall)
    if unreadable:
        note = "; ".join(filter(None, [note, f"{unreadable} orders in the journal cannot be read"]))
    return Opened(outbox, epoch, session, entries, load_holds(outbox.connection), Progress.load(outbox), note)


def _begin_session(connection: sqlite3.Connection) -> tuple[str, int, bool]:
    """The epoch, the number of this opening, and whether the one before was closed; all on disk on return."""
    connection.execute("begin immediate")
    known = dict(connection.execute("select key, value from meta where key in ('epoch', 'session', 'closed')"))
    epoch, session, closed = (
        str(known.get("epoch", uuid4().hex)),  # a repaired store may have lost its own
        int(known.get("session", 0)) + 1,
        known.get("closed", 1),
    )
    connection.executemany(
        "insert or replace into meta (key, value) values (?, ?)",
        (("epoch", epoch), ("session", session), ("closed", 0)),
    )
    connection.execute("commit")
    return epoch, session, bool(closed)


def _after_lost_wal(outbox: Outbox, wall: float, limits: Limits) -> str:
    """What the missing log held is lost; its numbers, which a receiver may have seen, are not used again."""
    lost = (outbox.last_frame + 1, outbox.last_frame + WAL_LOST_NUMBERS)
    outbox.connection.execute("begin immediate")
    outbox.lose((lost,))
    outbox.announce(lost, "wal_lost", wall, limits.on_gap)
    outbox.connection.execute("commit")
    return f"the write-ahead log is missing: what it may have held is lost, and frames go on from number {lost[1] + 1}"


def set_aside(path: Path) -> Path:
    """Rename the store and what belongs to it to `store.damaged-<n>`; keep only the last few."""
    pattern = re.compile(r"store\.damaged-(\d+)")
    kept = sorted(int(m[1]) for entry in path.parent.iterdir() if (m := pattern.fullmatch(entry.name)))
    aside = path.with_name(f"store.damaged-{kept[-1] + 1 if kept else 1}")
    for suffix in SUFFIXES:
        source = path.with_name(path.name + suffix)
        if source.exists():
            source.rename(aside.with_name(aside.name + suffix))
    for number in kept[: -(KEPT_DAMAGED - 1)]:
        for suffix in SUFFIXES:
            old = path.with_name(f"store.damaged-{number}{suffix}")
            if not old.is_dir():
                old.unlink(missing_ok=True)
    return aside


def carry_over(aside: Path, outbox: Outbox, wall: float, limits: Limits) -> str:
    """
    Copy what can be read of the orders, the holds and the messages with their positions; announce that the frames are
    lost. Never fails for what is in the damaged file.
    """
    counts = dict.fromkeys(CARRIED, 0)
    first = last = 0
    epoch = "unknown"
    positions: list[tuple[str, Runs]] = []
    base: Base | None = None
    rows: dict[str, list[tuple[Any, ...]]] = {table: [] for table in CARRIED}
    try:
        with closing(sqlite3.connect(f"{aside.absolute().as_uri()}?mode=ro", uri=True)) as old:
            rows["hold"] = list(_readable(old, "select point, before from hold"))
            for table in ("entry", "message", "ledger"):
                rows[table] = _readable_rows(old, table, CARRIED[table])
            with suppress(sqlite3.Error):
                base = load_base(old)
            base = carried(base, rows["ledger"], CARRIED_ROWS)
            for uplink, messages in _readable(old, "select uplink, messages from position"):
                with suppress(Unreadable):
                    positions.append((str(uplink), unpack_runs(messages)))
            epoch = next(
                (str(value) for (value,) in _readable(old, "select value from meta where key = 'epoch'")), epoch
            )
            first, last = next(_readable(old, "select ifnull(min(first), 0), ifnull(max(last), 0) from block"), (0, 0))
    except (sqlite3.Error, ValueError):
        pass  # nothing more can be read; what was read so far is carried over
    connection = outbox.connection
    connection.execute("begin immediate")
    for table, columns in CARRIED.items():
        places = ", ".join("?" * len(columns.split(", ")))
        for row in rows[table][-CARRIED_ROWS:]:
            try:
                connection.execute(f"insert or ignore into {table} ({columns}) values ({places})", row)  # noqa: S608 - our own names
                counts[table] += 1
            except sqlite3.IntegrityError:
                continue  # a row of a scribbled page may have any form
    if base is not None:
        save_base(connection, base)
    known = {uplink: Position(messages=runs) for uplink, runs in positions}
    outbox.save_positions(known)
    newest = connection.execute("select max(number) from message").fetchone()[0] or 0
    outbox.number_messages_after(max([newest, *(runs[-1][1] for _, runs in positions if runs)]))
    outbox.announce((first, last), f"damaged, epoch {epoch}", wall, limits.on_gap)
    connection.execute("commit")
    return "carried over: " + ", ".join(f"{count} {table} rows" for table, count in counts.items())


def _readable(connection: sqlite3.Connection, query: str) -> Iterator[tuple[Any, ...]]:
    """The rows up to the first that cannot be read."""
    with suppress(sqlite3.Error):
        yield from connection.execute(query)


def _readable_rows(connection: sqlite3.Connection, table: str, columns: str) -> list[tuple[Any, ...]]:
    """The newest rows of a table in order; damaged pages are stepped over."""
    key = columns.partition(",")[0]
    query = f"select {columns} from {table} where {key} >= ? order by {key}"  # noqa: S608 - names of our own
    found: deque[tuple[Any, ...]] = deque(maxlen=CARRIED_ROWS + 1)  # one more: it tells that there were more
    number = 1
    for _ in range(STEPS):
        try:
            for row in connection.execute(query, (number,)):
                found.append(row)
                number = row[0] + 1  # asked for as >=: what is asked for as > is looked for in the page before, too
        except sqlite3.Error:
            number += 1
        else:
            break
    return list(found)
