"""What the last tick left behind, and what no later one repeats: the set-point of each point, the last events."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from gateway.control.cycle import Event, Outcome
from gateway.control.mirror import Mirror
from gateway.control.register import Orders
from gateway.control.steering import Decision
from gateway.local.look import ControlLook
from gateway.model import SetPoint

EVENTS_MAX = 50
"""What a person reads to know what happened lately; the whole history is in the store."""


class Recent:
    """Bounded by the points of the site, and by EVENTS_MAX."""

    def __init__(self) -> None:
        self._serial = 0
        self._mirror = Mirror()
        self._decision = Decision({}, {})
        self._setpoints: dict[str, SetPoint] = {}
        self._events: deque[tuple[float, Event]] = deque(maxlen=EVENTS_MAX)

    def take(self, wall: float, outcome: Outcome) -> None:
        """What came of a tick at `wall`, UTC seconds."""
        self._serial, self._mirror, self._decision = outcome.serial, outcome.mirror, outcome.decision
        self._events.extend((wall, event) for event in outcome.events)
        for setpoint in outcome.setpoints:
            self._setpoints[setpoint.point] = setpoint

    def look(self, orders: Orders, held: Iterable[str]) -> ControlLook:
        """With the orders as they are remembered, and the points that are taken over."""
        return ControlLook(
            serial=self._serial,
            mirror=self._mirror,
            orders=orders,
            held=tuple(sorted(held)),
            decision=self._decision,
            setpoints=dict(self._setpoints),
            events=tuple(self._events),
        )
