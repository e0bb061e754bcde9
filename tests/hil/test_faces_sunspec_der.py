"""The face of a DER of the 7xx models: its image as pysunspec2 reads it, and what a write does to the device."""

from __future__ import annotations

import asyncio
import struct
from typing import Any

import pytest
from sunspec2.device import Model as ForeignModel
from sunspec2.device import get_model_def
from sunspec2.modbus.client import SunSpecModbusClientDeviceTCP

from hil.faces.modbus import ModbusFace, ModbusFault
from hil.faces.sunspec_curves import droop_bank, volt_var_bank, volt_watt_bank, watt_var_bank
from hil.faces.sunspec_der import DerRegisters, Panel, der_models
from hil.faces.sunspec_layout import CURVE_POINTS, CURVES, MODELS, TRIP_POINTS
from hil.plant.battery import Battery
from hil.plant.grid import ConnectionPoint
from hil.plant.inverter import Inverter

AT = ConnectionPoint(active_power_w=0.0, reactive_power_var=0.0, voltage_v=403.2, frequency_hz=50.02)
MODELS_OF_INVERTER = (1, 701, 702, 703, 704, 705, 706, 711, 712, 707, 708, 709, 710, 715)


class Der:
    """A device behind its face, written and read by the names of its points."""

    def __init__(self, device: Inverter | Battery) -> None:
        self.device, self.panel, self.now_s = device, Panel(), 0.0
        self.volt_var = volt_var_bank(self.now, revert_to=3)
        self.banks = [self.volt_var, volt_watt_bank(self.now), droop_bank(self.now), watt_var_bank(self.now)]
        models = der_models(device, lambda: AT, serial="SN-9", panel=self.panel, now=self.now, banks=self.banks)
        self.registers = DerRegisters(models, self.panel)
        at, self.places = 40002, {}
        for each in models:
            self.places[each.id] = at
            at += 2 + sum(point.size for point in MODELS[each.id])

    def now(self) -> float:
        return self.now_s

    def shown(self, model: int) -> dict[str, Any]:
        """As pysunspec2 decodes it, in the points' units."""
        words: list[int] = []
        size = 2 + sum(point.size for point in MODELS[model])
        while len(words) < size:
            words += self.registers.read("holding", self.places[model] + len(words), min(100, size - len(words)))
        values: dict[str, Any] = ForeignModel(model, data=struct.pack(f">{size}H", *words)).get_dict(computed=True)
        return values

    def write(self, model: int, name: str, value: int) -> None:
        point = next(point for point in MODELS[model] if point.name == name)
        data = (value % (1 << 16 * point.size)).to_bytes(2 * point.size, "big")
        self.registers.write("holding", self.places[model] + point.offset, list(struct.unpack(f">{point.size}H", data)))

    def step(self, seconds: int) -> None:
        for _ in range(seconds):
            self.device.step(1.0)
            self.now_s += 1.0


COUNTS = {"NCrv": CURVES, "NCtl": CURVES, "NPt": CURVE_POINTS}
TRIPS = (707, 708, 709, 710)


def published(
    group: dict[str, Any], prefix: str = "", counts: dict[str, int] = COUNTS
) -> list[tuple[str, str, int, str | None]]:
    points = [(prefix + each["name"], each["type"], each["size"], each.get("sf")) for each in group.get("points", ())]
    for inner in group.get("groups", ()):
        times = range(1, counts[inner["count"]] + 1) if "count" in inner else ("",)
        for each in times:
            points += published(inner, f"{prefix}{inner['name']}{each}.", counts)
    return points


@pytest.mark.parametrize("model", [701, 702, 703, 704, 705, 706, 711, 712, 713, 715])
def test_the_layout_is_the_one_that_the_sunspec_alliance_publishes(model: int) -> None:
    ours = [(point.name, point.type, point.size, point.scale) for point in MODELS[model]]

    assert ours == published(get_model_def(model)["group"])[2:]


