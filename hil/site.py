"""A whole site on the loopback: its plant, moved on in real time, behind one Modbus TCP port a device."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, suppress
from types import TracebackType
from typing import Self

from hil.faces.meter import MeterRegisters
from hil.faces.modbus import ModbusFace
from hil.faces.sunspec import SunSpecRegisters
from hil.faces.sunspec_curves import CurveBank, droop_bank, volt_var_bank, volt_watt_bank, watt_var_bank
from hil.faces.sunspec_der import DerRegisters, Panel, der_models
from hil.faces.sunspec_devices import battery_models, inverter_models
from hil.plant.battery import Battery
from hil.plant.characteristics import follow
from hil.plant.converter import Converter
from hil.plant.grid import ConnectionPoint, GridParameters
from hil.plant.inverter import Inverter
from hil.plant.load import Load, LoadParameters
from hil.plant.site import Plant
from hil.plant.sun import Sun, SunParameters

STEP_S = 0.1
UNIT = 1

_SITE_YAML = """\
devices:
  - id: pcc
    driver: modbus
    endpoint: tcp://{host}:{pcc}
    unit: {unit}
    role: meter
    points:
      - {{name: active_power, register: "input:52", type: float32, order: ABCD, unit: W, scale: -1, poll: 200ms}}
      - {{name: reactive_power, register: "input:60", type: float32, order: ABCD, unit: var, scale: -1, poll: 200ms}}
      - {{name: voltage_l1, register: "input:0", type: float32, order: ABCD, unit: V}}
      - {{name: voltage_l2, register: "input:2", type: float32, order: ABCD, unit: V}}
      - {{name: voltage_l3, register: "input:4", type: float32, order: ABCD, unit: V}}
      - {{name: frequency, register: "input:70", type: float32, order: ABCD, unit: Hz}}
      - {{name: energy_import, register: "input:72", type: float32, order: ABCD, unit: Wh, scale: 1000}}
      - {{name: energy_export, register: "input:74", type: float32, order: ABCD, unit: Wh, scale: 1000}}
  - id: inv1
    driver: modbus
    endpoint: tcp://{host}:{inv1}
    unit: {unit}
    profile: sunspec
    role: pv
    rated_power: 60kW
  - id: bat1
    driver: modbus
    endpoint: tcp://{host}:{bat1}
    unit: {unit}
    profile: sunspec
    role: battery
    rated_power: 30kW

control:
  pcc: pcc
  ders: [inv1, bat1]
  period: 200ms
"""


def site_yaml(ports: Mapping[str, int], *, host: str = "127.0.0.1") -> str:
    """The `devices` and `control` parts of a site file for a simulated site, or for proxies in front of its ports."""
    return _SITE_YAML.format(host=host, unit=UNIT, **ports)


class SimulatedSite:
    """
    A PCC meter, a PV inverter of 60 kW, a battery of 30 kW and 60 kWh and a house load, each device on its own port.

    A write acts on the device at once; the plant moves on in steps of 0.1 s of the event loop's time. The same seed
    gives the same sky and the same load.

    Attributes:
        faces: The Modbus face of each device, to silence, stop or slow it.
        plant: The physics behind them.
        curves: What the inverter can follow by itself, by the function's name; empty unless it is a `der`.
        writes: Every point that a master wrote: loop time, device, SunSpec point, value in the point's unit.
    """

    def __init__(self, *, seed: int = 0, der: bool = False) -> None:
        """With `der`, the inverter is one of the IEEE 1547 generation, and follows the curves that it adopted."""
        self.plant = Plant(
            sun=Sun(SunParameters(), seed=seed),
            inverter=Inverter(),
            battery=Battery(),
            load=Load(LoadParameters(), seed=seed + 1),
            grid=GridParameters(),
        )
        self.plant.settle()
        self.writes: list[tuple[float, str, str, float]] = []
        self.curves: dict[str, CurveBank] = _banks() if der else {}
        battery = battery_models(self.plant.battery, self._point, serial="SIM-BAT1")
        self.faces = {
            "pcc": ModbusFace({UNIT: MeterRegisters(self.plant)}),
            "inv1": ModbusFace({UNIT: self._inverter()}),
            "bat1": ModbusFace({UNIT: SunSpecRegisters(battery, on_write=self._recorder("bat1"))}),
        }
        self._exits = AsyncExitStack()

    @property
    def ports(self) -> dict[str, int]:
        return {device: face.port for device, face in self.faces.items()}

    def truth(self) -> dict[str, float]:
        """What really is, free of any meter, under the names that points have; generator reference frame."""
        plant = self.plant
        truth = {
            "pcc.active_power": plant.point.active_power_w,
            "pcc.reactive_power": plant.point.reactive_power_var,
            "pcc.voltage_l1": plant.point.phase_voltage_v,
            "inv1.available_power": plant.inverter.available_w,
            "bat1.state_of_charge": 100.0 * plant.battery.soc,
        }
        sources: dict[str, Converter | Load] = {
            "inv1": plant.inverter.converter,
            "bat1": plant.battery.converter,
            "load": plant.load,
        }
        for name, source in sources.items():
            truth[f"{name}.active_power"] = source.active_power_w
            truth[f"{name}.reactive_power"] = source.reactive_power_var
        return truth

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as exits:
            for face in self.faces.values():
                await exits.enter_async_context(face)
            clock = asyncio.create_task(self._run(), name="simulated plant")
            exits.push_async_callback(_end, clock)
            self._exits = exits.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._exits.aclose()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + STEP_S
        while True:
            await asyncio.sleep(due - loop.time())
            while due <= loop.time():  # after a pause of the process, the plant catches up
                if self.curves:
                    in_force = {name: bank.in_force for name, bank in self.curves.items()}
                    follow(self.plant.inverter, self.plant.point, in_force, STEP_S)
                self.plant.step(STEP_S)
                due += STEP_S

    def _inverter(self) -> SunSpecRegisters:
        inverter, record = self.plant.inverter, self._recorder("inv1")
        if not self.curves:
            return SunSpecRegisters(inverter_models(inverter, self._point, serial="SIM-INV1"), on_write=record)
        panel, banks = Panel(), list(self.curves.values())
        models = der_models(inverter, self._point, serial="SIM-INV1", panel=panel, now=_loop_time, banks=banks)
        return DerRegisters(models, panel, on_write=record)

    def _point(self) -> ConnectionPoint:
        return self.plant.point

    def _recorder(self, device: str) -> Callable[[str, float], None]:
        def record(point: str, value: float) -> None:
            self.writes.append((asyncio.get_running_loop().time(), device, point, value))

        return record


def _loop_time() -> float:
    return asyncio.get_running_loop().time()


def _banks() -> dict[str, CurveBank]:
    return {
        "volt_var": volt_var_bank(_loop_time),
        "volt_watt": volt_watt_bank(_loop_time),
        "frequency_droop": droop_bank(_loop_time),
        "watt_var": watt_var_bank(_loop_time),
    }


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
