"""
SunSpec: from a device's registers to its points, readings and set-points. Pure: whoever runs a discovery does the I/O.

The map begins with `SunS` at one of three addresses; models follow each other, each with its ID and the length of what
comes after; the ID 0xFFFF ends them. Offsets of later models are never assumed, only walked to.
"""

from __future__ import annotations

import struct
from collections.abc import Container, Generator, Mapping
from dataclasses import dataclass

from drivers.modbus import sunspec_models as models
from drivers.modbus.pdu import MAX_READ_REGISTERS
from drivers.modbus.plan import Block
from drivers.modbus.sunspec_control import Control
from gateway.model import Measurement, Nameplate, Point, Quality

BASES = (40000, 0, 50000)
_MARK = b"SunS"
_END = b"\xff\xff"
_LENGTH_NONE = 0xFFFF
_CONTROL_REGISTERS = 26  # models 123 and 124, ID and length included
_MODELS_MAX = 200
"""The model reference has about half as many; a longer chain is a broken map."""

Ask = tuple[int, int]
"""Holding registers to read: wire address and count."""
Steps = Generator[Ask, bytes | None, "Found"]
"""Yields what to read; is sent the bytes, or None when the device refuses the address."""


class MapError(Exception):
    """The device has no SunSpec map, or one that does not fit together; the text says what was found."""


class MapMovedError(Exception):
    """A model is no longer where it was found: nothing read from there can be trusted."""


@dataclass(frozen=True, slots=True)
class Model:
    """`address` is the wire address of its ID register; `length` the registers after ID and length."""

    id: int
    address: int
    length: int


@dataclass(frozen=True, slots=True)
class Found:
    """A device as its own map describes it; `controls` by full point id, with the block that reads them back."""

    nameplate: Nameplate
    blocks: tuple[Block, ...]
    controls: Mapping[str, tuple[Control, Block]]


def discover(device: str, *, meter: bool, max_age: float, without: Container[str] = ()) -> Steps:
    """
    Find the map, walk it, and read what a device says of itself.

    Args:
        device: The device id that its points begin with.

        meter: Whether a meter's model comes before an inverter's, where a unit has both.

        max_age: Age in seconds from which its values are stale.

        without: Names of points that come from elsewhere.

    Raises:
        MapError: From the generator; what was found instead of a map.
    """
    chain = yield from _walk()
    first = {model.id: model for model in reversed(chain)}
    content: dict[int, bytes] = {}
    for model_id in (1, 120, 121, 123, 124):
        if model_id in first:
            model = first[model_id]
            content[model_id] = (yield model.address, min(model.length + 2, MAX_READ_REGISTERS)) or b""
    orders = (models.METERS, models.INVERTERS) if meter else (models.INVERTERS, models.METERS)
    readings = next(
        ((model, fields[model.id]) for fields in orders for model in chain if model.id in fields),
        None,
    )
    if readings is None and 124 not in first:
        listed = ", ".join(str(model.id) for model in chain)
        raise MapError(f"no model with readings (101-103, 111-113, 201-204, 211-214, 124) in: {listed}")

    rated_power = _rating(content, (121, models.MAX_POWER), (120, models.RATED_POWER))
    rated_reactive = _rating(content, (120, models.RATED_REACTIVE_POWER))
    max_reactive = _rating(content, (121, models.MAX_REACTIVE_POWER)) or rated_reactive
    blocks: list[Block] = []
    points: list[Point] = []
    controls: dict[str, tuple[Control, Block]] = {}

    def add(model: Model, fields: tuple[models.Field, ...], writables: list[Control]) -> None:
        fitting = tuple(each for each in fields if each.end <= model.length + 2 and each.name not in without)
        writables = [each for each in writables if each.point.partition(".")[2] not in without]
        if not fitting and not writables:
            return
        block = _block(device, model, fitting, writables)
        blocks.append(block)
        points.extend(Point(f"{device}.{each.name}", each.unit, max_age=max_age) for each in fitting)
        points.extend(Point(each.point, each.unit, writable=True, max_age=max_age) for each in writables)
        controls.update({each.point: (each, block) for each in writables})

    if readings is not None:
        add(*readings, [])
    if 123 in first:
        add(first[123], (), _immediate_controls(device, content[123], rated_power, max_reactive))
    if 124 in first:
        add(first[124], models.STORAGE, _storage_controls(device, content[124]))
    common = content.get(1, b"")
    nameplate = Nameplate(
        device,
        tuple(points),
        rated_power_w=rated_power,
        rated_reactive_power_var=rated_reactive,
        rated_energy_wh=_rating(content, (120, models.RATED_ENERGY)),
        manufacturer=models.text_of(common[4:36]),
        model=models.text_of(common[36:68]),
        serial=models.text_of(common[100:132]),
    )
    return Found(nameplate, tuple(blocks), controls)


