"""What the local API may know: one look at the daemon, taken on the event loop. Nothing in it changes any more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.control.alarms import Event
from gateway.control.mirror import Mirror
from gateway.control.plant import Plant
from gateway.control.register import Orders
from gateway.control.steering import Decision
from gateway.image import Snapshot
from gateway.model import Instant, SetPoint


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """One device as the site file has it; `rated_power_w` None: the file does not say."""

    id: str
    role: str
    driver: str
    rated_power_w: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteFacts:
    """What does not change while the daemon runs."""

    id: str
    name: str
    version: str
    started: Instant
    period_s: float
    devices: tuple[DeviceFacts, ...]
    plant: Plant
    buffer_max_size_bytes: int
    buffer_max_age_s: float


@dataclass(frozen=True, slots=True)
class UplinkLook:
    """One uplink; what it waits to have acknowledged, and the UTC time in seconds of the oldest frame of that."""

    id: str
    type: str
    connected: bool
    frames_pending: int
    messages_pending: int
    oldest_pending: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreLook:
    """
    The store. `waiting` frames are not on disk yet, `dropped` ones never will be. `journaled` is the serial of the
    tick up to which all is on disk, `unjournaled` how many outcomes are not. `fault` is why the last commit failed.
    """

    epoch: str
    session: int
    last_frame: int
    last_message: int
    waiting: int
    dropped: int
    journaled: int
    unjournaled: int
    fault: str | None


@dataclass(frozen=True, slots=True)
class TicksLook:
    """All ticks so far: `within` counts by the bounds of ticks.BOUNDS_S, the last one beyond them."""

    within: tuple[int, ...]
    total_s: float
    overruns: int
    ended: float | None  # monotonic, of the last tick


@dataclass(frozen=True, slots=True)
class ControlLook:
    """The controller after its last tick: the latest set-point of each point, and what it told of, newest last."""

    serial: int
    mirror: Mirror
    orders: Orders
    held: tuple[str, ...]
    decision: Decision = field(default_factory=lambda: Decision({}, {}))
    setpoints: Mapping[str, SetPoint] = field(default_factory=dict)
    events: tuple[tuple[float, Event], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """All of it; `snapshot` is that of the last tick, `now` is this moment."""

    now: Instant
    site: SiteFacts
    snapshot: Snapshot
    control: ControlLook
    uplinks: tuple[UplinkLook, ...]
    store: StoreLook
    ticks: TicksLook
