"""Peak shaving on the mean of an interval, and schedules: what depends on the clock on the wall."""

from __future__ import annotations

from datetime import datetime, timedelta
from math import inf, nan
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.control.functions.peak import check, decide
from gateway.control.functions.schedule import value_at
from gateway.control.functions.statement import Memory, Statement
from gateway.model import Band, Schedule
from tests.unit.control.vectors import order, site

BAND = Band(-1e6, 1e6)
QUARTER = 900.0
BEGIN = 2_000_000 * QUARTER
"""A quarter of an hour begins."""
LIMIT = 100e3


class Meter:
    """Looks each second (or *dt*) at what flowed, and keeps what may flow on."""

    def __init__(self, mean_s: float = QUARTER, wall: float = BEGIN, function: str = "limit_import") -> None:
        self.order = order(function, mean_s=mean_s)
        self.wall = wall
        self.memory: Memory = None
        self.allowed = self.look(0.0, dt=0.0)

    def look(self, flow: float | None, dt: float = 1.0) -> float:
        self.wall += dt
        sign = -1.0 if self.order.function == "limit_import" else 1.0
        now = site(active_w=None if flow is None else sign * flow, dt=dt, wall=self.wall)
        statement, self.memory = decide(self.order, LIMIT, now, self.memory)
        assert statement is not None
        bound, other = (statement.lo, statement.hi) if sign < 0.0 else (statement.hi, statement.lo)
        assert bound is not None
        assert other is None
        self.allowed = sign * bound
        return self.allowed

    def run(self, flow: float | None, seconds: int) -> float:
        for _ in range(seconds):
            self.look(flow)
        return self.allowed


def test_without_a_mean_the_limit_holds_at_every_moment() -> None:
    assert decide(order("limit_export"), 5e3, site(), None) == (Statement(hi=5e3), None)
    assert decide(order("limit_import"), 5e3, site(), None) == (Statement(lo=-5e3), None)
    assert decide(order("limit_import"), None, site(), "memory") == (None, "memory")


def test_a_load_at_the_limit_is_left_alone_to_the_end_of_the_interval() -> None:
    meter = Meter()
    for _ in range(2 * 900):
        assert meter.look(LIMIT) == pytest.approx(LIMIT)


@pytest.mark.parametrize("function", ["limit_import", "limit_export"])
def test_a_peak_is_made_good_in_the_rest_of_the_interval(function: str) -> None:
    assert Meter(function=function).run(120e3, 600) == pytest.approx(60e3)


def test_a_pause_may_be_used_but_not_in_one_moment() -> None:
    meter = Meter()
    assert meter.run(0.0, 450) == pytest.approx(2 * LIMIT)
    assert meter.run(0.0, 449) == pytest.approx(15 * LIMIT)


def test_a_new_interval_begins_with_all_of_its_energy() -> None:
    meter = Meter()
    meter.run(150e3, 899)
    assert meter.allowed == 0.0
    assert meter.look(LIMIT) == pytest.approx(LIMIT)


def test_a_look_that_spans_two_intervals_counts_to_each_its_own_part() -> None:
    meter = Meter(wall=BEGIN + 890.0)
    assert meter.look(200e3, dt=20.0) == pytest.approx((LIMIT * QUARTER - 200e3 * 10) / 890.0)


def test_power_that_is_not_known_counts_as_the_limit_and_never_as_0() -> None:
    meter = Meter()
    meter.run(0.0, 300)
    assert meter.run(None, 300) == pytest.approx((LIMIT * QUARTER - LIMIT * 300) / 300)


def test_the_part_of_an_interval_before_we_looked_counts_at_the_limit() -> None:
    meter = Meter(wall=BEGIN + 600.0)
    assert meter.allowed == pytest.approx(LIMIT)
    assert meter.run(120e3, 100) == pytest.approx((LIMIT * 300 - 120e3 * 100) / 200)


def test_a_gap_between_two_looks_counts_at_the_limit() -> None:
    meter = Meter()
    meter.wall += 300.0
    assert meter.run(0.0, 100) == pytest.approx((LIMIT * 900 - LIMIT * 300) / 500)


def test_what_flows_the_other_way_makes_nothing_good() -> None:
    assert Meter().run(-500e3, 450) == Meter().run(0.0, 450)


