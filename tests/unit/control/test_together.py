"""Orders beside and after each other, as a site meets them: what each leaves behind, and what is said of it."""

from __future__ import annotations

import pytest

from gateway.characteristic import Droop
from gateway.control.fallback import UPLINK
from gateway.control.plant import Action, Der, Fallback
from gateway.control.pq import PqCapability
from gateway.model import Cancellation, Reserve, Schedule, Status
from tests.unit.control.world import Device, World, order

VOLT_VAR = ((0.92, 0.44), (0.98, 0.0), (1.02, 0.0), (1.08, -0.44))


@pytest.fixture
def storage() -> Device:
    """A battery of 30 kW that does nothing by itself."""
    names = ("active_power_setpoint", "reactive_power_setpoint")
    return Device("bat1", rated_w=30_000.0, available_w=0.0, role="battery", names=names, soc=50.0, energy_wh=60_000.0)


@pytest.mark.parametrize("target", ["bat1", "plant"])
def test_after_a_setpoint_a_storage_with_a_reserve_is_where_it_was_before(storage: Device, target: str) -> None:
    """The power that was ordered is not what the battery would do by itself."""
    world = World(storage, load_w=0.0, rated_w=30_000.0)
    world.run(5)
    world.send(order(world, function="reserve", target="bat1", value=None, unit="", reserve=Reserve(5_000.0, 5_000.0)))
    world.send(order(world, "s", target=target, function="set_active_power", value=-6_000.0, unit="W"))
    world.run(10)
    assert storage.power_w == pytest.approx(-6_000, abs=300)
    world.send(Cancellation("s", 1))
    world.run(10)

    assert storage.power_w == pytest.approx(0, abs=300)


def test_a_limit_counts_with_what_a_storage_is_set_to(storage: Device) -> None:
    """The source may give what the storage takes, from the beginning and for as long as it does."""
    pv = Device("inv1", 60_000.0, 55_000.0)
    world = World(pv, storage, load_w=6_000.0)
    world.run(5)
    world.send(order(world, "s", target="bat1", function="set_active_power", value=-5_000.0, unit="W"))
    world.send(order(world, value=30_000.0, unit="W"))
    world.run(15)
    assert world.pcc_w == pytest.approx(30_000, abs=600)
    world.send(Cancellation("s", 1))
    world.run(15)

    assert storage.power_w == pytest.approx(0, abs=300)
    assert world.pcc_w == pytest.approx(30_000, abs=600)


def test_a_step_of_a_schedule_is_no_deviation(storage: Device) -> None:
    """A device that follows the step as fast as it can is not told of; one that does not is."""
    world = World(storage, load_w=0.0, rated_w=30_000.0, how={"bat1": Der("bat1", "battery", 30_000.0, latency_s=1.7)})
    storage.dead_time_s, storage.t90_s = 0.5, 2.0
    world.run(5)
    schedule = Schedule(15.0, (8_000.0, -6_000.0, 4_000.0, -9_000.0))
    common: dict[str, object] = {"target": "bat1", "function": "set_active_power", "unit": "W", "value": None}
    world.send(order(world, schedule=schedule, start=world.now.wall, end=world.now.wall + 60, **common))
    world.run(43)
    assert Status.DEVIATING not in world.said()
    storage.refuses = True
    world.run(10)

    assert world.said()[-1] is Status.DEVIATING


def test_the_mirror_tells_of_each_order_its_own_value(storage: Device) -> None:
    """Both directions limited: both are in force, and neither limits the other."""
    world = World(storage, load_w=10_000.0, rated_w=60_000.0)
    world.run(5)
    world.send(order(world, "out", function="limit_export", value=20_000.0, unit="W"))
    world.send(order(world, "in", function="limit_import", value=25_000.0, unit="W"))
    world.run(5)

    assert world.outcome is not None
    told = [(one.source, one.value, one.limited_by) for one in world.outcome.mirror.quantities]
    assert told == [("out", 20_000.0, None), ("in", -25_000.0, None)]


