"""Where a Modbus connection leads: the `endpoint` of a device."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator

DEFAULT_PORT = 502


def parse_endpoint(text: str) -> tuple[str, int]:
    """
    Host and port of `tcp://host[:port]`.

    >>> parse_endpoint("tcp://192.168.1.20")
    ('192.168.1.20', 502)
    """
    scheme, separator, _ = text.partition("://")
    if separator and scheme in ("rtu", "rtu-over-tcp", "tls"):
        raise ValueError(f"should be tcp://host:port, found {text}; {scheme} is not supported")
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or parts.scheme != "tcp" or parts.path or parts.query or parts.fragment or parts.username is not None:
        raise ValueError(f"should be tcp://host:port, found {text}")
    if port == 0:
        raise ValueError(f"should have a port between 1 and 65535, found {text}")
    return host, port or DEFAULT_PORT


def _checked_endpoint(text: str) -> str:
    parse_endpoint(text)
    return text


Endpoint = Annotated[str, AfterValidator(_checked_endpoint)]
