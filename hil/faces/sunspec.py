"""
A SunSpec register image over a device of the plant: what it shows, and what a write does to it.

The image is read from the device at each request, so it is never older than the plant itself. A point without a value
carries its sentinel, and so does the scale factor of points that have none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from hil.faces.modbus import ModbusFault
from hil.faces.sunspec_layout import MODELS, Point, Raw

Value = float | str

_BASE = 40000
_MARK = (0x5375, 0x6E53)  # "SunS"
_END = (0xFFFF, 0)
_ILLEGAL_ADDRESS = 2
_ILLEGAL_VALUE = 3


@dataclass(frozen=True, slots=True)
class Writable:
    """What a write to a point does: `apply` takes its value in the point's unit, from `lowest` to `highest`."""

    apply: Callable[[float], None]
    lowest: float
    highest: float


@dataclass(frozen=True, slots=True)
class Model:
    """One model as a device shows it: values by point name in the point's unit, scale factors, what can be written."""

    id: int
    values: Mapping[str, Callable[[], Value | None]]
    scales: Mapping[str, int] = field(default_factory=dict)
    writable: Mapping[str, Writable] = field(default_factory=dict)

    def raw(self, point: Point) -> Raw | None:
        if point.type == "sunssf":
            return self.scales.get(point.name)
        if point.name not in self.values:
            return None
        value = self.values[point.name]()
        return value if isinstance(value, str | None) else round(value * 10.0 ** -self._exponent(point))

    def value(self, point: Point, words: list[int]) -> float:
        return point.decode(words) * 10.0 ** self._exponent(point)

    def _exponent(self, point: Point) -> int:
        return 0 if point.scale is None else self.scales[point.scale]


class SunSpecRegisters:
    """
    The holding registers of a SunSpec device, from `SunS` at 40000 to the end model; `Registers` of a ModbusFace.

    A write must cover whole points, and is carried out as a whole or not at all: a point that cannot be written is
    refused with exception 2, a value that is out of its range with exception 3. `on_write` hears of each point written.
    """

    def __init__(
        self, models: Sequence[Model], *, on_write: Callable[[str, float], None] = lambda _name, _value: None
    ) -> None:
        self._on_write = on_write
        self._points: dict[int, tuple[Model, Point]] = {}
        self._fixed: dict[int, int] = dict(enumerate(_MARK, _BASE))
        at = _BASE + len(_MARK)
        for model in models:
            points = MODELS[model.id]
            length = sum(point.size for point in points)
            self._fixed |= {at: model.id, at + 1: length}
            self._points |= {at + point.offset: (model, point) for point in points}
            at += 2 + length
        self._fixed |= dict(enumerate(_END, at))
        self._end = at + len(_END)

    def read(self, space: str, address: int, count: int) -> list[int]:
        if space != "holding" or address < _BASE or address + count > self._end:
            raise ModbusFault(_ILLEGAL_ADDRESS)
        wanted = range(address, address + count)
        words = {at: self._fixed[at] for at in wanted if at in self._fixed}
        for at, (model, point) in self._points.items():
            if at < wanted.stop and at + point.size > wanted.start:
                words |= enumerate(point.encode(model.raw(point)), at)
        return [words[at] for at in wanted]

    def write(self, space: str, address: int, words: list[int]) -> None:
        if space != "holding":
            raise ModbusFault(_ILLEGAL_ADDRESS)
        orders: list[tuple[str, Writable, float]] = []
        at, rest = address, words
        while rest:
            model, point = self._points.get(at, (None, None))
            writable = model.writable.get(point.name) if model and point else None
            if model is None or point is None or writable is None:
                raise ModbusFault(_ILLEGAL_ADDRESS)
            value = model.value(point, rest[: point.size])
            if not writable.lowest <= value <= writable.highest:
                raise ModbusFault(_ILLEGAL_VALUE)
            orders.append((point.name, writable, value))
            at, rest = at + point.size, rest[point.size :]
        for name, writable, value in orders:
            writable.apply(value)
            self._on_write(name, value)
