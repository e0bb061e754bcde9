"""RFC 3339 in UTC with milliseconds and `Z`, and back."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache

LAST_MOMENT = 253_402_300_799.0
"""The last second of the year 9999: what is later cannot be written in RFC 3339."""


@lru_cache(maxsize=64)  # the frames of one message lie within few seconds
def _second(epoch_s: int) -> str:
    return datetime.fromtimestamp(epoch_s, UTC).isoformat()[:19]


def rfc3339(epoch_s: float) -> str:
    """
    The text of a moment, to the nearest millisecond.

    Raises:
        ValueError: The moment is not a finite number, or outside the years 1 to 9999.

    >>> rfc3339(1795341600.5)
    '2026-11-22T10:00:00.500Z'
    """
    try:
        seconds, milliseconds = divmod(round(epoch_s * 1000), 1000)
        return f"{_second(seconds)}.{milliseconds:03d}Z"
    except (ValueError, OverflowError, OSError) as error:
        raise ValueError(f"{epoch_s} s is not a moment of the years 1 to 9999") from error


def epoch(text: str) -> float:
    """
    Seconds since 1970 of an RFC 3339 text with `Z` or an offset.

    Raises:
        ValueError: The text is no such time, or has no offset.

    >>> epoch("2026-11-22T11:00:00.500+01:00")
    1795341600.5
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text} has no offset from UTC; accepted is Z or an offset such as +01:00")
    return moment.timestamp()
