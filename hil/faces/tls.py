"""Modbus/TCP Security (V36): the Modbus TCP face behind TLS, which asks its clients for a certificate."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from pathlib import Path

from hil.faces.modbus import ModbusFace, Registers


def server_context(certificate: Path, key: Path, ca: Path) -> ssl.SSLContext:
    """Of a server that takes clients with a certificate by an authority in `ca` only; all are PEM files."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.load_verify_locations(ca)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


class ModbusTlsFace(ModbusFace):
    """A connection whose handshake fails is closed; asyncio sends no alert that would say why."""

    def __init__(
        self, units: Mapping[int, Registers], context: ssl.SSLContext, *, host: str = "127.0.0.1", port: int = 0
    ) -> None:
        super().__init__(units, host=host, port=port)
        self._context = context

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await writer.start_tls(self._context)
        await super()._serve(reader, writer)
