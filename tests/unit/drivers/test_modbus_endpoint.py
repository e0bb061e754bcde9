"""What an endpoint may say, and what each mistake is answered with."""

from __future__ import annotations

from typing import Any

import pytest

from drivers.modbus.config import ModbusDevice
from drivers.modbus.driver import build
from drivers.modbus.endpoint import Network, SerialLine, parse_line


@pytest.mark.parametrize(
    ("text", "line"),
    [
        pytest.param("tcp://10.0.0.1", Network("tcp", "10.0.0.1", 502), id="tcp"),
        pytest.param("tcp://[fe80::1]:1502", Network("tcp", "fe80::1", 1502), id="ipv6"),
        pytest.param("rtu-over-tcp://moxa:4001", Network("rtu-over-tcp", "moxa", 4001), id="serial-server"),
        pytest.param("tls://meter.example", Network("tls", "meter.example", 802), id="tls"),
        pytest.param("rtu:///dev/ttyUSB0", SerialLine("/dev/ttyUSB0", 9600, "N", 1, False, False), id="defaults"),
        pytest.param(
            "rtu:///dev/serial/by-id/usb-1?baudrate=19200&parity=E&stopbits=2&rs485=true&echo=true",
            SerialLine("/dev/serial/by-id/usb-1", 19200, "E", 2, True, True),
            id="all-options",
        ),
        pytest.param("rtu:///dev/ttyS0?rs485=false", SerialLine("/dev/ttyS0"), id="false-is-the-default"),
    ],
)
def test_an_endpoint_names_its_line(text: str, line: Network | SerialLine) -> None:
    assert parse_line(text) == line


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        pytest.param("10.0.0.1:502", r"should be tcp://host\[:port\], .*found 10\.0\.0\.1:502", id="no-scheme"),
        pytest.param("http://h", "found http://h", id="another-scheme"),
        pytest.param("tcp://", "found tcp://", id="no-host"),
        pytest.param("tcp://h:x", "found tcp://h:x", id="no-port-number"),
        pytest.param("tcp://h:65536", "found tcp://h:65536", id="port-65536"),
        pytest.param("tcp://h:0", "between 1 and 65535", id="port-0"),
        pytest.param("tcp://h:1/x", r"should be tcp://host\[:port\] and no more", id="path"),
        pytest.param("tls://h?baudrate=9600", r"tls://host\[:port\] and no more", id="serial-option-of-a-network"),
        pytest.param(f"tcp://{'a' * 64}.example", "found tcp://aaaa", id="a-name-that-no-host-can-have"),
        pytest.param("tcp://a..b", r"found tcp://a\.\.b", id="an-empty-part-of-a-name"),
        pytest.param("tcp://me@h", "found tcp://me@h", id="user"),
        pytest.param("rtu://dev/ttyUSB0", "found rtu://dev/ttyUSB0", id="two-slashes"),
        pytest.param("rtu:///", "like rtu:///dev/ttyUSB0", id="no-device-file"),
        pytest.param("rtu:///dev/ttyS0?baud=9600", "no option 'baud'; accepted are baudrate, parity", id="unknown"),
        pytest.param(
            "rtu:///dev/ttyS0?baudrate=9601", "1200, .*57600 or 115200, found '9601'", id="a-rate-nobody-speaks"
        ),
        pytest.param("rtu:///dev/ttyS0?parity=even", "N, E or O, found 'even'", id="parity"),
        pytest.param("rtu:///dev/ttyS0?stopbits=1.5", "1 or 2, found '1.5'", id="stopbits"),
        pytest.param("rtu:///dev/ttyS0?echo=", "true or false, found ''", id="no-value"),
        pytest.param("rtu:///dev/ttyS0?echo=true&echo=true", "echo once, found it twice", id="twice"),
    ],
)
def test_mistakes_say_what_was_found_and_what_is_accepted(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        parse_line(text)


@pytest.mark.parametrize("text", ["tcp://h:502", "rtu-over-tcp://h:502", "tls://[::1]:802", "rtu:///dev/ttyS0"])
def test_a_line_is_named_as_its_endpoint(text: str) -> None:
    assert str(parse_line(text)) == text


def device(name: str, endpoint: str, **changes: Any) -> ModbusDevice:
    point = {"name": "p", "register": "holding:0", "type": "uint16"}
    given = {"id": name, "driver": "modbus", "role": "meter", "endpoint": endpoint, "points": [point]} | changes
    return ModbusDevice.model_validate(given)


def test_devices_with_the_same_endpoint_share_one_line() -> None:
    drivers = build(
        [
            device("a", "rtu:///dev/ttyS0?baudrate=19200", unit=1),
            device("b", "rtu:///dev/ttyS1", unit=1),
            device("c", "rtu:///dev/ttyS0?baudrate=19200", unit=2),
        ],
        revert_s=None,
    )

    assert [(driver.name, [each.device for each in driver.nameplates]) for driver in drivers] == [
        ("modbus rtu:///dev/ttyS0", ["a", "c"]),
        ("modbus rtu:///dev/ttyS1", ["b"]),
    ]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param("rtu:///dev/ttyS0?baudrate=19200", "rtu:///dev/ttyS0", id="baudrate"),
        pytest.param("rtu:///dev/ttyS0?echo=true", "rtu:///dev/ttyS0", id="echo"),
        pytest.param("tcp://h:502", "rtu-over-tcp://h:502", id="transport"),
    ],
)
def test_devices_that_differ_about_their_line_are_named(first: str, second: str) -> None:
    with pytest.raises(ValueError, match=r"devices a and b share one line .*, found \S+ and \S+$"):
        build([device("a", first, unit=1), device("b", second, unit=2)], revert_s=None)


def test_the_same_line_may_be_said_in_two_ways() -> None:
    """What counts is what it means: the order of options and a default that is written out change nothing."""
    first = device("a", "rtu:///dev/ttyS0?baudrate=19200&parity=N", unit=1)
    second = device("b", "rtu:///dev/ttyS0?parity=N&baudrate=19200&stopbits=1", unit=2)

    assert len(build([first, second], revert_s=None)) == 1
