"""Writing a characteristic that a SunSpec device follows by itself: its steps are run, and what it obeys is read."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from drivers.base import ConnectionLost, WriteRefused
from drivers.modbus.pdu import NoAnswerError, RefusalError
from drivers.modbus.plan import Block
from drivers.modbus.screen import Tell
from drivers.modbus.sunspec_cells import CurveError
from drivers.modbus.sunspec_curves import Pause, Read, Steps, Write
from drivers.modbus.sunspec_delegates import Delegate
from drivers.modbus.sunspec_reversion import Reversions
from drivers.modbus.wire import Wire, words_of
from gateway.characteristic import from_text, to_text


class CurveWriter:
    """
    Writes the characteristics of one device, for the life of its driver.

    What stood in a model before our first write is kept over losses of the connection, and forgotten once given back.
    """

    def __init__(self, revert_s: float | None, reversions: Reversions) -> None:
        self._revert_s = revert_s
        self._reversions = reversions
        self._before: dict[str, tuple[int, ...]] = {}
        self.engaged: set[str] = set()
        """Points in which something of ours stands, or may."""

    async def write(self, delegate: Delegate, block: Block, text: str | None, wire: Wire, tell: Tell) -> str | None:
        """
        Write and read back, as drivers.base.Driver.write; an adoption may take its time, and holds no reads meanwhile.

        Raises:
            RefusalError, NoAnswerError, ConnectionLost: As `Wire.ask`.
            ValueError: The text is none of a characteristic, or the device takes no orders.
            WriteRefused: The device does not obey it; the text says why.
            MapMovedError: The model is no longer where it was.
        """
        data = await _read(block, wire)
        block.decode(data)  # raises when the model has moved
        delegate.authority.check()
        words = words_of(data)
        self._reversions.writing(delegate.point)
        try:
            if text is None:
                await self._take_out_of_force(delegate, block, words, wire)
            else:
                await self._put(delegate, block, text, words, wire)
        except CurveError as error:
            raise WriteRefused(f"{delegate.point}: {error}") from None
        data = await _read(block, wire)
        tell(block.decode(data))
        words = words_of(data)
        held = delegate.measure(words).value
        if held is None and text is not None:
            raise WriteRefused(f"{delegate.point}: was written, and the device holds none that can be read")
        if delegate.point in self.engaged and held is not None:
            before = self._before.get(delegate.point)
            self._reversions.stands(
                delegate.point,
                held,
                delegate.measure(before).value if before is not None else None,
                delegate.timer(words),
                asyncio.get_running_loop().time(),
            )
        return None if held is None else str(held)

    async def _put(self, delegate: Delegate, block: Block, text: str, words: Sequence[int], wire: Wire) -> None:
        characteristic = from_text(text)
        before = self._before.get(delegate.point)
        stands = delegate.stands(characteristic, words)
        if before is not None and not stands and delegate.measure(before).value == to_text(characteristic):
            await self._give_back(delegate, block, words, wire)
            return
        fresh = before is None and not stands  # what stands already may be ours, from before a restart
        if fresh:
            before = self._before[delegate.point] = tuple(words)
        try:
            await _run(delegate.put(characteristic, before or words, words, self._revert_s), block, wire)
        except CurveError:
            if fresh:
                del self._before[delegate.point]
            raise
        except (NoAnswerError, ConnectionLost):
            self.engaged.add(delegate.point)  # it may stand
            raise
        self.engaged.add(delegate.point)

    async def _take_out_of_force(self, delegate: Delegate, block: Block, words: Sequence[int], wire: Wire) -> None:
        """
        Nothing is in force afterwards. What stood enabled before our first write may be our own of before a restart; an
        owner's is given back by its text.
        """
        before = self._before.get(delegate.point)
        if before is not None and delegate.measure(before).value is not None:
            del self._before[delegate.point]
        await self._give_back(delegate, block, words, wire)

    async def _give_back(self, delegate: Delegate, block: Block, words: Sequence[int], wire: Wire) -> None:
        await _run(delegate.give_back(self._before.get(delegate.point), words), block, wire)
        self._before.pop(delegate.point, None)
        self.engaged.discard(delegate.point)


async def _run(steps: Steps, block: Block, wire: Wire) -> None:
    """
    Reads wait while registers are written, and go on while the device is given time.

    Raises:
        CurveError: As the steps do; a refusal of the device is one.
    """
    step = next(steps, None)
    while step is not None:
        if isinstance(step, Pause):
            await asyncio.sleep(step.seconds)
            step = _next(steps, ())
        with wire.reads_held():
            while isinstance(step, Read | Write):
                step = _next(steps, await _ask(step, block, wire))


async def _ask(step: Read | Write, block: Block, wire: Wire) -> Sequence[int] | CurveError:
    address = block.address + step.offset
    try:
        if isinstance(step, Read):
            return words_of(await wire.read(block.space, address, step.count, first=True))
        await wire.write(block.space, address, step.words)
    except RefusalError as error:
        doing = "be read" if isinstance(step, Read) else f"hold {' '.join(f'{word:04x}' for word in step.words)}"
        return CurveError(f"register {address} should {doing}, the device says: {error}")
    return ()


def _next(steps: Steps, answer: Sequence[int] | CurveError) -> Read | Write | Pause | None:
    try:
        return steps.throw(answer) if isinstance(answer, CurveError) else steps.send(answer)
    except StopIteration:
        return None


async def _read(block: Block, wire: Wire) -> bytes:
    return await wire.read(block.space, block.address, block.count, first=True)
