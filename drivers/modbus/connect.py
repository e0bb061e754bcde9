"""A link over whichever transport an endpoint names."""

from __future__ import annotations

from drivers.modbus import serial_line, tls
from drivers.modbus.config import Tls
from drivers.modbus.endpoint import Network, SerialLine
from drivers.modbus.framing import TcpFraming
from drivers.modbus.link import UNHURRIED, Link, Pace
from drivers.modbus.rtu import RtuFraming


async def connect(line: Network | SerialLine, pace: Pace = UNHURRIED, files: Tls | None = None) -> Link:
    """
    `files` are needed for the transport tls.

    Raises:
        ConnectionLost: The line cannot be had; the text says where and why.
    """
    if isinstance(line, SerialLine):
        return serial_line.connect(line, pace)
    return await Link.connect(
        line.host,
        line.port,
        peer=str(line),
        framing=RtuFraming(None) if line.rtu else TcpFraming(),
        pace=pace,
        context=None if files is None else tls.context(files, peer=str(line)),
    )
