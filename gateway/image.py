"""The process image: the latest of every point, what changed since the last snapshot, and how each write ended."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

from gateway.model import Instant, Measurement, Nameplate, Point, Quality, Value, WriteResult

CHANGES_MAX = 200_000
"""Ten seconds of the busiest site we serve (20 000 values/s): a tick that late is a fault, and memory stays bounded."""

KNOWN = frozenset({Quality.GOOD, Quality.UNCERTAIN})
"""Qualities under which a value may be used."""


class Reading(NamedTuple):
    """The latest of one point: `time` is when the value was true, `mono` when it arrived."""

    value: Value | None
    quality: Quality
    time: float
    mono: float


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that a tick may know. Nothing in it changes any more."""

    now: Instant
    readings: Mapping[str, Reading]
    writes: Mapping[str, WriteResult]
    nameplates: Mapping[str, Nameplate]
    points: Mapping[str, Point]
    changes: tuple[tuple[str, Reading], ...] = ()
    changes_lost: int = 0

    def number(self, point: str) -> float | None:
        """The value of a point when it is known and a number; else None, never 0."""
        reading = self.readings.get(point)
        if reading is None or reading.quality not in KNOWN or isinstance(reading.value, str | bool):
            return None
        return None if reading.value is None else float(reading.value)


class Image:
    """Written by drivers and their supervisors, read by snapshots; all on one event loop."""

    def __init__(self, nameplates: Iterable[Nameplate]) -> None:
        self._readings: dict[str, Reading] = {}
        self._writes: dict[str, WriteResult] = {}
        self._nameplates: Mapping[str, Nameplate] = {}  # these two are replaced, never changed: snapshots hold them
        self._points: Mapping[str, Point] = {}
        self._changes: deque[tuple[str, Reading]] = deque(maxlen=CHANGES_MAX)
        self._lost = 0
        for nameplate in nameplates:
            self._described(nameplate)

    def _described(self, nameplate: Nameplate) -> None:
        self._nameplates = {**self._nameplates, nameplate.device: nameplate}
        self._points = {point.id: point for plate in self._nameplates.values() for point in plate.points}

    def emit(self, items: Iterable[Measurement | Nameplate], now: Instant) -> None:
        """Take what a device said; a measurement without a time of its own is stamped with its arrival."""
        for item in items:
            if isinstance(item, Nameplate):
                self._described(item)
                continue
            time = now.wall if item.time is None else item.time
            self._change(item.point, Reading(item.value, item.quality, time, now.mono))

    def wrote(self, result: WriteResult, now: Instant) -> None:
        """Whether an order took hold is a measurement, too; so is what was read back."""
        self._writes[result.point] = result
        point = self._points.get(result.point)
        if result.error is None and point is not None and point.readable:
            self._change(result.point, Reading(result.readback, Quality.GOOD, now.wall, now.mono))

    def offline(self, devices: Iterable[str], now: Instant) -> None:
        """The connection to these devices is gone: their values keep their time and lose their worth."""
        for device in devices:
            nameplate = self._nameplates.get(device)
            for point in nameplate.points if nameplate else ():
                if point.readable:
                    self._degrade(point.id, Quality.OFFLINE, now)

    def point(self, point: str) -> Point:
        """What is known of a point; one that no nameplate has is taken as unitless."""
        return self._points.get(point) or Point(point, "")

    def snapshot(self, now: Instant) -> Snapshot:
        """Everything as it stands, with values past their deadline marked stale; the changes are handed over once."""
        for point_id, reading in list(self._readings.items()):
            point = self._points.get(point_id)
            if point is not None and reading.quality in KNOWN and now.mono - reading.mono > point.max_age:
                self._degrade(point_id, Quality.STALE, now)
        changes, lost = tuple(self._changes), self._lost
        self._changes.clear()
        self._lost = 0
        return Snapshot(
            now=now,
            readings=MappingProxyType(dict(self._readings)),
            writes=MappingProxyType(dict(self._writes)),
            nameplates=self._nameplates,
            points=self._points,
            changes=changes,
            changes_lost=lost,
        )

    def _degrade(self, point: str, quality: Quality, now: Instant) -> None:
        old = self._readings.get(point)
        if old is None:
            self._change(point, Reading(None, quality, now.wall, now.mono))
        elif old.quality is not quality:
            self._change(point, Reading(old.value, quality, old.time, old.mono))

    def _change(self, point: str, reading: Reading) -> None:
        self._readings[point] = reading
        if len(self._changes) == CHANGES_MAX:
            self._lost += 1
        self._changes.append((point, reading))
