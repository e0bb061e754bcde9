"""Devices of SunSpec's second generation (models 701 to 715) on the wire: what is read, and how set-points stand."""

from __future__ import annotations

import asyncio
from itertools import accumulate
from typing import Any

import pytest

from drivers.base import Driver, WriteRefused
from drivers.modbus import sunspec_heartbeat
from gateway.model import Measurement, Quality, SetPoint
from hil.faces.modbus import MemoryRegisters, ModbusFace, ModbusFault
from hil.faces.sunspec_der import DerRegisters, Panel, der_models
from hil.plant.battery import Battery
from hil.plant.grid import ConnectionPoint
from hil.plant.inverter import Inverter
from tests.contract.watch import Watch, running
from tests.protocol import modbus_peers as peers
from tests.unit.drivers.sunspec_map import chain, layout, model

AT = ConnectionPoint(active_power_w=0.0, reactive_power_var=0.0, voltage_v=400.0, frequency_hz=50.0)
COMMON = model(1, Mn="Vendor", Md="DER100", SN="SN-1")
READINGS = model(701, W=5000, W_SF=1, Hz=50_010, Hz_SF=-3, TotWhInj=0, TotWh_SF=0)
CAPACITY = model(702, WMax=1000, VarMaxInj=480, VarMaxAbs=400, WChaRteMax=500, W_SF=2, Var_SF=2)
CONTROLS: dict[str, Any] = {
    "WMaxLimPctEna": 0, "WMaxLimPct": 1000, "WMaxLimPct_SF": -1, "WMaxLimPctEnaRvrt": 1, "WMaxLimPctRvrtTms": 0,
    "WSetEna": 0, "WSetMod": 0, "WSet": 0, "WSet_SF": 1, "WSetPct": 0, "WSetPct_SF": -2, "WSetRvrtTms": 0,
    "VarSetEna": 0, "VarSetMod": 1, "VarSet": 0, "VarSet_SF": 1, "VarSetPct": 0, "VarSetPct_SF": -2, "VarSetRvrtTms": 0,
    "PFWInjEna": 0, "PFWInjEnaRvrt": 0, "PFWInjRvrtTms": 0, "PFWInj.PF": 1000, "PFWInj.Ext": 0, "PF_SF": -3,
}  # fmt: skip


class Device(MemoryRegisters):
    """A map with models 1, 701, 702, 704 and 715, whose control registers go by their SunSpec names."""

    def __init__(self, **values: Any) -> None:
        front = (COMMON, READINGS, CAPACITY)
        controls = model(704, **CONTROLS | values)
        super().__init__(holding=chain(*front, controls, model(715, LocRemCtl=0, ControllerHb=0)))
        self.readings = 40002 + len(COMMON)
        self.at = 40002 + sum(map(len, front))
        self.remote = self.at + len(controls) + 2
        self._places = layout(704)

    def word(self, name: str) -> int:
        return self.holding[self.at + self._places[name][0]]

    def log(self) -> list[tuple[str, list[int]]]:
        """What was written to model 704 since the last call: name of the first register, words."""
        names = {self.at + offset: name for name, (offset, *_) in self._places.items()}
        written = [(names[address], words) for _, _, address, words in self.writes if address in names]
        self.writes.clear()
        return written


def sunspec(face: ModbusFace, revert_s: float | None = None, role: str = "pv") -> Driver:
    return peers.driver(face.port, profile="sunspec", role=role, revert_s=revert_s)


def order(point: str, value: float | None) -> SetPoint:
    return SetPoint(f"d.{point}", value, expires=asyncio.get_running_loop().time() + 60, cause="test")


async def known(watch: Watch, point: str) -> None:
    await watch.until(lambda: watch.latest(f"d.{point}") is not None)


