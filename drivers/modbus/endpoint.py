"""Where a Modbus connection leads, and how it is spoken there: the `endpoint` of a device."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal, get_args
from urllib.parse import SplitResult, parse_qsl, urlsplit

from pydantic import AfterValidator

Transport = Literal["tcp", "rtu-over-tcp", "tls"]
Parity = Literal["N", "E", "O"]

_PORTS: dict[Transport, int] = {"tcp": 502, "rtu-over-tcp": 502, "tls": 802}
BAUDRATES = (1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200)
_FORMS = "tcp://host[:port], rtu:///dev/ttyUSB0?baudrate=9600&parity=N, rtu-over-tcp://host[:port] or tls://host[:port]"


@dataclass(frozen=True, slots=True)
class Network:
    """A device, or a serial server, behind an IP address or a host name."""

    transport: Transport
    host: str
    port: int

    @property
    def address(self) -> tuple[str, int]:
        """What only one connection may lead to."""
        return self.host, self.port

    @property
    def rtu(self) -> bool:
        """Whether frames are those of a serial line."""
        return self.transport == "rtu-over-tcp"

    def __str__(self) -> str:
        return f"{self.transport}://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class SerialLine:
    """
    A serial line with 8 data bits.

    `rs485`: the kernel switches the direction of the line, for adapters that do not by themselves. `echo`: what is sent
    is read back, as two-wire adapters without a receiver switch do.
    """

    path: str
    baudrate: int = 9600
    parity: Parity = "N"
    stopbits: Literal[1, 2] = 1
    rs485: bool = False
    echo: bool = False

    @property
    def address(self) -> tuple[str, str]:
        """What only one connection may lead to."""
        return "rtu", self.path

    @property
    def rtu(self) -> bool:
        return True

    def __str__(self) -> str:
        return f"rtu://{self.path}"


def parse_endpoint(text: str) -> tuple[str, int]:
    """
    Host and port of an endpoint on a network.

    >>> parse_endpoint("tcp://192.168.1.20")
    ('192.168.1.20', 502)
    """
    line = parse_line(text)
    if not isinstance(line, Network):
        raise ValueError(f"should be tcp://host[:port], found {text}")  # noqa: TRY004 -- the text is wrong, not its type
    return line.address


def parse_line(text: str) -> Network | SerialLine:
    """
    >>> parse_line("tls://meter.example")
    Network(transport='tls', host='meter.example', port=802)
    >>> parse_line("rtu:///dev/ttyUSB0?parity=E").parity
    'E'
    """
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
        (host or "").encode("idna")
    except ValueError:  # a port that is no number up to 65535, half an IPv6 address, a name that no host can have
        raise ValueError(f"should be {_FORMS}, found {text}") from None
    if parts.scheme == "rtu" and not parts.netloc:
        return _serial_line(text, parts)
    if not host or parts.scheme not in _PORTS or parts.username is not None:
        raise ValueError(f"should be {_FORMS}, found {text}")
    transport = parts.scheme
    if parts.path or parts.query or parts.fragment:
        raise ValueError(f"should be {transport}://host[:port] and no more, found {text}")
    if port == 0:
        raise ValueError(f"should have a port between 1 and 65535, found {text}")
    return Network(transport, host, port or _PORTS[transport])


def _serial_line(text: str, parts: SplitResult) -> SerialLine:
    path = parts.path
    if not path.startswith("/") or path.endswith("/") or parts.fragment:
        raise ValueError(f"should name a device file, like rtu:///dev/ttyUSB0, found {text}")
    given: dict[str, object] = {}
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name not in _OPTIONS:
            raise ValueError(f"has no option {name!r}; accepted are {', '.join(_OPTIONS)}")
        if name in given:
            raise ValueError(f"should have the option {name} once, found it twice")
        given[name] = _OPTIONS[name](name, value)
    return SerialLine(path, **given)  # type: ignore[arg-type]  # each option's reader gives the type of its field


def _one_of(*accepted: object) -> Callable[[str, str], object]:
    def read(name: str, value: str) -> object:
        for each in accepted:
            if value == str(each):
                return each
        choices = ", ".join(str(each) for each in accepted[:-1])
        raise ValueError(f"should have the option {name} as {choices} or {accepted[-1]}, found {value!r}")

    return read


def _flag(name: str, value: str) -> object:
    return _one_of("true", "false")(name, value) == "true"


_OPTIONS: dict[str, Callable[[str, str], object]] = {
    "baudrate": _one_of(*BAUDRATES),
    "parity": _one_of(*get_args(Parity)),
    "stopbits": _one_of(1, 2),
    "rs485": _flag,
    "echo": _flag,
}


def _checked_endpoint(text: str) -> str:
    parse_line(text)
    return text


Endpoint = Annotated[str, AfterValidator(_checked_endpoint)]