@pytest.mark.parametrize("model", TRIPS)
def test_the_layout_of_protection_is_the_published_one_with_one_set_of_curves(model: int) -> None:
    ours = [(point.name, point.type, point.size, point.scale) for point in MODELS[model]]

    assert ours == published(get_model_def(model)["group"], counts={"NCrvSet": 1, "NPt": TRIP_POINTS})[2:]


@pytest.mark.parametrize("model", TRIPS)
def test_protection_is_shown_as_the_panel_has_it_and_cannot_be_written(model: int) -> None:
    der = Der(Inverter())
    assert der.shown(model)["Ena"] == 1
    der.panel.protected = False
    assert der.shown(model)["Ena"] == 0
    with pytest.raises(ModbusFault):
        der.write(model, "Ena", 1)


def test_an_inverter_shows_its_measurements_in_their_scales() -> None:
    device = Inverter(available_w=56_000.0)
    device.converter.active_power_w, device.converter.reactive_power_var = 40_000.0, -30_000.0
    device.converter.energy_out_wh = 5_000_000_000.0
    shown = Der(device).shown(701)
    expected = {"W": 40_000, "Var": -30_000, "VA": 50_000, "PF": 0.8, "Hz": 50.02, "LLV": 403.2, "VL1": 232.8}
    expected |= {"AL3": 71.6, "WL2": 13_330, "TotWhInj": 5_000_000_000, "TotWhAbs": 0, "InvSt": 3, "ConnSt": 1}

    assert {name: shown[name] for name in expected} == pytest.approx(expected)
    assert (shown["TmpAmb"], shown["TotVarhInj"]) == (None, None)


def test_ratings_of_a_battery_say_how_far_it_charges() -> None:
    battery, inverter = Der(Battery(soc=0.4)).shown(702), Der(Inverter()).shown(702)

    assert (battery["WMax"], battery["WChaRteMax"], battery["WDisChaRteMaxRtg"]) == (30_000, 30_000, 30_000)
    assert (inverter["WMax"], inverter["WChaRteMax"]) == (60_000, None)
    storage = Der(Battery(soc=0.4)).shown(713)
    assert (storage["SoC"], storage["WHRtg"], storage["WHAvail"]) == (40, 60_000, 24_000)


def test_each_write_of_an_enable_starts_the_reversion_time_again_and_a_value_alone_does_not() -> None:
    der = Der(Inverter(available_w=60_000.0))
    der.write(704, "WMaxLimPctRvrtTms", 10)
    der.write(704, "WMaxLimPct", 6000)
    assert der.device.converter.limit.in_force is None
    der.write(704, "WMaxLimPctEna", 1)
    der.step(8)
    assert der.shown(704)["WMaxLimPctRvrtRem"] == 2
    der.write(704, "WMaxLimPctEna", 1)
    der.step(8)
    der.write(704, "WMaxLimPct", 5000)
    assert der.device.converter.limit.in_force == 50
    der.step(2)
    shown = der.shown(704)
    assert (shown["WMaxLimPctEna"], shown["WMaxLimPct"], shown["WMaxLimPctRvrtRem"]) == (0, 50, 0)


def test_reactive_power_and_a_battery_s_power_are_set_in_var_and_watts() -> None:
    der = Der(Battery())
    der.write(704, "VarSet", -15_000)
    der.write(704, "VarSetEna", 1)
    der.write(704, "WSet", -6_000)
    der.write(704, "WSetEna", 1)
    der.step(20)

    assert der.shown(701)["Var"] == pytest.approx(-15_000, abs=50)
    assert der.shown(701)["W"] == pytest.approx(-6_000, abs=50)
    assert (der.shown(704)["VarSet"], der.shown(704)["WSet"]) == (-15_000, -6_000)


def test_in_local_operation_every_write_is_refused_and_changes_nothing() -> None:
    der = Der(Inverter())
    der.panel.local = True
    before = der.shown(704)

    assert der.shown(715)["LocRemCtl"] == 1
    for name, value in (("WMaxLimPct", 1000), ("WMaxLimPctEna", 1)):
        with pytest.raises(ModbusFault) as refused:
            der.write(704, name, value)
        assert refused.value.code == 2
    assert der.shown(704) == before