@pytest.mark.parametrize(
    ("point", "value", "written", "given_back"),
    [
        pytest.param(
            "active_power_limit",
            60_000.0,
            [
                ("WMaxLimPctEnaRvrt", [0]),
                ("WMaxLimPctRvrtTms", [0, 60]),
                ("WMaxLimPct", [600]),
                ("WMaxLimPctEna", [1]),
            ],
            [
                ("WMaxLimPctEna", [0]),
                ("WMaxLimPct", [1000]),
                ("WMaxLimPctRvrtTms", [0, 0]),
                ("WMaxLimPctEnaRvrt", [1]),
            ],
            id="limit-in-percent",
        ),
        pytest.param(
            "active_power_setpoint",
            -50_000.0,
            [("WSetRvrtTms", [0, 60]), ("WSetMod", [1]), ("WSet", [0xFFFF, 0x10000 - 5000]), ("WSetEna", [1])],
            [("WSetEna", [0]), ("WSet", [0, 0]), ("WSetRvrtTms", [0, 0]), ("WSetMod", [0])],
            id="charging-in-watts",
        ),
        pytest.param(
            "reactive_power_setpoint",
            -30_000.0,
            [("VarSetRvrtTms", [0, 60]), ("VarSetMod", [4]), ("VarSet", [0xFFFF, 0x10000 - 3000]), ("VarSetEna", [1])],
            [("VarSetEna", [0]), ("VarSet", [0, 0]), ("VarSetRvrtTms", [0, 0]), ("VarSetMod", [1])],
            id="var",
        ),
        pytest.param(
            "power_factor_setpoint",
            -0.95,
            [("PFWInjRvrtTms", [0, 60]), ("PFWInj.PF", [950, 1]), ("PFWInjEna", [1])],
            [("PFWInjEna", [0]), ("PFWInj.PF", [1000, 0]), ("PFWInjRvrtTms", [0, 0])],
            id="under-excited-power-factor",
        ),
    ],
)
async def test_a_set_point_is_armed_refreshed_and_given_back(
    point: str, value: float, written: list[tuple[str, list[int]]], given_back: list[tuple[str, list[int]]]
) -> None:
    """
    Reversion first, then mode, value and enable; 0 after the reversion, so that the device is free then. A refresh
    writes value and enable, which starts the time again; giving back restores what stood there.
    """
    device = Device()
    async with ModbusFace({1: device}) as face:
        driver = sunspec(face, revert_s=60)
        async with running(driver) as watch:
            await known(watch, point)
            assert watch.latest(f"d.{point}") == Measurement(f"d.{point}", None)

            assert await driver.write(order(point, value)) == pytest.approx(value)
            assert device.log() == written
            assert await driver.write(order(point, value)) == pytest.approx(value)
            assert device.log() == written[-2:]
            assert watch.value(f"d.{point}") == pytest.approx(value)

            assert await driver.write(order(point, None)) is None
            assert device.log() == given_back


@pytest.mark.parametrize(
    ("absent", "point", "value", "expected"),
    [
        pytest.param("WSet", "active_power_setpoint", 25_000.0, ("WSetPct", [2500]), id="of-WMax"),
        pytest.param("VarSet", "reactive_power_setpoint", -12_000.0, ("VarSetPct", [0x10000 - 2500]), id="of-VarMax"),
    ],
)
async def test_a_device_without_watts_or_vars_is_set_in_percent(
    absent: str, point: str, value: float, expected: tuple[str, list[int]]
) -> None:
    device = Device(**{absent: None})
    async with ModbusFace({1: device}) as face:
        driver = sunspec(face)
        async with running(driver) as watch:
            await known(watch, point)

            assert await driver.write(order(point, value)) == pytest.approx(value)
            assert expected in device.log()


