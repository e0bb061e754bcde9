"""Whatever is done in whatever order, the store is a dict of numbers: Hypothesis plays, a plain model watches."""

import asyncio
import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gateway.model import Entry, Frame, Outgoing
from gateway.store import Store
from tests.unit.store.helpers import Clock, ack, entry, flat, frame, limits, pending, until

UPLINKS = ("dso", "scada")
NUMBER = st.integers(-2, 60)


class Model(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.dir = Path(tempfile.mkdtemp())
        self.loop = asyncio.new_event_loop()
        self.frames: dict[int, Frame] = {}
        self.messages: dict[int, Outgoing] = {}
        self.entries: dict[str, Entry] = {}
        self.frames_left = {uplink: set() for uplink in UPLINKS}
        self.messages_left = {uplink: set() for uplink in UPLINKS}
        self.open()

    def open(self) -> None:
        self.store = Store.open(self.dir, now=Clock(), limits=limits())
        for uplink in UPLINKS:
            self.store.register(uplink)
        self.run(self.store.start())

    def run(self, awaitable):
        return self.loop.run_until_complete(awaitable)

    def teardown(self) -> None:
        self.run(self.store.close())
        self.loop.close()
        shutil.rmtree(self.dir)

    @rule(count=st.integers(1, 8))
    def append(self, count):
        new = [frame(len(self.frames) + i) for i in range(count)]

        async def act():
            self.store.append(new)
            await until(lambda: not self.store.waiting, "the frames are committed")

        self.run(act())
        for one in new:
            number = len(self.frames) + 1
            self.frames[number] = one
            for left in self.frames_left.values():
                left.add(number)

    @rule(whom=st.lists(st.sampled_from([None, *UPLINKS, "another"]), max_size=4), order=st.sampled_from("abc"))
    def commit(self, whom, order):
        new = [ack(len(self.messages) + i, uplink) for i, uplink in enumerate(whom)]
        self.entries[order] = entry(order, n=len(self.messages))
        self.run(self.store.commit(entries=[self.entries[order]], outgoing=new))
        for one in new:
            number = len(self.messages) + 1
            self.messages[number] = one
            for uplink in UPLINKS:
                if one.uplink in {None, uplink}:
                    self.messages_left[uplink].add(number)

    @rule(uplink=st.sampled_from(UPLINKS), ranges=st.lists(st.tuples(NUMBER, NUMBER), max_size=3))
    def acknowledge_frames(self, uplink, ranges):
        self.run(self.store.acknowledge_frames(uplink, ranges))
        for first, last in ranges:
            self.frames_left[uplink] -= set(range(first, last + 1))

    @rule(uplink=st.sampled_from(UPLINKS), numbers=st.lists(NUMBER, max_size=5))
    def acknowledge_messages(self, uplink, numbers):
        self.run(self.store.acknowledge_messages(uplink, numbers))
        self.messages_left[uplink] -= set(numbers)

    @rule()
    def restart(self):
        epoch = self.store.epoch
        self.run(self.store.close())
        self.open()
        assert self.store.epoch == epoch
        assert {e.id: e for e in self.store.entries()} == self.entries

    @invariant()
    def the_store_and_the_model_agree(self):
        assert (self.store.last_frame, self.store.last_message) == (len(self.frames), len(self.messages))
        for uplink in UPLINKS:
            blocks = self.run(self.store.blocks(uplink, after=0, limit=1000))
            assert flat(blocks) == [(n, self.frames[n]) for n in sorted(self.frames_left[uplink])]
            messages = self.run(pending(self.store, uplink))
            assert messages == [(n, self.messages[n]) for n in sorted(self.messages_left[uplink])]
            backlog = self.store.backlog(uplink)
            assert (backlog.frames, backlog.messages) == (len(blocks and flat(blocks)), len(messages))


Model.TestCase.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
TestModel = Model.TestCase
