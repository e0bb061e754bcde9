"""The site file as models. The descriptions are what an editor shows beside each key."""

from __future__ import annotations

from fnmatch import fnmatchcase
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag, ValidationInfo, field_validator

from drivers import AnyDevice
from drivers.config import Duration, Name, RatedPower, Section
from gateway.config.quantities import (
    ADDRESS_PATTERN,
    Amount,
    ApparentPower,
    Deadband,
    PowerLimit,
    PowerValue,
    RampRate,
    Share,
    Size,
    Volts,
)
from gateway.control.pq import Corner, PqCapability
from gateway.uplink.config import MqttConfig

DER_ROLES = frozenset({"pv", "battery", "generator"})
"""Devices that follow set-points when `control.ders` names none."""

AnyUplink = MqttConfig
"""One member a kind of uplink; told apart by `type`."""

SiteId = Annotated[str, Field(pattern=r"^[a-z0-9-]{1,63}$")]
Address = Annotated[str, Field(pattern=ADDRESS_PATTERN, examples=["127.0.0.1:8080"])]


class SiteIdentity(Section):
    """Which site this is."""

    id: SiteId = Field(description="Name of the site in topics and messages: 1 to 63 of a-z, 0-9 and -.")
    name: str = Field(default="", description="The site's name for people.")
    rated_power: RatedPower = Field(
        description="Agreed capacity at the point of common coupling: what % means for the targets pcc and plant."
    )


class RampLimits(Section):
    """How fast active power may move, as % of the site's rated power or in W, per s, min or h."""

    up: RampRate = Field(default=None, description="Towards more infeed: unlimited (default), 10%/min, 500W/s.")
    down: RampRate = Field(default=None, description="Towards less infeed: unlimited (default), 10%/min, 500W/s.")


class SiteRamp(RampLimits):
    """How fast active power of the site may move; orders may bring a ramp of their own."""

    emergency: RampLimits | None = Field(
        default=None, description="For orders of the kind emergency, like {down: unlimited, up: 10%/min}."
    )
    release: RampRate = Field(
        default=None, description="Upwards, after a limit has ended: unlimited (default) gives it back at once."
    )
    reconnect: RampRate = Field(
        default=None, description="Upwards, after a disconnection: unlimited (default), 10%/min."
    )


class LimitValue(Section):
    """A limit that stands in for the lost order."""

    limit: PowerLimit = Field(description="Active power of the site at most: 50% of its rated power, or 30kW.")


class StandIn(Section):
    """A value that stands in for the lost order."""

    value: PowerValue = Field(description="Of the site, exactly: 0%, -30kW; 10kvar for reactive power.")
    ramp: RampRate = Field(default=None, description="How fast it is reached: unlimited (default), 10%/min.")


def _form(given: object) -> str:
    if isinstance(given, str):
        return "word"
    return "value" if isinstance(given, StandIn) or (isinstance(given, dict) and "value" in given) else "limit"


Words = Literal["hold", "release", "disconnect"]
ActiveFallback = Annotated[
    Annotated[Words, Tag("word")] | Annotated[LimitValue, Tag("limit")] | Annotated[StandIn, Tag("value")],
    Discriminator(_form),
]
ReactiveFallback = Annotated[
    Annotated[Literal["hold", "release"], Tag("word")] | Annotated[StandIn, Tag("value")],
    Discriminator(lambda given: "word" if isinstance(given, str) else "value"),
]


class Fallback(Section):
    """What the site does once something is lost for longer than the wait."""

    after: Duration = Field(description="How long the loss must last.")
    active_power: ActiveFallback = Field(
        default="hold",
        description="hold the orders in force (default), release them, keep a limit {limit: 50%}, go to a value "
        "{value: 0%, ramp: 10%/min}, or disconnect the devices.",
    )
    reactive_power: ReactiveFallback = Field(
        default="hold", description="hold the orders in force (default), release them, or go to a value {value: 0%}."
    )


class DerLost(Section):
    """What a device does on its own when the gateway is gone, and when the gateway counts a device as lost."""

    after: Duration = Field(description="How long a device must be silent to count as lost.")
    device_revert: Duration | None = Field(
        default=None,
        description="Time after which the device itself lets go of a set-point that nobody refreshes, where it can.",
    )


