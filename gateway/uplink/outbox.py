"""What an uplink asks of the store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from gateway.model import Block, Outgoing


class Outbox(Protocol):
    """
    Everything that leaves the site, numbered, until each uplink has acknowledged it.

    Numbers count from 1 and are never used twice; `epoch` names the life of the store that gave them.
    """

    @property
    def epoch(self) -> str: ...

    @property
    def last_frame(self) -> int:
        """The number of the newest committed frame; 0 before the first."""

    def register(self, uplink: str) -> None:
        """Keep what this uplink has not acknowledged."""

    def on_commit(self, callback: Callable[[], None]) -> None:
        """Call back, on the event loop, after each commit."""

    async def blocks(self, uplink: str, *, after: int, upto: int | None = None, limit: int = 100) -> list[Block]:
        """What this uplink has not acknowledged of the frames above `after`, up to and with `upto`, oldest first."""

    async def messages(self, uplink: str, *, after: int, limit: int = 100) -> list[tuple[int, Outgoing]]:
        """The messages above `after` that this uplink has not acknowledged, oldest first, with their numbers."""

    async def acknowledge_frames(self, uplink: str, ranges: Sequence[tuple[int, int]]) -> None:
        """These frames (first and last included) are held safely by the other side."""

    async def acknowledge_messages(self, uplink: str, numbers: Sequence[int]) -> None: ...
