"""How the closed loop at the PCC answers a step, in virtual time: a table of all cases, and drawings of some."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from math import log
from pathlib import Path
from typing import Literal

import click

from benchmarks.rig.drawing import Line, Panel, svg
from gateway.model import Activation
from tests.unit.control.world import STEP_S, Device, World, order

Kind = Literal["set-point", "limit", "load under a limit", "import floor"]
KINDS: tuple[Kind, ...] = ("set-point", "limit", "load under a limit", "import floor")
RATED_W = 60_000.0
TOLERANCE_W = 0.02 * RATED_W
"""Within which a value has settled; the default of an order, too."""
OVERSHOOT_MAX = 5.0
"""In % of the rated power."""
WATCHED_S = 60.0
SETTLED_S = 40.0
"""By then even the slowest case has settled; what still moves later swings."""


@dataclass(frozen=True, slots=True)
class Case:
    """A step, the device that follows, and the meter that closes the loop; times in s."""

    kind: Kind
    dead_time_s: float
    t90_s: float
    poll_s: float
    meter_s: float
    meter_delay_s: float = 0.0

    def __str__(self) -> str:
        return (
            f"{self.kind}, dead time {self.dead_time_s:g} s, T90 {self.t90_s:g} s, "
            f"poll {self.poll_s:g} s, meter {self.meter_s:g} s"
        )


@dataclass(frozen=True, slots=True)
class Response:
    """
    What became of a step, times in s from it, shares in % of the rated power.

    `rise_s` is to 90 % of the step, `settled_s` the last moment outside the tolerance, `allowed_s` what dead time,
    polls, two ticks and the device's own response need for that. `overshoot` is beyond the goal, seen from the start;
    `swing` what still moves when it must have settled.
    """

    case: Case
    goal_w: float
    trace: tuple[tuple[float, float], ...]
    rise_s: float
    settled_s: float
    allowed_s: float
    overshoot: float
    swing: float
    writes: int

    @property
    def is_good(self) -> bool:
        return self.settled_s <= self.allowed_s and self.overshoot <= OVERSHOOT_MAX and self.swing <= 1.0

    @property
    def cells(self) -> tuple[str, ...]:
        case = self.case
        given = (case.dead_time_s, case.t90_s, case.poll_s, case.meter_s)
        found = (f"{self.rise_s:.1f}", f"{self.settled_s:.1f}", f"{self.allowed_s:.1f}", f"{self.overshoot:.1f}")
        verdict = "good" if self.is_good else "BAD"
        return (case.kind, *(f"{value:g}" for value in given), *found, str(self.writes), verdict)


HEAD = (
    "step",
    "dead time s",
    "T90 s",
    "poll s",
    "meter s",
    "90 % s",
    "±2 % s",
    "allowed s",
    "over %",
    "writes",
    "verdict",
)


def grid() -> Iterator[Case]:
    """Every step, from the fastest device to the slowest, with fast and slow polls of device and meter."""
    for kind, dead, t90, poll, meter in product(KINDS, (0.2, 1.0, 3.0), (1.0, 5.0, 10.0), (0.2, 1.0), (0.2, 1.0)):
        yield Case(kind, dead, t90, poll, meter)


def site(case: Case) -> World:
    """A site of 60 kW: an inverter with sun for 55 kW and 6 kW of load; for the import floor a battery and 30 kW."""
    if case.kind == "import floor":
        device = Device("bat1", RATED_W, 0.0, role="battery", names=("active_power_setpoint",))
    else:
        device = Device("inv1", RATED_W, 55_000.0)
    device = replace(device, dead_time_s=case.dead_time_s, t90_s=case.t90_s, poll_s=case.poll_s)
    world = World(device, load_w=30_000.0 if case.kind == "import floor" else 6_000.0, rated_w=RATED_W)
    world.meter_period_s, world.meter_delay_s = case.meter_s, case.meter_delay_s
    world.run(5)
    return world


def step(world: World, kind: Kind) -> float:
    """Bring the site to where the step begins, and take it; the goal at the meter in W."""
    match kind:
        case "set-point":
            world.send(order(world, function="set_active_power", value=20_000.0, unit="W"))
            return 20_000.0
        case "limit":
            world.send(order(world, value=20_000.0, unit="W"))
            return 20_000.0
        case "load under a limit":
            world.load_w = 18_000.0
            world.send(order(world, value=20_000.0, unit="W"))
            world.run(40)
            world.load_w = 6_000.0
            return 20_000.0
        case "import floor":
            world.send(order(world, function="limit_import", value=40_000.0, unit="W"))
            world.run(20)
            world.load_w = 55_000.0
            return -40_000.0


def respond(case: Case) -> Response:
    """Run one case."""
    world = site(case)
    goal = step(world, case.kind)
    began, writes = world.mono, len(world.writes)
    start = world.pcc_w
    trace = [(0.0, start)]
    while world.mono - began < WATCHED_S:
        world.step()
        trace.append((world.mono - began, world.pcc_w))
    return _judged(case, goal, trace, len(world.writes) - writes)


def _judged(case: Case, goal: float, trace: list[tuple[float, float]], writes: int) -> Response:
    start = trace[1][1] if case.kind in {"load under a limit", "import floor"} else trace[0][1]  # the load has stepped
    way = goal - start
    late = [power for moment, power in trace if moment > SETTLED_S]
    lag_s = case.t90_s / log(10)
    waits_s = case.dead_time_s + case.poll_s + case.meter_s + case.meter_delay_s + 2 * STEP_S
    return Response(
        case=case,
        goal_w=goal,
        trace=tuple(trace),
        rise_s=next((t for t, power in trace[1:] if (power - start) / way >= 0.9), WATCHED_S),
        settled_s=max((t for t, power in trace if abs(power - goal) > TOLERANCE_W), default=0.0),
        allowed_s=waits_s + lag_s * log(abs(way) / TOLERANCE_W),
        overshoot=max(max((power - goal) / (1 if way > 0 else -1) for _, power in trace) / RATED_W * 100, 0.0),
        swing=(max(late) - min(late)) / RATED_W * 100,
        writes=writes,
    )


def table(responses: list[Response]) -> str:
    """As Markdown that is also plain text."""
    lines = [HEAD, *(response.cells for response in responses)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = ["| " + " | ".join(map(str.ljust, line, widths)) + " |" for line in lines]
    text.insert(1, "| " + " | ".join("-" * width for width in widths) + " |")
    good = sum(response.is_good for response in responses)
    return "\n".join(
        [
            *text,
            "",
            f"{good} of {len(responses)} good: settled in the time allowed, over by {OVERSHOOT_MAX:g} % at most",
        ]
    )


@dataclass(frozen=True, slots=True)
class Scene:
    """A course of events at a site of two devices: what stands at the PCC, and what happens 10 s after the start."""

    title: str
    function: str
    value_w: float
    battery: bool = False
    happens: Literal["order", "load", "DER lost", "meter lost"] = "order"


SCENES = (
    Scene("Limit: export at most 20 kW", "limit_active_power", 20_000.0),
    Scene("Set-point: export 20 kW", "set_active_power", 20_000.0),
    Scene("Import limit: at most 40 kW, the load steps to 55 kW", "limit_import", 40_000.0, True, "load"),
    Scene("Limit: a DER is lost and goes on at full power", "limit_active_power", 20_000.0, happens="DER lost"),
    Scene("Limit: the meter is lost, and returns", "limit_active_power", 20_000.0, happens="meter lost"),
)
HAPPENS_S, RETURNS_S, SHOWN_S = 10.0, 40.0, 70.0


def panel(scene: Scene, dead_time_s: float, t90_s: float, poll_s: float) -> Panel:
    """Run a scene, and draw what the meter, the devices and the load did."""
    ids = ("bat1", "bat2") if scene.battery else ("inv1", "inv2")
    own = ("active_power_setpoint",) if scene.battery else ("active_power_limit",)
    shape = Device(ids[0], 24_000.0, 0.0 if scene.battery else 22_000.0, names=own)
    shape = replace(shape, dead_time_s=dead_time_s, t90_s=t90_s, poll_s=poll_s)
    shape = replace(shape, role="battery" if scene.battery else "pv")
    devices = [shape, replace(shape, id=ids[1], rated_w=36_000.0, available_w=1.5 * shape.available_w)]
    world = World(*devices, load_w=30_000.0 if scene.battery else 6_000.0, rated_w=RATED_W)
    world.meter_period_s = 0.2 if poll_s < 1.0 else 1.0
    world.run(5)
    the_order = order(world, function=scene.function, value=scene.value_w, unit="W")
    if scene.happens != "order":
        world.send(the_order)
        world.run(40)
    began = world.mono
    asked = -scene.value_w if scene.function == "limit_import" else scene.value_w
    tracks: dict[str, list[tuple[float, float]]] = {name: [] for name in ("PCC", "load", *ids)}
    while (moment := round(world.mono - began, 1)) < SHOWN_S:
        if moment == HAPPENS_S:
            _happen(scene, world, the_order)
        if moment == RETURNS_S:
            world.meter_online = True
        powers = (world.pcc_w, world.load_w, *(device.power_w for device in world.devices.values()))
        for name, power in zip(tracks, powers, strict=True):
            tracks[name].append((moment, power / 1000.0))
        world.step()
    since = HAPPENS_S if scene.happens == "order" else 0.0
    returned = [(RETURNS_S, "meter back")] if scene.happens == "meter lost" else []
    colours = {"PCC": "#0b5cad", "load": "#8a8a8a", ids[0]: "#c0582a", ids[1]: "#2c8a57"}
    lines = [Line("asked at the PCC", "#000", [(since, asked / 1000.0), (SHOWN_S, asked / 1000.0)], dashed=True)]
    lines += [Line(name, colours[name], track) for name, track in tracks.items()]
    return Panel(scene.title, lines, [(HAPPENS_S, scene.happens), *returned])


def _happen(scene: Scene, world: World, the_order: Activation) -> None:
    first = next(iter(world.devices.values()))
    match scene.happens:
        case "order":
            world.send(the_order)
        case "load":
            world.load_w = 55_000.0
        case "meter lost":
            world.meter_online = False
        case "DER lost":
            first.online = False
            first.registers["active_power_limit"] = None


def draw(folder: Path) -> None:
    """Write the drawings of the fastest and of the slowest device."""
    for name, dead, t90, poll in (("fastest", 0.2, 1.0, 0.2), ("slowest", 3.0, 10.0, 1.0)):
        title = f"The {name} devices: dead time {dead:g} s, T90 {t90:g} s, devices and meter read every {poll:g} s"
        panels = [panel(scene, dead, t90, poll) for scene in SCENES]
        (folder / f"control-step-{name}.svg").write_text(svg(title, panels), encoding="utf-8")


@click.command()
@click.option(
    "--out",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Draw control-step-fastest.svg and control-step-slowest.svg into this folder.",
)
def main(out: Path | None) -> None:
    """Step responses of the closed loop, in virtual time."""
    print(table([respond(case) for case in grid()]))
    if out is not None:
        draw(out)


if __name__ == "__main__":
    main()
