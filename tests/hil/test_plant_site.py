"""Sun, load, grid and the plant that they make together."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.plant.battery import Battery
from hil.plant.grid import GridParameters, solve
from hil.plant.inverter import Inverter
from hil.plant.load import Load, LoadParameters
from hil.plant.site import Plant
from hil.plant.sun import Sun, SunParameters

LINE = GridParameters(source_v=400.0, r_ohm=0.04, x_ohm=0.03)


def plant(*, seed: int = 1) -> Plant:
    return Plant(
        sun=Sun(SunParameters(), seed=seed),
        inverter=Inverter(),
        battery=Battery(),
        load=Load(LoadParameters(), seed=seed + 1),
        grid=LINE,
    )


def sky(parameters: SunParameters, *, seed: int, seconds: int) -> list[float]:
    sun = Sun(parameters, seed=seed)
    powers = []
    for _ in range(seconds):
        sun.step(1.0)
        powers.append(sun.available_w)
    return powers


@pytest.mark.parametrize(
    ("active_w", "reactive_var", "voltage_v"),
    [(0.0, 0.0, 400.0), (50_000.0, 0.0, 404.939), (-50_000.0, 0.0, 394.936), (0.0, 20_000.0, 401.4945)],
    ids=["nothing flows", "export lifts", "import lowers", "over-excited lifts"],
)
def test_the_voltage_rises_with_what_is_fed_in(active_w: float, reactive_var: float, voltage_v: float) -> None:
    point = solve(LINE, [(active_w, reactive_var)])
    assert point.voltage_v == pytest.approx(voltage_v, abs=1e-3)
    assert point.phase_voltage_v == pytest.approx(voltage_v / math.sqrt(3), abs=1e-3)


@given(st.lists(st.tuples(st.floats(-5e4, 5e4), st.floats(-5e4, 5e4)), max_size=5))
def test_the_connection_point_carries_the_sum_of_all_and_satisfies_the_voltage_equation(
    powers: list[tuple[float, float]],
) -> None:
    point = solve(LINE, powers)
    assert point.active_power_w == pytest.approx(math.fsum(p for p, _ in powers), abs=1e-6)
    assert point.reactive_power_var == pytest.approx(math.fsum(q for _, q in powers), abs=1e-6)
    drop_v = (point.active_power_w * LINE.r_ohm + point.reactive_power_var * LINE.x_ohm) / point.voltage_v
    assert point.voltage_v == pytest.approx(LINE.source_v + drop_v)


def test_a_load_that_no_voltage_can_carry_is_refused() -> None:
    with pytest.raises(ValueError, match="no voltage carries -2000000 W and 0 var"):
        solve(LINE, [(-2e6, 0.0)])


def test_current_follows_from_power_and_voltage() -> None:
    assert solve(LINE, []).current_a(math.sqrt(3) * 400.0 * 10.0) == pytest.approx(10.0)


def test_a_load_wanders_about_its_base_within_its_bound_and_with_its_power_factor() -> None:
    load = Load(LoadParameters(base_w=6_000.0, unrest=0.03, power_factor=0.95), seed=4)
    powers = []
    for _ in range(20_000):
        load.step(1.0)
        powers.append(load.active_power_w)
    assert all(-6_360.0 <= power <= -5_640.0 for power in powers)
    assert max(powers) - min(powers) > 300.0
    assert sum(powers) / len(powers) == pytest.approx(-6_000.0, rel=0.01)
    apparent_va = math.hypot(load.active_power_w, load.reactive_power_var)
    assert load.active_power_w / apparent_va == pytest.approx(-0.95)
    assert load.reactive_power_var < 0


def test_a_clear_sky_stays_within_its_haze() -> None:
    powers = sky(SunParameters(clear_w=56_000.0, haze=0.03), seed=2, seconds=5_000)
    assert 54_000.0 < min(powers) < max(powers) < 58_000.0


def test_a_cloud_takes_its_depth_over_its_edge_and_gives_it_back() -> None:
    powers = sky(SunParameters(clear_w=50_000.0, haze=0.0, spell_s=60.0), seed=2, seconds=3_000)
    steps = {round(after - before) for before, after in pairwise(powers)}
    assert min(powers) == pytest.approx(15_000.0)
    assert max(powers) == pytest.approx(50_000.0)
    assert steps == {-3_500, 0, 3_500}


@pytest.mark.parametrize("parameters", [SunParameters(), SunParameters(spell_s=30.0)], ids=["clear", "clouds"])
def test_the_same_seed_gives_the_same_sky_and_another_one_another(parameters: SunParameters) -> None:
    first, again, other = (sky(parameters, seed=seed, seconds=200) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_the_meter_counts_what_flows_through_the_connection_point() -> None:
    site = plant()
    site.settle()
    flowed_wh = 0.0
    for _ in range(1_000):
        site.step(0.1)
        flowed_wh += site.point.active_power_w * 0.1 / 3600
    assert flowed_wh > 1_000.0
    assert site.export_wh - site.import_wh == pytest.approx(flowed_wh)
    assert site.import_wh == 0.0


def test_the_meter_counts_import_apart_from_export() -> None:
    site = plant()
    site.sun = Sun(SunParameters(clear_w=0.0), seed=1)
    for _ in range(100):
        site.step(0.1)
    assert site.point.active_power_w < 0
    assert site.import_wh == pytest.approx(6_000.0 * 10 / 3600, rel=0.1)
    assert site.export_wh == 0.0


def test_the_connection_point_is_the_sum_of_the_devices_at_every_step() -> None:
    site = plant()
    site.battery.discharge.put(-50.0)
    site.battery.discharge.enable(True)
    for _ in range(100):
        site.step(0.1)
        sources = [site.inverter.converter.active_power_w, site.battery.converter.active_power_w]
        assert site.point.active_power_w == pytest.approx(sum(sources) + site.load.active_power_w)
    assert site.battery.converter.active_power_w == pytest.approx(-15_000.0, rel=1e-3)


def test_the_same_seed_gives_the_same_site() -> None:
    sites = [plant(seed=seed) for seed in (5, 5, 6)]
    for site in sites:
        for _ in range(50):
            site.step(0.1)
    assert sites[0].point == sites[1].point
    assert sites[0].point != sites[2].point
