"""The life of an order, as the contract tells it, in virtual time."""

from __future__ import annotations

import pytest

from gateway.control.activation import TRANSITIONS, IllegalTransition, advance
from gateway.model import Cancellation, Entry, Kind, Refusal, Status
from tests.unit.control.world import Device, World, order

RECEIVED, ACCEPTED, REJECTED = Status.RECEIVED, Status.ACCEPTED, Status.REJECTED
STARTED, EFFECTIVE, DEVIATING = Status.STARTED, Status.EFFECTIVE, Status.DEVIATING
COMPLETED, CANCELLED, SUPERSEDED = Status.COMPLETED, Status.CANCELLED, Status.SUPERSEDED
EXPIRED, FAILED = Status.EXPIRED, Status.FAILED
TO_EFFECT = [RECEIVED, ACCEPTED, STARTED, EFFECTIVE]


@pytest.mark.parametrize("before", [None, *Status])
@pytest.mark.parametrize("after", list(Status))
def test_only_what_the_table_lists_is_legal(before: Status | None, after: Status) -> None:
    """An illegal step raises and changes nothing."""
    entry = Entry(id="a", revision=1, uplink="dso", status=RECEIVED, n=0, received=0.0)
    path: dict[Status | None, list[Status]] = {
        None: [],
        RECEIVED: [RECEIVED],
        ACCEPTED: [RECEIVED, ACCEPTED],
        REJECTED: [RECEIVED, REJECTED],
        STARTED: TO_EFFECT[:3],
        EFFECTIVE: TO_EFFECT,
        DEVIATING: [*TO_EFFECT, DEVIATING],
        COMPLETED: [*TO_EFFECT, COMPLETED],
        CANCELLED: [RECEIVED, ACCEPTED, CANCELLED],
        SUPERSEDED: [RECEIVED, ACCEPTED, SUPERSEDED],
        EXPIRED: [RECEIVED, ACCEPTED, EXPIRED],
        FAILED: [RECEIVED, ACCEPTED, FAILED],
    }
    for n, status in enumerate(path[before], start=1):
        entry = advance(entry, status, n=n, time=0.0)

    if after in TRANSITIONS[before]:
        assert advance(entry, after, n=9, time=0.0).status is after
    else:
        with pytest.raises(IllegalTransition):
            advance(entry, after, n=9, time=0.0)


def test_a_limit_is_received_accepted_started_and_effective_at_the_meter(world: World, pv: Device) -> None:
    world.send(order(world))
    world.run(15)

    assert world.said() == TO_EFFECT
    assert world.counts() == [1, 2, 3, 4]
    assert world.pcc_w == pytest.approx(36_000, abs=600)


def test_nothing_is_written_before_the_order_is_on_disk(world: World) -> None:
    world.journal_works = False
    world.send(order(world))
    world.run(5)

    assert world.writes == []
    assert world.acks == []

    world.journal_works = True
    world.send(order(world, "b"))
    world.run(15)
    assert world.said("b") == TO_EFFECT


def test_a_limit_above_what_is_produced_is_effective_from_below(world: World, pv: Device) -> None:
    pv.available_w = 10_000.0
    world.run(5)
    world.send(order(world))
    world.run(5)

    assert world.said() == TO_EFFECT
    assert pv.power_w == pytest.approx(10_000, rel=0.01)


def test_cancelling_ends_it_and_gives_back_what_stood_before(world: World, pv: Device) -> None:
    world.send(order(world))
    world.run(15)
    world.send(Cancellation("a", 1))
    world.run(5)

    assert world.said() == [*TO_EFFECT, CANCELLED]
    assert pv.registers["active_power_limit"] is None
    assert world.holds == {}


def test_what_stood_before_is_a_limit_of_somebody_else(world: World, pv: Device) -> None:
    pv.registers["active_power_limit"] = 42_000.0
    world.run(3)
    world.send(order(world, value=30.0))
    world.run(10)
    world.send(Cancellation("a", 1))
    world.run(5)

    assert pv.registers["active_power_limit"] == 42_000.0


