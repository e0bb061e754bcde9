"""
The words of dergate: what a device says, what an order asks, what is written and what is answered.

Units are SI (W, var, V, A, Hz, %). Signs follow the generator reference frame: positive active power flows into the
grid, positive reactive power is over-excited. Wall-clock times are seconds since 1970 in UTC; deadlines are monotonic
seconds, so that a step of the wall clock moves none of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, NamedTuple

from gateway.characteristic import Droop

Value = float | int | bool | str

Setting = float | str
"""What may stand in a writable point: a number in its unit, or the text of a characteristic."""


class Quality(StrEnum):
    """What a value is worth, in the contract's words."""

    GOOD = "good"
    UNCERTAIN = "uncertain"  # substituted, clamped, or stamped by an unsynchronised clock
    INVALID = "invalid"  # the source says so
    STALE = "stale"  # older than its deadline
    OFFLINE = "offline"  # no connection to the source


class Kind(StrEnum):
    """Who orders; the order of the members is their rank, highest first (contract, section 4)."""

    EMERGENCY = "emergency"
    DSO = "dso"
    MARKET = "market"
    LOCAL = "local"


class Status(StrEnum):
    """What an acknowledgement says of its activation."""

    RECEIVED = "received"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    STARTED = "started"
    EFFECTIVE = "effective"
    DEVIATING = "deviating"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    SUPERSEDED = "superseded"
    EXPIRED = "expired"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Instant:
    """One moment on both clocks: `wall` orders the world's events, `mono` times everything of our own."""

    wall: float
    mono: float


@dataclass(frozen=True, slots=True)
class Point:
    """
    One signal of one device.

    `id` is `<device id>.<name>`; `base` is what 100 % means, in W or var, for a point whose unit is `%`; `max_age` is
    the age in seconds from which a value is stale; `refresh_s` how often a set-point has to be written again to stand.
    """

    id: str
    unit: str
    readable: bool = True
    writable: bool = False
    base: float | None = None
    max_age: float = 3.0
    refresh_s: float | None = None

    @property
    def device(self) -> str:
        return self.id.partition(".")[0]

    @property
    def name(self) -> str:
        return self.id.partition(".")[2]


class Measurement(NamedTuple):
    """
    One value as a device gave it.

    `value` None with quality good on a writable point means: read, and no set-point is in force. `time` is the source's
    own UTC stamp, or None where the protocol has none; the image then stamps the arrival.
    """

    point: str
    value: Value | None
    quality: Quality = Quality.GOOD
    time: float | None = None


@dataclass(frozen=True, slots=True)
class Nameplate:
    """What a device says of itself once it is known: its points and ratings. None: the device does not say."""

    device: str
    points: tuple[Point, ...]
    rated_power_w: float | None = None
    rated_reactive_power_var: float | None = None
    rated_energy_wh: float | None = None
    manufacturer: str = ""
    model: str = ""
    serial: str = ""


@dataclass(frozen=True, slots=True)
class SetPoint:
    """
    A value to stand in a device, in the unit of its point; None takes the set-point out of force.

    `expires` is monotonic: a set-point is never written after it. `cause` names the activations behind it.
    """

    point: str
    value: Setting | None
    expires: float
    cause: str


@dataclass(frozen=True, slots=True)
class WriteResult:
    """How a write ended: `error` is None when `readback` was found in the device after it."""

    point: str
    value: Setting | None
    readback: Setting | None
    error: str | None
    mono: float


@dataclass(frozen=True, slots=True)
class Band:
    """The range a quantity may be in. Functions only ever narrow it, so an earlier one always wins."""

    lo: float
    hi: float

    def narrow(self, lo: float | None = None, hi: float | None = None) -> Band:
        """
        The part of this band within [lo, hi]; None is no statement. Where they do not meet, the nearest edge stays.

        >>> Band(0, 60).narrow(hi=40)
        Band(lo=0, hi=40)
        >>> Band(0, 60).narrow(lo=70)
        Band(lo=60, hi=60)
        """
        new_lo = self.lo if lo is None else min(max(self.lo, lo), self.hi)
        new_hi = self.hi if hi is None else max(min(self.hi, hi), self.lo)
        return Band(new_lo, new_hi) if new_lo <= new_hi else Band(new_hi, new_hi)

    def clamp(self, value: float) -> float:
        return min(max(value, self.lo), self.hi)


