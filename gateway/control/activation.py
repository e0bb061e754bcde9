"""
The life cycle of an activation.

An order is a promise with a history. It is `received` when its id could be read, `accepted` when it is safe on disk,
and `started` when every device's write was read back; only the meter makes it `effective`, and `deviating` takes that
back while the meter says otherwise. Then comes exactly one last word. Each revision of an order lives its own life;
the acknowledgements of all revisions of one id are counted together, from 1 and without a gap, so that a head end sees
at once that one is missing.

The table is the whole truth: what it does not list is illegal, raises, and changes nothing.

    received ──► accepted ──► started ──► effective ◄──► deviating
        │            │           │            │              │
        ▼            └───────────┴──────┬─────┴──────────────┘
     rejected                           ▼
                     completed | cancelled | superseded | expired | failed
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from gateway.model import Ack, Activation, Entry, Status

_OVERRULED = frozenset({Status.CANCELLED, Status.SUPERSEDED})

TRANSITIONS: dict[Status | None, frozenset[Status]] = {
    None: frozenset({Status.RECEIVED}),
    Status.RECEIVED: frozenset({Status.ACCEPTED, Status.REJECTED}),
    Status.ACCEPTED: frozenset({Status.STARTED, Status.EXPIRED, Status.FAILED}) | _OVERRULED,
    Status.STARTED: frozenset({Status.EFFECTIVE, Status.FAILED}) | _OVERRULED,
    Status.EFFECTIVE: frozenset({Status.DEVIATING, Status.COMPLETED}) | _OVERRULED,
    Status.DEVIATING: frozenset({Status.EFFECTIVE, Status.COMPLETED}) | _OVERRULED,
    Status.REJECTED: frozenset(),
    Status.COMPLETED: frozenset(),
    Status.CANCELLED: frozenset(),
    Status.SUPERSEDED: frozenset(),
    Status.EXPIRED: frozenset(),
    Status.FAILED: frozenset(),
}

ENDED = frozenset(status for status, after in TRANSITIONS.items() if status is not None and not after)


class IllegalTransition(Exception):
    """A step the table does not have; nothing was changed."""


@dataclass(frozen=True, slots=True)
class Powers:
    """What an acknowledgement says in watts or vars; None is not known."""

    requested: float | None = None
    applied: float | None = None
    measured: float | None = None
    unit: str | None = None


NO_POWERS = Powers()


def advance(
    entry: Entry,
    status: Status,
    *,
    n: int,
    time: float,
    powers: Powers = NO_POWERS,
    code: str | None = None,
    detail: str | None = None,
) -> Entry:
    """
    The entry one step further; `last` is the acknowledgement that says so.

    Args:
        n: The number of this acknowledgement among all of the id.
        time: UTC seconds.

    Raises:
        IllegalTransition: If the table has no step from the entry's status to *status*.
    """
    before = entry.status if entry.last is not None else None
    if status not in TRANSITIONS[before]:
        raise IllegalTransition(f"{entry.id} revision {entry.revision}: from {before} to {status}")
    ack = Ack(
        id=entry.id,
        revision=entry.revision,
        n=n,
        status=status,
        time=time,
        requested=powers.requested,
        applied=powers.applied,
        measured=powers.measured,
        unit=powers.unit,
        code=code,
        detail=detail,
    )
    effective = entry.was_effective or status is Status.EFFECTIVE
    return replace(entry, status=status, n=n, last=ack, was_effective=effective)


def is_open(entry: Entry) -> bool:
    return entry.status not in ENDED


def starts_at(activation: Activation) -> float:
    """When it begins, UTC seconds; an order without a start begins at once."""
    return activation.start if activation.start is not None else float("-inf")


def in_force(entry: Entry, wall: float) -> bool:
    """Accepted, begun and not ended."""
    activation = entry.activation
    return (
        activation is not None
        and is_open(entry)
        and entry.status is not Status.RECEIVED
        and (starts_at(activation) <= wall)
    )
