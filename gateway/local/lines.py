"""What reading costs beside what it was planned to cost, over the last minute."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from drivers.base import Driver, PlannedDevice, Traffic
from gateway.model import Nameplate

SAMPLE_S = 5.0
WINDOW_S = 60.0
SAMPLES_MAX = int(WINDOW_S / SAMPLE_S) + 1


@dataclass(frozen=True, slots=True)
class Rates:
    """Means over the last `over_s` seconds; `load` is the share of the line in use."""

    over_s: float
    requests_per_s: float
    unanswered_per_s: float
    load: float


@dataclass(frozen=True, slots=True)
class DeviceLine:
    """One device on its line; None is not known (yet)."""

    device: str
    connection: str
    planned: PlannedDevice | None = None
    total: Traffic | None = None
    rates: Rates | None = None


class Lines:
    """Samples the drivers' counters; `sample` is to be called every SAMPLE_S."""

    def __init__(self, drivers: Sequence[Driver]) -> None:
        self._drivers = drivers
        self._samples: deque[tuple[float, Mapping[str, Traffic]]] = deque(maxlen=SAMPLES_MAX)
        self._planned: Mapping[str, PlannedDevice] = {}
        self._planned_for: object = None

    def sample(self, mono: float) -> None:
        self._samples.append((mono, self._traffic()))

    def look(self, mono: float, nameplates: Mapping[str, Nameplate]) -> tuple[DeviceLine, ...]:
        """Every device behind every driver; `nameplates` are those of the image, which replaces and never changes."""
        if nameplates is not self._planned_for:  # a device that has told what it has is read in another way
            self._planned_for = nameplates
            self._planned = {planned.device: planned for driver in self._drivers for planned in driver.plan()}
        totals = self._traffic()
        since, before = self._samples[0] if self._samples else (mono, {})
        return tuple(
            DeviceLine(
                device=plate.device,
                connection=driver.name,
                planned=self._planned.get(plate.device),
                total=totals.get(plate.device),
                rates=rates(before.get(plate.device), totals.get(plate.device), mono - since),
            )
            for driver in self._drivers
            for plate in driver.nameplates
        )

    def _traffic(self) -> dict[str, Traffic]:
        return {traffic.device: traffic for driver in self._drivers for traffic in driver.traffic()}


def rates(before: Traffic | None, after: Traffic | None, over_s: float) -> Rates | None:
    """
    The means between two readings of the counters; None while less than one sample has passed.

    >>> rates(Traffic("inv1", requests=10, busy_s=1.0), Traffic("inv1", requests=30, busy_s=2.0), 10.0)
    Rates(over_s=10.0, requests_per_s=2.0, unanswered_per_s=0.0, load=0.1)
    """
    if before is None or after is None or over_s < SAMPLE_S:
        return None
    return Rates(
        over_s=over_s,
        requests_per_s=(after.requests - before.requests) / over_s,
        unanswered_per_s=(after.unanswered - before.unanswered) / over_s,
        load=(after.busy_s - before.busy_s) / over_s,
    )
