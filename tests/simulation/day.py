"""
One day of a site from one seed, in virtual time: `python -m tests.simulation.day --seeds 100` for a hundred of them.
"""

from __future__ import annotations

import argparse
import hashlib
import math
import sys
import time
from dataclasses import dataclass, replace

from tests.simulation.checks import Checks
from tests.simulation.plan import plan
from tests.simulation.site import Site, Weather

DAY_S = 86_400.0
BROKEN_SHOWN = 10
"""Sentences a day: what is broken once is often broken in every second after it."""


@dataclass(frozen=True)
class Day:
    """What came of a day: what must not be, what was seen, and a hash over all that was written, said and measured."""

    broken: tuple[str, ...]
    seen: dict[str, int]
    trace: str


def run(seed: int, day_s: float = DAY_S, *, spacing_s: float = 120.0, faults: bool = True) -> Day:
    """From dawn to night in *day_s* seconds, with an order about every *spacing_s* of them."""
    site = Site(seed, weather=Weather(spell_s=1_500.0), daylight=lambda at: _daylight(at / day_s))
    plan_ = plan(seed, day_s, spacing_s=spacing_s, faults=faults)
    checks = Checks(site, plan_, f"seed {seed}")
    trace = hashlib.blake2b(digest_size=12)
    told = 0
    todo = iter(plan_.todo)
    coming = next(todo, None)
    base = site.load.parameters
    while site.mono < day_s:
        while coming is not None and coming.at <= site.mono:
            coming.what(site)
            if coming.fault:
                checks.unhealthy(coming.fault)
            coming = next(todo, None)
        if site.mono % 60 == 0:
            morning_and_evening = 0.5 + 0.5 * math.cos(4 * math.pi * site.mono / day_s)
            site.load.parameters = replace(base, base_w=base.base_w * (1.2 - 0.6 * morning_and_evening))
        site.step()
        checks.second()
        trace.update(repr((site.mono, site.pcc_w, [machine.registers for machine in site.devices.values()])).encode())
        trace.update(repr(site.acks[told:]).encode())
        told = len(site.acks)
    checks.end()
    return Day(tuple(checks.broken), dict(checks.seen), trace.hexdigest())


def _daylight(share: float) -> float:
    """The sun of a clear day over the share of the day that has passed: from a quarter of it to three quarters."""
    return max(math.sin((share - 0.2) / 0.6 * math.pi), 0.0) if 0.2 < share < 0.8 else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=1, help="how many days")
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    parser.add_argument("--hours", type=float, default=24.0, help="how long a day is, in hours of virtual time")
    parser.add_argument("--spacing", type=float, default=120.0, help="seconds between two orders, on average")
    parser.add_argument("--no-faults", action="store_true", help="a day on which everything works")
    options = parser.parse_args()
    for seed in range(options.first, options.first + options.seeds):
        began = time.process_time()
        day = run(seed, 3600.0 * options.hours, spacing_s=options.spacing, faults=not options.no_faults)
        took_s = time.process_time() - began
        sys.stdout.write(f"seed {seed}: {day.trace} {len(day.broken)} broken, {took_s:.1f} s, {day.seen}\n")
        sys.stdout.writelines(f"    {broken}\n" for broken in day.broken[:BROKEN_SHOWN])


if __name__ == "__main__":
    main()
