"""What the kernel says of our own process; nothing but /proc/self is read, which the hardened service may."""

from __future__ import annotations

import os
import resource
from dataclasses import dataclass
from pathlib import Path

_SELF = Path("/proc/self")
_PAGE_BYTES = resource.getpagesize()


@dataclass(frozen=True, slots=True)
class Process:
    resident_bytes: int
    cpu_s: float
    open_files: int


def read() -> Process:
    """As of now. Linux alone has this."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return Process(
        resident_bytes=int((_SELF / "statm").read_text().split()[1]) * _PAGE_BYTES,
        cpu_s=used.ru_utime + used.ru_stime,
        open_files=len(os.listdir(_SELF / "fd")),  # noqa: PTH208 - counts, and makes no path of each
    )
