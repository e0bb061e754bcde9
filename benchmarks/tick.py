"""How long the controller thinks: the pure tick of a large site, beside the same site without orders."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import click

from benchmarks.rig.table import Result, Row, quantile
from gateway.control.cycle import Inputs, Outcome, State, tick
from gateway.control.plant import Der, Plant
from gateway.image import Image, Snapshot
from gateway.model import Activation, Instant, Measurement, Nameplate, Point, Received, WriteResult

TICKS = 300
DERS = 200
ORDERS = 50
RATED_W = 60_000.0
PERIOD_S = 0.2
_WALL0 = 1_800_000_000.0


@dataclass(slots=True)
class Times:
    """Milliseconds of each turn."""

    tick: list[float] = field(default_factory=list)
    snapshot: list[float] = field(default_factory=list)


class Site:
    """Devices that hold what is written to them, and a journal that is always on disk, in virtual time."""

    def __init__(self, ders: int, orders: int) -> None:
        self._ders = [f"d{number}" for number in range(ders)]
        self.plant = Plant(
            rated_power_w=RATED_W * ders,
            pcc="pcc",
            ders=tuple(Der(name, "pv", RATED_W) for name in self._ders),
            devices=frozenset({"pcc", *self._ders}),
        )
        self.image = Image([_nameplate("pcc"), *(_nameplate(name) for name in self._ders)])
        self.outcome: Outcome | None = None
        self._state = State()
        self._mono = 100.0
        self._journaled = 0
        self._measure()
        self.turn(self.snapshot(), [self._order(number) for number in range(orders)])
        for _ in range(3):  # in force, taken over, written, read back
            self.turn(self.snapshot())

    @property
    def open_orders(self) -> int:
        return len(self._state.orders.open)

    def snapshot(self) -> Snapshot:
        self._mono += PERIOD_S
        self._measure()
        return self.image.snapshot(self._now)

    def turn(self, snapshot: Snapshot, received: Sequence[Received] = ()) -> None:
        inputs = Inputs(snapshot, received, self._journaled)
        self._state, self.outcome = tick(self.plant, self._state, inputs)
        self._journaled = self.outcome.serial
        for setpoint in self.outcome.setpoints:
            result = WriteResult(setpoint.point, setpoint.value, setpoint.value, None, self._mono)
            self.image.wrote(result, self._now)

    @property
    def _now(self) -> Instant:
        return Instant(_WALL0 + self._mono, self._mono)

    def _measure(self) -> None:
        power = 20_000.0 + self._mono % 7
        self.image.emit((Measurement(f"{name}.active_power", power) for name in self._ders), self._now)
        self.image.emit([Measurement("pcc.active_power", power * len(self._ders))], self._now)
        if self.outcome is None:
            self.image.emit((Measurement(f"{name}.active_power_limit", 100.0) for name in self._ders), self._now)

    def _order(self, number: int) -> Received:
        """The first is for the PCC, each of the others for a device of its own."""
        order = Activation(
            id=f"order-{number}",
            revision=1,
            issuer=f"issuer-{number}",
            issued=self._now.wall,
            target="pcc" if number == 0 else self._ders[number % len(self._ders)],
            function="limit_active_power",
            value=50.0,
            unit="%",
            digest=str(number),
        )
        return Received("dso", self._now, order)


def _nameplate(device: str) -> Nameplate:
    power = Point(f"{device}.active_power", "W")
    limit = Point(f"{device}.active_power_limit", "%", writable=True, base=RATED_W, max_age=1e6)
    return Nameplate(device, (power,) if device == "pcc" else (power, limit), rated_power_w=RATED_W)


def measure(ticks: int) -> Result:
    """Both sites in turn, tick by tick."""
    busy, idle = Site(DERS, ORDERS), Site(DERS, 0)
    times = {site: Times() for site in (busy, idle)}
    for _ in range(ticks):
        for site, taken in times.items():
            began = time.perf_counter_ns()
            snapshot = site.snapshot()
            between = time.perf_counter_ns()
            site.turn(snapshot)
            taken.snapshot.append((between - began) / 1e6)
            taken.tick.append((time.perf_counter_ns() - between) / 1e6)
    ours, theirs = times[busy], times[idle]
    return Result(
        title=f"tick: {DERS} DERs, {busy.open_orders} orders in force",
        reference="the same site without orders",
        rows=tuple(
            Row(f"{name} {word}", quantile(mine, share), "ms", quantile(other, share))
            for name, mine, other in (
                ("tick", ours.tick, theirs.tick),
                ("snapshot", ours.snapshot, theirs.snapshot),
            )
            for word, share in (("median", 0.5), ("p99", 0.99))
        ),
        notes=(f"the control period is {1000 * PERIOD_S:g} ms; a snapshot includes taking in {DERS + 1} new values",),
        sent=ORDERS,
        lost=ORDERS - busy.open_orders,
    )


@click.command()
@click.option("--ticks", default=TICKS, show_default=True)
def main(ticks: int) -> None:
    """The pure tick of a large site."""
    print(measure(ticks))


if __name__ == "__main__":
    main()
