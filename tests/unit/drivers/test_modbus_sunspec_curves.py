"""Curves of SunSpec's second generation: written aside, adopted, seen in curve 1, and enabled, in that order."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.modbus import sunspec_curves as curves
from drivers.modbus.sunspec_adopted import Adopted
from drivers.modbus.sunspec_cells import CurveError
from drivers.modbus.sunspec_control import Authority
from drivers.modbus.sunspec_curves import Pause, Read, Steps, Write
from drivers.modbus.sunspec_delegates import delegates
from drivers.modbus.sunspec_setpoints import Ratings
from gateway.characteristic import Characteristic, Curve, Droop, from_text, to_text
from gateway.model import Measurement, Quality
from tests.unit.drivers.sunspec_map import layout, model

HEADS: dict[int, dict[str, Any]] = {
    705: {"NPt": 4, "NCrv": 3, "V_SF": -1, "DeptRef_SF": -1, "RspTms_SF": 0, "AdptCrvReq": 0, "AdptCrvRslt": 1},
    706: {"NPt": 4, "NCrv": 3, "V_SF": -1, "DeptRef_SF": -1, "RspTms_SF": 0, "AdptCrvReq": 0, "AdptCrvRslt": 1},
    712: {"NPt": 4, "NCrv": 3, "W_SF": -1, "DeptRef_SF": -1, "AdptCrvReq": 0, "AdptCrvRslt": 1},
    711: {"NCtl": 3, "Db_SF": -3, "K_SF": -3, "RspTms_SF": 0, "AdptCtlReq": 0, "AdptCtlRslt": 1},
}
WISHES: dict[int, Characteristic] = {
    705: Curve(((0.92, 0.44), (0.98, 0.0), (1.02, 0.0), (1.08, -0.44)), 5.0),
    706: Curve(((1.06, 1.0), (1.10, 0.0)), 10.0),
    712: Curve(((0.2, 0.0), (0.5, 0.0), (1.0, -0.44))),
    711: Droop(0.2, 0.05, response_s=2.0),
}
RATINGS = Ratings(
    power_w=100e3, charge_w=None, reactive_var=48e3, absorbed_var=40e3, rated_reactive_var=48e3, energy_wh=None,
    apparent_va=120e3, nominal_hz=None,
)  # fmt: skip
EVERY = pytest.mark.parametrize("number", WISHES, ids=[str(number) for number in WISHES])


class Device:
    """
    A model as the standard tells it: curve 1 is read-only, nothing is checked before adoption, which takes `polls`
    looks at its result; `accepts` is the check.
    """

    def __init__(
        self, number: int, *, polls: int = 3, accepts: Callable[[list[int]], bool] = lambda _curve: True, **changes: Any
    ) -> None:
        self.number, self.shape = number, curves.SHAPES[number]
        self.polls, self.accepts = polls, accepts
        self.size = self.shape.head + (2 * HEADS[number]["NPt"] if self.shape.room else 0)
        self.words = model(number, **{"Ena": 0} | HEADS[number] | changes)[: self.shape.first] + [0] * (3 * self.size)
        for curve in (1, 2, 3):
            self.words[self.start(curve) + self.shape.read_only] = int(curve == 1)
            if number == 711:
                self.words[self.start(curve) + 8] = 0x8000  # PMin: the rating says it
        self.left = 0
        self.adopting = 0
        self.log: list[tuple[int, tuple[int, ...]]] = []

    def start(self, curve: int) -> int:
        return self.shape.first + (curve - 1) * self.size

    def curve(self, curve: int) -> list[int]:
        return self.words[self.start(curve) : self.start(curve + 1)]

    def read(self, offset: int, count: int) -> list[int]:
        if self.adopting and offset <= 4 < offset + count:
            self._adopt()
        assert 0 < count <= 125
        return self.words[offset : offset + count]

    def write(self, offset: int, words: tuple[int, ...]) -> None:
        for at, word in enumerate(words, offset):
            inside = (at - self.shape.first) % self.size
            timer = self.shape.revert <= at < self.shape.revert + 2
            assert at in (2, 3) or timer or at >= self.start(2), "read-only register"
            assert at in (2, 3) or timer or inside != self.shape.read_only, "read-only register"
            self.words[at] = word
        self.log.append((offset, words))
        if offset == 3:
            self.adopting, self.left, self.words[4] = words[0], self.polls, 0

    def _adopt(self) -> None:
        self.left -= 1
        if self.left > 0:
            return
        content = self.curve(self.adopting)
        good = self.accepts(content)
        self.words[4] = 1 if good else 2
        if good:
            first = self.start(1)
            self.words[first : first + self.size] = content
            self.words[first + self.shape.read_only] = 1
        self.adopting = 0


def offered(device: Any) -> Adopted:
    """What such a device offers."""
    size = device.shape.registers(device.words)
    data = struct.pack(f">{size}H", *device.words[:size])
    (found,) = delegates(device.number, "d", data, RATINGS, Authority())
    assert isinstance(found, Adopted)
    return found


def words_of(device: Any) -> list[int]:
    found: list[int] = device.words[: offered(device).registers]
    return found


def run(device: Any, steps: Steps) -> float:
    """Returns how long the device was given, in s."""
    waited, answer = 0.0, None
    try:
        while True:
            step = steps.send(answer)  # type: ignore[arg-type]  # None begins a generator
            answer = ()
            if isinstance(step, Read):
                answer = device.read(step.offset, step.count)
            elif isinstance(step, Write):
                device.write(step.offset, step.words)
            else:
                assert isinstance(step, Pause)
                waited += step.seconds
    except StopIteration:
        return waited


def put(device: Any, wish: Characteristic, revert_s: float | None = None) -> float:
    words = words_of(device)
    return run(device, offered(device).put(wish, words, words, revert_s))


@EVERY
def test_a_shape_is_that_of_the_reference(number: int) -> None:
    """Curve, number of curves, room, timers, read-only register, and each value's place, type and scale factor."""
    places = layout(number, members=2)
    shape = curves.SHAPES[number]
    group = "Ctl" if number == 711 else "Crv"
    nested = {name: place for name, place in places.items() if name.startswith(f"{group}1.")}
    by_offset = {place[0] - shape.first: place for place in nested.values()}
    kinds = {"enum16": "uint16"}

    assert shape.first == min(place[0] for place in nested.values())
    assert shape.number == places[f"N{group}"][0]
    assert shape.room == (places["NPt"][0] if number != 711 else None)
    assert (shape.revert, shape.revert_to) == (places["RvrtTms"][0], places[f"Rvrt{group}"][0])
    assert shape.revert + 2 == places["RvrtRem"][0]
    assert shape.first + shape.read_only == places[f"{group}1.ReadOnly"][0]
    assert shape.head == sum(size for name, (_, _, size, _) in nested.items() if ".Pt" not in name)
    told = [*shape.settings, *(place for point in shape.points(1) for place in point if number != 711)]
    for place in told:
        _, type_, _, scale = by_offset[place.at]
        assert (place.kind, place.sf) == (kinds.get(type_, type_), places[scale][0] if scale else None), place


