"""
The tick: one snapshot and the orders received in, set-points and acknowledgements out.

    admit       orders received      → accepted or refused          (intake, admission)
    pass        time                 → ended, superseded            (life, activation)
    decide      orders in force      → a ruling a target            (functions, arbitration)
    share       rulings              → watts a device               (pcc, dispatch)
    write       watts                → set-points, holds, releases  (writes)
    prove       read-backs, meter    → started, effective, …        (proof)

Pure: the same state and inputs give the same answer. Nothing takes part in control, and no register is touched, before
the journal has reached the serial of the tick that asked for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gateway.control.alarms import Away, Event, Unreadable, count_unreadable, failing, overwriting, standing_in, watch
from gateway.control.capability import View, ders_now
from gateway.control.fallback import Losses, evidence, fallback_of, hold_of
from gateway.control.intake import Intake
from gateway.control.life import Lives
from gateway.control.mirror import Mirror, mirror_of
from gateway.control.plant import Plant
from gateway.control.register import Orders, Register, Reply
from gateway.control.steering import Decision, Steering, kept, steer
from gateway.control.writes import Held, Writes, plan_writes
from gateway.image import Snapshot
from gateway.model import Entry, Hold, Received, SetPoint

__all__ = ["Event", "Inputs", "Outcome", "Reply", "State", "resume", "tick"]


@dataclass(frozen=True, slots=True)
class Inputs:
    """
    What a tick is given: `journaled` is the serial up to which everything is on disk, `heard` until when the
    DSO of each uplink counts as heard, monotonic seconds, None: not yet; `clock_lost_s` for how long the clock has
    not been synchronised.
    """

    snapshot: Snapshot
    received: Sequence[Received] = ()
    journaled: int = 0
    heard: Mapping[str, float | None] = field(default_factory=dict)
    clock_lost_s: float = 0.0


@dataclass(frozen=True, slots=True)
class State:
    """What the controller remembers from tick to tick."""

    serial: int = 0
    started: float | None = None
    mono: float | None = None
    orders: Orders = field(default_factory=Orders)
    writes: Writes = field(default_factory=Writes)
    away: Mapping[str, Away] = field(default_factory=dict)
    unreadable: Unreadable = field(default_factory=Unreadable)
    steering: Steering = field(default_factory=Steering)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What comes of a tick. `entries`, `holds` and `released` go to the journal, with `replies`, in one commit."""

    serial: int
    replies: tuple[Reply, ...]
    entries: tuple[Entry, ...]
    holds: tuple[Hold, ...]
    released: tuple[str, ...]
    events: tuple[Event, ...]
    setpoints: tuple[SetPoint, ...]
    mirror: Mirror
    decision: Decision = field(default_factory=lambda: Decision({}, {}))

    @property
    def durable(self) -> bool:
        return bool(self.replies or self.entries or self.holds or self.released or self.events)


def resume(entries: Sequence[Entry], holds: Sequence[Hold]) -> State:
    """The state after a restart: what the journal holds has been journaled, so it takes part at once."""
    standing = frozenset(name for hold in holds if (name := fallback_of(hold)) is not None)
    points = [hold for hold in holds if fallback_of(hold) is None]
    return State(
        orders=Orders.of(entries),
        writes=Writes(held={hold.point: Held(hold, serial=0) for hold in points}),
        steering=Steering(losses=Losses(standing)),
    )


def tick(plant: Plant, state: State, inputs: Inputs) -> tuple[State, Outcome]:
    """One turn of the controller."""
    snapshot = inputs.snapshot
    now = snapshot.now
    serial = state.serial + 1
    started = now.mono if state.started is None else state.started
    view = View(plant, ders_now(plant, state.steering.known, snapshot), snapshot)
    register = Register(state.orders, serial=serial, wall=now.wall)
    intake = Intake(register, view)
    for received in inputs.received:
        intake.admit(received)
    lives = Lives(register, view)
    lives.pass_time()
    in_force = lives.engage(inputs.journaled)

    dt = 0.0 if state.mono is None else max(now.mono - state.mono, 0.0)
    found = evidence(plant, snapshot, inputs.heard, inputs.clock_lost_s, started)
    steering, decision = steer(plant, state.steering, in_force, view, found, dt)
    staying = kept(state.writes.held, decision, view.ders)
    written = plan_writes(
        state.writes, decision.wishes, staying, plant, snapshot, journaled=inputs.journaled, serial=serial
    )
    lives.prove(in_force, decision, written.writes)

    away, alarms = watch(plant, state.away, view.ders, now.mono)
    unreadable, complaints = count_unreadable(state.unreadable, intake.unreadable, now.mono)
    mirror = mirror_of(decision, view)
    before = state.steering.losses.standing
    outcome = Outcome(
        serial=serial,
        replies=tuple(register.replies),
        entries=register.changed,
        holds=(*written.holds, *(hold_of(name) for name in sorted(decision.fallbacks - before))),
        released=(*written.released, *(hold_of(name).point for name in sorted(before - decision.fallbacks))),
        events=(
            *alarms,
            *standing_in(before, decision.fallbacks),
            *overwriting(written.overwritten),
            *failing(written.failures),
            *complaints,
        ),
        setpoints=written.setpoints,
        mirror=mirror,
        decision=decision,
    )
    return State(serial, started, now.mono, register.orders, written.writes, away, unreadable, steering), outcome