def test_heartbeats_count_the_device_s_by_the_second_and_the_controller_s_as_written() -> None:
    der = Der(Inverter())
    first = der.shown(715)["DERHb"]
    der.step(3)
    der.write(715, "ControllerHb", 7)

    assert (der.shown(715)["DERHb"] - first, der.shown(715)["ControllerHb"]) == (3, 7)


@pytest.mark.parametrize(("model", "name", "on", "off"), [(703, "ES", 1, 0), (715, "OpCtl", 1, 0)])
def test_a_device_is_taken_out_of_service_and_back(model: int, name: str, on: int, off: int) -> None:
    der = Der(Inverter(available_w=50_000.0))
    der.write(model, name, off)
    der.step(5)
    assert (der.shown(701)["ConnSt"], der.shown(703)["ES"]) == (0, 0)
    der.write(model, name, on)
    der.step(5)
    assert (der.shown(701)["ConnSt"], der.shown(703)["ES"]) == (1, 1)


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("WMaxLimPct", 10001, 3),
        ("WMaxLimPctEna", 2, 3),
        ("WMaxLimPctEnaRvrt", 1, 3),
        ("VarSetMod", 0, 3),
        ("VarSet", 60_001, 3),
        ("WSet", 0, 2),
        ("PFWInj.PF", 900, 2),
        ("WMaxLimPctRvrtRem", 1, 2),
    ],
)
def test_what_cannot_be_written_is_refused(name: str, value: int, code: int) -> None:
    der = Der(Inverter())
    with pytest.raises(ModbusFault) as refused:
        der.write(704, name, value)
    assert refused.value.code == code


def write_curve(der: Der, number: int, **values: int) -> None:
    for name, value in values.items():
        der.write(705, f"Crv{number}.{name.replace('_', '.')}", value)


CURVE = {"ActPt": 2, "DeptRef": 1, "RspTms": 7, "Pt1_V": 9500, "Pt1_Var": 3000, "Pt2_V": 10500, "Pt2_Var": -3000}


def test_a_curve_is_obeyed_once_it_was_adopted_and_enabled() -> None:
    """As pysunspec2 reads it: in progress, completed, in curve 1; curve 1 itself cannot be written."""
    der = Der(Inverter())
    own = der.shown(705)["Crv"][0]
    assert (own["ActPt"], own["ReadOnly"], own["Pt"][3]) == (4, 1, {"V": 108.0, "Var": -44.0})
    with pytest.raises(ModbusFault):
        write_curve(der, 1, ActPt=2)
    write_curve(der, 2, **CURVE)
    der.write(705, "AdptCrvReq", 2)
    assert (der.shown(705)["AdptCrvRslt"], der.shown(705)["Crv"][0]) == (0, own)
    der.step(1)
    shown = der.shown(705)

    assert (shown["AdptCrvRslt"], shown["Ena"], der.volt_var.in_force) == (1, 0, None)
    assert (shown["Crv"][0]["RspTms"], shown["Crv"][0]["Pt"][:2]) == (
        7,
        [{"V": 95.0, "Var": 30.0}, {"V": 105.0, "Var": -30.0}],
    )
    der.write(705, "Ena", 1)
    assert der.volt_var.in_force is not None
    assert der.volt_var.in_force["Pt2.V"] == 105.0


@pytest.mark.parametrize(
    "wrong",
    [{"Pt2_V": 9500}, {"Pt1_Var": 10_001}, {"ActPt": 0}, {"ActPt": 9}],
    ids=["not-rising", "more-than-all", "no-points", "no-room"],
)
def test_a_curve_that_is_none_fails_and_what_was_obeyed_stands(wrong: dict[str, int]) -> None:
    der = Der(Inverter())
    own = der.shown(705)["Crv"][0]
    write_curve(der, 2, **CURVE | wrong)
    der.write(705, "AdptCrvReq", 2)
    der.step(1)

    assert (der.shown(705)["AdptCrvRslt"], der.shown(705)["Crv"][0]) == (2, own)


