"""Every profile loads, says where it comes from, and turns the words of its device into the site's values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner

from drivers.modbus import codec
from drivers.modbus.points import ModbusPoint
from gateway.cli import main
from gateway.config import data_dir
from gateway.model import SetPoint
from hil.faces.modbus import MemoryRegisters
from tests.profiles.captures import PROFILES, capture, device, memory, names_of_captures, profile_of, site, site_text

READ_S = 5.0
UNITS = {
    "active_power": "W", "reactive_power": "var", "apparent_power": "VA", "frequency": "Hz", "voltage": "V",
    "current": "A", "energy": "Wh", "state_of_charge": "%", "state_of_health": "%", "dc_voltage": "V",
    "dc_current": "A", "dc_power": "W", "temperature": "°C",
}  # fmt: skip
"""By the beginning of a point's name: canonical names have canonical units."""
PLAUSIBLE = {
    "active_power": (-1e6, 1e6), "frequency": (49, 51), "voltage_l": (200, 430), "current_l": (0, 1000),
    "state_of_charge": (0, 100), "energy": (0, 1e12), "temperature": (-40, 120),
}  # fmt: skip
"""What a capture of a plant in service can hold; a scale that is ten times off does not."""


def text(profile: str) -> str:
    return (data_dir() / "profiles" / f"{profile}.yaml").read_text(encoding="utf-8")


def points(folder: Path, profile: str) -> list[ModbusPoint]:
    (only,) = site(folder, [profile]).devices
    return only.points


def test_there_are_profiles_for_at_least_25_device_types() -> None:
    assert len(PROFILES) >= 25


def test_every_profile_has_its_capture_and_every_capture_its_profile() -> None:
    assert names_of_captures() == set(PROFILES)


def test_a_site_of_every_profile_is_right_and_can_be_planned(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(site_text(PROFILES), encoding="utf-8")

    result = CliRunner().invoke(main, ["check", str(path)])

    assert result.exit_code == 0, result.output
    assert f"{len(PROFILES)} devices" in result.output


@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_says_where_it_comes_from_and_what_the_vendor_calls_each_point(name: str, tmp_path: Path) -> None:
    profile = profile_of(name)

    assert re.search(r"\w+/\S+|\.java|\.py|exporter|reader", profile.source), profile.source
    assert len(re.findall(r"^  - \{name: .*\}\s+# .+$", text(name), re.MULTILINE)) == len(profile.points)
    assert capture(name).source


@pytest.mark.parametrize("name", PROFILES)
def test_points_have_canonical_names_and_units(name: str, tmp_path: Path) -> None:
    """The name is in snake case; a canonical one has the unit that the contract gives it."""
    for point in points(tmp_path, name):
        assert re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", point.name)
        for beginning, unit in UNITS.items():
            if re.fullmatch(rf"{beginning}(_l\d+|_n|_import|_export)?", point.name):
                assert point.unit == unit, point.name


@pytest.mark.parametrize("name", PROFILES)
async def test_the_driver_reads_the_capture_as_the_values_the_site_sees(name: str, tmp_path: Path) -> None:
    """Address, type, order, scale and sign at once; compared exactly."""
    expected = capture(name).values

    async with device(tmp_path, name) as (_, image, _):
        await image.has(expected, READ_S)

    assert {point: image.good().get(point) for point in expected} == expected


@pytest.mark.parametrize("name", PROFILES)
def test_a_capture_covers_every_point_that_can_be_read_with_plausible_values(name: str, tmp_path: Path) -> None:
    values = capture(name).values

    assert {point.name for point in points(tmp_path, name) if point.readable} <= values.keys()
    for point, value in values.items():
        for beginning, (low, high) in PLAUSIBLE.items():
            if point.startswith(beginning) and isinstance(value, int | float):
                assert low <= value <= high, point


@pytest.mark.parametrize("name", [name for name in PROFILES if profile_of(name).role == "meter"])
def test_a_meters_counter_that_jumps_by_what_no_site_moves_is_doubted(name: str, tmp_path: Path) -> None:
    """100 kWh from one read to the next, 10 s later, are 36 MW: on a serial line a sign of another's answer."""
    counters = [point for point in points(tmp_path, name) if re.fullmatch("energy_(import|export)", point.name)]

    assert {(point.max_step, point.poll) for point in counters} <= {(100e3, 10.0)}


@pytest.mark.parametrize("name", PROFILES)
def test_a_meter_that_imports_is_negative_and_a_plant_that_generates_is_positive(name: str) -> None:
    """Each capture is of a site at such a moment, so that a sign taken over from the vendor is seen."""
    sign = -1 if profile_of(name).role == "meter" else 1
    powers = [value for point, value in capture(name).values.items() if re.fullmatch("active_power(_l[123])?", point)]

    assert all(isinstance(power, int | float) and sign * power > 0 for power in powers)


@pytest.mark.parametrize("name", [name for name in PROFILES if profile_of(name).identify])
def test_a_scan_would_know_the_device_of_the_capture(name: str) -> None:
    registers = memory(capture(name).registers)
    for mark in profile_of(name).identify:
        register = mark.register_of("scan")
        words = registers.read(register.space, register.address, register.size)
        value = codec.decode_words(register, words)
        low, high = mark.bounds
        assert value is not None
        assert low <= float(value) <= high, mark


@pytest.mark.parametrize("name", PROFILES)
def test_every_set_point_of_a_profile_is_tried(name: str, tmp_path: Path) -> None:
    writable = {point.name for point in points(tmp_path, name) if point.writable}

    assert writable == {one.point for one in capture(name).written}


@pytest.mark.parametrize("name", [name for name in PROFILES if capture(name).written])
async def test_a_set_point_arrives_in_the_registers_and_is_let_go_of(name: str, tmp_path: Path) -> None:
    async with device(tmp_path, name) as (driver, image, registers):
        await image.has(capture(name).values, READ_S)
        for one in capture(name).written:
            assert await driver.write(setpoint(one.point, one.value)) == one.value
            assert held(registers, one.registers) == one.registers
            if one.released is not None:
                assert await driver.write(setpoint(one.point, None)) is None
                assert held(registers, one.released) == one.released


def setpoint(point: str, value: float | None) -> SetPoint:
    return SetPoint(f"d0.{point}", value, expires=float("inf"), cause="test")


def held(registers: MemoryRegisters, where: Mapping[str, list[int]]) -> dict[str, list[int]]:
    """What stands where a set-point was written."""
    places = {at: at.partition(":") for at in where}
    return {at: registers.read(space, int(first), len(where[at])) for at, (space, _, first) in places.items()}


@pytest.mark.parametrize("name", PROFILES)
def test_every_release_of_a_profile_is_tried(name: str, tmp_path: Path) -> None:
    released = {one.point for one in capture(name).written if one.released is not None}

    assert {point.name for point in points(tmp_path, name) if point.write and point.write.release} == released