def test_cancelled_before_it_starts_writes_nothing(world: World) -> None:
    world.send(order(world, start=world.now.wall + 10))
    world.run(5)
    world.send(Cancellation("a", 1))
    world.run(10)

    assert world.said() == [RECEIVED, ACCEPTED, CANCELLED]
    assert world.writes == []


def test_it_starts_at_its_start_and_completes_at_its_end(world: World, pv: Device) -> None:
    begin = world.now.wall + 5
    world.send(order(world, start=begin, end=begin + 20))
    world.run(4.5)
    assert world.said() == [RECEIVED, ACCEPTED]
    assert world.writes == []
    world.run(15)
    assert world.said() == TO_EFFECT
    world.run(10)

    assert world.said() == [*TO_EFFECT, COMPLETED]
    assert pv.registers["active_power_limit"] is None


def test_a_newer_order_of_the_issuer_supersedes_when_it_starts(world: World) -> None:
    world.send(order(world, "a", value=60.0))
    world.run(10)
    world.send(order(world, "b", value=30.0, start=world.now.wall + 5))
    world.run(4)
    assert world.said("a") == TO_EFFECT
    world.run(15)

    assert world.said("a") == [*TO_EFFECT, SUPERSEDED]
    assert world.said("b") == TO_EFFECT
    assert world.pcc_w == pytest.approx(18_000, abs=600)

    world.send(Cancellation("b", 1))
    world.run(10)
    assert world.pcc_w == pytest.approx(49_000, abs=600), "the superseded order is not resumed"


def test_between_two_issuers_the_tighter_limit_stands(world: World) -> None:
    world.send(order(world, "a", value=30.0))
    world.send(order(world, "b", value=60.0, issuer="trader", kind=Kind.MARKET))
    world.run(15)

    assert world.pcc_w == pytest.approx(18_000, abs=600)
    assert world.said("b") == TO_EFFECT

    world.send(Cancellation("a", 1))
    world.run(10)
    assert world.pcc_w == pytest.approx(36_000, abs=600)


def test_a_higher_revision_replaces_and_the_count_goes_on(world: World, pv: Device) -> None:
    world.send(order(world))
    world.run(10)
    writes_before = len(world.writes)
    world.send(order(world, revision=2, value=30.0))
    world.run(10)

    assert world.said(revision=1) == [*TO_EFFECT, SUPERSEDED]
    assert world.said(revision=2) == TO_EFFECT
    assert world.counts() == list(range(1, 10))
    assert all(value is not None for _, _, value in world.writes[writes_before:]), "the limit never lapses in between"


def test_a_refused_revision_leaves_the_one_in_force_untouched(world: World) -> None:
    world.send(order(world))
    world.run(10)
    world.send(order(world, revision=2, value=150.0))
    world.run(5)

    assert world.said(revision=1) == TO_EFFECT
    assert world.said(revision=2) == [RECEIVED, REJECTED]
    assert world.code() == "out_of_range"
    assert world.pcc_w == pytest.approx(36_000, abs=600)


def test_after_a_refused_revision_the_one_in_force_can_still_be_cancelled(world: World, pv: Device) -> None:
    world.send(order(world))
    world.run(10)
    world.send(order(world, revision=2, value=150.0))
    world.run(1)
    world.send(Cancellation("a", 1))
    world.run(5)

    assert world.said(revision=1) == [*TO_EFFECT, CANCELLED]
    assert pv.registers["active_power_limit"] is None


def test_nobody_cancels_or_replaces_the_order_of_another_uplink(world: World) -> None:
    world.send(order(world))
    world.run(10)
    world.send(Cancellation("a", 1), uplink="market")
    world.send(order(world, revision=2, value=100.0), uplink="market")
    world.run(5)

    assert [code for _, _, _, status, code in world.acks if status is REJECTED] == ["not_authorised"] * 2
    assert world.pcc_w == pytest.approx(36_000, abs=600)


def test_a_flood_of_unreadable_payloads_is_told_together(world: World) -> None:
    for _ in range(30):
        world.send(Refusal("malformed", "not JSON"))
        world.run(1)

    assert 3 <= len(world.events) <= 4


def test_the_same_order_again_is_answered_with_its_present_state(world: World) -> None:
    first = order(world)
    world.send(first)
    world.run(10)
    writes = len(world.writes)
    world.send(first)
    world.step()

    assert world.acks[-1][2:4] == (4, EFFECTIVE)
    assert len(world.writes) == writes


