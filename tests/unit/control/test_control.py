"""Sharing, arbitration, the closed loop and the fallbacks."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.control.allocation import share
from gateway.control.fallback import METER, UPLINK
from gateway.control.functions.ramp import toward
from gateway.control.plant import Action, Fallback
from gateway.model import Activation, Band, Cancellation, Kind, Measurement, Ramp, Status
from tests.unit.control.world import Device, World, order

numbers = st.floats(min_value=-1e6, max_value=1e6)


@st.composite
def bands(draw: st.DrawFn) -> Band:
    lo, hi = sorted((draw(numbers), draw(numbers)))
    return Band(lo, hi)


@given(bands(), st.lists(st.tuples(st.none() | numbers, st.none() | numbers), max_size=8))
def test_no_statement_ever_widens_a_band(band: Band, statements: list[tuple[float | None, float | None]]) -> None:
    for lo, hi in statements:
        before, band = band, band.narrow(lo, hi)

        assert before.lo <= band.lo <= band.hi <= before.hi


@given(
    numbers,
    st.dictionaries(st.sampled_from("abcdef"), st.tuples(bands(), st.floats(min_value=1.0, max_value=1e6)), min_size=1),
)
def test_shares_lie_in_their_bands_and_sum_to_what_can_be_reached(
    total: float, devices: dict[str, tuple[Band, float]]
) -> None:
    limits = {id_: band for id_, (band, _) in devices.items()}
    shares = share(total, limits, {id_: weight for id_, (_, weight) in devices.items()})

    assert all(limits[id_].lo <= value <= limits[id_].hi for id_, value in shares.items())
    reachable = Band(sum(b.lo for b in limits.values()), sum(b.hi for b in limits.values())).clamp(total)
    assert sum(shares.values()) == pytest.approx(reachable, abs=1e-3, rel=1e-9)


@pytest.mark.parametrize(
    ("current", "goal", "ramp", "dt", "expected"),
    [
        pytest.param(100.0, 60.0, Ramp(), 0.1, 60.0, id="unlimited-is-at-once"),
        pytest.param(100.0, 60.0, Ramp(down=0.5), 40.0, 80.0, id="half-way-down"),
        pytest.param(100.0, 60.0, Ramp(down=0.5), 81.0, 60.0, id="never-past-the-goal"),
        pytest.param(0.0, 100.0, Ramp(up=10 / 60), 90.0, 15.0, id="10-percent-a-minute-after-90-s"),
        pytest.param(0.0, 100.0, Ramp(down=0.5), 0.1, 100.0, id="a-ramp-down-does-not-bind-upwards"),
    ],
)
def test_ramp(current: float, goal: float, ramp: Ramp, dt: float, expected: float) -> None:
    assert toward(current, goal, ramp, dt) == pytest.approx(expected)


@pytest.mark.parametrize("dead_time_s", [0.2, 1.0, 3.0])
@pytest.mark.parametrize("t90_s", [1.0, 10.0])
@pytest.mark.parametrize("poll_s", [0.2, 1.0])
def test_the_loop_settles_without_swinging_for_slow_and_fast_devices(
    dead_time_s: float, t90_s: float, poll_s: float
) -> None:
    """From 0.2 s to 3 s of dead time and 1 s to 10 s of lag, a step of the load included."""
    pv = Device("inv1", 60_000.0, 55_000.0, dead_time_s=dead_time_s, t90_s=t90_s, poll_s=poll_s)
    world = World(pv)
    world.run(5)
    world.send(order(world, function="set_active_power", value=20_000.0, unit="W"))
    world.run(60)
    assert world.pcc_w == pytest.approx(20_000, abs=300)
    world.load_w = 12_000.0
    world.run(60)
    crossings = 0
    side = world.pcc_w > 20_000
    for _ in range(300):
        world.step()
        crossings += (world.pcc_w > 20_000) is not side
        side = world.pcc_w > 20_000
        assert world.pcc_w == pytest.approx(20_000, abs=300)
    assert crossings <= 2


def test_a_device_that_measures_itself_wrong_is_trimmed_away(pv: Device) -> None:
    """The inverter believes to give 1 kW more than it does; the meter is right."""
    world = World(pv)
    world.run(5)
    measure = world._measure

    def off_by_1_kw() -> None:
        pv.power_w += 1_000.0
        meter, world.meter_online = world.meter_online, False
        measure()
        pv.power_w -= 1_000.0
        world.meter_online = meter
        world.image.emit([Measurement("pcc.active_power", world.pcc_w)], world.now)

    world._measure = off_by_1_kw  # type: ignore[method-assign]  # the fault under test
    world.send(order(world, function="set_active_power", value=20_000.0, unit="W"))
    world.run(60)

    assert world.pcc_w == pytest.approx(20_000, abs=150)


def test_an_order_right_after_start_is_right_at_once(pv: Device) -> None:
    """The meter is known before the inverter: what the inverter gives is not taken for a negative load."""
    pv.online = False
    world = World(pv)
    world.run(1)
    pv.online = True
    world.run(1.1)
    world.send(order(world))
    world.run(0.3)

    assert world.writes[0][2] == pytest.approx(42_000, abs=1_000)


def test_a_device_that_has_not_told_its_power_yet_is_no_negative_load(pv: Device, battery: Device) -> None:
    """The order comes between the first answer of the inverter and the one with its power: no dip of the site."""
    pv.coy = True
    world = World(pv, battery)
    world.run(2.1)
    world.send(order(world))
    world.run(0.3)

    assert world.writes[0][2] == pytest.approx(36_000, abs=100), "the load is not known, so it counts as none"
    pv.coy = False
    world.run(10)
    assert world.pcc_w == pytest.approx(36_000, abs=600)


def test_an_idle_battery_takes_no_share_of_a_limit(pv: Device, battery: Device) -> None:
    """The sun is not curtailed for a battery that gives nothing."""
    world = World(pv, battery)
    world.run(5)
    world.send(order(world, value=36_000.0, unit="W"))
    world.run(20)

    assert world.pcc_w == pytest.approx(36_000, abs=600)
    assert battery.registers["active_power_setpoint"] is None


def test_a_discharging_battery_is_curbed_only_when_the_sun_at_zero_is_not_enough(pv: Device, battery: Device) -> None:
    battery.available_w = battery.power_w = 28_000.0
    world = World(pv, battery)
    world.run(5)
    world.send(order(world, value=18_000.0, unit="W"))
    world.run(30)
    assert world.pcc_w == pytest.approx(18_000, abs=600)
    assert pv.power_w < 600

    world.send(order(world, "b", value=50_000.0, unit="W"))
    world.run(30)
    assert world.pcc_w == pytest.approx(50_000, abs=900)
    world.send(Cancellation("b", 1))
    world.run(10)
    assert battery.registers["active_power_setpoint"] is None


def test_a_setpoint_is_met_by_the_battery_while_the_sun_gives_what_it_has(pv: Device, battery: Device) -> None:
    world = World(pv, battery)
    world.run(5)
    world.send(order(world, function="set_active_power", value=30_000.0, unit="W"))
    world.run(30)

    assert world.pcc_w == pytest.approx(30_000, abs=600)
    assert pv.power_w == pytest.approx(55_000, abs=600)
    assert battery.power_w == pytest.approx(-19_000, abs=900)


def test_a_setpoint_below_what_the_battery_can_absorb_limits_the_sun(pv: Device, battery: Device) -> None:
    world = World(pv, battery)
    world.run(5)
    world.send(order(world, function="set_active_power", value=5_000.0, unit="W"))
    world.run(30)

    assert world.pcc_w == pytest.approx(5_000, abs=600)


def test_reactive_power_is_shared_by_rating_and_proven_at_the_meter(pv: Device, battery: Device) -> None:
    world = World(pv, battery)
    world.run(5)
    world.send(order(world, function="set_reactive_power", value=9_000.0, unit="var"))
    world.run(20)

    assert world.said()[-1] is Status.EFFECTIVE
    assert world.pcc_var == pytest.approx(9_000, abs=200)
    assert pv.reactive_var == pytest.approx(2 * battery.reactive_var, rel=0.05)


def test_a_limit_in_per_cent_of_a_register_is_written_in_per_cent() -> None:
    pv = Device("inv1", 60_000.0, 55_000.0, unit="%", names=("active_power_limit",))
    world = World(pv)
    world.run(5)
    world.send(order(world, target="inv1", value=30.0))
    world.run(10)

    assert pv.registers["active_power_limit"] == pytest.approx(30.0)
    assert world.said()[-1] is Status.EFFECTIVE


def test_an_order_at_a_device_leaves_the_others_alone(pv: Device) -> None:
    other = Device("inv2", rated_w=60_000.0, available_w=30_000.0)
    world = World(pv, other, rated_w=120_000.0)
    world.run(5)
    world.send(order(world, target="inv2", value=10_000.0, unit="W"))
    world.run(10)

    assert other.power_w == pytest.approx(10_000, abs=100)
    assert pv.registers["active_power_limit"] is None


def test_a_lost_device_is_made_up_for_by_the_others(pv: Device) -> None:
    """One of two inverters no longer answers and goes on at full power: the other gives way."""
    other = Device("inv2", rated_w=60_000.0, available_w=20_000.0)
    world = World(pv, other, rated_w=120_000.0)
    world.run(5)
    world.send(order(world, value=40_000.0, unit="W"))
    world.run(15)
    assert world.pcc_w == pytest.approx(39_000, abs=2_000), "the inverter with little sun leaves its share to the other"
    other.online = False
    other.registers["active_power_limit"] = None
    world.run(10)

    assert world.pcc_w <= 40_000 + 1_200


def test_a_lost_meter_opens_the_loop_and_the_limit_stays_in_force(world: World, pv: Device) -> None:
    """What the site consumes is no longer known, so all of it counts as gone."""
    world.send(order(world))
    world.run(10)
    world.meter_online = False
    world.run(15)

    assert pv.power_w <= 36_000 + 600


def test_the_setpoint_of_a_higher_kind_wins_and_the_lower_says_so(battery: Device) -> None:
    world = World(battery, load_w=0.0, rated_w=30_000.0)
    world.run(5)
    values: dict[str, object] = {"function": "set_active_power", "unit": "W"}
    world.send(order(world, "m", issuer="trader", kind=Kind.MARKET, value=20_000.0, **values))
    world.run(10)
    assert world.said("m")[-1] is Status.EFFECTIVE
    world.send(order(world, "d", value=-10_000.0, **values))
    world.run(10)

    assert world.pcc_w == pytest.approx(-10_000, abs=300)
    assert world.said("m")[-1] is Status.DEVIATING
    assert world.code("m") == "overridden"


def test_a_ramp_of_the_order_is_kept(world: World) -> None:
    """From 49 kW to 36 kW at 600 W/s takes over 20 s."""
    world.send(order(world, ramp_down=600.0, ramp_up=600.0))
    world.run(12)
    assert 36_000 < world.pcc_w < 46_000
    assert Status.EFFECTIVE not in world.said()
    world.run(20)

    assert world.said()[-1] is Status.EFFECTIVE


def test_a_lost_dso_leads_to_the_declared_limit_after_the_wait(pv: Device) -> None:
    world = World(pv, fallbacks={UPLINK: Fallback(60.0, Action("limit", 30_000.0))})
    world.heard = {"dso": world.mono}
    world.run(59)
    assert world.writes == []
    world.run(15)
    assert world.pcc_w == pytest.approx(30_000, abs=600)
    assert world.outcome is not None
    assert [one.source for one in world.outcome.mirror.quantities] == ["fallback:uplink_lost"]

    world.heard = {"dso": world.mono + 1_000}
    world.run(10)
    assert pv.registers["active_power_limit"] is None


def test_a_lost_meter_leads_to_the_declared_limit_after_the_wait(pv: Device) -> None:
    world = World(pv, fallbacks={METER: Fallback(10.0, Action("limit", 0.0))})
    world.run(5)
    world.meter_online = False
    world.run(9)
    assert world.writes == []
    world.run(15)

    assert pv.power_w < 600


def test_a_released_quantity_is_let_go_while_the_dso_is_lost(pv: Device) -> None:
    world = World(pv, fallbacks={UPLINK: Fallback(10.0, Action("release"))})
    world.heard = {"dso": world.mono + 1_000}
    world.send(order(world))
    world.run(10)
    world.heard = {"dso": world.mono}
    world.run(15)

    assert pv.registers["active_power_limit"] is None


def test_a_device_that_stays_away_is_told_once_and_so_is_its_return(pv: Device) -> None:
    world = World(pv, der_lost_s=30.0)
    world.run(5)
    pv.online = False
    world.run(29)
    assert world.events == []
    world.run(30)
    assert world.events == ["der_lost"]
    pv.online = True
    world.run(5)

    assert world.events == ["der_lost", "der_returned"]


def test_a_steady_order_is_not_written_over_and_over(world: World) -> None:
    world.send(order(world, target="inv1", value=50.0))
    world.run(60)

    assert len(world.writes) == 1


def test_with_reversion_armed_the_setpoint_is_refreshed_at_half_its_time(pv: Device) -> None:
    world = World(pv, revert_s=60.0)
    world.run(5)
    world.send(order(world, target="inv1", value=50.0))
    world.run(120)

    times = [mono for mono, _, _ in world.writes]
    assert len(times) == 4
    assert all(29 <= after - before <= 31 for before, after in pairwise(times))


def test_a_device_that_forgets_is_reminded_as_often_as_it_needs() -> None:
    """Its own watchdog would let the set-point go after a minute; its profile asks for a write every 30 s."""
    pv = Device("inv1", 60_000.0, 55_000.0, refresh_s=30.0)
    world = World(pv)
    world.run(5)
    world.send(order(world, target="inv1", value=50.0))
    world.run(95)

    assert len(world.writes) == 4


@settings(max_examples=25, deadline=None)
@given(st.integers(min_value=0, max_value=2**32))
def test_writes_never_come_after_their_order_ended(seed: int) -> None:
    """Ends, cancellations and losses in any order: no limit is left behind, and every life has one last word."""
    rng = random.Random(seed)
    pv = Device("inv1", 60_000.0, 55_000.0)
    world = World(pv)
    world.run(2)
    sent: list[Activation] = []
    for number in range(4):
        start = world.now.wall + rng.choice([-1, 2])
        one = order(
            world,
            f"o{number}",
            issuer=rng.choice(["dso", "other"]),
            value=rng.choice([10.0, 40.0, 80.0]),
            start=start,
            end=start + rng.choice([3, 9]),
        )
        sent.append(one)
        world.send(one)
        world.run(rng.choice([0.1, 2, 5]))
        pv.online = rng.random() > 0.2
        if rng.random() < 0.3:
            world.send(Cancellation(rng.choice(sent).id, 1))
        if rng.random() < 0.2:
            world.restart()
    pv.online = True
    world.run(30)

    assert pv.registers["active_power_limit"] is None
    assert world.holds == {}
    for one in sent:
        said = world.said(one.id)
        last_words = [s for s in said if s.value in {"completed", "cancelled", "superseded", "expired", "failed"}]
        assert len(set(last_words)) == 1, said
        assert sorted(set(world.counts(one.id))) == list(range(1, max(world.counts(one.id)) + 1))
