"""Who decides, and why: told of every order in force, by the rules as they are."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.characteristic import Droop
from gateway.control.arbitration import Order, rule
from gateway.control.capability import Known, View, ders_now
from gateway.control.explain import Explained, Place, abilities_of, explain, rules_of
from gateway.control.fallback import METER as METER_LOST
from gateway.control.fallback import UPLINK
from gateway.control.functions import BY_NAME, FUNCTIONS, LEVELS
from gateway.control.functions.statement import Statement
from gateway.control.plant import Action, Authority, Der, Fallback, Plant, Ramps
from gateway.control.steering import Decision
from gateway.image import Image
from gateway.model import Band, Instant, Kind, Nameplate, Point, Ramp
from tests.unit.control.world import Device, World, order

LEVEL = {function.name: float(level) for level, (_, functions) in enumerate(LEVELS) for function in functions}
NOW = Instant(1_800_000_000.0, 100.0)
SITE = Plant(rated_power_w=60_000.0, pcc="pcc", ders=(Der("inv1", "pv", 60_000.0),), devices=frozenset({"pcc", "inv1"}))


METER = Nameplate("pcc", (Point("pcc.active_power", "W"), Point("pcc.voltage_l1", "V")))
INVERTER = Nameplate("inv1", (Point("inv1.active_power", "W"), Point("inv1.active_power_limit", "W", writable=True)))


def view_of(plant: Plant, *plates: Nameplate) -> View:
    snapshot = Image(plates).snapshot(NOW)
    return View(plant, ders_now(plant, Known(), snapshot), snapshot)


def said(
    source: str,
    function: str,
    lo: float | None = None,
    hi: float | None = None,
    kind: float = 1,
    setting: str | None = None,
) -> Order:
    rank = (LEVEL[function], kind, -10.0, 0.0)
    target = "pcc" if setting is None else "inv1"
    statement = Statement(lo, hi)
    return Order(source, Kind.DSO, target, BY_NAME[function], statement, rank, wanted=statement, setting=setting)


def place(*orders: Order) -> Place:
    """What a decision on the capability of +-60 kW says of its one quantity."""
    target, quantity = orders[0].target, orders[0].function.quantity
    ruling = rule(Band(-60_000.0, 60_000.0), orders)
    [found] = explain(Decision({(target, quantity): ruling}, {}), view_of(SITE, INVERTER), ()).places
    return found


LIMIT, IMPORT, SET = "limit_active_power", "limit_import", "set_active_power"

FATES = [
    pytest.param(
        [said("a", LIMIT, hi=30e3), said("b", LIMIT, hi=24e3, kind=3)],
        {"ceiling": "b"},
        {"a": ((), "b"), "b": (("ceiling",), None)},
        id="the-tighter-limit-decides-whatever-its-kind",
    ),
    pytest.param(
        [said("a", LIMIT, hi=30e3), said("b", LIMIT, hi=30e3, kind=3)],
        {"ceiling": "a"},
        {"a": (("ceiling",), None), "b": ((), None)},
        id="a-limit-that-says-the-same-is-not-overruled",
    ),
    pytest.param(
        [said("a", LIMIT, hi=90e3)],
        {"ceiling": "capability"},
        {"a": ((), "capability")},
        id="a-limit-beyond-what-can-be-leaves-it-to-capability",
    ),
    pytest.param(
        [said("up", IMPORT, lo=-20e3), said("down", LIMIT, hi=50e3, kind=3)],
        {"ceiling": "down", "floor": "up"},
        {"up": (("floor",), None), "down": (("ceiling",), None)},
        id="a-floor-and-a-ceiling-decide-an-edge-each",
    ),
    pytest.param(
        [said("up", IMPORT, lo=-20e3), said("down", LIMIT, hi=-30e3, kind=3)],
        {"ceiling": "up", "floor": "up"},
        {"up": (("floor",), None), "down": ((), "up")},
        id="a-floor-that-ranks-higher-keeps-a-ceiling-up",
    ),
    pytest.param(
        [said("down", LIMIT, hi=-30e3), said("up", IMPORT, lo=-20e3, kind=3)],
        {"ceiling": "down", "floor": "down"},
        {"down": (("ceiling",), None), "up": ((), "down")},
        id="a-ceiling-that-ranks-higher-keeps-a-floor-down",
    ),
    pytest.param(
        [said("up", IMPORT, lo=-20e3), said("lower", IMPORT, lo=-40e3, kind=3)],
        {"floor": "up"},
        {"up": (("floor",), None), "lower": ((), "up")},
        id="the-tighter-floor-decides",
    ),
    pytest.param(
        [said("a", SET, 10e3, 10e3), said("b", SET, 20e3, 20e3, kind=3)],
        {"set-point": "a"},
        {"a": (("set-point",), None), "b": ((), "a")},
        id="of-set-points-the-first-in-rank",
    ),
    pytest.param(
        [said("a", SET, 40e3, 40e3), said("b", LIMIT, hi=30e3, kind=3)],
        {"set-point": "b"},
        {"a": (("set-point",), "b"), "b": (("ceiling",), None)},
        id="a-set-point-beyond-a-limit-is-held-by-it",
    ),
    pytest.param(
        [said("a", SET, -40e3, -40e3), said("b", IMPORT, lo=-30e3, kind=3)],
        {"set-point": "b"},
        {"a": (("set-point",), "b"), "b": (("floor",), None)},
        id="a-set-point-beyond-a-floor-is-held-by-it",
    ),
    pytest.param(
        [said("a", SET, 20e3, 20e3), said("b", LIMIT, hi=30e3, kind=3)],
        {"set-point": "a"},
        {"a": (("set-point",), None), "b": (("ceiling",), None)},
        id="a-set-point-within-a-limit-decides",
    ),
    pytest.param(
        [said("a", SET, 70e3, 70e3), said("b", LIMIT, hi=90e3)],
        {"set-point": "capability"},
        {"a": (("set-point",), "capability"), "b": (("ceiling",), None)},
        id="a-set-point-beyond-what-can-be",
    ),
    pytest.param(
        [said("f", "frequency_droop"), said("a", SET, 10e3, 10e3)],
        {"set-point": "a"},
        {"f": ((), None), "a": (("set-point",), None)},
        id="a-droop-in-its-deadband-has-no-part",
    ),
    pytest.param(
        [said("f", "frequency_droop", hi=5e3), said("a", SET, 10e3, 10e3)],
        {"set-point": "f"},
        {"f": (("ceiling",), None), "a": (("set-point",), "f")},
        id="frequency-moves-a-set-point",
    ),
    pytest.param(
        [said("off", "disconnect", 0.0, 0.0), said("on", "connect", 1.0, 1.0, kind=3)],
        {"connection": "off"},
        {"off": (("connection",), None), "on": ((), "off")},
        id="of-connections-the-first-in-rank",
    ),
    pytest.param(
        [said("v", "volt_var", setting="curve"), said("q", "set_reactive_power", 1e3, 1e3, kind=3)],
        {"device": "v"},
        {"v": (("device",), None), "q": ((), "v")},
        id="a-curve-given-to-the-device-stands-before-a-set-point",
    ),
    pytest.param(
        [said("w", "volt_watt", setting="curve"), said("x", "volt_watt", setting="other", kind=3)],
        {},
        {"w": (("device",), None), "x": ((), "w")},
        id="of-limits-given-to-the-device-the-first-of-each-function",
    ),
    pytest.param(
        [said("r", "reserve", lo=-29e3, hi=80e3)],
        {"ceiling": "capability", "floor": "r"},
        {"r": (("floor",), "capability")},
        id="of-a-statement-with-two-edges-one-is-left-to-capability",
    ),
    pytest.param(
        [said("r", "reserve", lo=5e3, hi=-5e3)],
        {"ceiling": "r", "floor": "capability"},
        {"r": (("ceiling",), "capability")},
        id="a-reserve-that-nothing-there-could-give",
    ),
    pytest.param(
        [said("down", LIMIT, hi=-10e3), said("up", IMPORT, lo=0.0, kind=2), said("same", IMPORT, lo=0.0, kind=3)],
        {"ceiling": "down", "floor": "down"},
        {"down": (("ceiling",), None), "up": ((), "down"), "same": ((), "down")},
        id="one-that-says-the-same-as-an-overruled-one-is-overruled-with-it",
    ),
    pytest.param(
        [said("up", IMPORT, lo=20e3), said("down", LIMIT, hi=10e3, kind=2), said("a", SET, 0.0, 0.0)],
        {"set-point": "up"},
        {"up": (("floor",), None), "down": ((), "up"), "a": (("set-point",), "up")},
        id="a-floor-keeps-a-ceiling-and-a-set-point-up",
    ),
]


@pytest.mark.parametrize(("orders", "decided_by", "fates"), FATES)
def test_each_order_is_told_what_it_decides_or_who_overrules_it(
    orders: list[Order], decided_by: dict[str, str], fates: dict[str, tuple[tuple[str, ...], str | None]]
) -> None:
    found = place(*orders)

    assert found.decided_by == decided_by
    assert {one.source: (one.decides, one.overruled_by) for one in found.orders} == fates


def test_orders_stand_in_their_rank_with_all_that_ranks_them() -> None:
    found = place(said("a", SET, 10e3, 10e3), said("b", LIMIT, hi=30e3, kind=3), said("c", LIMIT, hi=20e3))

    assert [(one.rank, one.source, one.level, one.priority) for one in found.orders] == [
        (1, "c", "limits", 10),
        (2, "b", "limits", 10),
        (3, "a", "set-points", 10),
    ]
    assert (found.capability, found.left, found.value) == (Band(-60e3, 60e3), Band(10e3, 10e3), 10e3)


def test_the_table_has_every_level_in_its_rank_below_capability() -> None:
    levels = rules_of(SITE).levels

    assert [(level.rank, level.name) for level in levels] == [
        (1, "capability"),
        (2, "connection"),
        (3, "limits"),
        (4, "frequency"),
        (5, "reserve"),
        (6, "set-points"),
    ]
    assert [name for level in levels for name in level.functions] == [function.name for function in FUNCTIONS]
    assert all(level.combined for level in levels)


def test_the_rules_are_those_of_the_site() -> None:
    limit = Action("limit", 30_000.0)
    ramps = Ramps(Ramp(100.0), release=50.0)
    rules = rules_of(
        Plant(
            rated_power_w=60_000.0,
            pcc=None,
            ders=(Der("inv1", "pv"), Der("bat1", "battery", ramp=Ramp(up=10.0))),
            devices=frozenset({"inv1", "bat1"}),
            authorities={"dso": Authority(20, frozenset({"limit_export", "connect"}))},
            ramps=ramps,
            der_lost_s=30.0,
            revert_s=60.0,
            fallbacks={UPLINK: Fallback(900.0, active=limit, reactive=Action("release"))},
        )
    )

    assert (rules.pcc, rules.ders, rules.ramps) == (None, ("inv1", "bat1"), ramps)
    assert rules.device_ramps == {"bat1": Ramp(up=10.0)}
    assert [(one.id, one.priority, one.functions) for one in rules.uplinks] == [
        ("dso", 20, ("connect", "limit_export"))
    ]
    assert [(one.loss, one.after_s, one.quantity, one.action) for one in rules.fallbacks] == [
        ("uplink_lost", 900.0, "active_power", limit),
        ("uplink_lost", 900.0, "reactive_power", Action("release")),
        ("pcc_meter_lost", None, "active_power", Action("hold")),
        ("pcc_meter_lost", None, "reactive_power", Action("hold")),
        ("clock_lost", None, "active_power", Action("hold")),
        ("clock_lost", None, "reactive_power", Action("hold")),
    ]
    assert (rules.der_lost_s, rules.device_revert_s) == (30.0, 60.0)


def plate(device: str, *names: str, unit: str = "W") -> Nameplate:
    return Nameplate(device, tuple(Point(f"{device}.{name}", unit, writable=name != "frequency") for name in names))


POWER = {"limit_active_power", "limit_export", "limit_import", "reserve", "set_active_power"}
SWITCH = {"connect", "disconnect"}
BY_FREQUENCY, BY_VOLTAGE = {"frequency_droop"}, {"volt_watt"}
VARS = {"set_reactive_power", "set_power_factor", "watt_var", "watt_power_factor"}
ALL = {function.name for function in FUNCTIONS}

ABILITIES = [
    pytest.param((METER, Nameplate("inv1", ())), "inv1", {"unknown": ALL}, id="a-device-that-has-told-nothing-yet"),
    pytest.param((METER, Nameplate("inv1", ())), "plant", {"unknown": ALL}, id="a-plant-of-it"),
    pytest.param(
        (METER, plate("inv1", "active_power_limit")),
        "inv1",
        {"gateway": POWER | SWITCH | BY_VOLTAGE, "none": BY_FREQUENCY | VARS | {"volt_var"}},
        id="a-limit-and-a-meter-of-voltage",
    ),
    pytest.param(
        (METER, plate("inv1", "active_power_limit", "reactive_power_setpoint", "frequency")),
        "pcc",
        {"gateway": ALL},
        id="power-vars-and-frequency",
    ),
    pytest.param(
        (METER, plate("inv1", "volt_var", "frequency_droop", unit="")),
        "inv1",
        {"device": {"volt_var", "frequency_droop"}, "none": ALL - {"volt_var", "frequency_droop"}},
        id="characteristics-of-its-own",
    ),
    pytest.param(
        (METER, plate("inv1", "power_factor_setpoint", unit="")),
        "inv1",
        {"device": {"set_power_factor"}, "none": ALL - {"set_power_factor"}},
        id="a-power-factor-of-its-own",
    ),
]


@pytest.mark.parametrize(("plates", "target", "expected"), ABILITIES)
def test_what_a_target_can_do_is_what_its_devices_have_told(
    plates: tuple[Nameplate, ...], target: str, expected: dict[str, set[str]]
) -> None:
    found: dict[str, set[str]] = {}
    for one in abilities_of(view_of(SITE, *plates)):
        if one.target == target:
            found.setdefault(one.by, set()).add(one.function)
            assert (one.why is None) == (one.by != "none")

    assert found == expected


def test_without_a_meter_nothing_can_be_ordered_at_the_pcc() -> None:
    without = Plant(60_000.0, None, SITE.ders, SITE.devices)
    at_pcc = [one for one in abilities_of(view_of(without, Nameplate("inv1", ()))) if one.target == "pcc"]

    assert {one.by for one in at_pcc} == {"none"}
    assert {one.why for one in at_pcc} == {"the site names no meter as its PCC, so nothing can be proven there"}


def explained(world: World) -> Explained:
    """What is told of the last tick of a world."""
    assert world.outcome is not None
    snapshot = world.image.snapshot(world.now)
    view = View(world.plant, ders_now(world.plant, Known(), snapshot), snapshot)
    in_force = [one.entry for one in world.state.orders.open.values() if one.engaged_mono is not None]
    return explain(world.outcome.decision, view, in_force)


def test_of_two_limits_it_is_told_which_decides_and_what_is_wished_because_of_them(world: World) -> None:
    world.send(order(world, "a", value=50.0))
    world.send(order(world, "b", issuer="marketer", kind=Kind.MARKET, value=40.0, end=world.now.wall + 600))
    world.run(20)
    told = explained(world)

    [one] = told.places
    assert (one.target, one.quantity, one.unit, one.decided_by) == ("pcc", "active_power", "W", {"ceiling": "b"})
    assert (one.value, one.capability) == (24_000.0, Band(-60_000.0, 60_000.0))
    first, second = one.orders
    assert (first.source, first.kind, first.overruled_by) == ("a", "dso", "b")
    assert (second.decides, second.hi, second.expires) == (
        ("ceiling",),
        24_000.0,
        world.state.orders.open["b", 1].entry.activation.end,
    )  # type: ignore[union-attr]  # it was read
    [wish] = told.wishes
    assert (wish.point, wish.unit, wish.cause) == ("inv1.active_power_limit", "W", "a b")
    assert told.totals["active_power"].limit == pytest.approx(30_000, abs=1_000), "the load of 6 kW is given, too"


def test_a_ramp_is_told_with_where_it_goes(world: World) -> None:
    world.send(order(world, "a", value=20.0, ramp_down=100.0))
    world.run(5)
    [one] = explained(world).places

    assert one.orders[0].wanted_hi == 12_000.0
    assert one.orders[0].hi > 40_000.0  # type: ignore[operator]  # a limit says an upper edge


@pytest.mark.parametrize(("word", "gone"), [("release", ["l", "s"]), ("value", ["s"]), ("hold", [])])
def test_what_a_fallback_lets_go_is_told_with_its_name(word: str, gone: list[str], pv: Device) -> None:
    world = World(pv, fallbacks={METER_LOST: Fallback(2.0, active=Action(word, 1_000.0))})  # type: ignore[arg-type]  # one of its words
    world.run(5)
    world.send(order(world, "l"))
    world.send(order(world, "s", function="set_active_power", value=10.0))
    world.run(5)
    assert (explained(world).fallbacks, explained(world).let_go) == ((), ())

    world.meter_online = False
    world.run(10)
    told = explained(world)
    assert told.fallbacks == ("pcc_meter_lost",)
    assert [one.source for one in told.let_go] == gone
    assert {one.why for one in told.let_go} <= {"let go by the fallback pcc_meter_lost"}
    in_its_place = [one.source for place in told.places for one in place.orders if one.source.startswith("fallback:")]
    assert in_its_place == (["fallback:pcc_meter_lost"] if word == "value" else [])


def test_the_way_back_after_a_limit_is_told_like_a_limit(pv: Device) -> None:
    world = World(pv, ramps=Ramps(release=100.0))
    world.run(5)
    world.send(order(world, "a", value=20.0, end=world.now.wall + 20))
    world.run(25)
    [one] = explained(world).places

    assert one.decided_by == {"ceiling": "ramp:release"}
    assert (one.orders[0].function, one.orders[0].level) == ("limit_active_power", "limits")


def test_a_droop_that_a_device_follows_is_told_as_given_to_it() -> None:
    device = Device("inv1", 60_000.0, 55_000.0, names=("active_power_limit", "frequency_droop"))
    world = World(device)
    world.run(5)
    world.send(
        order(world, "f", target="inv1", function="frequency_droop", value=None, unit="", droop=Droop(0.2, 0.05))
    )
    world.run(5)
    told = explained(world)

    [one] = told.places
    assert one.orders[0].decides == ("device",)
    [wish] = told.wishes
    assert (wish.point, wish.unit, wish.value) == ("inv1.frequency_droop", "", one.orders[0].handed)


WATTS = st.integers(-8, 8).map(lambda number: number * 10e3)
STATEMENTS = st.one_of(
    st.tuples(st.just(LIMIT), st.none(), WATTS),
    st.tuples(st.just(IMPORT), WATTS, st.none()),
    st.tuples(WATTS, WATTS).map(lambda edges: ("reserve", min(edges), max(edges))),
    WATTS.map(lambda power: (SET, power, power)),
)


@given(st.lists(st.tuples(STATEMENTS, st.integers(0, 3)), min_size=1, max_size=6))
def test_whoever_does_not_have_its_way_is_told_because_of_whom(many: list[tuple[Any, int]]) -> None:
    """And what is named as the reason is there: capability, or an order that says just what is in force."""
    orders = {f"o{number}": said(f"o{number}", *says, kind=kind) for number, (says, kind) in enumerate(many)}
    found = place(*orders.values())
    left, could = found.left, found.capability

    for one in found.orders:
        kept = (one.lo is None or left.lo >= one.lo) and (one.hi is None or left.hi <= one.hi)
        assert kept or one.overruled_by is not None
        assert one.overruled_by != one.source
        assert one.overruled_by in {None, "capability", *orders}
    for what, who in found.decided_by.items():
        says = orders[who].statement if who in orders else Statement(could.lo, could.hi)
        edge = left.hi if what == "ceiling" else left.lo
        at_edge = edge in {could.clamp(power) for power in (says.lo, says.hi) if power is not None}
        # A set-point is also held where a floor and a ceiling that do not meet have left one place.
        beyond = (says.hi is not None and says.hi <= edge) or (says.lo is not None and says.lo >= edge)
        assert at_edge or (what == "set-point" and beyond)