def test_a_replay_after_its_end_changes_nothing(world: World) -> None:
    first = order(world)
    world.send(first)
    world.run(10)
    world.send(Cancellation("a", 1))
    world.run(5)
    writes = len(world.writes)
    world.send(first)
    world.run(5)

    assert world.acks[-1][2:4] == (5, CANCELLED)
    assert len(world.writes) == writes


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        pytest.param({"target": "inv9"}, "unknown_target", id="a-device-that-does-not-exist"),
        pytest.param({"target": "pcc", "value": 150.0}, "out_of_range", id="more-than-all"),
        pytest.param({"value": -5.0}, "out_of_range", id="a-negative-limit"),
        pytest.param({"target": "inv1", "value": 61_000.0, "unit": "W"}, "out_of_range", id="above-the-rating"),
        pytest.param(
            {"function": "set_active_power", "target": "inv1", "value": -1.0}, "out_of_range", id="pv-charging"
        ),
        pytest.param({"target": "pcc", "function": "black_start"}, "unsupported_function", id="a-function-we-lack"),
        pytest.param({"target": "m2"}, "unsupported_function", id="a-meter-takes-no-orders"),
        pytest.param({"end": 1.0}, "expired", id="over-before-it-came"),
        pytest.param({"issued": 1.0}, "too_old", id="issued-long-ago"),
    ],
)
def test_a_refused_order_is_answered_with_its_code_and_writes_nothing(
    world: World, fields: dict[str, object], code: str
) -> None:
    world.send(order(world, **fields))
    world.run(3)

    assert world.said() == [RECEIVED, REJECTED]
    assert world.code() == code
    assert world.writes == []


def test_issued_long_ago_but_starting_later_is_taken(world: World) -> None:
    world.send(order(world, issued=world.now.wall - 86_400, start=world.now.wall + 1))
    world.run(10)

    assert world.said() == TO_EFFECT


def test_an_unreadable_payload_with_an_id_is_answered_and_one_without_is_an_event(world: World) -> None:
    world.send(Refusal("malformed", "no value", id="a", revision=1))
    world.send(Refusal("malformed", "not JSON"))
    world.run(1)

    assert world.said() == [RECEIVED, REJECTED]
    assert world.code() == "malformed"
    assert world.events == ["order_unreadable"]


def test_the_id_reused_with_other_content_is_a_conflict_and_the_first_goes_on(world: World) -> None:
    world.send(order(world))
    world.run(10)
    world.send(order(world, value=10.0))
    world.run(5)

    assert world.code() == "conflict"
    assert world.counts() == [1, 2, 3, 4, 5]
    assert world.pcc_w == pytest.approx(36_000, abs=600)


def test_a_lower_revision_is_stale(world: World) -> None:
    world.send(order(world, revision=3))
    world.run(10)
    world.send(order(world, revision=2, value=10.0))
    world.run(5)

    assert world.said(revision=2) == [RECEIVED, REJECTED]
    assert world.code() == "stale_revision"
    assert world.pcc_w == pytest.approx(36_000, abs=600)


def test_cancelling_what_was_never_ordered_is_refused(world: World) -> None:
    world.send(Cancellation("ghost", 1))
    world.run(1)

    assert world.said("ghost") == [RECEIVED, REJECTED]
    assert world.code("ghost") == "conflict"


def test_respond_within_without_a_device_written_fails(world: World, pv: Device) -> None:
    pv.refuses = True
    world.send(order(world, respond_within=5.0))
    world.run(10)

    assert world.said() == [RECEIVED, ACCEPTED, FAILED]
    assert world.code() == "write_failed"


def test_a_device_that_is_away_fails_the_order_in_time(world: World, pv: Device) -> None:
    pv.online = False
    world.run(5)
    world.send(order(world, respond_within=5.0))
    world.run(10)

    assert world.said() == [RECEIVED, ACCEPTED, FAILED]
    assert world.code() == "device_offline"


def test_the_end_without_effect_is_a_failure(world: World, pv: Device) -> None:
    pv.refuses = True
    world.send(order(world, end=world.now.wall + 5))
    world.run(10)

    assert world.said() == [RECEIVED, ACCEPTED, FAILED]


