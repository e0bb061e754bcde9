"""Device profiles: the points of a device type, kept as data beside the site files."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, FiniteFloat, TypeAdapter, ValidationError, model_validator

from drivers.config import Name, Role, Section
from drivers.modbus.config import Quirks
from drivers.modbus.points import ModbusPoint
from gateway.config import wording
from gateway.config.document import Document, read
from gateway.config.faults import Fault, SiteFaults

BUILT_IN = "sunspec"
"""Not a file: the device itself says which points it has."""


class Connection(Section):
    """How the device is reached as delivered: a hint for people and for a scan, never applied."""

    port: int | None = Field(default=None, ge=1, le=65535, description="Its TCP port.")
    unit: int | None = Field(default=None, ge=0, le=255, description="Its unit id.")
    baudrate: int | None = Field(default=None, gt=0, description="Its serial speed.")
    parity: Literal["N", "E", "O"] | None = Field(default=None, description="Its serial parity.")
    stopbits: Literal[1, 2] | None = Field(default=None, description="Its serial stop bits.")


class Mark(ModbusPoint):
    """A register by which a scan knows the device: its value, scaled, equals a number or lies in a range."""

    name: Name = Field(default="mark", description="Its name in the plan of a scan.")
    equals: FiniteFloat | None = Field(default=None, description="The value it has to have.")
    range: tuple[FiniteFloat, FiniteFloat] | None = Field(default=None, description="Lowest and highest value.")

    @property
    def bounds(self) -> tuple[float, float]:
        """Lowest and highest value that the device may have there, in the unit of the mark."""
        if self.range is not None:
            return self.range
        value = self.equals or 0.0
        return value, value

    @model_validator(mode="after")
    def _says_what_it_expects(self) -> Self:
        if (self.equals is None) == (self.range is None):
            found = "neither" if self.range is None else "both"
            raise ValueError(f"should have either equals or range, found {found}")
        if self.range is not None and self.range[0] > self.range[1]:
            raise ValueError(f"range should rise, found {self.range[0]:g} to {self.range[1]:g}")
        return self


class Profile(Section):
    """
    What is known of a device type; its points are checked as points of the devices that use it.

    One that extends `sunspec` adds to what the device says of itself.
    """

    vendor: str = Field(description="Who makes it.")
    model: str = Field(description="The vendor's name for it.")
    role: Role = Field(description="What it usually is.")
    source: str = Field(min_length=1, description="Where the addresses come from.")
    extends: Literal["sunspec"] | None = Field(default=None, description="What it adds to.")
    connection: Connection = Field(default=Connection(), description="How it is reached as delivered.")
    quirks: Quirks = Field(default=Quirks(), description="What it needs to be left in peace.")
    identify: list[Mark] = Field(default_factory=list, description="By what a scan knows it; all have to fit.")
    points: list[Any] = Field(min_length=1, description="Its points.")


_PROFILE = TypeAdapter(Profile)


def data_dir() -> Path:
    """The folder of profiles and examples: `gateway/data` where installed, `config/` in a checkout."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "data"
    return installed if installed.is_dir() else package.parent / "config"


def names() -> list[str]:
    """The profiles that a device can name, `sunspec` included."""
    return [BUILT_IN, *sorted(path.stem for path in (data_dir() / "profiles").glob("*.yaml"))]


def load(name: str) -> Profile:
    """
    A profile by its name, as a scan and a list of devices need it; `sunspec` is none.

    Raises:
        SiteFaults: It is broken.
    """
    document, faults = _load(name)
    if faults:
        raise SiteFaults(faults)
    return _PROFILE.validate_python(document.data)


def merge(site: Document) -> list[Fault]:
    """
    Put what each device's profile says behind its own: a point of its own overrides the profile's of the same name, a
    quirk of its own the profile's.

    Returns:
        Faults of unknown and broken profiles.
    """
    faults: list[Fault] = []
    known = names()
    loaded: dict[str, Document] = {}
    devices = site.get(("devices",))
    for index, device in enumerate(devices if isinstance(devices, list) else []):
        name = device.get("profile") if isinstance(device, dict) else None
        if not isinstance(name, str) or name == BUILT_IN:
            continue
        if name not in known:
            message = f"there is no profile {name!r}; {wording.suggest(name, known)}"
            faults.append(site.place(("devices", index, "profile")).fault(message))
            device["profile"] = BUILT_IN  # so that the points it would bring are not missed as well; here and below
            continue
        if name not in loaded:
            loaded[name], broken = _load(name)
            faults += broken
        if loaded[name].data is None:
            device["profile"] = BUILT_IN
        else:
            _add_points(site, index, device, loaded[name])
            _add_quirks(site, index, device, loaded[name])
            if loaded[name].data.get("extends"):
                device["profile"] = BUILT_IN
    return faults


def _load(name: str) -> tuple[Document, list[Fault]]:
    path = data_dir() / "profiles" / f"{name}.yaml"
    try:
        document = read(path, {})
    except SiteFaults as unreadable:
        return Document(str(path)), unreadable.faults
    try:
        _PROFILE.validate_python(document.data)
    except ValidationError as error:
        return Document(str(path)), [*document.faults, *wording.faults(error, document, _PROFILE.json_schema())]
    return document, document.faults


def _add_points(site: Document, index: int, device: dict[str, Any], profile: Document) -> None:
    own = device.get("points", [])
    if not isinstance(own, list):
        return  # reported as what it is when the device is validated
    overridden = {point.get("name") for point in own if isinstance(point, dict)}
    points = list(own)
    for number, point in enumerate(profile.data["points"]):
        if not isinstance(point, dict) or point.get("name") not in overridden:
            site.adopt(profile, ("points", number), ("devices", index, "points", len(points)))
            points.append(point)
    device["points"] = points


def _add_quirks(site: Document, index: int, device: dict[str, Any], profile: Document) -> None:
    own = device.get("quirks", {})
    theirs = profile.data.get("quirks", {})
    if not isinstance(own, dict) or not theirs:
        return
    for key in theirs.keys() - own.keys():
        site.adopt(profile, ("quirks", key), ("devices", index, "quirks", key))
    device["quirks"] = theirs | own
