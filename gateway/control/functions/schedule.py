"""A schedule: one value a step from its start. Steps are equally long in UTC: no change of local time moves one."""

from __future__ import annotations

from gateway.model import Schedule


def value_at(schedule: Schedule, start: float, wall: float) -> float | None:
    """
    The value of the step that holds at *wall*, in the order's unit; None before the first and after the last.

    Args:
        start, wall: UTC seconds.

    >>> value_at(Schedule(900.0, (10.0, 20.0)), start=0.0, wall=900.0)
    20.0
    """
    step = int((wall - start) // schedule.resolution_s)
    return schedule.values[step] if 0 <= step < len(schedule.values) else None
