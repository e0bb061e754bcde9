"""What stands in the registers of each device type and what the site has to see of it: `<profile>.yaml` beside this."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

import drivers
from drivers.base import Driver, Emission
from gateway.config import Site, load
from gateway.config.profiles import BUILT_IN, Profile, names
from gateway.config.profiles import load as load_profile
from gateway.model import Measurement, Quality
from hil.faces.modbus import MemoryRegisters, ModbusFace

FOLDER = Path(__file__).parent
PROFILES = sorted(set(names()) - {BUILT_IN})
"""All of them; what a device says of itself needs no file."""


@dataclass(frozen=True, slots=True)
class Written:
    """A set-point, the words that have to stand in the device after it, and those after it is taken out of force."""

    point: str
    value: float
    registers: dict[str, list[int]]
    released: dict[str, list[int]] | None = None


@dataclass(frozen=True, slots=True)
class Capture:
    """
    Words by the register they begin at (`input:52`), and the values in site units that they mean, by point.

    None is the value of a set-point that is not in force.
    """

    source: str
    registers: dict[str, list[int]]
    values: dict[str, float | str | None]
    written: tuple[Written, ...]


def names_of_captures() -> set[str]:
    return {path.stem for path in FOLDER.glob("*.yaml")}


@cache
def profile_of(name: str) -> Profile:
    return load_profile(name)


@cache
def capture(profile: str) -> Capture:
    data: dict[str, Any] = YAML(typ="safe", pure=True).load((FOLDER / f"{profile}.yaml").read_text(encoding="utf-8"))
    return Capture(
        source=data["source"],
        registers=data["registers"],
        values=data["values"],
        written=tuple(Written(**one) for one in data.get("written", ())),
    )


def memory(registers: dict[str, list[int]]) -> MemoryRegisters:
    """A device that holds just these; any other register does not exist in it."""
    spaces: dict[str, dict[int, int]] = {"holding": {}, "input": {}, "coil": {}, "discrete": {}}
    for at, words in registers.items():
        space, _, address = at.partition(":")
        spaces[space].update(enumerate(words, int(address)))
    return MemoryRegisters(**spaces)


def site_text(profiles: Iterable[str], port: int = 502) -> str:
    """A minimal site: one device a profile, each as unit of its own host; no pause that a test would wait for."""
    lines = ["site: {id: park, rated_power: 1MW}", "devices:"]
    for index, name in enumerate(profiles):
        lines += [
            f"  - id: d{index}",
            "    driver: modbus",
            f"    endpoint: tcp://127.0.0.{index + 1}:{port}",
            f"    profile: {name}",
            f"    role: {profile_of(name).role}",
            "    rated_power: 50kW",
            "    quirks: {pause_after_connect: 0s}",
        ]
    return "\n".join(lines) + "\n"


def site(folder: Path, profiles: Iterable[str], port: int = 502) -> Site:
    path = folder / "site.yaml"
    path.write_text(site_text(profiles, port), encoding="utf-8")
    return load(path, {})


class Image:
    """The latest measurement of each point, by its name in the device."""

    def __init__(self) -> None:
        self._latest: dict[str, Measurement] = {}
        self._changed = asyncio.Event()

    def emit(self, emissions: Iterable[Emission]) -> None:
        self._latest |= {each.point.partition(".")[2]: each for each in emissions if isinstance(each, Measurement)}
        self._changed.set()

    def good(self) -> dict[str, Any]:
        return {name: each.value for name, each in self._latest.items() if each.quality is Quality.GOOD}

    async def has(self, points: Collection[str], within_s: float) -> None:
        """Wait until all of the points are good; at the end of the time return, too: the test tells what is missing."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while not set(points) <= self.good().keys():
                    self._changed.clear()
                    await self._changed.wait()


@asynccontextmanager
async def device(folder: Path, profile: str) -> AsyncIterator[tuple[Driver, Image, MemoryRegisters]]:
    """The real driver of a site with this one device, run against the registers of the capture behind a face."""
    registers, image = memory(capture(profile).registers), Image()
    async with ModbusFace({1: registers}) as face:
        (driver,) = drivers.build(site(folder, [profile], face.port).devices, revert_s=None)
        run = asyncio.create_task(driver.run(image.emit), name=profile)
        try:
            yield driver, image, registers
        finally:
            run.cancel()
            await asyncio.gather(run, return_exceptions=True)
