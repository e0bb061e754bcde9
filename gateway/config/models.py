"""The site file as models. The descriptions are what an editor shows beside each key."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag

from drivers import AnyDevice
from drivers.config import Duration, Name, RatedPower, Section
from gateway.config.quantities import ADDRESS_PATTERN, Amount, Deadband, PowerLimit, RampRate, Size
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


class LimitValue(Section):
    """A limit that stands in for the lost order."""

    limit: PowerLimit = Field(description="Active power of the site at most: 50% of its rated power, or 30kW.")


def _form(given: object) -> str:
    return "word" if isinstance(given, str) else "value"


Hold = Literal["hold", "release"]
HoldOrLimit = Annotated[Annotated[Hold, Tag("word")] | Annotated[LimitValue, Tag("value")], Discriminator(_form)]


class Fallback(Section):
    """What the site does once something is lost for longer than the wait."""

    after: Duration = Field(description="How long the loss must last.")
    active_power: HoldOrLimit = Field(
        default="hold",
        description="hold the orders in force (default), release them, or keep a limit: {limit: 50%}.",
    )
    reactive_power: Hold = Field(default="hold", description="hold the orders in force (default), or release them.")


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
    ramp: RampLimits = Field(default=RampLimits(), description="How fast active power may move.")
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
