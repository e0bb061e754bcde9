"""What a unit that describes itself adds: its discovery, its set-points, the heartbeats, and how often to refresh."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import ceil

from drivers.base import WriteRefused
from drivers.modbus import pdu, sunspec
from drivers.modbus.config import ModbusDevice
from drivers.modbus.control_writing import ControlWriter
from drivers.modbus.link import Link
from drivers.modbus.pdu import NoAnswerError, RefusalError
from drivers.modbus.plan import Block
from drivers.modbus.screen import Tell
from drivers.modbus.sunspec_control import Control
from drivers.modbus.sunspec_curve_writing import CurveWriter
from drivers.modbus.sunspec_delegates import Delegate
from drivers.modbus.sunspec_fields import Counter, value_of
from drivers.modbus.sunspec_heartbeat import FROZEN_S, Heart, Pulse
from drivers.modbus.sunspec_models import TRIPS_POLL_S
from drivers.modbus.sunspec_pieces import pieces
from drivers.modbus.sunspec_reversion import Reversions
from drivers.modbus.sunspec_walk import Model, runs_of
from drivers.modbus.sunspec_wire import PieceWire, Turns
from drivers.modbus.wire import Wire
from gateway.model import Measurement, Nameplate, Quality, SetPoint, Setting

_METER = (("SunSpec readings", 125),)
_DER = (
    *_METER, ("SunSpec DC side", 70), ("SunSpec enter service", 17), ("SunSpec set-points", 67),
    ("SunSpec volt-var", 45), ("SunSpec volt-watt", 40), ("SunSpec droop", 24), ("SunSpec watt-var", 38),
    ("SunSpec remote control", 5),
)  # fmt: skip
"""Texts and registers of what a device of the second generation is asked for; the first has fewer and shorter ones."""
_LIKELY = {"meter": _METER, "battery": (*_DER, ("SunSpec storage", 26))}
"""Not the protection: its four short requests a minute would make the age of every value look like theirs."""

_log = logging.getLogger(__name__)


class SunSpecSide:
    """Of one device, for the life of its driver."""

    def __init__(self, device: ModbusDevice, nameplate: Nameplate, revert_s: float | None, peer: str) -> None:
        """`nameplate` is what configuration tells of the device."""
        self._device = device
        self._configured = nameplate
        self._peer = peer
        self._reversions = Reversions(revert_s)
        self._controls = ControlWriter(revert_s, self._reversions)
        self._curves = CurveWriter(revert_s, self._reversions)
        self._heart = Heart(peer)
        self._pulses: dict[Block, Pulse] = {}
        self._turns = Turns()
        self._models: dict[int, Model] = {}
        self._left_out: tuple[str, ...] = ()
        self._found: sunspec.Found | None = None
        self._written: Mapping[str, tuple[Control | Delegate, Block]] = {}
        self._told: Nameplate | None = None

    @property
    def groups(self) -> list[tuple[float, tuple[Block, ...]]]:
        """What is read of it, by the seconds between two reads; nothing as long as it was never asked."""
        if self._found is None:
            return []
        return [(self._device.poll, self._found.blocks), (self._slow_s, self._found.slow)]

    def wire(self, link: Link) -> Wire:
        """For all requests but heartbeats, which come between those of a turn and change nothing in it."""
        device = self._device
        return PieceWire(link, device.unit, device.timeout, device.quirks.max_registers, self._turns)

    @property
    def requests(self) -> list[tuple[str, int, float]]:
        """
        Each with its registers and the seconds between two: what is read of it, or, as long as it was never asked, what
        a device of this role may need, of the second generation.
        """
        longest, poll_s = self._device.quirks.max_registers, self._device.poll
        if self._found is not None:
            return [
                (replace(block, address=at, count=registers).text, registers, period_s)
                for period_s, blocks in self.groups
                for block in blocks
                for at, registers in pieces(self._models[block.address], 0, block.count, longest)
            ]
        likely = _LIKELY.get(self._device.role, _DER)
        return [(text, part, poll_s) for text, count in likely for part in _parts(count, longest)]

    @property
    def _slow_s(self) -> float:
        return max(self._device.poll, TRIPS_POLL_S)

    async def discover(self, wire: Wire, *, max_age: float) -> Nameplate:
        """
        Raises:
            MapError: It has no map, or a broken one.
            NoAnswerError, ConnectionLost: As `Wire.ask`.
        """
        steps = sunspec.discover(
            self._device.id,
            meter=self._device.role == "meter",
            max_age=max_age,
            without={point.name for point in self._device.points},
            longest=self._device.quirks.max_registers,
        )
        try:
            address, count = next(steps)
            while True:
                address, count = steps.send(await _read_or_refused(wire, address, count))
        except StopIteration as done:
            found: sunspec.Found = done.value
        self._found, self._written = found, found.controls
        self._models = {model.address: model for model in found.models}
        self._turns.models = found.models
        for text in found.left_out if found.left_out != self._left_out else ():
            _log.error("%s: %s", self._peer, text)
        self._left_out = found.left_out
        self._reversions.forget()
        self._pulses = {block: Pulse() for block in found.watched}
        self._told = None
        return self.news() or self._configured

    def news(self) -> Nameplate | None:
        """What the device is now known to be; None when that was told already."""
        if self._found is None:
            return None
        refresh_s = self._reversions.refresh_s
        found = self._found.nameplate
        nameplate = replace(
            found,
            points=tuple(replace(each, refresh_s=refresh_s.get(each.id)) for each in found.points)
            + self._configured.points,
            rated_power_w=found.rated_power_w or self._configured.rated_power_w,
        )
        if nameplate == self._told:
            return None
        self._told = nameplate
        return nameplate

    def takes(self, point: str) -> bool:
        return point in self._written

    async def write(self, setpoint: SetPoint, wire: Wire, tell: Tell) -> Setting | None:
        """As drivers.base.Driver.write, and raises what `Wire.ask` does, ValueError and MapMovedError."""
        control, block = self._written[setpoint.point]
        value = setpoint.value
        if isinstance(control, Control):
            if isinstance(value, str):
                raise WriteRefused(f"{setpoint.point}: takes a number, found a characteristic")
            with wire.reads_held():
                return await self._controls.write(control, block, value, wire, tell)
        if value is not None and not isinstance(value, str):
            raise WriteRefused(f"{setpoint.point}: takes the text of a characteristic, found {value:g}")
        return await self._curves.write(control, block, value, wire, tell)

    def passed(self, measurements: Sequence[Measurement]) -> Sequence[Measurement]:
        """The same readings, in doubt where the device is frozen; what they say of set-points of ours is heeded."""
        for lapse in self._reversions.seen(measurements, asyncio.get_running_loop().time()):
            _log.warning(
                "%s: %s was out of force %.1f s after it was written, by nobody here; it is refreshed every %.1f s now",
                self._peer, lapse.point, lapse.after_s, lapse.refresh_s,
            )  # fmt: skip
        if not any(pulse.frozen for pulse in self._pulses.values()):
            return measurements
        return [
            each._replace(quality=Quality.UNCERTAIN)
            if each.quality is Quality.GOOD and each.value is not None
            else each
            for each in measurements
        ]

    def heed(self, block: Block, data: bytes) -> None:
        """After each read of a block: one with a heartbeat of the device says whether it still works."""
        if self._found is None or block not in self._found.watched:
            return
        field, pulse = self._found.watched[block], self._pulses[block]
        if pulse.beat(value_of(field, data), asyncio.get_running_loop().time()):
            if pulse.frozen:
                _log.warning(
                    "%s: answers, but its heartbeat (%s) has not moved for %g s: frozen, its values are uncertain",
                    self._peer, field.name, FROZEN_S,
                )  # fmt: skip
            else:
                _log.info("%s: its heartbeat (%s) moves again", self._peer, field.name)

    async def beat(self, wire: Wire, answers: Callable[[], bool]) -> None:
        """Our heartbeats, while the device answers, until cancelled or the connection ends."""

        def counters() -> tuple[Counter, ...]:
            engaged = self._controls.engaged or self._curves.engaged
            return self._found.heartbeats if self._found is not None and engaged and answers() else ()

        await self._heart.run(wire, counters)


def _parts(count: int, longest: int) -> tuple[int, ...]:
    """At least as many requests as it turns out to be: a cut may come before the longest piece, and a header after."""
    if count <= longest:
        return (count,)
    return (longest,) * (2 * ceil(count / longest)) + tuple(size for _, size in runs_of(0, 2, longest))


async def _read_or_refused(wire: Wire, address: int, count: int) -> bytes | None:
    try:
        return await wire.read("holding", address, count)
    except RefusalError as error:
        if error.code in pdu.REFUSALS:
            return None
        raise NoAnswerError(str(error)) from None
