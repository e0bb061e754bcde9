"""Site file to `Site`: every fault at once, or none."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from drivers import AnyDevice
from gateway.config import checks, profiles, wording
from gateway.config.document import Document, read
from gateway.config.faults import Fault, SiteFaults
from gateway.config.models import Site

_DEVICE: TypeAdapter[AnyDevice] = TypeAdapter(AnyDevice)


def load(path: Path, environment: Mapping[str, str] = os.environ) -> Site:
    """
    Read, expand, merge profiles, validate and cross-check one site file.

    Args:
        path: The file. Relative paths in it are taken from its folder.
        environment: What `${NAME}` stands for, and where `STATE_DIRECTORY` is looked up.

    Raises:
        SiteFaults: With every fault of the file and of the profiles it names, sorted by position.
    """
    document = read(path, environment)
    if not isinstance(document.data, dict):
        found = "is empty" if document.data is None else "should be a mapping of keys to values"
        place = document.place(())
        faults = document.faults or [place.fault(f"{found}; a site file starts with 'site:'")]
        raise SiteFaults(faults)
    if "state_dir" not in document.data and environment.get("STATE_DIRECTORY"):
        document.data["state_dir"] = environment["STATE_DIRECTORY"].partition(":")[0]  # systemd may list several
    unknown_profiles = profiles.merge(document)
    site, invalid = _validate(document)
    mismatches = checks.check(document, dict(_sound_devices(document)))
    faults = _first_stage_at_each_place(document.faults, unknown_profiles, invalid, mismatches)
    if site is None or faults:
        raise SiteFaults(faults)
    resolved: Site = _resolved(site, path.resolve().parent)
    return resolved


def schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of the whole site file, for editors."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **_without_false_defaults(Site.model_json_schema()),
        "title": "dergate site file",
    }


def configuration_hash(site: Site) -> str:
    """Names a configuration: the same for the same content, however it is written."""
    content = json.dumps(site.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(content.encode()).hexdigest()


def _first_stage_at_each_place(*stages: Iterable[Fault]) -> list[Fault]:
    """What is wrong for an early stage usually looks wrong to the later ones, too: that is said once."""
    faults: dict[tuple[str, int, int], list[Fault]] = {}
    for stage in stages:
        found: dict[tuple[str, int, int], list[Fault]] = {}
        for fault in stage:
            found.setdefault((fault.path, fault.line, fault.column), []).append(fault)
        faults = found | faults
    return [fault for same_place in faults.values() for fault in same_place]


def _validate(document: Document) -> tuple[Site | None, list[Fault]]:
    try:
        return Site.model_validate(document.data), []
    except ValidationError as error:
        return None, list(wording.faults(error, document, schema()))


def _sound_devices(document: Document) -> Iterator[tuple[int, AnyDevice]]:
    devices = document.get(("devices",))
    for index, device in enumerate(devices if isinstance(devices, list) else ()):
        try:
            yield index, _DEVICE.validate_python(device)
        except ValidationError:
            continue  # already reported with the whole file


def _resolved(part: Any, base: Path) -> Any:
    """The same with every relative path taken from *base*."""
    if isinstance(part, Path):
        return base / part
    if isinstance(part, tuple):
        return tuple(_resolved(item, base) for item in part)
    if isinstance(part, BaseModel):
        changed = {name: new for name, old in part if (new := _resolved(old, base)) is not old}
        return part.model_copy(update=changed) if changed else part
    return part


def _without_false_defaults(node: Any) -> Any:
    """A duration is text in the file and a number inside: a default that is not text would mislead an editor."""
    if isinstance(node, list):
        return [_without_false_defaults(item) for item in node]
    if not isinstance(node, dict):
        return node
    false = node.get("type") == "string" and "pattern" in node and not isinstance(node.get("default", ""), str)
    return {key: _without_false_defaults(value) for key, value in node.items() if not (false and key == "default")}
