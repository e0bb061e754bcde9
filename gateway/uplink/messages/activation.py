"""
The activation of each function of the contract: what may stand in it, and the model's words for it.

A function has a schema: its fields beside the common ones. What is judged here is the form: whether a number can be
what it is said to be. Whether the site can do it is not.

`frequency_droop` and `reserve` have their numbers in the object `value`; the same keys are read at the top level, too.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from gateway.characteristic import Droop
from gateway.model import Activation, Reserve, Schedule
from gateway.uplink.messages.common import REACTIVE_UNITS, AnyActivation, NotNegative, Part, Positive
from gateway.uplink.messages.refusals import MalformedError, UnsupportedError, accept, convert, found, listed
from gateway.uplink.messages.times import LAST_MOMENT, rfc3339

STEPS_MAX = 10_000
"""Values of a schedule: a quarter of a year in quarters of an hour, within the bound of a payload."""
RESOLUTION_MIN_S = 0.1
"""A shorter step would end before control has looked twice."""
CURVE_POINTS = (2, 20)
"""The longest curve of the legacy SunSpec models; one point is no curve."""
ROUNDING_S = 0.001
"""Times have milliseconds: an end this far behind a schedule's is the same one."""

_Preset = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}\Z")]
_Curve = Annotated[list[tuple[float, float]], Meta(min_length=CURVE_POINTS[0], max_length=CURVE_POINTS[1])]
_DeadbandHz = Annotated[float, Meta(ge=0, le=5)]  # more is a frequency, not a distance from one
_DroopPu = Annotated[float, Meta(ge=0.004, le=0.2)]  # FSM goes down to 0.4 %; more than 20 % are meant as %


class _Schedule(Part, kw_only=True):
    resolution: Annotated[float, Meta(ge=RESOLUTION_MIN_S)]
    values: Annotated[list[float], Meta(min_length=1, max_length=STEPS_MAX)]


class _Droop(Part, kw_only=True):
    deadband_hz: _DeadbandHz
    droop: _DroopPu
    response_s: NotNegative | None = None
    p_min: Annotated[float, Meta(ge=-1, le=1)] | None = None
    under_deadband_hz: _DeadbandHz | None = None
    under_droop: _DroopPu | None = None
    sides: Literal["both", "over", "under"] = "both"
    reference: Literal["frozen", "nominal"] = "frozen"
    release_delay_s: NotNegative = 0.0
    recovery_per_s: Positive | None = None


class _Reserve(Part, kw_only=True):
    up_w: NotNegative = 0.0
    down_w: NotNegative = 0.0


class _Values(AnyActivation, kw_only=True):
    """A number, or a schedule of them in its place."""

    accepted: ClassVar[str] = "a number"

    value: float | UnsetType = UNSET
    schedule: _Schedule | UnsetType = UNSET

    def allows(self, value: float) -> bool:  # noqa: ARG002 - of every function; any power will do
        return True

    def ordered(self) -> Activation:
        order = super().ordered()
        if self.schedule is UNSET:
            if self.value is UNSET:
                raise MalformedError(f"value is missing; accepted is {self.accepted}, or a schedule in its place")
            self._check("value", self.value)
            return replace(order, value=self.value + 0.0)  # -0.0 becomes 0.0
        if self.value is not UNSET:
            raise MalformedError("value and schedule are both given; accepted is one of them")
        for number, value in enumerate(self.schedule.values):
            self._check(f"schedule.values[{number}]", value)
        values = tuple(value + 0.0 for value in self.schedule.values)
        return _scheduled(order, Schedule(self.schedule.resolution, values))

    def _check(self, where: str, value: float) -> None:
        if not self.allows(value):
            raise MalformedError(f"{where} is {found(value)}; accepted is {self.accepted}")


class _ActivePower(_Values, kw_only=True):
    unit: str

    def ordered(self) -> Activation:
        accept("unit", self.unit, self.units)
        return replace(super().ordered(), unit=self.unit)


class _ReactivePower(_ActivePower, kw_only=True):
    units: ClassVar[tuple[str, ...]] = REACTIVE_UNITS


class _Peak(_ActivePower, kw_only=True):
    accepted: ClassVar[str] = "0 or more"

    mean: Positive | None = None

    def allows(self, value: float) -> bool:
        return value >= 0.0

    def ordered(self) -> Activation:
        return replace(super().ordered(), mean_s=self.mean)


