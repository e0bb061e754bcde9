"""
Characteristics: a curve or a droop, and the text that stands for one where values travel.

A device that follows a characteristic by itself has a writable point for it (`volt_var`, `volt_watt`, `watt_var`,
`frequency_droop`); what is written to such a point, read back, journaled and reported is this text.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from math import isfinite
from typing import Literal

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
    Active power against frequency.

    Deadbands in Hz beside the nominal frequency, droops in per unit of frequency per unit of power; the `under` values
    are those of `over` where they are None. `sides` leaves one half out. `p_min`: as far down as it may go, in per unit
    of the rated power. `reference`: what the power moves from and what a unit of power is, the value frozen as the
    frequency left the band (converters, LFSM-O) or the rated power (LFSM-U, synchronous machines). After the return of
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
    return json.dumps(asdict(characteristic), separators=(",", ":"), sort_keys=True)


def from_text(text: str) -> Characteristic:
    """
    What a text stands for.

    Raises:
        ValueError: It is none; the message says what was found.
    """
    try:
        fields = json.loads(text)
    except ValueError as error:
        raise ValueError(f"should be the text of a characteristic, found {text[:60]!r}: {error}") from None
    try:
        if "points" in fields:
            points = tuple((float(x), float(y)) for x, y in fields["points"])
            if not points or not all(isfinite(number) for point in points for number in point):
                raise ValueError("should have finite points")  # noqa: TRY301 - told with the same words as the others
            return Curve(points, fields.get("response_s"))
        return Droop(**fields)
    except (TypeError, ValueError) as error:
        raise ValueError(f"should be a curve or a droop, found {text[:60]!r}: {error}") from None
