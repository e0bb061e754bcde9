"""
A serial line as an asyncio transport, by the kernel's own calls.

The kernel is asked directly because that is less than what a library would hide: settings, a lock and three errors.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import grp
import os
import struct
import termios
from contextlib import suppress
from pathlib import Path

from drivers.base import ConnectionLost
from drivers.modbus.endpoint import SerialLine
from drivers.modbus.link import Link, Pace
from drivers.modbus.rtu import RtuFraming

_TIOCSRS485 = 0x542F  # linux/serial.h; the termios module does not name it
_RS485_ENABLED, _RS485_RTS_ON_SEND = 1, 2
_READ_SIZE = 4096  # the kernel's own buffer of a line
_BACKLOG_MAX = 4096
"""Bytes that wait to be sent; a request has 256 at most, and one is under way at once."""


def connect(line: SerialLine, pace: Pace) -> Link:
    """
    Must be called with a running event loop.

    Raises:
        ConnectionLost: The line cannot be opened; the text says why and what helps.
    """
    link = Link(str(line), RtuFraming(line), pace)
    SerialTransport(open_line(line), link)
    return link


def open_line(line: SerialLine) -> int:
    """
    The file descriptor of the line: ours alone, raw, with its settings, and nothing in it of what was before.

    Raises:
        ConnectionLost: As for connect.
    """
    try:
        fd = os.open(line.path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise ConnectionLost(f"{line}: {_why_not_opened(line.path, error)}") from error
    try:
        _claim(fd)
        _configure(fd, line)
    except (OSError, termios.error) as error:
        os.close(fd)
        raise ConnectionLost(f"{line}: {_why_not_used(error)}") from error
    except _UnsuitableError as error:
        os.close(fd)
        raise ConnectionLost(f"{line}: {error}") from error
    return fd


class SerialTransport(asyncio.Transport):
    """Reads and writes an open line; the descriptor is closed with it."""

    def __init__(self, fd: int, protocol: asyncio.Protocol) -> None:
        super().__init__({"serial": self})
        self._fd = fd
        self._protocol = protocol
        self._loop = asyncio.get_running_loop()
        self._backlog = bytearray()
        self._closing = False
        protocol.connection_made(self)
        self._loop.add_reader(fd, self._read)

    def fileno(self) -> int:
        return self._fd

    def is_closing(self) -> bool:
        return self._closing

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._closing:
            return
        if len(self._backlog) + len(data) > _BACKLOG_MAX:
            self._lose(OSError("does not take what is sent"))
            return
        self._backlog += data
        self._write()

    def close(self) -> None:
        self._lose(None)

    def abort(self) -> None:
        self._lose(None)

    def _read(self) -> None:
        try:
            data = os.read(self._fd, _READ_SIZE)
        except BlockingIOError:
            return
        except OSError as error:
            self._lose(_gone(error))
            return
        if data:
            self._protocol.data_received(data)
        else:
            self._lose(_gone(OSError(errno.EIO, "hung up")))

    def _write(self) -> None:
        try:
            sent = os.write(self._fd, self._backlog)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self._lose(_gone(error))
            return
        del self._backlog[:sent]
        if self._backlog:
            self._loop.add_writer(self._fd, self._write)
        else:
            self._loop.remove_writer(self._fd)

    def _lose(self, error: OSError | None) -> None:
        if self._closing:
            return
        self._closing = True
        self._loop.remove_reader(self._fd)
        self._loop.remove_writer(self._fd)
        self._loop.call_soon(self._finish, error)

    def _finish(self, error: OSError | None) -> None:
        with suppress(OSError, termios.error):  # gone with its adapter
            termios.tcflush(self._fd, termios.TCIOFLUSH)  # or closing waits until all of it is sent
            fcntl.ioctl(self._fd, termios.TIOCNXCL)
        os.close(self._fd)
        self._protocol.connection_lost(error)


class _UnsuitableError(Exception):
    """The line does not do what its endpoint says."""


def _claim(fd: int) -> None:
    """Two masters on one line disturb each other; a lock tells other programs, and ourselves, that it is taken."""
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    fcntl.ioctl(fd, termios.TIOCEXCL)


def _configure(fd: int, line: SerialLine) -> None:
    speed = getattr(termios, f"B{line.baudrate}")
    controls = termios.CS8 | termios.CREAD | termios.CLOCAL
    if line.parity != "N":
        controls |= termios.PARENB | (termios.PARODD if line.parity == "O" else 0)
    if line.stopbits == 2:
        controls |= termios.CSTOPB
    characters = termios.tcgetattr(fd)[6]
    characters[termios.VMIN], characters[termios.VTIME] = 1, 0  # reading nothing is then a hang-up, and nothing else
    # A byte with wrong parity arrives as 0 and fails the checksum; a break is no byte.
    inputs = termios.IGNBRK | (termios.INPCK if line.parity != "N" else 0)
    termios.tcsetattr(fd, termios.TCSANOW, [inputs, 0, controls, 0, speed, speed, characters])
    if termios.tcgetattr(fd)[4] != speed:
        raise _UnsuitableError(f"does not do {line.baudrate} Bd")
    if line.rs485:
        settings = struct.pack("8I", _RS485_ENABLED | _RS485_RTS_ON_SEND, *(0,) * 7)  # struct serial_rs485
        try:
            fcntl.ioctl(fd, _TIOCSRS485, settings)
        except OSError as error:
            raise _UnsuitableError(
                f"its kernel driver has no RS-485 direction control ({error.strerror}); "
                "leave out rs485=true when the adapter switches by itself"
            ) from error
    termios.tcflush(fd, termios.TCIOFLUSH)


def _gone(error: OSError) -> OSError:
    return OSError(f"the serial adapter is gone ({error.strerror})")


def _why_not_opened(path: str, error: OSError) -> str:
    match error.errno:
        case errno.ENOENT | errno.ENODEV | errno.ENXIO:
            return "no such device; is the adapter plugged in? Its lasting name stands in /dev/serial/by-id"
        case errno.EACCES | errno.EPERM:
            return f"no permission; the user of dergate should be in the group {_group(path)}"
        case errno.EBUSY:
            return "is in use by another program"
        case _:
            return error.strerror or str(error)


def _why_not_used(error: OSError | termios.error) -> str:
    code = error.args[0]
    if code in (errno.EWOULDBLOCK, errno.EBUSY):
        return "is in use by another program"
    if code == errno.ENOTTY:
        return "is not a serial line"
    return str(error.args[1])


def _group(path: str) -> str:
    try:
        return grp.getgrgid(Path(path).stat().st_gid).gr_name
    except (OSError, KeyError):
        return "dialout"
