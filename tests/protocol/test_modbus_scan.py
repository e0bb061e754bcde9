"""`dergate scan` over real connections: what it finds, how few connections and requests it takes, how it ends."""

from __future__ import annotations

import asyncio
import json
import signal
import struct
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from drivers.modbus import scan
from drivers.modbus.rtu import frame
from gateway import cli
from hil.faces.meter import MeterRegisters
from hil.faces.modbus import MemoryRegisters, ModbusFace, ModbusFault, Registers
from hil.faces.sunspec import SunSpecRegisters
from hil.faces.sunspec_devices import battery_models, inverter_models
from hil.site import SimulatedSite
from tests.protocol.serial_peers import ScriptedLine

DEADLINE_S = 20.0
REQUESTS_MAX = 60
"""What a scan may ask one unit: its SunSpec map, or one mark of each profile."""


class CountingFace(ModbusFace):
    """Counts what a scan costs a device."""

    def __init__(self, units: Mapping[int, Registers]) -> None:
        super().__init__(units)
        self.connections = 0
        self.open = 0
        self.open_max = 0
        self.requests: list[tuple[int, bytes]] = []

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        self.open_max = max(self.open, self.open_max)
        try:
            await super()._serve(reader, writer)
        finally:
            self.open -= 1

    async def _answer(self, unit: int, request: bytes) -> Any:
        self.requests.append((unit, request))
        return await super()._answer(unit, request)


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "SETTLE_S", 0.0)
    monkeypatch.setattr(scan, "PAUSE_S", 0.001)


@asynccontextmanager
async def one_gateway() -> AsyncIterator[CountingFace]:
    """The devices of a simulated site behind one port, and one that nobody knows."""
    site = SimulatedSite()
    plant = site.plant

    units: dict[int, Registers] = {
        1: SunSpecRegisters(inverter_models(plant.inverter, lambda: plant.point, serial="SIM-INV1")),
        2: SunSpecRegisters(battery_models(plant.battery, lambda: plant.point, serial="SIM-BAT1")),
        5: MeterRegisters(plant),
        71: MemoryRegisters(holding={7: 7}),
    }
    async with CountingFace(units) as face:
        yield face


async def dergate(*words: object) -> Result:
    """In a thread, because the command runs an event loop of its own."""
    given = [str(word) for word in words]
    return await asyncio.to_thread(CliRunner().invoke, cli.main, given, prog_name="dergate")


async def found(*words: object) -> dict[int, dict[str, Any]]:
    result = await dergate("scan", *words, "--json")
    assert result.exit_code == 0, result.output
    return {unit["unit"]: unit for unit in json.loads(result.stdout)["units"]}


async def test_each_device_of_a_simulated_site_is_found_for_what_it_is() -> None:
    async with SimulatedSite() as site:
        devices = {name: (await found(f"127.0.0.1:{port}", "--unit", "1-3"))[1] for name, port in site.ports.items()}

    assert (devices["inv1"]["role"], devices["inv1"]["serial"]) == ("pv", "SIM-INV1")
    assert (devices["bat1"]["role"], devices["bat1"]["serial"]) == ("battery", "SIM-BAT1")
    assert devices["inv1"]["models"] == [1, 103, 120, 121, 122, 123]
    assert devices["bat1"]["models"] == [1, 103, 120, 121, 122, 123, 124]
    assert devices["inv1"]["rated_power_w"] == 60_000
    assert (devices["pcc"]["role"], devices["pcc"]["profile"]) == ("meter", "eastron-sdm630")


async def test_several_units_behind_one_gateway_cost_one_connection_and_a_few_reads_each() -> None:
    async with one_gateway() as face:
        units = await found(f"127.0.0.1:{face.port}")

        assert [(unit, each["profile"]) for unit, each in units.items()] == [
            (1, "sunspec"),
            (2, "sunspec"),
            (5, "eastron-sdm630"),
            (71, None),
        ]
        assert (face.connections, face.open_max) == (1, 1)
        asked = Counter(unit for unit, _ in face.requests)
        assert set(asked) == set(range(1, 248))
        assert max(asked.values()) <= REQUESTS_MAX
        assert {count for unit, count in asked.items() if unit not in units} == {1}
        assert max(Counter(face.requests).values()) == 1
        assert {request[0] for _, request in face.requests} <= {1, 2, 3, 4}
        assert list(dict.fromkeys(unit for unit, _ in face.requests))[:12] == list(scan.LIKELY)


