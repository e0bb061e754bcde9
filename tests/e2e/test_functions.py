"""Every function of the contract from wire to wire: a foreign DSO, a real broker, the real daemon, real Modbus TCP."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.foreign import station


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