@EVERY
def test_a_curve_is_written_aside_adopted_and_only_then_enabled(number: int) -> None:
    device = Device(number)
    waited = put(device, WISHES[number])

    assert waited == 3 * curves.PAUSE_S
    assert device.log[-2:] == [(3, (2,)), (2, (1,))]
    assert all(offset >= device.start(2) for offset, _ in device.log[:-2])
    assert device.words[2] == 1


def test_points_are_in_the_scale_factors_of_the_device() -> None:
    device = Device(705)
    put(device, WISHES[705])
    crv = device.curve(1)

    assert crv[:2] == [4, 1]
    assert crv[7:9] == [0, 5]
    assert crv[10:] == [920, 440, 980, 0, 1020, 0, 1080, 0x10000 - 440]


def test_a_droop_is_adopted_in_the_same_way() -> None:
    device = Device(711)
    put(device, WISHES[711])

    assert device.curve(1)[:8] == [0, 200, 0, 200, 50, 50, 0, 2]


def test_what_the_device_obeys_already_is_not_written_again() -> None:
    device = Device(706)
    put(device, WISHES[706])
    device.log.clear()

    assert put(device, WISHES[706]) == 0.0
    assert device.log == []


def test_a_curve_that_the_device_refuses_leaves_it_as_it_was() -> None:
    device = Device(705, accepts=lambda curve: curve[10] < 900)
    before = device.curve(1)
    with pytest.raises(CurveError, match="checked the curve and refuses it"):
        put(device, WISHES[705])

    assert (device.curve(1), device.words[2]) == (before, 0)


def test_an_adoption_that_never_ends_is_given_up_within_its_bound() -> None:
    device = Device(705, polls=10_000)
    with pytest.raises(CurveError, match="not adopted within 10 s, still in progress"):
        put(device, WISHES[705])
    assert device.words[2] == 0


def test_completed_is_believed_once_curve_1_shows_the_wish() -> None:
    """A device that completes at once and copies nothing, or says so of an adoption before."""

    class Idle(Device):
        def _adopt(self) -> None:
            self.words[4] = 1

    device = Idle(706)
    with pytest.raises(CurveError, match="curve 1 holds 0000"):
        put(device, WISHES[706])
    assert device.words[2] == 0


