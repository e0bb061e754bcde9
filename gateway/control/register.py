"""All orders during one tick: a working copy, what has changed in it, and what has to be said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from gateway.control.activation import NO_POWERS, Powers, advance, is_open
from gateway.control.proof import Watch
from gateway.model import Ack, Entry, Status

ENDED_MAX = 10_000
"""Ended orders remembered to answer a repetition; older ones are refused by their age anyway."""


@dataclass(frozen=True, slots=True)
class Tracked:
    """
    One revision of an order in memory; it takes part once the journal has reached `serial`. `why` is the code and the
    detail of what keeps it from its effect, as last seen.
    """

    entry: Entry
    serial: int
    engaged_mono: float | None = None
    watch: Watch = field(default_factory=Watch)
    why: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """An acknowledgement and where it is wanted."""

    ack: Ack
    uplink: str
    response_topic: str | None = None
    correlation: bytes | None = None


@dataclass(frozen=True, slots=True)
class Orders:
    """All that is remembered of orders: the open ones by (id, revision), the ended ones by id."""

    open: Mapping[tuple[str, int], Tracked] = field(default_factory=dict)
    ended: Mapping[str, tuple[Tracked, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, entries: Sequence[Entry]) -> Orders:
        """Orders as the journal holds them: all of it is on disk."""
        tracked = [Tracked(entry, serial=0) for entry in entries]
        ended: dict[str, tuple[Tracked, ...]] = {}
        for one in tracked:
            if not is_open(one.entry):
                ended[one.entry.id] = (*ended.get(one.entry.id, ()), one)
        return cls({(one.entry.id, one.entry.revision): one for one in tracked if is_open(one.entry)}, ended)


class Register:
    """The orders by id; every step of a life goes through `say`, so none goes unanswered or unjournaled."""

    def __init__(self, orders: Orders, *, serial: int, wall: float) -> None:
        self.replies: list[Reply] = []
        self._open = dict(orders.open)
        self._ended: Mapping[str, tuple[Tracked, ...]] = orders.ended
        self._ended_copy: dict[str, tuple[Tracked, ...]] | None = None
        self._changed: dict[tuple[str, int], Entry] = {}
        self._serial = serial
        self._wall = wall

    @property
    def orders(self) -> Orders:
        return Orders(self._open, self._ended)

    @property
    def changed(self) -> tuple[Entry, ...]:
        """The entries that the journal does not know like this."""
        return tuple(self._changed.values())

    @property
    def open(self) -> list[Tracked]:
        return list(self._open.values())

    def open_one(self, entry: Entry) -> Tracked | None:
        """What is tracked of an entry that may have ended since."""
        return self._open.get((entry.id, entry.revision))

    def note(self, tracked: Tracked) -> None:
        """Remember what the journal need not know, such as since when an order obeys."""
        self._open[tracked.entry.id, tracked.entry.revision] = tracked

    def say(
        self,
        entry: Entry,
        status: Status,
        *,
        powers: Powers = NO_POWERS,
        code: str | None = None,
        detail: str | None = None,
    ) -> Entry:
        """Take one step of an order's life, and answer it."""
        entry = advance(
            entry,
            status,
            n=self.next_n(entry.id),
            time=self._wall,
            powers=powers,
            code=code,
            detail=detail,
        )
        known = self._open.get((entry.id, entry.revision))
        self.keep(replace(known, entry=entry) if known else Tracked(entry, self._serial))
        if entry.last is not None:
            self.replies.append(Reply(entry.last, entry.uplink, entry.response_topic, entry.correlation))
        return entry

    def keep(self, tracked: Tracked) -> None:
        """Remember, and have the journal remember."""
        entry = tracked.entry
        key = (entry.id, entry.revision)
        self._changed[key] = entry
        if is_open(entry):
            self._open[key] = tracked
            return
        self._open.pop(key, None)
        if self._ended_copy is None:
            self._ended = self._ended_copy = dict(self._ended)
        ended = self._ended_copy
        others = tuple(one for one in ended.pop(entry.id, ()) if one.entry.revision != entry.revision)
        ended[entry.id] = (*others, tracked)  # the last to end stands last
        while len(ended) > ENDED_MAX:
            del ended[next(iter(ended))]

    def of(self, id_: str) -> list[Tracked]:
        """All revisions of an id."""
        return [*self._ended.get(id_, ()), *(one for (other, _), one in self._open.items() if other == id_)]

    def find(self, id_: str, revision: int) -> Tracked | None:
        return next((one for one in self.of(id_) if one.entry.revision == revision), None)

    def latest(self, id_: str) -> Tracked | None:
        return max(self.of(id_), key=lambda one: one.entry.revision, default=None)

    def next_n(self, id_: str) -> int:
        """The number of the next acknowledgement of an id, over all its revisions."""
        return max((one.entry.n for one in self.of(id_)), default=0) + 1
