"""The requests of a SunSpec unit that gives few registers an answer: a longer read becomes several, in one turn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from drivers.modbus.pdu import RefusalError, Space
from drivers.modbus.sunspec_pieces import whole
from drivers.modbus.sunspec_walk import Model
from drivers.modbus.wire import Wire

_BUSY = 6


@dataclass(slots=True)
class Turns:
    """Of one unit: the models that are read in pieces, and by address how often an order was written to each."""

    models: Sequence[Model] = ()
    writes: Counter[int] = field(default_factory=Counter)

    def at(self, address: int) -> Model | None:
        return next((model for model in self.models if 0 <= address - model.address < model.registers), None)


@dataclass(frozen=True, slots=True)
class PieceWire(Wire):
    """As Wire, with at most `longest` registers a request."""

    longest: int
    turns: Turns

    async def read(self, space: Space, address: int, count: int, *, first: bool = False) -> bytes:
        """
        Raises:
            RefusalError: Also, as of a busy device, where an order came between the pieces: half of what was read is
                from before it, and whoever wrote it reads the model back and tells what stands.
            MapMovedError: The model was no longer there at the end of the turn.
        """
        if count <= self.longest or (model := self.turns.at(address)) is None:
            return await Wire.read(self, space, address, count, first=first)
        writes = self.turns.writes[model.address]
        steps = whole(model, address - model.address, count, self.longest)
        try:
            at, registers = next(steps)
            while True:
                at, registers = steps.send(await Wire.read(self, space, at, registers, first=first))
        except StopIteration as done:
            data: bytes = done.value
        if writes != self.turns.writes[model.address]:
            raise RefusalError(_BUSY)
        return data

    async def write(self, space: Space, address: int, words: Sequence[int], function: int | None = None) -> None:
        if (model := self.turns.at(address)) is not None:
            self.turns.writes[model.address] += 1
        await Wire.write(self, space, address, words, function)
