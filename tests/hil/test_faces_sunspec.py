"""The SunSpec face: its image as pysunspec2 reads it, and what a write does to the device behind it."""

from __future__ import annotations

import asyncio
import struct
from dataclasses import replace
from typing import Any

import pytest
from sunspec2.device import Model as ForeignModel
from sunspec2.device import get_model_def
from sunspec2.modbus.client import SunSpecModbusClientDeviceTCP

from hil.faces.modbus import ModbusFace, ModbusFault
from hil.faces.sunspec import SunSpecRegisters
from hil.faces.sunspec_devices import battery_models, inverter_models
from hil.faces.sunspec_layout import MODELS, scale_factor
from hil.plant.battery import Battery
from hil.plant.grid import ConnectionPoint
from hil.plant.inverter import Inverter

AT = ConnectionPoint(active_power_w=0.0, reactive_power_var=0.0, voltage_v=403.2, frequency_hz=50.02)
INVERTER_MODELS = (1, 103, 120, 121, 122, 123)
BATTERY_MODELS = (*INVERTER_MODELS, 124)


def inverter_registers(device: Inverter) -> SunSpecRegisters:
    return SunSpecRegisters(inverter_models(device, lambda: AT, serial="SN-1"))


def battery_registers(device: Battery) -> SunSpecRegisters:
    return SunSpecRegisters(battery_models(device, lambda: AT, serial="SN-2"))


def walk(registers: SunSpecRegisters) -> dict[int, int]:
    """The address of each model's ID register, found as a master finds it."""
    assert registers.read("holding", 40000, 2) == [0x5375, 0x6E53]
    at, found = 40002, {}
    while (model := registers.read("holding", at, 1)[0]) != 0xFFFF:
        found[model] = at
        at += 2 + registers.read("holding", at + 1, 1)[0]
    assert registers.read("holding", at + 1, 1) == [0]
    with pytest.raises(ModbusFault):
        registers.read("holding", at + 2, 1)
    return found


def decode(registers: SunSpecRegisters, model: int) -> dict[str, Any]:
    """One model as pysunspec2 understands it, in the points' units; None is not implemented."""
    at = walk(registers)[model]
    words = registers.read("holding", at, 2 + registers.read("holding", at + 1, 1)[0])
    values: dict[str, Any] = ForeignModel(model, data=struct.pack(f">{len(words)}H", *words)).get_dict(computed=True)
    return values


def write(registers: SunSpecRegisters, model: int, name: str, *words: int) -> None:
    point = next(point for point in MODELS[model] if point.name == name)
    registers.write("holding", walk(registers)[model] + point.offset, [word & 0xFFFF for word in words])


@pytest.mark.parametrize("model", BATTERY_MODELS)
def test_the_layout_is_the_one_that_the_sunspec_alliance_publishes(model: int) -> None:
    published = get_model_def(model)["group"]["points"][2:]
    ours = [(point.name, point.type, point.size, point.scale) for point in MODELS[model]]
    assert ours == [(point["name"], point["type"], point["size"], point.get("sf")) for point in published]


def test_the_chain_of_models_is_found_by_walking_it() -> None:
    assert tuple(walk(inverter_registers(Inverter()))) == INVERTER_MODELS
    assert tuple(walk(battery_registers(Battery()))) == BATTERY_MODELS


def test_an_inverter_shows_its_measurements_in_their_scales() -> None:
    device = Inverter(available_w=56_000.0)
    device.converter.active_power_w, device.converter.reactive_power_var = 40_000.0, -30_000.0
    device.converter.energy_out_wh = 1_234_567.0
    shown = decode(inverter_registers(device), 103)
    expected = {"W": 40_000, "VAr": -30_000, "VA": 50_000, "PF": 80.0, "Hz": 50.02, "PPVphAB": 403.2, "PhVphA": 232.8}
    expected |= {"AphA": 71.6, "WH": 1_234_567, "St": 4, "W_SF": 1, "Hz_SF": -2}
    assert {name: shown[name] for name in expected} == pytest.approx(expected)
    unimplemented = {point.name for point in MODELS[103] if shown[point.name] is None}
    assert unimplemented == {"TmpSnk", "TmpTrns", "TmpOt", "StVnd", "EvtVnd1", "EvtVnd2", "EvtVnd3", "EvtVnd4"}


def test_ratings_are_shown_in_the_base_that_percent_means() -> None:
    assert decode(inverter_registers(Inverter()), 121)["WMax"] == 60_000
    nameplate = decode(battery_registers(Battery()), 120)
    assert (nameplate["WRtg"], nameplate["WHRtg"], nameplate["MaxChaRte"]) == (30_000, 60_000, 30_000)
    assert decode(inverter_registers(Inverter()), 120)["WHRtg"] is None
    common = decode(battery_registers(Battery()), 1)
    assert (common["Mn"], common["Md"], common["SN"]) == ("dergate", "BAT30", "SN-2")