def test_an_order_for_a_device_that_a_fallback_took_off_the_grid_is_overridden(storage: Device) -> None:
    world = World(storage, load_w=0.0, rated_w=30_000.0, fallbacks={UPLINK: Fallback(5.0, Action("disconnect"))})
    world.heard = {"dso": world.mono + 15}
    world.run(2)
    world.send(order(world, target="bat1", function="set_active_power", value=-5_000.0, unit="W"))
    world.run(30)

    assert storage.power_w == pytest.approx(0, abs=300)
    assert world.said()[-1] is Status.DEVIATING
    assert world.code() == "overridden"


def test_following_the_voltage_within_the_response_is_no_deviation() -> None:
    """A step of the voltage moves the order by the response that it names; the devices are behind by their latency."""
    pv = Device("inv1", 60_000.0, 55_000.0)
    world = World(pv, how={"inv1": Der("inv1", "pv", 60_000.0, latency_s=1.7)})
    world.voltage_pu = 1.0
    world.run(5)
    world.send(order(world, function="volt_var", value=None, unit="", curve=VOLT_VAR, response_s=5.0))
    world.run(10)
    for voltage in (1.05, 1.08, 0.95):
        world.voltage_pu = voltage
        world.run(20)
    assert world.said()[-1] is Status.EFFECTIVE
    assert Status.DEVIATING not in world.said()

    pv.refuses = True
    world.voltage_pu = 1.08
    world.run(10)
    assert world.said()[-1] is Status.DEVIATING, "one that does not follow is told of"


def test_a_device_that_refuses_a_curve_is_not_asked_again_and_again() -> None:
    """Each attempt writes a dozen registers, which are flash in many a device; it will not think otherwise."""
    pv = Device("inv1", 60_000.0, 55_000.0, names=("active_power_limit", "frequency_droop"), refuses=True)
    world = World(pv)
    world.frequency_hz = 50.0
    world.run(5)
    droop = Droop(deadband_hz=0.2, droop=0.05)
    world.send(order(world, target="inv1", function="frequency_droop", value=None, unit="", droop=droop))
    tries = 0
    for _ in range(600):
        world.step()
        assert world.outcome is not None
        tries += len(world.outcome.setpoints)
    assert tries <= 2
    assert world.events == ["write_failed"], "told once: its order may wait without a word"
    pv.refuses = False
    world.run(61)

    assert pv.registers["frequency_droop"] is not None
    assert world.said()[-1] is Status.EFFECTIVE


def test_an_order_that_another_one_never_lets_begin_says_so_in_the_end(storage: Device) -> None:
    world = World(storage, load_w=0.0, rated_w=30_000.0)
    world.run(5)
    world.send(order(world, "off", issuer="tso", target="plant", function="disconnect", value=None, unit=""))
    world.run(5)
    end = world.now.wall + 10
    world.send(order(world, target="bat1", function="set_active_power", value=5_000.0, unit="W", end=end))
    world.run(15)

    assert world.said()[-1] is Status.FAILED
    assert world.code() == "overridden"


def test_what_comes_late_below_the_revision_of_a_cancellation_is_stale(storage: Device) -> None:
    world = World(storage, load_w=0.0, rated_w=30_000.0)
    world.run(5)
    world.send(order(world, target="bat1", function="set_active_power", value=5_000.0, unit="W"))
    world.run(5)
    world.send(Cancellation("a", 9))
    world.run(2)
    world.send(order(world, revision=2, target="bat1", function="set_active_power", value=9_000.0, unit="W"))
    world.run(5)

    assert world.code() == "stale_revision"
    assert storage.registers["active_power_setpoint"] is None
    world.restart()
    world.run(1)
    world.send(order(world, revision=3, target="bat1", function="set_active_power", value=9_000.0, unit="W"))
    world.run(5)
    assert world.code() == "stale_revision"


def test_a_limit_for_the_sake_of_reactive_power_stays_while_its_device_cannot_be_judged() -> None:
    pv = Device("inv1", 60_000.0, 60_000.0)
    pq = PqCapability(rated_w=60_000.0, rated_va=60_000.0)
    world = World(pv, load_w=0.0, how={"inv1": Der("inv1", "pv", 60_000.0, pq=pq)})
    world.run(5)
    world.send(order(world, target="inv1", function="set_reactive_power", value=26_400.0, unit="var"))
    world.run(15)
    limit = pv.registers["active_power_limit"]
    assert limit is not None
    pv.silent = True
    world.run(10)

    assert pv.registers["active_power_limit"] == limit
