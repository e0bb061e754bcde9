"""Writing set-points by registers: what comes before the value, when it counts as written, and what lets go of it."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
from pymodbus.constants import ExcCodes
from pymodbus.pdu import ExceptionResponse

from drivers.base import Driver, WriteRefused
from drivers.modbus.config import ModbusDevice
from drivers.modbus.connect import connect
from drivers.modbus.driver import build
from drivers.modbus.endpoint import Network
from drivers.modbus.endurance import Endurance
from drivers.modbus.points import ModbusPoint
from drivers.modbus.screen import Screen
from drivers.modbus.wire import Wire
from drivers.modbus.writing import PointWriter
from gateway.model import Instant, Measurement, Quality, SetPoint
from hil.faces.modbus import MemoryRegisters, ModbusFace, ModbusFault
from tests.contract.watch import Watch, running

VALUE, ENABLE, MODE = 7, 20, 21
ON, OFF = 802, 803
LIMIT = {"name": "limit", "register": f"holding:{VALUE}", "type": "uint16", "unit": "%", "access": "read-write"}
BEFORE = [{"register": f"holding:{ENABLE}", "type": "uint16", "value": ON}]
RELEASE = [{"register": f"holding:{ENABLE}", "type": "uint16", "value": OFF}]


class Device(MemoryRegisters):
    """Has a value, an enable register, a mode and a coil."""

    def __init__(self) -> None:
        super().__init__(holding={VALUE: 100, VALUE + 1: 0, ENABLE: OFF, MODE: 0}, coil={3: 0})

    def written(self) -> list[tuple[int, list[int]]]:
        return [(address, words) for _, _, address, words in self.writes]


class Slow(Device):
    """Shows a value some reads after it was written."""

    def __init__(self, reads: int) -> None:
        super().__init__()
        self.reads = reads
        self._left = 0
        self._coming: list[int] | None = None

    def write(self, space: str, address: int, words: list[int]) -> None:
        if address != VALUE:
            super().write(space, address, words)
            return
        self._coming, self._left = words, self.reads

    def read(self, space: str, address: int, count: int) -> list[int]:
        if self._coming is not None and address <= VALUE < address + count:
            self._left -= 1
            if self._left < 0:
                super().write("holding", VALUE, self._coming)
                self._coming = None
        return super().read(space, address, count)


def driver_of(face: ModbusFace, write: dict[str, Any] | None = None, **changes: Any) -> Driver:
    point = LIMIT | ({} if write is None else {"write": write}) | changes
    device = ModbusDevice.model_validate(
        {
            "id": "d",
            "driver": "modbus",
            "role": "pv",
            "endpoint": f"tcp://127.0.0.1:{face.port}",
            "poll": "20ms",
            "points": [point],
        }
    )
    (driver,) = build([device], revert_s=None)
    return driver


def order(value: float | None) -> SetPoint:
    return SetPoint("d.limit", value, expires=float("inf"), cause="test")


async def known(watch: Watch) -> None:
    await watch.until(lambda: watch.latest("d.limit") is not None)


async def test_the_enable_sequence_is_written_before_the_value_and_only_where_it_differs() -> None:
    device = Device()
    before = [*BEFORE, {"register": f"holding:{MODE}", "type": "uint16", "value": 0}]
    async with ModbusFace({1: device}) as face:
        driver = driver_of(face, {"before": before})
        async with running(driver) as watch:
            await known(watch)
            assert await driver.write(order(60)) == 60
            assert await driver.write(order(50)) == 50

    assert device.written() == [(ENABLE, [ON]), (VALUE, [60]), (VALUE, [50])]


async def test_an_enable_register_that_cannot_be_read_is_written_each_time() -> None:
    class WriteOnly(Device):
        def read(self, space: str, address: int, count: int) -> list[int]:
            if address <= ENABLE < address + count:
                raise ModbusFault(2)
            return super().read(space, address, count)

    device = WriteOnly()
    async with ModbusFace({1: device}) as face:
        driver = driver_of(face, {"before": BEFORE})
        async with running(driver) as watch:
            await known(watch)
            await driver.write(order(60))
            await driver.write(order(50))

    assert device.written() == [(ENABLE, [ON]), (VALUE, [60]), (ENABLE, [ON]), (VALUE, [50])]


async def test_a_refused_value_leaves_nothing_of_its_sequence_behind() -> None:
    class Refusing(Device):
        def write(self, space: str, address: int, words: list[int]) -> None:
            if address == VALUE:
                raise ModbusFault(3)
            super().write(space, address, words)

    device = Refusing()
    async with ModbusFace({1: device}) as face:
        driver = driver_of(face, {"before": BEFORE})
        async with running(driver) as watch:
            await known(watch)
            with pytest.raises(WriteRefused, match="exception 3"):
                await driver.write(order(60))

    assert device.holding[ENABLE] == OFF
    assert device.written() == [(ENABLE, [ON]), (ENABLE, [OFF])]


async def test_a_refused_sequence_keeps_the_value_from_being_written() -> None:
    device = Device()
    device.refuse.add(("holding", ENABLE))
    async with ModbusFace({1: device}) as face:
        driver = driver_of(face, {"before": BEFORE})
        async with running(driver) as watch:
            await known(watch)
            with pytest.raises(WriteRefused, match="exception 2"):
                await driver.write(order(60))

    assert device.written() == []


async def test_a_value_that_does_not_fit_enables_nothing() -> None:
    device = Device()
    async with ModbusFace({1: device}) as face:
        driver = driver_of(face, {"before": BEFORE})
        async with running(driver) as watch:
            await known(watch)
            with pytest.raises(WriteRefused, match="accepted is 0 to 65535, found -1"):
                await driver.write(order(-1))

    assert device.written() == []


async def test_a_set_point_is_taken_out_of_force_by_its_release_and_then_none_is_read() -> None:
    device = Device()
    async with ModbusFace({1: device}) as face:
        driver = driver_of(face, {"before": BEFORE, "release": RELEASE})
        async with running(driver) as watch:
            await known(watch)
            assert watch.value("d.limit") is None  # 100 stands there, and is not in force
            await driver.write(order(60))
            await watch.until(lambda: watch.value("d.limit") == 60)

            assert await driver.write(order(None)) is None
            assert device.holding == {VALUE: 60, VALUE + 1: 0, ENABLE: OFF, MODE: 0}
            seen = len(watch.measurements)
            await watch.until(lambda: len(watch.measurements) > seen + 3)
            assert {each.value for each in watch.measurements[seen:]} == {None}
            assert {each.quality for each in watch.measurements} == {Quality.GOOD}
            assert {each.point for each in watch.measurements} == {"d.limit"}


async def test_a_release_that_stands_already_is_not_written_again() -> None:
    device = Device()
    async with ModbusFace({1: device}) as face:
        driver = driver_of(face, {"release": RELEASE})
        async with running(driver) as watch:
            await known(watch)
            await driver.write(order(None))

    assert device.written() == []


async def test_another_masters_release_is_seen() -> None:
    device = Device()
    async with ModbusFace({1: device}) as face:
        driver = driver_of(face, {"before": BEFORE, "release": RELEASE})
        async with running(driver) as watch:
            await known(watch)
            await driver.write(order(60))
            await watch.until(lambda: watch.value("d.limit") == 60)
            device.holding[ENABLE] = OFF
            await watch.until(lambda: watch.value("d.limit") is None)


async def test_a_release_that_does_not_stand_is_refused_with_what_does() -> None:
    class Stubborn(Device):
        def write(self, space: str, address: int, words: list[int]) -> None:
            if words != [OFF]:
                super().write(space, address, words)

    device = Stubborn()
    async with ModbusFace({1: device}) as face:
        driver = driver_of(face, {"before": BEFORE, "release": RELEASE})
        async with running(driver) as watch:
            await known(watch)
            await driver.write(order(60))
            with pytest.raises(WriteRefused, match=f"the device holds {ON} in holding {ENABLE}"):
                await driver.write(order(None))


async def test_without_a_release_a_set_point_stays() -> None:
    device = Device()
    async with ModbusFace({1: device}) as face:
        driver = driver_of(face, {"before": BEFORE})
        async with running(driver) as watch:
            await known(watch)
            with pytest.raises(WriteRefused, match="has no off state; a number is needed"):
                await driver.write(order(None))

    assert device.written() == []


async def test_a_device_that_shows_the_value_within_its_settling_time_holds_it() -> None:
    device = Slow(reads=3)
    async with ModbusFace({1: device}) as face:
        driver = driver_of(face, {"settle": "5s"})
        async with running(driver) as watch:
            await known(watch)
            assert await driver.write(order(60)) == 60

    assert device.written() == [(VALUE, [60])]  # once: what does not show yet is not written again


async def test_a_device_that_does_not_show_it_in_time_is_told_by_what_it_holds() -> None:
    device = Slow(reads=1000)
    async with ModbusFace({1: device}) as face:
        driver = driver_of(face, {"settle": "150ms"})
        async with running(driver) as watch:
            await known(watch)
            with pytest.raises(WriteRefused, match="wrote 60, the device holds 100"):
                await driver.write(order(60))

    assert device.written() == []


async def test_another_device_on_the_line_is_written_while_one_settles() -> None:
    """Two units behind one port: the first never shows its value, the second is not kept waiting for it."""
    never, quick = Slow(reads=10_000), Device()
    async with ModbusFace({1: never, 2: quick}) as face:
        base = {"driver": "modbus", "role": "pv", "endpoint": f"tcp://127.0.0.1:{face.port}", "poll": "20ms"}
        slow = base | {"id": "slow", "unit": 1, "points": [LIMIT | {"write": {"settle": "30s"}}]}
        other = base | {"id": "other", "unit": 2, "points": [LIMIT]}
        [driver] = build([ModbusDevice.model_validate(slow), ModbusDevice.model_validate(other)], revert_s=None)
        async with running(driver) as watch:
            await watch.until(
                lambda: watch.latest("slow.limit") is not None and watch.latest("other.limit") is not None
            )
            settling = asyncio.create_task(driver.write(SetPoint("slow.limit", 50.0, 1e9, "test")))
            async with asyncio.timeout(5):
                assert await driver.write(SetPoint("other.limit", 60.0, 1e9, "test")) == 60.0
            assert not settling.done()
            settling.cancel()


async def test_reading_goes_on_while_a_device_settles() -> None:
    device = Slow(reads=1000)
    async with ModbusFace({1: device}) as face:
        driver = driver_of(face, {"settle": "10s"})
        async with running(driver) as watch:
            await known(watch)
            write = asyncio.create_task(driver.write(order(60)))
            seen = len(watch.measurements)
            await watch.until(lambda: len(watch.measurements) > seen + 20)
            assert not write.done()
            device.reads = device._left = 0
            assert await write == 60


@pytest.mark.parametrize(("held", "accepted"), [(598, True), (597, False)], ids=["within", "beyond"])
async def test_a_read_back_may_be_off_by_the_tolerance(held: int, accepted: bool) -> None:
    """Tenths of a percent, 0.2 % of tolerance."""

    class Rounding(Device):
        def write(self, space: str, address: int, words: list[int]) -> None:
            super().write(space, address, [held])

    async with ModbusFace({1: Rounding()}) as face:
        driver = driver_of(face, {"tolerance": 0.2}, scale=0.1)
        async with running(driver) as watch:
            await known(watch)
            if accepted:
                assert await driver.write(order(60)) == 59.8
            else:
                with pytest.raises(WriteRefused, match=re.escape("wrote 60, the device holds 59.7")):
                    await driver.write(order(60))


class Functions(Device):
    """Takes only one function for writing, as some inverters do for some registers."""

    def __init__(self, only: int) -> None:
        super().__init__()
        self.only = only


class PickyFace(ModbusFace):
    """Refuses every function for writing but the one its device takes."""

    async def _answer(self, unit: int, request: bytes) -> Any:
        device = self._units[unit]
        if isinstance(device, Functions) and request[0] in (5, 6, 15, 16) and request[0] != device.only:
            return ExceptionResponse(request[0], ExcCodes.ILLEGAL_FUNCTION)
        return await super()._answer(unit, request)


@pytest.mark.parametrize(
    ("only", "changes"),
    [
        pytest.param(6, {}, id="6-is-the-default-for-one-register"),
        pytest.param(6, {"write": {"function": 6}}, id="6"),
        pytest.param(16, {"write": {"function": 16}}, id="16-for-one-register"),
        pytest.param(16, {"type": "uint32"}, id="16-is-the-default-for-two"),
        pytest.param(5, {"register": "coil:3", "type": "bool"}, id="5-is-the-default-for-a-coil"),
        pytest.param(15, {"register": "coil:3", "type": "bool", "write": {"function": 15}}, id="15"),
    ],
)
async def test_a_device_is_written_by_the_function_it_takes(only: int, changes: dict[str, Any]) -> None:
    async with PickyFace({1: Functions(only)}) as face:
        driver = driver_of(face, **changes)
        async with running(driver) as watch:
            await known(watch)
            assert await driver.write(order(1)) == 1


async def test_a_device_that_takes_function_6_only_refuses_16() -> None:
    async with PickyFace({1: Functions(6)}) as face:
        driver = driver_of(face, {"function": 16})
        async with running(driver) as watch:
            await known(watch)
            with pytest.raises(WriteRefused, match="exception 1"):
                await driver.write(order(1))


async def test_flash_is_written_only_when_its_value_differs_and_within_its_budget() -> None:
    device = Device()
    async with ModbusFace({1: device}) as face:
        driver = driver_of(face, {"memory": "flash", "daily_writes": 2})
        async with running(driver) as watch:
            await known(watch)
            for value in (100, 60, 60, 50, 50):
                assert await driver.write(order(value)) == value
            with pytest.raises(WriteRefused, match=r"flash, and was written 2 times today.*daily_writes"):
                await driver.write(order(40))
            assert await driver.write(order(50)) == 50

    assert device.written() == [(VALUE, [60]), (VALUE, [50])]


async def test_what_is_not_written_for_want_of_budget_enables_nothing() -> None:
    device = Device()
    async with ModbusFace({1: device}) as face:
        driver = driver_of(face, {"memory": "flash", "daily_writes": 1, "before": BEFORE})
        async with running(driver) as watch:
            await known(watch)
            await driver.write(order(60))
            device.holding[ENABLE] = OFF
            with pytest.raises(WriteRefused, match="daily_writes"):
                await driver.write(order(40))

    assert device.holding[ENABLE] == OFF


async def test_an_enable_sequence_in_flash_has_the_same_budget() -> None:
    """Its switch goes back and forth, the value does not: what is worn is counted register by register."""
    device = Device()
    how = {"memory": "flash", "daily_writes": 3, "before": BEFORE, "release": RELEASE}
    async with ModbusFace({1: device}) as face:
        driver = driver_of(face, how)
        async with running(driver) as watch:
            await known(watch)
            await driver.write(order(60))
            await driver.write(order(None))
            await driver.write(order(60))
            await driver.write(order(None))  # the fourth time, as what lets go is never refused
            with pytest.raises(WriteRefused, match=rf"d holding:{ENABLE} is flash, and was written 4 times"):
                await driver.write(order(60))

    assert device.written() == [(ENABLE, [ON]), (VALUE, [60]), (ENABLE, [OFF]), (ENABLE, [ON]), (ENABLE, [OFF])]


async def test_a_step_says_for_itself_what_keeps_it() -> None:
    device = Device()
    how = {"daily_writes": 1, "before": [BEFORE[0] | {"memory": "flash"}]}
    async with ModbusFace({1: device}) as face:
        driver = driver_of(face, how)
        async with running(driver) as watch:
            await known(watch)
            for value in (60, 50, 40):
                await driver.write(order(value))
            device.holding[ENABLE] = OFF
            with pytest.raises(WriteRefused, match=f"d holding:{ENABLE} is flash"):
                await driver.write(order(30))

    assert device.written() == [(ENABLE, [ON]), (VALUE, [60]), (VALUE, [50]), (VALUE, [40])]


async def test_what_is_put_back_into_flash_is_counted_too() -> None:
    class Refusing(Device):
        def write(self, space: str, address: int, words: list[int]) -> None:
            if address == VALUE:
                raise ModbusFault(3)
            super().write(space, address, words)

    device = Refusing()
    async with ModbusFace({1: device}) as face:
        driver = driver_of(face, {"before": [BEFORE[0] | {"memory": "flash"}], "daily_writes": 2})
        async with running(driver) as watch:
            await known(watch)
            with pytest.raises(WriteRefused, match="exception 3"):
                await driver.write(order(60))
            with pytest.raises(WriteRefused, match="written 2 times"):
                await driver.write(order(60))

    assert device.written() == [(ENABLE, [ON]), (ENABLE, [OFF])]


async def test_a_restart_of_the_gateway_grants_no_flash_write(tmp_path: Path) -> None:
    """Two lives of the writers of a site's two devices, with one file between them."""
    device, now = Device(), lambda: Instant(wall=1.8e9, mono=0.0)
    point = ModbusPoint.model_validate(LIMIT | {"write": {"memory": "flash", "daily_writes": 3}})
    async with ModbusFace({1: device}) as face:
        link = await connect(Network("tcp", "127.0.0.1", face.port))
        try:
            for life, values in enumerate(([60, 50], [40, 30])):
                endurance, wire = Endurance(tmp_path, now), Wire(link, 1, 1.0)
                one, other = (PointWriter(point, name, Screen(name, [point]), endurance) for name in ("d", "e"))
                assert await one.write(values[0], wire, lambda _: None) == values[0]
                assert await other.write(10 + life, wire, lambda _: None) == 10 + life
                if life:
                    with pytest.raises(ValueError, match=f"d holding:{VALUE} is flash, and was written 3 times today"):
                        await one.write(values[1], wire, lambda _: None)
                else:
                    await one.write(values[1], wire, lambda _: None)
        finally:
            link.close("the test is over")
            await link.ended()

    assert device.written() == [(VALUE, [value]) for value in (60, 10, 50, 40, 11)]


