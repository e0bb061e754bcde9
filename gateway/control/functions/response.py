"""How fast a function follows its own characteristic: a first-order lag with a given open-loop response time."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, isfinite, log

from gateway.control.functions.statement import Memory

RESPONSE_MAX_S = 90.0
"""The longest open-loop response time of IEEE 1547-2018 (volt-var, 1 to 90 s)."""

_PER_RESPONSE = log(10.0)


@dataclass(frozen=True, slots=True)
class Followed:
    """Where the output of a function stood at the last look, in its unit."""

    value: float


def lag(previous: float | None, goal: float, dt: float, response_s: float | None) -> float:
    """
    The output *dt* seconds after *previous*, on its way to *goal*; it never passes the goal.

    *response_s* is T90: 90 % of a step are done after it, so that the time constant is response_s / ln 10 (open-loop
    response time of IEEE 1547-2018). None and 0 are at once, and so is the first look, where *previous* is None.

    >>> round(lag(0.0, 1.0, dt=5.0, response_s=5.0), 6)
    0.9
    """
    if previous is None or not response_s:
        return goal
    return goal + (previous - goal) * exp(-dt * _PER_RESPONSE / response_s)


def follow(memory: Memory, goal: float, dt: float, response_s: float | None) -> Followed:
    """`lag` from where the memory of a function stands."""
    return Followed(lag(memory.value if isinstance(memory, Followed) else None, goal, dt, response_s))


def check_response(response_s: float | None) -> str | None:
    """What is wrong with an open-loop response time."""
    if response_s is None or (isfinite(response_s) and 0.0 <= response_s <= RESPONSE_MAX_S):
        return None
    return f"response_s: found {response_s:g} s, accepted is 0 to {RESPONSE_MAX_S:g} s"
