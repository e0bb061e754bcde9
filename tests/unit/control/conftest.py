from __future__ import annotations

import pytest

from tests.unit.control.world import Device, World


@pytest.fixture
def pv() -> Device:
    """An inverter of 60 kW with sun for 55 kW."""
    return Device("inv1", rated_w=60_000.0, available_w=55_000.0)


@pytest.fixture
def battery() -> Device:
    """A battery of 30 kW that does nothing by itself."""
    names = ("active_power_setpoint", "reactive_power_setpoint")
    return Device("bat1", rated_w=30_000.0, available_w=0.0, role="battery", names=names)


@pytest.fixture
def world(pv: Device) -> World:
    """A site of 60 kW with one inverter and a load of 6 kW, running for long enough to know itself."""
    site = World(pv)
    site.run(5)
    return site