@pytest.mark.parametrize(("droop", "result"), [(50, 1), (9, 2)], ids=["5-percent", "below-1-percent"])
def test_a_droop_is_checked_as_well(droop: int, result: int) -> None:
    der = Der(Inverter())
    for name, value in {"DbOf": 200, "DbUf": 200, "KOf": droop, "KUf": 50, "RspTms": 20}.items():
        der.write(711, f"Ctl2.{name}", value)
    der.write(711, "AdptCtlReq", 2)
    der.step(1)

    assert der.shown(711)["AdptCtlRslt"] == result


def test_after_its_reversion_time_a_device_obeys_the_curve_it_goes_back_to() -> None:
    """Each write of the enable starts the time; what is left of it is told."""
    der = Der(Inverter())
    own = der.shown(705)["Crv"][0]["Pt"]
    write_curve(der, 2, **CURVE)
    der.write(705, "AdptCrvReq", 2)
    der.step(1)
    der.write(705, "RvrtTms", 10)
    der.write(705, "Ena", 1)
    der.step(6)
    assert der.shown(705)["RvrtRem"] == 4
    der.write(705, "Ena", 1)
    der.step(9)
    assert (der.shown(705)["RvrtRem"], der.shown(705)["RvrtCrv"]) == (1, 3)
    der.step(1)

    assert (der.shown(705)["Ena"], der.shown(705)["Crv"][0]["Pt"], der.shown(705)["RvrtRem"]) == (1, own, 0)


def test_without_a_curve_to_go_back_to_it_is_off_after_its_reversion_time() -> None:
    der = Der(Inverter())
    der.write(706, "RvrtTms", 10)
    der.write(706, "Ena", 1)
    der.step(10)

    assert (der.shown(706)["Ena"], der.shown(706)["RvrtCrv"]) == (0, None)


def test_a_device_may_keep_less_time_than_it_is_told() -> None:
    der = Der(Inverter())
    der.panel.revert_max_s = 30
    der.write(704, "WMaxLimPctRvrtTms", 600)
    der.write(704, "WMaxLimPctEna", 1)

    assert (der.shown(704)["WMaxLimPctRvrtTms"], der.shown(704)["WMaxLimPctRvrtRem"]) == (30, 30)


def test_a_frozen_device_answers_and_its_heartbeat_stands() -> None:
    der = Der(Inverter())
    der.step(5)
    before = der.shown(715)["DERHb"]
    der.panel.frozen = True
    der.step(5)
    assert der.shown(715)["DERHb"] == before
    der.panel.frozen = False
    assert der.shown(715)["DERHb"] == before + 5


async def test_pysunspec2_scans_and_controls_the_device_over_tcp() -> None:
    der = Der(Inverter(available_w=56_000.0))
    der.device.converter.active_power_w = 56_000.0

    def foreign_master(port: int) -> tuple[list[int], float, float]:
        client = SunSpecModbusClientDeviceTCP(slave_id=1, ipaddr="127.0.0.1", ipport=port, timeout=5)
        try:
            client.scan()
            found = [model for model in client.models if isinstance(model, int)]
            controls = client.models[704][0]
            controls.WMaxLimPct.cvalue = 50
            controls.WMaxLimPct.write()
            controls.WMaxLimPctEna.value = 1
            controls.WMaxLimPctEna.write()
            controls.read()
            return found, client.models[701][0].W.cvalue, controls.WMaxLimPct.cvalue
        finally:
            client.close()

    async with ModbusFace({1: der.registers}) as face:
        assert await asyncio.to_thread(foreign_master, face.port) == (list(MODELS_OF_INVERTER), 56_000.0, 50.0)
    assert der.device.converter.limit.in_force == 50.0
