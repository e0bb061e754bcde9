"""Curves of SunSpec's first generation, models 126, 132 and 134: written beside the active one, selected, enabled."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.modbus.sunspec_arrays import Array
from drivers.modbus.sunspec_cells import CurveError
from drivers.modbus.sunspec_control import Authority
from drivers.modbus.sunspec_curves import Read, Steps, Write
from drivers.modbus.sunspec_delegates import delegates
from drivers.modbus.sunspec_setpoints import Ratings
from gateway.characteristic import Characteristic, Curve, Droop, from_text, to_text
from gateway.model import Measurement, Quality
from tests.unit.drivers.sunspec_map import layout, model

HEAD: dict[str, Any] = {"ActCrv": 0, "ModEna": 0, "RvrtTms": 0, "NCrv": 2, "NPt": 10}
SCALES: dict[int, dict[str, Any]] = {
    126: {"V_SF": -2, "DeptRef_SF": -2},
    132: {"V_SF": -2, "DeptRef_SF": -2},
    134: {"Hz_SF": -2, "W_SF": -2, "RmpIncDec_SF": -2},
}
WISHES: dict[int, Characteristic] = {
    126: Curve(((0.92, 0.44), (0.98, 0.0), (1.02, 0.0), (1.08, -0.44))),
    132: Curve(((1.06, 1.0), (1.1, 0.0))),
    134: Droop(0.2, 0.05, sides="over"),
}
OWN: dict[int, Characteristic] = {
    126: Curve(((0.9, 0.25), (1.1, -0.25))),
    132: Curve(((1.05, 1.0), (1.1, 0.5))),
    134: Droop(0.5, 0.04, sides="over", reference="nominal"),
}
RATINGS = Ratings(
    power_w=100e3, charge_w=None, reactive_var=48e3, absorbed_var=None, rated_reactive_var=48e3, energy_wh=None,
    apparent_va=None, nominal_hz=50.0,
)  # fmt: skip
EVERY = pytest.mark.parametrize("number", WISHES, ids=[str(number) for number in WISHES])


class Device:
    """
    A model in memory; `refuse` holds offsets that refuse to be written, `keeps` those that ignore it.

    `sticks`: it ignores every write to a curve after the first one.
    """

    def __init__(self, number: int, **changes: Any) -> None:
        self.number = number
        curves = (HEAD | changes)["NCrv"] or 1
        writable = {f"curve{at}.ReadOnly": 0 for at in range(1, curves + 1)}
        responses = {f"curve{at}.{_RESPONSES[number]}": 0 for at in range(1, curves + 1)}
        snapshots = {f"curve{at}.SnptW": 0 for at in range(1, curves + 1) if number == 134}
        given = HEAD | SCALES[number] | writable | responses | snapshots | changes
        self.words = model(number, members=curves, **given)
        self.refuse: set[int] = set()
        self.keeps: set[int] = set()
        self.sticks = False
        self.log: list[tuple[int, tuple[int, ...]]] = []

    def run(self, steps: Steps) -> None:
        try:
            step = next(steps)
            while True:
                if isinstance(step, Read):
                    assert 0 < step.count <= 125
                    step = steps.send(self.words[step.offset : step.offset + step.count])
                    continue
                assert isinstance(step, Write)
                written = range(step.offset, step.offset + len(step.words))
                if self.refuse & set(written):
                    step = steps.throw(CurveError("exception 3"))
                    continue
                self.log.append((step.offset, step.words))
                for at, word in zip(written, step.words, strict=True):
                    self.words[at] = self.words[at] if at in self.keeps else word
                if self.sticks and step.offset >= 12:
                    self.keeps |= set(range(12, len(self.words)))
                step = steps.send(())
        except StopIteration:
            return

    @property
    def offered(self) -> Array:
        data = struct.pack(f">{len(self.words[:125])}H", *self.words[:125])
        (found,) = delegates(self.number, "d", data, RATINGS, Authority())
        assert isinstance(found, Array)
        return found

    @property
    def seen(self) -> list[int]:
        """What one request reads of it."""
        return self.words[: self.offered.registers]

    def put(self, wish: Characteristic, before: list[int] | None = None, revert_s: float | None = None) -> None:
        self.run(self.offered.put(wish, before or self.seen, self.seen, revert_s))

    def give_back(self, before: list[int] | None) -> None:
        self.run(self.offered.give_back(before, self.seen))

    @property
    def said(self) -> object:
        return self.offered.measure(self.seen).value

    def curve(self, number: int) -> list[int]:
        size = self.offered.table.size
        return self.words[12 + (number - 1) * size : 12 + number * size]


_RESPONSES = {126: "RmpTms", 132: "RmpPt1Tms", 134: "RmpPT1Tms"}


@EVERY
def test_a_curve_stands_where_the_reference_has_it(number: int) -> None:
    """Read by the reference's own names: points, response time, and what its percents are of."""
    device = Device(number)
    device.put(WISHES[number])
    places = layout(number, members=2)
    held = {name: device.words[place[0]] for name, place in places.items()}

    assert (held["ActCrv"], held["ModEna"]) == (1, 1)
    if number == 134:
        assert [held[f"curve1.{name}"] for name in ("ActPt", "Hz1", "W1", "Hz2", "W2", "SnptW")] == [
            2, 5020, 10000, 5270, 0, 1,
        ]  # fmt: skip
    else:
        y = {126: "VAr", 132: "W"}[number]
        points = [(held[f"curve1.V{at}"], held[f"curve1.{y}{at}"]) for at in range(1, held["curve1.ActPt"] + 1)]
        assert (
            points
            == {
                126: [(9200, 4400), (9800, 0), (10200, 0), (10800, 0x10000 - 4400)],
                132: [(10600, 10000), (11000, 0)],
            }[number]
        )
        assert held["curve1.DeptRef"] == {126: 2, 132: 1}[number]
    assert device.offered.table.read_only == places["curve1.ReadOnly"][0] - 12
    assert device.offered.table.size == places["curve2.ActPt"][0] - 12


