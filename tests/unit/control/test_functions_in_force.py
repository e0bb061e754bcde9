"""Every function of the contract as an order: accepted, written, measured, ended; in virtual time."""

from __future__ import annotations

import json

import pytest

from gateway.characteristic import Curve, Droop, to_text
from gateway.control.fallback import CLOCK, METER, UPLINK
from gateway.control.plant import Action, Der, Fallback, Ramps
from gateway.control.pq import PqCapability
from gateway.model import Cancellation, Kind, Ramp, Reserve, Schedule, Status
from tests.unit.control.world import Device, World, order

VOLT_VAR = ((0.92, 0.44), (0.98, 0.0), (1.02, 0.0), (1.08, -0.44))
LFSM_O = Droop(deadband_hz=0.2, droop=0.05, sides="over")


def last(world: World, id_: str = "a") -> Status:
    return world.said(id_)[-1]


@pytest.fixture
def storage() -> Device:
    """A battery of 30 kW, 60 kWh, half full, that does nothing by itself."""
    names = ("active_power_setpoint", "reactive_power_setpoint")
    return Device("bat1", rated_w=30_000.0, available_w=0.0, role="battery", names=names, soc=50.0, energy_wh=60_000.0)


def test_an_import_limit_makes_the_battery_give_what_is_missing_and_no_more(storage: Device) -> None:
    world = World(storage, load_w=30_000.0, rated_w=50_000.0)
    world.run(5)
    world.send(order(world, function="limit_import", value=40_000.0, unit="W"))
    world.run(10)
    assert storage.registers["active_power_setpoint"] is None, "30 kW are below 40 kW"
    assert last(world) is Status.EFFECTIVE

    world.load_w = 55_000.0
    world.run(10)
    assert -40_800 <= world.pcc_w <= -39_000
    assert last(world) is Status.EFFECTIVE

    world.load_w = 30_000.0
    world.run(15)
    assert storage.registers["active_power_setpoint"] is None, "it is left to itself again"
    world.send(Cancellation("a", 1))
    world.run(2)
    assert last(world) is Status.CANCELLED
    assert world.holds == {}


def test_an_import_limit_that_the_battery_cannot_keep_says_so(storage: Device) -> None:
    world = World(storage, load_w=80_000.0, rated_w=90_000.0)
    world.run(5)
    world.send(order(world, function="limit_import", value=40_000.0, unit="W", end=world.now.wall + 40))
    world.run(20)
    assert storage.power_w == pytest.approx(30_000, abs=300)
    assert last(world) is Status.STARTED
    world.run(30)

    assert last(world) is Status.FAILED


def test_a_peak_within_a_quarter_of_an_hour_is_made_good_by_its_rest(storage: Device) -> None:
    """With 55 kW for 5 of 15 minutes at a limit of 40 kW for the mean, the rest may be 32.5 kW."""
    world = World(storage, load_w=55_000.0, rated_w=60_000.0)
    world.wall_shift += 900 - (world.wall_shift + world.mono) % 900 - 5
    world.run(6)
    begin = world.mono
    energy = 0.0
    world.devices["bat1"].online = True
    world.send(order(world, function="limit_import", value=40_000.0, unit="W", mean_s=900.0))
    while world.mono < begin + 898:
        world.load_w = 55_000.0 if world.mono < begin + 300 else 45_000.0
        world.step()
        energy += max(-world.pcc_w, 0.0) * 0.1

    assert energy / 900 <= 40_000 * 1.01


def test_an_export_limit_is_a_limit_at_the_meter(world: World) -> None:
    world.send(order(world, function="limit_export", value=20_000.0, unit="W"))
    world.run(20)

    assert world.pcc_w == pytest.approx(20_000, abs=600)
    assert last(world) is Status.EFFECTIVE


@pytest.mark.parametrize(("excitation", "sign"), [("over", 1), ("under", -1)])
def test_a_power_factor_follows_the_active_power(world: World, pv: Device, excitation: str, sign: int) -> None:
    world.send(order(world, target="inv1", function="set_power_factor", value=0.9, unit="", excitation=excitation))
    world.run(20)
    assert pv.reactive_var == pytest.approx(sign * 0.484322 * pv.power_w, rel=0.02)
    assert last(world) is Status.EFFECTIVE

    pv.available_w = 20_000.0
    world.run(20)
    assert pv.reactive_var == pytest.approx(sign * 0.484322 * 20_000, rel=0.03)