def test_unimplemented_points_and_their_scale_factors_carry_their_sentinels() -> None:
    registers = inverter_registers(Inverter())
    controls = walk(registers)[123]
    assert registers.read("holding", controls + 2, 1) == [0xFFFF]  # Conn_WinTms
    assert registers.read("holding", controls + 10, 1) == [0x8000]  # OutPFSet
    assert registers.read("holding", controls + 24, 1) == [0x8000]  # OutPFSet_SF
    assert registers.read("holding", walk(registers)[1] + 34, 8) == [0] * 8  # Opt


def test_a_limit_is_inert_until_it_is_enabled() -> None:
    device = Inverter()
    registers = inverter_registers(device)
    write(registers, 123, "WMaxLimPct", 6000)
    assert device.converter.limit.in_force is None
    assert decode(registers, 123)["WMaxLimPct"] == 60.0
    write(registers, 123, "WMaxLim_Ena", 1)
    assert device.converter.limit.in_force == 60.0
    assert decode(registers, 122)["StActCtl"] == 0b1


def test_value_and_enable_each_start_the_reversion_time_again_and_the_enable_falls_by_itself() -> None:
    device = Inverter(available_w=60_000.0)
    registers = inverter_registers(device)
    write(registers, 123, "WMaxLimPct_RvrtTms", 10)
    write(registers, 123, "WMaxLimPct_RmpTms", 4)
    write(registers, 123, "WMaxLimPct", 6000)
    write(registers, 123, "WMaxLim_Ena", 1)
    assert (device.converter.limit.revert_s, device.converter.limit.ramp_s) == (10, 4)
    for name, word in (("WMaxLimPct", 6000), ("WMaxLim_Ena", 1)):
        for _ in range(8):
            device.step(1.0)
        write(registers, 123, name, word)
    for _ in range(9):
        device.step(1.0)
    assert decode(registers, 123)["WMaxLim_Ena"] == 1
    device.step(1.0)
    assert decode(registers, 123)["WMaxLim_Ena"] == 0
    assert decode(registers, 123)["WMaxLimPct"] == 60.0


def test_reactive_power_and_connection_are_controlled_too() -> None:
    device = Inverter()
    registers = inverter_registers(device)
    write(registers, 123, "VArWMaxPct", -2550)
    write(registers, 123, "VArPct_Mod", 1)
    write(registers, 123, "VArPct_Ena", 1)
    assert device.converter.reactive.in_force == -25.5
    write(registers, 123, "Conn", 0)
    for _ in range(5):
        device.step(1.0)
    assert decode(registers, 103)["St"] == 1
    assert decode(registers, 122)["PVConn"] == 0
    write(registers, 123, "Conn", 1)
    for _ in range(5):
        device.step(1.0)
    assert decode(registers, 122)["PVConn"] == 0b111


def test_a_device_that_is_held_down_says_throttled() -> None:
    device = Inverter(available_w=56_000.0)
    registers = inverter_registers(device)
    write(registers, 123, "WMaxLimPct", 1000)
    write(registers, 123, "WMaxLim_Ena", 1)
    for _ in range(5):
        device.step(1.0)
    assert decode(registers, 103)["St"] == 5


@pytest.mark.parametrize(
    ("mode", "out_rate", "in_rate", "in_force"),
    [(0, -4000, 10000, (None, None)), (2, -4000, 10000, (None, -40.0)), (3, 3333, -3333, (-33.33, 33.33))],
    ids=["no bit: inert", "discharge bit", "both bits"],
)
def test_storage_rates_act_through_the_bits_of_their_mode(
    mode: int, out_rate: int, in_rate: int, in_force: tuple[float | None, float | None]
) -> None:
    device = Battery()
    registers = battery_registers(device)
    write(registers, 124, "OutWRte", out_rate, in_rate)
    write(registers, 124, "StorCtl_Mod", mode)
    assert (device.charge.in_force, device.discharge.in_force) == pytest.approx(in_force)
    assert decode(registers, 124)["StorCtl_Mod"] == mode


@pytest.mark.parametrize(("name", "word"), [("OutWRte", -4000), ("InWRte", 4000), ("StorCtl_Mod", 3)])
def test_storage_control_lets_go_as_a_whole_and_any_of_its_writes_starts_the_time_again(name: str, word: int) -> None:
    device = Battery()
    registers = battery_registers(device)
    write(registers, 124, "InOutWRte_RvrtTms", 10)
    write(registers, 124, "OutWRte", -4000)
    write(registers, 124, "StorCtl_Mod", 3)
    for _ in range(8):
        device.step(1.0)
    write(registers, 124, name, word)
    for _ in range(9):
        device.step(1.0)
    assert decode(registers, 124)["StorCtl_Mod"] == 3
    device.step(1.0)
    assert decode(registers, 124)["StorCtl_Mod"] == 0


