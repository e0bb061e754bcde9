"""The image: the latest of every point, and never a value that pretends to be fresher or better than it is."""

from __future__ import annotations

import pytest

from gateway.image import CHANGES_MAX, Image
from gateway.model import Instant, Measurement, Nameplate, Point, Quality, WriteResult

POINTS = (Point("inv1.active_power", "W", max_age=3.0), Point("inv1.active_power_limit", "W", writable=True))


def at(mono: float) -> Instant:
    return Instant(1_000.0 + mono, mono)


@pytest.fixture
def image() -> Image:
    return Image([Nameplate("inv1", POINTS, rated_power_w=60_000.0)])


def test_a_value_that_was_never_read_is_absent(image: Image) -> None:
    snapshot = image.snapshot(at(0))

    assert "inv1.active_power" not in snapshot.readings
    assert snapshot.number("inv1.active_power") is None


def test_the_arrival_is_stamped_and_the_time_of_the_source_kept(image: Image) -> None:
    image.emit([Measurement("inv1.active_power", 1.0)], at(1))
    assert image.snapshot(at(1)).readings["inv1.active_power"].time == 1_001.0
    image.emit([Measurement("inv1.active_power", 1.0, time=900.0)], at(2))

    assert image.snapshot(at(2)).readings["inv1.active_power"].time == 900.0


def test_a_value_past_its_deadline_is_stale_once_and_keeps_its_time(image: Image) -> None:
    image.emit([Measurement("inv1.active_power", 5.0)], at(0))
    image.snapshot(at(3.0))
    late = image.snapshot(at(3.1))

    assert late.readings["inv1.active_power"].quality is Quality.STALE
    assert late.readings["inv1.active_power"].time == 1_000.0
    assert late.number("inv1.active_power") is None
    assert [quality for _, quality in ((p, r.quality) for p, r in late.changes)] == [Quality.STALE]
    assert image.snapshot(at(4)).changes == ()


def test_a_lost_connection_takes_the_worth_of_every_readable_point(image: Image) -> None:
    image.emit([Measurement("inv1.active_power", 5.0)], at(0))
    image.offline(["inv1"], at(1))
    snapshot = image.snapshot(at(1))

    assert {p: r.quality for p, r in snapshot.readings.items()} == {
        "inv1.active_power": Quality.OFFLINE,
        "inv1.active_power_limit": Quality.OFFLINE,
    }


def test_changes_are_handed_over_once_and_in_order(image: Image) -> None:
    for value in (1.0, 2.0, 3.0):
        image.emit([Measurement("inv1.active_power", value)], at(value))

    assert [reading.value for _, reading in image.snapshot(at(3)).changes] == [1.0, 2.0, 3.0]
    assert image.snapshot(at(3)).changes == ()


def test_changes_are_bounded_and_the_lost_ones_counted(image: Image) -> None:
    image.emit((Measurement("inv1.active_power", float(n)) for n in range(CHANGES_MAX + 5)), at(1))
    snapshot = image.snapshot(at(1))

    assert len(snapshot.changes) == CHANGES_MAX
    assert snapshot.changes_lost == 5
    assert snapshot.number("inv1.active_power") == CHANGES_MAX + 4


def test_what_was_read_back_is_what_stands_there(image: Image) -> None:
    image.emit([Measurement("inv1.active_power_limit", 60_000.0)], at(0))
    image.wrote(WriteResult("inv1.active_power_limit", 30_000.0, 30_006.0, None, 1.0), at(1))
    assert image.snapshot(at(1)).number("inv1.active_power_limit") == 30_006.0
    image.wrote(WriteResult("inv1.active_power_limit", 10_000.0, None, "exception 4", 2.0), at(2))

    assert image.snapshot(at(2)).number("inv1.active_power_limit") == 30_006.0


def test_a_snapshot_does_not_change_any_more(image: Image) -> None:
    image.emit([Measurement("inv1.active_power", 1.0)], at(1))
    snapshot = image.snapshot(at(1))
    image.emit([Measurement("inv1.active_power", 2.0)], at(2))

    assert snapshot.number("inv1.active_power") == 1.0
    with pytest.raises(TypeError):
        snapshot.readings["x"] = None  # type: ignore[index]  # that it cannot be done is the point


def test_a_new_nameplate_replaces_the_points_of_its_device(image: Image) -> None:
    image.emit([Nameplate("inv1", (Point("inv1.frequency", "Hz"),))], at(1))

    assert set(image.snapshot(at(1)).points) == {"inv1.frequency"}