def test_a_device_that_knows_power_factors_only_is_given_one() -> None:
    pv = Device("inv1", 60_000.0, 55_000.0, names=("active_power_limit", "power_factor_setpoint"))
    world = World(pv)
    world.run(5)
    world.send(order(world, target="inv1", function="set_power_factor", value=0.95, unit="", excitation="under"))
    world.run(5)

    assert pv.registers["power_factor_setpoint"] == -0.95
    assert world.outcome is not None
    assert [one.execution for one in world.outcome.mirror.quantities] == ["device"]


@pytest.mark.parametrize(("voltage", "share"), [(0.95, 0.22), (1.0, 0.0), (1.05, -0.22), (1.10, -0.44)], ids=str)
def test_volt_var_at_the_pcc_is_done_by_the_tick(world: World, voltage: float, share: float) -> None:
    world.voltage_pu = voltage
    world.run(1)
    world.send(order(world, function="volt_var", value=None, unit="", curve=VOLT_VAR, response_s=5.0))
    world.run(30)

    assert world.pcc_var == pytest.approx(share * 60_000, abs=600)
    assert last(world) is Status.EFFECTIVE
    assert world.outcome is not None
    assert [one.execution for one in world.outcome.mirror.quantities] == ["local"]


def test_a_preset_is_a_curve_by_its_name(world: World) -> None:
    world.voltage_pu = 1.05
    world.run(1)
    world.send(order(world, function="volt_var", value=None, unit="", preset="ieee1547-2018-b"))
    world.send(order(world, "b", function="volt_var", value=None, unit="", preset="ieee1547-2018-c"))
    world.run(30)

    assert world.pcc_var == pytest.approx(-0.22 * 60_000, abs=600)
    assert world.code("b") == "malformed"


def test_volt_watt_limits_and_the_tighter_of_it_and_an_order_stands(world: World, pv: Device) -> None:
    world.voltage_pu = 1.08
    world.run(1)
    curve = ((1.06, 1.0), (1.10, 0.2))
    world.send(order(world, target="inv1", function="volt_watt", value=None, unit="", curve=curve, response_s=5.0))
    world.send(order(world, "b", target="inv1", value=80.0))
    world.run(30)
    assert pv.power_w == pytest.approx(0.6 * 60_000, abs=600)

    world.voltage_pu = 1.0
    world.run(40)
    assert pv.power_w == pytest.approx(0.8 * 60_000, abs=600)


def test_a_device_that_does_the_function_itself_is_given_it_and_gets_back_what_stood() -> None:
    pv = Device("inv1", 60_000.0, 55_000.0, names=("active_power_limit", "reactive_power_setpoint", "volt_var"))
    before = to_text(Curve(((0.9, 0.2), (1.1, -0.2)), 10.0))
    pv.registers["volt_var"] = before
    world = World(pv)
    world.voltage_pu = 1.0
    world.run(5)
    world.send(order(world, target="inv1", function="volt_var", value=None, unit="", curve=VOLT_VAR, response_s=5.0))
    world.run(10)
    written = pv.registers["volt_var"]
    assert isinstance(written, str)
    assert json.loads(written) == {"points": [list(point) for point in VOLT_VAR], "response_s": 5.0}
    assert last(world) is Status.EFFECTIVE
    assert pv.registers["reactive_power_setpoint"] is None
    assert len(world.writes) == 1
    assert world.outcome is not None
    assert [one.execution for one in world.outcome.mirror.quantities] == ["device"]

    world.send(Cancellation("a", 1))
    world.run(5)
    assert pv.registers["volt_var"] == before
    assert world.holds == {}


def test_only_one_reactive_function_is_active_in_a_device(pv: Device) -> None:
    """A set-point of a higher kind takes the place of the device's own curve, and gives it back."""
    pv = Device("inv1", 60_000.0, 55_000.0, names=("active_power_limit", "reactive_power_setpoint", "volt_var"))
    world = World(pv)
    world.voltage_pu = 1.0
    world.run(5)
    world.send(order(world, target="inv1", function="volt_var", value=None, unit="", curve=VOLT_VAR))
    world.run(5)
    assert pv.registers["volt_var"] is not None
    world.send(
        order(world, "e", target="inv1", function="set_reactive_power", value=9_000.0, unit="var", kind=Kind.EMERGENCY)
    )
    world.run(10)
    assert pv.registers["volt_var"] is None
    assert pv.registers["reactive_power_setpoint"] == pytest.approx(9_000.0)
    assert last(world) is Status.DEVIATING
    assert world.code() == "overridden"

    world.send(Cancellation("e", 1))
    world.run(10)
    assert pv.registers["volt_var"] is not None
    assert pv.registers["reactive_power_setpoint"] is None


