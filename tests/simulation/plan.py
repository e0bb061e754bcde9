"""What happens in a day: orders of every function from several issuers, and faults; all drawn from one seed."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.characteristic import Droop
from gateway.model import Activation, Cancellation, Kind, Reserve, Schedule
from tests.simulation.site import LIMIT, SETPOINT, WALL0, Site

QUIET_S = 600.0
"""At its end a day is left alone for so long: all orders have ended, all faults are over."""
RECOVERY_S = 90.0
"""After a fault, until all is well again: a stale meter, an unanswered write, a slow device's way back."""

Fields = dict[str, object]


@dataclass(frozen=True)
class Planned:
    """Something to do at a time of the day, in seconds; `fault` until when the site is not healthy because of it."""

    at: float
    what: Callable[[Site], None]
    name: str
    fault: float = 0.0


@dataclass
class Plan:
    """What is to be done, and what was: `orders` that were sent, `withdrawn` since when an id is cancelled."""

    todo: list[Planned] = field(default_factory=list)
    orders: dict[tuple[str, int], Activation] = field(default_factory=dict)
    withdrawn: dict[str, float] = field(default_factory=dict)


def _functions(draw: random.Random, day_s: float) -> list[Callable[[], Fields]]:
    """Each makes the fields of one order; every function of the contract is here."""
    volts = ((0.92, 0.44), (0.98, 0.0), (1.02, 0.0), (1.08, -0.44))
    watts = ((0.2, 0.0), (0.5, 0.0), (1.0, -0.3))

    def pv() -> str:
        return draw.choice(["inv1", "inv2", "inv3"])

    def battery() -> str:
        return draw.choice(["bat1", "bat2"])

    def device() -> str:
        return draw.choice([pv(), battery()])

    def mean() -> float | None:
        return draw.choice([None, 900.0])

    def droop() -> Droop:
        return Droop(
            0.2, 0.05, draw.choice([5.0, 10.0]), release_delay_s=30.0, recovery_per_s=draw.choice([None, 0.02])
        )

    def quarters(least: float, most: float) -> Schedule:
        return Schedule(day_s / 96.0, tuple(round(draw.uniform(least, most)) for _ in range(96)))

    def response() -> float:
        return draw.choice([5.0, 10.0, 20.0])

    curve: Fields = {"unit": "", "value": None}
    return [
        lambda: {"function": "limit_active_power", "value": draw.choice([0.0, 30.0, 60.0, 100.0]), "unit": "%"},
        lambda: {"function": "limit_active_power", "target": "plant", "value": draw.uniform(0, 8e4), "unit": "W"},
        lambda: {"function": "limit_active_power", "target": pv(), "value": draw.choice([0.0, 60.0]), "unit": "%"},
        lambda: {"function": "limit_active_power", "schedule": quarters(0, 6e4), "value": None, "unit": "W"},
        lambda: {"function": "limit_export", "value": draw.uniform(0, 4e4), "unit": "W", "mean_s": mean()},
        lambda: {"function": "limit_import", "value": draw.uniform(5e3, 3e4), "unit": "W", "mean_s": mean()},
        lambda: {"function": "set_active_power", "target": battery(), "value": draw.uniform(-50, 50), "unit": "%"},
        lambda: {"function": "set_active_power", "target": "plant", "value": draw.uniform(-3e4, 6e4), "unit": "W"},
        lambda: {"function": "set_active_power", "value": draw.uniform(-3e4, 3e4), "unit": "W"},
        lambda: {
            "function": "set_active_power",
            "target": battery(),
            "schedule": quarters(-1.4e4, 1.4e4),
            "value": None,
            "unit": "W",
        },
        lambda: {"function": "set_reactive_power", "target": device(), "value": draw.uniform(-9e3, 9e3), "unit": "var"},
        lambda: {"function": "set_reactive_power", "target": "pcc", "value": draw.uniform(-2e4, 2e4), "unit": "var"},
        lambda: {
            "function": "set_power_factor",
            "target": draw.choice([pv(), "plant"]),
            "value": draw.choice([0.9, 0.95, 1.0]),
            "unit": "",
            "excitation": draw.choice(["over", "under"]),
        },
        lambda: {"function": "volt_var", "curve": volts, "response_s": response(), **curve},
        lambda: {"function": "volt_var", "target": pv(), "curve": volts, "response_s": response(), **curve},
        lambda: {"function": "volt_watt", "target": pv(), "preset": "ieee1547-2018-to-zero", **curve},
        lambda: {"function": "watt_var", "target": pv(), "curve": watts, "response_s": response(), **curve},
        lambda: {"function": "watt_power_factor", "target": pv(), "preset": "vde-ar-n-4105", **curve},
        lambda: {"function": "frequency_droop", "target": draw.choice(["plant", device()]), "droop": droop(), **curve},
        lambda: {"function": "reserve", "target": "plant", "reserve": Reserve(1e4, 5e3), **curve},
        lambda: {"function": "reserve", "target": battery(), "reserve": Reserve(4e3, 4e3), **curve},
        lambda: {"function": "disconnect", "target": draw.choice(["inv3", "inv1", "plant"]), **curve},
        lambda: {"function": "connect", "target": draw.choice(["inv3", "plant"]), **curve},
        # Three that have to be refused:
        lambda: {"function": "limit_active_power", "target": "inv9", "value": 50.0, "unit": "%"},
        lambda: {"function": "set_active_power", "target": "bat1", "value": 1e6, "unit": "W"},
        lambda: {"function": "volt_var", "preset": "none-of-this-name", **curve},
    ]


