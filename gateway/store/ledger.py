"""
The ledger on disk: appended to within the commit of what it tells of, pruned only from the front.

Everything here runs on the thread that owns the connection, inside a transaction. The head is read from the file each
time (some microseconds): what a failed transaction took back is not gone on from.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from gateway.store.chain import (
    CHECKPOINT,
    NOTHING,
    SCHEMA,
    SEAL,
    START,
    Base,
    Link,
    NoRecord,
    Note,
    base_body,
    linked,
    moment,
    read,
)

PRUNE_ROWS = 2000
"""Records deleted in one transaction: an order waits behind it for some ten milliseconds."""

SLACK_S = 86_400.0
"""Records past their age wait for company this long: each pruning adds a record itself."""

SHARE = 4
"""The ledger may take this part of the store: the rest is for what has not been delivered."""

HEADROOM = 64
"""A ledger that is too large shrinks by this part of its limit: each pruning adds a record itself."""

RECORD_BYTES = 512
"""What a record takes in the file, on the mean, at most: measured 300, with hash and signature; an order up to 1 kB."""


@dataclass(frozen=True, slots=True)
class Signer:
    """The key that the ledger is signed with: its public half (PEM), and what makes 64 bytes from bytes."""

    public_key: str
    sign: Callable[[bytes], bytes]


def head(connection: sqlite3.Connection) -> Link | None:
    """The newest record."""
    row = connection.execute("select n, record, hash, signature from ledger order by n desc limit 1").fetchone()
    return Link(*row) if row else None


def load_base(connection: sqlite3.Connection) -> Base | None:
    """What stands before the oldest record; None: it cannot be read, or there is no ledger yet."""
    row = connection.execute("select value from meta where key = 'ledger_base'").fetchone()
    try:
        return msgspec.json.decode(row[0], type=Base) if row else None
    except (msgspec.MsgspecError, UnicodeDecodeError, TypeError):
        return None


def save_base(connection: sqlite3.Connection, base: Base) -> None:
    connection.execute(
        "insert or replace into meta (key, value) values ('ledger_base', ?)", (msgspec.json.encode(base),)
    )


def append(connection: sqlite3.Connection, notes: Sequence[Note], signer: Signer) -> None:
    """Add the notes in their order, the last one signed."""
    if not notes:
        return
    newest = head(connection)
    base = load_base(connection)
    n, previous = (newest.n, newest.hash) if newest else (base.n, bytes.fromhex(base.hash)) if base else (0, NOTHING)
    rows: list[tuple[int, bytes, bytes, bytes | None]] = []
    for number, note in enumerate(notes, start=n + 1):
        link = linked(previous, number, note)
        previous = link.hash
        rows.append((link.n, link.record, link.hash, None))
    rows[-1] = (*rows[-1][:3], signer.sign(SEAL + previous))
    connection.executemany("insert into ledger (n, record, hash, signature) values (?, ?, ?, ?)", rows)


def begin(connection: sqlite3.Connection, signer: Signer, facts: Mapping[str, object], wall: float) -> None:
    """Record that a daemon has started, with the key and the base; the first such record begins the ledger."""
    if head(connection) is None and load_base(connection) is None:
        save_base(connection, Base(0, NOTHING.hex(), signer.public_key))
    base = load_base(connection)
    body = {
        "schema": SCHEMA,
        **facts,
        "key": signer.public_key,
        "base": None if base is None else base_body(base),
    }
    append(connection, [Note(wall, START, None, msgspec.json.encode(body))], signer)


def prune(connection: sqlite3.Connection, signer: Signer, *, wall: float, max_age_s: float, max_bytes: int) -> bool:
    """
    One bounded pass: delete from the front what is past its age or too much, and record what stands in for it.

    Returns:
        Whether another pass is needed.
    """
    base, newest = load_base(connection), head(connection)
    if base is None or newest is None:
        return False
    before, most = wall - max_age_s, max_bytes // RECORD_BYTES
    surplus = newest.n - base.n - most
    oldest = connection.execute("select record from ledger order by n limit 1").fetchone()[0]
    if surplus <= 0 and not _older(oldest, before - SLACK_S):
        return False
    if surplus > 0:
        surplus += most // HEADROOM
    rows = connection.execute("select n, record, hash from ledger order by n limit ?", (PRUNE_ROWS,)).fetchall()
    after = base
    for n, record, hash_ in rows:
        if (n - base.n > surplus and not _older(record, before)) or n == newest.n:
            break
        after = Base(n, hash_.hex(), _key_of(record) or after.key)
    if after is base:
        return False
    connection.execute("delete from ledger where n <= ?", (after.n,))
    save_base(connection, after)
    reason = "max_age" if surplus <= 0 else "max_size"
    body = msgspec.json.encode({"base": base_body(after), "reason": reason})
    append(connection, [Note(wall, CHECKPOINT, None, body)], signer)
    return bool(after.n == rows[-1][0])


def carried(base: Base | None, rows: Sequence[tuple[int, bytes, bytes, bytes | None]], most: int) -> Base | None:
    """
    What stands before the first of the rows that are carried over from a damaged file, the newest `most` of which are
    kept. What is missing among them is not made good: it stays missing to whoever verifies.
    """
    if len(rows) > most:
        n, _, hash_, _ = rows[-most - 1]
        return Base(n, hash_.hex(), base.key if base else "")
    if base is None and rows and rows[0][0] == 1:
        return Base(0, NOTHING.hex(), _key_of(rows[0][1]) or "")
    return base


def _older(record: bytes, before: float) -> bool:
    """A record that cannot be read is as old as its neighbours: it goes when one behind it would not."""
    try:
        return moment(read(record).time) < before
    except (NoRecord, ValueError):
        return True


def _key_of(record: bytes) -> str | None:
    try:
        read_record = read(record)
    except NoRecord:
        return None
    key = read_record.body.get("key") if read_record.kind == START else None
    return key if isinstance(key, str) else None