async def test_how_often_a_set_point_has_to_be_written_again_is_told_with_the_point() -> None:
    async with ModbusFace({1: Device()}) as face:
        driver = driver_of(face, {"refresh": "30s"})

    assert [point.refresh_s for point in driver.nameplates[0].points] == [30.0]


async def test_another_masters_value_is_emitted_as_it_is() -> None:
    device = Device()
    async with ModbusFace({1: device}) as face:
        driver = driver_of(face)
        async with running(driver) as watch:
            await known(watch)
            await driver.write(order(60))
            device.holding[VALUE] = 80
            await watch.until(lambda: watch.value("d.limit") == 80)


STATUS: dict[str, Any] = {"register": f"holding:{VALUE}", "type": "uint16"}


@pytest.mark.parametrize(
    ("bits", "value", "stands"),
    [
        pytest.param("0", 1, 0b1010_0101_1010_0101, id="a-bit-that-stands"),
        pytest.param("1", 1, 0b1010_0101_1010_0111, id="a-bit-on"),
        pytest.param("0", 0, 0b1010_0101_1010_0100, id="a-bit-off"),
        pytest.param("15", False, 0b0010_0101_1010_0101, id="the-highest-bit-off"),
        pytest.param("4-7", 3, 0b1010_0101_0011_0101, id="a-range"),
        pytest.param("0-15", 1, 1, id="all-of-it"),
    ],
)
async def test_bits_are_written_into_what_their_register_holds(bits: str, value: float, stands: int) -> None:
    device = Device()
    device.holding[VALUE] = 0b1010_0101_1010_0101
    async with ModbusFace({1: device}) as face:
        driver = driver_of(face, **STATUS, bits=bits)
        async with running(driver) as watch:
            await known(watch)
            assert await driver.write(order(value)) == value
            await watch.until(lambda: watch.value("d.limit") == value)

    assert device.written() == [(VALUE, [stands])]


