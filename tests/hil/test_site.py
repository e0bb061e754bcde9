"""The simulated site as a whole: its ports, what happens when a master writes, and what its site file says."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from pymodbus.client import AsyncModbusTcpClient
from ruamel.yaml import YAML

from hil.faces.sunspec_layout import MODELS
from hil.site import SimulatedSite, site_yaml

DEADLINE_S = 10.0
LIMIT_PCT = MODELS[123][3]
LIMIT_ENABLE = MODELS[123][7]


@asynccontextmanager
async def master(port: int) -> AsyncIterator[AsyncModbusTcpClient]:
    client = AsyncModbusTcpClient("127.0.0.1", port=port, timeout=DEADLINE_S, retries=0, reconnect_delay=0)
    assert await client.connect()
    try:
        yield client
    finally:
        client.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not condition():  # noqa: ASYNC110 -- physics has no event to await
            await asyncio.sleep(0.02)


async def find(client: AsyncModbusTcpClient, model: int) -> int:
    at = 40002
    while True:
        found, length = (await client.read_holding_registers(at, count=2)).registers
        if found == model:
            return at
        assert found != 0xFFFF, f"no model {model}"
        at += 2 + length


async def metered(client: AsyncModbusTcpClient, address: int) -> float:
    words = (await client.read_input_registers(address, count=2)).registers
    value: float = struct.unpack(">f", struct.pack(">2H", *words))[0]
    return value


async def test_each_device_answers_on_a_port_of_its_own_and_the_site_exports_from_the_start() -> None:
    async with SimulatedSite(seed=1) as site:
        assert set(site.ports) == {"pcc", "inv1", "bat1"}
        assert len(set(site.ports.values())) == 3
        assert 48_000 < site.truth()["pcc.active_power"] < 52_000
        async with master(site.ports["pcc"]) as client:
            assert await metered(client, 52) == pytest.approx(-site.truth()["pcc.active_power"], rel=0.05)
            assert await metered(client, 70) == pytest.approx(50.0)


async def test_a_curtailment_written_to_the_inverter_is_recorded_and_shows_at_the_meter() -> None:
    async with SimulatedSite(seed=1) as site, master(site.ports["inv1"]) as client:
        controls = await find(client, 123)
        before = asyncio.get_running_loop().time()
        assert not (await client.write_register(controls + LIMIT_PCT.offset, 8000)).isError()
        assert not (await client.write_register(controls + LIMIT_ENABLE.offset, 1)).isError()
        assert [write[1:] for write in site.writes] == [("inv1", "WMaxLimPct", 80.0), ("inv1", "WMaxLim_Ena", 1.0)]
        assert before <= site.writes[0][0] <= site.writes[1][0] <= asyncio.get_running_loop().time()
        await until(lambda: site.truth()["inv1.active_power"] < 49_000)
        truth = site.truth()
        sources = ("inv1.active_power", "bat1.active_power", "load.active_power")
        assert truth["pcc.active_power"] == pytest.approx(sum(truth[name] for name in sources))


async def test_the_truth_is_the_same_for_the_same_seed() -> None:
    sites = [SimulatedSite(seed=seed) for seed in (7, 7, 8)]
    for site in sites:
        for _ in range(20):
            site.plant.step(0.1)
    assert sites[0].truth() == sites[1].truth()
    assert sites[0].truth() != sites[2].truth()


async def test_a_face_of_the_site_can_be_stopped_while_the_plant_goes_on() -> None:
    async with SimulatedSite() as site:
        await site.faces["inv1"].stop()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", site.ports["inv1"])
        before = site.plant.export_wh
        await until(lambda: site.plant.export_wh > before)


async def test_leaving_the_site_closes_its_ports_and_leaves_no_task() -> None:
    before = asyncio.all_tasks()
    async with SimulatedSite() as site:
        assert "simulated plant" in {task.get_name() for task in asyncio.all_tasks()}
        async with master(site.ports["pcc"]) as client:
            await metered(client, 52)
    assert asyncio.all_tasks() == before
    for port in site.ports.values():
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)


def test_the_site_file_names_the_ports_the_devices_and_the_sign_of_the_meter() -> None:
    text = site_yaml({"pcc": 1001, "inv1": 1002, "bat1": 1003})
    site = YAML(typ="safe").load(text)
    devices = {device["id"]: device for device in site["devices"]}
    assert {id_: device["endpoint"] for id_, device in devices.items()} == {
        "pcc": "tcp://127.0.0.1:1001",
        "inv1": "tcp://127.0.0.1:1002",
        "bat1": "tcp://127.0.0.1:1003",
    }
    assert (devices["inv1"]["profile"], devices["inv1"]["role"], devices["inv1"]["rated_power"]) == (
        "sunspec",
        "pv",
        "60kW",
    )
    assert devices["bat1"]["rated_power"] == "30kW"
    power = devices["pcc"]["points"][0]
    assert (power["name"], power["register"], power["scale"], power["poll"]) == (
        "active_power",
        "input:52",
        -1,
        "200ms",
    )
    assert site["control"] == {"pcc": "pcc", "ders": ["inv1", "bat1"], "period": "200ms"}