def test_over_frequency_lowers_the_power_and_no_order_keeps_it_up(world: World, pv: Device) -> None:
    """LFSM-O at 5 %: 80 % of what was given at 50.7 Hz, 60 % at 51.2 Hz."""
    world.frequency_hz = 50.0
    world.run(1)
    world.send(order(world, target="inv1", function="frequency_droop", value=None, unit="", droop=LFSM_O))
    world.run(10)
    assert last(world) is Status.EFFECTIVE, "within its deadband a droop has nothing to say, and is obeyed"
    assert pv.registers["active_power_limit"] is None
    world.frequency_hz = 50.7
    world.run(10)
    assert pv.power_w == pytest.approx(0.8 * 55_000, rel=0.02)
    world.send(order(world, "b", target="inv1", value=100.0))
    world.frequency_hz = 51.2
    world.run(10)
    assert pv.power_w == pytest.approx(0.6 * 55_000, rel=0.02)
    world.frequency_hz = 50.0
    world.run(15)

    assert pv.power_w == pytest.approx(55_000, rel=0.02)


def test_under_frequency_raises_the_battery_beyond_its_setpoint(storage: Device) -> None:
    world = World(storage, load_w=0.0, rated_w=30_000.0)
    world.frequency_hz = 50.0
    world.run(5)
    droop = Droop(deadband_hz=0.2, droop=0.05, sides="under", reference="nominal")
    world.send(order(world, target="bat1", function="set_active_power", value=-18_000.0, unit="W"))
    world.send(order(world, "f", target="bat1", function="frequency_droop", value=None, unit="", droop=droop))
    world.run(10)
    assert storage.power_w == pytest.approx(-18_000, abs=300)
    world.frequency_hz = 49.5
    world.run(10)

    assert storage.power_w == pytest.approx(-18_000 + 0.12 * 30_000, abs=300)
    assert last(world) is Status.DEVIATING


def test_a_droop_that_is_faster_than_its_device_is_refused_with_the_reason(pv: Device) -> None:
    world = World(pv, how={"inv1": Der("inv1", "pv", 60_000.0, latency_s=1.7)})
    world.frequency_hz = 50.0
    world.run(5)
    fast = Droop(deadband_hz=0.2, droop=0.05, response_s=0.5)
    world.send(order(world, target="inv1", function="frequency_droop", value=None, unit="", droop=fast))
    world.run(1)

    assert world.code() == "unsupported_function"


def test_a_schedule_is_followed_from_step_to_step_and_ends(storage: Device) -> None:
    world = World(storage, load_w=0.0, rated_w=30_000.0)
    world.run(5)
    start = world.now.wall + 10
    schedule = Schedule(30.0, (10_000.0, -5_000.0, 3_000.0))
    world.send(
        order(
            world,
            target="bat1",
            function="set_active_power",
            value=None,
            unit="W",
            schedule=schedule,
            start=start,
            end=start + 90,
        )
    )
    world.run(5)
    assert storage.power_w == 0.0
    for goal in schedule.values:
        world.run(30)
        assert storage.power_w == pytest.approx(goal, abs=600)
    world.run(10)
    assert last(world) is Status.COMPLETED
    assert storage.registers["active_power_setpoint"] is None


def test_a_schedule_with_one_value_out_of_range_is_refused_as_a_whole(storage: Device) -> None:
    world = World(storage, load_w=0.0, rated_w=30_000.0)
    world.run(5)
    start = world.now.wall + 10
    schedule = Schedule(900.0, (10_000.0, 31_000.0))
    world.send(
        order(world, target="bat1", function="set_active_power", value=None, unit="W", schedule=schedule, start=start)
    )
    world.run(1)

    assert world.code() == "out_of_range"


