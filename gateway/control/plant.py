"""What the controller knows of the site that does not change while it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from gateway.control.pq import PqCapability, Priority
from gateway.model import Ramp

Strategy = Literal["proportional", "merit", "soc"]
Word = Literal["hold", "release", "limit", "value", "disconnect"]

PLANT_TARGETS = ("pcc", "plant")
"""The targets that are no device: the meter at the PCC, and the sum of the DERs."""


@dataclass(frozen=True, slots=True)
class Der:
    """
    A controllable device. `rated_power_w` None: take what its nameplate says.

    `merit`: the lower, the sooner it is used. `steps`: the shares of its rated power that its limit knows (relay stages
    0, 0.3, 0.6, 1). `min_power`: the share below which it can only be off. `soc_min`, `soc_max`: between them, in %, a
    storage is used. `latency_s`: until a change can show, from the reading over the tick to the device's own dead time.
    """

    id: str
    role: str
    rated_power_w: float | None = None
    merit: float = 0.0
    steps: tuple[float, ...] | None = None
    min_power: float = 0.0
    ramp: Ramp = field(default_factory=Ramp)
    pq: PqCapability | None = None
    priority: Priority = "reactive"
    soc_min: float = 0.0
    soc_max: float = 100.0
    latency_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Authority:
    """What an uplink may order: its rank among its kind (higher wins), and the functions; `all` is all of them."""

    priority: int = 10
    functions: frozenset[str] = frozenset({"all"})

    def allows(self, function: str) -> bool:
        return bool(self.functions & {"all", function})


@dataclass(frozen=True, slots=True)
class Action:
    """
    What becomes of a quantity when something is lost.

    hold: the orders in force stay. release: they are let go. limit: they stay, and so does this limit. value:
    set-points are let go and this one stands in, reached at `ramp`. disconnect: the devices leave the grid. Power in W
    or var.
    """

    word: Word = "hold"
    power: float = 0.0
    ramp: Ramp | None = None


@dataclass(frozen=True, slots=True)
class Fallback:
    """What stands in for something that is lost, after `after_s`."""

    after_s: float
    active: Action = field(default_factory=Action)
    reactive: Action = field(default_factory=Action)


@dataclass(frozen=True, slots=True)
class Ramps:
    """
    How fast active power moves, of the site as a whole, in W/s.

    `normal` holds for orders without a ramp of their own, `emergency` for those of that kind; `release` for the way
    back after a limit's end, and `reconnect` after a disconnection.
    """

    normal: Ramp = field(default_factory=Ramp)
    emergency: Ramp | None = None
    release: float | None = None
    reconnect: float | None = None


@dataclass(frozen=True, slots=True)
class Plant:
    """The site as the controller sees it; powers in W, generator reference frame; voltage between phase and neutral."""

    rated_power_w: float
    pcc: str | None
    ders: tuple[Der, ...]
    devices: frozenset[str]
    authorities: Mapping[str, Authority] = field(default_factory=dict)
    ramps: Ramps = field(default_factory=Ramps)
    strategy: Strategy = "proportional"
    nominal_voltage_v: float = 230.0
    nominal_hz: float = 50.0
    revert_s: float | None = None
    der_lost_s: float | None = None
    fallbacks: Mapping[str, Fallback] = field(default_factory=dict)
    latencies: Mapping[str, float] = field(init=False, repr=False, compare=False)
    """Seconds until a change can show at a target; of the site, that of its slowest device."""

    def __post_init__(self) -> None:
        own = {der.id: der.latency_s for der in self.ders}
        slowest = max(own.values(), default=0.0)
        object.__setattr__(self, "latencies", own | dict.fromkeys(PLANT_TARGETS, slowest))
