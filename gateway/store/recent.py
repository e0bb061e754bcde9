"""The newest blocks and messages in memory: what is sent live is never read back from the disk."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice

from gateway.model import Block
from gateway.store.outbox import Numbered, cut
from gateway.store.runs import Runs

RECENT_FRAMES = 2000
"""Frames kept (a few MB): several minutes of a busy site, longer than an uplink takes to reconnect."""
RECENT_MESSAGES = 200
"""Messages kept: ten windows of an uplink; an acknowledgement that is to be sent at once is among them."""


class RecentMessages:
    """The last messages, without a hole between them."""

    def __init__(self) -> None:
        self._messages: deque[Numbered] = deque(maxlen=RECENT_MESSAGES)

    def add(self, messages: Iterable[Numbered]) -> None:
        self._messages.extend(messages)

    def holds(self, first: int) -> bool:
        """Whether all messages from this number on are here."""
        return bool(self._messages) and self._messages[0][0] <= first

    def pieces(self, uplink: str, wanted: Runs, limit: int) -> list[Numbered]:
        """Those of the wanted numbers that are for the uplink, oldest first."""
        mine = (
            (number, message)
            for number, message in self._messages
            if message.uplink in {None, uplink} and any(first <= number <= last for first, last in wanted)
        )
        return list(islice(mine, limit))


class Recent:
    """Contiguous blocks up to the newest one; what does not follow on starts it anew."""

    def __init__(self) -> None:
        self._blocks: deque[Block] = deque()
        self._frames = 0

    def add(self, block: Block) -> None:
        if self._blocks and block.first != self._blocks[-1].last + 1:
            self._blocks.clear()
            self._frames = 0
        self._blocks.append(block)
        self._frames += len(block.frames)
        while self._frames - len(self._blocks[0].frames) >= RECENT_FRAMES:
            self._frames -= len(self._blocks.popleft().frames)

    def holds(self, first: int, last: int) -> bool:
        return bool(self._blocks) and self._blocks[0].first <= first and last <= self._blocks[-1].last

    def time_of(self, number: int) -> float:
        """The time of a frame that is held."""
        return next(b.frames[number - b.first].time for b in self._blocks if b.first <= number <= b.last)

    def pieces(self, wanted: Runs) -> Iterator[Block]:
        """What of the wanted runs is held, in order, cut at the blocks' edges."""
        for first, last in wanted:
            for block in self._blocks:
                if block.first <= last and first <= block.last:
                    yield cut(block, max(first, block.first), min(last, block.last))
