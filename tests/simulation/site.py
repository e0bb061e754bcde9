"""A site on simulated physics around the pure tick, in virtual time: devices, a meter, a head end and a journal."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from gateway.control.cycle import Inputs, Outcome, State, resume, tick
from gateway.control.fallback import METER, UPLINK
from gateway.control.plant import Action, Authority, Der, Fallback, Plant, Ramps
from gateway.control.pq import PqCapability
from gateway.image import Image
from gateway.model import (
    Ack,
    Activation,
    Cancellation,
    Entry,
    Hold,
    Instant,
    Measurement,
    Nameplate,
    Point,
    Ramp,
    Received,
    SetPoint,
    Setting,
    WriteResult,
)
from hil.plant.battery import Battery, BatteryParameters
from hil.plant.converter import Converter, ConverterParameters
from hil.plant.grid import ConnectionPoint, GridParameters, solve
from hil.plant.inverter import Inverter
from hil.plant.load import Load, LoadParameters
from hil.plant.sun import Sun, SunParameters

STEP_S = 0.5
"""Period of the physics: half of a tick, so that a dead time may end between two ticks."""
PERIOD_S = 1.0
"""Period of the tick; also the fastest poll."""
WALL0 = 1_800_000_000.0
RATED_W = 100_000.0
LIMIT, SETPOINT, REACTIVE = "active_power_limit", "active_power_setpoint", "reactive_power_setpoint"


@dataclass
class Machine:
    """A device with its registers: what is written there acts on the physics after the device's own dead time."""

    id: str
    converter: Converter
    names: tuple[str, ...]
    poll_s: float
    body: Inverter | Battery
    sun: Sun | None = None
    unit: str = "W"
    online: bool = True
    silent: bool = False
    refuses: bool = False
    registers: dict[str, Setting | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.registers = {name: 1.0 if name == "connect" else None for name in self.names}

    @property
    def rated_w(self) -> float:
        return self.converter.parameters.rated_w

    @property
    def battery(self) -> Battery | None:
        return self.body if isinstance(self.body, Battery) else None

    @property
    def nameplate(self) -> Nameplate:
        age_s = max(3.0, 2.5 * self.poll_s)
        units = {LIMIT: self.unit, SETPOINT: "W", REACTIVE: "var"}
        points = [Point(f"{self.id}.active_power", "W", max_age=age_s)]
        points.append(Point(f"{self.id}.reactive_power", "var", max_age=age_s))
        points += [Point(f"{self.id}.state_of_charge", "%", max_age=age_s)] if self.battery else []
        points += [
            Point(f"{self.id}.{name}", units.get(name, ""), writable=True, base=self.rated_w, max_age=age_s)
            for name in self.names
        ]
        energy_wh = self.battery.parameters.capacity_wh if self.battery else None
        return Nameplate(
            self.id,
            tuple(points),
            rated_power_w=self.rated_w,
            rated_reactive_power_var=self.converter.parameters.rated_va,
            rated_energy_wh=energy_wh,
        )

    def step(self, daylight: float) -> None:
        limit, setpoint = self._number(LIMIT), self._number(SETPOINT)
        percent = 100.0 / self.rated_w
        if limit is not None:
            limit *= 1.0 if self.unit == "%" else percent
        self.converter.limit.put(100.0 if limit is None else limit)
        self.converter.limit.enabled = True
        self.converter.reactive.put((self._number(REACTIVE) or 0.0) * percent)
        self.converter.reactive.enabled = True
        self.converter.disconnect.enabled = self.registers.get("connect") == 0.0
        if self.battery is not None:
            self.battery.discharge.put(100.0 if setpoint is None else setpoint * percent)
            self.battery.charge.put(100.0 if setpoint is None else -setpoint * percent)
            self.battery.discharge.enabled = self.battery.charge.enabled = True
        if isinstance(self.body, Inverter) and self.sun is not None:
            self.sun.step(STEP_S)
            self.body.available_w = self.sun.available_w * daylight
        self.body.step(STEP_S)

    def _number(self, name: str) -> float | None:
        value = self.registers.get(name)
        assert not isinstance(value, str)
        return value

    def readings(self) -> list[Measurement]:
        own = [
            Measurement(f"{self.id}.active_power", self.converter.active_power_w),
            Measurement(f"{self.id}.reactive_power", self.converter.reactive_power_var),
        ]
        own += [Measurement(f"{self.id}.state_of_charge", 100.0 * self.battery.soc)] if self.battery else []
        return [*own, *(Measurement(f"{self.id}.{name}", value) for name, value in self.registers.items())]


@dataclass(frozen=True)
class Weather:
    """How quiet a site is."""

    haze: float = 0.02
    spell_s: float | None = 1_500.0
    unrest: float = 0.02
    wobble_hz: float = 0.01


CALM = Weather(haze=0.0, spell_s=None, unrest=0.0, wobble_hz=0.0)


def machines(seed: int, weather: Weather) -> dict[str, Machine]:
    """Three PV inverters and two batteries; how fast each is, and how often it is read, is drawn from the seed."""
    draw = random.Random(seed)

    def converter(rated_w: float, rated_va: float) -> ConverterParameters:
        return ConverterParameters(
            rated_w=rated_w,
            rated_va=rated_va,
            dead_time_s=draw.choice([0.2, 0.5, 1.0, 3.0]),
            t90_s=draw.uniform(1.0, 10.0),
            reactive_t90_s=draw.uniform(1.0, 10.0),
        )

    found = []
    own = {"inv1": (), "inv2": ("volt_var",), "inv3": ("connect",)}
    for id_, rated_w, rated_va in (("inv1", 50e3, 50e3), ("inv2", 30e3, 33e3), ("inv3", 20e3, 22e3)):
        inverter = Inverter(converter(rated_w, rated_va))
        sky = SunParameters(clear_w=1.02 * rated_w, haze=weather.haze, spell_s=weather.spell_s)
        found.append(
            Machine(
                id_,
                inverter.converter,
                (LIMIT, REACTIVE, *own[id_]),
                draw.choice([1.0, 2.0, 5.0]),
                inverter,
                Sun(sky, seed=draw.randrange(1 << 30)),
                unit="%" if id_ == "inv1" else "W",
            )
        )
    for id_, rated_w, capacity_wh in (("bat1", 30e3, 60e3), ("bat2", 15e3, 20e3)):
        parameters = BatteryParameters(converter=converter(rated_w, 1.1 * rated_w), capacity_wh=capacity_wh)
        battery = Battery(parameters, soc=draw.uniform(0.2, 0.8))
        found.append(Machine(id_, battery.converter, (SETPOINT, REACTIVE), draw.choice([1.0, 2.0]), battery))
    return {machine.id: machine for machine in found}


def plant_of(seed: int, devices: dict[str, Machine]) -> Plant:
    """The site as its controller is told of it; what stands in for a loss is drawn from the seed."""
    draw = random.Random(seed + 1)
    instead = [Action(), Action("release"), Action("limit", 20e3), Action("value", 0.0, Ramp(2e3, 2e3))]
    ders = tuple(
        Der(
            machine.id,
            "battery" if machine.battery else "pv",
            machine.rated_w,
            soc_min=10.0 if machine.battery else 0.0,
            soc_max=95.0 if machine.battery else 100.0,
            pq=PqCapability(50e3, 50e3) if machine.id == "inv1" else None,
        )
        for machine in devices.values()
    )
    return Plant(
        rated_power_w=RATED_W,
        pcc="pcc",
        ders=ders,
        devices=frozenset({"pcc", *devices}),
        authorities={"dso": Authority(10), "market": Authority(5)},
        ramps=draw.choice([Ramps(), Ramps(release=RATED_W / 60), Ramps(reconnect=1_000.0)]),
        strategy=draw.choice(["proportional", "soc", "merit"]),
        fallbacks={
            UPLINK: Fallback(30.0, draw.choice([*instead, Action("disconnect")]), draw.choice(instead[:2])),
            METER: Fallback(10.0, draw.choice(instead), draw.choice(instead[:2])),
        },
    )


class Site:
    """Physics, image, tick and journal; `now` is virtual, and each second of it takes the machine's own time."""

    def __init__(self, seed: int, *, weather: Weather | None = None, daylight: Callable[[float], float] | None = None):
        weather = weather or Weather()
        self.weather = weather
        self.devices = machines(seed, weather)
        self.plant = plant_of(seed, self.devices)
        self.load = Load(LoadParameters(base_w=25e3, unrest=weather.unrest), seed=seed + 2)
        self.daylight = daylight or (lambda _: 1.0)
        self.draw = random.Random(seed + 3)
        self.mono = 0.0
        self.frequency_hz = 50.0
        self.meter_online = True
        self.dso_heard = True
        self.journal_works = True
        self.point: ConnectionPoint = solve(GridParameters(), [])
        self.heard: dict[str, float | None] = {"dso": 0.0, "market": 0.0}
        self.state = State()
        self.inbox: list[Received] = []
        self.journaled = 0
        self.uncommitted: list[Outcome] = []
        self.entries: dict[tuple[str, int], Entry] = {}
        self.holds: dict[str, Hold] = {}
        self.unanswered: list[Received] = []
        self.acks: list[Ack] = []
        self.on_write: Callable[[SetPoint, Outcome], None] = lambda setpoint, outcome: None
        self.on_restart: Callable[[], None] = lambda: None
        self.on_tick: Callable[[Outcome], None] = lambda outcome: None
        self.image = self._new_image()

    def _new_image(self) -> Image:
        units = {"active_power": "W", "reactive_power": "var", "voltage_l1": "V", "frequency": "Hz"}
        meter = Nameplate("pcc", tuple(Point(f"pcc.{name}", unit) for name, unit in units.items()))
        return Image([meter, *(machine.nameplate for machine in self.devices.values())])

    @property
    def now(self) -> Instant:
        return Instant(WALL0 + self.mono, 1_000.0 + self.mono)

    @property
    def pcc_w(self) -> float:
        return self.point.active_power_w

    def send(self, order: Activation | Cancellation, uplink: str) -> None:
        self.inbox.append(Received(uplink, self.now, order))

    def restart(self) -> None:
        """Killed and started again: only what the journal holds is known."""
        self.uncommitted.clear()
        # The head end repeats what was not answered.
        self.inbox = [replace(received, at=self.now) for received in (*self.unanswered, *self.inbox)]
        self.unanswered.clear()
        self.on_restart()
        self.state = resume(list(self.entries.values()), list(self.holds.values()))
        self.journaled = 0
        self.heard = {"dso": None, "market": None}
        self.image = self._new_image()

    def step(self) -> None:
        """One period: the physics, what is read of it, and the tick with what the journal makes of it."""
        daylight = self.daylight(self.mono)
        for _ in range(round(PERIOD_S / STEP_S)):
            self.load.step(STEP_S)
            for machine in self.devices.values():
                machine.step(daylight)
        self.mono += PERIOD_S
        sources = [machine.converter for machine in self.devices.values()]
        injections = [(source.active_power_w, source.reactive_power_var) for source in sources]
        injections.append((self.load.active_power_w, self.load.reactive_power_var))
        self.point = solve(GridParameters(), injections, frequency_hz=self.frequency_hz)
        self._read()
        self._tick()
        for _ in range(4):  # what was committed wakes the tick, which may have to commit again
            if not (self.journal_works and self.uncommitted):
                break
            self._commit()
            self._tick()

    def _read(self) -> None:
        now = self.now
        if self.dso_heard:
            self.heard = dict.fromkeys(self.heard, now.mono)
        if self.meter_online:
            wobble_hz = self.weather.wobble_hz and self.draw.gauss(0.0, self.weather.wobble_hz)
            told = {
                "active_power": self.point.active_power_w,
                "reactive_power": self.point.reactive_power_var,
                "voltage_l1": self.point.voltage_v / math.sqrt(3),
                "frequency": self.frequency_hz + wobble_hz,
            }
            self.image.emit([Measurement(f"pcc.{name}", value) for name, value in told.items()], now)
        else:
            self.image.offline(["pcc"], now)
        for machine in self.devices.values():
            if not machine.online:
                self.image.offline([machine.id], now)
            elif not machine.silent and self.mono % machine.poll_s == 0:
                self.image.emit(machine.readings(), now)

    def _tick(self) -> None:
        inputs = Inputs(self.image.snapshot(self.now), self.inbox, self.journaled, self.heard)
        self.unanswered += self.inbox
        self.inbox = []
        self.state, outcome = tick(self.plant, self.state, inputs)
        if outcome.durable:
            self.uncommitted.append(outcome)
        self.on_tick(outcome)
        for setpoint in outcome.setpoints:
            self.on_write(setpoint, outcome)
            self._write(setpoint)

    def _commit(self) -> None:
        for outcome in self.uncommitted:
            self.journaled = outcome.serial
            self.entries |= {(entry.id, entry.revision): entry for entry in outcome.entries}
            self.holds |= {hold.point: hold for hold in outcome.holds}
            for point in outcome.released:
                del self.holds[point]
            self.acks += [reply.ack for reply in outcome.replies]
        self.uncommitted.clear()
        self.unanswered.clear()

    def _write(self, setpoint: SetPoint) -> None:
        device, _, name = setpoint.point.partition(".")
        machine = self.devices[device]
        error = "not connected" if not machine.online else "exception 4" if machine.refuses else None
        if error is None:
            machine.registers[name] = setpoint.value
        readback = machine.registers[name] if error is None else None
        self.image.wrote(WriteResult(setpoint.point, setpoint.value, readback, error, self.now.mono), self.now)
