"""The file itself: how it is opened, locked, brought to the present shape and looked over."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from importlib.resources import files
from pathlib import Path

from gateway.store.errors import StoreDamaged, StoreError, StoreLocked, StoreTooNew, StoreUnavailable

NAME = "store.db"

APPLICATION_ID = 0x44455247  # "DERG": tells our file from any other SQLite file

BUSY_S = 2.0
"""How long to wait for a foreign lock (a backup): a shutdown has 5 s in all."""

WAL_BYTES = 8 * 1024 * 1024
"""What the write-ahead log keeps on disk between checkpoints; it is checkpointed from 1000 pages (4 MB) on."""

CHECKED_WHOLE_BYTES = 64 * 1024 * 1024
"""Up to here every page is checked at open (below 2 s from an SD card); of a larger file, all but the measurements."""

SMALL_TABLES = ("meta", "entry", "hold", "message", "position")


def connect(path: Path) -> sqlite3.Connection:
    """
    A connection that commits durably: WAL with an fsync at each commit. A file that is not ours is not touched.

    Raises:
        StoreTooNew: A newer version wrote it.
        StoreDamaged: It is another program's file.
        sqlite3.Error: It cannot be opened, or is no database.
    """
    connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        _identify(connection)
        connection.execute("pragma cell_size_check = on")
        connection.execute("pragma trusted_schema = off")
        connection.execute("pragma temp_store = memory")
        connection.execute("pragma journal_mode = wal")
        connection.execute("pragma synchronous = full")
        connection.execute("pragma wal_autocheckpoint = 1000")
        connection.execute(f"pragma journal_size_limit = {WAL_BYTES}")
    except BaseException:
        connection.close()
        raise
    return connection


def migrations() -> list[str]:
    """The numbered schema files, in order; file n brings `user_version` from n-1 to n."""
    folder = files("gateway.store") / "schema"
    scripts = sorted((item.name, item) for item in folder.iterdir() if item.name.endswith(".sql"))
    return [item.read_text(encoding="utf-8") for _, item in scripts]


def _identify(connection: sqlite3.Connection) -> None:
    owner = int(connection.execute("pragma application_id").fetchone()[0])
    if owner != APPLICATION_ID and connection.execute("select 1 from sqlite_master limit 1").fetchone():
        raise StoreDamaged("the file is another program's database")
    version = int(connection.execute("pragma user_version").fetchone()[0])
    if version > (known := len(migrations())):
        raise StoreTooNew(
            f"the store has schema {version}, this version knows schemas up to {known}",
            "install the version that wrote it, or name another state_dir",
        )


def migrate(connection: sqlite3.Connection, scripts: list[str]) -> None:
    """Bring the file to the present shape, each step in one transaction; one that has it is left as it is."""
    version = int(connection.execute("pragma user_version").fetchone()[0])
    for number, script in enumerate(scripts[version:], start=version + 1):
        try:
            connection.executescript(
                f"begin immediate;\n{script}\n"
                f"pragma application_id = {APPLICATION_ID}; pragma user_version = {number}; commit;"
            )
        except BaseException:
            if connection.in_transaction:
                connection.execute("rollback")
            raise


def check(connection: sqlite3.Connection, path: Path) -> None:
    """
    Look the file over.

    Raises:
        StoreDamaged, sqlite3.DatabaseError: Something in it is broken.
    """
    whole = path.stat().st_size <= CHECKED_WHOLE_BYTES
    for pragma in ["quick_check"] if whole else [f"quick_check({table})" for table in SMALL_TABLES]:
        found = connection.execute(f"pragma {pragma}").fetchone()[0]
        if found != "ok":
            raise StoreDamaged(str(found).splitlines()[0])


def is_damage(error: Exception) -> bool:
    """Whether the error speaks of the file's content, not of the disk, the directory or another process."""
    code = getattr(error, "sqlite_errorcode", None)
    return isinstance(error, StoreDamaged) or (code or 0) & 0xFF in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def explained(error: Exception) -> StoreError:
    """A library's error in our words."""
    if isinstance(error, StoreError):
        return error
    if is_damage(error):
        return StoreDamaged(f"the store is damaged: {error}", "a restart sets it aside and makes a new one")
    if isinstance(error, sqlite3.Error | OSError):
        return StoreUnavailable(
            f"the store cannot be read or written: {error}", "check the disk's space, mount and permissions"
        )
    return StoreError(f"the store failed: {error!r}")


class Lock:
    """Keeps a second process out of a state directory for as long as this one lives, however it ends."""

    def __init__(self, state_dir: Path) -> None:
        self._descriptor = os.open(state_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.read(self._descriptor, 20).decode("ascii", "replace").strip()
            os.close(self._descriptor)
            holder = f"process {pid}" if pid.isdigit() else "another process"
            raise StoreLocked(
                f"{state_dir} is in use by {holder}", "stop that one first, or name another state_dir"
            ) from None
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
