"""What is written to which device for a step test, and whether it can be done now. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from gateway.commissioning.result import Device
from gateway.control.capability import LIMIT, SETPOINT, to_point
from gateway.model import Point, Setting

STEP_SHARE = 0.10
"""Of the rated power: more than the noise of a house, less than anybody notices at the grid."""
LEAST_SHARE = 0.05
"""Of the rated power: with less to take away, a step is not told from the load."""
SETTLED_SHARE = 0.2
"""Of the step: a device this near to what was asked of it follows; where it ends is judged from means."""
FULL_PERCENT, EMPTY_PERCENT = 95.0, 10.0
"""State of charge from which a battery may refuse to be charged, or to be discharged."""


@dataclass(frozen=True, slots=True)
class StepPlan:
    """
    A step between two levels of one point, in W; the step test goes from one to the other and back.

    `before` is what stands in the point, in its unit, and is given back; None: nothing is in force. At the rest of a
    limit that is what stands; a set-point has a value of its own there.
    """

    point: Point
    rated_w: float
    before: Setting | None
    rest_w: float
    step_w: float

    @property
    def is_limit(self) -> bool:
        return self.point.name == LIMIT

    @property
    def size_w(self) -> float:
        return abs(self.step_w - self.rest_w)

    def level_w(self, *, stepped: bool) -> float:
        return self.step_w if stepped else self.rest_w

    def setting(self, *, stepped: bool) -> Setting | None:
        """What to write, in the point's unit."""
        if self.is_limit and not stepped:
            return self.before
        return to_point(self.point, self.level_w(stepped=stepped))

    def reached(self, power_w: float, *, stepped: bool) -> bool:
        """Whether a measured power is what this level asks for; a limit is met from below, and let go from above."""
        away = power_w - self.level_w(stepped=stepped)
        near = SETTLED_SHARE * self.size_w
        if self.is_limit:
            return away <= near if stepped else away >= -near
        return abs(away) <= near

    def from_power(self, power_w: float) -> StepPlan:
        """The same from another power: the sun has moved on since the last repetition. A set-point stays as it is."""
        if not self.is_limit or power_w < LEAST_SHARE * self.rated_w:
            return self
        return replace(self, rest_w=power_w, step_w=power_w - min(STEP_SHARE * self.rated_w, power_w))

    def told(self) -> str:
        """What is going to be written, for the one who has to agree."""
        stands = "nothing in force" if self.before is None else f"{self.before} {self.point.unit}".rstrip()
        levels = f"about {self.step_w:.0f} W"
        if not self.is_limit:
            levels += f" and {self.rest_w:.0f} W"
        return f"{self.point.id}: {levels} in turn; now {stands}, which is given back"


@dataclass(frozen=True, slots=True)
class NoStep:
    """Why there is no step now."""

    reason: str
    advice: str = ""


def step_point(device: Device, points: Iterable[Point]) -> Point | None:
    """The point that a device is stepped by: a battery by its set-point, what only produces by its limit."""
    writable = {point.name: point for point in points if point.writable}
    order = (SETPOINT, LIMIT) if device.role == "battery" else (LIMIT, SETPOINT)
    return next((writable[name] for name in order if name in writable), None)


def plan_step(
    device: Device, point: Point, power_w: float | None, before: Setting | None, soc_percent: float | None
) -> StepPlan | NoStep:
    """A step from what the device does now; `before` is what stands in its point."""
    if not device.rated_w:
        return NoStep("its rated power is not known", f"give {device.id} a rated_power in the site file")
    if power_w is None:
        return NoStep("its active power is not known", f"see why {device.id}.active_power cannot be read")
    rated = device.rated_w
    if device.role == "battery" and point.name == SETPOINT:
        high = 0.0 if soc_percent is not None and soc_percent < EMPTY_PERCENT else LEAST_SHARE * rated
        low = 0.0 if soc_percent is not None and soc_percent > FULL_PERCENT else -LEAST_SHARE * rated
        return StepPlan(point, rated, before, rest_w=low, step_w=high)
    if power_w < LEAST_SHARE * rated:
        what = "sun" if device.role == "pv" else "power"
        return NoStep(
            f"too little {what}: it gives {power_w:.0f} W, {LEAST_SHARE:.0%} of its rated power is needed",
            "repeat when it produces",
        )
    return StepPlan(point, rated, before, power_w, power_w - min(STEP_SHARE * rated, power_w))
