"""What no single entry of a site file can know: whether its parts fit each other."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatchcase
from ipaddress import ip_address
from typing import Any

from drivers import AnyDevice
from gateway.config.document import Document
from gateway.config.faults import Fault, Steps, spell
from gateway.config.quantities import ADDRESS_PATTERN, parse_deadband
from gateway.config.wording import suggest

Devices = Mapping[int, AnyDevice]
"""The devices that are right by themselves, by their index in the file."""

_PATTERN = re.compile(r"[a-z0-9_*?.!\[\]-]+")


def check(document: Document, devices: Devices) -> Iterator[Fault]:
    """All faults between parts; parts that are missing or wrong in themselves are passed over."""
    for rule in _RULES:
        yield from rule(document, devices)


def ids(document: Document, section: str) -> dict[Steps, str]:
    """The ids of `devices` or `uplinks` by their place, also of entries that have other faults."""
    entries = document.get((section,))
    if not isinstance(entries, list):
        return {}
    return {
        (section, index, "id"): entry["id"]
        for index, entry in enumerate(entries)
        if isinstance(entry, dict) and isinstance(entry.get("id"), str)
    }


def _unique_ids(document: Document, _: Devices) -> Iterator[Fault]:
    for section in ("devices", "uplinks"):
        yield from _repeated(document, ids(document, section), lambda name: f"the id {name!r} is taken")


def _unique_units(document: Document, devices: Devices) -> Iterator[Fault]:
    lines: dict[Steps, Any] = {
        ("devices", index, "endpoint"): (device.address, device.unit) for index, device in devices.items()
    }
    told = {(device.address, device.unit): str(device.line).partition("://")[2] for device in devices.values()}
    yield from _repeated(document, lines, lambda line: f"unit {line[1]} at {told[line]} is taken")


def _lines_agree(document: Document, devices: Devices) -> Iterator[Fault]:
    """One connection has one speed and one certificate, whatever its devices say."""
    first: dict[Any, int] = {}
    for index, device in devices.items():
        owner = devices[first.setdefault(device.address, index)]
        for key, differs in (("endpoint", device.line != owner.line), ("tls", device.tls != owner.tls)):
            if differs:
                message = f"should be as for the device {owner.id!r} on the same line, found another"
                yield document.place(("devices", index, key)).fault(message)


def _answers_fit(document: Document, devices: Devices) -> Iterator[Fault]:
    for index, device in devices.items():
        longest = device.quirks.max_registers
        for number, point in enumerate(device.points):
            if (size := point.register_of(device.id).size) > longest:
                message = f"needs {size} registers in one answer, quirks.max_registers of {device.id!r} is {longest}"
                yield document.place(("devices", index, "points", number)).fault(message)


def _repeated(document: Document, values: Mapping[Steps, Any], message: Callable[[Any], str]) -> Iterator[Fault]:
    first: dict[Any, Steps] = {}
    for steps, value in values.items():
        if value in first:
            owner, line = spell(first[value][:2]), document.place(first[value]).line
            yield document.place(steps).fault(f"{message(value)} by {owner} in line {line}")
        first.setdefault(value, steps)


def _named_devices_exist(document: Document, _: Devices) -> Iterator[Fault]:
    known = list(ids(document, "devices").values())
    ders = document.get(("control", "ders"))
    named: list[Steps] = [("control", "pcc")]
    named += [("control", "ders", index) for index in range(len(ders) if isinstance(ders, list) else 0)]
    for steps in named:
        name = document.get(steps)
        if isinstance(name, str) and name not in known:
            yield document.place(steps).fault(f"there is no device {name!r}; {suggest(name, known)}")


def _der_entries_exist(document: Document, _: Devices) -> Iterator[Fault]:
    entries = document.get(("control", "der"))
    known = list(ids(document, "devices").values())
    for name in entries if isinstance(entries, dict) else ():
        if name not in known:
            place = document.key_place(("control", "der", name))
            yield place.fault(f"there is no device {name!r}; {suggest(str(name), known)}")


def _pcc_measures_power(document: Document, devices: Devices) -> Iterator[Fault]:
    pcc = document.get(("control", "pcc"))
    for device in devices.values():
        if device.id != pcc or device.sunspec:
            continue
        if not any(point.name == "active_power" and point.readable for point in device.points):
            message = f"the device {pcc!r} has no active_power that can be read, so it cannot close the loop"
            yield document.place(("control", "pcc")).fault(message)


def _report_patterns_match(document: Document, _: Devices) -> Iterator[Fault]:
    known = list(ids(document, "devices").values())
    patterns = document.get(("report", "points"))
    for pattern in patterns if isinstance(patterns, dict) else ():
        place = document.key_place(("report", "points", pattern))
        if not _PATTERN.fullmatch(pattern) or "." not in pattern:
            yield place.fault("should be a pattern of full point names, like 'inv1.*' or '*.energy_*'")
            continue
        device = pattern.partition(".")[0]
        if known and not any(fnmatchcase(name, device) for name in known):
            yield place.fault(f"matches no device; {suggest(device, known)}")


def _deadbands_fit(document: Document, devices: Devices) -> Iterator[Fault]:
    units = {f"{device.id}.{point.name}": point.unit for device in devices.values() for point in device.points}
    patterns = document.get(("report", "points"))
    for steps, pattern in [
        (("report", "default", "deadband"), "*"),
        *((("report", "points", name, "deadband"), name) for name in (patterns if isinstance(patterns, dict) else ())),
    ]:
        try:
            unit = parse_deadband(document.get(steps)).unit
        except ValueError:
            continue  # left out, or reported as what it is
        others = [point for point in units if fnmatchcase(point, pattern) and units[point] != unit]
        if unit not in {"", "%"} and others:
            message = f"is in {unit}, and would hold for {others[0]}, which is in {units[others[0]] or 'no unit'}"
            yield document.place(steps).fault(f"{message}; give a share like 0.5%, or name the points more narrowly")


def _api_stays_on_the_host(document: Document, _: Devices) -> Iterator[Fault]:
    """Whoever reaches the port reads the site: off the loopback that takes TLS and a token, and the API has neither."""
    steps = ("local", "http")
    address = document.get(steps)
    if not isinstance(address, str) or not re.fullmatch(ADDRESS_PATTERN, address):
        return  # left out, or reported as what it is
    host, port = address.rsplit(":", 1)
    if not 0 < int(port) < 2**16:
        yield document.place(steps).fault(f"should have a port between 1 and 65535, found {port}")
    if not _is_loopback(host.strip("[]")):
        message = f"{host} is off the loopback, where the API would need TLS and a token, which it does not have"
        yield document.place(steps).fault(f"{message}; use 127.0.0.1:{port}, and a tunnel to it from elsewhere")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False  # a name may lead anywhere


_RULES = (
    _unique_ids,
    _unique_units,
    _lines_agree,
    _answers_fit,
    _named_devices_exist,
    _der_entries_exist,
    _pcc_measures_power,
    _report_patterns_match,
    _deadbands_fit,
    _api_stays_on_the_host,
)
