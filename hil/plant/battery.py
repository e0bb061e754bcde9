"""A battery with its inverter: idle unless its charge or discharge rate is told otherwise."""

from __future__ import annotations

from dataclasses import dataclass, field

from hil.plant.converter import Band, Converter, ConverterParameters
from hil.plant.setting import Setting


@dataclass(frozen=True, slots=True, kw_only=True)
class BatteryParameters:
    """
    Ratings; state of charge as a fraction of the capacity, efficiencies one way.

    Charging power falls in a straight line to 0 between `charge_taper_from` and full; discharging power does so over
    the last `discharge_taper` above `soc_min`.
    """

    converter: ConverterParameters = field(
        default_factory=lambda: ConverterParameters(rated_w=30_000.0, rated_va=33_000.0)
    )
    capacity_wh: float = 60_000.0
    charge_efficiency: float = 0.95
    discharge_efficiency: float = 0.95
    soc_min: float = 0.05
    charge_taper_from: float = 0.9
    discharge_taper: float = 0.05


@dataclass(slots=True)
class Battery:
    """
    The state of a battery.

    `charge` and `discharge` bound the power in each direction, in % of the rated power (SunSpec 124: InWRte, OutWRte
    and the bits of StorCtl_Mod). A negative rate forces the opposite direction: discharge at most -40 % is charge at
    least 40 %. Where both are forced at once, charging wins.
    """

    parameters: BatteryParameters = field(default_factory=BatteryParameters)
    soc: float = 0.5
    charge: Setting = field(default_factory=lambda: Setting(100.0))
    discharge: Setting = field(default_factory=lambda: Setting(100.0))
    converter: Converter = field(init=False)

    def __post_init__(self) -> None:
        if not self.parameters.soc_min <= self.soc <= 1.0:
            raise ValueError(f"soc should be within {self.parameters.soc_min} to 1, found {self.soc}")
        self.converter = Converter(self.parameters.converter)

    @property
    def capacity_ws(self) -> float:
        return self.parameters.capacity_wh * 3600.0

    def step(self, dt_s: float) -> None:
        rated_w = self.parameters.converter.rated_w
        charge, discharge = self.charge.in_force, self.discharge.in_force
        band = Band(
            wish_w=0.0,
            at_least_w=-rated_w if charge is None else -charge / 100.0 * rated_w,
            at_most_w=rated_w if discharge is None else discharge / 100.0 * rated_w,
            floor_w=-self._charge_possible_w(dt_s),
            ceiling_w=self._discharge_possible_w(dt_s),
        )
        self.converter.step(band, dt_s)
        power_w = self.converter.active_power_w
        if power_w < 0:
            self.soc = min(self.soc - power_w * self.parameters.charge_efficiency * dt_s / self.capacity_ws, 1.0)
        else:
            drawn = power_w / self.parameters.discharge_efficiency * dt_s / self.capacity_ws
            self.soc = max(self.soc - drawn, self.parameters.soc_min)
        self.charge.step(dt_s)
        self.discharge.step(dt_s)

    def _charge_possible_w(self, dt_s: float) -> float:
        room = 1.0 - self.soc
        taper = min(room / (1.0 - self.parameters.charge_taper_from), 1.0)
        until_full_w = room * self.capacity_ws / (self.parameters.charge_efficiency * dt_s)
        return min(taper * self.parameters.converter.rated_w, until_full_w)

    def _discharge_possible_w(self, dt_s: float) -> float:
        rest = self.soc - self.parameters.soc_min
        taper = min(rest / self.parameters.discharge_taper, 1.0)
        until_empty_w = rest * self.capacity_ws * self.parameters.discharge_efficiency / dt_s
        return min(taper * self.parameters.converter.rated_w, until_empty_w)
