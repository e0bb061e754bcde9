"""
A Modbus TCP server over registers that a simulation holds.

Requests are decoded and answers encoded by pymodbus, so that a master of our own meets a foreign implementation. Its
server class is left out: of pipelined requests it answers only the first one, and it answers late requests with the
transaction number of the newest one.
"""

from __future__ import annotations

import asyncio
import logging
import struct
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Protocol, Self

from pymodbus.constants import ExcCodes
from pymodbus.framer import FramerSocket
from pymodbus.pdu import DecodePDU, ExceptionResponse

from hil.faces.tcp import TcpListener

_SPACES = {1: "coil", 2: "discrete", 3: "holding", 4: "input", 5: "coil"} | {
    6: "holding", 15: "coil", 16: "holding", 22: "holding", 23: "holding"
}  # fmt: skip
"""The function codes a face answers, and what they touch; any other is refused as an illegal function."""

_SINGLE_WRITES = (5, 6)
_MBAP = struct.Struct(">HHHB")  # transaction, protocol (0), length with the unit, unit
_MAX_LENGTH = 254  # unit and PDU: Modbus Messaging on TCP/IP allows no ADU above 260 bytes


class ModbusFault(Exception):
    """The device refuses; `code` is the Modbus exception code."""

    def __init__(self, code: int) -> None:
        super().__init__(f"Modbus exception {code}")
        self.code = code


class Registers(Protocol):
    """
    What stands behind one unit id.

    `space` is holding, input, coil or discrete; a coil or discrete input is a word of 0 or 1. Both methods raise
    ModbusFault to refuse, and then nothing has changed.
    """

    def read(self, space: str, address: int, count: int) -> list[int]: ...

    def write(self, space: str, address: int, words: list[int]) -> None: ...


class MemoryRegisters:
    """
    Registers in memory: only addresses that were given a value exist.

    `refuse` holds addresses for which any request is refused; `writes` is what was written: loop time, space, address
    and words.
    """

    def __init__(
        self,
        *,
        holding: Mapping[int, int] | None = None,
        input: Mapping[int, int] | None = None,  # noqa: A002 -- the space's name in Modbus and in the site file
        coil: Mapping[int, int] | None = None,
        discrete: Mapping[int, int] | None = None,
    ) -> None:
        self.holding = dict(holding or {})
        self.input = dict(input or {})
        self.coil = dict(coil or {})
        self.discrete = dict(discrete or {})
        self.refuse: set[tuple[str, int]] = set()
        self.writes: list[tuple[float, str, int, list[int]]] = []

    def read(self, space: str, address: int, count: int) -> list[int]:
        words = self._space(space, address, count)
        return [words[at] for at in range(address, address + count)]

    def write(self, space: str, address: int, words: list[int]) -> None:
        self._space(space, address, len(words)).update(enumerate(words, address))
        self.writes.append((asyncio.get_running_loop().time(), space, address, list(words)))

    def _space(self, space: str, address: int, count: int) -> dict[int, int]:
        spaces = {"holding": self.holding, "input": self.input, "coil": self.coil, "discrete": self.discrete}
        words = spaces[space]
        if any(at not in words or (space, at) in self.refuse for at in range(address, address + count)):
            raise ModbusFault(ExcCodes.ILLEGAL_ADDRESS)
        return words


class ModbusFace:
    """
    Serves the registers of one or several units on one port.

    A unit id that nobody stands behind is answered with exception 0x0B, as a gateway does.

    Attributes:
        silent: Connections and requests are accepted, never carried out and never answered.
        delay_s: How late an answer leaves; the request itself is carried out at once.
    """

    def __init__(self, units: Mapping[int, Registers], *, host: str = "127.0.0.1", port: int = 0) -> None:
        self._units = dict(units)
        self._listener = TcpListener(self._serve, host=host, port=port, name="modbus face")
        self._decoder = DecodePDU(True)
        self._framer = FramerSocket(self._decoder)
        self.silent = False
        self.delay_s = 0.0
        logging.getLogger("pymodbus").setLevel(logging.CRITICAL)  # it reports every frame it cannot decode

    @property
    def port(self) -> int:
        return self._listener.port

    async def __aenter__(self) -> Self:
        await self._listener.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._listener.__aexit__(kind, error, trace)

    async def start(self) -> None:
        """Listen again, on the same port."""
        await self._listener.start()

    async def stop(self) -> None:
        """Close every connection and refuse new ones."""
        await self._listener.stop()

    async def drop(self) -> None:
        """Close every connection; clients may connect again at once."""
        await self._listener.drop()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                transaction, protocol, length, unit = _MBAP.unpack(await reader.readexactly(_MBAP.size))
                if protocol != 0 or not 2 <= length <= _MAX_LENGTH:
                    return  # not Modbus: nothing after it can be told apart
                request = await reader.readexactly(length - 1)
            except asyncio.IncompleteReadError:
                return
            if self.silent:
                continue
            answer = await self._answer(unit, request)
            answer.transaction_id, answer.dev_id = transaction, unit
            if self.delay_s:
                await asyncio.sleep(self.delay_s)
            if not self.silent:
                writer.write(self._framer.buildFrame(answer))
                await writer.drain()

    async def _answer(self, unit: int, request: bytes) -> Any:
        function = request[0]
        if unit not in self._units:
            return ExceptionResponse(function, ExcCodes.GATEWAY_NO_RESPONSE)
        if function not in _SPACES:
            return ExceptionResponse(function, ExcCodes.ILLEGAL_FUNCTION)
        pdu = self._decoder.decode(request)
        if pdu is None:
            return ExceptionResponse(function, ExcCodes.ILLEGAL_VALUE)
        try:
            context: Any = _Context(self._units[unit])  # pymodbus asks for its own class and uses these two methods
            return await pdu.datastore_update(context, unit)
        except ModbusFault as fault:
            return ExceptionResponse(function, fault.code)


class _Context:
    """The data store of one request, under the names that pymodbus calls it by."""

    def __init__(self, registers: Registers) -> None:
        self._registers = registers
        self._written: list[int] = []

    async def async_getValues(self, unit: int, function: int, address: int, count: int) -> list[int]:  # noqa: ARG002, N802
        if function in _SINGLE_WRITES:  # the answer echoes the request: it is not a read
            return self._written
        return self._registers.read(_SPACES[function], address, count)

    async def async_setValues(self, unit: int, function: int, address: int, values: list[int]) -> None:  # noqa: ARG002, N802
        self._written = [int(value) for value in values]
        self._registers.write(_SPACES[function], address, self._written)
