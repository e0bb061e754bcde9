"""Device profiles: the points of a device type, kept as data beside the site files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, TypeAdapter, ValidationError

from drivers.config import Role, Section
from gateway.config import wording
from gateway.config.document import Document, read
from gateway.config.faults import Fault, SiteFaults

BUILT_IN = "sunspec"
"""Not a file: the device itself says which points it has."""


class Profile(Section):
    """What is known of a device type; its points are checked as points of the devices that use it."""

    vendor: str = Field(description="Who makes it.")
    model: str = Field(description="The vendor's name for it.")
    role: Role = Field(description="What it usually is.")
    source: str = Field(description="Where the addresses come from.")
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


def merge(site: Document) -> list[Fault]:
    """
    Put the points of each device's profile behind its own; a point of its own overrides the profile's of the same name.

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
