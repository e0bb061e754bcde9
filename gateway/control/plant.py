"""What the controller knows of the site that does not change while it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.model import Ramp


@dataclass(frozen=True, slots=True)
class Der:
    """A controllable device. `rated_power_w` None: take what its nameplate says."""

    id: str
    role: str
    rated_power_w: float | None = None


@dataclass(frozen=True, slots=True)
class Authority:
    """What an uplink may order: its rank among its kind (higher wins), and the functions; `all` is all of them."""

    priority: int = 10
    functions: frozenset[str] = frozenset({"all"})

    def allows(self, function: str) -> bool:
        return bool(self.functions & {"all", function})


@dataclass(frozen=True, slots=True)
class Fallback:
    """What stands in for a lost DSO or meter after `after_s`; a limit in fraction of the site's rated power."""

    after_s: float
    active_power_limit_w: float | None = None
    release_active_power: bool = False
    release_reactive_power: bool = False


@dataclass(frozen=True, slots=True)
class Plant:
    """The site as the controller sees it; powers in W, generator reference frame."""

    rated_power_w: float
    pcc: str | None
    ders: tuple[Der, ...]
    devices: frozenset[str]
    authorities: Mapping[str, Authority] = field(default_factory=dict)
    ramp: Ramp = field(default_factory=Ramp)
    revert_s: float | None = None
    der_lost_s: float | None = None
    uplink_lost: Fallback | None = None
    pcc_meter_lost: Fallback | None = None