ISSUERS: tuple[tuple[str, str, Kind], ...] = (
    ("dso", "dso", Kind.DSO),
    ("market", "trader", Kind.MARKET),
    ("dso", "tso", Kind.EMERGENCY),
)


def plan(seed: int, day_s: float, *, spacing_s: float, faults: bool) -> Plan:
    """A day of *day_s* seconds with an order, and seldom a fault, about every *spacing_s*."""
    draw = random.Random(seed)
    made = Plan()
    latest = day_s - QUIET_S - 200.0
    functions = _functions(draw, day_s)
    functions += [] if faults else 8 * functions[:1]  # a day on which all works is there to see that limits are kept
    deck: list[Callable[[], Fields]] = []
    at, number = 30.0, 0
    while at < latest - 120.0:
        deck = deck or draw.sample(functions, len(functions))
        number += 1
        _ordered(made, draw, f"o{number}", at, latest, deck.pop()())
        at += draw.expovariate(1.0 / spacing_s)
    made.todo += _excursions(draw, latest)
    if faults:
        made.todo += _faults(draw, latest, 6.0 * spacing_s)
    made.todo.sort(key=lambda planned: planned.at)
    return made


def _ordered(made: Plan, draw: random.Random, id_: str, at: float, latest: float, fields: Fields) -> None:
    """One order with what becomes of it: an end, a cancellation, a revision, a repetition."""
    uplink, issuer, kind = draw.choices(ISSUERS, (6, 3, 1))[0]
    begins = at + draw.choice([0.0, 0.0, draw.uniform(10, 300)])
    lasts = draw.uniform(60, 1_200)
    ends = min(begins + lasts, latest)
    values: Fields = {"target": "pcc", "id": id_, "revision": 1, "issuer": issuer, "kind": kind, **fields}
    values["start"] = None if begins == at and "schedule" not in fields else WALL0 + begins
    values["end"] = None if draw.random() < 0.2 else WALL0 + ends
    if draw.random() < 0.15 and fields.get("value") is not None and fields["unit"] in {"W", "%"}:
        values |= {"ramp_up": 600.0, "ramp_down": 600.0, "ramp_unit": "W/s"}
    if begins >= latest:
        return
    _send(made, uplink, at, values)
    if draw.random() < 0.15:
        _send(made, uplink, at + draw.uniform(1, 20), values)  # the same once more
    if draw.random() < 0.2 and "start" in values:
        again = values | {"revision": 2, "end": values["end"] and WALL0 + min(ends + 60.0, latest)}
        if isinstance(again.get("value"), float):
            again["value"] = 0.8 * again["value"]  # type: ignore[operator]  # a float, as just seen
        _send(made, uplink, begins + draw.uniform(0.2, 0.7) * (ends - begins), again)
    if values["end"] is None or draw.random() < 0.2:
        _cancel(made, uplink, draw.uniform(begins, ends), id_)
    if values["end"] is None:
        _cancel(made, uplink, latest, id_)
    if draw.random() < 0.05:
        _cancel(made, uplink, at, f"{id_}-never-sent")


