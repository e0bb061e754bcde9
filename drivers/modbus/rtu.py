"""
Frames of a serial line (Modbus over Serial Line V1.02), and how long they take. Pure.

An answer carries no number: it is taken for the answer to a request when it comes in its time and unit, function, byte
count and checksum fit. What comes at any other time is nobody's value; `drivers.modbus.link` keeps the line quiet after
every doubt, so that nothing late can fit.
"""

from __future__ import annotations

from collections.abc import Iterator

from drivers.modbus.endpoint import SerialLine
from drivers.modbus.framing import Answer, checked
from drivers.modbus.pdu import Request, WrongAnswerError

CHARACTER_BITS = 11
"""2.5.1: start bit, eight data bits, parity or a second stop bit, stop bit."""
SILENCE_CHARACTERS = 3.5
SILENCE_MIN_S = 0.00175
"""2.5.1.1: above 19200 Bd the silence between two frames no longer shrinks."""
_OVERHEAD = 3  # unit and checksum
_EXCEPTION_SIZE = 5
_NO_FRAME = "bytes come that make no frame: is it the baud rate, the parity or another protocol?"


def _table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = value >> 1 ^ (0xA001 if value & 1 else 0)
        table.append(value)
    return tuple(table)


_TABLE = _table()


def crc16(data: bytes) -> bytes:
    """
    The checksum as it stands on the wire, low byte first.

    >>> crc16(bytes.fromhex("01 03 00 00 00 0A")).hex(" ")
    'c5 cd'
    """
    crc = 0xFFFF
    for byte in data:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc.to_bytes(2, "little")


def frame(unit: int, pdu: bytes) -> bytes:
    body = bytes((unit,)) + pdu
    return body + crc16(body)


def answer_size(request: Request) -> int:
    """Bytes of the only right answer."""
    return request.length + _OVERHEAD


def parse(received: bytes, request: Request) -> Answer:
    """
    What the bytes since a request say to it; None while bytes are missing.

    Bytes after a whole answer are not looked at: nobody asked for them.
    """
    unit, function = request.unit, request.pdu[0]
    if received[:1] != bytes((unit,))[: len(received)]:
        return WrongAnswerError(f"asked unit {unit}, the answer begins {_begin(received)}")
    pdu = received[1:]
    refused = pdu[:1] == bytes((function | 0x80,))
    if not refused and pdu[: len(request.head)] != request.head[: len(pdu)]:
        if _repeats(received, request):
            return WrongAnswerError("the request itself came back: the adapter echoes, which echo=true accounts for")
        return WrongAnswerError(
            f"function {function} was asked: expected an answer beginning {request.head.hex(' ')}, "
            f"found {pdu[: len(request.head)].hex(' ')}"
        )
    size = _EXCEPTION_SIZE if refused else answer_size(request)
    if len(received) < size:
        return None
    if crc16(received[: size - 2]) != received[size - 2 : size]:
        return WrongAnswerError(f"the checksum of the answer is wrong ({_begin(received)}): noise, or wrong settings")
    return checked(request, unit, received[1 : size - 2])


class RtuFraming:
    """
    The frames of one connection; `line` is None behind a serial server, whose settings are not known here.

    Until one answer was understood, what is none is taken for a sign of wrong settings, and after it for noise.
    """

    numbered = False

    def __init__(self, line: SerialLine | None) -> None:
        self._line = line
        self._request: Request | None = None
        self._buffer = b""
        self._echo = b""
        self._understood = False

    def frame(self, request: Request) -> bytes:
        sent = frame(request.unit, request.pdu)
        self._request = request
        self._buffer = b""
        self._echo = sent if self._line is not None and self._line.echo else b""
        return sent

    def whole(self, data: bytes) -> bytes | None:  # noqa: ARG002 -- a line's answers come in pieces, with a checksum
        return None

    def received(self, data: bytes) -> Iterator[Answer]:
        if (request := self._request) is None:
            yield None
            return
        self._buffer += data
        answer: Answer = self._without_echo()
        if answer is None and self._buffer and not self._echo:
            answer = parse(self._buffer, request)
        if answer is None:
            return
        self._request = None
        if not isinstance(answer, WrongAnswerError):
            self._understood = True
        elif not (self._understood or _repeats(self._buffer, request)):
            answer = WrongAnswerError(f"{answer}; {_NO_FRAME}")
        yield answer
        if isinstance(answer, bytes) and len(self._buffer) > answer_size(request):
            yield None

    def air_time_s(self, request: Request) -> float:
        if self._line is None:
            return 0.0
        return line_time_s(len(request.pdu) + _OVERHEAD, answer_size(request), self._line)

    def instead(self) -> str:
        if not self._buffer:
            line = self._line
            if self._understood or line is None:
                return ""
            return f", nor anything before at {line.baudrate} Bd, parity {line.parity}: settings, wiring or unit id?"
        found = f", only {len(self._buffer)} bytes ({_begin(self._buffer)})"
        return found if self._understood else f"{found}; {_NO_FRAME}"

    def _without_echo(self) -> WrongAnswerError | None:
        """Take off what we sent ourselves."""
        heard = self._buffer[: len(self._echo)]
        if heard != self._echo[: len(heard)]:
            return WrongAnswerError(
                f"the echo is not what was sent ({_begin(heard)}): another master, noise, or an adapter without echo"
            )
        self._buffer, self._echo = self._buffer[len(heard) :], self._echo[len(heard) :]
        return None


def silence_s(line: SerialLine) -> float:
    """What must lie between two frames."""
    if line.baudrate > 19200:
        return SILENCE_MIN_S
    return SILENCE_CHARACTERS * CHARACTER_BITS / line.baudrate


def line_time_s(request_bytes: int, answer_bytes: int, line: SerialLine) -> float:
    """
    How long a request of `request_bytes` and its answer of `answer_bytes`, unit and checksum included, use the line:
    the bytes of both and the silence after each. What the device needs to think is not in it.
    """
    return (request_bytes + answer_bytes) * CHARACTER_BITS / line.baudrate + 2 * silence_s(line)


def _repeats(received: bytes, request: Request) -> bool:
    """Whether the bytes are what was sent, as far as they go."""
    sent = frame(request.unit, request.pdu)
    return received[: len(sent)] == sent[: len(received)]


def _begin(data: bytes) -> str:
    return data[:8].hex(" ")
