"""The only reader of time, and of what the kernel knows of its worth."""

from __future__ import annotations

import ctypes
import time

from gateway.model import Instant

LOOK_S = 1.0
"""How often the kernel is asked: it notices a lost source after minutes."""

_TIMEX_BYTES = 208
_STATUS_AT = 40
_UNSYNCHRONISED = 0x40
"""`struct timex` and STA_UNSYNC of <sys/timex.h>, the same on x86-64 and aarch64."""


def now() -> Instant:
    """This moment on the wall clock (UTC, may step) and on the monotonic clock (never does)."""
    return Instant(wall=time.time(), mono=time.monotonic())


def synchronised() -> bool | None:
    """Whether a time service disciplines the kernel's clock (adjtimex); None: the kernel does not say."""
    timex = ctypes.create_string_buffer(_TIMEX_BYTES)  # all zero: modes 0 asks, and changes nothing
    if _libc.adjtimex(timex) < 0:
        return None
    return not int.from_bytes(timex.raw[_STATUS_AT : _STATUS_AT + 4], "little") & _UNSYNCHRONISED


class Synchronisation:
    """For how long the clock has not been synchronised."""

    def __init__(self, started: Instant) -> None:
        self._good = started.mono
        self._looked = float("-inf")
        self._known: bool | None = None

    def unsynchronised_s(self, now: Instant) -> float:
        """Seconds, 0 while it is synchronised; a kernel that does not say is taken at its word that it is."""
        if now.mono - self._looked >= LOOK_S:
            self._looked, self._known = now.mono, synchronised()
        if self._known is not False:
            self._good = now.mono
        return now.mono - self._good


_libc = ctypes.CDLL(None)
