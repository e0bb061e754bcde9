"""The chain of models in a SunSpec device: found and walked. Pure: whoever runs a walk does the I/O."""

from __future__ import annotations

import struct
from collections.abc import Generator
from dataclasses import dataclass

from drivers.modbus.pdu import MAX_READ_REGISTERS

BASES = (40000, 0, 50000)
_MARK = b"SunS"
_END = b"\xff\xff"
_LENGTH_NONE = 0xFFFF
_MODELS_MAX = 200
"""The model reference has about half as many; a longer chain is a broken map."""

Ask = tuple[int, int]
"""Holding registers to read: wire address and count."""


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

    @property
    def registers(self) -> int:
        """With ID and length."""
        return self.length + 2

    def check(self, data: bytes) -> None:
        """
        Raises:
            MapMovedError: `data`, read from the model's address on, does not begin with its ID and length.
        """
        if not data.startswith(struct.pack(">HH", self.id, self.length)):
            raise MapMovedError(
                f"SunSpec model {self.id} (length {self.length}) is no longer at {self.address}: "
                f"found ID and length {data[:4].hex(' ')}"
            )


def runs_of(address: int, count: int, longest: int) -> tuple[Ask, ...]:
    """
    Registers in requests of at most `longest`.

    >>> runs_of(40000, 5, 2)
    ((40000, 2), (40002, 2), (40004, 1))
    """
    stop = address + count
    return tuple((at, min(longest, stop - at)) for at in range(address, stop, longest))


def walk(longest: int = MAX_READ_REGISTERS) -> Generator[Ask, bytes | None, tuple[Model, ...]]:
    """
    Yields what to read, at most `longest` registers; is sent the bytes, or None when the device refuses the address.

    Raises:
        MapError: From the generator; what was found instead of a map.
    """
    found: list[str] = []
    for base in BASES:
        mark = yield from _read(base, 2, longest)
        if mark == _MARK:
            return (yield from _chain(base + 2, longest))
        found.append(f"{base}: {'refused' if mark is None else mark.hex(' ')}")
    raise MapError(f"no SunSpec map: expected 'SunS' (53 75 6e 53), found {'; '.join(found)}")


def _read(address: int, count: int, longest: int) -> Generator[Ask, bytes | None, bytes | None]:
    data = b""
    for ask in runs_of(address, count, longest):
        answer = yield ask
        if answer is None:
            return None
        data += answer
    return data


def _chain(address: int, longest: int) -> Generator[Ask, bytes | None, tuple[Model, ...]]:
    chain: list[Model] = []
    while True:
        head = yield from _read(address, 2, longest)
        if head is None:  # the end of some maps has an ID and no length
            head = yield address, 1
        if head is not None and head.startswith(_END):
            return tuple(chain)
        before = f"after model {chain[-1].id} (length {chain[-1].length})" if chain else "after 'SunS'"
        if head is None or len(head) < 4:
            raise MapError(f"the chain of models breaks at {address}, {before}: the device refuses to read there")
        model_id, length = struct.unpack(">HH", head)
        model = Model(model_id, address, length)
        following = address + model.registers
        if model_id == 0 or length in (0, _LENGTH_NONE) or following > 0xFFFF or len(chain) == _MODELS_MAX:
            raise MapError(f"the chain of models breaks at {address}, {before}: found ID {model_id}, length {length}")
        chain.append(model)
        address = following
