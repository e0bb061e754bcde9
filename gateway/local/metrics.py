"""
The Prometheus metrics, made of one look at the daemon. Pure, but for what the kernel says of our process.

What is not known has no sample. Names end in their base unit; a point's value carries its unit as a label.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

from prometheus_client import generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from drivers.base import PlannedDevice, Traffic
from gateway.image import KNOWN
from gateway.local import process
from gateway.local.documents import View, online, worst_age_s
from gateway.local.lines import DeviceLine
from gateway.local.look import Look, TicksLook, UplinkLook
from gateway.local.ticks import BOUNDS_S

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
UNREAD = "unread"

_Labelled = Iterable[tuple[Sequence[str], float | None]]


class _Families(Collector):
    def __init__(self, view: View) -> None:
        self._view = view

    def collect(self) -> Iterator[Metric]:
        yield from families(self._view)
        yield from _process()


def exposition(view: View) -> bytes:
    """The text for `/metrics`, in CONTENT_TYPE."""
    return generate_latest(_Families(view))


def families(view: View) -> Iterator[Metric]:
    """All metrics of ours."""
    look = view.look
    site = look.site
    yield _gauge(
        "dergate_info", "The site and the version of its gateway.", ("site", "version"), [((site.id, site.version), 1)]
    )
    yield _gauge("dergate_start_time_seconds", "Since when the gateway runs, UTC.", (), [((), site.started.wall)])
    yield _gauge("dergate_healthy", "1 when every part makes progress.", (), [((), not view.reasons)])
    yield from _devices(look)
    yield from _points(look)
    yield from _uplinks(look)
    yield from _store(look)
    yield _gauge("dergate_orders_open", "Orders that have not ended.", (), [((), len(look.control.orders.open))])
    yield _durations(look.ticks)
    yield _counter(
        "dergate_tick_overruns", "Turns of the control period that were skipped.", (), [((), look.ticks.overruns)]
    )
    yield from _lines(look, view.lines)


def _devices(look: Look) -> Iterator[Metric]:
    there = {device.id: online(look.snapshot, device.id) for device in look.site.devices}
    answering = sum(is_ is True for is_ in there.values())
    yield _gauge("dergate_devices", "Devices of the site file.", (), [((), len(there))])
    yield _gauge("dergate_devices_online", "Devices that answer.", (), [((), answering)])
    yield _gauge(
        "dergate_device_online",
        "1 when the device answers.",
        ("device",),
        [((id_,), is_) for id_, is_ in there.items()],
    )


def _points(look: Look) -> Iterator[Metric]:
    readable = [point for point in look.snapshot.points.values() if point.readable]
    readings = [(point, look.snapshot.readings.get(point.id)) for point in readable]
    counted = Counter(UNREAD if reading is None else reading.quality.value for _, reading in readings)
    yield _gauge(
        "dergate_points",
        "Points by quality.",
        ("quality",),
        [((quality,), n) for quality, n in sorted(counted.items())],
    )
    yield _gauge(
        "dergate_point_value",
        "The latest value of a point, while it is known and a number, in its unit.",
        ("point", "unit"),
        [
            ((point.id, point.unit), float(reading.value))
            for point, reading in readings
            if reading is not None and reading.quality in KNOWN and isinstance(reading.value, int | float)
        ],
    )


def _uplinks(look: Look) -> Iterator[Metric]:
    def of_each(value: Callable[[UplinkLook], float | None]) -> _Labelled:
        return [((uplink.id,), value(uplink)) for uplink in look.uplinks]

    label = ("uplink",)
    yield _gauge("dergate_uplink_connected", "1 while connected.", label, of_each(lambda one: one.connected))
    yield _gauge(
        "dergate_uplink_frames_pending", "Frames not acknowledged.", label, of_each(lambda one: one.frames_pending)
    )
    yield _gauge(
        "dergate_uplink_messages_pending",
        "Messages not acknowledged.",
        label,
        of_each(lambda one: one.messages_pending),
    )
    yield _gauge(
        "dergate_uplink_oldest_pending_timestamp_seconds",
        "The UTC time of the oldest frame not acknowledged.",
        label,
        of_each(lambda one: one.oldest_pending),
    )
    yield _counter(
        "dergate_uplink_frames_acknowledged",
        "Frames of this store's life that are not waited for any more: acknowledged, or announced as lost.",
        label,
        of_each(lambda one: look.store.last_frame - one.frames_pending),
    )


def _store(look: Look) -> Iterator[Metric]:
    store = look.store
    yield _counter("dergate_store_frames", "Frames of this store's life.", (), [((), store.last_frame)])
    yield _gauge("dergate_store_frames_waiting", "Frames not on disk yet.", (), [((), store.waiting)])
    yield _counter("dergate_store_frames_dropped", "Frames lost before they were on disk.", (), [((), store.dropped)])
    yield _gauge("dergate_store_failing", "1 while commits fail.", (), [((), store.fault is not None)])


def _durations(ticks: TicksLook) -> Metric:
    counted, buckets = 0, []
    for bound, within in zip((*map(str, BOUNDS_S), "+Inf"), ticks.within, strict=True):
        counted += within
        buckets.append((bound, float(counted)))
    text = "How long a tick takes, from its snapshot to its last set-point."
    return HistogramMetricFamily("dergate_tick_duration_seconds", text, buckets=buckets, sum_value=ticks.total_s)


def _lines(look: Look, lines: Sequence[DeviceLine]) -> Iterator[Metric]:
    label = ("device",)

    def planned(text: str, name: str, value: Callable[[PlannedDevice], float]) -> Metric:
        known = [(line.device, line.planned) for line in lines]
        return _gauge(name, text, label, [((device,), None if one is None else value(one)) for device, one in known])

    def total(text: str, name: str, value: Callable[[Traffic], float]) -> Metric:
        known = [(line.device, line.total) for line in lines]
        return _counter(name, text, label, [((device,), None if one is None else value(one)) for device, one in known])

    yield planned(
        "Requests a second as planned.", "dergate_device_planned_requests_per_second", lambda one: one.requests_per_s
    )
    yield planned("Share of its line as planned.", "dergate_device_planned_load_ratio", lambda one: one.load)
    yield planned(
        "Worst age of a value as planned.", "dergate_device_planned_worst_age_seconds", lambda one: one.worst_age_s
    )
    ages = [((line.device,), worst_age_s(look, line.device)) for line in lines]
    yield _gauge("dergate_device_worst_age_seconds", "Age of the oldest value now.", label, ages)
    yield total("Requests sent.", "dergate_device_requests", lambda one: one.requests)
    yield total(
        "Requests that nobody answered in time.", "dergate_device_requests_unanswered", lambda one: one.unanswered
    )
    yield total("Requests that the device refused.", "dergate_device_requests_refused", lambda one: one.refused)
    yield total("Turns of the schedule that came too late.", "dergate_device_requests_skipped", lambda one: one.skipped)
    yield total("Set-points written.", "dergate_device_writes", lambda one: one.writes)
    yield total("How long the device's requests took the line.", "dergate_device_busy_seconds", lambda one: one.busy_s)


def _process() -> Iterator[Metric]:
    ours = process.read()
    name = "dergate_process_resident_memory_bytes"
    yield _gauge(name, "Memory that the gateway holds.", (), [((), ours.resident_bytes)])
    yield _counter("dergate_process_cpu_seconds", "Time of a processor that it used.", (), [((), ours.cpu_s)])
    yield _gauge("dergate_process_open_fds", "Files and sockets that it has open.", (), [((), ours.open_files)])


def _gauge(name: str, text: str, labels: Sequence[str], samples: _Labelled) -> Metric:
    return _filled(GaugeMetricFamily(name, text, labels=labels), samples)


def _counter(name: str, text: str, labels: Sequence[str], samples: _Labelled) -> Metric:
    """Prometheus' text form adds `_total` to the name."""
    return _filled(CounterMetricFamily(name, text, labels=labels), samples)


def _filled(family: GaugeMetricFamily | CounterMetricFamily, samples: _Labelled) -> Metric:
    for labels, value in samples:
        if value is not None:
            family.add_metric(labels, float(value))
    return family
