"""What the requests of one unit have come to."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from drivers.base import Traffic


@dataclass(slots=True)
class Count:
    """
    Of one unit, kept by its driver over all connections; the fields are those of drivers.base.Traffic.

    `unanswered` holds all that ended without a usable answer of the unit: `requests` less `unanswered` and `refused`
    brought data.
    """

    requests: int = 0
    unanswered: int = 0
    refused: int = 0
    skipped: int = 0
    writes: int = 0
    busy_s: float = 0.0

    def of(self, device: str) -> Traffic:
        return Traffic(device, **asdict(self))