async def test_bits_of_two_registers_are_written_together() -> None:
    device = Device()
    device.holding |= {VALUE: 0x1234, VALUE + 1: 0x5678}
    async with ModbusFace({1: device}) as face:
        driver = driver_of(face, register=f"holding:{VALUE}", type="uint32", order="CDAB", bits="16-19")
        async with running(driver) as watch:
            await known(watch)
            assert await driver.write(order(0xF)) == 0xF

    assert device.written() == [(VALUE, [0x1234, 0x567F])]


async def test_bits_in_flash_are_written_only_when_they_differ() -> None:
    device = Device()
    device.holding[VALUE] = 0xFF01
    async with ModbusFace({1: device}) as face:
        driver = driver_of(face, {"memory": "flash"}, **STATUS, bits="0")
        async with running(driver) as watch:
            await known(watch)
            for value in (1, 0, 0):
                assert await driver.write(order(value)) == value

    assert device.written() == [(VALUE, [0xFF00])]


async def test_bits_that_another_part_of_the_device_changes_at_once_are_no_fault_of_ours() -> None:
    """Only the bits of the point are compared with the read-back."""

    class Lively(Device):
        def read(self, space: str, address: int, count: int) -> list[int]:
            self.holding[VALUE] ^= 0x8000
            return super().read(space, address, count)

    async with ModbusFace({1: Lively()}) as face:
        driver = driver_of(face, **STATUS, bits="0")
        async with running(driver) as watch:
            await known(watch)
            assert await driver.write(order(1)) == 1


