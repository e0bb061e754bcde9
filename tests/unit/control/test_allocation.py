"""How a total is shared: by strategy, over devices with steps and minimum powers, and without hunting."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import product
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.control.allocation import Direction, Strategy, Unit, allocate
from gateway.model import Band

FNN = (0.0, 30.0, 60.0, 100.0)
"""The relay steps of a ripple control receiver, for a device of 100 W."""
LITTLE_W = 0.01
"""Above what the allocation takes for the same power."""

strategies = st.sampled_from(get_args(Strategy))
directions = st.sampled_from(get_args(Direction))
totals = st.floats(-600, 600) | st.integers(-60, 60).map(lambda tens: 10.0 * tens)


@st.composite
def bands(draw: st.DrawFn) -> Band:
    lo, hi = sorted((draw(st.integers(-100, 100)), draw(st.integers(-100, 100))))
    return Band(float(lo), float(hi))


@st.composite
def continuous(draw: st.DrawFn) -> Unit:
    return Unit(
        band=draw(bands()),
        weight=draw(st.sampled_from([10.0, 60.0, 100.0])),
        merit=draw(st.sampled_from([0.0, 1.0, 2.0])),
        soc=draw(st.none() | st.floats(0, 1)),
        energy_wh=draw(st.none() | st.sampled_from([50.0, 200.0])),
    )


@st.composite
def any_kind(draw: st.DrawFn) -> Unit:
    unit = draw(continuous())
    return replace(
        unit,
        steps=draw(st.none() | st.just(FNN) | st.just((-100.0, -30.0, 0.0)) | st.just((0.0, 100.0))),
        min_power_w=draw(st.sampled_from([0.0, 0.0, 6.0, 40.0])),
    )


def fleet(unit: st.SearchStrategy[Unit]) -> st.SearchStrategy[dict[str, Unit]]:
    return st.dictionaries(st.sampled_from("abcdefgh"), unit, min_size=1)


def fed_back(units: Mapping[str, Unit], shares: Mapping[str, float]) -> dict[str, Unit]:
    return {id_: replace(unit, previous=shares[id_]) for id_, unit in units.items()}


def is_legal(unit: Unit, value: float) -> bool:
    if unit.steps:
        inside = [step for step in unit.steps if unit.band.lo <= step <= unit.band.hi]
        return value in inside or (not inside and value in unit.steps)
    if value == 0 and unit.min_power_w:
        return True
    return unit.band.lo <= value <= unit.band.hi and abs(value) >= unit.min_power_w


@pytest.mark.parametrize(
    ("total", "strategy", "units", "shares"),
    [
        pytest.param(
            90.0,
            "proportional",
            {"a": Unit(Band(0, 60), 60), "b": Unit(Band(0, 100), 100), "c": Unit(Band(0, 5), 20)},
            {"a": 31.875, "b": 53.125, "c": 5.0},
            id="by-weight-and-what-one-cannot-take-goes-to-the-others",
        ),
        pytest.param(
            90.0,
            "merit",
            {"a": Unit(Band(0, 60), 60, merit=2), "b": Unit(Band(0, 50), 100, merit=1), "c": Unit(Band(0, 9), 9)},
            {"a": 31.0, "b": 50.0, "c": 9.0},
            id="merit-uses-up-one-after-the-other",
        ),
        pytest.param(
            -60.0,
            "merit",
            {"a": Unit(Band(-50, 50), 50, merit=1), "b": Unit(Band(-50, 50), 50, merit=2), "pv": Unit(Band(0, 80), 80)},
            {"a": -50.0, "b": -10.0, "pv": 0.0},
            id="merit-when-charging",
        ),
        pytest.param(
            30.0,
            "merit",
            {"a": Unit(Band(0, 60), 60, merit=1), "b": Unit(Band(0, 30), 30, merit=1), "c": Unit(Band(0, 9), 9, 2)},
            {"a": 20.0, "b": 10.0, "c": 0.0},
            id="equal-merit-shares-by-weight",
        ),
        pytest.param(
            40.0,
            "soc",
            {
                "a": Unit(Band(-50, 50), 50, soc=0.9, energy_wh=100),
                "b": Unit(Band(-50, 50), 50, soc=0.3, energy_wh=100),
            },
            {"a": 30.0, "b": 10.0},
            id="the-fuller-one-gives-more",
        ),
        pytest.param(
            -40.0,
            "soc",
            {
                "a": Unit(Band(-50, 50), 50, soc=0.9, energy_wh=100),
                "b": Unit(Band(-50, 50), 50, soc=0.3, energy_wh=100),
            },
            {"a": -5.0, "b": -35.0},
            id="the-emptier-one-takes-more",
        ),
        pytest.param(
            30.0,
            "soc",
            {
                "a": Unit(Band(0, 50), 50, soc=0.5, energy_wh=200),
                "b": Unit(Band(0, 50), 50),
                "c": Unit(Band(0, 50), 50),
            },
            {"a": 10.0, "b": 10.0, "c": 10.0},
            id="without-a-state-of-charge-by-weight",
        ),
        pytest.param(
            20.0,
            "soc",
            {"a": Unit(Band(-50, 50), 50, soc=0.0, energy_wh=100), "b": Unit(Band(-9, 9), 50, soc=0.5, energy_wh=100)},
            {"a": 11.0, "b": 9.0},
            id="an-empty-one-comes-last",
        ),
        pytest.param(
            20.0,
            "soc",
            {"a": Unit(Band(0, 9), 50, soc=5e-324, energy_wh=100), "b": Unit(Band(0, 50), 50, soc=-0.1, energy_wh=100)},
            {"a": 9.0, "b": 11.0},
            id="all-but-empty-and-below-empty",
        ),
    ],
)
@pytest.mark.parametrize("direction", get_args(Direction))
def test_strategies(
    total: float, strategy: Strategy, units: dict[str, Unit], shares: dict[str, float], direction: Direction
) -> None:
    assert allocate(total, units, strategy, direction) == pytest.approx(shares, abs=LITTLE_W)


@pytest.mark.parametrize(
    ("total", "units", "at_most", "exactly"),
    [
        pytest.param(59.0, {"a": Unit(Band(0, 100), 100, steps=FNN)}, [30], [60], id="down-or-to-the-nearest"),
        pytest.param(20.0, {"a": Unit(Band(0, 100), 100, steps=FNN)}, [0], [30], id="below-the-first-step"),
        pytest.param(90.0, {"a": Unit(Band(0, 70), 100, steps=FNN)}, [60], [60], id="no-step-beyond-the-band"),
        pytest.param(90.0, {"a": Unit(Band(40, 50), 100, steps=FNN)}, [30], [30], id="no-step-inside-the-band"),
        pytest.param(
            100.0,
            {"relay": Unit(Band(0, 100), 100, steps=FNN), "pv": Unit(Band(0, 100), 100)},
            [30, 70],
            [30, 70],
            id="a-continuous-one-carries-the-rest",
        ),
        pytest.param(
            99.0,
            {"relay": Unit(Band(0, 100), 100, steps=FNN), "pv": Unit(Band(0, 20), 100)},
            [60, 20],
            [100, 0],
            id="a-continuous-one-that-is-too-small",
        ),
        pytest.param(
            130.0,
            {"a": Unit(Band(0, 100), 100, steps=FNN), "b": Unit(Band(0, 100), 100, steps=FNN)},
            [60, 60],
            [60, 60],
            id="two-relays-rise-together",
        ),
        pytest.param(
            150.0,
            {"a": Unit(Band(0, 100), 100, steps=FNN), "b": Unit(Band(0, 100), 100, steps=FNN)},
            [60, 60],
            [100, 60],
            id="one-of-two-relays-goes-nearer",
        ),
        pytest.param(5.0, {"a": Unit(Band(0, 50), 50, min_power_w=8)}, [0], [8], id="below-the-minimum-off-or-on"),
        pytest.param(-5.0, {"a": Unit(Band(-50, 50), 50, min_power_w=8)}, [-8], [-8], id="charging-at-least-that-much"),
        pytest.param(
            12.0,
            {"a": Unit(Band(0, 50), 50, min_power_w=10), "b": Unit(Band(0, 50), 50, min_power_w=10)},
            [12, 0],
            [12, 0],
            id="one-alone-where-two-would-be-too-many",
        ),
    ],
)
def test_steps_and_minimum_powers(
    total: float, units: dict[str, Unit], at_most: list[float], exactly: list[float]
) -> None:
    assert list(allocate(total, units, direction="at_most").values()) == pytest.approx(at_most)
    assert list(allocate(total, units, direction="exactly").values()) == pytest.approx(exactly)


def test_merit_decides_which_relay_goes_up() -> None:
    relay = Unit(Band(0, 100), 100, steps=FNN)
    units = {"dear": replace(relay, merit=2), "cheap": replace(relay, merit=1)}

    assert allocate(130.0, units, "merit") == {"dear": 30.0, "cheap": 100.0}


@given(totals, fleet(continuous()), strategies, directions)
def test_continuous_units_reach_the_total_or_the_nearest_their_bands_allow(
    total: float, units: dict[str, Unit], strategy: Strategy, direction: Direction
) -> None:
    shares = allocate(total, units, strategy, direction)

    reachable = Band(sum(u.band.lo for u in units.values()), sum(u.band.hi for u in units.values())).clamp(total)
    assert sum(shares.values()) == pytest.approx(reachable, abs=LITTLE_W)
    assert all(unit.band.lo <= shares[id_] <= unit.band.hi for id_, unit in units.items())


@given(totals, fleet(any_kind()), strategies, directions, st.sampled_from([0.0, 3.0]), st.data())
def test_every_share_is_one_the_device_can_take_whatever_it_had(
    total: float, units: dict[str, Unit], strategy: Strategy, direction: Direction, deadband: float, data: st.DataObject
) -> None:
    had = {id_: data.draw(st.floats(-110, 110), label=id_) for id_ in units}
    shares = allocate(total, fed_back(units, had), strategy, direction, deadband)

    assert list(shares) == list(units)
    for id_, unit in units.items():
        assert is_legal(unit, shares[id_]), (id_, unit, shares[id_])


@given(totals, fleet(any_kind()), strategies, st.sampled_from([0.0, 3.0]), st.data())
def test_at_most_is_never_exceeded_where_it_can_be_kept(
    total: float, units: dict[str, Unit], strategy: Strategy, deadband: float, data: st.DataObject
) -> None:
    had = {id_: data.draw(st.floats(-110, 110), label=id_) for id_ in units}
    lowest = sum(unit.places()[0].lo for unit in units.values())

    assert sum(allocate(total, fed_back(units, had), strategy, "at_most", deadband).values()) <= (
        max(total, lowest) + LITTLE_W
    )


@given(totals, fleet(any_kind()), strategies)
def test_at_most_lacks_less_than_the_smallest_step_that_is_left(
    total: float, units: dict[str, Unit], strategy: Strategy
) -> None:
    shares = allocate(total, units, strategy, "at_most")
    lacking = total - sum(shares.values())

    for id_, unit in units.items():
        inside = next(place for place in unit.places() if place.lo <= shares[id_] <= place.hi)
        above = min((place.lo for place in unit.places() if place.lo > inside.hi), default=None)
        if lacking > LITTLE_W:
            assert shares[id_] == inside.hi, "nobody has room left where the sum lacks"
            assert above is None or above - inside.lo > lacking


@given(totals, fleet(any_kind()), strategies)
def test_exactly_is_never_further_off_than_at_most(total: float, units: dict[str, Unit], strategy: Strategy) -> None:
    exactly, at_most = (sum(allocate(total, units, strategy, one).values()) for one in ("exactly", "at_most"))

    assert abs(exactly - total) <= abs(at_most - total) + LITTLE_W


@given(st.integers(0, 30).map(lambda tens: 10.0 * tens), st.integers(1, 3))
def test_equal_relays_come_as_near_as_any_choice_of_their_steps(total: float, count: int) -> None:
    units = {f"r{number}": Unit(Band(0, 100), 100, steps=(0.0, 50.0, 100.0)) for number in range(count)}
    sums = [sum(steps) for steps in product((0.0, 50.0, 100.0), repeat=count)]

    assert sum(allocate(total, units).values()) == max(one for one in sums if one <= total)
    found = sum(allocate(total, units, direction="exactly").values())
    assert abs(found - total) == min(abs(one - total) for one in sums)


@given(totals, fleet(continuous()), directions)
def test_none_moves_before_those_of_lower_merit_are_used_up(
    total: float, units: dict[str, Unit], direction: Direction
) -> None:
    shares = allocate(total, units, "merit", direction)
    up = total >= sum(unit.band.clamp(0.0) for unit in units.values())

    for id_, unit in units.items():
        moved = abs(shares[id_] - unit.band.clamp(0.0)) > LITTLE_W
        for other, first in units.items():
            if moved and first.merit < unit.merit:
                assert shares[other] == pytest.approx(first.band.hi if up else first.band.lo, abs=LITTLE_W)


@settings(max_examples=30)
@given(
    st.lists(st.tuples(st.floats(0.05, 0.95), st.sampled_from([50.0, 100.0, 400.0])), min_size=2, max_size=5),
    st.sampled_from([1.0, -1.0]),
)
def test_states_of_charge_meet(stores: list[tuple[float, float]], sign: float) -> None:
    """A quarter of what is possible is given, or taken, until a tenth of the energy, or of the room, is left."""
    socs = [soc for soc, _ in stores]
    energies = [energy for _, energy in stores]
    spread = max(socs) - min(socs)
    step_h = 0.05

    def left() -> list[float]:
        return socs if sign > 0 else [1 - soc for soc in socs]

    start = sum(part * energy for part, energy in zip(left(), energies, strict=True))
    for _ in range(400):
        rest = sum(part * energy for part, energy in zip(left(), energies, strict=True))
        if rest <= 0.1 * start:
            break
        units = {
            str(index): Unit(Band(-energy, energy), energy, soc=soc, energy_wh=energy)
            for index, (soc, energy) in enumerate(zip(socs, energies, strict=True))
        }
        shares = allocate(sign * min(0.25 * sum(energies), rest), units, "soc", "exactly")
        socs = [soc - shares[str(i)] * step_h / energies[i] for i, soc in enumerate(socs)]
        assert max(socs) - min(socs) <= spread + 1e-6
        spread = max(socs) - min(socs)

    assert all(-1e-6 <= soc <= 1 + 1e-6 for soc in socs)
    before = [soc for soc, _ in stores]
    assert spread <= 0.11 * (max(before) - min(before)) + 1e-6


@given(totals, fleet(any_kind()), strategies, directions, st.sampled_from([0.0, 0.5, 3.0, 12.0]), st.data())
def test_the_same_total_again_changes_nothing(
    total: float, units: dict[str, Unit], strategy: Strategy, direction: Direction, deadband: float, data: st.DataObject
) -> None:
    had = {id_: data.draw(st.none() | st.floats(-110, 110), label=id_) for id_ in units}
    units = {id_: replace(unit, previous=had[id_]) for id_, unit in units.items()}
    first = allocate(total, units, strategy, direction, deadband)

    assert allocate(total, fed_back(units, first), strategy, direction, deadband) == first


@given(totals, fleet(continuous()), strategies, st.lists(st.floats(-0.99, 0.99), max_size=4))
def test_a_set_point_that_wiggles_within_the_deadband_moves_nobody(
    total: float, units: dict[str, Unit], strategy: Strategy, wiggles: list[float]
) -> None:
    """Not around the one total at which storage turns from charging to discharging, where `soc` itself turns."""
    deadband = 3.0
    first = allocate(total, units, strategy, "exactly", deadband)
    rest = sum(unit.band.clamp(0.0) for unit in units.values())
    if strategy == "soc" and abs(total - rest) <= deadband:
        return
    for wiggle in wiggles:
        assert allocate(total + wiggle * deadband, fed_back(units, first), strategy, "exactly", deadband) == first


@given(totals, fleet(any_kind()), strategies, st.lists(st.floats(0.0, 0.99), max_size=4))
def test_a_limit_that_rises_by_less_than_the_deadband_and_falls_back_moves_nobody(
    total: float, units: dict[str, Unit], strategy: Strategy, wiggles: list[float]
) -> None:
    deadband = 3.0
    first = allocate(total, units, strategy, "at_most", deadband)
    rest = sum(unit.band.clamp(0.0) for unit in units.values())
    if strategy == "soc" and abs(total - rest) <= deadband:
        return
    for wiggle in wiggles:
        assert allocate(total + wiggle * deadband, fed_back(units, first), strategy, "at_most", deadband) == first


@given(totals, fleet(any_kind()), strategies, st.lists(st.floats(-0.49, 0.49), max_size=4))
def test_steps_stand_still_while_a_set_point_wiggles_by_less_than_half_the_deadband(
    total: float, units: dict[str, Unit], strategy: Strategy, wiggles: list[float]
) -> None:
    deadband = 3.0
    first = allocate(total, units, strategy, "exactly", deadband)
    rest = sum(unit.band.clamp(0.0) for unit in units.values())
    if strategy == "soc" and abs(total - rest) <= deadband:
        return
    for wiggle in wiggles:
        assert allocate(total + wiggle * deadband, fed_back(units, first), strategy, "exactly", deadband) == first


@pytest.mark.parametrize(
    ("direction", "totals_", "given_"),
    [
        pytest.param("at_most", [60, 59.9, 60, 61.9, 62, 60], [60, 30, 30, 30, 60, 60], id="at-most"),
        pytest.param("exactly", [46, 45, 44.1, 43.9, 45.9, 46.1], [60, 60, 60, 30, 30, 60], id="exactly"),
    ],
)
def test_a_step_up_needs_the_deadband_beyond_it(
    direction: Direction, totals_: list[float], given_: list[float]
) -> None:
    unit = Unit(Band(0, 100), 100, steps=FNN)
    found: list[float] = []
    for total in totals_:
        shares = allocate(total, {"a": unit}, "proportional", direction, 2.0)
        unit = replace(unit, previous=shares["a"])
        found.append(shares["a"])

    assert found == given_


def test_a_band_that_shrinks_is_kept_and_the_others_stay_where_they_are() -> None:
    units = {"a": Unit(Band(0, 19.5), 50, previous=20.0), "b": Unit(Band(0, 50), 50, previous=20.0)}

    assert allocate(40.0, units, "proportional", "at_most", 1.0) == {"a": 19.5, "b": 20.0}


def test_a_total_that_creeps_is_followed_before_the_sum_is_off_by_the_deadband() -> None:
    units = {id_: Unit(Band(0, 50), 50) for id_ in "abcd"}
    for tenth in range(400):
        total = 20.0 + tenth / 10
        shares = allocate(total, units, "proportional", "at_most", 1.0)
        units = fed_back(units, shares)
        assert total - 1.0 - LITTLE_W <= sum(shares.values()) <= total + LITTLE_W


def test_a_unit_that_was_given_nothing_yet_takes_its_share_and_the_others_yield() -> None:
    units = {"a": Unit(Band(0, 50), 50, previous=40.0), "new": Unit(Band(0, 50), 50)}

    assert allocate(40.0, units, "proportional", "at_most", 1.0) == {"a": 20.0, "new": 20.0}


def test_no_units_no_shares() -> None:
    assert allocate(10.0, {}) == {}
