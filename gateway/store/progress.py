"""
What each uplink has acknowledged, in memory: pure bookkeeping over positions, without the disk.

A frame's number is pending for an uplink when it was committed, holds a frame, and is in none of its runs. Messages are
addressed, so that their pending ones are counted: a message is pending for an uplink it is for until it is acknowledged
or deleted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from gateway.store import runs as ivl
from gateway.store.errors import StoreError
from gateway.store.outbox import Numbered, Outbox, Position
from gateway.store.runs import Run, Runs

MAX_RUNS = 256
"""Runs of one position (some 4 kB with each commit). Of more, the shortest are not remembered: those are sent again."""

Addressed = tuple[int, str | None]
"""A message's number and the uplink it is for; None is all."""


class Progress:
    """The positions of the uplinks in use, and those stored for others."""

    def __init__(
        self,
        stored: Mapping[str, Position],
        *,
        gone: Runs,
        last_frame: int,
        last_message: int,
        kept: Mapping[str | None, int],
        pending: Mapping[str, int],
    ) -> None:
        self.last_frame = last_frame
        self.last_message = last_message
        self._gone = gone
        self._stored = dict(stored)
        self._used: dict[str, Position] = {}
        self._kept = Counter(kept)  # messages on disk, by whom they are for
        self._pending = Counter(pending)  # messages not acknowledged, by uplink
        self._dirty: set[str] = set()

    @classmethod
    def load(cls, outbox: Outbox) -> Progress:
        stored = outbox.positions()
        pending = {
            uplink: outbox.count_messages(uplink, ivl.missing(position.messages, 1, outbox.last_message))
            for uplink, position in stored.items()
        }
        return cls(
            stored,
            gone=outbox.gone,
            last_frame=outbox.last_frame,
            last_message=outbox.last_message,
            kept=outbox.kept_messages(),
            pending=pending,
        )

    def register(self, uplink: str) -> None:
        """Take an uplink into use: where it stood, or from the oldest kept record on."""
        if uplink in self._used:
            return
        position = self._stored.get(uplink)
        if position is None:
            position = Position()
            self._pending[uplink] = self._kept[None] + self._kept[uplink]
            self._dirty.add(uplink)
        # A number that was never given is not acknowledged, whatever a damaged row says: it would never be sent.
        self._used[uplink] = Position(
            ivl.clipped((*position.frames, *self._gone), 1, self.last_frame),
            ivl.clipped(position.messages, 1, self.last_message),
        )

    def position(self, uplink: str) -> Position:
        try:
            return self._used[uplink]
        except KeyError:
            raise StoreError(f"uplink {uplink!r} is not registered") from None

    def positions(self) -> dict[str, Position]:
        """Of the uplinks in use."""
        return dict(self._used)

    def take_unsaved(self) -> dict[str, Position]:
        """The positions that changed since they were last taken; `not_saved` gives them back."""
        taken = {uplink: self._used[uplink] for uplink in self._dirty}
        self._dirty.clear()
        return taken

    def not_saved(self, uplinks: Iterable[str]) -> None:
        self._dirty.update(uplinks)

    def pending_frames(self, uplink: str, after: int = 0, upto: int | None = None) -> Runs:
        last = self.last_frame if upto is None else min(upto, self.last_frame)
        return ivl.missing(self.position(uplink).frames, max(after, 0) + 1, last)

    def pending_messages(self, uplink: str, after: int = 0) -> Runs:
        """Runs that hold all pending messages of the uplink, besides messages for others."""
        return ivl.missing(self.position(uplink).messages, max(after, 0) + 1, self.last_message)

    def count_frames(self, uplink: str) -> int:
        return self.last_frame - ivl.total(self.position(uplink).frames)

    def count_messages(self, uplink: str) -> int:
        self.position(uplink)
        return self._pending[uplink]

    def acknowledge_frames(self, uplink: str, ranges: Sequence[Run]) -> None:
        """Only what was committed counts; the rest is nobody's loss and ignored."""
        old = self.position(uplink)
        frames = ivl.merged((*old.frames, *ivl.clipped(ranges, 1, self.last_frame)))
        if frames != old.frames:
            self._move(uplink, Position(frames, old.messages))

    def acknowledge_messages(self, uplink: str, owned: Sequence[Run]) -> None:
        """`owned` as the outbox gives it: each run ends with an acknowledged message."""
        old = self.position(uplink)
        messages = old.messages
        for run in owned:
            more = ivl.merged((*messages, run))
            if not ivl.contains(messages, run[1]) and len(more) <= MAX_RUNS:
                messages = more
                self._pending[uplink] -= 1
        if messages != old.messages:
            self._move(uplink, Position(old.frames, messages))

    def added(self, messages: Sequence[Numbered], gone: Runs, last_frame: int) -> None:
        """A commit brought these; `gone` as far as it changed."""
        self.last_frame = max(self.last_frame, last_frame)
        for number, message in messages:
            self.last_message = max(self.last_message, number)
            self._kept[message.uplink] += 1
            for name in self._used:
                if message.uplink in {None, name}:
                    self._pending[name] += 1
        if gone:
            self.lost(gone)

    def lost(self, gone: Runs) -> None:
        """These numbers hold no frames any more."""
        self._gone = gone
        self.last_frame = max(self.last_frame, gone[-1][1] if gone else 0)
        for uplink, old in self._used.items():
            self._used[uplink] = Position(ivl.merged((*old.frames, *gone)), old.messages)

    def deleted(self, messages: Sequence[Addressed]) -> None:
        """These messages are on the disk no more."""
        for number, uplink in messages:
            self._kept[uplink] -= 1
            for name, position in self._used.items():
                if uplink in {None, name} and not ivl.contains(position.messages, number):
                    self._pending[name] -= 1

    def _move(self, uplink: str, position: Position) -> None:
        frames = ivl.merged((*ivl.bounded(position.frames, MAX_RUNS), *self._gone))
        self._used[uplink] = Position(frames, position.messages)
        self._dirty.add(uplink)