@pytest.mark.parametrize(
    ("point", "value", "accepted"),
    [
        ("active_power_limit", 100_001.0, "0 to 100000 W"),
        ("active_power_setpoint", -50_001.0, "-50000 to 100000 W"),
        ("reactive_power_setpoint", -40_001.0, "-40000 to 48000 var"),
        ("power_factor_setpoint", 0.0, "above 0 to 1"),
    ],
)
async def test_what_the_ratings_do_not_allow_never_reaches_the_wire(point: str, value: float, accepted: str) -> None:
    device = Device()
    async with ModbusFace({1: device}) as face:
        driver = sunspec(face)
        async with running(driver) as watch:
            await known(watch, point)
            with pytest.raises(WriteRefused, match=f"accepted is {accepted}"):
                await driver.write(order(point, value))
            assert device.log() == []


async def test_a_scale_factor_that_changes_between_polls_is_read_with_its_value_and_used_for_the_next_write() -> None:
    device = Device()
    async with ModbusFace({1: device}) as face:
        driver = sunspec(face)
        async with running(driver) as watch:
            await watch.until(lambda: watch.value("d.active_power") == 50_000)
            device.holding |= {device.readings + 10: 5010, device.readings + 116: 0}
            await watch.until(lambda: watch.value("d.active_power") == 5010)
            assert {each.value for each in watch.measurements if each.point == "d.active_power"} == {50_000, 5010}

            device.holding[device.at + 54] = 0xFFFE
            assert await driver.write(order("active_power_limit", 60_000)) == 60_000
            assert device.word("WMaxLimPct") == 6000


async def test_an_order_to_a_device_in_local_operation_is_refused_with_that_reason() -> None:
    device = Device()
    async with ModbusFace({1: device}) as face:
        driver = sunspec(face)
        async with running(driver) as watch:
            await known(watch, "active_power_limit")
            device.holding[device.remote] = 1
            await watch.until(lambda: watch.value("d.local_control") == 1)
            for value in (10_000.0, None):
                with pytest.raises(WriteRefused, match="local operation"):
                    await driver.write(order("active_power_limit", value))
            assert device.log() == []

            device.holding[device.remote] = 0
            await watch.until(lambda: watch.value("d.local_control") == 0)
            assert await driver.write(order("active_power_limit", 10_000)) == 10_000


async def test_nothing_is_written_to_a_model_that_moved() -> None:
    device = Device()
    async with ModbusFace({1: device}) as face:
        driver = peers.driver(face.port, profile="sunspec", role="pv", poll="1h", timeout="5s")
        async with running(driver) as watch:
            await known(watch, "active_power_limit")
            device.holding[device.at + 1] -= 2
            with pytest.raises(WriteRefused, match="SunSpec model 704"):
                await driver.write(order("active_power_limit", 10_000))
            assert "discovered again" in await watch.lost()
            assert device.log() == []


async def test_a_value_the_device_does_not_give_is_invalid_from_the_moment_it_is_gone() -> None:
    device = Device()
    async with ModbusFace({1: device}) as face, running(sunspec(face)) as watch:
        await watch.until(lambda: watch.value("d.frequency") == 50.01)
        assert watch.value("d.energy_export") == 0
        device.holding |= {device.readings + 17: 0xFFFF, device.readings + 18: 0xFFFF}
        await watch.until(lambda: watch.latest("d.frequency") == Measurement("d.frequency", None, Quality.INVALID))


def face_of(device: Inverter | Battery, panel: Panel) -> ModbusFace:
    models = der_models(device, lambda: AT, serial="SN-7", panel=panel, now=asyncio.get_running_loop().time)
    return ModbusFace({1: DerRegisters(models, panel)})