async def test_the_file_that_is_written_passes_check_and_can_be_read_from(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    async with one_gateway() as face:
        written = await dergate("scan", f"127.0.0.1:{face.port}", "--unit", "1-10,71", "--write", path)
        checked = await dergate("check", path)
        read = await dergate("read", path, "inv1.active_power", "bat1.state_of_charge", "meter1.frequency", "--json")

    assert written.exit_code == 0, written.output
    assert (checked.exit_code, checked.stderr) == (0, "")
    assert "3 devices" in checked.stdout
    assert read.exit_code == 0, read.output
    values = {point: each["value"] for point, each in json.loads(read.stdout).items()}
    assert set(values) == {"inv1.active_power", "bat1.state_of_charge", "meter1.frequency"}
    assert values["meter1.frequency"] == pytest.approx(50, abs=0.5)


async def test_a_port_that_nobody_listens_on_is_one_line_and_exit_3() -> None:
    async with ModbusFace({}) as face:
        await face.stop()
        result = await dergate("scan", f"127.0.0.1:{face.port}")

        assert (result.exit_code, result.stdout) == (3, "")
        (sentence,) = result.stderr.splitlines()
        assert sentence.startswith(f"tcp://127.0.0.1:{face.port}: connection refused; ")


async def test_a_peer_that_accepts_and_keeps_silent_is_one_line_and_exit_3() -> None:
    async with one_gateway() as face:
        face.silent = True
        result = await dergate("scan", f"127.0.0.1:{face.port}", "--unit", "1-5", "--timeout", "0.05")

        assert (result.exit_code, result.stdout) == (3, "")
        (sentence,) = result.stderr.splitlines()
        assert "none of 5 units answered" in sentence
        assert face.connections == 1


async def test_answers_that_come_after_the_time_out_are_told_from_silence() -> None:
    """A gateway before a slow serial line: what it answers late belongs to no request any more."""
    async with one_gateway() as face:
        face.delay_s = 0.15
        result = await dergate("scan", f"127.0.0.1:{face.port}", "--unit", "1-5", "--timeout", "0.1")

    assert (result.exit_code, result.stdout) == (3, "")
    (sentence,) = result.stderr.splitlines()
    assert "answers came after their time-out" in sentence


async def test_a_gateway_with_nobody_behind_it_is_one_line_and_exit_3() -> None:
    async with CountingFace({}) as face:
        result = await dergate("scan", f"127.0.0.1:{face.port}", "--unit", "1-5")

        assert (result.exit_code, result.stdout) == (3, "")
        (sentence,) = result.stderr.splitlines()
        assert "a gateway answers, and reaches none of 5 units" in sentence
        assert len(face.requests) == 5


async def test_a_serial_line_that_is_not_there_is_one_line_and_exit_3(tmp_path: Path) -> None:
    result = await dergate("scan", tmp_path / "ttyUSB0", "--unit", "1-2")

    assert (result.exit_code, result.stdout) == (3, "")
    (sentence,) = result.stderr.splitlines()
    assert str(tmp_path / "ttyUSB0") in sentence


async def test_a_serial_line_is_scanned_as_a_network_is(tmp_path: Path) -> None:
    plant = SimulatedSite().plant
    registers = SunSpecRegisters(inverter_models(plant.inverter, lambda: plant.point, serial="SIM-RTU"))

    async def answer(request: bytes, line: ScriptedLine) -> None:
        unit, function = request[:2]
        if unit != 2:
            return
        try:
            address, count = struct.unpack(">HH", request[2:6])
            words = registers.read("holding" if function == 3 else "input", address, count)
        except ModbusFault as fault:
            line.write(frame(unit, bytes((function | 0x80, fault.code))))
        else:
            line.write(frame(unit, struct.pack(f">BB{count}H", function, 2 * count, *words)))

    path = tmp_path / "site.yaml"
    async with ScriptedLine(tmp_path / "ttyUSB0", answer) as line:
        words = ("scan", line.path, "--unit", "1-3", "--timeout", "0.1", "--baudrate", "115200", "--write", path)
        written = await dergate(*words)
        read = await dergate("read", path, "inv1.active_power", "--json")

    assert written.exit_code == 0, written.output
    assert "SIM-RTU" in written.stdout
    assert read.exit_code == 0, read.output
    assert "inv1.active_power" in json.loads(read.stdout)


async def test_ctrl_c_shows_what_was_found_so_far_and_exits_130() -> None:
    async with one_gateway() as face:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway.cli", "scan", f"127.0.0.1:{face.port}"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            await until(lambda: any(unit == 100 for unit, _ in face.requests))
            process.send_signal(signal.SIGINT)
            async with asyncio.timeout(DEADLINE_S):
                stdout, stderr = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

        assert process.returncode == 130
        assert b"SIM-INV1" in stdout
        assert b"interrupted: " in stderr
        assert b"Traceback" not in stderr
        assert {unit for unit, _ in face.requests} < set(range(1, 248))


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not condition():  # noqa: ASYNC110 -- the face has no event to await
            await asyncio.sleep(0.01)
