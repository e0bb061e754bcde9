"""
Characteristics: a curve or a droop, and the text that stands for one where values travel.

A device that follows a characteristic by itself has a writable point for it (`volt_var`, `volt_watt`, `watt_var`,
`frequency_droop`); what is written to such a point, read back, journaled and reported is this text.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any, Literal

VOLT_VAR, VOLT_WATT, WATT_VAR, FREQUENCY_DROOP = "volt_var", "volt_watt", "watt_var", "frequency_droop"
CURVES = frozenset({VOLT_VAR, VOLT_WATT, WATT_VAR})
DELEGATED = CURVES | {FREQUENCY_DROOP}
"""Names of the points that take the text of a characteristic."""


@dataclass(frozen=True, slots=True)
class Curve:
    """
    Points (x, y), x rising, in per unit: of the nominal voltage, of the rated active power, of the rated reactive or
    apparent power. `response_s` is the open-loop response time: to 90 % of a step (IEEE 1547-2018); None: at once.
    """

    points: tuple[tuple[float, float], ...]
    response_s: float | None = None


@dataclass(frozen=True, slots=True)
class Droop:
    """
    Active power against frequency, moving from what it was as the frequency left the deadband.

    Deadbands in Hz beside the nominal frequency, droops in per unit of frequency per unit of power; the `under` values
    are those of `over` where they are None. `sides` leaves one half out. `p_min`: as far down as it may go, in per unit
    of the rated power. `reference`: what a unit of power is, the power of that moment (converters, LFSM-O) or the rated
    power (LFSM-U, synchronous machines). After the return of
    the frequency the power is held for `release_delay_s`, then recovers by `recovery_per_s` (p.u./s; None: at once).
    """

    deadband_hz: float
    droop: float
    response_s: float | None = None
    p_min: float | None = None
    under_deadband_hz: float | None = None
    under_droop: float | None = None
    sides: Literal["both", "over", "under"] = "both"
    reference: Literal["frozen", "nominal"] = "frozen"
    release_delay_s: float = 0.0
    recovery_per_s: float | None = None


Characteristic = Curve | Droop


def to_text(characteristic: Characteristic) -> str:
    """
    The canonical text: equal characteristics have equal texts.

    >>> to_text(Curve(((0.92, 0.44), (1.08, -0.44)), 5.0))
    '{"points":[[0.92,0.44],[1.08,-0.44]],"response_s":5.0}'
    """
    return json.dumps(_plain(asdict(characteristic)), separators=(",", ":"), sort_keys=True)


def from_text(text: str) -> Characteristic:
    """
    What a text stands for.

    Raises:
        ValueError: It is none; the message says what was found.
    """
    try:
        fields = json.loads(text, parse_int=float)
        if "points" in fields:
            points = tuple((_number(x), _number(y)) for x, y in fields.pop("points"))
            if not points:
                raise ValueError("no points")  # noqa: TRY301 - told with the same words as all that is wrong
            return Curve(points, **{name: _number(value) for name, value in fields.items() if value is not None})
        given: dict[str, Any] = {name: fields.pop(name) for name, known in _WORDS.items() if fields.get(name) in known}
        given |= {name: _number(value) for name, value in fields.items() if value is not None}
        return Droop(**given)
    except (TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        raise ValueError(f"should be a curve or a droop, found {text[:60]!r}: {error}") from None


_WORDS = {"sides": ("both", "over", "under"), "reference": ("frozen", "nominal")}


def _number(value: object) -> float:
    if not isinstance(value, float) or not isfinite(value):
        raise ValueError(f"found {value!r} where a number should be")
    return value


def _plain(value: Any) -> Any:
    """Numbers as one kind, so that 1 and 1.0 are the same, and so are 0 and -0."""
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return float(value) + 0.0 if isinstance(value, int | float) else value