def test_losing_the_effect_is_deviating_and_regaining_it_effective(world: World, pv: Device) -> None:
    world.send(order(world))
    world.run(10)
    world.meter_online = False
    world.run(10)
    assert world.said() == [*TO_EFFECT, DEVIATING]
    assert world.code() == "device_offline"
    world.meter_online = True
    world.run(10)

    assert world.said() == [*TO_EFFECT, DEVIATING, EFFECTIVE]


def test_a_setpoint_nobody_can_reach_deviates_for_want_of_resource(battery: Device) -> None:
    world = World(battery, load_w=0.0, rated_w=30_000.0)
    world.run(5)
    world.send(order(world, function="set_active_power", value=20_000.0, unit="W"))
    world.run(10)
    assert world.said() == TO_EFFECT
    world.load_w = 25_000.0
    world.run(15)

    assert world.said() == [*TO_EFFECT, DEVIATING]
    assert world.code() == "resource_short"


def test_another_writer_is_noticed_and_corrected(world: World, pv: Device) -> None:
    world.send(order(world))
    world.run(10)
    pv.registers["active_power_limit"] = 60_000.0
    world.run(2)
    pv.registers["active_power_limit"] = 60_000.0
    world.run(1)
    assert "inv1.active_power_limit" in world.state.writes.foreign
    world.run(10)

    assert world.pcc_w == pytest.approx(36_000, abs=600)


@pytest.mark.parametrize(
    ("found", "event"),
    [
        pytest.param(55_000.0, "overridden", id="another-master"),
        pytest.param(None, "device_reset", id="a-device-reset"),
    ],
)
def test_what_does_not_stay_in_a_device_is_told_within_a_poll_and_written_again(
    world: World, pv: Device, found: float | None, event: str
) -> None:
    world.send(order(world, target="inv1", value=50.0))
    world.run(10)
    pv.registers["active_power_limit"] = found
    world.run(pv.poll_s + 0.2)

    assert world.events == [event]
    assert pv.registers["active_power_limit"] == 30_000.0


def test_a_restart_in_the_middle_goes_on_without_a_gap_and_gives_back_at_the_end(world: World, pv: Device) -> None:
    world.send(order(world, end=world.now.wall + 40))
    world.run(10)
    world.restart()
    world.run(10)
    assert world.pcc_w == pytest.approx(36_000, abs=600)
    world.run(25)

    assert world.said() == [*TO_EFFECT, COMPLETED]
    assert world.counts() == [1, 2, 3, 4, 5]
    assert pv.registers["active_power_limit"] is None


def test_after_a_restart_a_meter_that_is_not_read_yet_is_no_deviation(world: World) -> None:
    world.send(order(world))
    world.run(10)
    world.restart()
    world.meter_online = False
    world.run(6)
    assert world.said() == TO_EFFECT
    world.run(10)

    assert world.said() == [*TO_EFFECT, DEVIATING]


def test_a_restart_never_lets_the_limit_go_while_the_devices_come_back(world: World, pv: Device) -> None:
    """After a restart the inverter is known before it has said anything: no reason to give it back its limit."""
    world.send(order(world))
    world.run(10)
    writes = len(world.writes)
    world.restart()
    pv.silent = True
    world.run(3)
    pv.silent = False
    world.run(10)

    assert all(value is not None for _, _, value in world.writes[writes:])
    assert pv.registers["active_power_limit"] is not None


def test_down_over_the_end_it_is_completed_and_given_back_on_return(world: World, pv: Device) -> None:
    world.send(order(world, end=world.now.wall + 20))
    world.run(10)
    world.mono += 30
    world.restart()
    world.run(5)

    assert world.said() == [*TO_EFFECT, COMPLETED]
    assert pv.registers["active_power_limit"] is None


def test_down_over_the_whole_time_of_an_order_it_expired(world: World) -> None:
    world.send(order(world, start=world.now.wall + 10, end=world.now.wall + 20))
    world.run(5)
    world.mono += 30
    world.restart()
    world.run(5)

    assert world.said() == [RECEIVED, ACCEPTED, EXPIRED]
    assert world.writes == []
