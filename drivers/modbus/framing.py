"""What a link needs to know of the frames on it, and the frames of Modbus TCP. Pure."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import Protocol

from drivers.modbus.pdu import RefusalError, Request, WrongAnswerError, next_frame

Answer = bytes | RefusalError | WrongAnswerError | None
"""What a frame says to the request under way: its data, a refusal, nonsense; None when it answers nothing."""


_NUMBER = struct.Struct(">H").pack


class Framing(Protocol):
    """
    Turns requests into bytes and bytes into answers, one request after another.

    `numbered`: each answer names its request, so that a late one is told from the one that is waited for.
    """

    numbered: bool

    def frame(self, request: Request) -> bytes:
        """The bytes to send; from now on, what is received is an answer to this request or to none."""

    def whole(self, data: bytes) -> bytes | None:
        """
        The data of the right answer to the request under way, when the bytes are exactly that and no others are left.
        None says nothing of them: they are for `received`.
        """

    def received(self, data: bytes) -> Iterable[Answer]:
        """
        What the bytes, with those before them, say.

        Raises:
            FrameError: The stream is out of step; only a new connection mends it.
        """

    def air_time_s(self, request: Request) -> float:
        """How long request and answer are on the line, as far as this is known and matters."""

    def instead(self) -> str:
        """What came instead of an answer to the request under way, said after a time-out; empty if unremarkable."""


class TcpFraming:
    """Modbus TCP: an answer carries the transaction number of its request."""

    __slots__ = ("_buffer", "_head", "_request", "_size", "_transaction")
    numbered = True

    def __init__(self) -> None:
        self._transaction = 0
        self._request: Request | None = None
        self._head = b""
        self._size = 0
        self._buffer = b""

    def frame(self, request: Request) -> bytes:
        self._transaction = transaction = self._transaction % 0xFFFF + 1
        number = _NUMBER(transaction)
        self._request = request
        self._head = number + request.answered
        self._size = request.answer_size
        return number + request.asked

    def whole(self, data: bytes) -> bytes | None:
        """One comparison looks at number, protocol, length, unit, function and byte count, or the whole echo."""
        head = self._head
        if len(data) == self._size and data.startswith(head) and not self._buffer:
            self._request = None
            return data[len(head) :]
        return None

    def received(self, data: bytes) -> Iterator[Answer]:
        self._buffer += data
        while frame := next_frame(self._buffer, 0):
            self._buffer = self._buffer[frame.end :]
            if (request := self._request) is None or frame.transaction != self._transaction:
                yield None  # it timed out or was never ours: nobody's value
            else:
                self._request = None
                yield checked(request, frame.unit, frame.pdu)

    def air_time_s(self, request: Request) -> float:  # noqa: ARG002 -- a network adds nothing that counts
        return 0.0

    def instead(self) -> str:
        return ""


def checked(request: Request, unit: int, pdu: bytes) -> Answer:
    """What a whole frame says to a request."""
    try:
        return request.check(unit, pdu)
    except (RefusalError, WrongAnswerError) as error:
        return error
