"""`dergate check`: is the site file right, what will reading cost, and what cannot work."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click
from pydantic import BaseModel

import drivers
from drivers import AnyDevice
from drivers.base import Driver, PlannedDevice
from gateway.commands.common import load_or_exit, refuse, site_argument, table
from gateway.config import Fault, Site, places
from gateway.control.capability import LIMIT, REACTIVE_SETPOINT, SETPOINT

LOAD_WARNING = 0.7
"""Above this share of the line, a repeated request or a write already makes values late."""
LOAD_MAX = 1.0
SETPOINTS = frozenset({LIMIT, SETPOINT, REACTIVE_SETPOINT})
PERIODS_MAX = 5
REVERT_POLLS_MIN = 4
"""Polls and ticks within a device's reversion time: two in half of it, so that one lost refresh is made up for."""
"""A meter that is read less often than every fifth tick makes the closed loop act on what has long passed."""


@click.command()
@site_argument
def command(site_file: Path) -> None:
    """
    Validate a site file; print what reading costs, and warn of what cannot work.

    Ends with 2, and one line a fault, when the file is wrong or a line would be loaded above 100 %.

    \b
    Example:
      dergate check site.yaml
    """
    site = load_or_exit(site_file)
    lines = drivers.build(site.devices, revert_s=None)
    click.echo(f"{site_file}: site {site.site.id}, {len(site.devices)} devices, {len(site.uplinks)} uplinks")
    click.echo()
    click.echo(plan_table(lines))
    overloaded = list(overloads(site, lines, site_file))
    for warning in [*line_warnings(lines), *warnings(site)]:
        click.echo(f"warning: {warning}")
    if overloaded:
        refuse(site_file, overloaded)


def plan_table(lines: Sequence[Driver]) -> str:
    """What is asked of each device, and how old its values get at worst."""
    rows = [("line", "device", "requests/s", "load", "worst age", "reads")]
    for driver in lines:
        for planned in driver.plan():
            rows += _plan_rows(driver.name, planned)
    return table(rows)


def _plan_rows(name: str, planned: PlannedDevice) -> Iterator[tuple[str, str, str, str, str, str]]:
    first, *others = planned.requests or ("",)
    figures = (f"{planned.requests_per_s:.1f}", f"{planned.load:.0%}", f"{planned.worst_age_s:.1f} s")
    yield (name, planned.device, *figures, first)
    for request in others:
        yield ("", "", "", "", "", request)


def load_of(line: Driver) -> float:
    """The share of one line in use, by all devices behind it."""
    return sum(planned.load for planned in line.plan())


def overloads(site: Site, lines: Sequence[Driver], site_file: Path) -> Iterator[Fault]:
    """Lines that cannot be read as often as asked, each at the device that takes most of it."""
    where = places(site_file)
    index = {device.id: number for number, device in enumerate(site.devices)}
    for line in lines:
        load = load_of(line)
        if load > LOAD_MAX:
            most = max(line.plan(), key=lambda planned: planned.load)
            message = f"{line.name} would be loaded to {load:.0%}, {most.device} alone to {most.load:.0%}"
            place = where.place(("devices", index[most.device], "poll"))
            yield place.fault(f"{message}; raise poll, or read fewer points")


def line_warnings(lines: Sequence[Driver]) -> Iterator[str]:
    for line in lines:
        load = load_of(line)
        if LOAD_WARNING < load <= LOAD_MAX:
            yield f"{line.name}: loaded to {load:.0%}; repeats and writes will make values late"


def warnings(site: Site) -> Iterator[str]:
    """What is allowed and yet cannot work, or not as one would think."""
    if not site.uplinks:
        yield "no uplink: nothing is reported, and no order can arrive"
    if site.control.pcc is None:
        yield "control.pcc is not set: orders for the target pcc cannot be followed"
    else:
        yield from _meter_warnings(site, site.device(site.control.pcc))
    if not site.ders:
        yield "no device follows set-points: orders cannot be followed"
    for device_id in site.ders:
        yield from _der_warnings(site.device(device_id))
    fallback = site.control.fallback
    if fallback.uplink_lost is None:
        yield "control.fallback.uplink_lost is not set: orders stay in force for as long as the DSO is not heard"
    if fallback.pcc_meter_lost is None and site.control.pcc is not None:
        yield "control.fallback.pcc_meter_lost is not set: without the meter the last set-points stay in force"
    if fallback.der_lost is None or fallback.der_lost.device_revert is None:
        yield "control.fallback.der_lost.device_revert is not set: devices keep a set-point when the gateway is gone"
    else:
        yield from _reversion_warnings(site, fallback.der_lost.device_revert)
    for number, uplink in enumerate(site.uplinks):
        for way, path in _files(uplink, f"uplinks[{number}]"):
            if not path.is_file():
                yield f"{way}: there is no file {path}"


def _reversion_warnings(site: Site, revert_s: float) -> Iterator[str]:
    """A set-point is refreshed at half its time; what is shorter than some polls ends between two refreshes."""
    for device_id in site.ders:
        needed_s = REVERT_POLLS_MIN * (site.device(device_id).poll + site.control.period)
        if revert_s < needed_s:
            yield (
                f"control.fallback.der_lost.device_revert: after {revert_s:g} s {device_id} would let go between two "
                f"refreshes; give it at least {needed_s:g} s"
            )
    lost = site.control.fallback.uplink_lost
    if lost is not None and revert_s > lost.after:
        yield (
            f"control.fallback.uplink_lost stands in after {lost.after:g} s, but with the gateway gone, too, devices "
            f"keep their set-points for {revert_s:g} s (der_lost.device_revert)"
        )


def _meter_warnings(site: Site, meter: AnyDevice) -> Iterator[str]:
    slowest = site.control.period * PERIODS_MAX
    polls = [meter.poll_of(point) for point in meter.points if point.name == "active_power"] or [meter.poll]
    if polls[0] > slowest:
        yield (
            f"{meter.id}: active_power is read every {polls[0]:g} s, the control loop runs every "
            f"{site.control.period:g} s; read it at least every {slowest:g} s"
        )


def _der_warnings(device: AnyDevice) -> Iterator[str]:
    if device.sunspec:
        return  # what can be written is known once the device has answered
    writable = [point for point in device.points if point.writable and point.name in SETPOINTS]
    if not writable:
        yield f"{device.id}: has no set-point that can be written, so it cannot follow orders"
    for point in writable:
        if point.unit == "%" and device.rated_power is None:
            yield f"{device.id}: {point.name} is in %, and rated_power, which that is of, is not set"


def _files(part: Any, way: str) -> Iterator[tuple[str, Path]]:
    if isinstance(part, Path):
        yield way, part
    elif isinstance(part, BaseModel):
        for name, value in part:
            yield from _files(value, f"{way}.{name}")
