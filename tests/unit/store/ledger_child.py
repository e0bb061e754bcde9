"""As crash_child.py, with a ledger: a line for each note that was said to be on disk."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import crash_child  # beside this file, which is run as a script

from gateway import identity
from gateway.model import Outgoing
from gateway.store import Limits, Store
from gateway.store.chain import Note
from gateway.store.ledger import Signer


async def work(state_dir: Path, told: int) -> None:
    store = Store.open(state_dir, now=crash_child.now, limits=Limits(commit_interval_s=0.002))
    key = identity.load_or_create(state_dir)
    store.keep_ledger(Signer(key.public_key_pem.decode(), key.sign), {"site": "s"})
    await store.start()

    async def orders(lane: int) -> None:
        for i in range(1_000_000):
            ref = f"{store.session}-{lane}-{i}"
            notes = [Note(crash_child.now().wall, kind, ref, b'{"n":1}') for kind in ("order", "ack", "write")]
            await store.commit(outgoing=[Outgoing("acks", ref.encode(), ref=ref)], notes=notes[: 1 + i % 3])
            os.write(told, f"order {ref}\n".encode())

    async with asyncio.TaskGroup() as group:
        for lane in range(3):
            group.create_task(orders(lane))


if __name__ == "__main__":
    crash_child.work = work
    crash_child.main()
