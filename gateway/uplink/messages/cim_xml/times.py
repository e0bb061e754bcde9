"""Times and durations as the documents write them: UTC, with `Z`; ISO 8601 durations of a fixed length."""

from __future__ import annotations

import re
from datetime import datetime

from gateway.uplink.messages.times import rfc3339

_UNITS_S = (86_400, 3_600, 60, 1)
_DURATION = re.compile(r"P(?:([0-9]+)D)?(?:T(?:([0-9]+)H)?(?:([0-9]+)M)?(?:([0-9]+)S)?)?", re.ASCII)


def seconds(text: str) -> float:
    """
    Seconds since 1970 of a time in minutes or in seconds.

    Raises:
        ValueError: There is no such time.

    >>> seconds("2026-10-25T08:00Z")
    1792915200.0
    """
    return datetime.fromisoformat(text).timestamp()


def minute(epoch_s: float) -> str:
    """
    The text of a whole minute.

    Raises:
        ValueError: The time is not one.

    >>> minute(1792915200.0)
    '2026-10-25T08:00Z'
    """
    text = rfc3339(epoch_s)
    if epoch_s % 60:
        raise ValueError(f"{text} is not a whole minute; intervals are written in minutes")
    return f"{text[:16]}Z"


def second(epoch_s: float) -> str:
    """
    The text of the second in which a time lies.

    >>> second(1792915200.9)
    '2026-10-25T08:00:00Z'
    """
    return f"{rfc3339(epoch_s // 1)[:19]}Z"


def resolution_s(text: str) -> int:
    """
    Seconds of a duration; years and months have no fixed length.

    Raises:
        ValueError: It is no such duration, or has no length.

    >>> resolution_s("PT15M"), resolution_s("P1D"), resolution_s("PT1H30M")
    (900, 86400, 5400)
    """
    match = _DURATION.fullmatch(text)
    total = sum(int(number or 0) * unit for number, unit in zip(match.groups(), _UNITS_S, strict=True)) if match else 0
    if not total or text.endswith("T"):
        raise ValueError(f"{text} is no duration of a fixed length")
    return total


def duration(length_s: float) -> str:
    """
    The text of a duration, in minutes where it has whole ones.

    Raises:
        ValueError: It has no whole seconds.

    >>> duration(900), duration(3600), duration(4)
    ('PT15M', 'PT60M', 'PT4S')
    """
    if length_s <= 0 or length_s % 1:
        raise ValueError(f"{length_s} s is no step of a document; accepted are whole seconds")
    minutes, rest = divmod(int(length_s), 60)
    return f"PT{int(length_s)}S" if rest else f"PT{minutes}M"
