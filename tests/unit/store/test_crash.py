"""Killed at any moment, a store has all that it said it has, and numbers without a gap or a repetition."""

import asyncio
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gateway.store import Store, inspect
from gateway.store.errors import StoreLocked
from tests.unit.store.helpers import Clock, limits, numbers, opened

CHILD = Path(__file__).with_name("crash_child.py")
KILLS = 30


class Victims:
    """Starts working processes one after another on one state directory."""

    def __init__(self, tmp_path):
        self.state_dir = tmp_path / "state"
        self.ledger = tmp_path / "ledger"
        self.ledger.touch()
        self._nursery = subprocess.Popen(
            [sys.executable, CHILD, self.state_dir, self.ledger],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(self) -> int:
        self._nursery.stdin.write("\n")
        self._nursery.stdin.flush()
        return int(self._nursery.stdout.readline())

    def kill(self, pid: int) -> None:
        os.kill(pid, signal.SIGKILL)
        assert self._nursery.stdout.readline() == "gone\n"

    def lines(self) -> list[list[str]]:
        return [line.split(" ", 1) for line in self.ledger.read_text().splitlines()]

    def work(self) -> None:
        """Wait until one more order is on disk."""
        known, deadline = self.ledger.read_text().count("order"), time.monotonic() + 10
        while self.ledger.read_text().count("order") <= known:
            assert time.monotonic() < deadline, "no further order in the ledger"
            time.sleep(0.002)

    def close(self) -> None:
        self._nursery.stdin.close()
        self._nursery.wait(10)


@pytest.fixture
def victims(tmp_path):
    victims = Victims(tmp_path)
    yield victims
    victims.close()


async def test_whatever_was_said_to_be_on_disk_is_there_after_thirty_kills(victims):
    rng = random.Random(20261122)
    for round_ in range(KILLS):
        pid = victims.start()
        if round_ % 3:  # every third is killed while it opens, or shortly after
            victims.work()
        await asyncio.sleep(rng.uniform(0.0, 0.05))  # the moment of a kill is nobody's state
        victims.kill(pid)

    told = victims.lines()
    orders = {line[1] for line in told if line[0] == "order"}
    last_frame = max(int(line[1]) for line in told if line[0] == "frames")
    assert not [line for line in told if line[0] == "damage"]
    assert len(orders) > KILLS
    assert last_frame > KILLS

    opens = [line[1].split() for line in told if line[0] == "open"]
    assert len({epoch for _, epoch, _, _ in opens}) == 1
    sessions = [int(session) for session, *_ in opens]
    assert sessions == sorted(set(sessions))

    connection = sqlite3.connect(f"{(victims.state_dir / 'store.db').as_uri()}?mode=ro", uri=True)
    assert connection.execute("pragma integrity_check").fetchall() == [("ok",)]
    connection.close()

    async with opened(victims.state_dir, "dso", "new", max_age_s=1e10) as store:
        assert store.opened_after_damage is None
        assert store.last_frame >= last_frame
        assert orders <= {e.id for e in inspect.entries(victims.state_dir)}
        messages = await store.messages("new", after=0, limit=1_000_000)
        assert [n for n, _ in messages] == list(range(1, store.last_message + 1))
        acks = [m.ref for _, m in messages]
        assert len(acks) == len(set(acks))
        assert {e.id for e in inspect.entries(victims.state_dir)} == set(acks)  # order and answer: both or neither
        assert await numbers(store, "new") == list(range(1, store.last_frame + 1))
        left = await numbers(store, "dso")
        assert left == list(range(store.last_frame - len(left) + 1, store.last_frame + 1))
    kept = list(inspect.frames(victims.state_dir, None, None))
    assert [n for n, _ in kept] == list(range(1, store.last_frame + 1))


def test_a_directory_in_use_by_another_process_is_refused_with_its_pid(victims):
    pid = victims.start()
    victims.work()
    with pytest.raises(StoreLocked, match=f"in use by process {pid};"):
        Store.open(victims.state_dir, now=Clock(), limits=limits())
    stats = inspect.stats(victims.state_dir)  # looking is allowed
    assert stats.messages > 0
    victims.kill(pid)
    asyncio.run(Store.open(victims.state_dir, now=Clock(), limits=limits()).close())
