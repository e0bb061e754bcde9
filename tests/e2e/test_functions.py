"""Every function of the contract from wire to wire: a foreign DSO, a real broker, the real daemon, real Modbus TCP."""

from __future__ import annotations

import asyncio
import math
import signal
from pathlib import Path

import pytest

from tests.e2e.foreign import station, utc

SWITCH = '    points:\n      - {name: connect, register: "holding:40232", type: uint16, access: read-write}\n'
"""Model 123 of the simulated inverter stands at 40228, and `Conn` in the fifth of its registers."""


async def test_limits_and_setpoints_are_proven_and_given_back(tmp_path: Path) -> None:
    async with station(tmp_path) as one:
        limit = await one.dso.send("limit_active_power", value=50, unit="%", tolerance={"value": 2, "unit": "%"})
        reactive = await one.dso.send("set_reactive_power", value=-12_000, unit="var")
        active = await one.dso.send("set_active_power", "bat1", value=-5_000, unit="W")
        await one.dso.proven(limit, reactive, active)
        await one.near("pcc.active_power", 30_000)
        await one.near("pcc.reactive_power", -12_000)
        await one.near("bat1.active_power", -5_000, 600)
        for id_, value in ((limit, 30_000), (reactive, -12_000), (active, -5_000)):
            entry = await one.dso.in_mirror(id_)
            assert (entry["value"], entry["execution"]) == (value, "local")
        await one.dso.cancel(limit, reactive, active)
        await one.given_back()


async def test_peaks_at_the_meter_are_shaved_by_battery_and_sun(tmp_path: Path) -> None:
    """The battery gives what an import limit is short of; the sun is held back for an export limit."""
    async with station(tmp_path) as one:
        exported = await one.dso.send("limit_export", value=20_000, unit="W")
        await one.dso.proven(exported)
        assert one.site.truth()["pcc.active_power"] <= 21_200
        assert (await one.dso.in_mirror(exported))["value"] == 20_000
        await one.dso.cancel(exported)
        await one.given_back()

        one.weather(sun_w=0, load_w=30_000)
        await one.near("pcc.active_power", -30_000)
        imported = await one.dso.send("limit_import", value=20_000, unit="W")
        await one.dso.proven(imported)
        await one.near("bat1.active_power", 10_000)
        assert (await one.dso.in_mirror(imported))["value"] == -20_000
        await one.dso.cancel(imported)
        await one.given_back()
        await one.near("bat1.active_power", 0, 300)


async def test_a_schedule_a_power_factor_and_a_reserve(tmp_path: Path) -> None:
    """The battery follows its steps and is let go after the last; the inverter's vars follow its watts meanwhile."""
    async with station(tmp_path) as one:
        reserve = await one.dso.send("reserve", "bat1", value={"up_w": 20_000, "down_w": 5_000})
        factor = await one.dso.send("set_power_factor", "inv1", value=0.9, excitation="under")
        steps = await one.dso.send(
            "set_active_power", "bat1", unit="W", start=utc(1), schedule={"resolution": 4, "values": [8_000, -6_000]}
        )
        await one.near("bat1.active_power", 8_000, 600)
        await one.dso.proven(steps, factor, reserve)
        assert one.inverter_var == pytest.approx(-0.484 * one.inverter_w, rel=0.05)
        assert (await one.dso.in_mirror(factor))["quantity"] == "reactive_power"
        mirror = one.dso.book.control
        assert mirror is not None
        assert mirror["reserve"] == {"up_w": 20_000, "down_w": 5_000, "kept": True}
        await one.near("bat1.active_power", -6_000, 600)
        await one.dso.acked(steps, "completed")
        await one.near("bat1.active_power", 0, 300)
        await one.dso.cancel(factor, reserve)
        await one.given_back()


async def test_a_setpoint_gives_way_to_a_reserve(tmp_path: Path) -> None:
    async with station(tmp_path) as one:
        reserve = await one.dso.send("reserve", "bat1", value={"up_w": 20_000, "down_w": 5_000})
        await one.dso.proven(reserve)
        power = await one.dso.send("set_active_power", "bat1", value=25_000, unit="W")
        await one.near("bat1.active_power", 10_000, 600)
        entry = await one.dso.in_mirror(power)
        assert (entry["value"], entry["limited_by"]) == (10_000, reserve)
        await one.dso.cancel(reserve)
        await one.dso.proven(power)
        await one.near("bat1.active_power", 25_000, 600)
        await one.dso.cancel(power)
        await one.given_back()


