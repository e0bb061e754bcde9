"""The PCC meter's registers, as the vendor's table has them."""

from __future__ import annotations

import struct

import pytest

from hil.faces.meter import MeterRegisters
from hil.faces.modbus import ModbusFault
from hil.plant.battery import Battery
from hil.plant.grid import ConnectionPoint, GridParameters
from hil.plant.inverter import Inverter
from hil.plant.load import Load, LoadParameters
from hil.plant.site import Plant
from hil.plant.sun import Sun, SunParameters


def meter() -> MeterRegisters:
    plant = Plant(
        sun=Sun(SunParameters(), seed=0),
        inverter=Inverter(),
        battery=Battery(),
        load=Load(LoadParameters(), seed=0),
        grid=GridParameters(),
        export_wh=12_500.0,
        import_wh=250.0,
    )
    plant.point = ConnectionPoint(
        active_power_w=40_000.0, reactive_power_var=-30_000.0, voltage_v=400.0, frequency_hz=49.98
    )
    return MeterRegisters(plant)


@pytest.mark.parametrize(
    ("address", "value"),
    [
        *((address, 230.940) for address in (0, 2, 4)),
        *((address, 72.169) for address in (6, 8, 10)),
        (52, -40_000.0),
        (56, 50_000.0),
        (60, 30_000.0),
        (70, 49.98),
        (72, 0.25),
        (74, 12.5),
    ],
)
def test_each_register_pair_is_a_float_with_its_high_word_first_and_import_positive(address: int, value: float) -> None:
    words = meter().read("input", address, 2)
    assert struct.unpack(">f", struct.pack(">2H", *words))[0] == pytest.approx(value, rel=1e-5)


def test_neighbours_are_read_in_one_request() -> None:
    assert meter().read("input", 0, 12) == [word for at in range(0, 12, 2) for word in meter().read("input", at, 2)]


@pytest.mark.parametrize(
    ("space", "address", "count"),
    [("holding", 52, 2), ("input", 52, 4), ("input", 12, 2)],
    ids=["space", "gap", "none"],
)
def test_what_the_meter_does_not_have_is_refused(space: str, address: int, count: int) -> None:
    with pytest.raises(ModbusFault) as refused:
        meter().read(space, address, count)
    assert refused.value.code == 2


def test_a_meter_takes_no_writes() -> None:
    with pytest.raises(ModbusFault):
        meter().write("input", 52, [0, 0])
