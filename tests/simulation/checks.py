"""What must hold in every second of a day, and at its end; each is told by its name, the seed and the time."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping

from gateway.control.capability import QUANTITY_OF, from_point
from gateway.control.cycle import Outcome
from gateway.control.functions import BY_NAME, CONNECTION, REACTIVE
from gateway.model import Ack, Activation, SetPoint, Status
from tests.simulation.plan import Plan
from tests.simulation.site import RATED_W, Site

LAST_WORDS = frozenset(
    {Status.REJECTED, Status.COMPLETED, Status.CANCELLED, Status.SUPERSEDED, Status.EXPIRED, Status.FAILED}
)
NEXT: Mapping[Status | None, frozenset[Status]] = {
    None: frozenset({Status.RECEIVED}),
    Status.RECEIVED: frozenset({Status.ACCEPTED, Status.REJECTED}),
    Status.ACCEPTED: frozenset({Status.STARTED, Status.EXPIRED, Status.FAILED, Status.CANCELLED, Status.SUPERSEDED}),
    Status.STARTED: frozenset({Status.EFFECTIVE, Status.FAILED, Status.CANCELLED, Status.SUPERSEDED}),
    Status.EFFECTIVE: frozenset({Status.DEVIATING, Status.COMPLETED, Status.CANCELLED, Status.SUPERSEDED}),
    Status.DEVIATING: frozenset({Status.EFFECTIVE, Status.COMPLETED, Status.CANCELLED, Status.SUPERSEDED}),
}
"""Of the contract, section 4; written down once more, so that the gateway's table is checked by another one."""

SETTLING_S = 40.0
"""After any change of what is ordered: 3 s of dead time, 10 s to 90 %, read every 5 s, one device after another."""
TOLERANCE_W = 0.03 * RATED_W
"""The load wanders by up to 1 kW in a device's dead time, and the gateway's own tolerance is 2 %."""
BEGUN_S = 30
"""From its turn until it is written: an interval of polls, and a register that has to be read and journaled first."""
TOLD_S = 20
"""A meter that says nothing is waited for 10 s after a start; then 2 s of deviation are told."""
EXCUSED_SHARE = 0.01
"""Of the healthy seconds under a limit: a cloud's edge on a slow device may pass it for a few of them."""


