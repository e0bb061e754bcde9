"""Which measurement frames arrived: every number once and for all, what is missing, what came twice."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from hil.dso.messages import Frame, Measurements, Quality, Value
from hil.dso.ranges import Ranges

REMEMBERED_FRAMES = 200_000  # about 30 MB; a repeat is compared with what came before only within these


@dataclass(frozen=True, slots=True)
class FrameCount:
    """
    Frames over all epochs.

    `received` counts all, `distinct` each (epoch, seq) once, `duplicates` the same content again, `conflicting` other
    content under a number already used, `missing` those between first and last that neither came nor were announced as
    gone, `announced` those that a `buffer_gap` event named and that did not come.
    """

    received: int
    distinct: int
    duplicates: int
    conflicting: int
    missing: int
    announced: int


@dataclass(frozen=True, slots=True)
class Latest:
    """The newest known state of a point by the frame's own time; `value` None is not known."""

    value: Value | None
    quality: Quality
    time: str


@dataclass(slots=True)
class _Epoch:
    received: Ranges = field(default_factory=Ranges)
    announced: Ranges = field(default_factory=Ranges)


class FrameBook:
    """Counts the frames of one site and keeps the newest value of each point."""

    def __init__(self) -> None:
        self.latest: dict[str, Latest] = {}
        self.epoch: str | None = None  # that of the newest batch
        self._epochs: dict[str, _Epoch] = {}
        self._digests: OrderedDict[tuple[str, int], int] = OrderedDict()
        self._received = self._duplicates = self._conflicting = 0

    def take(self, batch: Measurements) -> list[str]:
        """Count a batch; returns what is wrong with it."""
        faults = []
        self.epoch = batch.epoch
        epoch = self._epochs.setdefault(batch.epoch, _Epoch())
        numbers = [frame.seq for frame in batch.frames]
        if numbers != sorted(set(numbers)) or (numbers[0], numbers[-1]) != (batch.first, batch.last):
            faults.append(f"measurements: frames {numbers[:3]}… are not those of first={batch.first} last={batch.last}")
        for frame in batch.frames:
            self._received += 1
            digest = hash(msgspec.json.encode(frame, order="sorted"))
            key = (batch.epoch, frame.seq)
            if frame.seq not in epoch.received:
                epoch.received.add(frame.seq, frame.seq)
                self._remember(key, digest)
                self._note_values(frame)
            elif self._digests.get(key, digest) == digest:
                self._duplicates += 1
            else:
                self._conflicting += 1
                faults.append(f"measurements: frame {frame.seq} of epoch {batch.epoch} came twice with other content")
        return faults

    def announce_gap(self, body: Mapping[str, object]) -> list[str]:
        """Note a `buffer_gap` event: what it names may be missing. Without an epoch it speaks of the newest one."""
        first, last, epoch = body.get("from"), body.get("to"), body.get("epoch", self.epoch)
        if not isinstance(first, int) or not isinstance(last, int) or not isinstance(epoch, str) or last < first:
            return [f"events: buffer_gap names no range (from {first!r}, to {last!r}, epoch {epoch!r})"]
        self._epochs.setdefault(epoch, _Epoch()).announced.add(first, last)
        return []

    def missing(self) -> dict[str, list[tuple[int, int]]]:
        """By epoch, the ranges of numbers that are lost or still on their way."""
        ranges = {name: list(epoch.received.gaps().minus(epoch.announced)) for name, epoch in self._epochs.items()}
        return {name: missing for name, missing in ranges.items() if missing}

    def count(self) -> FrameCount:
        return FrameCount(
            received=self._received,
            distinct=sum(len(epoch.received) for epoch in self._epochs.values()),
            duplicates=self._duplicates,
            conflicting=self._conflicting,
            missing=sum(last - first + 1 for ranges in self.missing().values() for first, last in ranges),
            announced=sum(len(epoch.announced.minus(epoch.received)) for epoch in self._epochs.values()),
        )

    def _remember(self, key: tuple[str, int], digest: int) -> None:
        self._digests[key] = digest
        if len(self._digests) > REMEMBERED_FRAMES:
            self._digests.popitem(last=False)

    def _note_values(self, frame: Frame) -> None:
        for point in frame.values.keys() | frame.quality.keys():
            known = self.latest.get(point)
            if known is None or known.time <= frame.time:
                quality = frame.quality.get(point, "good")
                self.latest[point] = Latest(frame.values.get(point), quality, frame.time)