class Fallbacks(Section):
    """What happens when a part is lost. Without an entry, orders in force are held."""

    uplink_lost: Fallback | None = Field(default=None, description="The DSO is not heard any more.")
    pcc_meter_lost: Fallback | None = Field(default=None, description="The meter that closes the loop is lost.")
    der_lost: DerLost | None = Field(default=None, description="A controlled device is lost.")
    clock_lost: Fallback | None = Field(default=None, description="The clock of this computer is not synchronised.")


Shape = Annotated[
    Annotated[Literal["circle", "d"], Tag("word")] | Annotated[tuple[Corner, ...], Tag("corners")],
    Discriminator(lambda given: "word" if isinstance(given, str) else "corners"),
]


class Capability(Section):
    """Where a device can be in the plane of active and reactive power."""

    rated_apparent_power: ApparentPower = Field(description="Apparent power it never exceeds, like 66kVA.")
    shape: Shape = Field(
        default="circle",
        description="circle: only the apparent power limits (default); d: it gives active power only, and q_max holds; "
        "or corners [[P, least Q, most Q], ...] in per unit, P rising.",
    )
    q_max: Share = Field(default="100%", validate_default=True, description="Of the apparent power, for shape d.")
    q_at_night: bool = Field(default=True, description="Whether it gives reactive power without active power.")

    @field_validator("shape", mode="after")
    @classmethod
    def _drawable(cls, shape: Shape) -> Shape:
        if isinstance(shape, tuple):
            PqCapability(rated_w=1.0, rated_va=1.0, shape=shape)  # says what is wrong with its corners
        return shape


