"""The requests of one unit on its connection."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from drivers.modbus import pdu
from drivers.modbus.link import Link
from drivers.modbus.pdu import NoAnswerError, RefusalError, Request, Space
from drivers.modbus.traffic import Count


@dataclass(frozen=True, slots=True)
class Wire:
    """
    A unit on a connection that stands; every method raises what `ask` raises.

    `first` lets a request go before all reads that wait.
    """

    link: Link
    unit: int
    timeout_s: float

    @property
    def traffic(self) -> Count:
        """What this unit's requests have come to; the link counts `requests` and `busy_s`."""
        return self.link.counts[self.unit]

    async def ask(self, request: Request, *, first: bool = False) -> bytes:
        """
        Raises:
            RefusalError: The device refused; a gateway that cannot reach it is no answer of the device.
            NoAnswerError: Nothing usable came in time.
            ConnectionLost: The connection is gone.
        """
        try:
            return await self.link.request(request, self.timeout_s, first=first)
        except NoAnswerError:
            self.traffic.unanswered += 1
            raise
        except RefusalError as error:
            if error.code in pdu.UNREACHABLE:
                self.traffic.unanswered += 1
                raise NoAnswerError(str(error)) from None
            self.traffic.refused += 1
            raise

    async def read(self, space: Space, address: int, count: int, *, first: bool = False) -> bytes:
        return await self.ask(pdu.read(self.unit, space, address, count), first=first)

    async def write(self, space: Space, address: int, words: Sequence[int], function: int | None = None) -> None:
        """FC 5 for a coil, 6 for one register, as more devices take it; 16 for several: they change together."""
        if space == "coil":
            on = bool(words[0])
            single = pdu.write_coil(self.unit, address, on)
            request = pdu.write_coils(self.unit, address, [on]) if function == 15 else single
        elif len(words) > 1 or function == 16:
            request = pdu.write_registers(self.unit, address, words)
        else:
            request = pdu.write_register(self.unit, address, words[0])
        self.traffic.writes += 1
        await self.ask(request, first=True)

    def reads_held(self) -> AbstractContextManager[None]:
        """Keeps reads waiting while the steps of one write follow each other."""
        return self.link.reads_held()


def words_of(data: bytes) -> tuple[int, ...]:
    return struct.unpack(f">{len(data) // 2}H", data)
