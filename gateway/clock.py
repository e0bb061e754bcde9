"""The only reader of time."""

from __future__ import annotations

import time

from gateway.model import Instant


def now() -> Instant:
    """This moment on the wall clock (UTC, may step) and on the monotonic clock (never does)."""
    return Instant(wall=time.time(), mono=time.monotonic())