def test_a_second_curve_that_is_read_only_is_passed_over() -> None:
    device = Device(712)
    device.words[device.start(2) + device.shape.read_only] = 1

    put(device, WISHES[712])
    assert (3, (3,)) in device.log


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"NCrv": 1}, "has 1 curves, and none beside the first"),
        ({"NCrv": None}, "has 0 curves"),
        ({"NPt": 3}, "room for 3 points, found 4"),
        ({"V_SF": -3}, "accepted is 0 to 65.534 with the scale factor -3, found 92"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_a_device_with_no_room_for_the_wish_is_left_alone(changes: dict[str, Any], text: str) -> None:
    device = Device(705, **changes)
    with pytest.raises(CurveError, match=text):
        put(device, WISHES[705])
    assert device.log == []


def test_a_device_that_will_not_be_enabled_is_told() -> None:
    class Off(Device):
        def write(self, offset: int, words: tuple[int, ...]) -> None:
            super().write(offset, (0,) if offset == 2 else words)

    with pytest.raises(CurveError, match="was enabled, the device holds 0"):
        put(Off(711), WISHES[711])


def test_a_number_that_is_none_is_refused() -> None:
    with pytest.raises(CurveError, match="found nan"):
        put(Device(706), Curve(((float("nan"), 1.0),)))


OWN: dict[int, Characteristic] = {
    705: Curve(((0.9, 0.25), (1.1, -0.25)), 10.0),
    706: Curve(((1.05, 1.0), (1.1, 0.5)), 5.0),
    712: Curve(((0.4, 0.0), (1.0, -0.2))),
    711: Droop(0.036, 0.04, response_s=5.0),
}


@EVERY
@pytest.mark.parametrize("enabled", [0, 1], ids=["was-off", "was-on"])
def test_given_back_is_what_stood_before_the_first_write(number: int, enabled: int) -> None:
    """The curve as well as whether it was enabled; out of force first, where it was off."""
    device = Device(number)
    put(device, OWN[number])
    device.words[2] = enabled
    before = words_of(device)
    stood = curves.stood_in(device.shape, before)
    put(device, WISHES[number])
    assert curves.stood_in(device.shape, words_of(device)) != stood
    device.log.clear()
    run(device, offered(device).give_back(before, words_of(device)))

    assert (curves.stood_in(device.shape, words_of(device)), device.words[2]) == (stood, enabled)
    assert device.log[0] == (2, (0,)) if not enabled else device.log[-1] == (2, (1,))
    measured = offered(device).measure(words_of(device))
    assert measured.value == (to_text(OWN[number]) if enabled else None)


@EVERY
def test_without_knowing_what_stood_before_it_is_disabled_and_nothing_else(number: int) -> None:
    device = Device(number)
    put(device, WISHES[number])
    device.log.clear()
    run(device, offered(device).give_back(None, words_of(device)))

    assert device.log == [(2, (0,))]


@EVERY
def test_what_a_device_obeys_is_said_in_the_words_it_was_asked_with(number: int) -> None:
    device = Device(number)
    assert offered(device).measure(words_of(device)) == Measurement(f"d.{offered(device).point[2:]}", None)
    put(device, WISHES[number])

    assert offered(device).measure(words_of(device)).value == to_text(WISHES[number])


def test_what_is_not_asked_stays_as_the_device_has_it() -> None:
    """Another curve may hold anything: priority, shift of the voltage and response time are those of curve 1."""
    device = Device(705)
    device.words[device.start(1) : device.start(1) + 9] = [0, 1, 1, 1000, 0xFFFF, 0, 300, 0, 7]
    device.words[device.start(2) + 2] = 2
    put(device, Curve(((0.95, 0.3), (1.05, -0.3))))

    assert device.curve(1)[:9] == [2, 1, 1, 1000, 0, 0, 300, 0, 7]


def test_percents_are_of_what_the_device_refers_to() -> None:
    """A unit is the rated 48 kvar: 44 % of it are 21.12 % of 100 kW, and 17.6 % of 120 kVA."""
    for code, raw in ((0, 211), (1, 440), (3, 176)):
        device = Device(705)
        device.words[device.start(1) : device.start(1) + 2] = [1, code]
        put(device, WISHES[705])
        assert device.curve(1)[1] == code
        assert device.curve(1)[11] == raw


@pytest.mark.parametrize("code", [2, 7], ids=["of-what-is-available", "unknown"])
def test_a_curve_whose_percents_have_no_fixed_size_is_no_characteristic(code: int) -> None:
    device = Device(705, Ena=1)
    device.words[device.start(1) : device.start(1) + 2] = [1, code]

    assert offered(device).measure(words_of(device)).quality is Quality.INVALID


def test_a_reversion_is_armed_where_the_device_says_what_it_goes_back_to() -> None:
    """And that curve is never written over; the time counts from the enable, which is written again at each refresh."""
    device = Device(706, RvrtTms=0, RvrtCrv=2)
    put(device, WISHES[706], revert_s=60)
    assert device.words[7:9] == [0, 60]
    assert (3, (3,)) in device.log
    assert device.log[-1] == (2, (1,))
    device.log.clear()
    put(device, WISHES[706], revert_s=60)
    assert device.log == [(2, (1,))]

    device = Device(706, RvrtTms=300)  # the owner's, whatever follows it
    for _ in range(2):
        device.log.clear()
        put(device, WISHES[706])
        assert device.log[-1] == (2, (1,))
    assert offered(device).timer(words_of(device)).total_s == 300

    for absent in ({"RvrtCrv": 2}, {"RvrtTms": 0}, {"RvrtTms": 0, "RvrtCrv": 1}):
        device = Device(706, **absent)
        put(device, WISHES[706], revert_s=60)
        assert all(offset not in (7, 8) for offset, _ in device.log)


@pytest.mark.parametrize(
    ("wish", "held"),
    [
        (Droop(0.2, 0.05, 2.0, sides="over"), [0, 200, 0, 10000, 50, 50]),
        (Droop(0.2, 0.04, 2.0, sides="under"), [0, 10000, 0, 200, 40, 40]),
        (Droop(0.2, 0.05, 2.0, -0.5, 0.3, 0.08), [0, 200, 0, 300, 50, 80, 0, 2, 0x10000 - 50]),
    ],
    ids=["over-only", "under-only", "both-halves"],
)
def test_each_half_of_a_droop_has_its_own_deadband(wish: Droop, held: list[int]) -> None:
    device = Device(711)
    put(device, wish)

    assert device.curve(1)[: len(held)] == held
    said = from_text(str(offered(device).measure(words_of(device)).value))
    assert isinstance(said, Droop)
    assert (said.sides, said.deadband_hz, said.droop, said.under_deadband_hz, said.under_droop) == (
        wish.sides, wish.deadband_hz, wish.droop, wish.under_deadband_hz, wish.under_droop,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("number", "wish", "text"),
    [
        (711, Droop(0.2, 0.05, release_delay_s=600.0), "no release delay"),
        (711, Droop(0.2, 0.05, recovery_per_s=0.001), "no ramp for the recovery"),
        (711, WISHES[705], "takes a droop, found a curve"),
        (705, WISHES[711], "takes a curve, found a droop"),
        (712, Curve(((0.0, 0.0),), 5.0), "no response time"),
    ],
)
def test_what_the_model_has_no_register_for_is_refused(number: int, wish: Characteristic, text: str) -> None:
    device = Device(number)
    with pytest.raises(CurveError, match=text):
        put(device, wish)
    assert device.log == []


@pytest.mark.parametrize(
    ("number", "changes"),
    [
        (705, {"Ena": None}), (705, {"AdptCrvReq": None}), (705, {"V_SF": None}), (705, {"DeptRef_SF": None}),
        (705, {"NPt": 0}), (712, {"NPt": None}), (711, {"Db_SF": None}), (711, {"AdptCtlReq": None}),
    ],
    ids=str,
)  # fmt: skip
def test_a_model_that_is_not_implemented_offers_nothing(number: int, changes: dict[str, Any]) -> None:
    words = Device(number).words
    for name, value in changes.items():
        place = layout(number, members=2)[name]
        words[place[0]] = {"sunssf": 0x8000}.get(place[1], 0xFFFF) if value is None else value
    assert delegates(number, "d", struct.pack(f">{len(words)}H", *words), RATINGS, Authority()) == []


def test_a_model_that_is_shorter_than_it_says_is_read_to_its_end_only() -> None:
    words = Device(705, Ena=1).words[:30]
    words[15:17] = [4, 1]
    (found,) = delegates(705, "d", struct.pack(">30H", *words), RATINGS, Authority())

    assert found.registers == 30
    assert found.measure(words).quality is Quality.INVALID


@given(
    points=st.lists(st.tuples(st.floats(0.5, 1.5), st.floats(-1.2, 1.2)), min_size=1, max_size=4),
    response_s=st.none() | st.floats(0, 1e6),
)
def test_a_curve_read_back_is_the_wish_to_half_a_step_and_wishing_that_changes_nothing(
    points: list[tuple[float, float]], response_s: float | None
) -> None:
    device = Device(705)
    put(device, Curve(tuple(points), response_s))
    said = from_text(str(offered(device).measure(words_of(device)).value))
    assert isinstance(said, Curve)

    apart = [
        abs(a - b) for one, other in zip(said.points, points, strict=True) for a, b in zip(one, other, strict=True)
    ]
    assert max(apart) <= 0.000_500_001
    assert offered(device).stands(said, words_of(device))
    device.log.clear()
    assert put(device, said) == 0.0
    assert device.log == []