async def test_a_simulated_inverter_obeys_and_lets_go_by_itself_when_nobody_refreshes() -> None:
    inverter = Inverter(available_w=60_000.0)
    async with face_of(inverter, Panel()) as face:
        driver = sunspec(face, revert_s=10)
        async with running(driver) as watch:
            await known(watch, "active_power_limit")
            plate = watch.nameplates["d"]
            assert (plate.serial, plate.rated_power_w, plate.rated_reactive_power_var) == ("SN-7", 60_000, 60_000)
            assert {"active_power", "voltage_l1", "energy_import"} <= {point.name for point in plate.points}
            assert "dc_power" not in {point.name for point in plate.points}

            for _ in range(2):
                assert await driver.write(order("active_power_limit", 24_000)) == pytest.approx(24_000)
                for _ in range(9):
                    inverter.step(1.0)
            await watch.until(lambda: watch.value("d.active_power") == pytest.approx(24_000, abs=100))
            inverter.step(1.0)
            await watch.until(lambda: watch.latest("d.active_power_limit") == Measurement("d.active_power_limit", None))
            assert inverter.converter.limit.in_force is None


async def test_a_simulated_battery_charges_and_discharges_as_told() -> None:
    battery = Battery(soc=0.4)
    async with face_of(battery, Panel()) as face:
        driver = sunspec(face, revert_s=60, role="battery")
        async with running(driver) as watch:
            await known(watch, "active_power_setpoint")
            await watch.until(lambda: watch.value("d.state_of_charge") == 40)
            assert watch.nameplates["d"].rated_energy_wh == 60_000
            for value in (15_000.0, -15_000.0):
                assert await driver.write(order("active_power_setpoint", value)) == pytest.approx(value)
                for _ in range(10):
                    battery.step(1.0)
                await watch.until(lambda value=value: watch.value("d.active_power") == pytest.approx(value, abs=20))
            assert await driver.write(order("active_power_setpoint", None)) is None
            assert (battery.discharge.in_force, battery.charge.in_force) == (None, None)


async def test_a_simulated_device_that_is_switched_to_local_takes_no_order() -> None:
    panel = Panel()
    async with face_of(Inverter(), panel) as face:
        driver = sunspec(face)
        async with running(driver) as watch:
            await known(watch, "active_power_limit")
            panel.local = True
            await watch.until(lambda: watch.value("d.local_control") == 1)
            with pytest.raises(WriteRefused, match="local operation"):
                await driver.write(order("active_power_limit", 1_000))


BATTERY = {"SoC": 500, "SoC_SF": -1, "Hb": 7, "CtrlHb": 0xFFFD}


class Bank(MemoryRegisters):
    """A battery with models 1, 701, 702, 704 and 802, and its protection in 707 to 710."""

    def __init__(self) -> None:
        self.trips = [model(number, Ena=1) for number in (707, 708, 709, 710)]
        front = (COMMON, READINGS, CAPACITY, model(704, **CONTROLS))
        super().__init__(holding=chain(*front, model(802, **BATTERY), *self.trips))
        self.at = 40002 + sum(map(len, front))

    def beats(self) -> list[int]:
        return [words[0] for _, _, address, words in self.writes if address == self.at + 19]


