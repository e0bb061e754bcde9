"""Modbus/TCP Security (V36): TLS with certificates on both sides, and what its failures mean in words."""

from __future__ import annotations

import os
import re
import socket
import ssl

from drivers.base import ConnectionLost
from drivers.modbus.config import Tls

HANDSHAKE_S = 5.0
"""Beside the time to connect: a small device computes its part of a handshake for some seconds."""


def context(files: Tls, *, peer: str) -> ssl.SSLContext:
    """
    Read anew for each connection, so that renewed certificates are used without a restart.

    The device must show a certificate for the host or IP address of its endpoint, by an authority in `ca`.

    Raises:
        ConnectionLost: A file cannot be used; the text says which and why.
    """
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # checks the certificate and the name in it
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        made.load_verify_locations(files.ca)
    except OSError as error:
        raise ConnectionLost(f"{peer}: tls.ca {files.ca} cannot be used: {reason(error)}") from error
    try:
        made.load_cert_chain(files.certificate, files.key)
    except OSError as error:
        raise ConnectionLost(
            f"{peer}: tls.certificate {files.certificate} with tls.key {files.key} cannot be used: {reason(error)}"
        ) from error
    return made


def reason(error: Exception) -> str:
    """
    Why a connection failed or a file cannot be used, in words; whoever calls says whose.

    asyncio says of a refused connection that a call failed, and has no words for a peer that closes in the middle of a
    handshake; of a name with several addresses it lists what became of each, which is said once here.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the device's certificate is not accepted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        what = (error.reason or str(error)).replace("_", " ").lower()
        return f"the device refused our certificate or our TLS: {what}" if "alert" in what else f"TLS: {what}"
    if isinstance(error, socket.gaierror):
        return f"name not known: {(error.strerror or str(error)).lower()}"
    if isinstance(error, OSError):
        numbers = [error.errno] if error.errno else map(int, re.findall(r"\[Errno (\d+)\]", str(error)))
        if words := dict.fromkeys(os.strerror(number).lower() for number in numbers):
            return ", ".join(words)
    return str(error) or "closed by the device"