@EVERY
def test_the_active_curve_is_never_written_while_another_is_free(number: int) -> None:
    device = Device(number)
    device.put(OWN[number])
    before, own = device.seen, device.curve(1)
    device.log.clear()
    device.put(WISHES[number], before)

    assert device.curve(1) == own
    assert device.log[-1] == (2, (2,))  # enabled it was
    device.put(OWN[number], before)
    device.put(WISHES[number], before)
    assert (device.curve(1), device.words[2]) == (own, 2)


@EVERY
@pytest.mark.parametrize("enabled", [0, 1], ids=["was-off", "was-on"])
@pytest.mark.parametrize("curves", [1, 2], ids=["one-curve", "two-curves"])
def test_given_back_is_what_stood_before_the_first_write(number: int, enabled: int, curves: int) -> None:
    device = Device(number, NCrv=curves)
    device.put(OWN[number])
    device.words[3] = enabled
    before = device.seen
    device.put(WISHES[number], before, revert_s=60)
    assert device.said == to_text(WISHES[number])
    device.give_back(before)

    assert device.words[2:6] == before[2:6]
    device.words[3] = 1
    assert device.offered.stands(OWN[number], device.seen)


@EVERY
def test_without_knowing_what_stood_before_it_is_disabled_and_nothing_else(number: int) -> None:
    device = Device(number)
    device.put(WISHES[number])
    device.log.clear()
    device.give_back(None)

    assert device.log == [(3, (0,))]
    assert device.offered.measure(device.seen) == Measurement(device.offered.point, None)


@EVERY
def test_a_refresh_writes_the_enable_alone_which_starts_the_reversion_again(number: int) -> None:
    device = Device(number)
    before = device.seen
    device.put(WISHES[number], before, revert_s=60)
    assert device.log[0] == (5, (60,))
    assert device.offered.timer(device.seen).total_s == 60
    device.log.clear()
    device.put(WISHES[number], before, revert_s=60)
    assert device.log == [(3, (1,))]
    device.words[5] = 0
    device.log.clear()
    device.put(WISHES[number], before)
    assert device.log == []  # nothing runs out, nothing is written
    device.words[5] = 60
    device.log.append((3, (1,)))
    device.put(WISHES[number], None, revert_s=60)  # as after a restart, when it is not known what stood before
    assert device.log == [(3, (1,))] * 2


@pytest.mark.parametrize("fault", ["refuses", "keeps"])
def test_a_device_with_one_curve_obeys_what_it_did_when_it_does_not_take_ours(fault: str) -> None:
    device = Device(132, NCrv=1)
    device.put(OWN[132])
    stood = list(device.words)
    (device.refuse if fault == "refuses" else device.keeps).add(14)
    with pytest.raises(CurveError, match=r"model 132: (exception 3|curve 1 was written, the device holds)") as refused:
        device.put(WISHES[132])

    assert device.words == stood
    assert "disabled" not in str(refused.value)


