"""How often registers in flash were written: counted for each day, and kept over restarts in one small file."""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from gateway.model import Instant

FILE_NAME = "flash-writes.json"
DAY_S = 86400.0
_BYTES_MAX = 1 << 20
"""Of the file: a register takes some 40 bytes, and no site has ten thousand in flash. A larger one is not ours."""

_log = logging.getLogger(__name__)


class Endurance:
    """
    The count of a site's flash writes, by register, for one day at a time.

    A day is a number that only ever rises. It follows the wall clock (UTC) when that is ahead of it, and is carried on
    by the monotonic clock, one for each 24 h of running, while the wall clock lies behind. So a wall clock that is set
    back grants nothing new, one that was wrong by years and is set right blocks for 24 h of running at most, and one
    that jumps ahead grants one day's budget once. The price of counting days: around midnight two budgets may meet.

    The file is written and synced before each write of flash, on the event loop: they are rare, which is what is seen
    to here. Without a folder the count ends with the process.
    """

    def __init__(self, state_dir: Path | None = None, now: Callable[[], Instant] | None = None) -> None:
        self._path = None if state_dir is None else state_dir / FILE_NAME
        self._now = _running if now is None else now
        self._since: float | None = None
        self._day = 0
        self._writes: dict[str, int] = {}
        self._unsaved = False

    def spend(self, register: str, daily: int) -> None:
        """
        Count one write, which has to follow.

        Raises:
            ValueError: As `check`; nothing is counted.
        """
        self.check(register, daily)
        self.count(register)

    def check(self, register: str, daily: int) -> None:
        """
        Raises:
            ValueError: Nothing is left of `daily` writes; the text says when there is again.
        """
        now, since = self._today()
        if self._writes.get(register, 0) >= daily:
            left_s = min((self._day + 1) * DAY_S - now.wall, since + DAY_S - now.mono)
            raise ValueError(
                f"{register} is flash, and was written {self._writes[register]} times today (UTC), of which "
                f"write.daily_writes allows {daily}; accepted again in {left_s / 3600:.1f} h"
            )

    def count(self, register: str) -> None:
        """Count one write that has to be, whatever is left: what lets go of a set-point is never refused."""
        self._today()
        self._writes[register] = self._writes.get(register, 0) + 1
        if self._path is not None:
            self._save(self._path)

    def _today(self) -> tuple[Instant, float]:
        """Begin a new day if it is time; returns this moment, and when on the monotonic clock the day began for us."""
        now = self._now()
        if self._since is None:
            self._since = now.mono
            self._day, self._writes = (0, {}) if self._path is None else _load(self._path)
        day = max(int(now.wall // DAY_S), self._day + int((now.mono - self._since) // DAY_S))
        if day > self._day:
            self._day, self._writes, self._since = day, {}, now.mono
        return now, self._since

    def _save(self, path: Path) -> None:
        try:
            _replace(path, json.dumps({"day": self._day, "writes": self._writes}).encode())
        except OSError as error:
            if not self._unsaved:
                _log.warning("%s cannot be written, so that flash writes are counted until a restart: %s", path, error)
            self._unsaved = True
        else:
            self._unsaved = False


def _running() -> Instant:
    """Without a clock a day is 24 h of running."""
    return Instant(wall=0.0, mono=asyncio.get_running_loop().time())


def _load(path: Path) -> tuple[int, dict[str, int]]:
    """Day and counts of a file; a damaged one is set aside, and counting starts anew."""
    try:
        with path.open("rb") as file:
            return _parse(file.read(_BYTES_MAX + 1))
    except FileNotFoundError:
        return 0, {}
    except (OSError, ValueError) as error:
        aside = path.with_name(path.name + ".damaged")
        with suppress(OSError):  # it is said to be unreadable all the same, and the next write replaces it
            path.replace(aside)
        _log.warning("%s cannot be used, counting flash writes starts anew (kept as %s): %s", path, aside.name, error)
        return 0, {}


def _parse(data: bytes) -> tuple[int, dict[str, int]]:
    """
    Raises:
        ValueError: It is not what we wrote.
    """
    if len(data) > _BYTES_MAX:
        raise ValueError(f"it is larger than {_BYTES_MAX} bytes")
    match json.loads(data):
        case {"day": int(day), "writes": dict(writes)} if day >= 0 and all(map(_is_count, writes.values())):
            return day, writes
    raise ValueError("it should hold a day and the writes of each register")


def _is_count(found: object) -> bool:
    return isinstance(found, int) and found >= 0


def _replace(path: Path, data: bytes) -> None:
    """The old content or the new one, also after a power cut."""
    fresh = path.with_name(path.name + ".new")
    with fresh.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
