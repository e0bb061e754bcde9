"""A look at a small daemon: a meter that answers, an inverter that went away, and a battery that never came."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from drivers.base import PlannedDevice, Traffic
from gateway.control.alarms import Event
from gateway.control.arbitration import Order, rule
from gateway.control.dispatch import Total
from gateway.control.functions import BY_NAME
from gateway.control.functions.statement import Statement
from gateway.control.mirror import Headroom, InForce, Mirror
from gateway.control.plant import Der, Plant
from gateway.control.register import Orders
from gateway.control.steering import Decision
from gateway.control.writes import Wish
from gateway.image import Reading, Snapshot
from gateway.local.documents import View
from gateway.local.lines import DeviceLine, Rates
from gateway.local.look import ControlLook, DeviceFacts, Look, SiteFacts, StoreLook, TicksLook, UplinkLook
from gateway.model import (
    Ack,
    Activation,
    Band,
    Entry,
    Instant,
    Kind,
    Nameplate,
    Point,
    Quality,
    SetPoint,
    Status,
    WriteResult,
)

NOW = Instant(wall=1795341600.0, mono=1000.0)
NOW_TEXT = "2026-11-22T10:00:00.000Z"

POWER = Point("pcc.active_power", "W")
ALARM = Point("pcc.alarm", "")
LIMIT = Point("inv1.active_power_limit", "%", writable=True)
INVERTER_POWER = Point("inv1.active_power", "W")
SWITCH = Point("gen.connect", "", readable=False, writable=True)

PLATES = {
    "pcc": Nameplate("pcc", (POWER, ALARM)),
    "inv1": Nameplate("inv1", (INVERTER_POWER, LIMIT), rated_power_w=60_000.0, manufacturer="Sun", model="S60"),
    "bat1": Nameplate("bat1", ()),
    "gen": Nameplate("gen", (SWITCH,)),
}


def snapshot(
    readings: Mapping[str, Reading] | None = None, writes: Mapping[str, WriteResult] | None = None
) -> Snapshot:
    """By default the meter measures 59 800 W, 0.5 s ago; the inverter was heard 20 s ago and is offline."""
    known = {
        POWER.id: Reading(59_800.0, Quality.GOOD, NOW.wall - 0.5, NOW.mono - 0.5),
        INVERTER_POWER.id: Reading(58_000.0, Quality.OFFLINE, NOW.wall - 20, NOW.mono - 20),
        LIMIT.id: Reading(None, Quality.OFFLINE, NOW.wall - 3, NOW.mono - 3),
    }
    return Snapshot(
        now=NOW,
        readings=MappingProxyType(known if readings is None else dict(readings)),
        writes=MappingProxyType(dict(writes or {})),
        nameplates=PLATES,
        points={point.id: point for plate in PLATES.values() for point in plate.points},
    )


PLANT = Plant(
    rated_power_w=100_000.0,
    pcc="pcc",
    ders=(Der("inv1", "pv"), Der("bat1", "battery", 30_000.0), Der("gen", "generator")),
    devices=frozenset(PLATES),
)
STORE = StoreLook(
    epoch="e1", session=3, last_frame=120, last_message=7, waiting=0, dropped=0, journaled=50, unjournaled=0, fault=None
)
TICKS = TicksLook(within=(40, 8, 1, 0, 0, 0, 0, 0, 0, 0, 1), total_s=1.5, overruns=1, ended=NOW.mono - 0.1)
CONTROL = ControlLook(serial=50, mirror=Mirror(), orders=Orders(), held=())


def look(**changes: Any) -> Look:
    made = Look(
        now=NOW,
        site=SiteFacts(
            id="park",
            name="Park Seven",
            version="9.9",
            started=Instant(NOW.wall - 100, NOW.mono - 100),
            period_s=0.2,
            devices=(
                DeviceFacts("pcc", "meter", "modbus"),
                DeviceFacts("inv1", "pv", "modbus"),
                DeviceFacts("bat1", "battery", "modbus", 30_000.0),
                DeviceFacts("gen", "generator", "modbus"),
            ),
            plant=PLANT,
            buffer_max_size_bytes=2_000_000_000,
            buffer_max_age_s=7_776_000.0,
        ),
        snapshot=snapshot(),
        control=CONTROL,
        uplinks=(UplinkLook("dso", "mqtt", True, 5, 1, NOW.wall - 4),),
        store=STORE,
        ticks=TICKS,
    )
    return replace(made, **changes)


LINES = (
    DeviceLine(
        "pcc",
        "modbus tcp://meter",
        PlannedDevice("pcc", 5.0, 0.04, 0.3, ("input 52-53 every 200 ms",)),
        Traffic("pcc", requests=500, unanswered=3, refused=2, skipped=1, writes=0, busy_s=4.0),
        Rates(over_s=60.0, requests_per_s=4.9, unanswered_per_s=0.05, load=0.03),
    ),
    DeviceLine("inv1", "modbus tcp://inverter"),
)


def view(reasons: tuple[str, ...] = (), lines: tuple[DeviceLine, ...] = LINES, **changes: Any) -> View:
    return View(look(**changes), reasons, lines)


def ordered() -> ControlLook:
    """An order in force and one that has ended, a set-point refused by its device, and what was told of it."""
    order = Activation(
        id="o1", revision=2, issuer="dso", issued=NOW.wall - 60, target="pcc", function="limit_active_power",
        value=60.0, unit="%", end=NOW.wall + 600,
    )  # fmt: skip
    status, came = Status.DEVIATING, NOW.wall - 60
    last = Ack(id="o1", revision=2, n=3, status=status, time=NOW.wall - 2, measured=59_800.0, code="write_failed")
    entry = Entry(id="o1", revision=2, uplink="dso", status=status, n=3, received=came, activation=order, last=last)
    orders = Orders.of(
        [
            entry,
            Entry(id="old", revision=1, uplink="dso", status=Status.COMPLETED, n=5, received=NOW.wall - 900),
            Entry(id="bad", revision=1, uplink="dso", status=Status.REJECTED, n=1, received=NOW.wall - 800),
        ]
    )
    in_force = InForce(
        "pcc", "active_power", "limit_active_power", 60_000.0, "W", "o1", "dso", 10, NOW.wall + 600, None
    )
    return ControlLook(
        serial=51,
        mirror=Mirror((in_force,), Headroom(p_up=100.0)),
        orders=orders,
        held=(LIMIT.id,),
        setpoints={LIMIT.id: SetPoint(LIMIT.id, 60.0, NOW.mono + 5, "o1")},
        events=((NOW.wall - 3, Event("device_lost", "inv1: silent")),),
    )


def decided() -> ControlLook:
    """A limit of the DSO and a tighter one of the market at the PCC, and what the inverter is to do because of them."""
    orders = [_limit("o1", Kind.DSO, 60_000.0, NOW.wall + 600), _limit("t1", Kind.MARKET, 40_000.0, None)]
    rulings = {("pcc", "active_power"): rule(Band(-100_000.0, 100_000.0), orders)}
    wishes = {LIMIT.id: Wish(40_000.0, "o1 t1")}
    return replace(ordered(), decision=Decision(rulings, wishes, {"active_power": Total(limit=40_000.0)}))


def _limit(source: str, kind: Kind, hi: float, expires: float | None) -> Order:
    says = Statement(hi=hi)
    rank = (1.0, float(list(Kind).index(kind)), -10.0, 0.0)
    return Order(source, kind, "pcc", BY_NAME["limit_active_power"], says, rank, expires, wanted=says)
