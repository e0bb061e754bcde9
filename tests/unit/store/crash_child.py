"""
A store under load in a process that is there to be killed.

    python crash_child.py STATE_DIR LEDGER      for each line on stdin: fork a process that works, and print its pid

The processes are forked from one that has everything imported: a kill costs some milliseconds. A working process
appends a line to LEDGER for everything it was told is on disk, and only then; what was written to a file outlives it.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path

from gateway.model import Entry, Frame, Hold, Instant, Outgoing, Status
from gateway.store import Limits, Store
from gateway.store import inspect as _inspect  # noqa: F401 - imported before the forks, as all that a store needs


def now() -> Instant:
    return Instant(time.time(), time.monotonic())


async def work(state_dir: Path, ledger: int) -> None:
    def tell(line: str) -> None:
        os.write(ledger, f"{line}\n".encode())

    store = Store.open(state_dir, now=now, limits=Limits(commit_interval_s=0.002, max_age_s=1e10))
    store.register("dso")
    tell(f"open {store.session} {store.epoch} {store.last_frame} {store.last_message}")
    if store.opened_after_damage is not None:
        tell(f"damage {store.opened_after_damage}")
    await store.start()
    store.on_commit(lambda: tell(f"frames {store.last_frame}"))

    async def orders(lane: int) -> None:
        for i in range(1_000_000):
            key = f"{store.session}-{lane}-{i}"
            entry = Entry(id=key, revision=1, uplink="dso", status=Status.ACCEPTED, n=1, received=0.0)
            message = Outgoing("acks", key.encode() + b" " * (i % 7 * 300), ref=key)
            await store.commit(entries=[entry], holds=[Hold(f"lane{lane}", float(i))], outgoing=[message])
            tell(f"order {key}")

    async def frames() -> None:
        for i in range(1_000_000):
            store.append([Frame(float(i), {"a.counter": i, "a.text": str(i) * 50}) for _ in range(i % 5)])
            await asyncio.sleep(0.0005)

    async def uplink() -> None:
        sent = 0
        while True:
            for block in await store.blocks("dso", after=sent, limit=5):
                sent = block.last
                await store.acknowledge_frames("dso", [(block.first, block.last)])
            await asyncio.sleep(0.001)

    async with asyncio.TaskGroup() as group:
        for lane in range(3):
            group.create_task(orders(lane))
        group.create_task(frames())
        group.create_task(uplink())


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    state_dir = Path(sys.argv[1])
    ledger = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for _ in sys.stdin:
        pid = os.fork()
        if pid == 0:
            asyncio.run(work(state_dir, ledger))
            return
        say(str(pid))
        os.waitpid(pid, 0)
        say("gone")


if __name__ == "__main__":
    main()
