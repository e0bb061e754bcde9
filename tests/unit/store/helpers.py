"""What the store's tests share: small words, a store that is open, and waiting for a state instead of a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

from gateway.model import Block, Entry, Frame, Instant, Outgoing, Status
from gateway.store import Limits, Store

T0 = 1_700_000_000.0


class Clock:
    """A wall clock that stands where it is put."""

    def __init__(self, wall: float = T0) -> None:
        self.wall = wall

    def __call__(self) -> Instant:
        return Instant(self.wall, time.monotonic())


def frame(i: int) -> Frame:
    return Frame(T0 + i, {"inv1.active_power": float(i)})


def frames(count: int, start: int = 0) -> list[Frame]:
    return [frame(i) for i in range(start, start + count)]


def entry(i: str, revision: int = 1, status: Status = Status.ACCEPTED, n: int = 2) -> Entry:
    return Entry(id=i, revision=revision, uplink="dso", status=status, n=n, received=T0)


def ack(i: int, uplink: str | None = None, ref: str | None = None) -> Outgoing:
    return Outgoing("acks", b"%d" % i, uplink, ref=ref)


def limits(**changes: object) -> Limits:
    """Commits at once; everything else as shipped."""
    return Limits(**{"commit_interval_s": 0.0, **changes})  # type: ignore[arg-type]  # the tests name real fields


@asynccontextmanager
async def opened(
    state_dir: Path, *uplinks: str, now: Callable[[], Instant] | None = None, **changes: object
) -> AsyncIterator[Store]:
    """A store that is started and closed in the end."""
    store = Store.open(state_dir, now=now or Clock(), limits=limits(**changes))
    for uplink in uplinks:
        store.register(uplink)
    await store.start()
    try:
        yield store
    finally:
        await store.close()


async def until(condition: Callable[[], object], what: str, within_s: float = 10.0) -> None:
    """Wait for a state; fail when it does not come."""
    deadline = asyncio.get_running_loop().time() + within_s
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, f"not within {within_s} s: {what}"
        await asyncio.sleep(0.002)


async def written(store: Store, new: Iterable[Frame]) -> None:
    """Append, and wait until it is on disk."""
    store.append(list(new))
    await until(lambda: not store.waiting, "the frames are committed")


async def numbers(store: Store, uplink: str, after: int = 0) -> list[int]:
    """All frame numbers that the uplink still has to send."""
    found: list[int] = []
    while blocks := await store.blocks(uplink, after=after):
        found += [number for block in blocks for number in range(block.first, block.last + 1)]
        after = blocks[-1].last
    return found


async def pending(store: Store, uplink: str) -> list[tuple[int, Outgoing]]:
    return await store.messages(uplink, after=0, limit=10_000)


def flat(blocks: Iterable[Block]) -> list[tuple[int, Frame]]:
    return [(b.first + i, f) for b in blocks for i, f in enumerate(b.frames)]
