"""
The thread that owns the connection: group commit, and readings between the commits.

    event loop ── write(job) / read(job) ──► [waiting] ──► thread: begin, all jobs, commit ──► one wake-up ──► futures

All waiting jobs share one transaction and so one fsync. When it fails, each of them is tried alone: one job cannot fail
another, and what reports success is on the disk. After a failure the file is opened again, for after a failed fsync
nothing that the old connection knows can be trusted; so nothing but the file decides what was committed.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from gateway.store.database import explained
from gateway.store.errors import StoreError, StoreOverloaded
from gateway.store.outbox import Outbox

T = TypeVar("T")

MAX_JOBS = 1000
"""Jobs that may wait for a slow disk, of each sort; each has a caller that waits for it."""


ALONE_S = 3.0
"""For how long the jobs of a failed transaction are tried one by one: a hanging disk must not hold all up."""


@dataclass(frozen=True, slots=True)
class _Job:
    run: Callable[[Outbox], Any]
    future: asyncio.Future[Any]


_Outcome = tuple[asyncio.Future[Any], Any, StoreError | None]


class Writer:
    """Runs jobs on the outbox in its own thread, from its making, on the event loop, to `stop`."""

    def __init__(self, outbox: Outbox, reopen: Callable[[], Outbox]) -> None:
        self._outbox: Outbox | None = outbox
        self._reopen = reopen
        self._loop = asyncio.get_running_loop()
        self._ready = threading.Condition()
        self._writes: deque[_Job] = deque()
        self._reads: deque[_Job] = deque()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="store", daemon=True)
        self._thread.start()

    def write(self, job: Callable[[Outbox], T]) -> asyncio.Future[T]:
        """Run the job in a transaction, shared with its neighbours; the future resolves when it is on disk."""
        return self._put(self._writes, job)

    def read(self, job: Callable[[Outbox], T]) -> asyncio.Future[T]:
        """Run the job between two transactions."""
        return self._put(self._reads, job)

    def _put(self, queue: deque[_Job], job: Callable[[Outbox], T]) -> asyncio.Future[T]:
        future: asyncio.Future[T] = self._loop.create_future()
        with self._ready:
            if self._stopping:
                raise StoreError("the store is closed")
            if len(queue) >= MAX_JOBS:
                raise StoreOverloaded(f"{MAX_JOBS} jobs wait for the disk", "see whether the disk is slow or failing")
            queue.append(_Job(job, future))
            self._ready.notify()
        return future

    def stop(self) -> None:
        """Let the thread finish what waits, close the file and end; does not wait for it."""
        with self._ready:
            self._stopping = True
            self._ready.notify()

    def join(self, timeout_s: float) -> bool:
        """Whether the thread has ended."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    # -- on the thread ----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            with self._ready:
                self._ready.wait_for(lambda: self._writes or self._reads or self._stopping)
                writes = tuple(self._writes)
                self._writes.clear()
                reads = (self._reads.popleft(),) if self._reads else ()
                if not writes and not reads:
                    break
            if writes:
                self._deliver(self._commit(writes))
            for job in reads:
                self._deliver([self._attempt([job], transaction=False)[0]])
        self._close()

    def _commit(self, jobs: Sequence[_Job]) -> list[_Outcome]:
        outcomes = self._attempt(jobs, transaction=True)
        if len(jobs) == 1 or outcomes[0][2] is None:
            return outcomes
        until = self._loop.time() + ALONE_S
        return [
            self._attempt([job], transaction=True)[0] if self._loop.time() < until else failed
            for job, failed in zip(jobs, outcomes, strict=True)
        ]

    def _attempt(self, jobs: Sequence[_Job], *, transaction: bool) -> list[_Outcome]:
        """All of the jobs or none; on failure every outcome is the failure."""
        try:
            if self._outbox is None:
                self._outbox = self._reopen()
            connection = self._outbox.connection
            if transaction:
                connection.execute("begin immediate")
            results = [job.run(self._outbox) for job in jobs]
            if transaction:
                connection.execute("commit")
        except Exception as error:  # noqa: BLE001 - whatever a job does, its caller hears of it and the thread lives on
            failure = explained(error)
            failure.__cause__ = error
            self._close()
            return [(job.future, None, failure) for job in jobs]
        return [(job.future, result, None) for job, result in zip(jobs, results, strict=True)]

    def _close(self) -> None:
        """Closing rolls back what was not committed."""
        if self._outbox is not None:
            with suppress(sqlite3.Error):
                self._outbox.close()
            self._outbox = None

    def _deliver(self, outcomes: Sequence[_Outcome]) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(_resolve, outcomes)


def _resolve(outcomes: Sequence[_Outcome]) -> None:
    for future, result, failure in outcomes:
        if future.done():
            continue
        if failure is None:
            future.set_result(result)
        else:
            future.set_exception(failure)
