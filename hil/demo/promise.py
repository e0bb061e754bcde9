"""Was an order obeyed? What really flowed at the PCC, held against what the order asked for. Pure: samples come in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

EXCURSION_S = 2.0  # the settling time of the contract: outside the tolerance for longer is not obeying


@dataclass(slots=True)
class Promise:
    """
    One order as the grid sees it: `value` in W or var at the PCC, in force from `since_s` until `until_s`.

    A `limit` is met from below; a `setpoint` from both sides. Times are those of the DSO's book; None: not yet.
    """

    order_id: str
    title: str
    point: str
    form: Literal["limit", "setpoint"]
    value: float
    tolerance: float
    since_s: float | None = None
    until_s: float | None = None
    samples: int = 0
    worst_excess: float = 0.0
    longest_excursion_s: float = 0.0
    _outside_since_s: float | None = None

    def watch(self, truth: Mapping[str, float], at_s: float) -> None:
        """Take one sample of the truth; it counts while the order is in force."""
        if self.since_s is None or at_s < self.since_s or (self.until_s is not None and at_s > self.until_s):
            return
        difference = truth[self.point] - self.value
        excess = max(difference, 0.0) if self.form == "limit" else abs(difference)
        self.samples += 1
        self.worst_excess = max(self.worst_excess, excess)
        if excess <= self.tolerance:
            self._outside_since_s = None
            return
        if self._outside_since_s is None:
            self._outside_since_s = at_s
        self.longest_excursion_s = max(self.longest_excursion_s, at_s - self._outside_since_s)

    @property
    def obeyed(self) -> bool:
        """It was in force, was looked at, and never outside the tolerance for longer than the settling time."""
        return self.samples > 0 and self.longest_excursion_s <= EXCURSION_S
