"""Tells systemd that we are ready and alive; without systemd it does nothing."""

from __future__ import annotations

import os
import socket


class Watchdog:
    """Speaks the sd_notify protocol over the socket that systemd names in the environment."""

    def __init__(self) -> None:
        self._address = os.environ.get("NOTIFY_SOCKET", "").replace("@", "\0", 1)

    def ready(self) -> None:
        self._notify("READY=1")

    def alive(self) -> None:
        """To be called only after a completed tick: a loop that turns without deciding anything is not alive."""
        self._notify("WATCHDOG=1")

    def stopping(self) -> None:
        self._notify("STOPPING=1")

    def _notify(self, state: str) -> None:
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
            sock.sendto(state.encode(), self._address)
