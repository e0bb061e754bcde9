"""The Modbus driver against libmodbus, an implementation it shares nothing with."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from drivers.base import WriteRefused
from gateway.model import Measurement, Quality, SetPoint
from tests.contract.watch import running
from tests.protocol import modbus_peers as peers


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return peers.compile_server(tmp_path_factory.mktemp("libmodbus"))


@pytest.fixture
def port(program: Path) -> Iterator[int]:
    with peers.libmodbus(program) as port:
        yield port


def setpoint(name: str, value: float) -> SetPoint:
    return SetPoint(f"d.{name}", value, expires=asyncio.get_running_loop().time() + 60, cause="test")


async def test_reads_each_space_at_its_wire_address(port: int) -> None:
    driver = peers.driver(
        port,
        {"name": "holding", "register": "holding:42", "type": "uint16"},
        {"name": "input", "register": "input:6", "type": "float32", "unit": "V"},
        {"name": "coil", "register": "coil:13"},
        {"name": "discrete", "register": "discrete:14"},
    )
    async with running(driver) as watch:
        await watch.until(lambda: len({each.point for each in watch.measurements}) == 4)

        assert watch.value("d.holding") == 42
        assert watch.value("d.input") == pytest.approx(0.6)
        assert watch.value("d.coil") is True
        assert watch.value("d.discrete") is False


async def test_reads_the_longest_request_there_is(port: int) -> None:
    """125 registers, each its own address: a shifted one would be another number."""
    points = [{"name": f"r{at}", "register": f"holding:{at}", "type": "uint16"} for at in range(125)]
    async with running(peers.driver(port, *points)) as watch:
        await watch.until(lambda: len(watch.measurements) >= 125)

        assert [watch.value(f"d.r{at}") for at in range(125)] == list(range(125))


@pytest.mark.parametrize(
    ("register", "type_", "value"),
    [
        pytest.param("holding:100", "int16", -321.0, id="fc6"),
        pytest.param("holding:101", "int32", -1234567.0, id="fc16"),
        pytest.param("holding:103", "float32", 230.5, id="fc16-float"),
        pytest.param("holding:105", "float64", -0.1, id="fc16-four-registers"),
        pytest.param("coil:4", "bool", 1.0, id="fc5"),
    ],
)
async def test_writes_and_reads_back(port: int, register: str, type_: str, value: float) -> None:
    driver = peers.driver(port, {"name": "p", "register": register, "type": type_, "access": "read-write"})
    async with running(driver) as watch:
        await watch.until(lambda: watch.latest("d.p") is not None)

        assert await driver.write(setpoint("p", value)) == value
        assert watch.latest("d.p") == Measurement("d.p", value)


async def test_a_write_only_point_is_never_read_and_its_echo_is_the_proof(port: int) -> None:
    driver = peers.driver(
        port,
        {"name": "p", "register": "holding:3", "type": "uint16", "access": "write", "scale": 0.1},
        {"name": "seen", "register": "holding:3", "type": "uint16"},
    )
    async with running(driver) as watch:
        await watch.until(lambda: watch.value("d.seen") == 3)

        assert await driver.write(setpoint("p", 7.04)) == 7.0
        await watch.until(lambda: watch.value("d.seen") == 70)
        assert watch.latest("d.p") is None


async def test_an_illegal_address_is_invalid_and_its_neighbours_are_good(port: int) -> None:
    """The map ends at 199; the request over its end is taken apart to the one that does not exist."""
    points = [{"name": f"r{at}", "register": f"holding:{at}", "type": "uint16"} for at in range(190, 204)]
    async with running(peers.driver(port, *points)) as watch:
        await watch.until(lambda: all(watch.latest(f"d.r{at}") for at in range(190, 204)))

        assert [watch.value(f"d.r{at}") for at in range(190, 200)] == list(range(190, 200))
        for at in range(200, 204):
            assert watch.latest(f"d.r{at}") == Measurement(f"d.r{at}", None, Quality.INVALID)


async def test_a_gap_the_device_refuses_is_not_read_over(port: int) -> None:
    """A bridge that ends in a refusal costs one request, no point."""
    driver = peers.driver(
        port,
        {"name": "last", "register": "input:18", "type": "float32"},
        {"name": "beyond", "register": "input:24", "type": "uint16"},
    )
    async with running(driver) as watch:
        await watch.until(lambda: watch.latest("d.beyond") is not None and watch.latest("d.last") is not None)

        assert watch.value("d.last") == pytest.approx(1.8)
        assert watch.latest("d.beyond") == Measurement("d.beyond", None, Quality.INVALID)


async def test_a_refused_write_says_what_the_device_said(port: int) -> None:
    driver = peers.driver(
        port,
        {"name": "p", "register": "holding:200", "type": "uint16", "access": "write"},
        {"name": "r", "register": "holding:0", "type": "uint16"},
    )
    async with running(driver) as watch:
        await watch.until(lambda: watch.latest("d.r") is not None)

        with pytest.raises(WriteRefused, match=r"d\.p: exception 2 \(illegal data address\)"):
            await driver.write(setpoint("p", 1))
