"""What holds for every combination of orders, whatever they say, and for every sequence in which they come and go."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import hypot

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.characteristic import Droop
from gateway.control.arbitration import Order, Ruling, level_of, rule
from gateway.control.capability import LIMIT, REACTIVE_SETPOINT, SETPOINT, Build, DerNow
from gateway.control.cycle import Inputs, Outcome, tick
from gateway.control.dispatch import Total, dispatch_active, dispatch_reactive, within_ratings
from gateway.control.fallback import UPLINK
from gateway.control.functions import ACTIVE, FUNCTIONS, LEVELS, REACTIVE
from gateway.control.functions.statement import Statement
from gateway.control.plant import Action, Der, Fallback
from gateway.control.pq import PqCapability, d_shape
from gateway.model import Band, Cancellation, Kind, Nameplate, Point, Setting, Status
from tests.unit.control.world import Device, World, order

LITTLE = 1e-6
"""W or var: the rounding of a sum of some shares."""
LEVEL = {name: number for number, (name, _) in enumerate(LEVELS)}

powers = st.sampled_from([-100.0, -30.0, 0.0, 30.0, 60.0, 100.0]) | st.floats(-150, 150)
edges = st.none() | powers


@st.composite
def capabilities(draw: st.DrawFn) -> Band:
    lo, hi = sorted((draw(powers), draw(powers)))
    return Band(lo, hi)


@st.composite
def orders(draw: st.DrawFn, quantity: str | None = None) -> list[Order]:
    """Orders of one quantity as the arbitration sees them; also such whose floor is above their ceiling."""
    quantity = quantity or draw(st.sampled_from([ACTIVE, REACTIVE]))
    functions = [function for function in FUNCTIONS if function.quantity == quantity]
    found = []
    for number in range(draw(st.integers(0, 6))):
        function = draw(st.sampled_from(functions))
        kind = draw(st.sampled_from(Kind))
        value = draw(powers)
        says = Statement(draw(edges), draw(edges)) if function.is_limit else Statement(value, value)
        found.append(
            Order(
                source=f"o{number}",
                kind=kind,
                target="x",
                function=function,
                statement=says,
                rank=(LEVEL[level_of(function)], list(Kind).index(kind), draw(st.integers(-20, 0)), -number),
                wanted=says,
                setting="curve" if function.point and draw(st.booleans()) else None,
            )
        )
    return found


@given(capability=capabilities(), all_=orders())
def test_no_order_ever_widens_the_band(capability: Band, all_: list[Order]) -> None:
    band = rule(capability, all_).band

    assert capability.lo <= band.lo <= band.hi <= capability.hi


@given(capability=capabilities(), all_=orders(), data=st.data())
def test_what_an_earlier_level_left_is_never_left_by_a_later_one(
    capability: Band, all_: list[Order], data: st.DataObject
) -> None:
    level = data.draw(st.sampled_from(list(LEVEL)))
    earlier = [one for one in all_ if LEVEL[level_of(one.function)] <= LEVEL[level]]
    allowed, band = rule(capability, earlier).band, rule(capability, all_).band

    assert allowed.lo <= band.lo
    assert band.hi <= allowed.hi


@given(capability=capabilities(), all_=orders(), data=st.data())
def test_the_order_in_which_orders_are_looked_at_does_not_matter(
    capability: Band, all_: list[Order], data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(all_))

    assert rule(capability, shuffled) == rule(capability, all_)


@given(capability=capabilities(), all_=orders())
def test_one_more_limit_is_never_a_relief_for_the_limits_alone(capability: Band, all_: list[Order]) -> None:
    """Limits combine: with one taken away, the band of the others is at least as wide on the side it speaks of."""
    ceilings = [one for one in all_ if one.function.is_limit and one.statement.lo is None]
    band = rule(capability, ceilings).band
    for number in range(len(ceilings)):
        assert rule(capability, [*ceilings[:number], *ceilings[number + 1 :]]).band.hi >= band.hi


@given(capability=capabilities(), lo=edges, hi=edges)
def test_a_statement_whose_floor_is_above_its_ceiling_leaves_a_band_nevertheless(
    capability: Band, lo: float | None, hi: float | None
) -> None:
    narrowed = capability.narrow(lo, hi)

    assert capability.lo <= narrowed.lo <= narrowed.hi <= capability.hi


# Sharing among devices


@st.composite
def ders(draw: st.DrawFn, kinds: tuple[str, ...] = ("pv", "settable", "battery")) -> dict[str, DerNow]:
    """Devices in a moment that may be, by id; battery and settable ones take a set-point, the others a limit."""
    found = {}
    for number in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from(kinds))
        rated = draw(st.sampled_from([10.0, 30.0, 100.0]))
        storage = kind == "battery"
        active = Band(-rated if storage else 0.0, rated)
        possible = active.narrow(
            lo=0.0 if storage and draw(st.booleans()) else None, hi=0.0 if storage and draw(st.booleans()) else None
        )
        shape = draw(st.sampled_from([None, d_shape(0.44)])) if not storage else None
        pq = PqCapability(rated, 1.1 * rated, shape) if shape else draw(st.none() | st.just(PqCapability(rated, rated)))
        names = [LIMIT if kind == "pv" else SETPOINT, REACTIVE_SETPOINT]
        id_ = f"d{number}"
        der = Der(
            id_,
            "battery" if storage else "pv",
            rated,
            merit=draw(st.sampled_from([0.0, 1.0])),
            pq=pq,
            priority=draw(st.sampled_from(["reactive", "active", "power_factor"])),
        )
        points = tuple(Point(f"{id_}.{name}", "W", writable=True) for name in names)
        build = Build.of(der, Nameplate(id_, points, rated_power_w=rated))
        assert build is not None
        found[id_] = DerNow(
            id=id_,
            der=der,
            build=build,
            rated_w=build.rated_w,
            rated_va=build.rated_va,
            online=True,
            active=active,
            possible=possible,
            reachable=possible,
            reactive=build.reactive,
            points=build.points,
            active_power=draw(st.none() | st.floats(active.lo, active.hi)),
            reactive_power=None,
            soc=draw(st.none() | st.floats(0, 100)) if storage else None,
            energy_wh=draw(st.none() | st.just(2.0 * rated)),
        )
    return found


strategies = st.sampled_from(["proportional", "merit", "soc"])
totals = st.builds(Total, edges, edges, edges)


def free(devices: Mapping[str, DerNow], quantity: str = ACTIVE) -> dict[str, Ruling]:
    return {id_: Ruling(der.active if quantity == ACTIVE else der.reactive) for id_, der in devices.items()}


@given(devices=ders(), total=totals, strategy=strategies, data=st.data())
def test_no_device_is_asked_for_what_it_cannot_do(
    devices: dict[str, DerNow], total: Total, strategy: str, data: st.DataObject
) -> None:
    active_rulings = {id_: rule(der.active, data.draw(orders(ACTIVE))) for id_, der in devices.items()}
    reactive_rulings = {id_: rule(der.reactive, data.draw(orders(REACTIVE))) for id_, der in devices.items()}
    taken = {id_: der.active_power for id_, der in devices.items() if der.active_power is not None and der.is_storage}

    active, now_taken = dispatch_active(total, devices, active_rulings, taken, strategy, {})  # type: ignore[arg-type]
    reactive = dispatch_reactive(data.draw(edges), devices, reactive_rulings, active)
    active, reactive = within_ratings(active, reactive, devices)

    assert set(now_taken) <= set(devices)
    for point, power in (active | reactive).items():
        device, _, name = point.partition(".")
        der = devices[device]
        assert name in der.points, f"{point} cannot be written"
        band = der.reactive if name == REACTIVE_SETPOINT else der.active
        assert band.lo - LITTLE <= power <= band.hi + LITTLE, f"{point} is asked for {power}, and can do {band}"
    for id_, der in devices.items():
        p, q = active.get(f"{id_}.{SETPOINT}"), reactive.get(f"{id_}.{REACTIVE_SETPOINT}")
        if p is not None and q is not None and der.der.pq is not None:
            assert hypot(p, q) <= der.der.pq.rated_va * (1 + LITTLE), f"{id_}: {p} W and {q} var at once"


@given(devices=ders(), total=totals, strategy=strategies, data=st.data())
def test_no_device_leaves_the_band_of_its_own_orders(
    devices: dict[str, DerNow], total: Total, strategy: str, data: st.DataObject
) -> None:
    rulings = {id_: rule(der.active, data.draw(orders(ACTIVE))) for id_, der in devices.items()}
    active, _ = dispatch_active(total, devices, rulings, {}, strategy, {})  # type: ignore[arg-type]

    for point, power in active.items():
        band = rulings[point.partition(".")[0]].band
        assert power <= band.hi + LITTLE, f"{point} is asked for {power}, its orders leave {band}"


@given(devices=ders(("settable", "battery")), setpoint=powers, strategy=strategies)
def test_what_is_shared_of_a_setpoint_is_the_setpoint_or_the_nearest_that_can_be_reached(
    devices: dict[str, DerNow], setpoint: float, strategy: str
) -> None:
    active, _ = dispatch_active(Total(setpoint=setpoint), devices, free(devices), {}, strategy, {})  # type: ignore[arg-type]
    can = Band(sum(der.possible.lo for der in devices.values()), sum(der.possible.hi for der in devices.values()))

    assert sum(active.values()) == pytest.approx(can.clamp(setpoint), abs=LITTLE)


@given(devices=ders(("pv",)), limit=powers, strategy=strategies)
def test_what_is_shared_of_a_limit_is_all_of_it_and_no_more(
    devices: dict[str, DerNow], limit: float, strategy: str
) -> None:
    active, _ = dispatch_active(Total(limit=limit), devices, free(devices), {}, strategy, {})  # type: ignore[arg-type]
    rated = sum(der.rated_w for der in devices.values())

    assert sum(active.values()) == pytest.approx(Band(0.0, rated).clamp(limit), abs=1e-3)


@given(devices=ders(), setpoint=powers)
def test_what_is_shared_of_reactive_power_is_all_of_it_or_the_nearest_that_can_be_reached(
    devices: dict[str, DerNow], setpoint: float
) -> None:
    plain = {id_: der for id_, der in devices.items() if der.der.pq is None}
    reactive = dispatch_reactive(setpoint, plain, free(plain, REACTIVE), {})
    rated = sum(der.rated_va for der in plain.values())

    assert sum(reactive.values()) == pytest.approx(Band(-rated, rated).clamp(setpoint), abs=LITTLE)


# Orders that come and go


class Site(World):
    """While its journal does not work, all that is to be committed waits for it, as in the daemon."""

    def __init__(self, *devices: Device) -> None:
        super().__init__(*devices)
        self.uncommitted: list[Outcome] = []

    def restart(self) -> None:
        self.uncommitted.clear()
        super().restart()

    def _tick(self) -> None:
        inputs = Inputs(self.image.snapshot(self.now), self.inbox, self.journaled)
        self.inbox = []
        self.state, self.outcome = tick(self.plant, self.state, inputs)
        self.uncommitted.append(self.outcome)
        for setpoint in self.outcome.setpoints:
            self._write(setpoint)
        while self.journal_works and self.uncommitted:
            done = self.uncommitted.pop(0)
            self.journaled = done.serial
            self.journal |= {(entry.id, entry.revision): entry for entry in done.entries}
            self.holds |= {hold.point: hold for hold in done.holds}
            for point in done.released:
                del self.holds[point]
            self.acks += [(r.ack.id, r.ack.revision, r.ack.n, r.ack.status, r.ack.code) for r in done.replies]


def _device(world: World) -> Device:
    return world.devices["inv1"]


STEPS: dict[str, Callable[[World, str], None]] = {
    "limit": lambda world, id_: world.send(order(world, id_, value=30.0)),
    "limit of the device": lambda world, id_: world.send(order(world, id_, target="inv1", value=20_000.0, unit="W")),
    "set-point": lambda world, id_: world.send(
        order(world, id_, function="set_active_power", value=15_000.0, unit="W")
    ),
    "reactive": lambda world, id_: world.send(
        order(world, id_, function="set_reactive_power", value=5_000.0, unit="var", target="plant")
    ),
    "connect": lambda world, id_: world.send(order(world, id_, function="connect", value=None, unit="", target="inv1")),
    "disconnect": lambda world, id_: world.send(
        order(world, id_, function="disconnect", value=None, unit="", target="plant")
    ),
    "short": lambda world, id_: world.send(order(world, id_, value=10.0, end=world.now.wall + 1.5)),
    "cancelled": lambda world, id_: world.send(Cancellation(world.acks[-1][0] if world.acks else "none", 9)),
    "offline": lambda world, id_: setattr(_device(world), "online", False),
    "online": lambda world, id_: setattr(_device(world), "online", True),
    "refusing": lambda world, id_: setattr(_device(world), "refuses", True),
    "obeying": lambda world, id_: setattr(_device(world), "refuses", False),
    "no journal": lambda world, id_: setattr(world, "journal_works", False),
    "journal": lambda world, id_: setattr(world, "journal_works", True),
    "restart": lambda world, id_: world.restart(),
    "foreign": lambda world, id_: _overwrite(world),
}


def _overwrite(world: World) -> None:
    """Another writer changes what we hold; what has been given back, known to the journal or not, is not ours."""
    writes = world.state.writes
    for point in writes.held:
        if point in writes.offered and writes.offered[point].back:
            continue
        name = point.partition(".")[2]
        _device(world).registers[name] = 0.0 if name == "connect" else 7_000.0


@settings(max_examples=60, deadline=None)
@example(
    steps=[("short", 0.1), ("no journal", 4.0), ("foreign", 0.1)],
    before={LIMIT: None, REACTIVE_SETPOINT: None, "connect": 1.0},
)
@given(
    steps=st.lists(st.tuples(st.sampled_from(list(STEPS)), st.sampled_from([0.1, 0.5, 4.0])), min_size=1, max_size=8),
    before=st.fixed_dictionaries(
        {
            LIMIT: st.none() | st.sampled_from([18_000.0, 40_000.0]),
            REACTIVE_SETPOINT: st.none() | st.sampled_from([0.0, 5_000.0]),
            "connect": st.just(1.0),
        }
    ),
)
def test_whatever_was_ordered_what_stood_before_is_given_back(
    steps: list[tuple[str, float]], before: dict[str, Setting | None]
) -> None:
    pv = Device("inv1", 60_000.0, 55_000.0, names=(LIMIT, REACTIVE_SETPOINT, "connect"))
    pv.registers |= before
    world = Site(pv)
    world.run(1.5)
    for number, (name, seconds) in enumerate(steps):
        STEPS[name](world, f"o{number}")
        world.run(seconds)
    pv.online, pv.refuses, world.journal_works = True, False, True
    world.run(0.2)
    for number in range(len(steps)):
        world.send(Cancellation(f"o{number}", 9))
    world.run(9)

    assert pv.registers == before
    assert world.holds == {}
    last_words = {Status.REJECTED, Status.CANCELLED, Status.COMPLETED, Status.SUPERSEDED, Status.EXPIRED, Status.FAILED}
    for id_ in {id_ for id_, *_ in world.acks}:
        different = sorted({(n, revision, status) for one, revision, n, status, _ in world.acks if one == id_})
        assert [n for n, *_ in different] == list(range(1, len(different) + 1)), f"{id_} is counted {different}"
        assert world.said(id_)[-1] in last_words, f"{id_} has not ended: {world.said(id_)}"


def test_a_value_overwritten_by_another_is_given_back_also_when_the_order_wanted_just_that() -> None:
    pv = Device("inv1", 60_000.0, 55_000.0, names=(LIMIT, "connect"))
    world = World(pv)
    world.run(1.5)
    world.send(order(world, function="connect", value=None, unit="", target="inv1"))
    world.run(5)
    pv.registers["connect"] = 0.0
    world.send(Cancellation("a", 1))
    world.run(5)

    assert pv.registers["connect"] == 1.0
    assert world.holds == {}


def test_active_power_that_gives_way_to_reactive_power_is_written_for_the_order_of_the_reactive_power() -> None:
    pv = Device("inv1", 60_000.0, 60_000.0)
    world = World(pv, load_w=0.0, how={"inv1": Der("inv1", "pv", 60_000.0, pq=PqCapability(60_000.0, 60_000.0))})
    world.run(5)
    world.send(order(world, "q", target="inv1", function="set_reactive_power", value=26_400.0, unit="var"))
    causes: dict[str, str] = {}
    for _ in range(50):
        world.step()
        assert world.outcome is not None
        causes |= {one.point: one.cause for one in world.outcome.setpoints}
        if world.outcome.decision.wishes:
            causes |= {point: wish.cause for point, wish in world.outcome.decision.wishes.items()}

    assert causes == {"inv1.active_power_limit": "q", "inv1.reactive_power_setpoint": "q"}


def test_a_limit_that_does_not_bind_is_written_beside_a_set_point_of_the_plant_too() -> None:
    pv = Device("inv1", 60_000.0, 20_000.0)
    world = World(pv, Device("bat1", 30_000.0, 0.0, role="battery", names=(SETPOINT,)), load_w=0.0, rated_w=90_000.0)
    world.run(5)
    world.send(order(world, "s", target="plant", function="set_active_power", value=30_000.0, unit="W"))
    world.send(order(world, target="inv1", value=100.0))
    world.run(15)

    assert pv.registers[LIMIT] == 60_000.0
    assert world.said()[-1] is Status.EFFECTIVE


def test_a_floor_never_holds_back_a_source_that_takes_only_limits() -> None:
    pv = Device("inv1", 60_000.0, 20_000.0)
    world = World(pv, load_w=0.0)
    world.frequency_hz = 50.0
    world.run(5)
    droop = Droop(deadband_hz=0.2, droop=0.05, sides="under", reference="nominal")
    world.send(order(world, target="inv1", function="frequency_droop", value=None, unit="", droop=droop))
    world.run(5)
    world.frequency_hz = 49.5
    world.run(5)
    pv.available_w = 50_000.0
    world.run(15)

    assert pv.power_w == pytest.approx(50_000.0, rel=0.02)
    assert pv.registers[LIMIT] is None


def test_an_order_that_a_fallback_has_let_go_is_no_longer_called_effective() -> None:
    pv = Device("inv1", 60_000.0, 55_000.0)
    world = World(pv, load_w=0.0, fallbacks={UPLINK: Fallback(10.0, Action("release"))})
    world.heard = {"dso": world.mono + 1_000}
    world.run(5)
    world.send(order(world))
    world.run(10)
    world.heard = {"dso": world.mono}
    world.run(15)
    assert (world.said()[-1], world.code()) == (Status.DEVIATING, "overridden")
    world.heard = {"dso": world.mono + 1_000}
    world.run(10)

    assert world.said()[-1] is Status.EFFECTIVE