class _PowerFactor(_Values, kw_only=True):
    units: ClassVar[tuple[str, ...]] = REACTIVE_UNITS
    accepted: ClassVar[str] = "above 0 up to 1"

    unit: Literal[""] = ""
    excitation: Literal["over", "under"] | UnsetType = UNSET
    response: NotNegative | None = None

    def allows(self, value: float) -> bool:
        return 0.0 < value <= 1.0

    def ordered(self) -> Activation:
        order = replace(super().ordered(), response_s=self.response)
        if self.excitation is not UNSET:
            return replace(order, excitation=self.excitation)
        if order.value == 1.0 or (order.schedule is not None and set(order.schedule.values) == {1.0}):
            return order
        raise MalformedError("excitation is missing; accepted are over, under (it may be left out for a value of 1)")


class _ActiveCurve(AnyActivation, kw_only=True):
    curve: _Curve | _Preset
    response: NotNegative | None = None

    def ordered(self) -> Activation:
        order = replace(super().ordered(), response_s=self.response)
        if isinstance(self.curve, str):
            return replace(order, preset=self.curve)
        for number, ((before, _), (x, _)) in enumerate(pairwise(self.curve), start=1):
            if x < before:
                raise MalformedError(f"curve[{number}][0] is {found(x)} after {found(before)}; accepted are rising x")
        return replace(order, curve=tuple((x + 0.0, y + 0.0) for x, y in self.curve))


class _ReactiveCurve(_ActiveCurve, kw_only=True):
    units: ClassVar[tuple[str, ...]] = REACTIVE_UNITS


class _FrequencyDroop(AnyActivation, kw_only=True):
    value: _Droop | _Preset

    def ordered(self) -> Activation:
        order = super().ordered()
        if isinstance(self.value, str):
            return replace(order, preset=self.value)
        return replace(order, droop=Droop(**msgspec.structs.asdict(self.value)))


class _KeptFree(AnyActivation, kw_only=True):
    value: _Reserve

    def ordered(self) -> Activation:
        if self.value.up_w == self.value.down_w == 0.0:
            raise MalformedError("value.up_w and value.down_w are 0; accepted is at least one above 0")
        return replace(super().ordered(), reserve=Reserve(self.value.up_w, self.value.down_w))


_SCHEMAS: dict[str, type[AnyActivation]] = {
    "limit_active_power": _ActivePower,
    "set_active_power": _ActivePower,
    "set_reactive_power": _ReactivePower,
    "set_power_factor": _PowerFactor,
    "limit_import": _Peak,
    "limit_export": _Peak,
    "volt_var": _ReactiveCurve,
    "volt_watt": _ActiveCurve,
    "watt_var": _ReactiveCurve,
    "watt_power_factor": _ReactiveCurve,
    "frequency_droop": _FrequencyDroop,
    "reserve": _KeptFree,
    "connect": AnyActivation,
    "disconnect": AnyActivation,
}
FUNCTIONS = tuple(_SCHEMAS)
"""Every function of the contract, by its name there."""

_FLAT = {"frequency_droop": _Droop.__struct_fields__, "reserve": _Reserve.__struct_fields__}
"""The functions whose `value` is an object, and its keys."""


def read_activation(document: dict[str, Any]) -> Activation:
    """
    The activation that a JSON object says, without its digest.

    Raises:
        MalformedError: The object is none, or what stands in it does not belong to its function.
        UnsupportedError: The contract has no such function.
    """
    function = document.get("function")
    if not isinstance(function, str):
        raise MalformedError(f"function is {found(function)}; accepted are {listed(FUNCTIONS)}")
    if function not in _SCHEMAS:
        raise UnsupportedError(f"function {found(function)} is not known; accepted are {listed(FUNCTIONS)}")
    return convert(_gathered(document, _FLAT.get(function, ())), _SCHEMAS[function]).ordered()


def _gathered(document: dict[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    """The document with what stands at its top level of an object that belongs into `value`."""
    if "value" in document or not any(key in document for key in keys):
        return document
    rest = {key: field for key, field in document.items() if key not in keys}
    return rest | {"value": {key: document[key] for key in keys if key in document}}


def _scheduled(order: Activation, schedule: Schedule) -> Activation:
    """The order with its schedule; it ends with the last step unless it says an earlier end."""
    if order.start is None:
        raise MalformedError("start is missing; accepted is the time at which the first value of the schedule begins")
    last = order.start + schedule.resolution_s * len(schedule.values)
    if not order.start < last <= LAST_MOMENT:
        raise MalformedError(
            f"schedule.resolution is {found(schedule.resolution_s)}; "
            f"accepted are steps that end between start and {rfc3339(LAST_MOMENT)}"
        )
    if order.end is not None and order.end > last + ROUNDING_S:
        raise MalformedError(
            f"end is {rfc3339(order.end)}; accepted is up to the end of the schedule, {rfc3339(last)}, or none"
        )
    return replace(order, schedule=schedule, end=last if order.end is None else min(order.end, last))
