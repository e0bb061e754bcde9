"""The closed loop at the PCC: steps, meters that are late, noisy or lost, DERs that are lost, goals beyond reach."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import pairwise

import pytest

from benchmarks.step_response import Case, grid, respond
from tests.unit.control.world import STEP_S, Device, World, order

CORNERS = [case for case in grid() if case.t90_s != 5.0 and case.dead_time_s != 1.0]
UNEVEN = [case for case in CORNERS if case.poll_s != case.meter_s]
EVEN = [case for case in CORNERS if case.poll_s == case.meter_s == 0.2]
SETPOINT = ("active_power_setpoint",)


@pytest.fixture
def storage() -> Device:
    """A battery of 60 kW that does nothing by itself."""
    return Device("bat1", 60_000.0, 0.0, role="battery", names=SETPOINT)


def extremes(world: World, seconds: float) -> tuple[float, float]:
    """The lowest and the highest power at the PCC in that time, in W."""
    seen = []
    for _ in range(round(seconds / STEP_S)):
        world.step()
        seen.append(world.pcc_w)
    return min(seen), max(seen)


@pytest.mark.parametrize("case", UNEVEN, ids=str)
def test_a_step_is_answered_as_fast_as_its_device_can_and_without_swinging(case: Case) -> None:
    response = respond(case)

    assert response.settled_s <= response.allowed_s
    assert response.overshoot <= 5.0
    assert response.swing <= 1.0
    assert response.writes <= 12


@pytest.mark.parametrize("case", EVEN, ids=str)
def test_a_meter_that_tells_a_second_late_what_it_saw_makes_no_loop_swing(case: Case) -> None:
    response = respond(replace(case, meter_delay_s=1.0))

    assert response.settled_s <= response.allowed_s + 1.0
    assert response.overshoot <= 5.0
    assert response.swing <= 1.0


@pytest.mark.parametrize("function", ["set_active_power", "limit_active_power"])
def test_the_noise_of_a_meter_of_class_0_5_is_not_hunted(function: str) -> None:
    world = World(Device("inv1", 60_000.0, 55_000.0, poll_s=0.2))
    world.meter_period_s, world.meter_noise_w = 0.2, 300.0
    world.run(5)
    world.send(order(world, function=function, value=20_000.0, unit="W"))
    world.run(30)
    before = len(world.writes)
    lowest, highest = extremes(world, 180)

    assert len(world.writes) - before <= 3 * 6
    assert lowest >= 20_000 - 1_200
    assert highest <= 20_000 + 600


@pytest.mark.parametrize("every_s", [1.0, 5.0])
def test_a_restless_load_turns_the_battery_twice_a_minute_at_most_and_the_mean_is_kept(
    storage: Device, every_s: float
) -> None:
    """45 kW that move by 10 kW either way, under an import limit of 40 kW."""
    storage.poll_s = 0.2
    world = World(storage, load_w=45_000.0)
    world.meter_period_s = 0.2
    world.run(5)
    world.send(order(world, function="limit_import", value=40_000.0, unit="W"))
    chance = random.Random(3)
    imported = []
    minutes = 6
    for number in range(round(minutes * 60 / STEP_S)):
        if number % round(every_s / STEP_S) == 0:
            world.load_w = 45_000.0 + chance.uniform(-10_000.0, 10_000.0)
        world.step()
        imported.append(-world.pcc_w)

    values = [value for _, _, value in world.writes if isinstance(value, float)]
    trend = [after > before for before, after in pairwise(values) if after != before]
    turns = sum(before is not after for before, after in pairwise(trend))
    assert trend, "the battery follows the load"
    assert turns <= 2 * minutes
    assert sum(imported) / len(imported) <= 40_000
    assert sum(power > 41_200 for power in imported) <= 0.05 * len(imported)


def test_one_peak_of_the_load_is_followed_back_at_once(storage: Device) -> None:
    """Waiting is for a load that is restless: the battery gives no minute of energy that nobody needs."""
    world = World(storage, load_w=30_000.0)
    world.run(5)
    world.send(order(world, function="limit_import", value=40_000.0, unit="W"))
    world.run(10)
    world.load_w = 55_000.0
    world.run(10)
    assert storage.power_w == pytest.approx(15_000, abs=600)
    world.load_w = 30_000.0
    world.run(10)

    assert storage.power_w == pytest.approx(0, abs=600)


@pytest.mark.parametrize(("away", "back"), [(90_000.0, 30_000.0), (-90_000.0, 20_000.0)])
def test_ten_minutes_beyond_reach_wind_nothing_up(storage: Device, away: float, back: float) -> None:
    """The way back takes as long as if the goal had just been met: nothing has to be unwound first."""
    storage.t90_s, storage.dead_time_s = 5.0, 1.0
    world = World(storage, rated_w=100_000.0, load_w=0.0)
    world.run(5)
    world.send(order(world, "far", function="set_active_power", value=away, unit="W"))
    world.run(600)
    assert abs(world.pcc_w) == pytest.approx(60_000, abs=600)
    world.send(order(world, "near", function="set_active_power", value=back, unit="W"))
    world.run(1.0 + 5.0 * 2.0)
    lowest, highest = extremes(world, 60)

    assert back - 2_000 <= lowest <= highest <= back + 2_000


STALE_S = 3.0 + STEP_S
"""The age from which a value is stale, and a tick."""


def test_without_the_meter_an_export_limit_counts_on_no_load() -> None:
    world = World(Device("inv1", 60_000.0, 55_000.0))
    world.run(5)
    world.send(order(world))
    world.run(10)
    assert world.devices["inv1"].registers["active_power_limit"] == pytest.approx(42_000, abs=300)
    world.meter_online = False
    world.run(STALE_S + STEP_S)

    assert world.devices["inv1"].registers["active_power_limit"] == pytest.approx(36_000, abs=1)


def test_without_the_meter_an_import_limit_counts_on_the_highest_load_lately_known(storage: Device) -> None:
    """With no load counted, the battery would be let go while the load is there; so the limit holds up to that peak."""
    world = World(storage, load_w=58_000.0)
    world.run(5)
    world.send(order(world, function="limit_import", value=40_000.0, unit="W"))
    world.run(10)
    world.load_w = 50_000.0
    world.run(10)
    world.meter_online = False
    world.run(STALE_S + STEP_S)
    assert storage.registers["active_power_setpoint"] == pytest.approx(18_000, abs=600)
    world.run(3)
    world.load_w = 57_000.0
    lowest, _ = extremes(world, 30)

    assert lowest >= -40_000 - 300


def test_the_return_of_the_meter_closes_an_export_limit_without_going_over_it() -> None:
    world = World(Device("inv1", 60_000.0, 55_000.0))
    world.run(5)
    world.send(order(world))
    world.run(10)
    world.meter_online = False
    world.run(300)
    world.load_w = 9_000.0
    world.meter_online = True
    _, highest = extremes(world, 20)

    assert highest <= 36_000 + 300
    assert world.pcc_w == pytest.approx(36_000, abs=600)


def test_the_return_of_the_meter_closes_an_import_limit_without_a_dip(storage: Device) -> None:
    world = World(storage, load_w=55_000.0)
    world.run(5)
    world.send(order(world, function="limit_import", value=40_000.0, unit="W"))
    world.run(10)
    world.meter_online = False
    world.run(60)
    world.meter_online = True
    lowest, highest = extremes(world, 20)

    assert -40_000 - 300 <= lowest <= highest <= -40_000 + 1_200


@pytest.mark.parametrize("silent", [False, True], ids=["offline", "silent"])
@pytest.mark.parametrize(
    ("function", "value"),
    [("limit_active_power", 40_000.0), ("set_active_power", 40_000.0)],
    ids=["limit", "set-point"],
)
def test_a_der_that_is_lost_at_full_power_is_made_up_for_within_10_s(function: str, value: float, silent: bool) -> None:
    """One of two inverters is no longer heard and goes on with all it has: the other gives way."""
    lost = Device("inv1", 30_000.0, 28_000.0, t90_s=2.0, dead_time_s=0.5)
    other = Device("inv2", 60_000.0, 55_000.0, t90_s=2.0, dead_time_s=0.5)
    world = World(lost, other, rated_w=90_000.0)
    world.run(5)
    world.send(order(world, function=function, value=value, unit="W"))
    world.run(30)
    assert world.pcc_w == pytest.approx(value, abs=1_800)
    lost.online, lost.silent = silent, silent
    lost.registers["active_power_limit"] = None
    world.run(10)
    lowest, highest = extremes(world, 60)

    assert value - 1_800 <= lowest <= highest <= value + 1_800


@pytest.mark.parametrize("gives", [0.0, 20_000.0], ids=["nothing", "all it has"])
def test_a_battery_that_is_lost_above_an_import_floor_is_made_up_for_within_10_s(gives: float) -> None:
    one, two = (
        Device(id_, 20_000.0, 0.0, role="battery", names=SETPOINT, t90_s=3.0, dead_time_s=1.0) for id_ in ("b1", "b2")
    )
    world = World(one, two, load_w=55_000.0)
    world.run(5)
    world.send(order(world, function="limit_import", value=40_000.0, unit="W"))
    world.run(30)
    assert world.pcc_w == pytest.approx(-40_000, abs=1_200)
    one.online = False
    one.registers["active_power_setpoint"], one.available_w = None, gives
    world.run(10)
    lowest, _ = extremes(world, 60)

    assert lowest >= -40_000 - 1_200
    assert two.power_w == pytest.approx(max(15_000 - gives, 0.0), abs=1_200)


def test_a_floor_that_is_tightened_while_the_meter_is_gone_still_counts_on_the_highest_load() -> None:
    """40 kW from the grid at most, then 30 kW: with no load counted on, the battery would give nothing."""
    battery = Device("bat1", 60_000.0, 0.0, role="battery", names=("active_power_setpoint",))
    world = World(battery, load_w=55_000.0, rated_w=100_000.0)
    world.run(5)
    world.send(order(world, function="limit_import", value=40_000.0, unit="W"))
    world.run(15)
    world.meter_online = False
    world.run(10)
    world.send(order(world, "b", function="limit_import", value=30_000.0, unit="W"))
    world.run(10)

    assert battery.power_w >= 24_500
