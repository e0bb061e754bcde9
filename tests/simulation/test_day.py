"""Whole days of a site, drawn from seeds: whatever is ordered and whatever fails, the promises of the contract hold."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.day import DAY_S, Day, run

ROOT = Path(__file__).parent.parent.parent
HOUR_S = 3_600.0
LONG_DAYS = int(os.environ.get("DERGATE_DAYS", "0"))
"""How many whole days are run besides; each takes about a minute and a half of one core."""


def must_hold(day: Day) -> None:
    assert not day.broken, f"{len(day.broken)} broken, the first:\n" + "\n".join(day.broken[:10])


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_with_all_that_can_fail_every_order_ends_once_and_everything_is_given_back(seed: int) -> None:
    """An order every 25 s, a fault every 150 s: devices, meter, head end, journal, restarts, another writer."""
    day = run(seed, HOUR_S, spacing_s=25.0)

    must_hold(day)
    assert day.seen["writes"] > 300
    assert {"completed", "cancelled", "superseded", "rejected"} <= day.seen.keys()


@pytest.mark.parametrize("seed", [1, 7])
def test_while_all_works_a_limit_at_the_meter_is_kept(seed: int) -> None:
    """Under clouds and a load that wanders; not within SETTLING_S of a change of what is ordered."""
    day = run(seed, 2 * HOUR_S, spacing_s=240.0, faults=False)

    must_hold(day)
    assert day.seen["seconds under a limit"] > 600, "else nothing was checked"


def test_a_seed_gives_the_same_day_in_every_process_and_another_seed_another_one() -> None:
    command = [sys.executable, "-m", "tests.simulation.day", "--hours", "0.4", "--spacing", "15", "--seeds", "2"]
    printed = []
    for hashes in ("1", "2"):  # in which order a set is walked through
        done = subprocess.run(
            command, env=os.environ | {"PYTHONHASHSEED": hashes}, cwd=ROOT, capture_output=True, text=True, check=True
        )
        printed.append([line.split()[2] for line in done.stdout.splitlines() if line.startswith("seed")])

    assert printed[0] == printed[1]
    assert len(set(printed[0])) == 2


@pytest.mark.skipif(not LONG_DAYS, reason="whole days are run where DERGATE_DAYS says how many")
@pytest.mark.timeout(0)
@pytest.mark.parametrize("seed", range(1_000, 1_000 + LONG_DAYS))
def test_a_whole_day(seed: int) -> None:
    must_hold(run(seed, DAY_S))