def test_an_emergency_interrupts_a_schedule_which_then_goes_on(storage: Device) -> None:
    world = World(storage, load_w=0.0, rated_w=30_000.0)
    world.run(5)
    schedule = Schedule(60.0, (10_000.0, 12_000.0, 14_000.0))
    common: dict[str, object] = {"target": "bat1", "function": "set_active_power", "unit": "W"}
    world.send(order(world, value=None, schedule=schedule, start=world.now.wall, **common))
    world.run(10)
    world.send(order(world, "e", issuer="tso", value=0.0, kind=Kind.EMERGENCY, **common))
    world.run(20)
    assert storage.power_w == pytest.approx(0, abs=600)
    assert world.code() == "overridden"
    world.send(Cancellation("e", 1))
    world.run(50)

    assert storage.power_w == pytest.approx(12_000, abs=600)
    assert last(world) is Status.EFFECTIVE


def test_a_reserve_keeps_headroom_free_and_says_when_it_cannot(storage: Device) -> None:
    world = World(storage, load_w=0.0, rated_w=30_000.0)
    world.run(5)
    common: dict[str, object] = {"target": "bat1", "function": "set_active_power", "unit": "W"}
    world.send(
        order(world, function="reserve", target="bat1", value=None, unit="", reserve=Reserve(10_000.0, 25_000.0))
    )
    world.send(order(world, "s", value=28_000.0, **common))
    world.run(15)
    assert storage.power_w == pytest.approx(20_000, abs=300)
    assert last(world) is Status.EFFECTIVE
    assert world.code("s") is None
    assert world.said("s")[-1] is Status.STARTED

    storage.soc = 0.0
    world.run(10)
    assert last(world) is Status.DEVIATING


def test_disconnect_switches_off_and_connect_takes_its_place(pv: Device) -> None:
    pv = Device("inv1", 60_000.0, 55_000.0, names=("active_power_limit", "connect"))
    world = World(pv)
    world.run(5)
    world.send(order(world, function="disconnect", value=None, unit="", target="plant"))
    world.run(10)
    assert pv.registers["connect"] == 0.0
    assert last(world) is Status.EFFECTIVE
    world.send(order(world, "c", function="connect", value=None, unit="", target="plant"))
    world.run(10)

    assert last(world) is Status.SUPERSEDED
    assert pv.registers["connect"] == 1.0
    assert last(world, "c") is Status.EFFECTIVE


def test_a_device_without_a_switch_gives_nothing_while_it_is_to_be_off(pv: Device, storage: Device) -> None:
    storage.available_w = storage.power_w = 8_000.0
    world = World(pv, storage, rated_w=90_000.0)
    world.run(5)
    world.send(order(world, function="disconnect", value=None, unit="", target="plant"))
    world.run(10)
    assert pv.power_w == pytest.approx(0, abs=600)
    assert storage.power_w == pytest.approx(0, abs=300)
    assert last(world) is Status.EFFECTIVE
    world.send(Cancellation("a", 1))
    world.run(10)

    assert pv.power_w == pytest.approx(55_000, abs=600)
    assert storage.registers["active_power_setpoint"] is None


def test_after_a_disconnection_power_comes_back_no_faster_than_the_site_allows(pv: Device) -> None:
    world = World(pv, ramps=Ramps(reconnect=600.0))
    world.run(5)
    world.send(order(world, function="disconnect", value=None, unit="", target="inv1"))
    world.run(10)
    world.send(Cancellation("a", 1))
    world.run(30)
    assert pv.power_w == pytest.approx(600 * 30, rel=0.15)
    world.run(80)

    assert pv.power_w == pytest.approx(55_000, abs=600)
    assert pv.registers["active_power_limit"] is None, "the ceiling is gone with its work"


def test_after_a_limit_power_comes_back_no_faster_than_the_site_allows(pv: Device) -> None:
    world = World(pv, load_w=0.0, ramps=Ramps(release=600.0))
    world.run(5)
    world.send(order(world, value=20.0))
    world.run(10)
    world.send(Cancellation("a", 1))
    world.run(30)
    assert world.pcc_w == pytest.approx(12_000 + 600 * 30, rel=0.15)
    world.run(60)

    assert world.pcc_w == pytest.approx(55_000, abs=600)
    assert pv.registers["active_power_limit"] is None


