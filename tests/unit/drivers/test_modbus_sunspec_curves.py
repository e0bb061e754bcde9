"""Curves of SunSpec's second generation: written aside, adopted, seen in curve 1, and enabled, in that order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from drivers.modbus import sunspec_curves as curves
from drivers.modbus.sunspec_curves import CurveError, Pause, Read, Wish, Write
from tests.unit.drivers.sunspec_map import layout, model

HEADS: dict[int, dict[str, Any]] = {
    705: {"NPt": 4, "NCrv": 3, "V_SF": -1, "DeptRef_SF": -1, "RspTms_SF": 0, "AdptCrvReq": 0, "AdptCrvRslt": 1},
    706: {"NPt": 4, "NCrv": 3, "V_SF": -1, "DeptRef_SF": -1, "RspTms_SF": 0, "AdptCrvReq": 0, "AdptCrvRslt": 1},
    712: {"NPt": 4, "NCrv": 3, "W_SF": -1, "DeptRef_SF": -1, "AdptCrvReq": 0, "AdptCrvRslt": 1},
    711: {"NCtl": 3, "Db_SF": -3, "K_SF": -3, "RspTms_SF": 0, "AdptCtlReq": 0, "AdptCtlRslt": 1},
}
WISHES: dict[int, Wish] = {
    705: curves.volt_var([(92, 44), (98, 0), (102, 0), (108, -44)], reference=1, priority=1, response_s=5),
    706: curves.volt_watt([(106, 100), (110, 0)], reference=0, response_s=10),
    712: curves.watt_var([(20, 0), (50, 0), (100, -44)], reference=3),
    711: curves.frequency_droop(over_hz=0.2, under_hz=0.2, over_droop=0.05, under_droop=0.05, response_s=2),
}
EVERY = pytest.mark.parametrize("number", WISHES, ids=[str(number) for number in WISHES])


class Device:
    """
    A model as the standard tells it: curve 1 is read-only, nothing is checked before adoption, which takes `polls`
    looks at its result; `accepts` is the check.
    """

    def __init__(
        self, number: int, *, polls: int = 3, accepts: Callable[[list[int]], bool] = lambda _curve: True, **changes: Any
    ) -> None:
        self.wish = WISHES[number]
        self.polls, self.accepts = polls, accepts
        self.size = self.wish.head + (2 * HEADS[number]["NPt"] if self.wish.room else 0)
        self.words = model(number, Ena=0, **HEADS[number] | changes)[: self.wish.first] + [0] * (3 * self.size)
        for curve in (1, 2, 3):
            self.words[self.start(curve) + self.wish.read_only] = int(curve == 1)
        self.left = 0
        self.adopting = 0
        self.log: list[tuple[int, tuple[int, ...]]] = []

    def start(self, curve: int) -> int:
        return self.wish.first + (curve - 1) * self.size

    def curve(self, curve: int) -> list[int]:
        return self.words[self.start(curve) : self.start(curve + 1)]

    def read(self, offset: int, count: int) -> list[int]:
        if self.adopting and offset <= 4 < offset + count:
            self._adopt()
        assert 0 < count <= 125
        return self.words[offset : offset + count]

    def write(self, offset: int, words: tuple[int, ...]) -> None:
        for at, word in enumerate(words, offset):
            inside = (at - self.wish.first) % self.size
            assert at in (2, 3) or at >= self.start(2), "read-only register"
            assert at in (2, 3) or inside != self.wish.read_only, "read-only register"
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
            self.words[first + self.wish.read_only] = 1
        self.adopting = 0


def run(device: Any, wish: Wish) -> tuple[int, float]:
    """The curve that was written, and how long the device was given."""
    steps, waited = curves.adopt(wish), 0.0
    answer: Any = None
    try:
        while True:
            step = steps.send(answer)
            answer = ()
            if isinstance(step, Read):
                answer = device.read(step.offset, step.count)
            elif isinstance(step, Write):
                device.write(step.offset, step.words)
            else:
                assert isinstance(step, Pause)
                waited += step.seconds
    except StopIteration as done:
        return done.value, waited


@EVERY
def test_a_wish_stands_where_the_reference_has_it(number: int) -> None:
    """Curve, number of curves, room for points, read-only register, and each value's type and scale factor."""
    places = layout(number, members=2)
    wish = WISHES[number]
    group = "Ctl" if number == 711 else "Crv"
    nested = {name: place for name, place in places.items() if name.startswith(f"{group}1.")}
    by_offset = {place[0] - wish.first: place for place in nested.values()}
    kinds = {"enum16": "uint16"}

    assert wish.first == min(place[0] for place in nested.values())
    assert wish.number == places[f"N{group}"][0]
    assert wish.room == (places["NPt"][0] if number != 711 else None)
    assert wish.first + wish.read_only == places[f"{group}1.ReadOnly"][0]
    assert wish.head == sum(size for name, (_, _, size, _) in nested.items() if ".Pt" not in name)
    for entry in wish.entries:
        if entry.at < wish.head + 4:  # the second point's registers follow in the same way
            _, type_, _, scale = by_offset[entry.at]
            assert (entry.kind, entry.sf) == (kinds.get(type_, type_), places[scale][0] if scale else None), entry


