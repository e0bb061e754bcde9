"""P(f): what is frozen, held and given back, over the course of an event."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.characteristic import Droop
from gateway.control.functions.frequency_droop import PRESETS, Event, check, decide
from gateway.control.functions.statement import SILENT, Memory, Situation, Statement
from gateway.model import Band
from tests.unit.control.vectors import obeyed, order, site

AT_ONCE = Droop(0.2, 0.05)
HELD = replace(AT_ONCE, release_delay_s=10.0, recovery_per_s=0.01)
BOTH = Droop(0.2, 0.05, reference="nominal")


class Unit:
    """A unit of 1 W that has its power from elsewhere and obeys; the frequency is looked at each second."""

    def __init__(self, droop: Droop, wanted: float, reachable: Band | None = None) -> None:
        self.order = order("frequency_droop", droop=droop)
        self.wanted = wanted
        self.power = wanted
        self.reachable = reachable or Band(0.0, 1.0)
        self.memory: Memory = None
        self.statement: Statement = SILENT

    def at(self, frequency: float | None, seconds: int = 1) -> float:
        for _ in range(seconds):
            now = site(frequency_hz=frequency, active_w=self.power, reachable=self.reachable, dt=1.0)
            self._look(now)
        return self.power

    def _look(self, now: Situation) -> None:
        statement, self.memory = decide(self.order, None, now, self.memory)
        self.statement = self.statement if statement is None else statement
        self.power = self.reachable.clamp(obeyed(self.wanted, self.statement))


def test_in_the_deadband_and_on_its_edges_the_droop_says_nothing() -> None:
    unit = Unit(BOTH, 0.5)
    for frequency in (49.8, 50.0, 50.2):
        unit.at(frequency)
        assert unit.statement == SILENT
        assert unit.memory is None


def test_above_the_band_it_is_a_ceiling_and_below_it_a_floor() -> None:
    unit = Unit(BOTH, 0.5)
    unit.at(50.7)
    assert unit.statement == Statement(hi=pytest.approx(0.3))
    unit.at(50.0)
    unit.at(49.3)
    assert unit.statement == Statement(lo=pytest.approx(0.7))


@pytest.mark.parametrize(("sides", "frequency"), [("over", 49.0), ("under", 51.0)])
def test_a_side_that_is_left_out_says_nothing(sides: str, frequency: float) -> None:
    unit = Unit(replace(BOTH, sides=sides), 0.5)
    unit.at(frequency)
    assert unit.statement == SILENT


def test_the_under_side_has_its_own_deadband_and_droop_where_they_are_given() -> None:
    unit = Unit(replace(BOTH, under_deadband_hz=0.5, under_droop=0.1), 0.5)
    unit.at(49.5)
    assert unit.statement == SILENT
    assert unit.at(49.0) == pytest.approx(0.5 + 0.5 / 5.0)


def test_fsm_answers_on_both_sides_of_a_band_of_10_mhz() -> None:
    unit = Unit(replace(PRESETS["fsm"], response_s=None), 0.5)
    assert unit.at(50.01) == 0.5
    assert unit.at(50.11) == pytest.approx(0.4)
    assert unit.at(49.89) == pytest.approx(0.5)  # from 0.4, the power as the frequency went there
    assert unit.at(50.0) == 0.5


def test_the_power_is_frozen_as_the_frequency_leaves_the_band_and_what_it_does_after_changes_nothing() -> None:
    unit = Unit(AT_ONCE, 0.8)
    assert unit.at(50.7) == pytest.approx(0.8 - 0.8 * 0.2)
    unit.power = 0.1  # a cloud
    assert unit.at(50.7) == pytest.approx(0.64)


def test_a_power_not_known_as_the_frequency_leaves_the_band_is_waited_for() -> None:
    activation = order(droop=AT_ONCE)
    out = site(frequency_hz=51.0)
    assert decide(activation, None, out, None) == (None, None)
    statement, memory = decide(activation, None, replace(out, active_w=0.8), None)
    assert statement == Statement(hi=pytest.approx(0.544))
    assert decide(activation, None, out, memory) == (statement, memory)


@pytest.mark.parametrize("frequency", [None, 0.0, 44.9, 500.0])
def test_a_frequency_not_measured_or_of_no_grid_changes_nothing(frequency: float | None) -> None:
    """A meter without voltage says 0 Hz; that must not order full power."""
    unit = Unit(BOTH, 0.5)
    unit.at(50.7)
    before = (unit.statement, unit.memory)
    unit.at(frequency)
    assert (unit.statement, unit.memory) == before
    assert decide(unit.order, None, site(frequency_hz=frequency, active_w=0.5), None) == (None, None)


def test_it_goes_down_to_p_min_and_no_further() -> None:
    assert Unit(replace(BOTH, p_min=0.3), 0.8).at(52.0) == pytest.approx(0.3)
    assert Unit(BOTH, 0.8).at(54.0) == 0.0


def test_storage_above_the_band_goes_over_into_charging_as_far_as_it_can() -> None:
    assert Unit(BOTH, 0.2, Band(-1.0, 1.0)).at(51.2) == pytest.approx(-0.2)
    assert Unit(BOTH, 0.2, Band(-0.1, 1.0)).at(51.2) == pytest.approx(-0.1)


def test_storage_that_charges_charges_more_when_the_frequency_is_high_also_of_its_frozen_power() -> None:
    assert Unit(AT_ONCE, -0.6, Band(-1.0, 1.0)).at(50.7) == pytest.approx(-0.6 - 0.6 * 0.2)


def test_storage_that_charges_is_not_asked_up_to_p_min_when_the_frequency_is_high() -> None:
    unit = Unit(replace(BOTH, p_min=0.0), -0.6, Band(-1.0, 1.0))
    assert unit.at(51.0) == -0.6


def test_the_power_approaches_the_characteristic_with_the_response_time() -> None:
    unit = Unit(replace(BOTH, response_s=5.0), 0.8)
    assert unit.at(51.2, seconds=5) == pytest.approx(0.8 - 0.9 * 0.4)


def test_without_delay_and_recovery_all_is_given_back_at_once() -> None:
    unit = Unit(AT_ONCE, 0.8)
    unit.at(51.0)
    assert unit.at(50.2) == 0.8
    assert unit.statement == SILENT
    assert unit.memory is None


def test_after_the_return_the_power_is_held_then_recovers_then_is_free() -> None:
    unit = Unit(HELD, 0.8)
    low = unit.at(51.0)
    assert low == pytest.approx(0.544)
    assert unit.at(50.0, seconds=11) == low  # seen inside at 0 s, and 10 s later
    assert unit.at(50.0, seconds=5) == pytest.approx(low + 5 * 0.01)
    assert unit.at(50.0, seconds=30) == 0.8
    unit.at(50.0, seconds=30)
    assert unit.statement == SILENT
    assert unit.memory is None


def test_the_floor_after_a_low_frequency_is_held_and_recovers_downwards() -> None:
    unit = Unit(replace(HELD, reference="nominal"), 0.5)
    high = unit.at(49.3)
    assert high == pytest.approx(0.7)
    assert unit.at(50.0, seconds=11) == high
    assert unit.at(50.0, seconds=5) == pytest.approx(high - 5 * 0.01)
    unit.at(50.0, seconds=200)
    assert unit.statement == SILENT


def test_an_excursion_while_held_goes_on_from_the_same_frozen_power_and_relaxes_nothing() -> None:
    unit = Unit(HELD, 0.8)
    low = unit.at(51.0)
    unit.at(50.0, seconds=3)
    assert unit.at(50.3) == low  # the characteristic alone would allow 0.768
    assert unit.at(51.5) == pytest.approx(0.8 - 0.8 * 1.3 / 2.5)
    assert unit.at(50.0, seconds=11) == pytest.approx(0.384)  # held from the last return on


def test_a_low_frequency_while_held_relaxes_nothing_either() -> None:
    unit = Unit(replace(HELD, reference="nominal"), 0.5)
    high = unit.at(49.3)
    unit.at(50.0, seconds=3)
    assert unit.at(49.7) == high


def test_storage_that_charges_with_all_it_has_is_held_there_after_the_return() -> None:
    unit = Unit(replace(HELD, reference="nominal"), 0.0, Band(-1.0, 1.0))
    assert unit.at(52.8) == -1.0
    assert unit.at(50.0, seconds=11) == -1.0
    assert unit.at(50.0, seconds=5) == pytest.approx(-0.95)


def test_an_excursion_while_recovering_is_a_new_event() -> None:
    unit = Unit(HELD, 0.8)
    unit.at(51.0)
    recovered = unit.at(50.0, seconds=16)
    assert unit.at(50.7) == pytest.approx(recovered - recovered * 0.2)


def test_the_other_side_of_the_band_is_a_new_event() -> None:
    unit = Unit(replace(HELD, reference="nominal"), 0.8)
    low = unit.at(51.2)
    assert low == pytest.approx(0.4)
    unit.at(49.3)
    assert unit.statement == Statement(lo=pytest.approx(low + 0.2))


def test_a_frequency_that_hovers_about_the_edge_neither_pumps_the_power_nor_wears_it_down() -> None:
    unit = Unit(HELD, 0.8)
    for _ in range(100):
        unit.at(50.205)
        unit.at(50.195)
    assert unit.power == pytest.approx(0.8 - 0.8 * 0.005 / 2.5)


@given(st.lists(st.floats(45.0, 55.0), min_size=2, max_size=10), st.floats(-1.0, 1.0), st.sampled_from(sorted(PRESETS)))
def test_the_higher_the_frequency_the_lower_the_power(frequencies: list[float], power: float, preset: str) -> None:
    droop = replace(PRESETS[preset], response_s=None)
    powers = [Unit(droop, power, Band(-1.0, 1.0)).at(frequency) for frequency in sorted(frequencies)]
    assert powers == sorted(powers, reverse=True)


@given(
    st.lists(st.floats(49.0, 52.0), min_size=1, max_size=40),
    st.floats(0.0, 1.0),
    st.floats(0.0, 1.0),
    st.sampled_from(["frozen", "nominal"]),
    st.sampled_from([None, 5.0]),
)
def test_over_frequency_never_asks_below_p_min_nor_allows_more_than_was_given(
    course: list[float], wanted: float, p_min: float, reference: str, response_s: float | None
) -> None:
    droop = replace(HELD, sides="over", p_min=p_min, reference=reference, response_s=response_s)
    unit = Unit(droop, wanted)
    for frequency in course:
        given_before = unit.power
        unit.at(frequency)
        if frequency <= 50.2:
            continue
        assert isinstance(unit.memory, Event)
        ceiling, frozen = unit.statement.hi, unit.memory.frozen_w
        assert ceiling is not None
        assert min(p_min, frozen) - 1e-9 <= ceiling <= frozen + 1e-9
        assert frozen <= wanted
        assert unit.power <= max(given_before, ceiling)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_an_order_that_is_accepted(name: str) -> None:
    assert check(order(droop=PRESETS[name]), None, Band(0.0, 1.0)) is None


@pytest.mark.parametrize(
    ("changed", "found"),
    [
        ({"deadband_hz": -0.1}, "deadband_hz: found -0.1, accepted is 0 to 1"),
        ({"deadband_hz": 50.2}, "deadband_hz: found 50.2, accepted is 0 to 1"),
        ({"under_deadband_hz": float("nan")}, "under_deadband_hz: found nan, accepted is 0 to 1"),
        ({"droop": 0.0}, "droop: found 0, accepted is 0.004 to 0.12"),
        ({"droop": 5.0}, "droop: found 5, accepted is 0.004 to 0.12"),
        ({"under_droop": 0.2}, "under_droop: found 0.2, accepted is 0.004 to 0.12"),
        ({"p_min": 20.0}, "p_min: found 20, accepted is -1 to 1"),
        ({"release_delay_s": 4000.0}, "release_delay_s: found 4000, accepted is 0 to 3600"),
        ({"recovery_per_s": 0.0}, "recovery_per_s: found 0, accepted is above 0 to 1"),
        ({"response_s": float("inf")}, "response_s: found inf s, accepted is 0 to 90 s"),
        ({"sides": "up"}, "sides: found 'up', accepted are both, over, under"),
        ({"reference": "rated"}, "reference: found 'rated', accepted are frozen, nominal"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_droop_out_of_every_grid_code_is_refused_with_what_was_found(changed: dict[str, object], found: str) -> None:
    wrong = check(order(droop=replace(AT_ONCE, **changed)), None, Band(0.0, 1.0))  # type: ignore[arg-type]
    assert wrong is not None
    assert wrong.startswith(found)


def test_an_order_without_droop_is_refused() -> None:
    assert check(order(), None, Band(0.0, 1.0)) == "droop: found none, accepted are deadband_hz and droop"
