"""
From what is desired to what is written: when a set-point is worth a write, what is taken over, and what is given back.

A register is only ever touched for an order in force. What stood in it before is remembered on disk before the first
write, and given back when no order speaks of it any more.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Literal

from gateway.characteristic import DELEGATED
from gateway.control.capability import CONNECT, LIMIT, POWER_FACTOR_SETPOINT, from_point, to_point
from gateway.control.plant import Plant
from gateway.image import KNOWN, Snapshot
from gateway.model import Hold, Point, Quality, SetPoint, Setting, WriteResult

DEADBAND_SHARE = 0.002
"""Of the rated power: what meters of class 0.5 cannot show is not worth a write."""
STEP_SHARE = 0.02
"""Of the rated power: a larger step is written at once, a smaller one not more often than MIN_INTERVAL_S."""
MIN_INTERVAL_S = 1.0
RETRY_S = 2.0
"""After a refused or lost write: soon, and not in every tick."""
RETRY_CURVE_S = 60.0
"""A device that refuses a characteristic will not think otherwise soon, and each attempt writes it into its memory."""
ANSWER_S = 5.0
"""A write that has not ended by then is offered again."""
LIFETIME_S = 5.0
"""A set-point that could not be written for so long is no longer what the controller means."""
QUIET_S = 60.0
"""A writer that fights for a point is told of once in so long."""
SETTLE_S = 1.5
"""A reading this much younger than the write must show it; an older one may have been on its way."""


@dataclass(frozen=True, slots=True)
class Held:
    """A point taken over; not written before the journal has reached `serial`."""

    hold: Hold
    serial: int


@dataclass(frozen=True, slots=True)
class Offered:
    """What was last handed to a driver for a point; `back`: to give it back, not for an order."""

    value: Setting | None
    mono: float
    back: bool = False


@dataclass(frozen=True, slots=True)
class Writes:
    """What the writing side remembers from tick to tick."""

    held: Mapping[str, Held] = field(default_factory=dict)
    offered: Mapping[str, Offered] = field(default_factory=dict)
    foreign: Mapping[str, float] = field(default_factory=dict)  # when another writer was last seen, monotonic
    failing: frozenset[str] = frozenset()  # points whose last write failed, which has been told


@dataclass(frozen=True, slots=True)
class Overwritten:
    """Another value than ours was found in a point; `reset`: it is the one from before our first write."""

    point: str
    ours: Setting | None
    found: Setting | None
    reset: bool


@dataclass(frozen=True, slots=True)
class Written:
    """
    What comes of one tick: set-points to hand out, holds to journal, points that are given back for good, points in
    which another value has just been found, and what is wrong with those whose writes have begun to fail.
    """

    writes: Writes
    setpoints: tuple[SetPoint, ...]
    holds: tuple[Hold, ...]
    released: tuple[str, ...]
    overwritten: tuple[Overwritten, ...]
    failures: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Wish:
    """A desired value in W or var, a bare number or a text, as its point takes; and the orders behind it."""

    value: Setting
    cause: str


def plan_writes(
    writes: Writes,
    wishes: Mapping[str, Wish],
    kept: Container[str],
    plant: Plant,
    snapshot: Snapshot,
    *,
    journaled: int,
    serial: int,
) -> Written:
    """
    Args:
        wishes: By point id, what orders in force ask for.
        kept: Points taken over that are neither written nor given back now.
        journaled: The serial up to which holds are on disk.
        serial: The serial of this tick, under which new holds are journaled.
    """
    now = snapshot.now.mono
    held = dict(writes.held)
    offered = dict(writes.offered)
    foreign = {point: seen for point, seen in writes.foreign.items() if point in wishes}
    setpoints: list[SetPoint] = []
    holds: list[Hold] = []
    released: list[str] = []
    overwritten: list[Overwritten] = []
    failing, failures = _failing(writes, snapshot)
    for point_id, wish in wishes.items():
        point = snapshot.points.get(point_id)
        if point is None:
            continue
        if point_id not in held:
            hold = _take_over(point, snapshot)
            if hold is not None:
                held[point_id] = Held(hold, serial)
                holds.append(hold)
            continue
        if held[point_id].serial > journaled:
            continue
        value = _setting(point, wish)
        foreign_value = _overwritten(point, snapshot)
        if foreign_value:
            is_news = now - foreign.get(point_id, -QUIET_S) >= QUIET_S
            overwritten += [_overwriting(point_id, held[point_id].hold, snapshot)] if is_news else []
            foreign[point_id] = now
        if _worth_writing(point, value, offered.get(point_id), plant, snapshot, overwritten=foreign_value):
            offered[point_id] = Offered(value, now)
            setpoints.append(SetPoint(point_id, value, now + LIFETIME_S, wish.cause))
    for point_id in [point_id for point_id in held if point_id not in wishes and point_id not in kept]:
        if point_id not in snapshot.points or held[point_id].serial > journaled:
            continue
        before = held[point_id].hold.before
        match _giving_back(point_id, offered.get(point_id), snapshot):
            case "done":
                released.append(point_id)
                del held[point_id], offered[point_id]
            case "write":
                offered[point_id] = Offered(before, now, back=True)
                setpoints.append(SetPoint(point_id, before, now + LIFETIME_S, "release"))
    after = Writes(held, offered, foreign, failing)
    return Written(after, tuple(setpoints), tuple(holds), tuple(released), tuple(overwritten), failures)


def _failing(writes: Writes, snapshot: Snapshot) -> tuple[frozenset[str], tuple[str, ...]]:
    """The points whose writes fail, until one succeeds; and the errors of those that have just begun to."""
    answers = {id_: result for id_, last in writes.offered.items() if (result := _answer(id_, last, snapshot))}
    known = {id_ for id_ in writes.failing if id_ in writes.offered and (id_ not in answers or answers[id_].error)}
    begun = {id_: result.error for id_, result in answers.items() if result.error and id_ not in known}
    return frozenset(known | begun.keys()), tuple(named(id_, error) for id_, error in begun.items())


def _giving_back(point_id: str, last: Offered | None, snapshot: Snapshot) -> Literal["write", "wait", "done"]:
    """What is to be done so that what stood in the point before stands in it again."""
    # What an order happened to want may have been overwritten since: only a write of its own gives back.
    if last is None or not last.back:
        return "write"
    result = _answer(point_id, last, snapshot)
    if result is not None and result.error is None:
        return "done"
    pause = ANSWER_S if result is None else RETRY_S
    return "wait" if snapshot.now.mono - last.mono < pause else "write"


def _setting(point: Point, wish: Wish) -> Setting:
    """The wish in the unit of its point."""
    return wish.value if isinstance(wish.value, str) else to_point(point, wish.value)


def confirmed(point: Point, wish: Wish, since: float, snapshot: Snapshot) -> bool:
    """The device's read-back shows the wish: written since then, or standing there already."""
    result = snapshot.writes.get(point.id)
    if result is None or result.error is not None or result.value is None:
        return False
    apart = _apart(point, result.value, _setting(point, wish))
    return result.mono >= since or apart <= _deadband_w(point, snapshot)