def _send(made: Plan, uplink: str, at: float, values: Fields) -> None:
    def send(site: Site) -> None:
        digest = repr(sorted(values.items(), key=lambda item: item[0]))
        order = Activation(issued=site.now.wall, digest=digest, **values)  # type: ignore[arg-type]  # by name
        if (order.id, order.revision) not in made.orders:
            made.withdrawn.pop(order.id, None)
            made.orders[order.id, order.revision] = order
        site.send(order, uplink)

    made.todo.append(Planned(at, send, f"order {values['id']} revision {values['revision']}"))


def _cancel(made: Plan, uplink: str, at: float, id_: str) -> None:
    def cancel(site: Site) -> None:
        if any(known == id_ for known, _ in made.orders):
            made.withdrawn[id_] = site.mono
        site.send(Cancellation(id_, 9), uplink)

    made.todo.append(Planned(at, cancel, f"cancellation of {id_}"))


def _excursions(draw: random.Random, latest: float) -> list[Planned]:
    """The frequency leaves its band a few times."""
    todo = []
    for _ in range(3):
        at, lasts, hz = draw.uniform(60, latest - 300), draw.uniform(30, 180), draw.choice([49.5, 50.4, 50.9])
        todo.append(Planned(at, _setting("frequency_hz", hz), f"{hz} Hz"))
        todo.append(Planned(at + lasts, _setting("frequency_hz", 50.0), "50 Hz"))
    return todo


def _setting(name: str, value: object) -> Callable[[Site], None]:
    return lambda site: setattr(site, name, value)


def _switching(device: str, name: str, value: bool) -> Callable[[Site], None]:
    return lambda site: setattr(site.devices[device], name, value)


def _faults(draw: random.Random, latest: float, spacing_s: float) -> list[Planned]:
    """Each begins and ends by itself; several may overlap."""
    todo: list[Planned] = []
    at = draw.expovariate(1.0 / spacing_s)
    while at < latest - 200.0:
        lasts = draw.choice([2.0, 8.0, 40.0, 150.0])
        device = draw.choice(["inv1", "inv2", "inv3", "bat1", "bat2"])
        over = at + lasts + RECOVERY_S
        kind = draw.choice(["offline", "silent", "refuses", "meter", "dso", "journal", "restart", "foreign", "kill"])
        match kind:
            case "offline":
                first, then = _switching(device, "online", False), _switching(device, "online", True)
            case "silent":
                first, then = _switching(device, "silent", True), _switching(device, "silent", False)
            case "refuses":
                first, then = _switching(device, "refuses", True), _switching(device, "refuses", False)
            case "meter":
                first, then = _setting("meter_online", False), _setting("meter_online", True)
            case "dso":
                first, then = _setting("dso_heard", False), _setting("dso_heard", True)
            case "journal":
                first, then = _setting("journal_works", False), _setting("journal_works", True)
            case "kill":  # in the midst of a journal that does not work: what it does not hold is gone
                first, then = _setting("journal_works", False), _killed
            case "restart":
                first, then = Site.restart, _nothing
            case _:
                first, then = _overwriting(draw.randrange(1 << 30)), _nothing
        name = kind if kind in {"meter", "dso", "journal", "restart", "kill", "foreign"} else f"{device} {kind}"
        todo.append(Planned(at, first, f"{name} begins", fault=over))
        todo.append(Planned(at + lasts, then, f"{name} ends", fault=over))
        at += draw.expovariate(1.0 / spacing_s)
    return todo


def _nothing(_: Site) -> None:
    return


def _killed(site: Site) -> None:
    site.restart()
    site.journal_works = True


def _overwriting(seed: int) -> Callable[[Site], None]:
    """Another writer changes a register that is ours at the time; what is not ours is not given back by us."""

    def overwrite(site: Site) -> None:
        draw = random.Random(seed)
        ours = sorted(site.holds.keys() & site.state.writes.held.keys())
        if not ours:
            return
        device, _, name = draw.choice(ours).partition(".")
        machine = site.devices[device]
        if name == "connect":
            machine.registers[name] = 1.0 - float(machine.registers[name] or 0.0)
        elif name in {LIMIT, SETPOINT}:
            machine.registers[name] = draw.choice([None, 0.0, 50.0])
        else:
            machine.registers[name] = None

    return overwrite