@pytest.mark.parametrize(
    ("soc", "rate", "charge_state"),
    [(0.5, 0, 6), (0.5, -4000, 4), (0.5, 4000, 3), (1.0, 0, 5), (0.05, 0, 2)],
    ids=["holding", "charging", "discharging", "full", "empty"],
)
def test_a_battery_shows_its_state_of_charge_and_what_it_is_doing(soc: float, rate: int, charge_state: int) -> None:
    device = Battery(soc=soc)
    registers = battery_registers(device)
    write(registers, 124, "OutWRte", rate, -rate)
    write(registers, 124, "StorCtl_Mod", 3)
    for _ in range(20):
        device.step(0.1)
    shown = decode(registers, 124)
    assert shown["ChaSt"] == charge_state
    assert shown["ChaState"] == pytest.approx(100 * soc, abs=0.1)


@pytest.mark.parametrize(
    ("name", "words", "code"),
    [
        ("WMaxLimPct", [10001], 3),
        ("WMaxLim_Ena", [2], 3),
        ("Conn", [2], 3),
        ("VArPct_Mod", [2], 3),
        ("VArWMaxPct", [-10001], 3),
        ("WMaxLimPct_RvrtTms", [0xFFFF], 3),
        ("WMaxLimPct_WinTms", [5], 2),
        ("WMaxLimPct_SF", [0], 2),
        ("WMaxLimPct", [5000, 5], 2),
        ("VArPct_SF", [0, 0], 2),
    ],
    ids=[
        *("above 100 %", "no such enable", "no such connection", "no such mode", "below -100 %", "not a time"),
        *("not implemented", "read only", "second one not implemented", "across the end"),
    ],
)
def test_what_cannot_be_written_is_refused_and_changes_nothing(name: str, words: list[int], code: int) -> None:
    device = Inverter()
    registers = inverter_registers(device)
    before = registers.read("holding", 40000, 100)
    limit = replace(device.converter.limit)
    with pytest.raises(ModbusFault) as refused:
        write(registers, 123, name, *words)
    assert refused.value.code == code
    assert registers.read("holding", 40000, 100) == before
    assert device.converter.limit == limit


@pytest.mark.parametrize(
    ("space", "address", "count"),
    [("input", 40000, 2), ("holding", 39999, 2), ("holding", 0, 1), ("coil", 40000, 1)],
    ids=["input registers", "across the beginning", "far before", "coils"],
)
def test_nothing_is_read_or_written_outside_the_image(space: str, address: int, count: int) -> None:
    registers = inverter_registers(Inverter())
    with pytest.raises(ModbusFault) as refused:
        registers.read(space, address, count)
    assert refused.value.code == 2
    with pytest.raises(ModbusFault):
        registers.write(space, address, [0] * count)


def test_a_part_of_a_point_is_read_but_not_written() -> None:
    device = Inverter()
    device.converter.energy_out_wh = 0x0002_0003
    registers = inverter_registers(device)
    energy = walk(registers)[103] + 24
    assert registers.read("holding", energy + 1, 2) == [3, 0]
    with pytest.raises(ModbusFault):
        registers.write("holding", energy + 1, [0])


@pytest.mark.parametrize(
    ("largest", "bound", "exponent"),
    [
        (30_000, 0x7FFF, 0),
        (32_767, 0x7FFF, 0),
        (32_768, 0x7FFF, 1),
        (60_000, 0xFFFE, 0),
        (2_000_000, 0x7FFF, 2),
        (5, 10, 0),
    ],
)
def test_a_scale_factor_is_the_smallest_with_which_a_rating_fits(largest: float, bound: int, exponent: int) -> None:
    assert scale_factor(largest, bound=bound) == exponent


async def test_pysunspec2_scans_and_controls_the_device_over_tcp() -> None:
    device = Inverter(available_w=56_000.0)
    device.converter.active_power_w = 56_000.0
    written: list[tuple[str, float]] = []
    models = inverter_models(device, lambda: AT, serial="SN-1")
    registers = SunSpecRegisters(models, on_write=lambda name, value: written.append((name, value)))

    def foreign_master(port: int) -> tuple[list[int], float, float]:
        client = SunSpecModbusClientDeviceTCP(slave_id=1, ipaddr="127.0.0.1", ipport=port, timeout=5)
        try:
            client.scan()
            found = [model for model in client.models if isinstance(model, int)]
            controls = client.models[123][0]
            controls.WMaxLimPct.cvalue = 50
            controls.WMaxLimPct.write()
            controls.WMaxLim_Ena.value = 1
            controls.WMaxLim_Ena.write()
            controls.read()
            return found, client.models[103][0].W.cvalue, controls.WMaxLimPct.cvalue
        finally:
            client.close()

    async with ModbusFace({1: registers}) as face:
        assert await asyncio.to_thread(foreign_master, face.port) == (list(INVERTER_MODELS), 56_000.0, 50.0)
    assert written == [("WMaxLimPct", 50.0), ("WMaxLim_Ena", 1.0)]
    assert device.converter.limit.in_force == 50.0
