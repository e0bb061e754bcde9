"""SunSpec register maps for tests, laid out by pysunspec2's model definitions, and a discovery run over them."""

from __future__ import annotations

import json
import struct
from collections.abc import Generator
from pathlib import Path
from typing import Any

import sunspec2

from drivers.modbus import sunspec

_FOLDER = Path(sunspec2.__file__).parent / "models" / "json"
_ABSENT = {"int16": 0x8000, "sunssf": 0x8000, "string": 0, "pad": 0x8000, "float32": 0x7FC00000}
_ABSENT |= {"int32": 1 << 31, "acc32": 0, "acc64": 0}
Map = dict[int, int]
"""Wire address of a holding register to its word."""


Place = tuple[int, str, int, str | None]


def layout(model: int, members: int = 1) -> dict[str, Place]:
    """
    Offset from the ID register, type, size in registers and scale factor of each point.

    A point of a group is called `<group>.<point>`, of a repeating one `<group><n>.<point>` from 1 to `members`.
    """
    found: dict[str, Place] = {}
    _lay(json.loads((_FOLDER / f"model_{model}.json").read_text())["group"], "", members, found)
    return found


def _lay(group: dict[str, Any], prefix: str, members: int, found: dict[str, Place]) -> None:
    for point in group.get("points", ()):
        last = next(reversed(found.values()), (0, "", 0, None))
        found[prefix + point["name"]] = (last[0] + last[2], point["type"], point["size"], point.get("sf"))
    for inner in group.get("groups", ()):
        for each in range(1, members + 1) if "count" in inner else (None,):
            _lay(inner, f"{prefix}{inner['name']}{each or ''}.", members, found)


def model(number: int, members: int = 1, **values: Any) -> list[int]:
    """A model's words, ID and length first; what is not given is not implemented."""
    words: list[int] = []
    places = layout(number, members)
    assert values.keys() <= places.keys()
    length = sum(size for _, _, size, _ in places.values()) - 2
    for name, (_, type_, size, _) in places.items():
        value = {"ID": number, "L": length}.get(name, values.get(name))
        if isinstance(value, str):
            data = value.encode().ljust(2 * size, b"\0")
        elif type_ == "float32" and value is not None:
            data = struct.pack(">f", value)
        else:
            absent = _ABSENT.get(type_, (1 << (16 * size)) - 1)
            data = ((absent if value is None else value) % (1 << (16 * size))).to_bytes(2 * size, "big")
        words += struct.unpack(f">{size}H", data)
    return words


def chain(*models: list[int], base: int = 40000, end: tuple[int, ...] = (0xFFFF, 0)) -> Map:
    words = [0x5375, 0x6E53, *(word for each in models for word in each), *end]
    return dict(enumerate(words, base))


def read(registers: Map, address: int, count: int) -> bytes | None:
    """As a device reads; None is a refusal."""
    words = [registers.get(at) for at in range(address, address + count)]
    return None if None in words else struct.pack(f">{count}H", *words)


def discover(registers: Map, **options: Any) -> sunspec.Found:
    found: sunspec.Found = run(sunspec.discover("d", **({"meter": False, "max_age": 3.0} | options)), registers)
    return found


def run(steps: Generator[tuple[int, int], bytes | None, Any], registers: Map, most: int = 125) -> Any:
    """What the steps return, over a device that gives at most so many registers an answer."""
    try:
        asked = next(steps)
        while True:
            assert asked[1] <= most
            asked = steps.send(read(registers, *asked))
    except StopIteration as done:
        return done.value