def failed(point_id: str, snapshot: Snapshot) -> str | None:
    """Why the last write of a point did not take hold; None when it did, or when there was none."""
    result = snapshot.writes.get(point_id)
    return result.error if result else None


def named(point_id: str, error: str) -> str:
    """An error beside its point, which a driver may have named already."""
    return error if error.startswith(f"{point_id}:") else f"{point_id}: {error}"


def _rated_w(point: Point, snapshot: Snapshot) -> float:
    nameplate = snapshot.nameplates.get(point.device)
    return (nameplate.rated_power_w if nameplate else None) or point.base or 0.0


def _deadband_w(point: Point, snapshot: Snapshot) -> float:
    return DEADBAND_SHARE * _rated_w(point, snapshot)


def _take_over(point: Point, snapshot: Snapshot) -> Hold | None:
    """What stands in the point now; None while it is still to be read."""
    reading = snapshot.readings.get(point.id)
    if point.readable and (reading is None or reading.quality in {Quality.OFFLINE, Quality.STALE}):
        return None
    if reading is not None and reading.quality in KNOWN:
        return Hold(point.id, _stands(point.id, snapshot))
    # It cannot be read: a limit gives back all, a switch connects, a set-point gives nothing.
    unread: dict[str, Setting | None] = {
        LIMIT: to_point(point, _rated_w(point, snapshot)),
        CONNECT: 1.0,
        POWER_FACTOR_SETPOINT: 1.0,
        **dict.fromkeys(DELEGATED),
    }
    return Hold(point.id, unread.get(point.name, 0.0))


def _stands(point_id: str, snapshot: Snapshot) -> Setting | None:
    """What stands in a point now, as far as it is known."""
    reading = snapshot.readings.get(point_id)
    if reading is None or reading.quality not in KNOWN or reading.value is None:
        return None
    return reading.value if isinstance(reading.value, str) else float(reading.value)


def _answer(point_id: str, offered: Offered, snapshot: Snapshot) -> WriteResult | None:
    result = snapshot.writes.get(point_id)
    return result if result is not None and result.mono >= offered.mono and result.value == offered.value else None


def _worth_writing(
    point: Point, value: Setting, last: Offered | None, plant: Plant, snapshot: Snapshot, *, overwritten: bool
) -> bool:
    if last is None or last.value is None:
        return True
    now = snapshot.now.mono
    age = now - last.mono
    step = _apart(point, value, last.value)
    if step > 0:
        rated = _rated_w(point, snapshot)
        if step > STEP_SHARE * rated or (step > DEADBAND_SHARE * rated and age >= MIN_INTERVAL_S):
            return True
    result = _answer(point.id, last, snapshot)
    if result is None:
        return age >= ANSWER_S
    if result.error is not None or overwritten:
        return age >= (RETRY_CURVE_S if result.error is not None and point.name in DELEGATED else RETRY_S)
    refreshes = [s for s in (point.refresh_s, plant.revert_s / 2 if plant.revert_s else None) if s is not None]
    return bool(refreshes) and age >= min(refreshes)


def _overwriting(point_id: str, hold: Hold, snapshot: Snapshot) -> Overwritten:
    found = _stands(point_id, snapshot)
    return Overwritten(point_id, snapshot.writes[point_id].readback, found, reset=found == hold.before)


def _overwritten(point: Point, snapshot: Snapshot) -> bool:
    """Another value stands in the device than the one we read back after our last write."""
    result = snapshot.writes.get(point.id)
    reading = snapshot.readings.get(point.id)
    if result is None or result.error is not None or reading is None or reading.quality not in KNOWN:
        return False
    if reading.mono < result.mono + SETTLE_S:
        return False
    found = _stands(point.id, snapshot)
    if found is None or result.readback is None:
        return found is not result.readback
    return _apart(point, found, result.readback) > _deadband_w(point, snapshot)


def _apart(point: Point, one: Setting, other: Setting) -> float:
    """How far two settings lie apart, in W or var; what is no power is the same, or infinitely far apart."""
    if isinstance(one, str) or isinstance(other, str) or not point.unit:
        return 0.0 if one == other else inf
    return abs(from_point(point, one) - from_point(point, other))
