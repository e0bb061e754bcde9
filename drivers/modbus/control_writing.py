"""Writing one set-point of a device that describes itself: its model is read, written step by step, and read back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import nullcontext, suppress

from drivers.base import WriteRefused
from drivers.modbus.pdu import RefusalError
from drivers.modbus.plan import Block
from drivers.modbus.screen import Tell
from drivers.modbus.sunspec_control import Control
from drivers.modbus.sunspec_reversion import Reversions
from drivers.modbus.wire import Wire, words_of
from gateway.model import Measurement

_log = logging.getLogger(__name__)


class ControlWriter:
    """
    Writes the controls of one device, for the life of its driver.

    What stood in a model before our first write is kept over losses of the connection, and forgotten once given back:
    taken out of force, or that value written again where it was a set-point, too.
    """

    def __init__(self, revert_s: float | None, reversions: Reversions) -> None:
        self._revert_s = revert_s
        self._reversions = reversions
        self._before: dict[str, tuple[int, ...]] = {}
        self.engaged: set[str] = set()
        """Points in which something of ours stands, or may."""
        self._unreverted: set[str] = set()

    async def write(self, control: Control, block: Block, value: float | None, wire: Wire, tell: Tell) -> float | None:
        """
        Write and read back, as drivers.base.Driver.write.

        Raises:
            RefusalError, NoAnswerError, ConnectionLost: As `Wire.ask`.
            ValueError: The device does not take the value.
            WriteRefused: Something else stands in the device.
            MapMovedError: The model is no longer where it was.
        """
        data = await _read(block, wire)
        block.decode(data)  # raises when the model has moved
        words = words_of(data)
        before = self._before.get(control.point)
        self._reversions.writing(control.point)
        raw = control.encode(value, words) if value is not None else ()
        stood = before is not None and control.holds(raw, before) if raw else False
        given_back = value is None or (stood and not control.holds(raw, words))
        if given_back:
            steps = control.give_back(before, words, in_force=stood)
        else:
            self._before.setdefault(control.point, words)
            self.engaged.add(control.point)
            steps = control.steps(raw, words, self._revert_s)
        for offset, content in steps:
            # A set-point that a device will not let go of by itself is still better than none: it is told below.
            with suppress(RefusalError) if offset in control.reverting and not given_back else nullcontext():
                await wire.write(block.space, block.address + offset, content)
        data = await _read(block, wire)
        tell(block.decode(data))
        words = words_of(data)
        held = control.measure(words)
        if value is None and held != Measurement(control.point, None):
            raise WriteRefused(f"{control.point}: was taken out of force, the device holds {held.value} {control.unit}")
        if value is not None and not control.holds(raw, words):
            raise WriteRefused(f"{control.point}: wrote {value:g}, the device holds {held.value} {control.unit}")
        if given_back:
            self._before.pop(control.point, None)
            self.engaged.discard(control.point)
        elif held.value is not None:
            self._check_reversion(control, words)
            stood_there = control.value_in(self._before[control.point])
            now = asyncio.get_running_loop().time()
            self._reversions.stands(control.point, float(held.value), stood_there, control.timer(words), now)
        return None if held.value is None else float(held.value)

    def _check_reversion(self, control: Control, words: Sequence[int]) -> None:
        wanted = control.reversion(words, self._revert_s)
        held = words[control.revert]
        if wanted is None or wanted == held:
            self._unreverted.discard(control.point)
        elif control.point not in self._unreverted:
            self._unreverted.add(control.point)
            _log.warning("%s: reversion time should be %d s, the device holds %d s", control.point, wanted, held)


async def _read(block: Block, wire: Wire) -> bytes:
    return await wire.read(block.space, block.address, block.count, first=True)
