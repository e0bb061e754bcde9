"""
The grid side of an inverter, for PV and storage alike: how power follows its set-points.

Generator reference frame: positive power flows into the grid, positive reactive power is over-excited.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from hil.plant.setting import DeadTime, Ramp, Setting

_T90_PER_TAU = math.log(10)  # a first-order response has done 90 % of its way after ln(10) time constants


@dataclass(frozen=True, slots=True, kw_only=True)
class ConverterParameters:
    """Ratings and dynamics; after its dead time, a step has done 90 % of its way within `t90_s`."""

    rated_w: float
    rated_va: float
    dead_time_s: float = 0.3
    t90_s: float = 1.0
    reactive_t90_s: float = 1.0


@dataclass(frozen=True, slots=True)
class Band:
    """
    What is asked and what is possible, in W: each bound is kept; where two contradict, the later named one wins.

    `reactive_var` is what the device wishes by itself; a reactive set-point goes before it.
    """

    wish_w: float
    at_least_w: float
    at_most_w: float
    floor_w: float
    ceiling_w: float
    reactive_var: float = 0.0


@dataclass(frozen=True, slots=True)
class _Command:
    """What reaches the power stage after the dead time."""

    at_least_w: float
    at_most_w: float
    ramp_s: float
    reactive_var: float
    reactive_ramp_s: float
    connected: bool


@dataclass(slots=True)
class Converter:
    """
    The state of one converter, and its set-points as a master writes them.

    `limit` and `reactive` are in % of the rated power; `disconnect` opens the contactor while it is enabled. A change
    of a set-point acts after the dead time; what is physically possible (floor, ceiling) acts at once.
    """

    parameters: ConverterParameters
    limit: Setting = field(default_factory=lambda: Setting(100.0))
    reactive: Setting = field(default_factory=Setting)
    disconnect: Setting = field(default_factory=Setting)
    active_power_w: float = 0.0
    reactive_power_var: float = 0.0
    energy_out_wh: float = 0.0
    energy_in_wh: float = 0.0
    connected: bool = True
    curtailed: bool = False
    _dead_time: DeadTime[_Command] = field(init=False)
    _at_least: Ramp = field(init=False)
    _at_most: Ramp = field(init=False)
    _reactive: Ramp = field(init=False)

    def __post_init__(self) -> None:
        rated_w = self.parameters.rated_w
        self._dead_time = DeadTime(self.parameters.dead_time_s, _Command(-rated_w, rated_w, 0.0, 0.0, 0.0, True))
        self._at_least = Ramp(-rated_w, -rated_w)
        self._at_most = Ramp(rated_w, rated_w)
        self._reactive = Ramp(0.0, 0.0)

    def step(self, band: Band, dt_s: float) -> None:
        """Move the powers on by `dt_s`, then let the reversion timers run."""
        command = self._dead_time.step(self._command(band), dt_s)
        at_least_w = self._at_least.step(command.at_least_w, command.ramp_s, dt_s)
        at_most_w = self._at_most.step(command.at_most_w, command.ramp_s, dt_s)
        reactive_var = self._reactive.step(command.reactive_var, command.reactive_ramp_s, dt_s)
        self.connected = command.connected
        if command.connected:
            free_w = max(band.floor_w, min(band.ceiling_w, max(band.wish_w, at_least_w)))
            target_w = max(band.floor_w, min(free_w, at_most_w))
            self.curtailed = target_w < free_w
            self._follow(target_w, reactive_var, band, dt_s)
        else:
            self.active_power_w = self.reactive_power_var = 0.0
            self.curtailed = False
        energy_wh = self.active_power_w * dt_s / 3600.0
        self.energy_out_wh += max(energy_wh, 0.0)
        self.energy_in_wh += max(-energy_wh, 0.0)
        for setting in (self.limit, self.reactive, self.disconnect):
            setting.step(dt_s)

    def _command(self, band: Band) -> _Command:
        rated_w = self.parameters.rated_w
        limit, reactive = self.limit.in_force, self.reactive.in_force
        at_most_w = band.at_most_w if limit is None else min(band.at_most_w, limit / 100.0 * rated_w)
        return _Command(
            at_least_w=band.at_least_w,
            at_most_w=at_most_w,
            ramp_s=self.limit.ramp_s,
            reactive_var=band.reactive_var if reactive is None else reactive / 100.0 * rated_w,
            reactive_ramp_s=self.reactive.ramp_s,
            connected=self.disconnect.in_force is None,
        )

    def _follow(self, target_w: float, target_var: float, band: Band, dt_s: float) -> None:
        """Exact exponentials, so that the length of a step does not matter; active power goes before reactive power."""
        power_w = _approach(self.active_power_w, target_w, self.parameters.t90_s, dt_s)
        self.active_power_w = max(band.floor_w, min(power_w, band.ceiling_w))
        room_var = math.sqrt(max(self.parameters.rated_va**2 - self.active_power_w**2, 0.0))
        target_var = max(-room_var, min(target_var, room_var))
        power_var = _approach(self.reactive_power_var, target_var, self.parameters.reactive_t90_s, dt_s)
        self.reactive_power_var = max(-room_var, min(power_var, room_var))


def _approach(value: float, target: float, t90_s: float, dt_s: float) -> float:
    if t90_s == 0.0:
        return target
    return target + (value - target) * math.exp(-dt_s * _T90_PER_TAU / t90_s)
