"""`dergate read`: what devices say now, read once with the daemon's own drivers."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import click

import drivers
from drivers.base import ConnectionLost, Driver, Emission
from gateway import clock
from gateway.commands.common import NOT_READ, load_or_exit, site_argument, table
from gateway.config import Site
from gateway.config.wording import suggest
from gateway.model import Instant, Measurement, Nameplate, Point, Quality
from gateway.uplink.messages.times import rfc3339


@click.command()
@site_argument
@click.argument("asked", metavar="DEVICE[.POINT]...", nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="Print {point: {value, unit, quality, time}}.")
@click.option(
    "--timeout", type=click.FloatRange(min=0.1), default=5.0, show_default=True, help="Seconds to wait for the devices."
)
def command(site_file: Path, asked: tuple[str, ...], as_json: bool, timeout: float) -> None:
    """
    Read devices or single points once.

    Ends with 3, and the reasons on stderr, when something that was asked for could not be read.

    \b
    Example:
      dergate read site.yaml inv1 pcc.active_power
    """
    site = load_or_exit(site_file)
    chosen = _devices(site, asked)
    lines = drivers.build([device for device in site.devices if device.id in chosen], revert_s=None)
    answers = asyncio.run(collect(lines, asked, timeout, clock.now))
    values = {point: reading for point in answers.points() for reading in [answers.readings.get(point)] if reading}
    if as_json:
        click.echo(json.dumps({point: _as_json(answers.unit(point), values[point]) for point in values}, indent=2))
    elif values:
        rows = [(point, *_as_text(answers.unit(point), values[point])) for point in values]
        click.echo(table([("point", "value", "unit", "quality", "time"), *rows]))
    missing = answers.missing(timeout)
    for reason in missing:
        click.echo(reason, err=True)
    sys.exit(NOT_READ if missing else 0)


def _devices(site: Site, asked: Iterable[str]) -> set[str]:
    known = [device.id for device in site.devices]
    chosen = {name.partition(".")[0] for name in asked}
    for device in sorted(chosen - set(known)):
        raise click.UsageError(f"there is no device {device!r} in this site; {suggest(device, known)}")
    return chosen


@dataclass(frozen=True, slots=True)
class Reading:
    """A measurement with the time that stands for it: the source's, else that of its arrival."""

    measurement: Measurement
    time: float


@dataclass(slots=True)
class Answers:
    """What was asked for, and what has come in; points keep the order in which they were asked for."""

    asked: tuple[str, ...]
    nameplates: dict[str, Nameplate] = field(default_factory=dict)
    readings: dict[str, Reading] = field(default_factory=dict)
    lost: dict[str, str] = field(default_factory=dict)

    def points(self) -> list[str]:
        """The points asked for, as far as they are known: a device stands for all of its readable points."""
        wanted: dict[str, None] = {}
        for name in self.asked:
            device, _, point = name.partition(".")
            wanted |= {name: None} if point else dict.fromkeys(self._readable(device))
        return list(wanted)

    def complete(self) -> bool:
        """Whether nothing more can come: each point has a value or a quality, or does not exist."""
        devices = {name.partition(".")[0] for name in self.asked}
        if not devices <= self.nameplates.keys():
            return False
        return all(point in self.readings or not self._exists(point) for point in self.points())

    def missing(self, timeout_s: float) -> list[str]:
        """One sentence for each point, or device, that could not be read."""
        names: dict[str, None] = {}
        for name in self.asked:
            points = [name] if "." in name else self._readable(name)
            names |= dict.fromkeys(points if any(point in self.readings for point in points) else [name])
        return [reason for name in names for reason in [self._reason(name, timeout_s)] if reason]

    def unit(self, point: str) -> str:
        known = self._point(point)
        return known.unit if known else ""

    def _reason(self, name: str, timeout_s: float) -> str | None:
        device = name.partition(".")[0]
        reading = self.readings.get(name)
        if reading is not None:
            quality = reading.measurement.quality
            return None if quality in {Quality.GOOD, Quality.UNCERTAIN} else f"{name}: the device's answer is {quality}"
        if device in self.nameplates and "." in name and not self._exists(name):
            known = [point.name for point in self.nameplates[device].points if point.readable]
            return f"{name}: the device has no such point; {suggest(name.partition('.')[2], known)}"
        if device in self.lost:
            return f"{name}: {self.lost[device]}"
        return f"{name}: no answer within {timeout_s:g} s"

    def _readable(self, device: str) -> list[str]:
        nameplate = self.nameplates.get(device)
        return [point.id for point in nameplate.points if point.readable] if nameplate else []

    def _exists(self, point: str) -> bool:
        known = self._point(point)
        return known is not None and known.readable

    def _point(self, point: str) -> Point | None:
        nameplate = self.nameplates.get(point.partition(".")[0])
        return next((known for known in nameplate.points if known.id == point), None) if nameplate else None


async def collect(
    lines: Sequence[Driver], asked: Sequence[str], timeout_s: float, now: Callable[[], Instant]
) -> Answers:
    """Run the drivers until everything asked for has come in, every line is lost, or *timeout_s* have passed."""
    answers = Answers(tuple(asked))
    done = asyncio.Event()

    def emit(items: Iterable[Emission]) -> None:
        for item in items:
            if isinstance(item, Nameplate):
                answers.nameplates[item.device] = item
            else:
                answers.readings[item.point] = Reading(item, now().wall if item.time is None else item.time)
        if answers.complete():
            done.set()

    async def read(line: Driver) -> None:
        try:
            await line.run(emit)
        except ConnectionLost as error:
            answers.lost |= {nameplate.device: str(error) for nameplate in line.nameplates}
        running.discard(line.name)
        if not running:
            done.set()

    running = {line.name for line in lines}
    async with asyncio.TaskGroup() as group:
        reads = [group.create_task(read(line), name=f"read {line.name}") for line in lines]
        with suppress(TimeoutError):  # what is missing is told from the answers
            async with asyncio.timeout(timeout_s):
                await done.wait()
        for task in reads:
            task.cancel()
    return answers


def _as_json(unit: str, reading: Reading) -> Mapping[str, object]:
    measurement = reading.measurement
    return {
        "value": measurement.value,
        "unit": unit,
        "quality": measurement.quality,
        "time": rfc3339(reading.time),
    }


def _as_text(unit: str, reading: Reading) -> tuple[str, str, str, str]:
    value = reading.measurement.value
    text = "-" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
    return text, unit, str(reading.measurement.quality), rfc3339(reading.time)
