"""Which characteristics a SunSpec device follows by itself, as points that take their texts. Pure."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Protocol

from drivers.modbus import sunspec_arrays as arrays
from drivers.modbus import sunspec_curves as curves
from drivers.modbus.sunspec_adopted import Adopted, CurveForm, DroopForm, Form
from drivers.modbus.sunspec_arrays import Array, Table
from drivers.modbus.sunspec_control import Authority, Timer
from drivers.modbus.sunspec_curves import SHAPES, Setting, Shape, Steps
from drivers.modbus.sunspec_fields import scale_factor
from drivers.modbus.sunspec_per_unit import Reference
from drivers.modbus.sunspec_setpoints import Ratings
from drivers.modbus.sunspec_tables import TABLES, FrequencyTable, VoltageTable
from gateway.characteristic import FREQUENCY_DROOP, VOLT_VAR, VOLT_WATT, WATT_VAR, Characteristic
from gateway.model import Measurement

NAMES = {
    705: VOLT_VAR, 706: VOLT_WATT, 711: FREQUENCY_DROOP, 712: WATT_VAR,
    126: VOLT_VAR, 132: VOLT_WATT, 134: FREQUENCY_DROOP,
}  # fmt: skip
"""By model, in the order of their rank."""
NOMINAL_HZ = 50.0
"""Of a device of the first generation that does not tell its own."""
_NONE = 0xFFFF


class Delegate(Protocol):
    """
    A characteristic in one model; `registers` are read for it, from the ID register on. All words are the model's.
    """

    @property
    def point(self) -> str: ...

    @property
    def unit(self) -> str: ...

    @property
    def registers(self) -> int: ...

    @property
    def authority(self) -> Authority: ...

    def measure(self, words: Sequence[int]) -> Measurement:
        """The text of what the device obeys; value None with quality good: the function is not enabled."""

    def stands(self, characteristic: Characteristic, words: Sequence[int]) -> bool:
        """
        Whether the device obeys it already.

        Raises:
            CurveError: The model has no registers for it.
        """

    def put(
        self, characteristic: Characteristic, before: Sequence[int], words: Sequence[int], revert_s: float | None
    ) -> Steps:
        """
        What to do so that the device obeys it; `before` is what stood in the model before our first write.

        Raises:
            CurveError: At once or from the generator; what the device obeyed before still stands.
        """

    def give_back(self, before: Sequence[int] | None, words: Sequence[int]) -> Steps:
        """
        What stood before our first write, whether it was enabled or not; without it, not enabled.

        Raises:
            CurveError: From the generator: the device does not take back what it had.
        """

    def timer(self, words: Sequence[int]) -> Timer:
        """How long the device holds it without us."""


def delegates(number: int, device: str, data: bytes, ratings: Ratings, authority: Authority) -> list[Delegate]:
    """What this model's bytes show to be implemented; none where the device does not say what its percents are of."""
    words = struct.unpack(f">{len(data) // 2}H", data)
    if number in SHAPES and _adopts(SHAPES[number], words) and (form := _form(number, ratings)) is not None:
        shape = SHAPES[number]
        at = min(shape.registers(words), len(words))
        return [Adopted(point=f"{device}.{NAMES[number]}", shape=shape, form=form, registers=at, authority=authority)]
    if number in TABLES and (table := _table(number, ratings)) is not None and _selects(table, words):
        at, point = min(arrays.registers(table.size, words), len(words)), f"{device}.{NAMES[number]}"
        return [Array(point=point, model=number, table=table, registers=at, authority=authority)]
    return []


def _form(number: int, ratings: Ratings) -> Form | None:
    if number == curves.DROOP.model:
        return DroopForm()
    if number == curves.VOLT_WATT.model:
        power = _of_power({0: ratings.power_w}, ratings)
        return CurveForm(power, Setting(2, "uint32", 14)) if power else None
    reactive = _of_reactive({1: ratings.reactive_var, 0: ratings.power_w, 3: ratings.apparent_va}, ratings)
    response = Setting(7, "uint32", 14) if number == curves.VOLT_VAR.model else None
    return CurveForm(reactive, response) if reactive else None


def _table(number: int, ratings: Ratings) -> Table | None:
    if number == 134:
        return FrequencyTable(ratings.nominal_hz or NOMINAL_HZ)
    if number == 132:
        power = _of_power({1: ratings.power_w}, ratings)
        return VoltageTable(power) if power else None
    reactive = _of_reactive({2: ratings.reactive_var, 1: ratings.power_w}, ratings)
    return VoltageTable(reactive) if reactive else None


def _of_power(percent_of: dict[int, float | None], ratings: Ratings) -> Reference | None:
    return _reference(ratings.power_w, percent_of)


def _of_reactive(percent_of: dict[int, float | None], ratings: Ratings) -> Reference | None:
    """A unit of reactive power is the rated one, as the nameplate tells it; the rated active power without it."""
    return _reference(ratings.rated_reactive_var or ratings.power_w, percent_of)


def _reference(base: float | None, percent_of: dict[int, float | None]) -> Reference | None:
    known = {code: of for code, of in percent_of.items() if of is not None}
    return Reference(base, known) if base is not None and known else None


def _adopts(shape: Shape, words: Sequence[int]) -> bool:
    """Enable, request and scale factors are there, and a first curve to read."""
    if len(words) < shape.first + shape.head or _NONE in (words[curves.ENABLE], words[curves.REQUEST]):
        return False
    if shape.room is not None and not shape.room_in(words):
        return False
    places = [*shape.settings[:2], *(place for pair in shape.points(1) for place in pair if shape.room is not None)]
    return all(place.sf is None or scale_factor(words[place.sf]) is not None for place in places)


def _selects(table: Table, words: Sequence[int]) -> bool:
    if len(words) < arrays.FIRST + table.size or _NONE in words[arrays.ACTIVE : arrays.ENABLE + 1]:
        return False
    scaled = all(scale_factor(words[offset]) is not None for offset in (arrays.X_SF, arrays.Y_SF))
    return scaled and words[arrays.CURVES] not in (0, _NONE) and words[arrays.ROOM] not in (0, _NONE)