async def test_devices_without_characteristics_follow_the_grid_by_the_tick(tmp_path: Path) -> None:
    """Q(U) at the meter, P(U) and P(f) of an inverter that knows a limit and a set-point only."""
    async with station(tmp_path) as one:
        volt_var = await one.dso.send("volt_var", curve=[[0.92, 0.44], [0.98, 0], [1.02, 0], [1.08, -0.44]], response=2)
        volt_watt = await one.dso.send("volt_watt", "inv1", curve=[[1.06, 1], [1.1, 0.2]])
        droop = await one.dso.send("frequency_droop", "inv1", value={"deadband_hz": 0.2, "droop": 0.05})
        await one.dso.proven(volt_var, volt_watt, droop)
        assert (await one.dso.in_mirror(volt_var))["execution"] == "local"

        one.voltage(1.05)
        await one.near("pcc.reactive_power", -0.22 * 60_000)
        one.voltage(1.08)
        await one.near("pcc.reactive_power", -0.44 * 60_000)
        await one.near("inv1.active_power", 36_000)
        one.voltage(0.95)
        await one.near("pcc.reactive_power", 0.22 * 60_000)
        await one.near("inv1.active_power", 56_000)
        one.frequency(50.7)
        await one.near("inv1.active_power", 0.8 * 56_000)
        assert (await one.dso.in_mirror(droop))["execution"] == "local"
        one.frequency(50.0)
        await one.near("inv1.active_power", 56_000)
        await one.dso.cancel(volt_var, volt_watt, droop)
        await one.given_back()


async def test_a_switch_is_opened_and_closed(tmp_path: Path) -> None:
    async with station(tmp_path, inverter=SWITCH) as one:
        off = await one.dso.send("disconnect", "inv1", kind="emergency", respond_within=5)
        await one.dso.proven(off)
        assert "inv1.disconnect" in one.engaged
        assert one.inverter_w == 0.0
        on = await one.dso.send("connect", "inv1", kind="emergency")
        await one.dso.proven(on)
        await one.dso.acked(off, "superseded")
        await one.near("inv1.active_power", 56_000)
        await one.dso.cancel(on)
        await one.given_back()


async def test_reactive_power_follows_active_power_in_the_device_or_by_the_tick(tmp_path: Path) -> None:
    """Q(P) is a curve of model 712; no model has cos(phi) of P, so the gateway makes vars of it."""
    async with station(tmp_path, der=True) as one:
        watt_var = await one.dso.send("watt_var", "inv1", curve=[[0.2, 0], [0.5, 0], [1, -0.44]])
        await one.dso.proven(watt_var)
        assert (await one.dso.in_mirror(watt_var))["execution"] == "device"
        assert one.engaged == ["inv1.watt_var"]
        await one.near("inv1.reactive_power", -0.44 * (56 / 60 - 0.5) / 0.5 * 60_000)
        await one.dso.cancel(watt_var)
        await one.given_back()

        factor = await one.dso.send("watt_power_factor", "inv1", curve=[[0.5, 1], [1, -0.9]])
        await one.dso.proven(factor)
        assert (await one.dso.in_mirror(factor))["execution"] == "local"
        assert one.engaged == ["inv1.reactive"]
        cos_phi = 1.0 - 0.1 * (56 / 60 - 0.5) / 0.5
        await one.near("inv1.reactive_power", -56_000 * math.tan(math.acos(cos_phi)))
        await one.dso.cancel(factor)
        await one.given_back()


HANDED = [
    ("volt_var", {"curve": [[0.93, 0.3], [0.97, 0], [1.03, 0], [1.07, -0.3]], "response": 3}),
    ("volt_watt", {"curve": [[1.05, 1], [1.09, 0.2]], "response": 2}),
    ("frequency_droop", {"value": {"deadband_hz": 0.2, "droop": 0.05, "response_s": 1, "reference": "nominal"}}),
]


async def test_an_inverter_follows_characteristics_by_itself(tmp_path: Path) -> None:
    """Adopted, read back, obeyed where the gateway would be too slow, and given back; the mirror says who does it."""
    async with station(tmp_path, der=True) as one:
        ids = [await one.dso.send(name, "inv1", **fields) for name, fields in HANDED]
        await one.dso.proven(*ids)
        assert one.engaged == [f"inv1.{name}" for name, _ in HANDED]
        for id_ in (ids[0], ids[1]):
            assert (await one.dso.in_mirror(id_))["execution"] == "device"
        writes = len(one.site.writes)
        one.voltage(1.05)
        await one.near("inv1.reactive_power", -0.15 * 60_000)
        one.voltage(1.07)
        await one.near("inv1.reactive_power", -0.3 * 60_000)
        await one.near("inv1.active_power", 36_000)
        one.voltage(1.0)
        await one.near("inv1.active_power", 56_000)
        one.frequency(50.5)
        await one.near("inv1.active_power", 56_000 - 0.12 * 60_000)
        one.frequency(50.0)
        await one.near("inv1.active_power", 56_000)
        assert {point for _, _, point, _ in one.site.writes[writes:]} <= {"ControllerHb"}
        await one.dso.cancel(*ids)
        await one.given_back()