@EVERY
def test_a_curve_is_written_aside_adopted_and_only_then_enabled(number: int) -> None:
    device = Device(number)
    written, waited = run(device, WISHES[number])

    assert written == 2
    assert waited == 3 * curves.PAUSE_S
    assert device.log[-2:] == [(3, (2,)), (2, (1,))]
    assert all(offset >= device.start(2) for offset, _ in device.log[:-2])
    assert device.words[2] == 1


def test_points_are_in_the_scale_factors_of_the_device() -> None:
    device = Device(705)
    run(device, WISHES[705])
    crv = device.curve(1)

    assert crv[:3] == [4, 1, 1]
    assert crv[7:9] == [0, 5]
    assert crv[10:] == [920, 440, 980, 0, 1020, 0, 1080, 0x10000 - 440]


def test_a_droop_is_adopted_in_the_same_way() -> None:
    device = Device(711)
    run(device, WISHES[711])

    assert device.curve(1)[:8] == [0, 200, 0, 200, 50, 50, 0, 2]


def test_what_the_device_obeys_already_is_not_written_again() -> None:
    device = Device(706)
    run(device, WISHES[706])
    device.log.clear()

    assert run(device, WISHES[706]) == (1, 0.0)
    assert device.log == []


def test_a_curve_that_the_device_refuses_leaves_it_as_it_was() -> None:
    device = Device(705, accepts=lambda curve: curve[10] < 900)
    before = device.curve(1)
    with pytest.raises(CurveError, match="checked the curve and refuses it"):
        run(device, WISHES[705])

    assert (device.curve(1), device.words[2]) == (before, 0)


def test_an_adoption_that_never_ends_is_given_up_within_its_bound() -> None:
    device = Device(705, polls=10_000)
    with pytest.raises(CurveError, match="not adopted within 10 s, still in progress"):
        run(device, WISHES[705])
    assert device.words[2] == 0


def test_completed_is_believed_once_curve_1_shows_the_wish() -> None:
    """A device that completes at once and copies nothing, or says so of an adoption before."""

    class Idle(Device):
        def _adopt(self) -> None:
            self.words[4] = 1

    device = Idle(706)
    with pytest.raises(CurveError, match="curve 1 holds 0000"):
        run(device, WISHES[706])
    assert device.words[2] == 0


def test_a_second_curve_that_is_read_only_is_passed_over() -> None:
    device = Device(712)
    device.words[device.start(2) + device.wish.read_only] = 1

    assert run(device, WISHES[712])[0] == 3
    assert (3, (3,)) in device.log


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"NCrv": 1}, "has 1 curves, and none beside the first"),
        ({"NCrv": None}, "has 0 curves"),
        ({"NPt": 3}, "room for 3 points, found 4"),
        ({"V_SF": None}, "no scale factor at 12"),
        ({"V_SF": -3}, "accepted is 0 to 65.534 with the scale factor -3, found 92"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_a_device_with_no_room_for_the_wish_is_left_alone(changes: dict[str, Any], text: str) -> None:
    device = Device(705, **changes)
    with pytest.raises(CurveError, match=text):
        run(device, WISHES[705])
    assert device.log == []


def test_nothing_is_written_to_a_model_that_moved() -> None:
    device = Device(705)
    device.words[0] = 706
    with pytest.raises(CurveError, match="model 705 is not here, found 706"):
        run(device, WISHES[705])
    assert device.log == []


def test_a_device_that_will_not_be_enabled_is_told() -> None:
    class Off(Device):
        def write(self, offset: int, words: tuple[int, ...]) -> None:
            super().write(offset, (0,) if offset == 2 else words)

    with pytest.raises(CurveError, match="was enabled, the device holds 0"):
        run(Off(711), WISHES[711])


def test_a_number_that_is_none_is_refused() -> None:
    with pytest.raises(CurveError, match="found nan"):
        run(Device(706), curves.volt_watt([(float("nan"), 100)], reference=0))
