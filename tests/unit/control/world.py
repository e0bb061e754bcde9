"""A site in virtual time around the pure tick: first-order devices with dead time, a meter, a journal that obeys."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import exp, log

from gateway.characteristic import DELEGATED
from gateway.control.cycle import Inputs, Outcome, State, resume, tick
from gateway.control.plant import Der, Plant
from gateway.image import Image
from gateway.model import (
    Activation,
    Cancellation,
    Instant,
    Measurement,
    Nameplate,
    Point,
    Received,
    Refusal,
    SetPoint,
    Setting,
    Status,
    WriteResult,
)

WALL0 = 1_800_000_000.0
STEP_S = 0.1
"""Period of the physics, and of the tick."""


@dataclass
class Device:
    """A DER whose power follows what is written to it, after a dead time, as a first-order lag."""

    id: str
    rated_w: float
    available_w: float
    role: str = "pv"
    names: tuple[str, ...] = ("active_power_limit", "reactive_power_setpoint")
    unit: str = "W"
    dead_time_s: float = 0.3
    t90_s: float = 1.0
    poll_s: float = 1.0
    refresh_s: float | None = None
    online: bool = True
    silent: bool = False  # connected, and no value heard of it
    coy: bool = False  # tells what stands in its registers, and not its power
    refuses: bool = False
    soc: float | None = None  # of a storage, in %
    energy_wh: float | None = None
    registers: dict[str, Setting | None] = field(default_factory=dict)
    power_w: float = 0.0
    reactive_var: float = 0.0
    _then: deque[dict[str, Setting | None]] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self.registers = dict.fromkeys(self.names)
        if "connect" in self.names:
            self.registers["connect"] = 1.0
        self.power_w = self.available_w
        self._then = deque([dict(self.registers)] * (round(self.dead_time_s / STEP_S) + 1))

    @property
    def nameplate(self) -> Nameplate:
        own = [Point(f"{self.id}.active_power", "W"), Point(f"{self.id}.reactive_power", "var")]
        base = self.rated_w if self.unit == "%" else None
        own += [Point(f"{self.id}.state_of_charge", "%")] if self.soc is not None else []
        bare = DELEGATED | {"connect", "power_factor_setpoint"}
        writable = [
            Point(
                f"{self.id}.{name}",
                "" if name in bare else self.unit,
                writable=True,
                base=base,
                refresh_s=self.refresh_s,
            )
            for name in self.names
        ]
        return Nameplate(self.id, (*own, *writable), rated_power_w=self.rated_w, rated_energy_wh=self.energy_wh)

    def step(self) -> None:
        self._then.append(dict(self.registers))
        seen = self._then.popleft()
        limit, setpoint = seen.get("active_power_limit"), seen.get("active_power_setpoint")
        goal = self.available_w if setpoint is None else self._watts(setpoint)
        goal = goal if limit is None else min(goal, self._watts(limit))
        goal = goal if self.soc is None or (goal > 0 and self.soc > 0) or (goal < 0 and self.soc < 100) else 0.0
        goal = 0.0 if seen.get("connect") == 0.0 else goal
        share = 1 - exp(-STEP_S * log(10) / self.t90_s)
        self.power_w += share * (goal - self.power_w)
        reactive = seen.get("reactive_power_setpoint") or 0.0
        assert not isinstance(reactive, str)
        self.reactive_var += share * (reactive - self.reactive_var)
        if self.soc is not None and self.energy_wh is not None:
            self.soc = min(max(self.soc - self.power_w * STEP_S / 36.0 / self.energy_wh, 0.0), 100.0)

    def _watts(self, value: Setting) -> float:
        assert not isinstance(value, str)
        return value * self.rated_w / 100 if self.unit == "%" else value


class World:
    """Runs tick after tick; `acks` is all that was ever said, `writes` all that was ever written."""

    def __init__(
        self,
        *devices: Device,
        load_w: float = 6_000.0,
        rated_w: float = 60_000.0,
        how: Mapping[str, Der] | None = None,
        **plant: object,
    ) -> None:
        self.devices = {device.id: device for device in devices}
        self.load_w = load_w
        self.load_var = 0.0
        self.voltage_pu: float | None = None  # at the meter; None: it does not measure it
        self.frequency_hz: float | None = None
        self.meter_online = True
        self.meter_period_s = STEP_S
        self.meter_delay_s = 0.0  # from the moment a value was true to its arrival
        self.meter_noise_w = 0.0  # each value is off by up to so much, either way
        self._metered: deque[float] = deque()
        self._chance = random.Random(1)
        self.journal_works = True
        self.mono = 100.0
        self.wall_shift = WALL0
        self.acks: list[tuple[str, int, int, Status, str | None]] = []
        self.last: dict[str, Outcome] = {}
        self.writes: list[tuple[float, str, Setting | None]] = []
        self.journal: dict[tuple[str, int], object] = {}
        self.holds: dict[str, object] = {}
        self.journaled = 0
        self.inbox: list[Received] = []
        self.events: list[str] = []
        self.heard: dict[str, float | None] = {}
        self.clock_lost_s = 0.0
        self.outcome: Outcome | None = None
        self.plant = Plant(
            rated_power_w=rated_w,
            pcc="pcc",
            ders=tuple((how or {}).get(device.id) or Der(device.id, device.role, device.rated_w) for device in devices),
            devices=frozenset({"pcc", "m2", *self.devices}),
            **plant,  # type: ignore[arg-type]  # the caller names fields of Plant
        )
        self.state = State()
        self.image = self._new_image()

    def _new_image(self) -> Image:
        meter = Nameplate(
            "pcc",
            (
                Point("pcc.active_power", "W"),
                Point("pcc.reactive_power", "var"),
                Point("pcc.voltage_l1", "V"),
                Point("pcc.frequency", "Hz"),
            ),
        )
        return Image([meter, *(device.nameplate for device in self.devices.values())])

    @property
    def now(self) -> Instant:
        return Instant(self.wall_shift + self.mono, self.mono)

    @property
    def pcc_w(self) -> float:
        return sum(device.power_w for device in self.devices.values()) - self.load_w

    @property
    def pcc_var(self) -> float:
        return sum(device.reactive_var for device in self.devices.values()) - self.load_var

    def restart(self) -> None:
        """Killed and started again: only what the journal holds is known."""
        self.state = resume(list(self.journal.values()), list(self.holds.values()))  # type: ignore[arg-type]
        self.journaled = 0
        self.image = self._new_image()

    def send(self, order: Activation | Cancellation | Refusal, uplink: str = "dso") -> None:
        self.inbox.append(Received(uplink, self.now, order))

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds / STEP_S)):
            self.step()

    def step(self) -> None:
        self.mono = round(self.mono + STEP_S, 6)
        for device in self.devices.values():
            device.step()
        self._measure()
        self._tick()
        while self.inbox or (self.outcome and self.outcome.durable and self.journal_works):
            self._tick()  # the journal answers at once, and wakes the tick

    def _measure(self) -> None:
        now = self.now
        self._metered.append(self.pcc_w + self.meter_noise_w * self._chance.uniform(-1.0, 1.0))
        while len(self._metered) > round(self.meter_delay_s / STEP_S) + 1:
            self._metered.popleft()
        if self.meter_online and round(self.mono / STEP_S) % round(self.meter_period_s / STEP_S) == 0:
            told = [Measurement("pcc.active_power", self._metered[0]), Measurement("pcc.reactive_power", self.pcc_var)]
            if self.voltage_pu is not None:
                told.append(Measurement("pcc.voltage_l1", 230.0 * self.voltage_pu))
            if self.frequency_hz is not None:
                told.append(Measurement("pcc.frequency", self.frequency_hz))
            self.image.emit(told, now)
        for device in self.devices.values():
            if not device.online:
                self.image.offline([device.id], now)
            elif not device.silent and round(self.mono / STEP_S) % round(device.poll_s / STEP_S) == 0:
                registers = [Measurement(f"{device.id}.{n}", v) for n, v in device.registers.items()]
                powers = [
                    Measurement(f"{device.id}.active_power", device.power_w),
                    Measurement(f"{device.id}.reactive_power", device.reactive_var),
                ]
                powers += [Measurement(f"{device.id}.state_of_charge", device.soc)] if device.soc is not None else []
                self.image.emit(registers if device.coy else [*powers, *registers], now)

    def _tick(self) -> None:
        inputs = Inputs(self.image.snapshot(self.now), self.inbox, self.journaled, self.heard, self.clock_lost_s)
        self.inbox = []
        self.state, outcome = tick(self.plant, self.state, inputs)
        self.outcome = outcome
        if self.journal_works:
            self.journaled = outcome.serial
            self.journal |= {(entry.id, entry.revision): entry for entry in outcome.entries}
            self.holds |= {hold.point: hold for hold in outcome.holds}
            for point in outcome.released:
                del self.holds[point]
            self.acks += [(r.ack.id, r.ack.revision, r.ack.n, r.ack.status, r.ack.code) for r in outcome.replies]
        self.events += [event.code for event in outcome.events]
        for setpoint in outcome.setpoints:
            self._write(setpoint)

    def _write(self, setpoint: SetPoint) -> None:
        device = self.devices[setpoint.point.partition(".")[0]]
        name = setpoint.point.partition(".")[2]
        error = "not connected" if not device.online else "exception 4" if device.refuses else None
        if error is None:
            device.registers[name] = setpoint.value
            self.writes.append((self.mono, setpoint.point, setpoint.value))
        readback = device.registers[name] if error is None else None
        self.image.wrote(WriteResult(setpoint.point, setpoint.value, readback, error, self.mono), self.now)

    def said(self, id_: str = "a", revision: int | None = None) -> list[Status]:
        """What was acknowledged of an order, in order."""
        return [status for i, r, _, status, _ in self.acks if i == id_ and revision in {None, r}]

    def code(self, id_: str = "a") -> str | None:
        """The code of the last acknowledgement of an order."""
        return [code for i, _, _, _, code in self.acks if i == id_][-1]

    def counts(self, id_: str = "a") -> list[int]:
        return [n for i, _, n, _, _ in self.acks if i == id_]


def order(world: World, id_: str = "a", **fields: object) -> Activation:
    """A limit of 60 % at the PCC, from now on, unless told otherwise."""
    values: dict[str, object] = {
        "id": id_,
        "revision": 1,
        "issuer": "dso",
        "issued": world.now.wall,
        "target": "pcc",
        "function": "limit_active_power",
        "value": 60.0,
        "unit": "%",
    }
    values |= fields
    values["digest"] = repr(sorted(values.items()))
    return Activation(**values)  # type: ignore[arg-type]  # a test names the fields it is about