async def test_a_curve_that_the_device_refuses_fails_with_its_reason_and_changes_nothing(tmp_path: Path) -> None:
    """The curve that its owner had enabled is obeyed before, during and after."""
    async with station(tmp_path, der=True) as one:
        bank = one.site.curves["volt_var"]
        bank.model().writable["Ena"].apply(1)
        before = bank.in_force
        jump = [[0.95, 0.3], [1.0, 0.3], [1.0, -0.3], [1.05, -0.3]]
        id_ = await one.dso.send("volt_var", "inv1", curve=jump, respond_within=4)
        failed = await one.dso.acked(id_, "failed")
        assert one.dso.words(id_) == ["received", "accepted", "failed"]
        assert failed.code == "write_failed"
        assert "the device checked the curve and refuses it" in str(failed.detail)
        assert bank.in_force == before
        (event,) = [event for event in one.dso.book.events if event["code"] == "write_failed"]
        assert str(failed.detail) in event["detail"]
        assert sum(point == "AdptCrvReq" for _, _, point, _ in one.site.writes) == 1
        await one.dso.mirror_empty()
        await one.until("the owner's curve", lambda: bank.in_force == before)


async def test_killed_with_a_curve_and_a_schedule_in_force_it_goes_on_and_gives_back(tmp_path: Path) -> None:
    """What the owner had enabled before our first write comes back at the end, in whichever life of the daemon."""
    async with station(tmp_path, der=True) as one:
        bank = one.site.curves["volt_var"]
        bank.model().writable["Ena"].apply(1)
        owners = bank.in_force
        curve = await one.dso.send("volt_var", "inv1", **HANDED[0][1])
        schedule = {"resolution": 6, "values": [8_000, -6_000, 4_000]}
        steps = await one.dso.send("set_active_power", "bat1", unit="W", start=utc(1), schedule=schedule)
        await one.dso.proven(curve, steps)
        adopted = bank.in_force
        assert adopted != owners
        await one.daemon.end(signal.SIGKILL)
        await one.daemon.start()
        await one.online(session=2)
        assert bank.in_force == adopted
        await one.near("bat1.active_power", -6_000, 600)
        await one.near("bat1.active_power", 4_000, 600)
        assert (await one.dso.in_mirror(curve))["execution"] == "device"
        await one.dso.acked(steps, "completed")
        await one.near("bat1.active_power", 0, 300)
        await one.dso.cancel(curve)
        await one.until("the owner's curve", lambda: bank.in_force == owners)
        assert one.engaged == ["inv1.volt_var"]
        await one.dso.mirror_empty()


async def test_a_dso_that_is_gone_is_replaced_by_a_value_reached_at_its_ramp_that_outlives_a_kill(
    tmp_path: Path,
) -> None:
    """The wait is an hour in the second life: what stood in the first stands at once, until the DSO is there."""
    fallback = "  fallback: {{uplink_lost: {{after: {}, active_power: {{value: 20%, ramp: 600%/min}}}}}}\n"
    async with station(tmp_path, control=fallback.format("1s")) as one:
        one.broker.kill()
        loop = asyncio.get_running_loop()
        await one.until("the ramp's beginning", lambda: one.site.truth()["pcc.active_power"] < 45_000)
        began = loop.time()
        await one.until("the ramp's end", lambda: one.site.truth()["pcc.active_power"] < 15_000)
        assert loop.time() - began > 0.8 * 30_000 / 6_000
        await one.near("pcc.active_power", 12_000)

        await one.daemon.end(signal.SIGKILL)
        file = one.daemon.file
        file.write_text(file.read_text().replace("after: 1s", "after: 1h"))
        one.weather(sun_w=56_000, load_w=16_000)
        await one.near("pcc.active_power", 2_000)
        await one.daemon.start()
        await one.near("pcc.active_power", 12_000)
        one.broker.start()
        await one.online(session=2)
        await one.given_back()