def test_a_clock_that_is_set_back_gives_no_energy_twice() -> None:
    meter = Meter()
    meter.run(120e3, 600)
    meter.wall -= 300.0
    assert meter.look(120e3) == pytest.approx((LIMIT * 900 - 120e3 * 601) / 599)


@settings(deadline=None)  # hundreds of looks an example, on a machine that others use too
@given(
    st.lists(st.floats(-2 * LIMIT, 20 * LIMIT), min_size=1, max_size=200),
    st.sampled_from([(0.2, 60.0), (4.0, 60.0), (1.0, 300.0), (60.0, 900.0)]),
)
def test_whatever_the_load_wants_a_mean_that_is_followed_keeps_the_limit(
    wanted: list[float], pace: tuple[float, float]
) -> None:
    """The load takes all that it is allowed, at looks up to END_SHARE of an interval apart, over two borders."""
    dt, mean_s = pace
    meter = Meter(mean_s)
    energies: dict[int, float] = {}
    for want in (wanted * 200)[: int(2.5 * mean_s / dt)]:
        flow = min(want, meter.allowed)
        first, last = meter.wall, meter.wall + dt
        border = (last // mean_s) * mean_s
        for begin, end in ((first, min(last, max(border, first))), (max(first, border), last)):
            key = int(begin // mean_s)
            energies[key] = energies.get(key, 0.0) + flow * (end - begin)
        meter.look(flow, dt)
    assert max(energies.values()) / mean_s <= LIMIT * (1.0 + 1e-9)


@pytest.mark.parametrize(
    ("value", "mean_s", "found"),
    [
        (None, None, "value: found none, accepted is 0 W or more"),
        (-1.0, None, "value: found -1 W, accepted is 0 W or more"),
        (nan, None, "value: found nan W"),
        (inf, None, "value: found inf W"),
        (1.0, 0.0, "mean_s: found 0 s, accepted is 60 to 3600 s"),
        (1.0, 700.0, "mean_s: found 700 s, accepted is 60 to 3600 s, in whole parts of an hour"),
        (1.0, 7200.0, "mean_s: found 7200 s"),
    ],
)
def test_a_limit_that_is_none_is_refused_with_what_was_found(
    value: float | None, mean_s: float | None, found: str
) -> None:
    assert (check(order(mean_s=mean_s), value, BAND) or "").startswith(found)


@pytest.mark.parametrize("mean_s", [None, 60.0, 300.0, 600.0, 900.0, 1800.0, 3600.0])
def test_the_intervals_of_settlement_are_accepted(mean_s: float | None) -> None:
    assert check(order(mean_s=mean_s), 0.0, BAND) is None


# Schedules

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("day", "steps"),
    [
        pytest.param(datetime(2026, 3, 29, tzinfo=BERLIN), 92, id="spring"),
        pytest.param(datetime(2026, 6, 21, tzinfo=BERLIN), 96, id="an-ordinary-day"),
        pytest.param(datetime(2026, 10, 25, tzinfo=BERLIN), 100, id="autumn"),
    ],
)
def test_a_day_has_a_value_for_each_of_its_quarters_whatever_local_time_does(day: datetime, steps: int) -> None:
    schedule = Schedule(900.0, tuple(float(step) for step in range(steps)))
    start = day.timestamp()
    midnight = (day + timedelta(days=1)).timestamp()  # local arithmetic: the next local midnight
    assert [value_at(schedule, start, start + 900.0 * step) for step in range(steps)] == list(schedule.values)
    assert value_at(schedule, start, midnight - 0.001) == steps - 1
    assert value_at(schedule, start, midnight) is None


def test_in_autumn_the_hour_that_comes_twice_has_two_values() -> None:
    start = datetime(2026, 10, 25, tzinfo=BERLIN).timestamp()
    schedule = Schedule(3600.0, tuple(float(hour) for hour in range(25)))
    summer, winter = (datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN, fold=fold).timestamp() for fold in (0, 1))
    assert [value_at(schedule, start, wall) for wall in (summer, winter)] == [2.0, 3.0]


def test_before_its_start_a_schedule_has_no_value() -> None:
    assert value_at(Schedule(900.0, (1.0, 2.0)), BEGIN, BEGIN - 0.001) is None
    assert value_at(Schedule(900.0, (1.0, 2.0)), BEGIN, BEGIN) == 1.0
