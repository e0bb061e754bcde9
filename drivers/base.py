"""The contract every driver keeps. One driver is one connection; several devices may stand behind it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from gateway.model import Instant, Measurement, Nameplate, SetPoint, Setting

Emission = Measurement | Nameplate
Emit = Callable[[Iterable[Emission]], None]
"""Takes what a device said; never blocks, never raises."""
Now = Callable[[], Instant]
"""Gives this moment on both clocks; handed in, as drivers read no clock."""


class ConnectionLost(Exception):
    """The peer is gone, silent, or talks nonsense; the supervisor runs the driver again after a pause."""


class WriteRefused(Exception):
    """The device answered, and what was asked does not stand in it. The text says what it said."""


@dataclass(frozen=True, slots=True)
class PlannedDevice:
    """What reading one device costs, from configuration alone: `load` is its share of the line, 1 is all of it."""

    device: str
    requests_per_s: float
    load: float
    worst_age_s: float
    requests: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Traffic:
    """
    What reading and writing one device has cost since its driver was made; beside its plan it shows what fell behind.

    `unanswered` are time-outs, `refused` answers that say no, `skipped` turns of the schedule that came too late.
    `busy_s` is how long its requests took the line.
    """

    device: str
    requests: int = 0
    unanswered: int = 0
    refused: int = 0
    skipped: int = 0
    writes: int = 0
    busy_s: float = 0.0


class Driver(Protocol):
    """
    Speaks one protocol over one connection.

    `nameplates` holds each device behind it as far as configuration tells; what the device tells itself is emitted.

    A point that was emitted as writable can be written from then on. A driver is run again after every loss; nothing of
    an earlier run is left behind (no task, thread or socket).
    """

    name: str
    nameplates: tuple[Nameplate, ...]

    def plan(self) -> tuple[PlannedDevice, ...]:
        """What `dergate check` prints; needs no connection."""

    def traffic(self) -> tuple[Traffic, ...]:
        """What the plan has come to so far, one a device."""

    async def run(self, emit: Emit) -> None:
        """
        Connect, then emit a nameplate for each device and its values, until cancelled.

        Raises:
            ConnectionLost: The connection could not be opened or did not last.
        """

    async def write(self, setpoint: SetPoint) -> Setting | None:
        """
        Write once, now, before any read that waits, and read back; never queue, never repeat.

        Returns:
            What the device then holds, in the point's unit; None when no set-point is in force in it.

        Raises:
            ConnectionLost: Not connected, or lost before the answer: what stands in the device is not known.
            WriteRefused: The device refused, or holds another value afterwards.
        """