async def test_a_dso_that_is_gone_may_take_the_devices_off_the_grid(tmp_path: Path) -> None:
    """A battery without a switch gives nothing; its order goes on when the DSO is back."""
    fallback = "  fallback: {uplink_lost: {after: 1s, active_power: disconnect}}\n"
    async with station(tmp_path, control=fallback, inverter=SWITCH) as one:
        order = await one.dso.send("set_active_power", "bat1", value=-5_000, unit="W")
        await one.dso.proven(order)
        one.broker.kill()
        await one.until("the inverter's switch", lambda: "inv1.disconnect" in one.engaged)
        await one.near("bat1.active_power", 0, 300)
        assert one.inverter_w == 0.0
        one.broker.start()
        await one.until("the inverter's switch", lambda: "inv1.disconnect" not in one.engaged)
        await one.near("inv1.active_power", 56_000)
        await one.near("bat1.active_power", -5_000, 300)
        await one.dso.cancel(order)
        await one.given_back()


REFUSED = [
    (
        ("frequency_droop", "bat1", {"value": {"deadband_hz": 0.2, "droop": 0.05, "response_s": 0.5}}),
        "unsupported_function",
        (
            "a response within 0.5 s was ordered, and through 'bat1' a change shows after 1.7 s at the earliest; "
            "order it at a device that does frequency_droop by itself"
        ),
    ),
    (
        ("volt_var", "pcc", {"curve": "ieee1547-2018-b"}),
        "unsupported_function",
        "volt_var follows the voltage, which nothing at pcc measures",
    ),
    (
        ("volt_watt", "inv1", {"curve": "ieee1547-2018"}),
        "malformed",
        (
            "preset is 'ieee1547-2018'; accepted for volt_watt are ieee1547-2018-a, ieee1547-2018-b, "
            "ieee1547-2018-to-zero, vde-ar-n-4110"
        ),
    ),
    (
        ("volt_watt", "inv1", {"curve": [[230, 1], [253, 0.2]]}),
        "out_of_range",
        "curve[0].x: found 230, accepted is 0.5 to 1.5 p.u.",
    ),
    (
        ("set_active_power", "bat1", {"unit": "W", "schedule": {"resolution": 900, "values": [1_000]}}),
        "malformed",
        "start is missing; accepted is the time at which the first value of the schedule begins",
    ),
    (
        ("reserve", "bat1", {"value": {"up_w": 50_000, "down_w": 20_000}}),
        "out_of_range",
        "reserve: found 70000 W up and down together, accepted are 60000 W (-30000 to 30000 W)",
    ),
    (
        ("set_power_factor", "inv1", {"value": 0.9}),
        "malformed",
        "excitation is missing; accepted are over, under (it may be left out for a value of 1)",
    ),
]


async def test_what_cannot_be_done_is_refused_in_words_that_help(tmp_path: Path) -> None:
    async with station(tmp_path, voltage=False) as one:
        ids = [await one.dso.send(function, target, **fields) for (function, target, fields), _, _ in REFUSED]
        for id_, (_, code, detail) in zip(ids, REFUSED, strict=True):
            ack = await one.dso.acked(id_, "rejected")
            assert (ack.code, ack.detail) == (code, detail)
            assert one.dso.words(id_) == ["received", "rejected"]
        assert one.site.writes == []


async def test_orders_go_out_from_a_shell(tmp_path: Path) -> None:
    """`dergate dso send` ends with 0 at effective, with 5 at a refusal that it prints; curves may go by their names."""
    async with station(tmp_path, der=True) as one:
        sent = {
            "limit": "--target pcc --value 50 --unit %",
            "q": "--target pcc --function set_reactive_power --value 6000 --unit var",
            "steps": f"--target bat1 --function set_active_power --schedule {tmp_path}/day.csv --resolution 1min",
            "volt-watt": "--target inv1 --function volt_watt --preset ieee1547-2018-b",
            "droop": "--target inv1 --function frequency_droop --preset ieee1547-2018",
            "reserve": "--target bat1 --function reserve --reserve-up 10000 --reserve-down 5000",
            "misnamed": "--target inv1 --function volt_var --preset ieee1547",
        }
        (tmp_path / "day.csv").write_text("3000\n-2000\n")
        ended = await asyncio.gather(*(one.dso.command("--id", id_, *words.split()) for id_, words in sent.items()))
        statuses = dict(zip(sent, ended, strict=True))
        assert {id_: status for id_, (status, _) in statuses.items()} == dict.fromkeys(sent, 0) | {"misnamed": 5}
        assert "malformed: preset is 'ieee1547'; accepted for volt_var are" in statuses["misnamed"][1]
        assert {"inv1.volt_watt", "inv1.frequency_droop"} < set(one.engaged)
        in_force = [id_ for id_ in sent if id_ != "misnamed"]
        for id_ in in_force:
            one.dso.sent_elsewhere({"schema": "cancellation/1", "id": id_, "revision": 1})
        ended = await asyncio.gather(*(one.dso.command("--cancel", id_) for id_ in in_force))
        assert [status for status, _ in ended] == [0] * len(in_force)
        await one.given_back()
