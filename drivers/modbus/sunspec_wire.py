"""The requests of a SunSpec unit that gives few registers an answer: a longer read becomes several, in one turn."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field

from drivers.modbus.pdu import Space
from drivers.modbus.sunspec_pieces import whole
from drivers.modbus.sunspec_walk import Ask, Model
from drivers.modbus.wire import Wire


@dataclass(slots=True)
class Turns:
    """Of one unit: the models that are read in pieces, and how often an order was written between the pieces."""

    models: Sequence[Model] = ()
    writes: int = 0


@dataclass(frozen=True, slots=True)
class PieceWire(Wire):
    """As Wire, with at most `longest` registers a request."""

    longest: int
    turns: Turns = field(default_factory=Turns)

    async def read(self, space: Space, address: int, count: int, *, first: bool = False) -> bytes:
        """
        Raises:
            MapMovedError: The model was no longer there at the end of the turn.
        """
        inside = (model for model in self.turns.models if 0 <= address - model.address < model.registers)
        if count <= self.longest or (model := next(inside, None)) is None:
            return await Wire.read(self, space, address, count, first=first)
        while True:
            writes = self.turns.writes
            data = await self._run(whole(model, address - model.address, count, self.longest), space, first=first)
            if writes == self.turns.writes:  # else half of it is from before an order, and half from after
                return data

    async def _run(self, steps: Generator[Ask, bytes | None, bytes | None], space: Space, *, first: bool) -> bytes:
        try:
            at, count = next(steps)
            while True:
                at, count = steps.send(await Wire.read(self, space, at, count, first=first))
        except StopIteration as done:
            data: bytes = done.value
            return data

    async def write(self, space: Space, address: int, words: Sequence[int], function: int | None = None) -> None:
        self.turns.writes += 1
        await Wire.write(self, space, address, words, function)
