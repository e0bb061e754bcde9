"""The metrics: what a scraper reads; what is not known has no sample."""

from __future__ import annotations

from dataclasses import replace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.image import Reading
from gateway.local import metrics
from gateway.local.documents import View
from gateway.model import Quality
from tests.unit.local.world import NOW, POWER, STORE, snapshot, view

Key = tuple[str, tuple[tuple[str, str], ...]]


def samples(one: View) -> dict[Key, float]:
    """As a scraper parses them."""
    text = metrics.exposition(one).decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def key(name: str, **labels: str) -> Key:
    return f"dergate_{name}", tuple(sorted(labels.items()))


EXPECTED = [
    (key("info", site="park", version="9.9"), 1),
    (key("start_time_seconds"), NOW.wall - 100),
    (key("healthy"), 1),
    (key("devices"), 4),
    (key("devices_online"), 1),
    (key("device_online", device="pcc"), 1),
    (key("device_online", device="inv1"), 0),
    (key("points", quality="good"), 1),
    (key("points", quality="offline"), 2),
    (key("points", quality="unread"), 1),
    (key("point_value", point="pcc.active_power", unit="W"), 59_800.0),
    (key("uplink_connected", uplink="dso"), 1),
    (key("uplink_frames_pending", uplink="dso"), 5),
    (key("uplink_messages_pending", uplink="dso"), 1),
    (key("uplink_oldest_pending_timestamp_seconds", uplink="dso"), NOW.wall - 4),
    (key("uplink_frames_acknowledged_total", uplink="dso"), 115),
    (key("store_frames_total"), 120),
    (key("store_frames_waiting"), 0),
    (key("store_frames_dropped_total"), 0),
    (key("store_failing"), 0),
    (key("orders_open"), 0),
    (key("tick_duration_seconds_bucket", le="0.001"), 40),
    (key("tick_duration_seconds_bucket", le="0.005"), 49),
    (key("tick_duration_seconds_bucket", le="+Inf"), 50),
    (key("tick_duration_seconds_count"), 50),
    (key("tick_duration_seconds_sum"), 1.5),
    (key("tick_overruns_total"), 1),
    (key("device_planned_requests_per_second", device="pcc"), 5.0),
    (key("device_planned_load_ratio", device="pcc"), 0.04),
    (key("device_planned_worst_age_seconds", device="pcc"), 0.3),
    (key("device_worst_age_seconds", device="pcc"), 0.5),
    (key("device_requests_total", device="pcc"), 500),
    (key("device_requests_unanswered_total", device="pcc"), 3),
    (key("device_requests_refused_total", device="pcc"), 2),
    (key("device_requests_skipped_total", device="pcc"), 1),
    (key("device_writes_total", device="pcc"), 0),
    (key("device_busy_seconds_total", device="pcc"), 4.0),
]


@pytest.mark.parametrize(("sample", "value"), EXPECTED, ids=lambda one: one[0] if isinstance(one, tuple) else "")
def test_a_scraper_reads(sample: Key, value: float) -> None:
    assert samples(view())[sample] == pytest.approx(value)


@pytest.mark.parametrize(
    "absent",
    [
        pytest.param(key("point_value", point="inv1.active_power", unit="W"), id="value-of-a-device-that-is-away"),
        pytest.param(key("point_value", point="pcc.alarm", unit=""), id="value-never-read"),
        pytest.param(key("device_online", device="gen"), id="nobody-knows-whether-it-is-there"),
        pytest.param(key("device_requests_total", device="inv1"), id="traffic-not-counted"),
        pytest.param(key("device_planned_load_ratio", device="inv1"), id="not-planned"),
    ],
)
def test_what_is_not_known_has_no_sample(absent: Key) -> None:
    assert absent not in samples(view())


@pytest.mark.parametrize(
    ("value", "expected"),
    [(True, 1.0), (False, 0.0), (7, 7.0), ("running", None), (None, None)],
    ids=["closed", "open", "integer", "text", "no-set-point"],
)
def test_a_switch_is_1_or_0_and_a_text_is_no_number(value: float | str | None, expected: float | None) -> None:
    read = snapshot({POWER.id: Reading(value, Quality.GOOD, NOW.wall, NOW.mono)})

    assert samples(view(snapshot=read)).get(key("point_value", point=POWER.id, unit="W")) == expected


def test_what_fails_is_seen() -> None:
    found = samples(view(reasons=("store: commits fail: full",), store=replace(STORE, fault="full")))

    assert (found[key("healthy")], found[key("store_failing")]) == (0, 1)


def test_the_process_tells_what_it_takes() -> None:
    found = samples(view())

    assert found[key("process_resident_memory_bytes")] > 1e6
    assert found[key("process_cpu_seconds_total")] > 0
    assert found[key("process_open_fds")] > 2


def test_every_metric_is_ours_and_no_name_is_used_twice() -> None:
    text = metrics.exposition(view()).decode()
    names = [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")]

    assert all(name.startswith("dergate_") for name in names)
    assert len(names) == len(set(names))
