"""How far the ledger is, told to every uplink: who keeps it can tell whether the end was cut off since."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

from gateway.model import Instant, Outgoing, Value
from gateway.store import Store, StoreError
from gateway.store.chain import Note
from gateway.uplink.messages import json as messages

INTERVAL_S = 3600.0
"""What a cut of the ledger's end can take without a comparison showing it."""
LAST_S = 1.0
"""For the last time it is told: a shutdown has 5 s in all."""


class LedgerHead:
    """Tells of the newest record once an hour, and at the end; not again while it is the same."""

    def __init__(self, store: Store, site: str, now: Callable[[], Instant]) -> None:
        self._store = store
        self._site = site
        self._now = now
        self._told = 0

    async def run(self) -> None:
        while True:
            await asyncio.sleep(INTERVAL_S)
            with suppress(StoreError):  # the store tells that it cannot be written
                await self._tell()

    async def finish(self, notes: Sequence[Note]) -> None:
        """Record what still waits, and tell the head for the last time."""
        with suppress(StoreError, TimeoutError):
            async with asyncio.timeout(LAST_S):
                await self._store.commit(notes=notes)
                await self._tell()

    async def _tell(self) -> None:
        head = await self._store.ledger_head()
        if head is None or head.n == self._told:
            return
        signature = (head.signature or b"").hex()
        fields: dict[str, Value] = {"n": head.n, "hash": head.hash.hex(), "signature": signature}
        detail = f"the ledger has {head.n} records"
        payload = messages.event(self._site, self._now().wall, "ledger_head", detail, **fields)
        await self._store.commit(outgoing=[Outgoing(topic="events", payload=payload)])
        self._told = head.n
