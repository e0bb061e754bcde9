"""Characteristics on the wire: what a SunSpec device follows by itself is adopted, read back and given back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import pytest
from sunspec2.modbus.client import SunSpecModbusClientDeviceTCP

from drivers.base import ConnectionLost, Driver, WriteRefused
from drivers.modbus import sunspec_curves, sunspec_heartbeat
from gateway.characteristic import Characteristic, Curve, Droop, to_text
from gateway.model import Measurement, Quality, SetPoint
from hil.faces.modbus import ModbusFace, ModbusFault
from hil.faces.sunspec_curves import CurveBank, droop_bank, volt_var_bank, volt_watt_bank, watt_var_bank
from hil.faces.sunspec_der import DerRegisters, Panel, der_models
from hil.plant.grid import ConnectionPoint
from hil.plant.inverter import Inverter
from tests.contract.watch import Watch, running
from tests.protocol import modbus_peers as peers

AT = ConnectionPoint(active_power_w=0.0, reactive_power_var=0.0, voltage_v=400.0, frequency_hz=50.0)
WISHES: dict[str, Characteristic] = {
    "volt_var": Curve(((0.93, 0.3), (0.97, 0.0), (1.03, 0.0), (1.07, -0.3)), 8.0),
    "volt_watt": Curve(((1.05, 1.0), (1.09, 0.2)), 12.0),
    "frequency_droop": Droop(0.2, 0.04, response_s=2.0),
    "watt_var": Curve(((0.5, 0.0), (1.0, -0.3))),
}
BEAT_S = 0.05


class Der(DerRegisters):
    """A simulated inverter with its four banks of curves; `written` holds the names of the points written."""

    def __init__(self, *, revert_to: int | None = None) -> None:
        now = asyncio.get_running_loop().time
        self.panel, self.inverter = Panel(), Inverter(available_w=60_000.0)
        self.banks: dict[str, CurveBank] = {
            "volt_var": volt_var_bank(now, revert_to=revert_to),
            "volt_watt": volt_watt_bank(now),
            "frequency_droop": droop_bank(now),
            "watt_var": watt_var_bank(now),
        }
        for bank in self.banks.values():
            bank.adoption_s = 0.0
        self.written: list[str] = []
        models = der_models(
            self.inverter, lambda: AT, serial="SN-7", panel=self.panel, now=now, banks=list(self.banks.values())
        )
        super().__init__(models, self.panel, on_write=lambda name, _value: self.written.append(name))

    def names(self) -> list[str]:
        """What was written since the last call, without our heartbeat."""
        names = [name for name in self.written if name != "ControllerHb"]
        self.written.clear()
        return names


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sunspec_curves, "PAUSE_S", 0.02)
    monkeypatch.setattr(sunspec_heartbeat, "BEAT_S", BEAT_S)


def sunspec(face: ModbusFace, revert_s: float | None = None, **changes: object) -> Driver:
    return peers.driver(face.port, profile="sunspec", role="pv", revert_s=revert_s, **changes)


def order(point: str, value: str | float | None) -> SetPoint:
    return SetPoint(f"d.{point}", value, expires=asyncio.get_running_loop().time() + 60, cause="test")


async def known(watch: Watch, *points: str) -> None:
    await watch.until(lambda: all(watch.latest(f"d.{point}") is not None for point in points))


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - the simulated device has no event to wait for
            await asyncio.sleep(0.005)


def heard(der: Der) -> int:
    return der.panel.controller_heartbeat


async def test_a_device_offers_what_it_follows_and_says_that_nothing_is_enabled() -> None:
    async with ModbusFace({1: Der()}) as face, running(sunspec(face)) as watch:
        await known(watch, *WISHES)
        points = {point.name: point for point in watch.nameplates["d"].points}

        for name in WISHES:
            assert (points[name].writable, points[name].readable, points[name].unit) == (True, True, "")
            assert watch.latest(f"d.{name}") == Measurement(f"d.{name}", None)


@pytest.mark.parametrize("point", WISHES)
async def test_a_characteristic_is_adopted_read_back_and_given_back(point: str) -> None:
    """The text that the write returns is the one that is measured afterwards; what stood in the device comes back."""
    der = Der()
    async with ModbusFace({1: der}) as face:
        driver = sunspec(face)
        async with running(driver) as watch:
            await known(watch, point)
            bank = der.banks[point]
            text = to_text(WISHES[point])

            assert await driver.write(order(point, text)) == text
            assert der.names()[-1] == "Ena"
            assert bank.in_force is not None
            await watch.until(lambda: watch.value(f"d.{point}") == text)
            assert await driver.write(order(point, text)) == text
            assert der.names() == []

            assert await driver.write(order(point, None)) is None
            assert der.names()[0] == "Ena"
            assert bank.in_force is None
            await watch.until(lambda: watch.latest(f"d.{point}") == Measurement(f"d.{point}", None))
            assert await driver.write(order(point, None)) is None


async def test_what_the_owner_had_enabled_is_obeyed_again() -> None:
    der = Der()
    bank = der.banks["volt_var"]
    enable(bank)
    owners = bank.in_force
    async with ModbusFace({1: der}) as face:
        driver = sunspec(face)
        async with running(driver) as watch:
            await watch.until(lambda: isinstance(watch.value("d.volt_var"), str))
            before = str(watch.value("d.volt_var"))
            await driver.write(order("volt_var", to_text(WISHES["volt_var"])))
            assert bank.in_force != owners
            assert await driver.write(order("volt_var", before)) == before
            assert bank.in_force == owners


def enable(bank: CurveBank) -> None:
    bank.model().writable["Ena"].apply(1)


async def test_a_curve_that_the_device_refuses_changes_nothing_in_it() -> None:
    der = Der()
    async with ModbusFace({1: der}) as face:
        driver = sunspec(face)
        async with running(driver) as watch:
            await known(watch, "volt_var")
            for enabled in (False, True):
                if enabled:
                    enable(der.banks["volt_var"])
                owners = der.banks["volt_var"].in_force
                with pytest.raises(
                    WriteRefused, match=r"d\.volt_var: model 705: the device checked the curve and refuses"
                ):
                    await driver.write(order("volt_var", to_text(Curve(((1.0, 0.3), (1.0, 0.0))))))
                assert "Ena" not in der.names()
                assert der.banks["volt_var"].in_force == owners
            assert heard(der) == 0


async def test_an_adoption_that_takes_too_long_is_refused() -> None:
    der = Der()
    der.banks["volt_var"].adoption_s = 3600.0
    async with ModbusFace({1: der}) as face:
        driver = sunspec(face)
        async with running(driver) as watch:
            await known(watch, "volt_var")
            with pytest.raises(WriteRefused, match=r"not adopted within .* s, still in progress"):
                await driver.write(order("volt_var", to_text(WISHES["volt_var"])))
            assert "Ena" not in der.names()


async def test_other_readings_go_on_while_a_device_adopts(monkeypatch: pytest.MonkeyPatch) -> None:
    """It looks at the curve for a second, many times what the readings take on a loaded machine."""
    monkeypatch.setattr(sunspec_curves, "POLLS_MAX", 250)
    der = Der()
    der.banks["volt_var"].adoption_s = 1.0
    async with ModbusFace({1: der}) as face:
        driver = sunspec(face)
        async with running(driver) as watch:
            await known(watch, "volt_var")
            writing = asyncio.create_task(driver.write(order("volt_var", to_text(WISHES["volt_var"]))))
            await until(lambda: "AdptCrvReq" in der.written)
            watch.measurements.clear()
            await known(watch, "active_power", "volt_watt")
            assert not writing.done()
            assert await writing == to_text(WISHES["volt_var"])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("not a characteristic", "found 'not a characteristic'"),
        (to_text(Droop(0.2, 0.05)), "takes a curve, found a droop"),
        (5.0, "takes the text of a characteristic, found 5"),
        (to_text(Curve(tuple((1.0 + at / 100, 0.0) for at in range(9)))), "room for 8 points, found 9"),
        (to_text(Curve(((9.0, 0.0),))), r"accepted is 0 to 655\.34"),
    ],
    ids=["no-text", "droop", "number", "no-room", "out-of-range"],
)
async def test_what_is_no_curve_for_the_device_never_reaches_it(value: str | float, text: str) -> None:
    der = Der()
    async with ModbusFace({1: der}) as face:
        driver = sunspec(face)
        async with running(driver) as watch:
            await known(watch, "volt_var")
            with pytest.raises(WriteRefused, match=text):
                await driver.write(order("volt_var", value))
            assert der.names() == []


async def test_a_device_in_local_operation_takes_no_characteristic() -> None:
    der = Der()
    async with ModbusFace({1: der}) as face:
        driver = sunspec(face)
        async with running(driver) as watch:
            await known(watch, "volt_var")
            der.panel.local = True
            await watch.until(lambda: watch.value("d.local_control") == 1)
            for value in (to_text(WISHES["volt_var"]), None):
                with pytest.raises(WriteRefused, match="local operation"):
                    await driver.write(order("volt_var", value))


async def test_a_register_that_the_device_refuses_is_named() -> None:
    class Refusing(Der):
        def write(self, space: str, address: int, words: list[int]) -> None:
            if len(words) > 3:
                raise ModbusFault(3)
            super().write(space, address, words)

    der = Refusing()
    async with ModbusFace({1: der}) as face:
        driver = sunspec(face)
        async with running(driver) as watch:
            await known(watch, "volt_watt")
            with pytest.raises(WriteRefused, match=r"d\.volt_watt: register \d+ should hold .*exception 3"):
                await driver.write(order("volt_watt", to_text(WISHES["volt_watt"])))
            assert der.banks["volt_watt"].in_force is None


async def test_after_a_loss_and_a_return_what_stood_before_is_given_back() -> None:
    der = Der()
    enable(der.banks["volt_var"])
    owners = der.banks["volt_var"].in_force
    async with ModbusFace({1: der}) as face:
        driver = sunspec(face)
        async with running(driver) as watch:
            await known(watch, "volt_var")
            before = str(watch.value("d.volt_var"))
            await driver.write(order("volt_var", to_text(WISHES["volt_var"])))
            await face.drop()
            await watch.lost()
            with pytest.raises(ConnectionLost):
                await driver.write(order("volt_var", None))
        async with running(driver) as watch:
            await watch.until(lambda: watch.value("d.volt_var") == to_text(WISHES["volt_var"]))
            await driver.write(order("volt_var", before))

            assert der.banks["volt_var"].in_force == owners


async def test_a_restart_does_not_take_our_own_curve_for_the_owner_s() -> None:
    """The refresh after it finds the wish standing, or a new wish takes its place; given back, nothing is in force."""
    der = Der()
    other = to_text(Curve(((0.9, 0.1), (1.1, -0.1)), 10.0))
    async with ModbusFace({1: der}) as face:
        for value in (to_text(WISHES["volt_var"]), to_text(WISHES["volt_var"]), other, None):
            if value is not None:
                driver = sunspec(face)
            async with running(driver) as watch:
                await known(watch, "volt_var")
                assert await driver.write(order("volt_var", value)) == value
    assert der.banks["volt_var"].in_force is None


async def test_pysunspec2_reads_what_was_adopted() -> None:
    der = Der()

    def foreign(port: int) -> dict[str, object]:
        client = SunSpecModbusClientDeviceTCP(slave_id=1, ipaddr="127.0.0.1", ipport=port, timeout=5)
        try:
            client.scan()
            volt_var, droop = client.models[705][0], client.models[711][0]
            curve, control = volt_var.Crv[0], droop.Ctl[0]
            return {
                "enabled": (volt_var.Ena.value, droop.Ena.value),
                "points": [(point.V.cvalue, point.Var.cvalue) for point in curve.Pt[: curve.ActPt.value]],
                "response": (curve.RspTms.cvalue, control.RspTms.cvalue),
                "droop": (control.DbOf.cvalue, control.DbUf.cvalue, control.KOf.cvalue, control.KUf.cvalue),
            }
        finally:
            client.close()

    async with ModbusFace({1: der}) as face:
        driver = sunspec(face)
        async with running(driver) as watch:
            await known(watch, "volt_var", "frequency_droop")
            for point in ("volt_var", "frequency_droop"):
                await driver.write(order(point, to_text(WISHES[point])))
            found = await asyncio.to_thread(foreign, face.port)

    assert found["enabled"] == (1, 1)
    assert found["points"] == [(93, 30), (97, 0), (103, 0), (107, -30)]
    assert found["response"] == (8, 2)
    assert found["droop"] == pytest.approx((0.2, 0.2, 0.04, 0.04))


async def test_a_curve_nobody_refreshes_gives_way_to_the_owner_s_and_each_refresh_starts_its_time_again() -> None:
    der = Der(revert_to=3)
    bank = der.banks["volt_var"]
    async with ModbusFace({1: der}) as face:
        driver = sunspec(face, revert_s=1)
        async with running(driver) as watch:
            await known(watch, "volt_var")
            text = to_text(WISHES["volt_var"])
            await driver.write(order("volt_var", text))
            assert {"RvrtTms", "Ena"} <= set(der.names())
            await driver.write(order("volt_var", text))
            assert der.names() == ["Ena"]
            await watch.until(lambda: watch.value("d.volt_var") not in (None, text))

            assert bank.in_force is not None
            assert bank.in_force["Pt1.V"] == 92.0


async def test_our_heartbeat_beats_while_something_of_ours_stands() -> None:
    der = Der()
    async with ModbusFace({1: der}) as face:
        driver = sunspec(face)
        async with running(driver) as watch:
            await known(watch, "volt_var", "active_power_limit")
            await driver.write(order("active_power_limit", 30_000.0))
            await until(lambda: heard(der) >= 2)
            await driver.write(order("volt_var", to_text(WISHES["volt_var"])))
            await driver.write(order("active_power_limit", None))
            beats = heard(der)
            await until(lambda: heard(der) >= beats + 2)
            await driver.write(order("volt_var", None))
            der.written.clear()
            last = heard(der)
            watch.measurements.clear()
            await asyncio.sleep(3 * BEAT_S)  # nothing to await: that it does not come is the claim
            assert heard(der) - last <= 1  # one may have been on its way


async def test_our_heartbeat_begins_again_at_0_before_it_says_not_implemented() -> None:
    der = Der()
    der.panel.controller_heartbeat = 2**32 - 3
    async with ModbusFace({1: der}) as face:
        driver = sunspec(face)
        async with running(driver) as watch:
            await known(watch, "active_power_limit")
            await driver.write(order("active_power_limit", 30_000.0))
            await until(lambda: heard(der) in range(5))


async def test_a_device_that_refuses_our_heartbeat_is_told_of_once_and_obeys_all_the_same(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Deaf(Der):
        refused = 0

        def write(self, space: str, address: int, words: list[int]) -> None:
            if self._points[address][1].name == "ControllerHb":
                self.refused += 1
                raise ModbusFault(2)
            super().write(space, address, words)

    monkeypatch.setattr(sunspec_heartbeat, "REFUSED_RETRY_S", BEAT_S)
    der = Deaf()
    async with ModbusFace({1: der}) as face:
        driver = sunspec(face)
        async with running(driver) as watch:
            await known(watch, "active_power_limit")
            await driver.write(order("active_power_limit", 30_000.0))
            await until(lambda: der.refused >= 3)
            assert watch.value("d.active_power_limit") == 30_000
            assert sum("refuses our heartbeat" in record.message for record in caplog.records) == 1


async def test_a_device_whose_heartbeat_stands_is_told_once_and_its_values_are_uncertain(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sunspec_heartbeat, "FROZEN_S", 1.5)
    caplog.set_level(logging.INFO)
    der = Der()
    async with ModbusFace({1: der}) as face, running(sunspec(face)) as watch:
        await watch.until(lambda: watch.latest("d.frequency") == Measurement("d.frequency", 50.0))
        der.panel.frozen = True
        frozen = Measurement("d.frequency", 50.0, Quality.UNCERTAIN)
        await watch.until(lambda: watch.latest("d.frequency") == frozen)
        watch.measurements.clear()
        await known(watch, "frequency")
        assert watch.latest("d.frequency") == frozen
        assert [record.message for record in caplog.records if "DERHb" in record.message] == [
            next(record.message for record in caplog.records if "frozen" in record.message)
        ]
        der.panel.frozen = False
        await watch.until(lambda: watch.latest("d.frequency") == Measurement("d.frequency", 50.0))
        assert "moves again" in caplog.text


async def test_the_refresh_follows_the_reversion_time_that_the_device_keeps() -> None:
    der = Der()
    der.panel.revert_max_s = 20
    async with ModbusFace({1: der}) as face:
        driver = sunspec(face, revert_s=60)
        async with running(driver) as watch:
            await known(watch, "active_power_limit")
            assert refresh_s(watch, "active_power_limit") is None
            await driver.write(order("active_power_limit", 30_000.0))
            await watch.until(lambda: refresh_s(watch, "active_power_limit") == 10)
            der.panel.revert_max_s = 60
            await driver.write(order("active_power_limit", 30_000.0))
            assert der.inverter.converter.limit.revert_s == 60
            await watch.until(lambda: refresh_s(watch, "active_power_limit") is None)


def refresh_s(watch: Watch, name: str) -> float | None:
    return next(point.refresh_s for point in watch.nameplates["d"].points if point.name == name)


async def test_a_set_point_that_vanishes_is_refreshed_twice_as_often_and_told_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    der = Der()
    async with ModbusFace({1: der}) as face:
        driver = sunspec(face, revert_s=60)
        async with running(driver) as watch:
            await known(watch, "active_power_limit")
            for _ in range(2):
                await driver.write(order("active_power_limit", 30_000.0))
                der.inverter.converter.limit.enable(False)
                await watch.until(
                    lambda: watch.latest("d.active_power_limit") == Measurement("d.active_power_limit", None)
                )
            await watch.until(lambda: refresh_s(watch, "active_power_limit") == 1.0)
            assert sum("by nobody here" in record.message for record in caplog.records) == 1


async def test_the_plan_is_a_guess_before_and_what_is_read_afterwards() -> None:
    """Never less than what a device of the second generation turns out to need."""
    async with ModbusFace({1: Der()}) as face:
        driver = sunspec(face)
        (guess,) = driver.plan()
        async with running(driver) as watch:
            await known(watch, "watt_var")
        (plan,) = driver.plan()

    assert len(plan.requests) == 12  # 701, 703 to 712 and 715
    assert plan.requests_per_s <= guess.requests_per_s
    assert all(request.startswith("holding 40") for request in plan.requests)