class DerControl(Section):
    """How one device takes part in control."""

    merit: float = Field(default=0.0, description="The lower, the sooner it is used; for allocation: merit.")
    steps: tuple[Share, ...] | None = Field(
        default=None, min_length=2, description="The only limits it knows, rising, like [0%, 30%, 60%, 100%]."
    )
    min_power: Share = Field(default="0%", validate_default=True, description="Below this it can only be off.")
    ramp: RampLimits = Field(default=RampLimits(), description="How fast it may be moved, % of its own rated power.")
    dead_time: Duration = Field(
        default="500ms", validate_default=True, description="From a write until its power moves. Default 500ms."
    )
    capability: Capability | None = Field(default=None, description="Its active and reactive power together.")
    priority: Literal["reactive", "active", "power_factor"] = Field(
        default="reactive",
        description="What is kept where it cannot give both: reactive (default), active power, or their ratio.",
    )
    soc_min: Share = Field(default="0%", validate_default=True, description="State of charge to which it is used.")
    soc_max: Share = Field(default="100%", validate_default=True, description="State of charge to which it is charged.")

    @field_validator("steps", mode="after")
    @classmethod
    def _rising(cls, steps: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if steps is not None and any(lower >= upper for lower, upper in pairwise(steps)):
            raise ValueError("should rise, like [0%, 30%, 60%, 100%]")
        return steps

    @field_validator("soc_max", mode="after")
    @classmethod
    def _above_the_floor(cls, soc_max: float, info: ValidationInfo) -> float:
        if soc_max <= info.data.get("soc_min", 0.0):
            raise ValueError("should be above soc_min")
        return soc_max


def _sensible_period(seconds: float) -> float:
    # Below, a Raspberry Pi spends its time on ticks alone; above, no order takes effect in time.
    if not 0.05 <= seconds <= 60:
        raise ValueError("should be between 50ms and 60s")
    return seconds


class Control(Section):
    """How orders reach the devices."""

    pcc: Name | None = Field(default=None, description="Id of the meter at the point of common coupling.")
    ders: tuple[Name, ...] | None = Field(
        default=None, description="Ids of the devices that follow set-points. Default: each pv, battery and generator."
    )
    period: Annotated[Duration, AfterValidator(_sensible_period)] = Field(
        default="200ms", validate_default=True, description="Period of the control loop, 50ms to 60s. Default 200ms."
    )
    ramp: SiteRamp = Field(default=SiteRamp(), description="How fast active power may move.")
    allocation: Literal["proportional", "merit", "soc"] = Field(
        default="proportional",
        description="How a total is shared: proportional to the ratings (default), in the order of merit, or so that "
        "states of charge meet.",
    )
    der: dict[Name, DerControl] = Field(default={}, description="How single devices take part, by their id.")
    nominal_voltage: Volts = Field(
        default="230V", validate_default=True, description="Between phase and neutral at the PCC. Default 230V."
    )
    nominal_frequency: Literal[50, 60] = Field(default=50, description="Hz: 50 (default) or 60.")
    fallback: Fallbacks = Field(default=Fallbacks(), description="What happens when a part is lost.")


class PointRule(Section):
    """When the points that match are reported; what is left out is taken from the rules before, then the default."""

    deadband: Deadband | None = Field(
        default=None,
        description="Report a change greater than this: 0.5% of the rated power or the nominal, 100W, or a number.",
    )
    min_interval: Duration | None = Field(default=None, description="At most one report of a point in this time.")
    max_interval: Duration | None = Field(default=None, description="At least one report of a point in this time.")


class ReportRule(Section):
    """When a point is reported: it left its deadband, its quality changed, or max_interval passed."""

    deadband: Deadband = Field(
        default="0.5%",
        validate_default=True,
        description="Report a change greater than this: 0.5% (default) of the rated power or the nominal, or a number.",
    )
    min_interval: Duration = Field(
        default="1s", validate_default=True, description="At most one report of a point in this time. Default 1s."
    )
    max_interval: Duration = Field(
        default="60s", validate_default=True, description="At least one report of a point in this time. Default 60s."
    )


class Report(Section):
    """Which measurements leave the site."""

    default: ReportRule = Field(default=ReportRule(), description="The rule for every point.")
    points: dict[str, PointRule] = Field(
        default={},
        description="Other rules by pattern of the full point name, like '*.energy_*'. A later match overrides.",
    )

    def rule(self, point: str) -> ReportRule:
        """The rule for one point, by its full name `<device id>.<point>`."""
        overrides: dict[str, object] = {}
        for pattern, rule in self.points.items():
            if fnmatchcase(point, pattern):
                overrides |= {key: value for key, value in rule if value is not None}
        return self.default.model_copy(update=overrides)


class Local(Section):
    """What the gateway offers on the spot."""

    http: Address | None = Field(
        default=None, description="Address of the web page and API, like 127.0.0.1:8080; null (default): none."
    )


class Buffer(Section):
    """How much is kept while the DSO cannot be reached."""

    max_size: Size = Field(default="2GB", validate_default=True, description="Size of the store at most. Default 2GB.")
    max_age: Duration = Field(default="90d", validate_default=True, description="Age of a record at most. Default 90d.")
    commit_interval: Duration = Field(
        default="1s", validate_default=True, description="A power cut loses at most this much. Default 1s."
    )
    on_full: Literal["thin"] = Field(
        default="thin", description="thin: old records become 1-min means before anything is dropped."
    )


class Site(Section):
    """The site file of dergate: one site, its devices, and who may order."""

    site: SiteIdentity = Field(description="Which site this is.")
    state_dir: Path = Field(
        default=Path("state"), description="Folder of the store. Default: $STATE_DIRECTORY, else ./state."
    )
    devices: tuple[AnyDevice, ...] = Field(min_length=1, description="The devices of the site.")
    control: Control = Field(default=Control(), description="How orders reach the devices.")
    report: Report = Field(default=Report(), description="Which measurements leave the site.")
    uplinks: tuple[AnyUplink, ...] = Field(default=(), description="Where measurements go and orders come from.")
    local: Local = Field(default=Local(), description="What the gateway offers on the spot.")
    buffer: Buffer = Field(default=Buffer(), description="How much is kept while the DSO cannot be reached.")

    @property
    def ders(self) -> tuple[str, ...]:
        """Ids of the devices that follow set-points."""
        if self.control.ders is not None:
            return self.control.ders
        return tuple(device.id for device in self.devices if device.role in DER_ROLES)

    def device(self, device_id: str) -> AnyDevice:
        """
        One device by its id.

        Raises:
            KeyError: There is none.
        """
        for device in self.devices:
            if device.id == device_id:
                return device
        raise KeyError(device_id)


__all__ = ["DER_ROLES", "Amount", "AnyUplink", "Site"]
