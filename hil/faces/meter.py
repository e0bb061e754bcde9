"""A PCC meter as a plain map of float32 input registers, at the addresses of an Eastron SDM630."""

from __future__ import annotations

import math
import struct

from hil.faces.modbus import ModbusFault
from hil.plant.site import Plant

_ILLEGAL_ADDRESS = 2


class MeterRegisters:
    """
    What the meter of a plant shows: float32, high word first.

    The vendor's sign is the consumer's: import is positive. A site file turns it with `scale: -1`. Energies are in kWh.
    """

    def __init__(self, plant: Plant) -> None:
        self._plant = plant

    def read(self, space: str, address: int, count: int) -> list[int]:
        words: dict[int, int] = {}
        for at, value in self._values().items():
            words |= enumerate(struct.unpack(">2H", struct.pack(">f", value)), at)
        wanted = range(address, address + count)
        if space != "input" or any(at not in words for at in wanted):
            raise ModbusFault(_ILLEGAL_ADDRESS)
        return [words[at] for at in wanted]

    def write(self, space: str, address: int, words: list[int]) -> None:  # noqa: ARG002 -- nothing can be written
        raise ModbusFault(_ILLEGAL_ADDRESS)

    def _values(self) -> dict[int, float]:
        point = self._plant.point
        apparent_va = math.hypot(point.active_power_w, point.reactive_power_var)
        voltages = dict.fromkeys((0, 2, 4), point.phase_voltage_v)
        currents = dict.fromkeys((6, 8, 10), point.current_a(apparent_va))
        powers = {52: -point.active_power_w, 56: apparent_va, 60: -point.reactive_power_var}
        energies = {72: self._plant.import_wh / 1000.0, 74: self._plant.export_wh / 1000.0}
        return voltages | currents | powers | {70: point.frequency_hz} | energies