def test_a_device_that_does_not_take_its_own_curve_back_stays_disabled_and_that_is_told() -> None:
    """Half of two curves is neither."""
    device = Device(132, NCrv=1)
    device.put(OWN[132])
    device.keeps.add(14)
    device.sticks = True
    with pytest.raises(CurveError, match="could not be restored, and it is disabled"):
        device.put(WISHES[132])

    assert device.words[3] == 0


def test_a_device_that_selects_nothing_is_told() -> None:
    device = Device(126)
    device.keeps.add(2)
    with pytest.raises(CurveError, match="curve 1 was enabled, the device holds 0, 1"):
        device.put(WISHES[126])


def test_a_device_whose_curves_are_all_read_only_is_left_alone() -> None:
    device = Device(126, **{"curve1.ReadOnly": 1, "curve2.ReadOnly": 1})
    with pytest.raises(CurveError, match="none of the first that can be written"):
        device.put(WISHES[126])
    assert device.log == []


def test_a_curve_beyond_the_first_two_is_in_force_and_not_known() -> None:
    device = Device(126, NCrv=4, ActCrv=3, ModEna=1)

    assert device.offered.measure(device.seen).quality is Quality.INVALID
    assert device.offered.registers == 12 + 2 * 54


@pytest.mark.parametrize(
    "changes",
    [{"ModEna": None}, {"V_SF": None}, {"NCrv": None}, {"NPt": 0}, {"ActCrv": None}],
    ids=lambda changes: next(iter(changes)),
)
def test_a_model_that_is_not_implemented_offers_nothing(changes: dict[str, Any]) -> None:
    words = Device(126, **changes).words
    assert delegates(126, "d", struct.pack(f">{len(words)}H", *words), RATINGS, Authority()) == []


def test_response_times_are_to_90_percent_here_and_to_95_there() -> None:
    """10 s to 90 % of a step of first order are 13 s to 95 %; the model counts in whole seconds."""
    device = Device(132)
    device.put(Curve(((1.06, 1.0), (1.1, 0.0)), 10.0))
    assert device.curve(1)[50] == 13
    held = from_text(str(device.said))
    assert held.response_s == pytest.approx(10.0, abs=0.01)


@pytest.mark.parametrize(
    ("number", "wish", "text"),
    [
        (126, Curve(tuple((1 + at / 100, 0.0) for at in range(11))), "room for 10 points, found 11"),
        (126, WISHES[134], "takes a curve, found a droop"),
        (134, WISHES[126], "takes a droop, found a curve"),
        (134, Droop(0.2, 0.05, release_delay_s=60.0), "no release delay"),
    ],
)
def test_what_a_model_cannot_say_is_refused_before_anything_is_written(
    number: int, wish: Characteristic, text: str
) -> None:
    device = Device(number)
    with pytest.raises(CurveError, match=text):
        device.put(wish)
    assert device.log == []


@given(
    deadband_hz=st.integers(0, 200).map(lambda n: n / 100),
    droop=st.integers(2, 12).map(lambda n: n / 100),
    under=st.none() | st.tuples(st.integers(1, 200).map(lambda n: n / 100), st.integers(2, 12).map(lambda n: n / 100)),
    sides=st.sampled_from(["both", "over", "under"]),
    reference=st.sampled_from(["frozen", "nominal"]),
    p_min=st.sampled_from([None, 0.2, 0.5]),
)
def test_a_droop_comes_back_from_its_curve_as_it_went_in(
    deadband_hz: float, droop: float, under: tuple[float, float] | None, sides: Any, reference: Any, p_min: float | None
) -> None:
    wish = Droop(deadband_hz, droop, None, p_min if sides != "under" else None, sides=sides, reference=reference)
    if under is not None and sides == "both":
        wish = Droop(deadband_hz, droop, None, p_min, *under, sides=sides, reference=reference)
    device = Device(134, **{"curve1.RmpPT1Tms": None})
    device.put(wish)
    held = from_text(str(device.said))
    assert isinstance(held, Droop)

    assert (held.sides, held.reference, held.p_min) == (wish.sides, wish.reference, wish.p_min)
    assert held.deadband_hz == pytest.approx(wish.deadband_hz, abs=0.0051)
    assert held.droop == pytest.approx(wish.droop, abs=0.0006)
    if wish.under_droop is not None and held.under_droop is not None:
        assert held.under_droop == pytest.approx(wish.under_droop, abs=0.0006)
    assert device.offered.stands(held, device.seen)
