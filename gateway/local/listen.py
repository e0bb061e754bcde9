"""Takes the address of the local API; apart from the server, so that a site without it loads no more than this."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

BACKLOG = 32
"""Connections that wait to be taken, of as many as are served at a time."""


class CannotListen(Exception):
    """The address of `local.http` cannot be listened at, and why."""


def listen(address: str) -> socket.socket:
    """
    A socket that takes connections at `host:port`.

    Raises:
        CannotListen: It is in use, or none of this host's.
    """
    place = urlsplit(f"//{address}")
    host, port = place.hostname or "", place.port or 0
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        reason = (error.strerror or str(error)).partition(" (")[0].lower()  # Python adds the address once more
        raise CannotListen(
            f"local.http: cannot listen at {address}: {reason}; end what listens there, or name another port"
        ) from error
