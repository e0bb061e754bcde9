"""
SunSpec: from a device's registers to its points, readings and set-points. Pure: whoever runs a discovery does the I/O.

The map begins with `SunS` at one of three addresses; models follow each other, each with its ID and the length of what
comes after; the ID 0xFFFF ends them. Offsets of later models are never assumed, only walked to. Where a device has
models of both generations, those from 701 on win, quantity by quantity.
"""

from __future__ import annotations

import struct
from collections.abc import Container, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass

from drivers.modbus import sunspec_models as models
from drivers.modbus import sunspec_setpoints as setpoints
from drivers.modbus.pdu import MAX_READ_REGISTERS
from drivers.modbus.plan import Block
from drivers.modbus.sunspec_control import Authority, Control
from drivers.modbus.sunspec_delegates import NAMES, Delegate, delegates
from drivers.modbus.sunspec_fields import Counter, Field, reader, size_of, text_of, value_of
from drivers.modbus.sunspec_pieces import whole, widest
from drivers.modbus.sunspec_walk import BASES, Ask, MapError, MapMovedError, Model, walk
from gateway.model import Measurement, Nameplate, Point, Quality

_DESCRIBING = (1, 120, 121, 702)
"""Read once, for the nameplate."""
_STANDING_ALONE = {701, 713, 802, 124, *models.INVERTERS, *models.METERS}
"""The models that are a device; the others only say more of one."""
WRITTEN = (*setpoints.REGISTERS, *NAMES)
"""The models with something to be written, in the order of their rank."""
_REMOTE, _LOCAL = 715, 1

Steps = Generator[Ask, bytes | None, "Found"]
"""Yields what to read; is sent the bytes, or None when the device refuses the address."""


@dataclass(frozen=True, slots=True)
class Found:
    """
    A device as its own map describes it; `controls` by full point id, with the block that reads them back.

    `slow` are the blocks to read every `TRIPS_POLL_S` only. `heartbeats` are what a controller counts up every second,
    `watched` the blocks with what the device itself counts up. `models` are those that are read, `left_out` says which
    are not, and why.
    """

    nameplate: Nameplate
    blocks: tuple[Block, ...]
    controls: Mapping[str, tuple[Control | Delegate, Block]]
    authority: Authority
    slow: tuple[Block, ...]
    heartbeats: tuple[Counter, ...]
    watched: Mapping[Block, Field]
    models: tuple[Model, ...]
    left_out: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Part:
    """What is read of one model, again and again."""

    model: Model
    fields: tuple[Field, ...]
    written: tuple[Control | Delegate, ...]

    @property
    def registers(self) -> int:
        """From the ID register to the end of all that is read."""
        ends = [each.end for each in self.fields]
        if self.model.id in models.HEARTBEATS:
            ends.append(min(models.HEARTBEATS[self.model.id].device.end, self.model.registers))
        ends += [
            setpoints.REGISTERS[self.model.id] if isinstance(each, Control) else each.registers for each in self.written
        ]
        return max(ends)