async def test_no_bit_is_written_into_a_register_that_holds_no_value() -> None:
    device = Device()
    device.holding[VALUE] = 0xFFFF
    async with ModbusFace({1: device}) as face:
        driver = driver_of(face, **STATUS, bits="0", not_implemented=0xFFFF)
        async with running(driver) as watch:
            await known(watch)
            with pytest.raises(WriteRefused, match="no value, of which no bit can be changed"):
                await driver.write(order(0))

    assert device.written() == []


@pytest.mark.parametrize("value", [True, False])
async def test_a_device_is_connected_and_disconnected_by_a_bit(value: bool) -> None:
    device = Device()
    device.holding[MODE] = 0b110 | (not value)
    async with ModbusFace({1: device}) as face:
        driver = driver_of(face, name="connect", register=f"holding:{MODE}", type="uint16", bits="0", unit="")
        async with running(driver) as watch:
            await watch.until(lambda: watch.value("d.connect") is (not value))
            assert await driver.write(SetPoint("d.connect", value, expires=float("inf"), cause="test")) == value
            await watch.until(lambda: watch.value("d.connect") is value)

    assert device.written() == [(MODE, [0b110 | value])]


MODES: dict[str, Any] = {"enumeration": {0: "off", 1077: "watts", 1078: "percent"}, "unit": ""}