def test_an_emergency_has_a_ramp_of_its_own(world: World) -> None:
    pv = Device("inv1", 60_000.0, 55_000.0)
    slow = World(pv, ramps=Ramps(normal=Ramp(100.0, 100.0), emergency=Ramp()))
    slow.run(5)
    slow.send(order(slow, kind=Kind.EMERGENCY, value=0.0))
    slow.run(10)

    assert slow.pcc_w <= 600


def test_steps_are_rounded_down_to_what_a_relay_knows(pv: Device) -> None:
    pv.available_w = 60_000.0
    how = {"inv1": Der("inv1", "pv", 60_000.0, steps=(0.0, 0.3, 0.6, 1.0))}
    world = World(pv, load_w=0.0, how=how)
    world.run(5)
    world.send(order(world, value=50.0, target="plant"))
    world.run(10)

    assert pv.registers["active_power_limit"] == pytest.approx(18_000.0)
    assert last(world) is Status.EFFECTIVE


def test_by_merit_the_second_device_moves_when_the_first_has_no_more() -> None:
    names = ("active_power_setpoint",)
    first = Device("b1", 30_000.0, 0.0, role="battery", names=names)
    second = Device("b2", 30_000.0, 0.0, role="battery", names=names)
    how = {"b1": Der("b1", "battery", 30_000.0, merit=2), "b2": Der("b2", "battery", 30_000.0, merit=1)}
    world = World(first, second, load_w=0.0, how=how, strategy="merit")
    world.run(5)
    world.send(order(world, target="plant", function="set_active_power", value=40_000.0, unit="W"))
    world.run(10)

    assert (first.power_w, second.power_w) == (pytest.approx(10_000, abs=300), pytest.approx(30_000, abs=300))


def test_states_of_charge_meet() -> None:
    names = ("active_power_setpoint",)
    full = Device("b1", 30_000.0, 0.0, role="battery", names=names, soc=80.0, energy_wh=5_000.0)
    low = Device("b2", 30_000.0, 0.0, role="battery", names=names, soc=40.0, energy_wh=5_000.0)
    world = World(full, low, load_w=0.0, strategy="soc")
    world.run(5)
    world.send(order(world, target="plant", function="set_active_power", value=12_000.0, unit="W"))
    world.run(300)

    assert full.soc is not None
    assert low.soc is not None
    assert 0 < full.soc - low.soc < 40
    assert full.power_w + low.power_w == pytest.approx(12_000, abs=300)


def test_an_empty_battery_leaves_its_share_to_the_other() -> None:
    names = ("active_power_setpoint",)
    spent = Device("b1", 30_000.0, 0.0, role="battery", names=names, soc=9.0, energy_wh=30_000.0)
    other = Device("b2", 30_000.0, 0.0, role="battery", names=names, soc=80.0, energy_wh=30_000.0)
    how = {"b1": Der("b1", "battery", 30_000.0, soc_min=10.0)}
    world = World(spent, other, load_w=0.0, how=how)
    world.run(5)
    world.send(order(world, target="plant", function="set_active_power", value=20_000.0, unit="W"))
    world.run(15)

    assert spent.power_w == pytest.approx(0, abs=100)
    assert other.power_w == pytest.approx(20_000, abs=300)


def test_reactive_power_has_priority_where_both_do_not_fit(pv: Device) -> None:
    pv.available_w = pv.power_w = 60_000.0
    pq = PqCapability(rated_w=60_000.0, rated_va=60_000.0)
    world = World(pv, load_w=0.0, how={"inv1": Der("inv1", "pv", 60_000.0, pq=pq)})
    world.run(5)
    world.send(order(world, target="inv1", function="set_reactive_power", value=26_400.0, unit="var"))
    world.run(15)

    assert pv.reactive_var == pytest.approx(26_400, abs=100)
    assert pv.power_w <= 53_880 * 1.01
    assert last(world) is Status.EFFECTIVE


def test_active_power_has_priority_where_the_device_says_so(pv: Device) -> None:
    pv.available_w = pv.power_w = 54_000.0
    pq = PqCapability(rated_w=60_000.0, rated_va=60_000.0)
    world = World(pv, load_w=0.0, how={"inv1": Der("inv1", "pv", 60_000.0, pq=pq, priority="active")})
    world.run(5)
    world.send(order(world, target="inv1", function="set_reactive_power", value=40_000.0, unit="var"))
    world.run(15)

    assert pv.power_w == pytest.approx(54_000, abs=300)
    assert pv.reactive_var == pytest.approx(26_153, abs=300)


