"""
The store as the rest of the daemon sees it: the event loop's side of the journal and the outbox.

    commit(orders, messages) ─┐                                    ┌─► futures
    append(frames) ─► waiting ┴─► one Change ─► writer thread ─────┼─► progress, recent blocks ─► on_commit
                                                                   └─► too large: a pass of retention
    blocks, messages ◄── recent blocks, else the writer thread between two commits
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import islice
from pathlib import Path

from gateway.model import Block, Entry, Frame, Hold, Instant, Outgoing
from gateway.store import ledger
from gateway.store.chain import Link, Note
from gateway.store.change import Change, apply, close_session, discard
from gateway.store.database import NAME, Lock, explained
from gateway.store.errors import StoreDamaged, StoreError
from gateway.store.intake import Intake
from gateway.store.journal import entry_rows
from gateway.store.limits import Backlog, Limits
from gateway.store.opening import SUSPECT, Opened, open_or_replace, open_outbox
from gateway.store.outbox import Added, Outbox
from gateway.store.recent import Recent, RecentMessages
from gateway.store.retention import Pruned, prune
from gateway.store.runs import merged, missing
from gateway.store.writer import Writer

log = logging.getLogger(__name__)

PRUNE_INTERVAL_S = 3600.0
"""How often history is looked through for what is past its age; ages are days."""

CLOSE_S = 4.0
"""A shutdown has 5 s in all; a disk that hangs longer loses what waits for it."""


class Store:
    """
    One state directory, opened by one process.

    Order of calls: `open`, `register` each uplink, `start`, …, `close`; all on one event loop. Only `open` blocks.

    Attributes:
        epoch: Names this store's life; `(epoch, number)` of a frame is unique for ever.
        session: Counts the openings.
        opened_after_damage: What was done about damage found at opening, or None.
        last_frame, last_message: The highest committed numbers.
        waiting: Frames appended and not yet committed.
        dropped: Frames lost before they were committed, because the disk failed or they had no written form.
        fault: Why the last commit failed; None when it did not. After StoreDamaged only a new opening helps.
    """

    def __init__(self, state_dir: Path, lock: Lock, opened: Opened, now: Callable[[], Instant], limits: Limits) -> None:
        self._state_dir = state_dir
        self._lock = lock
        self._outbox = opened.outbox
        self._now = now
        self._limits = limits
        self._entries = opened.entries
        self._holds = opened.holds
        self.epoch = opened.epoch
        self.session = opened.session
        self.opened_after_damage = opened.note
        self.fault: StoreError | None = None
        self._progress = opened.progress
        self._recent = Recent()
        self._recent_messages = RecentMessages()
        self._oldest: dict[
            str, tuple[int, float | None]
        ] = {}  # by uplink: its first pending number and that one's time
        self._signer: ledger.Signer | None = None
        self._callbacks: list[Callable[[], None]] = []
        self._intake = Intake(limits.commit_interval_s, self._write_frames)
        self._prune_timer: asyncio.TimerHandle | None = None
        self._pruning = False
        self._writer: Writer | None = None
        self._closed = False

    @classmethod
    def open(cls, state_dir: Path, *, now: Callable[[], Instant], limits: Limits) -> Store:
        """
        Open the store of a state directory; directory and store are made when there are none. Blocks.

        Raises:
            StoreLocked: Another process has it open.
            StoreTooNew: A newer version wrote it.
            StoreUnavailable: The disk or the directory does not let it be opened.
        """
        try:
            state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = Lock(state_dir)
        except OSError as error:
            raise explained(error) from error
        try:
            opened = open_or_replace(state_dir, now().wall, limits)
            return cls(state_dir, lock, opened, now, limits)
        except (sqlite3.Error, OSError) as error:
            lock.release()
            raise explained(error) from error
        except BaseException:
            lock.release()
            raise

    # -- life -------------------------------------------------------------------------------------------------------

    def register(self, uplink: str) -> None:
        """Take an uplink into use; a new one starts at the oldest kept record. Before `start`, best: what no uplink in
        use waits for counts as history, which may be deleted."""
        self._progress.register(uplink)
        if self._writer is None:
            first = self._first_pending(uplink)
            self._oldest[uplink] = (first, self._outbox.time_of(first) if first else None)
        else:
            self._note_oldest(uplink)

    def keep_ledger(self, signer: ledger.Signer, facts: Mapping[str, object]) -> None:
        """
        Keep a ledger, signed with this key; its first record names the key and the `facts` of this start. Before
        `start`; blocks for one commit.

        Raises:
            StoreUnavailable, StoreDamaged: It cannot be written.
        """
        if self._writer is not None:
            raise StoreError("a ledger is kept from the start on")
        connection, wall = self._outbox.connection, self._now().wall
        known = {"epoch": self.epoch, "session": self.session}
        try:
            connection.execute("begin immediate")
            ledger.begin(connection, signer, {**facts, **known}, wall)
            connection.execute("commit")
        except sqlite3.Error as error:
            raise explained(error) from error
        self._signer = signer

    async def start(self) -> None:
        """Start the writer thread."""
        if self._writer is not None or self._closed:
            raise StoreError("a store is started once")
        self._writer = Writer(self._outbox, partial(open_outbox, self._state_dir / NAME))
        self._intake.start()
        self._prune()

    async def close(self) -> None:
        """Commit what waits, save the positions, close the file and free the directory. Bounded by CLOSE_S."""
        if self._closed:
            return
        self._closed = True
        if self._prune_timer is not None:
            self._prune_timer.cancel()
        if self._writer is None:
            with suppress(sqlite3.Error):
                close_session(self._outbox, {})
            self._outbox.close()
        else:
            await self._finish(self._writer)
        self._lock.release()

    async def _finish(self, writer: Writer) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + CLOSE_S
        try:
            async with asyncio.timeout_at(until):
                await self._intake.finish()
                await writer.write(partial(close_session, positions=self._progress.take_unsaved()))
        except (TimeoutError, StoreError) as error:
            log.error("store: not closed cleanly: %s", str(error) or "the disk hangs")
        if self.waiting:
            log.error("store: %d frames could not be written and are lost", self.waiting)
        writer.stop()
        await asyncio.to_thread(writer.join, max(until - loop.time(), 0.1))

    def entries(self) -> tuple[Entry, ...]:
        """The journal as it was at opening: open orders and those ended in the last 30 days, as they came in."""
        return self._entries

    def holds(self) -> tuple[Hold, ...]:
        """The points that were taken over and not yet given back, as they were at opening."""
        return self._holds

    # -- adding -----------------------------------------------------------------------------------------------------

    async def commit(
        self,
        *,
        entries: Sequence[Entry] = (),
        holds: Sequence[Hold] = (),
        released: Sequence[str] = (),
        outgoing: Sequence[Outgoing] = (),
        notes: Sequence[Note] = (),
    ) -> None:
        """
        All of it or nothing; returns when it is on disk. `released` are points whose hold ends; a point that is in both
        is held. `notes` go to the ledger. Cancelling the caller does not take it back.

        Raises:
            StoreUnavailable, StoreDamaged, StoreOverloaded: Nothing of it was done.
        """
        if not (entries or holds or released or outgoing or notes):
            return
        if notes and self._signer is None:
            raise StoreError("no ledger is kept")
        wall = self._now().wall
        await asyncio.shield(
            self._submit(
                Change(
                    wall=wall,
                    entries=entry_rows(entries, wall),
                    holds=tuple(holds),
                    released=tuple(released),
                    outgoing=tuple(outgoing),
                    notes=tuple(notes),
                )
            )
        )

    def append(self, frames: Sequence[Frame]) -> None:
        """Take frames: on disk within the commit interval. Never blocks; drops the oldest while the disk fails."""
        if self._closed:
            raise StoreError("the store is closed")
        self._intake.take(frames)

    @property
    def waiting(self) -> int:
        return self._intake.waiting

    @property
    def dropped(self) -> int:
        return self._intake.dropped

    @property
    def last_frame(self) -> int:
        return self._progress.last_frame

    @property
    def last_message(self) -> int:
        return self._progress.last_message

    def on_commit(self, callback: Callable[[], None]) -> None:
        """Have the callback called on the event loop after each commit that added frames or messages."""
        self._callbacks.append(callback)

    def _running(self) -> Writer:
        if self._writer is None:
            raise StoreError("the store is not started")
        return self._writer

    def _submit(self, change: Change) -> asyncio.Future[Added]:
        """Give the change to the thread, with the positions that are not saved yet."""
        writer = self._running()
        positions = self._progress.take_unsaved()
        try:
            job = partial(apply, change=change, positions=positions, on_gap=self._limits.on_gap, signer=self._signer)
            future = writer.write(job)
        except StoreError:
            self._progress.not_saved(positions)
            raise
        future.add_done_callback(partial(self._committed, positions))
        return future

    def _write_frames(self, frames: tuple[Frame, ...], skipped: int) -> asyncio.Future[Added]:
        return self._submit(Change(wall=self._now().wall, frames=frames, skipped=skipped))

    def _committed(self, positions: Mapping[str, object], future: asyncio.Future[Added]) -> None:
        if error := future.exception():
            self._progress.not_saved(positions)
            self._note_fault(error)
            return
        self._note_fault(None)
        added = future.result()
        self._progress.added(added.messages, added.gone, added.last_frame)
        self._recent_messages.add(added.messages)
        for block in added.blocks:
            self._recent.add(block)
        for uplink in self._progress.positions():
            self._note_oldest(uplink)
        if added.used_bytes > self._limits.max_size_bytes:
            self._prune()
        if added.blocks or added.messages:
            for callback in self._callbacks:
                callback()

    def _note_fault(self, error: BaseException | None) -> None:
        """One line when commits begin to fail, and one when they succeed again."""
        if error is None:
            if self.fault is not None:
                log.warning("store: commits succeed again")
            self.fault = None
            return
        if self.fault is None:
            log.error("store: commits fail: %s", error)
        self.fault = error if isinstance(error, StoreError) else StoreError(str(error))
        if isinstance(error, StoreDamaged):
            with suppress(OSError):
                (self._state_dir / SUSPECT).touch()

    # -- reading ----------------------------------------------------------------------------------------------------

    async def blocks(self, uplink: str, *, after: int, upto: int | None = None, limit: int = 100) -> list[Block]:
        """
        Frames with numbers above `after` (up to `upto`) that the uplink has not acknowledged, in order, in at most
        `limit` pieces. Fewer may come though more are there; none means that there are none.

        Raises:
            StoreUnavailable, StoreDamaged: The disk cannot be read.
        """
        while wanted := self._progress.pending_frames(uplink, after, upto):
            if self._recent.holds(wanted[0][0], wanted[-1][1]):
                return list(islice(self._recent.pieces(wanted), limit))
            read = await asyncio.shield(self._running().read(partial(Outbox.read_blocks, wanted=wanted, limit=limit)))
            if read.unreadable:
                await self._discard(read.unreadable)
            if read.blocks or not read.unreadable:
                return read.blocks
        return []

    async def messages(self, uplink: str, *, after: int, limit: int = 100) -> list[tuple[int, Outgoing]]:
        """Messages above `after` for the uplink (or for all) that it has not acknowledged, oldest first."""
        wanted = self._progress.pending_messages(uplink, after)
        if not wanted or not self._progress.count_messages(uplink):
            return []
        if self._recent_messages.holds(wanted[0][0]):
            return self._recent_messages.pieces(uplink, wanted, limit)
        return await asyncio.shield(
            self._running().read(partial(Outbox.read_messages, uplink=uplink, wanted=wanted, limit=limit))
        )

    async def acknowledge_frames(self, uplink: str, ranges: Sequence[tuple[int, int]]) -> None:
        """The uplink's receiver has these numbers, both ends included; what was never committed is ignored."""
        self._progress.acknowledge_frames(uplink, ranges)
        reading = self._note_oldest(uplink)
        if reading is not None:
            with suppress(StoreError):  # the time of the oldest is news, not a promise
                await asyncio.shield(reading)

    async def acknowledge_messages(self, uplink: str, numbers: Sequence[int]) -> None:
        """These messages have arrived; numbers that are unknown or not for this uplink are ignored."""
        known = sorted({number for number in numbers if 0 < number <= self._progress.last_message})
        if known:
            future = self._running().read(partial(Outbox.owned, uplink=uplink, numbers=known))
            future.add_done_callback(
                lambda done: None if done.exception() else self._progress.acknowledge_messages(uplink, done.result())
            )
            await asyncio.shield(future)

    async def ledger_head(self) -> Link | None:
        """The newest record of the ledger; it is signed."""
        return await asyncio.shield(self._running().read(lambda outbox: ledger.head(outbox.connection)))

    def backlog(self, uplink: str) -> Backlog:
        """What the uplink has not acknowledged yet; from memory."""
        return Backlog(
            frames=self._progress.count_frames(uplink),
            messages=self._progress.count_messages(uplink),
            oldest=self._oldest[uplink][1],
        )

    def _first_pending(self, uplink: str) -> int:
        """The number of the oldest frame not acknowledged; 0 when there is none."""
        pending = self._progress.pending_frames(uplink)
        return pending[0][0] if pending else 0

    def _note_oldest(self, uplink: str) -> asyncio.Future[float | None] | None:
        """Keep the time of the oldest pending frame; the reading is returned where it takes one."""
        first = self._first_pending(uplink)
        known, time = self._oldest.setdefault(uplink, (0, None))
        if first == known:
            return None
        if not first or self._recent.holds(first, first):
            self._oldest[uplink] = (first, self._recent.time_of(first) if first else None)
            return None
        self._oldest[uplink] = (first, time)

        def note(done: asyncio.Future[float | None]) -> None:
            if not done.exception() and self._oldest[uplink][0] == first:
                self._oldest[uplink] = (first, done.result())

        try:
            future = self._running().read(partial(Outbox.time_of, number=first))
        except StoreError:
            return None
        future.add_done_callback(note)
        return future

    # -- keeping within the limits ----------------------------------------------------------------------------------

    def _prune(self) -> None:
        """One pass of retention; the next follows at once when it was not enough, else within the hour."""
        if self._pruning or self._closed:
            return
        positions = self._progress.positions()
        wall = self._now().wall
        job = partial(prune, positions=positions, limits=self._limits, wall=wall, signer=self._signer)
        try:
            future = self._running().write(job)
        except StoreError as error:
            self._note_fault(error)
            return
        self._pruning = True
        if self._prune_timer is not None:
            self._prune_timer.cancel()
        self._prune_timer = asyncio.get_running_loop().call_later(PRUNE_INTERVAL_S, self._prune)
        future.add_done_callback(self._pruned)

    def _pruned(self, future: asyncio.Future[Pruned]) -> None:
        self._pruning = False
        if error := future.exception():
            self._note_fault(error)
            return
        pruned = future.result()
        if pruned.lost_frames or pruned.lost_messages:
            log.warning(
                "store: full, %d frames and %d messages were deleted before they arrived",
                pruned.lost_frames,
                pruned.lost_messages,
            )
        self._progress.added(pruned.announced, pruned.gone, 0)
        self._recent_messages.add(pruned.announced)
        self._progress.deleted(pruned.deleted)
        for uplink in self._progress.positions():
            self._note_oldest(uplink)
        if pruned.announced:
            for callback in self._callbacks:
                callback()
        if pruned.more:
            self._prune()

    async def _discard(self, unreadable: Sequence[tuple[int, int]]) -> None:
        """Blocks that cannot be read are lost to every uplink that waits for them; say so and go on."""
        lost = merged(unreadable)
        waited_for = merged(
            gap
            for position in self._progress.positions().values()
            for run in lost
            for gap in missing(position.frames, *run)
        )
        log.error("store: frames %s cannot be read, they are lost", ", ".join(f"{a} to {b}" for a, b in lost))
        job = partial(discard, lost=lost, announced=waited_for, wall=self._now().wall, on_gap=self._limits.on_gap)
        future = self._running().write(job)
        future.add_done_callback(partial(self._committed, {}))
        await asyncio.shield(future)
