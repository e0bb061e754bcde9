"""
What goes into the ledger: from the outcomes of the ticks to its records. Pure.

    tick ── take (references only) ──► waiting ──► notes, made beside the commit ──► chain (store)

Only changes are recorded: a set-point that says the same as the last one of its point, and a write that read back the
same, are no new record, nor is an acknowledgement that is sent again. So an order that is only refreshed adds nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm

from gateway import identity
from gateway.control.cycle import Outcome, Reply
from gateway.model import Ack, Entry, SetPoint, Setting, Status, WriteResult
from gateway.store.chain import Note, Verdict, moment

WAITING_MAX = 10_000
"""Records of writes that wait for a failing disk: minutes of a busy site; what is beyond is counted, and recorded."""

STAMP_S = 0.001
"""A record's time is written to the millisecond."""


@dataclass(frozen=True, slots=True)
class _Taken:
    wall: float
    outcome: Outcome
    results: tuple[WriteResult, ...]
    lost: int


class Recorder:
    """
    Between the tick and the commit.

    Args:
        ack: Makes the payload of an acknowledgement, as it is sent.
    """

    def __init__(self, ack: Callable[[Ack], bytes]) -> None:
        self._ack = ack
        self._waiting: list[_Taken] = []
        self._notes: list[Note] = []
        self._lost = 0
        self._results: Mapping[str, WriteResult] = {}
        self._written: dict[str, tuple[Setting | None, Setting | None, str | None]] = {}
        self._handed: dict[str, tuple[Setting | None, str]] = {}

    @property
    def waits(self) -> bool:
        """Whether something was taken that is not recorded."""
        return bool(self._waiting or self._notes)

    def take(self, wall: float, outcome: Outcome, results: Mapping[str, WriteResult]) -> None:
        """Take what came of a tick at `wall`, and the results of all writes as that tick saw them."""
        new: tuple[WriteResult, ...] = ()
        if results != self._results:
            new = tuple(result for point, result in results.items() if self._results.get(point) is not result)
            self._results = results
        if not (outcome.durable or outcome.setpoints or new):
            return
        if len(self._waiting) + len(self._notes) >= WAITING_MAX and not outcome.durable:
            self._lost += len(outcome.setpoints) + len(new)
            return
        self._waiting.append(_Taken(wall, outcome, new, self._lost))
        self._lost = 0

    def notes(self) -> tuple[Note, ...]:
        """All that is to be recorded now, in its order; the same again until `recorded`."""
        for taken in self._waiting:
            self._notes += self._notes_of(taken)
        self._waiting.clear()
        return tuple(self._notes)

    def recorded(self, count: int) -> None:
        """So many of the notes are on disk."""
        del self._notes[:count]

    def _notes_of(self, taken: _Taken) -> list[Note]:
        outcome, wall = taken.outcome, taken.wall
        notes: list[Note] = []
        if taken.lost:
            notes.append(_note(wall, "event", None, {"code": "ledger_gap", "writes": taken.lost}))
        results = [self._result(wall, result) for result in taken.results]
        notes += [note for note in results if note is not None]
        notes += self._answers(wall, outcome)
        notes += [_note(wall, "hold", None, {"point": hold.point, "before": hold.before}) for hold in outcome.holds]
        notes += [_note(wall, "release", None, {"point": point}) for point in outcome.released]
        notes += [_note(wall, "event", None, {"code": event.code, "detail": event.detail}) for event in outcome.events]
        handed = [self._setpoint(wall, setpoint) for setpoint in outcome.setpoints]
        return notes + [note for note in handed if note is not None]

    def _answers(self, wall: float, outcome: Outcome) -> list[Note]:
        entries = {(entry.id, entry.revision): entry for entry in outcome.entries}
        changed = {entry.id for entry in outcome.entries}
        received = {_key(reply) for reply in outcome.replies if reply.ack.status is Status.RECEIVED}
        notes: list[Note] = []
        for reply in outcome.replies:
            ack = reply.ack
            if ack.id not in changed:  # said before, and sent again
                continue
            entry = entries.get(_key(reply)) if _key(reply) in received else None
            if ack.status is Status.ACCEPTED and entry is not None:
                notes.append(_order(wall, "order", reply, entry))
            if ack.status is Status.REJECTED:
                notes.append(_order(wall, "refused", reply, entry))
            notes.append(Note(wall, "ack", ack.id, self._ack(ack)))
        return notes

    def _result(self, wall: float, result: WriteResult) -> Note | None:
        says = (result.value, result.readback, result.error)
        if self._written.get(result.point) == says:
            return None
        self._written[result.point] = says
        found = {"readback": result.readback} if result.error is None else {"error": result.error}
        ref = self._handed.get(result.point, (None, ""))[1] or None
        return _note(wall, "written", ref, {"point": result.point, "value": result.value, **found})

    def _setpoint(self, wall: float, setpoint: SetPoint) -> Note | None:
        says = (setpoint.value, setpoint.cause)
        if self._handed.get(setpoint.point) == says:
            return None
        self._handed[setpoint.point] = says
        return _note(wall, "write", setpoint.cause, {"point": setpoint.point, "value": setpoint.value})


def signed(key: str, signature: bytes, data: bytes) -> bool:
    """Whether the signature over the data was made with the private half of this key (PEM); never, if it is none."""
    try:
        return identity.verify(key.encode(), signature, data)
    except (identity.IdentityError, UnsupportedAlgorithm):
        return False


def unrecorded(entries: Iterable[Entry], verdict: Verdict) -> list[str]:
    """
    What the journal has and the ledger lacks: both are written together, so an end that was cut off shows here.

    Args:
        entries: The journal, as it was read before the ledger.
        verdict: What was found in the ledger.
    """
    if verdict.first is None:
        return []
    since = moment(verdict.first.time) + STAMP_S  # what was answered before is not, or no longer, in the ledger
    return [
        f"acknowledgement {entry.n} of {entry.id} is not in the ledger"
        for entry in entries
        if entry.last is not None and entry.last.time > since and verdict.answered.get(entry.id, 0) < entry.n
    ]


def _key(reply: Reply) -> tuple[str, int]:
    return reply.ack.id, reply.ack.revision


def _order(wall: float, kind: str, reply: Reply, entry: Entry | None) -> Note:
    """The decision on a payload, with what was read from it; `entry` None: it spoke of an order known before."""
    ack = reply.ack
    body: dict[str, object] = {"revision": ack.revision, "uplink": reply.uplink}
    if entry is not None:
        body |= {"digest": entry.digest, "order": entry.activation}
    if kind == "refused":
        body |= {"code": ack.code, "detail": ack.detail}
    return _note(wall, kind, ack.id, body)


def _note(wall: float, kind: str, ref: str | None, body: Mapping[str, object]) -> Note:
    return Note(wall, kind, ref, msgspec.json.encode(body))