@dataclass(frozen=True, slots=True)
class Ramp:
    """How fast a set-point may move, in W/s or var/s; None is unlimited."""

    up: float | None = None
    down: float | None = None


@dataclass(frozen=True, slots=True)
class Schedule:
    """One value a step of `resolution_s` seconds, from the order's start; in the order's unit."""

    resolution_s: float
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Reserve:
    """Headroom that has to stay free, in W: so much more could be given (`up_w`), so much less (`down_w`)."""

    up_w: float
    down_w: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Activation:
    """
    An order of a DSO, as parsed. `(id, revision)` is its idempotency key.

    What it orders is in one of `value` (in `unit`, as the order gave it), `schedule`, `curve`, `droop` or `reserve`, as
    its function asks; connect and disconnect need none. `curve` holds (x, y) in per unit, and of a power factor the y
    is signed: negative is under-excited. `preset` is the name of a curve or of a droop, in place of one. `response_s`
    is the open-loop response time, `mean_s` the interval over which a limit holds on the mean. `tolerance` and `ramp`
    carry their own unit. `start` None is now, `end` None is until cancelled. `digest` tells two payloads with the same
    key apart.
    """

    id: str
    revision: int
    issuer: str
    issued: float
    target: str
    function: str
    value: float | None = None
    unit: str = ""
    excitation: Literal["over", "under"] = "over"
    schedule: Schedule | None = None
    curve: tuple[tuple[float, float], ...] | None = None
    preset: str = ""
    response_s: float | None = None
    droop: Droop | None = None
    reserve: Reserve | None = None
    mean_s: float | None = None
    kind: Kind = Kind.DSO
    start: float | None = None
    end: float | None = None
    ramp_up: float | None = None
    ramp_down: float | None = None
    ramp_unit: str = "W/s"
    tolerance: float | None = None
    tolerance_unit: str = "%"
    respond_within: float | None = None
    settle: float = 2.0
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Cancellation:
    """The withdrawal of an activation; `revision` must not be below the one in force."""

    id: str
    revision: int
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A payload that is not an order: why, and whose id and revision could still be read."""

    code: str
    detail: str
    id: str | None = None
    revision: int | None = None


@dataclass(frozen=True, slots=True)
class Received:
    """What came in on `activations`: from which uplink, when, what it was, and where the answer is wanted."""

    uplink: str
    at: Instant
    order: Activation | Cancellation | Refusal
    response_topic: str | None = None
    correlation: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ack:
    """One acknowledgement. Powers in W or var; None is not known."""

    id: str
    revision: int
    n: int
    status: Status
    time: float
    requested: float | None = None
    applied: float | None = None
    measured: float | None = None
    unit: str | None = None
    code: str | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Frame:
    """Values of one moment. A point named only in `quality` has no known value now."""

    time: float
    values: Mapping[str, Value]
    quality: Mapping[str, Quality] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """
    The life of one revision of an order, as the journal keeps it.

    `n` counts the acknowledgements of the id, over all its revisions. `activation` is None for a payload that was
    refused before it could be read. `engaged`: it has taken part in control; `was_effective`: at least once.
    `withdrawn` is the revision of the cancellation that ended it: what comes late below it is stale.
    """

    id: str
    revision: int
    uplink: str
    status: Status
    n: int
    received: float
    activation: Activation | None = None
    digest: str = ""
    response_topic: str | None = None
    correlation: bytes | None = None
    engaged: bool = False
    was_effective: bool = False
    withdrawn: int = 0
    last: Ack | None = None


@dataclass(frozen=True, slots=True)
class Hold:
    """
    A writable point that we have taken over, and the value (in its unit) to give back; None: it was not in force.

    Under the name `fallback:<loss>` it holds that a fallback stands.
    """

    point: str
    before: Setting | None


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message that must arrive: an acknowledgement, an event, a report. `uplink` None is for all of them."""

    topic: str  # below the site's prefix: acks, events, reports
    payload: bytes
    uplink: str | None = None
    response_topic: str | None = None
    correlation: bytes | None = None
    ref: str | None = None  # the activation it speaks of, by which the store finds it again


@dataclass(frozen=True, slots=True)
class Block:
    """Frames that were committed together; `frames[i]` has the number `first + i`."""

    first: int
    frames: tuple[Frame, ...]

    @property
    def last(self) -> int:
        return self.first + len(self.frames) - 1
