"""Log records to stderr: one line each, UTC with milliseconds, so that the journal of the host can be read by line."""

from __future__ import annotations

import logging
import re
import sys
import time

LEVELS = ("debug", "info", "warning", "error")

_USER_INFO = re.compile(r"(\w://)[^/@\s]*@")


class OneLine(logging.Formatter):
    """`2026-11-22T10:00:00.000Z WARNING gateway.uplink.mqtt: …`; a traceback follows on the same line."""

    converter = staticmethod(time.gmtime)
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        text = _USER_INFO.sub(r"\1***@", super().format(record))  # a URL may carry a password
        return text.replace("\r", "\\r").replace("\n", "\\n")


def setup(level: str = "info") -> None:
    """Send all records from *level* on to stderr; what was set up before is replaced."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneLine())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
