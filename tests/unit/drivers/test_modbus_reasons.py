"""What ended a connection reads as a person says it."""

from __future__ import annotations

import errno
import socket

import pytest

from drivers.modbus.tls import reason


@pytest.mark.parametrize(
    ("error", "words"),
    [
        pytest.param(
            ConnectionRefusedError(errno.ECONNREFUSED, "Connect call failed ('127.0.0.1', 502)"),
            "connection refused",
            id="refused-by-asyncio",
        ),
        pytest.param(
            ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"), "connection refused", id="by-uvloop"
        ),
        pytest.param(
            OSError(errno.EHOSTUNREACH, "Connect call failed ('10.0.0.1', 502)"), "no route to host", id="no-route"
        ),
        pytest.param(OSError(errno.ENETUNREACH, "Network is unreachable"), "network is unreachable", id="no-network"),
        pytest.param(
            OSError(
                "Multiple exceptions: [Errno 111] Connect call failed ('::1', 502, 0, 0), "
                "[Errno 111] Connect call failed ('127.0.0.1', 502)"
            ),
            "connection refused",
            id="two-addresses-with-one-fate",
        ),
        pytest.param(
            OSError(
                "Multiple exceptions: [Errno 113] Connect call failed ('fe80::1', 502, 0, 0), "
                "[Errno 111] Connect call failed ('10.0.0.1', 502)"
            ),
            "no route to host, connection refused",
            id="two-addresses-with-two",
        ),
        pytest.param(
            socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"),
            "name not known: temporary failure in name resolution",
            id="no-name-server",
        ),
        pytest.param(
            socket.gaierror(socket.EAI_NONAME, "Name or service not known"),
            "name not known: name or service not known",
            id="no-such-name",
        ),
        pytest.param(OSError("getaddrinfo() returned empty list"), "getaddrinfo() returned empty list", id="other"),
        pytest.param(
            ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"), "connection reset by peer", id="reset"
        ),
        pytest.param(BrokenPipeError(errno.EPIPE, "Broken pipe"), "broken pipe", id="broken-pipe"),
        pytest.param(ConnectionResetError(), "closed by the device", id="within-a-handshake"),
        pytest.param(ConnectionAbortedError("SSL handshake took too long"), "SSL handshake took too long", id="slow"),
        pytest.param(
            FileNotFoundError(errno.ENOENT, "No such file or directory", "ca.pem"),
            "no such file or directory",
            id="file",
        ),
    ],
)
def test_a_reason_is_said_in_words(error: Exception, words: str) -> None:
    assert reason(error) == words
