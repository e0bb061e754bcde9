"""A scan as a survey: whom it asks and in which order, what it makes of the answers, and how polite it is."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.base import ConnectionLost
from drivers.modbus import scan
from drivers.modbus.codec import Register
from drivers.modbus.endpoint import parse_line
from drivers.modbus.pdu import NoAnswerError, RefusalError, Request
from drivers.modbus.scan import Answer, Check, Device, Refused, Signature, Survey
from tests.unit.drivers.sunspec_map import chain, model

COMMON = model(1, Mn="Vendor", Md="X1", SN="SN-1")
INVERTER = model(103, W=100, W_SF=0)
METER = model(203, W=100, W_SF=0)
STORAGE = model(124, WChaMax=3000, WChaMax_SF=0)
UNREADABLE = model(307)  # a weather station
REQUESTS_MAX = 40
"""What a unit may be asked: three places of the map, the heads of its models, and a few of them."""


class Bus:
    """Units by number; each a map of (space, address) to words, or a code that it refuses everything with."""

    def __init__(self, units: Mapping[int, Mapping[tuple[str, int], int] | int]) -> None:
        self.units = units
        self.asked: list[Request] = []

    def answer(self, request: Request) -> Answer:
        self.asked.append(request)
        unit = self.units.get(request.unit)
        if unit is None:
            return None
        if isinstance(unit, int):
            return Refused(unit)
        function, address, count = struct.unpack(">BHH", request.pdu)
        space = {3: "holding", 4: "input"}[function]
        words = [unit.get((space, at)) for at in range(address, address + count)]
        return Refused(2) if None in words else struct.pack(f">{count}H", *words)

    def requests(self, unit: int) -> int:
        return sum(request.unit == unit for request in self.asked)


def sunspec(*models: list[int], **options: Any) -> dict[tuple[str, int], int]:
    return {("holding", at): word for at, word in chain(*models, **options).items()}


def survey(bus: Bus, units: Collection[int], *signatures: Signature) -> Survey:
    """Carried out to its end."""
    run = Survey(sorted(units), signatures)
    steps = run.steps()
    try:
        answer = None
        while True:
            answer = bus.answer(steps.send(answer))
    except StopIteration:
        return run


def only(found: Survey) -> Device:
    (device,) = found.found
    return device


def signature(name: str, *checks: Check) -> Signature:
    return Signature(name, "Maker", name.upper(), "meter", checks)


def check(address: int, low: float, high: float, type_: Any = "uint16", space: Any = "input") -> Check:
    return Check(Register(point="scan.mark", space=space, address=address, type=type_), low, high)


@given(st.sets(st.integers(1, 255)))
def test_each_unit_that_is_asked_for_is_asked_once_when_it_is_silent_and_the_likely_ones_first(units: set[int]) -> None:
    bus = Bus({})

    assert survey(bus, units).asked == len(units)
    order = [request.unit for request in bus.asked]
    likely = [unit for unit in scan.LIKELY if unit in units]
    assert order == likely + sorted(units - {*likely})


@pytest.mark.parametrize(
    ("code", "found", "gateway"),
    [
        pytest.param(1, True, False, id="illegal function"),
        pytest.param(2, True, False, id="illegal address"),
        pytest.param(4, True, False, id="device failure"),
        pytest.param(6, True, False, id="busy"),
        pytest.param(10, False, True, id="gateway: no path"),
        pytest.param(11, False, True, id="gateway: no answer"),
    ],
)
def test_an_exception_is_an_answer_unless_a_gateway_says_that_nobody_is_there(
    code: int, found: bool, gateway: bool
) -> None:
    result = survey(Bus({4: code}), {4})

    assert result.found == ([Device(unit=4)] if found else [])
    assert result.gateway is gateway


@pytest.mark.parametrize(
    ("models", "role"),
    [
        pytest.param([INVERTER], "pv", id="inverter"),
        pytest.param([METER], "meter", id="meter"),
        pytest.param([INVERTER, STORAGE], "battery", id="inverter with storage"),
        pytest.param([INVERTER, METER], "pv", id="inverter with a meter in its map"),
    ],
)
@pytest.mark.parametrize("base", [40000, 0, 50000])
def test_a_sunspec_device_is_named_by_its_own_map_and_its_role_guessed(
    models: list[list[int]], role: str, base: int
) -> None:
    device = only(survey(Bus({7: sunspec(COMMON, *models, base=base)}), {7}))

    assert (device.unit, device.profile, device.role, device.note) == (7, "sunspec", role, "")
    assert (device.manufacturer, device.model, device.serial) == ("Vendor", "X1", "SN-1")
    assert device.models == (1, *(each[0] for each in models))


def test_models_that_cannot_be_read_are_listed_and_said_to_be_so() -> None:
    device = only(survey(Bus({1: sunspec(COMMON, UNREADABLE)}), {1}))

    assert (device.profile, device.role) == (None, None)
    assert (device.manufacturer, device.models) == ("Vendor", (1, 307))
    assert "307" in device.note


def test_a_chain_that_breaks_is_said_to_be_so() -> None:
    device = only(survey(Bus({1: sunspec(COMMON, INVERTER, end=())}), {1}))

    assert device.profile is None
    assert "chain of models breaks" in device.note


@pytest.mark.parametrize("text", ["\x1b[31mred", "two\nlines"])
def test_a_devices_text_cannot_steer_a_terminal_nor_end_a_comment(text: str) -> None:
    device = only(survey(Bus({1: sunspec(model(1, Mn=text, Md="X", SN="1"), INVERTER)}), {1}))

    assert device.manufacturer.isprintable()
    assert len(device.manufacturer) == len(text)


WORDS = {("input", 10): 0x4366, ("input", 11): 0x8000, ("input", 20): 77, ("holding", 20): 78}


@pytest.mark.parametrize(
    ("checks", "fits"),
    [
        pytest.param([check(20, 77, 77)], True, id="equal"),
        pytest.param([check(20, 78, 78)], False, id="another number"),
        pytest.param([check(20, 78, 78, space="holding")], True, id="equal, holding"),
        pytest.param([check(10, 180.0, 260.0, "float32")], True, id="within"),
        pytest.param([check(10, 300.0, 400.0, "float32")], False, id="out of range"),
        pytest.param([check(20, 77, 77)], True, id="both edges belong"),
        pytest.param([check(20, 77, 77), check(10, 0, 1, "float32")], False, id="one of two"),
        pytest.param([check(21, 0, 0)], False, id="refused"),
    ],
)
def test_a_profile_fits_when_every_one_of_its_checks_does(checks: list[Check], fits: bool) -> None:
    device = only(survey(Bus({5: WORDS}), {5}, signature("meter-x", *checks)))

    expected = Device(unit=5, profile="meter-x", role="meter", manufacturer="Maker", model="METER-X")
    assert device == (expected if fits else Device(unit=5))


def test_of_several_profiles_that_fit_the_one_with_most_checks_is_taken_and_the_others_are_named() -> None:
    result = survey(
        Bus({5: WORDS}),
        {5},
        signature("no", check(20, 1, 1), check(20, 2, 2), check(20, 3, 3)),
        signature("rough", check(20, 0, 100)),
        signature("exact", check(20, 77, 77), check(10, 180, 260, "float32")),
        signature("also", check(20, 77, 77)),
    )

    assert (only(result).profile, only(result).others) == ("exact", ("rough", "also"))


def test_a_profile_that_adds_to_sunspec_is_for_a_sunspec_device_and_no_other() -> None:
    register = {("input", 20): 77}
    adds = replace(signature("adds", check(20, 77, 77)), on_sunspec=True)
    bus = Bus({1: sunspec(COMMON, INVERTER) | register, 2: register, 3: sunspec(COMMON, INVERTER)})
    result = survey(bus, {1, 2, 3}, adds)

    assert [device.profile for device in result.found] == ["adds", None, "sunspec"]
    assert result.found[0].manufacturer == "Vendor"


def test_a_unit_that_keeps_silent_again_and_again_is_left_alone() -> None:
    answers = iter([Refused(2)])
    asked: list[Request] = []
    run = Survey([5], [signature(f"p{at}", check(at, 0, 1)) for at in range(50)])
    steps = run.steps()
    with suppress(StopIteration):
        answer: Answer = None
        while True:
            asked.append(steps.send(answer))
            answer = next(answers, None)

    assert run.found == [Device(unit=5)]
    assert len(asked) == 1 + scan.SILENT_MAX


def test_a_profile_is_looked_for_where_the_sunspec_map_cannot_be_read_and_not_where_it_can() -> None:
    register = {("input", 20): 77}
    bus = Bus({1: sunspec(COMMON, UNREADABLE) | register, 2: sunspec(COMMON, INVERTER) | register})
    first, second = survey(bus, {1, 2}, signature("x", check(20, 77, 77))).found

    assert (first.profile, first.manufacturer, first.models) == ("x", "Vendor", (1, 307))
    assert second.profile == "sunspec"


@pytest.mark.parametrize(
    "unit",
    [
        pytest.param(sunspec(COMMON, INVERTER, METER, STORAGE), id="sunspec"),
        pytest.param(WORDS, id="registers"),
        pytest.param(2, id="refuses"),
    ],
)
def test_a_unit_is_asked_a_few_times_never_twice_the_same_and_only_to_be_read(unit: Any) -> None:
    bus = Bus({9: unit})
    checks = [check(20, 1, 1), check(20, 2, 2), check(10, 0, 1, "float32")]
    survey(bus, {9}, *(signature(f"p{number}", each) for number, each in enumerate(checks)))

    assert max(Counter(bus.asked).values()) == 1
    assert bus.requests(9) <= REQUESTS_MAX
    assert {request.pdu[0] for request in bus.asked} <= {3, 4}


def test_a_device_that_answers_to_every_unit_id_is_found_once_and_not_asked_247_times() -> None:
    bus = Bus(dict.fromkeys(range(1, 248), sunspec(COMMON, INVERTER)))
    result = survey(bus, range(1, 248))

    assert result.any_unit
    assert [device.unit for device in result.found] == [1]
    assert {request.unit for request in bus.asked} == {*scan.LIKELY}


def test_a_line_of_like_meters_is_not_taken_for_one_device() -> None:
    result = survey(Bus(dict.fromkeys(range(1, 11), WORDS)), range(1, 248))

    assert not result.any_unit
    assert [device.unit for device in result.found] == [*range(1, 11)]


class FakeLine:
    """One connection to a bus, which a rule may end at a request."""

    def __init__(self, bus: Bus, ends: Callable[[Request], bool], is_open: list[FakeLine]) -> None:
        self._bus, self._ends, self._open = bus, ends, is_open
        is_open.append(self)
        self.unanswered = 0

    async def request(self, request: Request, timeout_s: float) -> bytes:
        if self._ends(request):
            raise ConnectionLost("closed by the device")
        answer = self._bus.answer(request)
        if isinstance(answer, Refused):
            raise RefusalError(answer.code)
        if answer is None:
            self.unanswered += 1
            raise NoAnswerError(f"no answer within {timeout_s} s")
        return answer

    def close(self, reason: str) -> None:
        self._open.remove(self)

    async def ended(self) -> str:
        return ""


async def carried_out(bus: Bus, units: Collection[int], ends: Callable[[Request], bool]) -> tuple[Survey, int, str]:
    """The survey, how many connections it took, and why it ended."""
    is_open: list[FakeLine] = []
    opened = 0

    async def connect() -> FakeLine:
        nonlocal opened
        assert not is_open, "two connections at once"
        opened += 1
        return FakeLine(bus, ends, is_open)

    run = Survey(sorted(units))
    why = ""
    try:
        await scan.run(run, connect, 0.1, lambda: None)
    except ConnectionLost as error:
        why = str(error)
    assert not is_open
    return run, opened, why


async def test_a_scan_is_one_connection() -> None:
    run, opened, why = await carried_out(Bus({1: sunspec(COMMON, INVERTER), 5: 2}), range(1, 11), lambda _: False)

    assert ([device.unit for device in run.found], run.asked, opened, why) == ([1, 5], 10, 1, "")
    assert not run.late


async def test_a_unit_at_which_the_connection_ends_is_passed_over_on_a_new_one() -> None:
    run, opened, why = await carried_out(Bus({1: 2, 5: 2}), range(1, 6), lambda request: request.unit == 3)

    assert ([device.unit for device in run.found], opened, why) == ([1, 5], 2, "")


async def test_a_device_that_ends_each_connection_is_left_alone_soon_with_what_was_found() -> None:
    run, opened, why = await carried_out(Bus({1: 2}), range(1, 248), lambda request: request.unit > 1)

    assert ([device.unit for device in run.found], opened, why) == ([1], scan.LOSSES_MAX, "closed by the device")


@pytest.mark.parametrize("endpoint", ["tcp://127.0.0.1", "rtu:///dev/ttyUSB0?baudrate=1200"])
def test_a_scan_leaves_pauses_after_connecting_and_between_requests(endpoint: str) -> None:
    pace = scan.pace(parse_line(endpoint), 0.7)

    assert pace.pause_after_connect_s == scan.SETTLE_S
    assert pace.gap_s >= scan.PAUSE_S > 0
    assert pace.quiet_s == 0.7


def test_the_likely_units_are_units_and_named_once() -> None:
    assert len({*scan.LIKELY}) == len(scan.LIKELY)
    assert all(1 <= unit <= 247 for unit in scan.LIKELY)