class Checks:
    """Looks on while a day passes; `broken` has a sentence for each thing that must not be."""

    def __init__(self, site: Site, plan: Plan, name: str) -> None:
        self.broken: list[str] = []
        self.seen: Counter[str] = Counter()
        self.writes: Counter[str] = Counter()
        self.found: list[str] = []
        self._site, self._plan, self._name = site, plan, name
        self._before = {
            (machine.id, point): value
            for machine in site.devices.values()
            for point, value in machine.registers.items()
        }
        self._ended: dict[tuple[str, int], Status] = {}
        self._healthy_from = 0.0
        self._changed = 0.0
        self._standing: object = None
        self._waiting: dict[tuple[str, int], float] = {}
        self._untrue: dict[tuple[str, int], float] = {}
        self._under_limit = self._above_limit = 0
        self._worst = (0.0, 0.0, 0.0)
        site.on_write, site.on_tick, site.on_restart = self._written, self._ticked, self._restarted

    def fail(self, check: str, detail: str) -> None:
        self.broken.append(f"{check}: {detail} ({self._name}, {self._site.mono:.0f} s)")

    def unhealthy(self, until: float) -> None:
        self._healthy_from = max(self._healthy_from, until)

    # In every tick

    def _ticked(self, outcome: Outcome) -> None:
        for reply in outcome.replies:
            if reply.ack.status in LAST_WORDS:
                self._ended[reply.ack.id, reply.ack.revision] = reply.ack.status

    def _restarted(self) -> None:
        """What was said and never committed was never said."""
        committed = {(ack.id, ack.revision): ack.status for ack in self._site.acks if ack.status in LAST_WORDS}
        self._ended = committed

    def _written(self, setpoint: SetPoint, outcome: Outcome) -> None:
        site = self._site
        self.writes[setpoint.point] += 1
        self.seen["writes"] += 1
        if setpoint.point not in site.holds:
            self.fail("held before written", f"{setpoint.point} is written and the journal does not hold it")
        if setpoint.cause == "release":
            self._given_back(setpoint)
        else:
            self._asked_for(setpoint, outcome)
        self._possible(setpoint)

    def _given_back(self, setpoint: SetPoint) -> None:
        device, _, name = setpoint.point.partition(".")
        if setpoint.value != self._before[device, name]:
            self.fail("given back as it was", f"{setpoint.point} is given back as {setpoint.value}")

    def _asked_for(self, setpoint: SetPoint, outcome: Outcome) -> None:
        """Every cause is an order in its time that speaks of this quantity, or one of the gateway's own."""
        site, (device, _, name) = self._site, setpoint.point.partition(".")
        causes = setpoint.cause.split()
        if not causes:
            self.fail("asked for", f"{setpoint.point} = {setpoint.value} has no cause")
        for cause in causes:
            if cause.startswith(("fallback:", "ramp:")):
                continue
            revisions = [order for (id_, _), order in self._plan.orders.items() if id_ == cause]
            living = [one for one in revisions if (one.id, one.revision) not in self._ended]
            if not living:
                said = [self._ended[one.id, one.revision] for one in revisions]
                self.fail("no write after the end", f"{setpoint.point} is written for {cause}, which is {said}")
            now = site.now.wall
            if living and not any((one.start or now) <= now and (one.end is None or now < one.end) for one in living):
                self.fail("within its time", f"{setpoint.point} is written for {cause} outside of its time")
            withdrawn = self._plan.withdrawn.get(cause)
            if living and withdrawn is not None and withdrawn + 1 < site.mono:
                self.fail("no write after the end", f"{setpoint.point} is written for {cause}, which was cancelled")
            for one in living:
                quantity = BY_NAME[one.function].quantity
                if one.target not in {"pcc", "plant", device}:
                    self.fail("asked for", f"{setpoint.point} is written for {cause}, which speaks of {one.target}")
                gives_way = self._limited_by_va(device) and quantity == REACTIVE  # active power, to reactive power
                if quantity not in {QUANTITY_OF[name], CONNECTION} and not gives_way:
                    self.fail("asked for", f"{setpoint.point} is written for {cause}, which speaks of {quantity}")

    def _limited_by_va(self, device: str) -> bool:
        return any(der.id == device and der.pq is not None for der in self._site.plant.ders)

    def _possible(self, setpoint: SetPoint) -> None:
        device, _, name = setpoint.point.partition(".")
        machine = self._site.devices[device]
        if setpoint.value is None or isinstance(setpoint.value, str):
            return
        value = from_point(self._site.image.point(setpoint.point), setpoint.value)
        lo, hi = {
            "active_power_limit": (0.0, machine.rated_w),
            "active_power_setpoint": (-machine.rated_w, machine.rated_w),
            "reactive_power_setpoint": (-machine.converter.parameters.rated_va, machine.converter.parameters.rated_va),
            "connect": (0.0, 1.0),
        }[name]
        if not lo - 1e-6 <= value <= hi + 1e-6:
            self.fail("within the device's band", f"{setpoint.point} = {value:g}, it can do {lo:g} to {hi:g}")

    def second(self) -> None:
        """After every second: who is in force, is it said truly, and is the limit at the PCC kept?"""
        self._one_each()
        self._begun()
        self._told_truly()
        self._limit()

    def _one_each(self) -> None:
        """Of an issuer, one order a target and function is in force."""
        places: set[tuple[str, ...]] = set()
        for tracked in self._site.state.orders.open.values():
            order, entry = tracked.entry.activation, tracked.entry
            if order is None or not entry.engaged:
                continue
            place = (entry.uplink, order.issuer, order.target, BY_NAME[order.function].room)
            if place in places:
                self.fail("one in force", f"{entry.id} is one of two in force for {place}")
            places.add(place)

    def _begun(self) -> None:
        """What has been accepted begins to act, while all is well and nothing at its target is to be off the grid."""
        site = self._site
        off = site.state.steering.off
        waiting = {
            key
            for key, tracked in site.state.orders.open.items()
            if tracked.entry.engaged
            and tracked.entry.status is Status.ACCEPTED
            # A device's own curve is written only while it decides.
            and (self._plan.orders[key].function, self._plan.orders[key].target) != ("volt_var", "inv2")
            and not (off and self._plan.orders[key].target in {"pcc", "plant", *off})
        }
        self._waiting = {key: self._waiting.get(key, site.mono) for key in waiting}
        for (id_, revision), since in self._waiting.items():
            if site.mono - max(since, self._healthy_from) == BEGUN_S:
                order = self._plan.orders[id_, revision]
                self.fail("it begins", f"{id_} ({order.function} at {order.target}) is not written after {BEGUN_S} s")

    def _told_truly(self) -> None:
        """No order stays effective while the power itself, not only its measurement, says otherwise."""
        site = self._site
        now = site.now.wall
        untrue = set()
        for key, tracked in site.state.orders.open.items():
            order = tracked.entry.activation
            if order is None or tracked.entry.status is not Status.EFFECTIVE or order.target != "pcc":
                continue
            value = _value_of(order, now)
            if value is None or order.function not in {"limit_active_power", "set_active_power"}:
                continue
            off = site.pcc_w - value * (RATED_W / 100.0 if order.unit == "%" else 1.0)
            if off > TOLERANCE_W or (off < -TOLERANCE_W and order.function == "set_active_power"):
                untrue.add(key)
        self._untrue = {key: self._untrue.get(key, site.mono) for key in untrue}
        for (id_, _), since in self._untrue.items():
            if site.mono - since == TOLD_S:
                self.fail("effective is true", f"{id_} is called effective for {TOLD_S} s at {site.pcc_w:.0f} W")

    def _limit(self) -> None:
        site = self._site
        now = site.now.wall
        in_force = {}
        for (id_, revision), entry in site.state.orders.open.items():
            order = entry.entry.activation
            if order is not None and entry.entry.engaged:
                in_force[id_, revision] = _value_of(order, now)
        standing = (tuple(sorted(in_force.items())), site.frequency_hz, site.state.steering.losses.standing)
        if standing != self._standing:
            self._standing, self._changed = standing, site.mono
        limits = [
            value * (RATED_W / 100.0 if order.unit == "%" else 1.0)
            for (id_, revision), value in in_force.items()
            if (order := self._plan.orders[id_, revision]).target == "pcc"
            and order.function in {"limit_active_power", "limit_export"}
            and order.mean_s is None
            and order.ramp_up is None
            and value is not None
        ]
        if not limits or site.mono < self._healthy_from or site.mono - self._changed < SETTLING_S:
            return
        self._under_limit += 1
        above = site.pcc_w - min(limits)
        if above > TOLERANCE_W:
            self._above_limit += 1
            self._worst = max(self._worst, (above, site.mono, min(limits)))

    # At the end of the day

    def end(self) -> None:
        site = self._site
        self.seen["acks"] = len(site.acks)
        self.seen["seconds under a limit"] = self._under_limit
        self.seen["seconds above it"] = self._above_limit
        self._lives(site.acks)
        if self._above_limit > EXCUSED_SHARE * self._under_limit:
            above, at, limit = self._worst
            self.fail(
                "limit at the PCC",
                f"{self._above_limit} of {self._under_limit} s above it, the most by {above:.0f} W over {limit:.0f} W"
                f" at {at:.0f} s",
            )
        for (device, name), before in self._before.items():
            if (stands := site.devices[device].registers[name]) != before:
                self.fail("everything given back", f"{device}.{name} is {stands}, and was {before}")
        if site.holds:
            self.fail("everything given back", f"the journal still holds {', '.join(sorted(site.holds))}")
        for id_, revision in site.state.orders.open:
            self.fail("one last word", f"{id_} revision {revision} is still open")

    def _lives(self, acks: list[Ack]) -> None:
        numbers: dict[str, dict[int, Ack]] = defaultdict(dict)
        lives: dict[tuple[str, int], list[Status]] = defaultdict(list)
        for ack in acks:
            known = numbers[ack.id].get(ack.n)
            if known is not None and (known.revision, known.status) == (ack.revision, ack.status):
                continue  # the answer to a repetition
            if known is not None or ack.n != len(numbers[ack.id]) + 1:
                self.fail("counted without a gap", f"{ack.id}: {ack.n} after {sorted(numbers[ack.id])}")
            numbers[ack.id][ack.n] = ack
            lives[ack.id, ack.revision].append(ack.status)
        for key, life in lives.items():
            self.seen[life[-1].value] += 1
            for before, after in zip([None, *life], life, strict=False):
                if after not in NEXT.get(before, ()):
                    self.fail("a legal life", f"{key[0]} revision {key[1]}: {before} → {after} in {life}")
            if life[-1] not in LAST_WORDS:
                self.fail("one last word", f"{key[0]} revision {key[1]} ends with {life[-1]}")
        unanswered = {key for key in self._plan.orders if key not in lives}
        self.seen["lost with the journal"] = len(unanswered)


def _value_of(order: Activation, now: float) -> float | None:
    if order.schedule is None:
        return order.value
    step = int((now - (order.start or 0.0)) // order.schedule.resolution_s)
    return order.schedule.values[min(max(step, 0), len(order.schedule.values) - 1)]
