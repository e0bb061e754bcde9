"""Plan beside traffic: the means of the last minute, from counters that only grow."""

from __future__ import annotations

from drivers.base import Emit, PlannedDevice, Traffic
from gateway.local.lines import SAMPLE_S, WINDOW_S, Lines, Rates
from gateway.model import Nameplate, SetPoint, Setting


class Line:
    """A driver whose counters and plan the test moves."""

    name = "modbus tcp://meter"
    nameplates = (Nameplate("pcc", ()),)

    def __init__(self) -> None:
        self.requests = 0
        self.planned_per_s = 1.0
        self.plans = 0

    def plan(self) -> tuple[PlannedDevice, ...]:
        self.plans += 1
        return (PlannedDevice("pcc", self.planned_per_s, 0.1, 1.0, ()),)

    def traffic(self) -> tuple[Traffic, ...]:
        return (Traffic("pcc", requests=self.requests, busy_s=self.requests / 128),)

    async def run(self, emit: Emit) -> None:
        raise NotImplementedError

    async def write(self, setpoint: SetPoint) -> Setting | None:
        raise NotImplementedError


def test_rates_are_of_the_last_minute_not_of_all_time() -> None:
    line = Line()
    lines = Lines([line])
    for sample in range(100):
        line.requests = 1000 if sample == 0 else line.requests + 10  # 2 a second, after a start that asked much
        lines.sample(sample * SAMPLE_S)
    [seen] = lines.look(99 * SAMPLE_S, {})

    assert seen.rates == Rates(over_s=WINDOW_S, requests_per_s=2.0, unanswered_per_s=0.0, load=2 / 128)
    assert seen.total is not None
    assert seen.total.requests == 1000 + 99 * 10


def test_there_is_no_rate_before_there_is_time_to_tell_it_from() -> None:
    lines = Lines([Line()])

    assert lines.look(0.0, {})[0].rates is None
    lines.sample(0.0)
    assert lines.look(SAMPLE_S - 0.1, {})[0].rates is None
    assert lines.look(SAMPLE_S, {})[0].rates is not None


def test_the_plan_is_made_anew_when_a_device_has_told_what_it_has_and_not_before() -> None:
    line = Line()
    lines = Lines([line])
    first: dict[str, Nameplate] = {}
    lines.look(0.0, first)
    line.planned_per_s = 7.0
    lines.look(1.0, first)
    assert line.plans == 1

    [seen] = lines.look(2.0, {"pcc": line.nameplates[0]})
    assert seen.planned == PlannedDevice("pcc", 7.0, 0.1, 1.0, ())