def discover(
    device: str,
    *,
    meter: bool,
    max_age: float,
    without: Container[str] = (),
    longest: int = MAX_READ_REGISTERS,
) -> Steps:
    """
    Find the map, walk it, and read what a device says of itself.

    A point that is not implemented is left out, unless the device gives no power now: asleep, it gives nothing at all,
    and wakes up with more. Counters stay, as theirs at 0 cannot be told from one that is not implemented.

    Args:
        device: The device id that its points begin with.

        meter: Whether a meter's model comes before an inverter's, where a unit has both.

        max_age: Age in seconds from which its values are stale.

        without: Names of points that come from elsewhere.

        longest: Registers that the device gives in one answer; a model with a longer value is left out.

    Raises:
        MapError: From the generator; what was found instead of a map.
        MapMovedError: From the generator; a model moved while it was read.
    """
    listed = yield from walk(longest)
    chain = [model for model in listed if widest(model) <= longest]
    left_out = tuple(_left_out(model, longest) for model in listed if model not in chain)
    first = {model.id: model for model in reversed(chain)}
    readings = _readings(chain, meter=meter)
    if not _STANDING_ALONE & readings.keys():
        numbers = ", ".join(str(model.id) for model in listed)
        wanted = "no model with readings (101-103, 111-113, 201-204, 211-214, 701, 713, 802, 124)"
        raise MapError("; ".join((f"{wanted} in: {numbers}", *left_out)))
    content: dict[int, bytes] = {}
    for number in dict.fromkeys((*_DESCRIBING, *readings, *WRITTEN)):
        if number in first:
            count = min(first[number].registers, MAX_READ_REGISTERS)
            content[number] = (yield from whole(first[number], 0, count, longest)) or b""

    ratings = setpoints.Ratings.read(content)
    authority = Authority()
    offered = _controls(device, content, ratings, authority, without)
    parts = [
        _Part(first[number], fields, offered.get(number, ()))
        for number, fields in _fields(first, readings, content, without).items()
        if fields or number in offered or _counts(number, content)
    ]
    blocks = [_block(device, part, authority) for part in parts]
    numbered = {part.model.id: block for part, block in zip(parts, blocks, strict=True)}
    if _REMOTE in content:
        _heed(authority, content[_REMOTE])
    common = content.get(1, b"")
    nameplate = Nameplate(
        device,
        tuple(point for part in parts for point in _points(device, part, max_age)),
        rated_power_w=ratings.power_w,
        rated_reactive_power_var=ratings.rated_reactive_var,
        rated_energy_wh=ratings.energy_wh,
        manufacturer=text_of(common[4:36]),
        model=text_of(common[36:68]),
        serial=text_of(common[100:132]),
    )
    return Found(
        nameplate,
        tuple(block for number, block in numbered.items() if number not in models.TRIPS),
        {each.point: (each, block) for part, block in zip(parts, blocks, strict=True) for each in part.written},
        authority,
        tuple(block for number, block in numbered.items() if number in models.TRIPS),
        tuple(_heartbeats(first, content)),
        {numbered[number]: each.device for number, each in models.HEARTBEATS.items() if _counts(number, content)},
        tuple(part.model for part in parts),
        left_out,
    )


def _left_out(model: Model, longest: int) -> str:
    return (
        f"SunSpec model {model.id} at {model.address} is left out: it has values of {widest(model)} registers, and the "
        f"device gives {longest} an answer (quirks.max_registers), which would tear them apart"
    )


def _counts(number: int, content: Mapping[int, bytes]) -> bool:
    """Whether this model has a heartbeat of the device."""
    beats = models.HEARTBEATS.get(number)
    return beats is not None and value_of(beats.device, content.get(number, b"")) is not None


def _heartbeats(first: Mapping[int, Model], content: Mapping[int, bytes]) -> Iterator[Counter]:
    for number, beats in models.HEARTBEATS.items():
        if value_of(beats.controller, content.get(number, b"")) is not None:
            name, _, offset, kind, *_ = beats.controller
            yield Counter(name, first[number].address + offset, size_of(kind))


def _readings(chain: Sequence[Model], *, meter: bool) -> dict[int, tuple[Field, ...]]:
    """The models to read, by rank. Of those for one phase up to three, integer or float, a device needs one."""
    present = [model.id for model in chain]

    def one_of(table: Mapping[int, tuple[Field, ...]]) -> dict[int, tuple[Field, ...]]:
        return {number: table[number] for number in [each for each in present if each in table][:1]}

    def all_of(table: Mapping[int, tuple[Field, ...]]) -> dict[int, tuple[Field, ...]]:
        return {number: fields for number, fields in table.items() if number in present}

    own, inverter = one_of(models.METERS), all_of(models.DER_AC) | one_of(models.INVERTERS)
    if own and (meter or not inverter):
        return own | all_of(models.DER) | all_of(models.FURTHER) | all_of(models.TRIPS)
    return all_of(models.DER_AC) | all_of(models.DER) | inverter | all_of(models.FURTHER) | all_of(models.TRIPS)


