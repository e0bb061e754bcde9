"""
Reading a model of a device that gives few registers an answer: in pieces. Pure: whoever runs the steps does the I/O.

No piece tears a value apart, and a value is read in one request with its scale factor where both fit into one. Where
they do not, the pieces follow each other in one turn, at whose end the model's header is read again.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from functools import lru_cache

from drivers.modbus import sunspec_models as models
from drivers.modbus import sunspec_setpoints as setpoints
from drivers.modbus.sunspec_arrays import FIRST
from drivers.modbus.sunspec_curves import SHAPES
from drivers.modbus.sunspec_fields import Field, size_of
from drivers.modbus.sunspec_tables import TABLES
from drivers.modbus.sunspec_walk import Ask, Model, runs_of

_READINGS = (models.INVERTERS | models.METERS | models.DER_AC | models.DER | models.TRIPS) | models.FURTHER
_PLANS = 1024
"""Of different requests that are remembered: some tens for each device."""


def widest(model: Model) -> int:
    """Registers of the longest value that is read of a model: a device that gives fewer an answer tears it apart."""
    return max((size_of(field.kind) for field in _fields(model)), default=1)


@lru_cache(_PLANS)
def pieces(model: Model, offset: int, count: int, longest: int) -> tuple[Ask, ...]:
    """
    The requests for these registers of a model, each of at most `longest`, which no value of the model exceeds.

    With more than one, the last are those for the model's ID and length.
    """
    if count <= longest:
        return ((model.address + offset, count),)
    torn: set[int] = set()
    apart: set[int] = set()
    for field in _fields(model):
        torn |= set(range(field.offset + 1, field.offset + size_of(field.kind)))
        first, end = min(field.offset, field.sf or field.offset), field.end
        if end - first <= longest:
            apart |= set(range(first + 1, end))
    asks: list[Ask] = []
    at, stop = offset, offset + count
    while stop - at > longest:
        cuts = [cut for cut in range(at + longest, at, -1) if cut not in torn]
        cut = next((cut for cut in cuts if cut not in apart), cuts[0])
        asks.append((model.address + at, cut - at))
        at = cut
    asks.append((model.address + at, stop - at))
    return (*asks, *runs_of(model.address, 2, longest))


def whole(model: Model, offset: int, count: int, longest: int) -> Generator[Ask, bytes | None, bytes | None]:
    """
    Yields what to read; is sent the bytes, or None when the device refuses the address. Returns all of them, or None.

    Raises:
        MapMovedError: From the generator; the model was no longer there at the end of the turn.
    """
    asks = pieces(model, offset, count, longest)
    data = b""
    for ask in asks:
        answer = yield ask
        if answer is None:
            return None
        data += answer
    if len(asks) > 1:
        model.check(data[2 * count :])
    return data[: 2 * count]


def _fields(model: Model) -> Iterator[Field]:
    """Every value that is read of a model, where its length has room for it."""
    number = model.id
    yield from _READINGS.get(number, ())
    yield from setpoints.FIELDS.get(number, ())
    yield from models.HEARTBEATS.get(number, ())
    yield from (table[number] for table in models.RATINGS if number in table)
    if number in models.GROUPS:
        group = models.GROUPS[number]
        for member in range(1, group.room(model.registers) + 1):
            yield from group.fields(member)
    if number in SHAPES:
        shape = SHAPES[number]
        yield from (Field("", "", shape.revert + at, "uint32") for at in (0, 2))
        room = max(0, model.registers - shape.first - shape.head) // 2
        for at, kind, sf in (*shape.settings, *(each for point in shape.points(room) for each in point)):
            yield Field("", "", shape.first + at, kind, sf or 0)
    if number in TABLES:
        table = TABLES[number]
        for start in range(FIRST, model.registers, table.size):
            for at, kind, sf in (each for point in table.points for each in point):
                yield Field("", "", start + at, kind, sf or 0)
