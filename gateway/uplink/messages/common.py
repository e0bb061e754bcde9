"""What every activation has, whatever its function: whose it is, when, how fast, how exactly."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, ClassVar, Literal

import msgspec
from msgspec import Meta

from gateway.model import Activation, Kind
from gateway.uplink.messages.refusals import MalformedError, accept
from gateway.uplink.messages.strict import ID_MAX, INTEGER_MAX

ACTIVE_UNITS = ("W", "%")
REACTIVE_UNITS = ("var", "%")
_SECONDS = {"s": 1.0, "min": 60.0}

Positive = Annotated[float, Meta(gt=0)]
NotNegative = Annotated[float, Meta(ge=0)]
_Text = Annotated[str, Meta(min_length=1, max_length=ID_MAX)]
_Time = Annotated[datetime, Meta(tz=True)]


class Part(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """An object within an activation."""


class _Ramp(Part, kw_only=True):
    unit: str
    up: Positive | None = None
    down: Positive | None = None


class _Tolerance(Part, kw_only=True):
    value: NotNegative
    unit: str


class AnyActivation(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What every function has; alone it is `connect` and `disconnect`."""

    units: ClassVar[tuple[str, ...]] = ACTIVE_UNITS  # of the quantity: its value, ramp and tolerance

    schema: Literal["activation/1"]
    site: _Text | None = None
    id: str
    revision: Annotated[int, Meta(ge=1, le=INTEGER_MAX)] = 1
    issuer: _Text
    time: _Time
    target: _Text
    function: str
    start: _Time | None = None
    end: _Time | None = None
    kind: Kind = Kind.DSO
    ramp: _Ramp | None = None
    tolerance: _Tolerance | None = None
    respond_within: Positive | None = None
    settle: NotNegative = 2.0

    def ordered(self) -> Activation:
        """
        The activation that this says, without its digest.

        Raises:
            MalformedError: What is said does not fit together.
        """
        start, end = _seconds(self.start), _seconds(self.end)
        if start is not None and end is not None and end <= start:
            raise MalformedError("end is not after start; accepted is a later end, or none")
        ramp_up, ramp_down, ramp_unit = _ramp(self.ramp, self.units)
        if self.tolerance is not None:
            accept("tolerance.unit", self.tolerance.unit, self.units)
        return Activation(
            id=self.id,
            revision=self.revision,
            issuer=self.issuer,
            issued=self.time.timestamp(),
            target=self.target,
            function=self.function,
            kind=self.kind,
            start=start,
            end=end,
            ramp_up=ramp_up,
            ramp_down=ramp_down,
            ramp_unit=ramp_unit,
            tolerance=None if self.tolerance is None else self.tolerance.value,
            tolerance_unit="%" if self.tolerance is None else self.tolerance.unit,
            respond_within=self.respond_within,
            settle=self.settle,
        )


def _seconds(time: datetime | None) -> float | None:
    return None if time is None else time.timestamp()


def _ramp(ramp: _Ramp | None, units: tuple[str, ...]) -> tuple[float | None, float | None, str]:
    """Up, down and their unit, a second: what is given a minute is converted."""
    if ramp is None:
        return None, None, f"{units[0]}/s"
    accept("ramp.unit", ramp.unit, [f"{unit}/{time}" for unit in units for time in _SECONDS])
    unit, _, time = ramp.unit.partition("/")
    seconds = _SECONDS[time]
    up, down = (None if rate is None else rate / seconds for rate in (ramp.up, ramp.down))
    return up, down, f"{unit}/s"
