"""What the ticks leave behind: how long they took, what they told of, and the latest set-point of each point."""

from __future__ import annotations

from gateway.control.cycle import Event, Outcome
from gateway.control.mirror import Headroom, Mirror
from gateway.control.register import Orders
from gateway.local.recent import EVENTS_MAX, Recent
from gateway.local.ticks import BOUNDS_S, Ticks
from gateway.model import SetPoint


def test_every_completed_tick_is_counted_in_one_bucket() -> None:
    ticks = Ticks()
    assert ticks.look().ended is None

    for seconds in (0.0005, 0.001, 0.0011, 5.0):
        ticks.completed(10.0, 10.0 + seconds)
    ticks.overran(0)
    ticks.overran(3)
    seen = ticks.look()

    assert len(seen.within) == len(BOUNDS_S) + 1
    assert (sum(seen.within), seen.within[-1], seen.overruns, seen.ended) == (4, 1, 3, 15.0)


def outcome(serial: int, *, events: tuple[Event, ...] = (), setpoints: tuple[SetPoint, ...] = ()) -> Outcome:
    return Outcome(serial, (), (), (), (), events, setpoints, Mirror(headroom=Headroom(p_up=float(serial))))


def test_a_set_point_stays_to_be_seen_until_a_newer_one_of_its_point_comes() -> None:
    recent = Recent()
    first, other, newer = (
        SetPoint("a.x", 1.0, 9.0, "o1"),
        SetPoint("b.x", 2.0, 9.0, "o1"),
        SetPoint("a.x", 3.0, 9.0, "o2"),
    )
    recent.take(0.0, outcome(1, setpoints=(first, other)))
    before = recent.look(Orders(), ())
    recent.take(1.0, outcome(2, setpoints=(newer,)))
    recent.take(2.0, outcome(3))
    now = recent.look(Orders(), {"b.x", "a.x"})

    assert now.setpoints == {"a.x": newer, "b.x": other}
    assert (now.serial, now.mirror.headroom.p_up, now.held) == (3, 3.0, ("a.x", "b.x"))
    assert before.setpoints == {"a.x": first, "b.x": other}, "a look that was taken does not change any more"


def test_the_last_events_are_kept_and_no_more() -> None:
    recent = Recent()
    for number in range(EVENTS_MAX + 5):
        recent.take(float(number), outcome(number, events=(Event("device_lost", str(number)),)))
    kept = recent.look(Orders(), ()).events

    assert len(kept) == EVENTS_MAX
    assert kept[-1] == (EVENTS_MAX + 4.0, Event("device_lost", str(EVENTS_MAX + 4)))