def _fields(
    first: Mapping[int, Model],
    readings: Mapping[int, tuple[Field, ...]],
    content: Mapping[int, bytes],
    without: Container[str],
) -> dict[int, tuple[Field, ...]]:
    """What to read of each model, those with set-points last: each name once, from the first model that gives it."""
    asleep = _gives_no_power(readings, content)
    taken: set[str] = set()
    chosen: dict[int, tuple[Field, ...]] = {}
    for number, own in readings.items():
        data = content[number]
        fields = own
        if number in models.GROUPS:
            group = models.GROUPS[number]
            members = range(1, group.members(data) + 1)
            fields += tuple(field for member in members for field in group.fields(member))
        longest = min(first[number].registers, MAX_READ_REGISTERS)  # never without the header and the scale factors
        chosen[number] = tuple(
            each
            for each in fields
            if each.end <= longest
            and each.name not in taken
            and each.name not in without
            and (each.counts or asleep or not data or value_of(each, data) is not None)
        )
        taken |= {each.name for each in chosen[number]}
    return chosen | {number: () for number in WRITTEN if number in first and number not in chosen}


def _gives_no_power(readings: Mapping[int, tuple[Field, ...]], content: Mapping[int, bytes]) -> bool:
    powers = [
        value_of(each, content[number])
        for number, fields in readings.items()
        for each in fields
        if each.name == "active_power"
    ]
    return bool(powers) and all(power is None for power in powers)


def _controls(
    device: str, content: Mapping[int, bytes], ratings: setpoints.Ratings, authority: Authority, without: Container[str]
) -> dict[int, tuple[Control | Delegate, ...]]:
    """By model; each point once, from the first model that offers it."""
    taken: set[str] = set()
    offered: dict[int, tuple[Control | Delegate, ...]] = {}
    for number in WRITTEN:
        data = content.get(number, b"")
        found: list[Control | Delegate] = [*setpoints.controls(number, device, data, ratings, authority)]
        found += delegates(number, device, data, ratings, authority)
        new = tuple(each for each in found if each.point not in taken and each.point.partition(".")[2] not in without)
        if new:
            offered[number] = new
        taken |= {each.point for each in new}
    return offered


def _points(device: str, part: _Part, max_age: float) -> list[Point]:
    if part.model.id in models.TRIPS:
        max_age = max(max_age, 2 * models.TRIPS_POLL_S)
    read = [Point(f"{device}.{each.name}", each.unit, max_age=max_age) for each in part.fields]
    return read + [Point(each.point, each.unit, writable=True, max_age=max_age) for each in part.written]


def _block(device: str, part: _Part, authority: Authority) -> Block:
    """A model from its ID register on, so that every answer shows that it is still the same model."""
    model, fields, written, count = part.model, part.fields, part.written, part.registers
    ids = tuple(f"{device}.{field.name}" for field in fields)
    read = reader(fields)
    unpack = struct.Struct(f">{count}H").unpack
    says_who = model.id == _REMOTE

    def decode(data: bytes) -> list[Measurement]:
        model.check(data)
        measurements = [
            Measurement(point, None, Quality.INVALID) if value is None else Measurement(point, value)
            for point, value in zip(ids, read(data), strict=True)
        ]
        if written:
            words = unpack(data)
            measurements += [each.measure(words) for each in written]
        if says_who:
            _heed(authority, data)
        return measurements

    return Block("holding", model.address, count, ids + tuple(each.point for each in written), decode)


def _heed(authority: Authority, data: bytes) -> None:
    authority.local = value_of(models.LOCAL_CONTROL, data) == _LOCAL


__all__ = ["BASES", "Ask", "Found", "MapError", "MapMovedError", "Steps", "discover"]