def test_a_device_is_moved_no_faster_than_its_own_ramp(pv: Device) -> None:
    world = World(pv, load_w=0.0, how={"inv1": Der("inv1", "pv", 60_000.0, ramp=Ramp(down=1_000.0))})
    world.run(5)
    world.send(order(world, target="inv1", value=50.0))
    world.run(10)
    assert pv.power_w > 42_000
    world.run(25)

    assert pv.power_w == pytest.approx(30_000, abs=300)


def test_a_fallback_to_a_value_takes_its_ramp_and_lets_setpoints_go(storage: Device) -> None:
    action = Action("value", 0.0, Ramp(200.0, 200.0))
    world = World(storage, load_w=0.0, rated_w=30_000.0, fallbacks={UPLINK: Fallback(10.0, action)})
    world.heard = {"dso": world.mono + 1_000}
    world.run(5)
    world.send(order(world, function="set_active_power", value=10_000.0, unit="W"))
    world.run(15)
    world.heard = {"dso": world.mono}
    world.run(30)
    assert 4_000 < storage.power_w < 8_500
    world.run(60)
    assert storage.power_w == pytest.approx(0, abs=300)
    world.heard = {"dso": world.mono + 1_000}
    world.run(15)

    assert storage.power_w == pytest.approx(10_000, abs=300)
    assert world.events == ["fallback_begun", "fallback_ended"]


def test_a_fallback_may_take_the_devices_off_the_grid(pv: Device) -> None:
    world = World(pv, fallbacks={METER: Fallback(10.0, Action("disconnect"))})
    world.run(5)
    world.meter_online = False
    world.run(25)

    assert pv.power_w < 600


def test_a_fallback_that_stood_stands_again_after_a_restart_until_the_dso_is_heard(pv: Device) -> None:
    world = World(pv, fallbacks={UPLINK: Fallback(60.0, Action("limit", 30_000.0))})
    world.heard = {"dso": None}
    world.run(80)
    assert world.pcc_w == pytest.approx(30_000, abs=600)
    world.restart()
    world.run(20)
    assert world.pcc_w == pytest.approx(30_000, abs=600), "the wait does not begin anew"
    world.heard = {"dso": world.mono + 1_000}
    world.run(10)

    assert pv.registers["active_power_limit"] is None


def test_a_lost_clock_leads_to_its_fallback(pv: Device) -> None:
    world = World(pv, load_w=0.0, fallbacks={CLOCK: Fallback(60.0, Action("limit", 30_000.0))})
    world.run(5)
    world.clock_lost_s = 61.0
    world.run(10)
    assert world.pcc_w == pytest.approx(30_000, abs=600)
    world.clock_lost_s = 0.0
    world.run(10)

    assert pv.registers["active_power_limit"] is None


def test_the_headroom_of_a_source_is_what_it_was_held_back_from(world: World, pv: Device) -> None:
    assert world.outcome is not None
    assert world.outcome.mirror.headroom.p_up == pytest.approx(0, abs=100), "a source that is free gives all it has"
    world.send(order(world, target="inv1", value=20_000.0, unit="W"))
    world.run(10)

    assert world.outcome.mirror.headroom.p_up == pytest.approx(35_000, abs=600)


def test_the_mirror_shows_both_edges_and_what_devices_do_by_themselves(storage: Device) -> None:
    storage.names = (*storage.names, "frequency_droop")
    storage.registers["frequency_droop"] = None
    world = World(storage, load_w=0.0, rated_w=50_000.0)
    world.run(5)
    droop = Droop(deadband_hz=0.2, droop=0.05)
    world.send(order(world, function="limit_import", value=20_000.0, unit="W"))
    world.send(order(world, "e", function="limit_export", value=10_000.0, unit="W"))
    world.send(order(world, "l", target="bat1", value=5_000.0, unit="W"))
    world.send(order(world, "f", target="bat1", function="frequency_droop", value=None, unit="", droop=droop))
    world.run(10)

    assert world.outcome is not None
    shown = {(one.source, one.function, one.value, one.execution) for one in world.outcome.mirror.quantities}
    assert shown == {
        ("a", "limit_import", -20_000.0, "local"),
        ("e", "limit_export", 10_000.0, "local"),
        ("l", "limit_active_power", 5_000.0, "local"),
        ("f", "frequency_droop", None, "device"),
    }