async def test_a_battery_hears_our_heartbeat_every_second_while_an_order_stands(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """CtrlHb of model 802 has one register: it begins again at 0 before it would say "not implemented"."""
    monkeypatch.setattr(sunspec_heartbeat, "BEAT_S", 0.05)
    bank = Bank()
    async with ModbusFace({1: bank}) as face:
        driver = sunspec(face, role="battery")
        async with running(driver) as watch:
            await known(watch, "active_power_limit")
            assert bank.beats() == []
            await driver.write(order("active_power_limit", 30_000.0))
            await watch.until(lambda: len(bank.beats()) >= 4)
            assert bank.beats()[:4] == [0xFFFE, 0, 1, 2]


async def test_a_battery_whose_heartbeat_stands_is_told_and_its_values_are_uncertain(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sunspec_heartbeat, "FROZEN_S", 0.3)
    bank = Bank()
    charge = Measurement("d.state_of_charge", 50.0, Quality.UNCERTAIN)
    async with ModbusFace({1: bank}) as face, running(sunspec(face, role="battery")) as watch:
        await watch.until(lambda: watch.latest("d.state_of_charge") == charge)
        assert sum("its heartbeat (Hb) has not moved" in record.message for record in caplog.records) == 1
        bank.holding[bank.at + 18] += 1
        await watch.until(lambda: watch.latest("d.state_of_charge") == charge._replace(quality=Quality.GOOD))


async def test_a_dso_sees_that_protection_is_on_and_the_line_is_not_asked_for_it_with_every_poll() -> None:
    asked: list[int] = []

    class Counting(Bank):
        def read(self, space: str, address: int, count: int) -> list[int]:
            asked.append(address)
            return super().read(space, address, count)

    bank = Counting()
    trips = list(accumulate(map(len, bank.trips[:-1]), initial=bank.at + len(model(802))))
    async with ModbusFace({1: bank}) as face:
        driver = sunspec(face, role="battery")
        async with running(driver) as watch:
            for name in ("low_voltage", "high_voltage", "low_frequency", "high_frequency"):
                await watch.until(lambda name=name: watch.value(f"d.trip_{name}") == 1)
            asked.clear()
            await watch.until(lambda: len(asked) > 20)
            assert all(asked.count(at) <= 1 for at in trips)  # their own turn may come just now
            (plan,) = driver.plan()
    assert [request for request in plan.requests if request.endswith("every 60 s")] == [
        f"holding {at}-{at + 2} every 60 s" for at in trips
    ]


class Terse(Device):
    """Gives so many registers an answer, and refuses to give more."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most
        self.longest = 0

    def read(self, space: str, address: int, count: int) -> list[int]:
        self.longest = max(self.longest, count)
        if count > self.most:
            raise ModbusFault(3)
        return super().read(space, address, count)


@pytest.mark.parametrize("most", [4, 10, 60])
async def test_a_device_that_gives_few_registers_an_answer_is_read_and_obeys(most: int) -> None:
    """From its discovery on, no request is longer; the plan tells each of them, and guesses no fewer before."""
    device = Terse(most)
    async with ModbusFace({1: device}) as face:
        driver = peers.driver(face.port, profile="sunspec", role="pv", revert_s=60, quirks={"max_registers": most})
        (guess,) = driver.plan()
        async with running(driver) as watch:
            await known(watch, "active_power_limit")
            await watch.until(lambda: watch.value("d.active_power") == 50_000)
            assert await driver.write(order("active_power_limit", 60_000)) == pytest.approx(60_000)
            await watch.until(lambda: watch.value("d.active_power_limit") == pytest.approx(60_000))
            assert await driver.write(order("active_power_limit", None)) is None
            await watch.until(lambda: watch.latest("d.active_power_limit") == limit_of(None))
        (plan,) = driver.plan()

    assert device.longest <= most
    spans = [text.split()[1].split("-") for text in plan.requests]
    assert all(int(span[-1]) - int(span[0]) < most for span in spans)
    assert len(plan.requests) > 3
    assert plan.requests_per_s <= guess.requests_per_s


def limit_of(value: float | None) -> Measurement:
    return Measurement("d.active_power_limit", value)


async def test_a_model_that_few_registers_would_tear_apart_is_told_once_and_left_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Short(Bank):
        def read(self, space: str, address: int, count: int) -> list[int]:
            if count > 2:
                raise ModbusFault(3)
            return super().read(space, address, count)

    async with ModbusFace({1: Short()}) as face:
        driver = peers.driver(face.port, profile="sunspec", role="battery", quirks={"max_registers": 2})
        for _ in range(2):
            async with running(driver) as watch:
                await watch.until(lambda: watch.value("d.state_of_charge") == 50)
                assert "d.active_power" not in {point.id for point in watch.nameplates["d"].points}
                await face.drop()
                await watch.lost()
    (told,) = [record.message for record in caplog.records if "left out" in record.message]
    assert "SunSpec model 701 at 40070 is left out: it has values of 4 registers" in told