def _walk() -> Generator[Ask, bytes | None, tuple[Model, ...]]:
    found: list[str] = []
    for base in BASES:
        mark = yield base, 2
        if mark == _MARK:
            return (yield from _chain(base + 2))
        found.append(f"{base}: {'refused' if mark is None else mark.hex(' ')}")
    raise MapError(f"no SunSpec map: expected 'SunS' (53 75 6e 53), found {'; '.join(found)}")


def _chain(address: int) -> Generator[Ask, bytes | None, tuple[Model, ...]]:
    chain: list[Model] = []
    while True:
        head = yield address, 2
        if head is None:  # the end of some maps has an ID and no length
            head = yield address, 1
        if head is not None and head.startswith(_END):
            return tuple(chain)
        before = f"after model {chain[-1].id} (length {chain[-1].length})" if chain else "after 'SunS'"
        if head is None or len(head) < 4:
            raise MapError(f"the chain of models breaks at {address}, {before}: the device refuses to read there")
        model_id, length = struct.unpack(">HH", head)
        model = Model(model_id, address, length)
        following = address + length + 2
        if model_id == 0 or length in (0, _LENGTH_NONE) or following > 0xFFFF or len(chain) == _MODELS_MAX:
            raise MapError(f"the chain of models breaks at {address}, {before}: found ID {model_id}, length {length}")
        chain.append(model)
        address = following


def _rating(content: Mapping[int, bytes], *places: tuple[int, models.Field]) -> float | None:
    for model_id, field in places:
        value = models.value_of(field, content.get(model_id, b""))
        if value is not None and value > 0:
            return value
    return None


def _immediate_controls(device: str, data: bytes, max_power: float | None, max_reactive: float | None) -> list[Control]:
    """What model 123 lets us set: offsets of its registers, and the scale factors it must have."""
    if len(data) < 2 * _CONTROL_REGISTERS:
        return []
    words = struct.unpack(f">{len(data) // 2}H", data)
    found = []
    if max_power is not None and models.scale_factor(words[23]) is not None and words[9] != 0xFFFF:
        limit = Control(
            f"{device}.active_power_limit", "W", max_power, ((5, 1),), sf=23, enable=9, on=1, revert=7, lowest_percent=0
        )
        found.append(limit)
    of_power = words[15] != 0x8000 and max_power is not None
    value, mode, base = (15, 1, max_power) if of_power else (16, 2, max_reactive)
    implemented = models.scale_factor(words[25]) is not None and words[22] != 0xFFFF and words[value] != 0x8000
    if base is not None and implemented:
        reactive = Control(
            f"{device}.reactive_power_setpoint",
            "var",
            base,
            ((value, 1),),
            sf=25,
            enable=22,
            on=1,
            revert=19,
            lowest_percent=-100,
            mode=(21, mode),
        )
        found.append(reactive)
    return found


def _storage_controls(device: str, data: bytes) -> list[Control]:
    """
    What model 124 lets us set: charge and discharge rate together, as a rate below 0 forces the other direction.
    """
    base = models.value_of(models.MAX_CHARGE_POWER, data)
    if not base or len(data) < 2 * _CONTROL_REGISTERS:
        return []
    words = struct.unpack(f">{len(data) // 2}H", data)
    if models.scale_factor(words[25]) is None or words[5] == 0xFFFF or 0x8000 in words[12:14]:
        return []
    point = f"{device}.active_power_setpoint"
    rates = ((12, 1), (13, -1))
    return [Control(point, "W", base, rates, sf=25, enable=5, on=3, revert=15, lowest_percent=-100)]


def _block(device: str, model: Model, fields: tuple[models.Field, ...], controls: list[Control]) -> Block:
    """A model in one request from its ID register on, so that every answer shows that it is still the same model."""
    count = max([field.end for field in fields] + [_CONTROL_REGISTERS for _ in controls])
    ids = tuple(f"{device}.{field.name}" for field in fields)
    header = struct.pack(">HH", model.id, model.length)
    read = models.reader(fields)
    unpack = struct.Struct(f">{count}H").unpack

    def decode(data: bytes) -> list[Measurement]:
        if not data.startswith(header):
            raise MapMovedError(
                f"SunSpec model {model.id} (length {model.length}) is no longer at {model.address}: "
                f"found ID and length {data[:4].hex(' ')}"
            )
        measurements = [
            Measurement(point, None, Quality.INVALID) if value is None else Measurement(point, value)
            for point, value in zip(ids, read(data), strict=True)
        ]
        if controls:
            words = unpack(data)
            measurements += [control.measure(words) for control in controls]
        return measurements

    return Block("holding", model.address, count, ids + tuple(each.point for each in controls), decode)
