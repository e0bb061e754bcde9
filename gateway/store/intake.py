"""Frames on their way to the disk: collected, written once an interval, kept and bounded while the disk fails."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial

from gateway.model import Frame
from gateway.store.errors import StoreError
from gateway.store.outbox import Added

log = logging.getLogger(__name__)

MAX_WAITING = 10_000
"""Frames kept in memory while the disk fails (some 20 MB): half an hour at five frames a second."""


class Intake:
    """`write(frames, skipped)` starts the writing; of `skipped` dropped frames the numbers are to be announced."""

    def __init__(self, interval_s: float, write: Callable[[tuple[Frame, ...], int], asyncio.Future[Added]]) -> None:
        self.dropped = 0
        self._interval_s = interval_s
        self._write = write
        self._waiting: deque[Frame] = deque()
        self._writing: tuple[Frame, ...] = ()
        self._skipped = 0  # dropped and not yet announced
        self._began = float("-inf")
        self._timer: asyncio.TimerHandle | None = None
        self._done: asyncio.Future[Added] | None = None
        self._running = False

    @property
    def waiting(self) -> int:
        """Frames taken and not yet on disk."""
        return len(self._waiting) + len(self._writing)

    def take(self, frames: Sequence[Frame]) -> None:
        self._waiting.extend(frames)
        self._bound()
        self._schedule()

    def start(self) -> None:
        """What was taken before waits for this."""
        self._running = True
        self._schedule()

    async def finish(self) -> bool:
        """Write what waits, until all is written or a writing fails; whether all is."""
        self._running = False
        if self._timer is not None:
            self._timer.cancel()
        while self._done is not None or self._waiting:
            if self._done is None and not self._begin():
                return False
            done = self._done
            if done is not None:
                await asyncio.wait([done])
                if done.exception() is not None:
                    return False
        return True

    def _schedule(self) -> None:
        """At once when the last writing is longer ago than the interval, else when the interval has passed."""
        if self._running and self._timer is None and self._done is None and self._waiting:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(max(loop.time(), self._began + self._interval_s), self._begin)

    def _begin(self) -> bool:
        """Whether the writing has begun."""
        self._timer = None
        self._began = asyncio.get_running_loop().time()
        self._writing = tuple(self._waiting)
        self._waiting.clear()
        try:
            self._done = self._write(self._writing, self._skipped)
        except StoreError:  # too many jobs wait already: the next interval tries again
            self._put_back()
            return False
        self._done.add_done_callback(partial(self._ended, self._skipped))
        return True

    def _ended(self, skipped: int, future: asyncio.Future[Added]) -> None:
        self._done = None
        if future.exception() is not None:
            self._put_back()
            return
        self._writing = ()
        self._skipped -= skipped
        if odd := future.result().odd_frames:
            log.error("store: %d frames hold values that cannot be written; they are dropped", odd)
            self.dropped += odd
        self._schedule()

    def _put_back(self) -> None:
        self._waiting.extendleft(reversed(self._writing))
        self._writing = ()
        self._bound()
        self._schedule()

    def _bound(self) -> None:
        over = min(self.waiting - MAX_WAITING, len(self._waiting))
        if over <= 0:
            return
        if not self._skipped:
            log.error("store: %d frames wait for the disk, the oldest are dropped", MAX_WAITING)
        for _ in range(over):
            self._waiting.popleft()
        self.dropped += over
        self._skipped += over
