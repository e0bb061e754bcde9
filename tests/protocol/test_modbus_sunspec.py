"""SunSpec set-points on the wire: what is written, in which order, read back, and given back."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from drivers.base import Driver, WriteRefused
from gateway.characteristic import Curve, from_text, to_text
from gateway.model import Measurement, Quality, SetPoint, Setting
from hil.faces.modbus import MemoryRegisters, ModbusFace, ModbusFault
from hil.faces.sunspec import SunSpecRegisters
from hil.faces.sunspec_devices import battery_models, inverter_models
from hil.plant.battery import Battery
from hil.plant.grid import ConnectionPoint
from hil.plant.inverter import Inverter
from tests.contract.watch import Watch, running
from tests.protocol import modbus_peers as peers
from tests.unit.drivers.sunspec_map import chain, layout, model

COMMON = model(1, Mn="Vendor", Md="PV100", SN="SN-1")
READINGS = model(103, W=5000, W_SF=1)
SETTINGS = model(121, WMax=1000, WMax_SF=2, VArMaxQ1=480, VArMax_SF=2)  # 100 kW, 48 kvar
IMMEDIATE: dict[str, Any] = {
    "WMaxLimPct": 10000, "WMaxLimPct_SF": -2, "WMaxLimPct_RvrtTms": 0, "WMaxLim_Ena": 0,
    "VArWMaxPct": 0, "VArMaxPct": 0, "VArPct_SF": -2, "VArPct_Mod": 0, "VArPct_RvrtTms": 0, "VArPct_Ena": 0,
}  # fmt: skip
STORAGE: dict[str, Any] = {
    "WChaMax": 5000, "WChaMax_SF": 1, "StorCtl_Mod": 0, "OutWRte": 10000, "InWRte": 10000, "InOutWRte_SF": -2,
    "InOutWRte_RvrtTms": 0, "ChaState": 550, "ChaState_SF": -1,
}  # fmt: skip


class Device(MemoryRegisters):
    """A map with models 1, 103, 121 and one with set-points, whose registers go by their SunSpec names."""

    def __init__(self, number: int, members: int = 1, **values: Any) -> None:
        front = (COMMON, READINGS, SETTINGS)
        super().__init__(holding=chain(*front, model(number, members, **values)))
        self.at = 40002 + sum(map(len, front))
        self._places = layout(number, members)

    def address(self, name: str) -> int:
        return self.at + self._places[name][0]

    def word(self, name: str) -> int:
        return self.holding[self.address(name)]

    def log(self) -> list[tuple[str, list[int]]]:
        """What was written since the last call: name of the first register, words."""
        names = {self.at + offset: name for name, (offset, *_) in self._places.items()}
        written = [(names[address], words) for _, _, address, words in self.writes]
        self.writes.clear()
        return written


def sunspec(face: ModbusFace, revert_s: float | None = None) -> Driver:
    return peers.driver(face.port, profile="sunspec", role="pv", revert_s=revert_s)


def order(point: str, value: Setting | None) -> SetPoint:
    return SetPoint(f"d.{point}", value, expires=asyncio.get_running_loop().time() + 60, cause="test")


async def known(watch: Watch, point: str) -> None:
    await watch.until(lambda: watch.latest(f"d.{point}") is not None)


async def test_a_limit_is_armed_with_its_reversion_before_it_acts() -> None:
    """60 kW of 100 kW are 60 %; refreshing it writes the value alone, and giving it back restores what stood there."""
    device = Device(123, **IMMEDIATE | {"WMaxLimPct": 9000})
    async with ModbusFace({1: device}) as face:
        driver = sunspec(face, revert_s=60)
        async with running(driver) as watch:
            await known(watch, "active_power_limit")
            assert watch.latest("d.active_power_limit") == Measurement("d.active_power_limit", None)

            assert await driver.write(order("active_power_limit", 60_000)) == 60_000
            assert device.log() == [("WMaxLimPct_RvrtTms", [60]), ("WMaxLimPct", [6000]), ("WMaxLim_Ena", [1])]
            assert watch.value("d.active_power_limit") == 60_000

            assert await driver.write(order("active_power_limit", 0)) == 0
            assert device.log() == [("WMaxLimPct", [0])]

            assert await driver.write(order("active_power_limit", None)) is None
            assert device.log() == [("WMaxLim_Ena", [0]), ("WMaxLimPct", [9000]), ("WMaxLimPct_RvrtTms", [0])]
            assert watch.latest("d.active_power_limit") == Measurement("d.active_power_limit", None)


async def test_giving_back_what_another_process_had_set_takes_it_out_of_force_only() -> None:
    device = Device(123, **IMMEDIATE | {"WMaxLimPct": 3000, "WMaxLim_Ena": 1})
    async with ModbusFace({1: device}) as face:
        driver = sunspec(face)
        async with running(driver) as watch:
            await watch.until(lambda: watch.value("d.active_power_limit") == 30_000)

            assert await driver.write(order("active_power_limit", None)) is None
            assert device.log() == [("WMaxLim_Ena", [0])]


async def test_a_set_point_that_stood_before_ours_is_written_again_with_the_time_it_had() -> None:
    """It never leaves force on the way, and nothing of ours is left of it: no reversion that would end it."""
    device = Device(123, **IMMEDIATE | {"WMaxLimPct": 3000, "WMaxLim_Ena": 1})
    async with ModbusFace({1: device}) as face:
        driver = sunspec(face, revert_s=60)
        async with running(driver) as watch:
            await watch.until(lambda: watch.value("d.active_power_limit") == 30_000)
            await driver.write(order("active_power_limit", 10_000))
            device.log()

            assert await driver.write(order("active_power_limit", 30_000)) == 30_000
            assert device.log() == [("WMaxLimPct", [3000]), ("WMaxLimPct_RvrtTms", [0])]


async def test_what_stood_before_survives_a_loss_of_the_connection() -> None:
    device = Device(123, **IMMEDIATE | {"WMaxLimPct": 9000})
    async with ModbusFace({1: device}) as face:
        driver = sunspec(face, revert_s=60)
        async with running(driver) as watch:
            await known(watch, "active_power_limit")
            await driver.write(order("active_power_limit", 10_000))
            await face.drop()
            await watch.lost()
        async with running(driver) as watch:
            await known(watch, "active_power_limit")
            await driver.write(order("active_power_limit", None))

            assert (device.word("WMaxLimPct"), device.word("WMaxLimPct_RvrtTms")) == (9000, 0)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param({}, [("VArPct_Mod", [1]), ("VArWMaxPct", [0xF448]), ("VArPct_Ena", [1])], id="of-WMax"),
        pytest.param(
            {"VArWMaxPct": None},
            [("VArPct_Mod", [2]), ("VArMaxPct", [0x10000 - 6250]), ("VArPct_Ena", [1])],
            id="of-VArMax",
        ),
    ],
)
async def test_reactive_power_is_written_in_the_base_the_device_has(
    values: dict[str, Any], expected: list[tuple[str, list[int]]]
) -> None:
    """-30 kvar are -30 % of 100 kW, or -62.5 % of 48 kvar."""
    device = Device(123, **IMMEDIATE | values)
    async with ModbusFace({1: device}) as face:
        driver = sunspec(face)
        async with running(driver) as watch:
            await known(watch, "reactive_power_setpoint")

            assert await driver.write(order("reactive_power_setpoint", -30_000)) == pytest.approx(-30_000)
            assert device.log() == expected


@pytest.mark.parametrize(
    ("value", "rates"),
    [
        pytest.param(20_000.0, [4000, 0x10000 - 4000], id="discharge"),
        pytest.param(-50_000.0, [0x10000 - 10000, 10000], id="charge"),
        pytest.param(0.0, [0, 0], id="rest"),
    ],
)
async def test_a_battery_is_held_at_a_power_by_both_rates_at_once(value: float, rates: list[int]) -> None:
    """Both limits in one request: at no moment does one direction stand without the other."""
    device = Device(124, **STORAGE)
    async with ModbusFace({1: device}) as face:
        driver = sunspec(face, revert_s=30)
        async with running(driver) as watch:
            await known(watch, "active_power_setpoint")
            assert watch.value("d.state_of_charge") == 55

            assert await driver.write(order("active_power_setpoint", value)) == value
            assert device.log() == [("InOutWRte_RvrtTms", [30]), ("OutWRte", rates), ("StorCtl_Mod", [3])]
            await driver.write(order("active_power_setpoint", None))
            assert (device.word("StorCtl_Mod"), device.word("OutWRte"), device.word("InWRte")) == (0, 10000, 10000)


async def test_anothers_storage_order_that_is_no_set_point_is_invalid() -> None:
    """Discharge limited, charge not: there is no single power in it."""
    async with ModbusFace({1: Device(124, **STORAGE | {"StorCtl_Mod": 2})}) as face, running(sunspec(face)) as watch:
        await known(watch, "active_power_setpoint")

        assert watch.latest("d.active_power_setpoint") == Measurement("d.active_power_setpoint", None, Quality.INVALID)


@pytest.mark.parametrize("value", [100_001.0, -1.0, float("nan")])
async def test_a_limit_out_of_range_never_reaches_the_wire(value: float) -> None:
    device = Device(123, **IMMEDIATE)
    async with ModbusFace({1: device}) as face:
        driver = sunspec(face)
        async with running(driver) as watch:
            await known(watch, "active_power_limit")
            with pytest.raises(WriteRefused, match="accepted is 0 to 100000 W"):
                await driver.write(order("active_power_limit", value))
            assert device.log() == []


async def test_a_device_that_holds_something_else_is_said_so() -> None:
    class Clamping(Device):
        def write(self, space: str, address: int, words: list[int]) -> None:
            super().write(space, address, [max(words[0], 3000)] if address == self.address("WMaxLimPct") else words)

    async with ModbusFace({1: Clamping(123, **IMMEDIATE)}) as face:
        driver = sunspec(face)
        async with running(driver) as watch:
            await known(watch, "active_power_limit")
            with pytest.raises(WriteRefused, match=r"wrote 10000, the device holds 30000"):
                await driver.write(order("active_power_limit", 10_000))


async def test_a_device_without_a_reversion_time_of_its_own_is_limited_all_the_same() -> None:
    class Fixed(Device):
        def write(self, space: str, address: int, words: list[int]) -> None:
            if address == self.address("WMaxLimPct_RvrtTms"):
                raise ModbusFault(2)
            super().write(space, address, words)

    async with ModbusFace({1: Fixed(123, **IMMEDIATE)}) as face:
        driver = sunspec(face, revert_s=60)
        async with running(driver) as watch:
            await known(watch, "active_power_limit")
            assert await driver.write(order("active_power_limit", 10_000)) == 10_000


CURVE = Curve(((0.92, 0.44), (1.08, -0.44)), 10.0)
VOLT_VAR: dict[str, Any] = {
    "ActCrv": 0, "ModEna": 0, "RvrtTms": 0, "NCrv": 2, "NPt": 4, "V_SF": -1, "DeptRef_SF": -1,
    "curve1.ReadOnly": 1, "curve2.ReadOnly": 0, "curve1.RmpTms": 0, "curve2.RmpTms": 0,
}  # fmt: skip


async def test_a_curve_of_the_first_generation_is_selected_and_given_back() -> None:
    """
    Model 126: the curve that can be written, with its reversion. A unit of reactive power is the rated one, or, where
    none is told, the rated active power: 44 % of 100 kW are 91.7 % of 48 kvar. 10 s are 13 s to 95 %.
    """
    device = Device(126, members=2, **VOLT_VAR)
    async with ModbusFace({1: device}) as face:
        driver = sunspec(face, revert_s=60)
        async with running(driver) as watch:
            await known(watch, "volt_var")
            assert watch.latest("d.volt_var") == Measurement("d.volt_var", None)

            text = await driver.write(order("volt_var", to_text(CURVE)))
            assert device.log() == [
                ("RvrtTms", [60]),
                ("curve2.ActPt", [2, 2, 920, 917, 1080, 0x10000 - 917]),
                ("curve2.RmpTms", [13]),
                ("ActCrv", [2]),
                ("ModEna", [1]),
            ]
            assert isinstance(text, str)
            held = from_text(text)
            assert isinstance(held, Curve)
            assert [y for _, y in held.points] == pytest.approx([0.44, -0.44], abs=0.0005)
            assert held.response_s == pytest.approx(10.0, abs=0.01)
            await watch.until(lambda: watch.value("d.volt_var") == text)
            assert await driver.write(order("volt_var", text)) == text
            assert device.log() == [("ModEna", [1])]

            assert await driver.write(order("volt_var", None)) is None
            assert device.log() == [("ModEna", [0]), ("ActCrv", [0]), ("RvrtTms", [0])]
            assert watch.latest("d.volt_var") == Measurement("d.volt_var", None)


async def test_nothing_is_written_to_a_map_that_moved() -> None:
    """A firmware update put another model there: refused, and the device is discovered anew."""
    device = Device(123, **IMMEDIATE)
    async with ModbusFace({1: device}) as face:
        driver = peers.driver(face.port, profile="sunspec", role="pv", poll="1h", timeout="5s")
        async with running(driver) as watch:
            await known(watch, "active_power_limit")
            device.holding[device.at] = 124
            with pytest.raises(WriteRefused, match="123"):
                await driver.write(order("active_power_limit", 10_000))
            assert "discovered again" in await watch.lost()
            assert device.log() == []


async def test_a_map_that_moves_between_polls_ends_the_run() -> None:
    device = Device(123, **IMMEDIATE)
    async with ModbusFace({1: device}) as face, running(sunspec(face)) as watch:
        await known(watch, "active_power_limit")
        device.holding[device.at] = 124

        assert "SunSpec model 123" in await watch.lost()


async def test_a_device_without_a_map_is_waited_for_and_the_connection_stays() -> None:
    """Still starting: it is asked again after its pause, and read as soon as the map is there."""
    device = Device(123, **IMMEDIATE)
    whole = dict(device.holding)
    device.holding.clear()
    async with ModbusFace({1: device}) as face, running(sunspec(face)) as watch:
        device.holding.update(whole)
        await watch.until(lambda: watch.value("d.active_power") == 50_000)


async def test_a_simulated_inverter_obeys_and_lets_go() -> None:
    """Over the wire to the plant and back: nameplate, reading, limit, reversion time, release."""
    inverter = Inverter()
    at = ConnectionPoint(active_power_w=0.0, reactive_power_var=0.0, voltage_v=400.0, frequency_hz=50.0)
    registers = SunSpecRegisters(inverter_models(inverter, lambda: at, serial="SN-7"))
    async with ModbusFace({1: registers}) as face:
        driver = sunspec(face, revert_s=60)
        async with running(driver) as watch:
            await known(watch, "active_power_limit")
            plate = watch.nameplates["d"]
            rated_w = inverter.converter.parameters.rated_w
            assert (plate.serial, plate.rated_power_w) == ("SN-7", rated_w)
            assert watch.value("d.frequency") == 50.0

            limit_w = 0.4 * rated_w
            assert await driver.write(order("active_power_limit", limit_w)) == pytest.approx(limit_w)
            limit = inverter.converter.limit
            assert (limit.in_force, limit.revert_s) == (pytest.approx(40.0), 60.0)

            assert await driver.write(order("active_power_limit", None)) is None
            assert limit.in_force is None


async def test_a_simulated_battery_takes_a_set_point_in_both_directions() -> None:
    battery = Battery()
    at = ConnectionPoint(active_power_w=0.0, reactive_power_var=0.0, voltage_v=400.0, frequency_hz=50.0)
    registers = SunSpecRegisters(battery_models(battery, lambda: at, serial="SN-8"))
    async with ModbusFace({1: registers}) as face:
        driver = sunspec(face, revert_s=60)
        async with running(driver) as watch:
            await known(watch, "active_power_setpoint")
            for value, rate in ((15_000.0, 50.0), (-15_000.0, -50.0)):
                assert await driver.write(order("active_power_setpoint", value)) == pytest.approx(value)
                assert (battery.discharge.in_force, battery.charge.in_force) == (rate, -rate)
            assert await driver.write(order("active_power_setpoint", None)) is None
            assert (battery.discharge.in_force, battery.charge.in_force) == (None, None)


async def test_turns_that_a_slow_device_cannot_keep_are_counted_and_those_while_it_is_away_are_not() -> None:
    device = Device(123, **IMMEDIATE)
    async with ModbusFace({1: device}) as face:
        driver = peers.driver(face.port, profile="sunspec", role="pv", poll="500ms")
        async with running(driver) as watch:
            await known(watch, "active_power_limit")
            face.silent = True
            await watch.until(lambda: watch.latest("d.active_power") == offline("d.active_power"))
            face.silent = False
            await watch.until(lambda: watch.latest("d.active_power") != offline("d.active_power"))
            (traffic,) = driver.traffic()
            assert traffic.skipped == 0
        driver = peers.driver(face.port, profile="sunspec", role="pv", poll="20ms")
        face.delay_s = 0.1
        async with running(driver) as watch:
            await watch.until(lambda: driver.traffic()[0].skipped > 3)


def offline(point: str) -> Measurement:
    return Measurement(point, None, Quality.OFFLINE)
