"""A SunSpec device that gives few registers an answer: the same values, none torn apart, each with its scale factor."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.modbus import sunspec, sunspec_setpoints
from drivers.modbus.link import Link
from drivers.modbus.pdu import REFUSALS, RefusalError, Request
from drivers.modbus.sunspec import MapError, MapMovedError
from drivers.modbus.sunspec_pieces import pieces, whole, widest
from drivers.modbus.sunspec_walk import Model
from drivers.modbus.sunspec_wire import PieceWire, Turns
from drivers.modbus.traffic import Count
from gateway.model import Measurement
from tests.unit.drivers.sunspec_map import Map, chain, layout, model, read, run

COMMON = model(1, Mn="Vendor", Md="PV60", SN="SN-1")
VOLT_VAR: dict[str, Any] = {
    "Ena": 1, "AdptCrvReq": 0, "AdptCrvRslt": 1, "NPt": 4, "NCrv": 1, "RvrtTms": 0, "RvrtRem": 0, "RvrtCrv": 0,
    "V_SF": -2, "DeptRef_SF": -2, "RspTms_SF": 0, "Crv1.ActPt": 1, "Crv1.DeptRef": 1, "Crv1.RspTms": 5,
    "Crv1.Pt1.V": 9200, "Crv1.Pt1.Var": 4400,
}  # fmt: skip
MODELS = [
    COMMON,
    model(103, W=1234, W_SF=1, AphA=183, A_SF=-1, Hz=5000, Hz_SF=-2, WH=70_000, WH_SF=0, DCV=700, DCV_SF=0, Evt1=9),
    model(120, WRtg=1100, WRtg_SF=2),
    model(121, WMax=1000, WMax_SF=2, VArMaxQ1=480, VArMax_SF=2),
    model(122, ActWh=2**40, WAval=5, WAval_SF=3, StActCtl=1),
    model(160, 2, N=2, DCA_SF=-1, **{"module1.DCA": 85, "module1.DCWH": 2**17, "module2.DCA": 86}, DCWH_SF=0),
    model(701, W=5000, W_SF=1, Hz=50_010, Hz_SF=-3, TotWhInj=2**40, TotWh_SF=0, AL3=7, A_SF=0, ThrotPct=5),
    model(702, WMax=1000, VarMaxInj=480, W_SF=2, Var_SF=2),
    model(703, ES=1, ESDlyRemTms=70_000),
    model(704, WMaxLimPctEna=1, WMaxLimPct=500, WMaxLimPct_SF=-1, WSetEna=1, WSetMod=1, WSet=70_000, WSet_SF=0),
    [705, 31, *model(705, VOLT_VAR["NPt"], **VOLT_VAR)[2:33]],
    model(707, Ena=1),
    model(714, 2, DCW=7, DCW_SF=1, NPrt=2, PrtAlrms=2**20),
    model(715, LocRemCtl=0, DERHb=70_000, ControllerHb=0),
    model(802, SoC=500, SoC_SF=-1, Hb=7, ChaSt=3),
]
WHOLE = chain(*MODELS)
CONTROLS = model(123, WMaxLimPct=100, WMaxLimPct_SF=0, WMaxLim_Ena=0)


def place(number: int, registers: int, address: int = 40_100) -> Model:
    return Model(number, address, registers - 2)


def polled(registers: Map, longest: int) -> dict[str, Measurement]:
    """Everything one poll emits of a device that gives so many registers an answer."""
    found: sunspec.Found = run(sunspec.discover("d", meter=False, max_age=3.0, longest=longest), registers, longest)
    homes = {each.address: each for each in found.models}
    measured: dict[str, Measurement] = {}
    for block in (*found.blocks, *found.slow):
        data = run(whole(homes[block.address], 0, block.count, longest), registers, longest)
        measured |= {each.point: each for each in block.decode(data)}
    return measured


@pytest.mark.parametrize("longest", [4, 5, 7, 10, 16, 50, 100, 124])
def test_a_device_that_gives_few_registers_an_answer_gives_the_same_values(longest: int) -> None:
    expected = polled(WHOLE, 125)

    assert {"d.active_power", "d.energy_export", "d.volt_var", "d.active_power_setpoint"} <= expected.keys()
    assert polled(WHOLE, longest) == expected


NUMERIC = {"int16", "uint16", "int32", "uint32", "uint64", "acc32", "acc64", "float32", "enum16", "bitfield32"}
READ = {
    103: ("W", "WH", "Hz", "Evt1"), 113: ("W", "Hz", "WH"), 203: ("W", "TotWhExp"), 213: ("W", "TotWhImp"),
    701: ("W", "Hz", "TotWhInj", "TotVarhAbs", "Alrm", "AL3"), 703: ("ES", "ESDlyRemTms"),
    704: ("WMaxLimPct", "WMaxLimPctRvrtTms", "WMaxLimPctRvrtRem", "WSet", "WSetRvrtTms", "VarSet", "VarSetRvrtRem"),
    705: ("RvrtTms", "RvrtRem", "Crv1.RspTms", "Crv1.Pt1.V"), 711: ("RvrtTms", "Ctl1.DbOf", "Ctl1.RspTms"),
    122: ("ActWh", "StActCtl"), 160: ("module2.DCWH",), 714: ("PrtAlrms", "Prt2.DCA"), 715: ("DERHb", "ControllerHb"),
}  # fmt: skip
"""What is read of each of these models, as the reference calls it."""


@given(number=st.sampled_from(sorted(READ)), longest=st.integers(1, 124), offset=st.just(0))
def test_no_request_is_too_long_and_none_tears_a_value_apart(number: int, longest: int, offset: int) -> None:
    places = layout(number, members=2)
    registers = min(125, sum(size for _, _, size, _ in places.values()))
    home = place(number, registers)
    longest = max(longest, widest(home))
    asks = pieces(home, offset, registers, longest)
    body = asks if len(asks) == 1 else asks[: -len(range(0, 2, longest))]

    assert all(1 <= count <= longest for _, count in asks)
    assert [at for first, count in body for at in range(first, first + count)] == list(
        range(home.address, home.address + registers)
    )
    starts = {at - home.address for at, _ in body}
    for name in READ[number]:
        at, type_, size, _ = places[name]
        assert type_ in NUMERIC
        assert not starts & set(range(at + 1, at + size)), name


@pytest.mark.parametrize(
    ("number", "name", "longest"),
    [
        pytest.param(103, "W", 15, id="103-W-over-the-cut"),
        pytest.param(103, "AphA", 5, id="103-A"),
        pytest.param(123, "WMaxLimPct", 19, id="123-limit"),
        pytest.param(704, "WMaxLimPct", 40, id="704-limit"),
        pytest.param(704, "WSet", 32, id="704-watts"),
        pytest.param(701, "AL3", 50, id="701-current"),
        pytest.param(120, "WRtg", 4, id="120-rating"),
        pytest.param(705, "Crv1.Pt4.Var", 32, id="705-last-point"),
    ],
)
def test_a_scale_factor_is_read_with_its_value_where_both_fit(number: int, name: str, longest: int) -> None:
    places = layout(number, members=4)
    at, _, size, scale = places[name]
    assert scale is not None
    registers = min(125, sum(each for _, _, each, _ in places.values()))
    home = place(number, registers)
    asks = pieces(home, 0, registers, longest)
    inside = [set(range(first - home.address, first - home.address + count)) for first, count in asks]

    assert any({places[scale][0], *range(at, at + size)} <= each for each in inside)


def test_the_header_is_read_again_at_the_end_of_a_turn_in_pieces() -> None:
    """The model moved on between the first request and the last: nothing of it is believed."""
    registers = chain(COMMON, MODELS[1])
    home = place(103, 52, 40_002 + len(COMMON))
    steps = whole(home, 0, 52, 10)
    asked = [next(steps)]
    while asked[-1] != (home.address, 2):
        asked.append(steps.send(read(registers, *asked[-1])))
    registers[home.address] = 101

    with pytest.raises(MapMovedError, match="SunSpec model 103"):
        steps.send(read(registers, *asked[-1]))


def test_a_refusal_within_a_turn_is_one_of_the_whole() -> None:
    registers = chain(COMMON, MODELS[1])
    home = place(103, 52, 40_002 + len(COMMON))
    del registers[home.address + 30]

    assert run(whole(home, 0, 52, 10), registers) is None


@pytest.mark.parametrize(
    ("longest", "left_out"),
    [(1, {103, 122, 160, 701, 703, 704, 705, 714, 715}), (2, {122, 701}), (3, {122, 701}), (4, set())],
)
def test_a_model_whose_values_are_longer_than_an_answer_is_left_out_and_named(longest: int, left_out: set[int]) -> None:
    found: sunspec.Found = run(sunspec.discover("d", meter=False, max_age=3.0, longest=longest), WHOLE, longest)

    assert {int(text.split()[2]) for text in found.left_out} == left_out
    assert not left_out & {each.id for each in found.models}
    assert all(f"the device gives {longest} an answer (quirks.max_registers)" in text for text in found.left_out)
    assert "d.state_of_charge" in {point.id for point in found.nameplate.points}


def test_a_device_of_which_nothing_is_left_says_why() -> None:
    with pytest.raises(MapError, match=r"no model with readings .*: 1, 103; SunSpec model 103 at 40070 is left out"):
        run(sunspec.discover("d", meter=False, max_age=3.0, longest=1), chain(COMMON, MODELS[1]), 1)


@pytest.mark.parametrize(
    ("number", "field", "name"),
    [
        pytest.param(number, field, field.name, id=f"{number}-{field.name}")
        for number, fields in sunspec_setpoints.FIELDS.items()
        for field in fields
    ],
)
def test_the_registers_of_set_points_are_where_the_reference_has_them(number: int, field: Any, name: str) -> None:
    places = layout(number)
    offset, type_, _, scale = places[name]

    assert (field.offset, field.kind, field.sf) == (offset, type_, places[scale][0] if scale else 0)


class Line:
    """Answers reads from registers; `meanwhile` is done once, before the answer to the third request."""

    def __init__(self, registers: Map) -> None:
        self.counts = {1: Count()}
        self.registers = registers
        self.asked: list[tuple[int, int]] = []
        self.meanwhile: Any = None

    async def request(self, request: Request, _timeout_s: float, *, first: bool = False) -> bytes:
        del first
        if request.pdu[0] != 3:
            address, word = struct.unpack(">HH", request.pdu[1:5])
            self.registers[address] = word
            return b""
        at, count = struct.unpack(">HH", request.pdu[1:5])
        self.asked.append((at, count))
        if len(self.asked) == 3 and self.meanwhile is not None:
            await self.meanwhile()
        data = read(self.registers, at, count)
        assert data is not None
        return data


def interrupted(written: int) -> tuple[Line, PieceWire]:
    """Models 1, 103 and 123 in pieces, and an order `written` registers after the start of 103 between two of them."""
    line = Line(chain(COMMON, MODELS[1], CONTROLS))
    fake: Link = line  # type: ignore[assignment]  # has the parts of a Link that a Wire uses
    homes = [place(1, 68, 40_002), place(103, 52, 40_070), place(123, 26, 40_122)]
    wire = PieceWire(fake, 1, 1.0, 10, Turns(homes))
    line.meanwhile = lambda: wire.write("holding", 40_070 + written, (77,))
    return line, wire


async def test_an_order_to_a_model_between_two_of_its_pieces_ends_the_turn_without_values() -> None:
    """Half of them would be from before it. The device counts as busy: it is asked again at its next turn."""
    line, wire = interrupted(2)
    with pytest.raises(RefusalError) as refusal:
        await wire.read("holding", 40_070, 52)

    assert refusal.value.code not in REFUSALS
    assert await wire.read("holding", 40_070, 52) == read(line.registers, 40_070, 52)


@pytest.mark.parametrize("written", [-1, 52], ids=["before", "after"])
async def test_an_order_to_another_model_changes_nothing_in_the_turn(written: int) -> None:
    line, wire = interrupted(written)

    assert await wire.read("holding", 40_070, 52) == read(line.registers, 40_070, 52)
    assert line.registers[40_070 + written] == 77
    assert max(count for _, count in line.asked) <= 10