async def test_one_of_an_enumeration_is_written_by_its_number_and_emitted_by_its_word() -> None:
    device = Device()
    async with ModbusFace({1: device}) as face:
        driver = driver_of(face, **STATUS, **MODES)
        async with running(driver) as watch:
            await known(watch)
            assert await driver.write(order(1077)) == 1077
            await watch.until(lambda: watch.value("d.limit") == "watts")
            with pytest.raises(WriteRefused, match=r"off \(0\), watts \(1077\), percent \(1078\); found 1079"):
                await driver.write(order(1079))

    assert device.written() == [(VALUE, [1077])]


async def test_one_of_an_enumeration_is_written_by_its_word() -> None:
    """By the writer of a point itself, over the wire."""
    device = Device()
    device.holding[VALUE] = 0x0F00
    point = ModbusPoint.model_validate(
        {"name": "mode", "register": f"holding:{VALUE}", "type": "uint16", "bits": "0-3", "access": "read-write"}
        | {"enumeration": {1: "auto", 2: "manual"}}
    )
    told: list[Measurement] = []
    async with ModbusFace({1: device}) as face:
        link = await connect(Network("tcp", "127.0.0.1", face.port))
        try:
            writer, wire = PointWriter(point, "d", Screen("d", [point])), Wire(link, 1, 1.0)
            assert await writer.write("manual", wire, told.extend) == "manual"
            with pytest.raises(ValueError, match=r"accepted is one of auto \(1\), manual \(2\); found mannual"):
                await writer.write("mannual", wire, told.extend)
        finally:
            link.close("the test is over")
            await link.ended()

    assert device.written() == [(VALUE, [0x0F02])]
    assert told == [Measurement("d.mode", "manual")]
