"""
What a site has measured, as a measurement value document (IEC 62325-451-n): one series a point, one value a step.

Frames come when something has changed; the document has steps of one length. Of a power a step has the mean over time,
of an energy counter what it has counted. The quality says what stands behind it:

    A04 as provided      known and good in the whole step
    A03 estimated        known in the whole step, at times uncertain
    A05 incomplete       known in a part of the step, of which it is the mean
    A02 not available    not known: there is no quantity

Values have our sign (business type A07, net production and consumption: positive is production). The document has
products for W, var, Wh and varh alone; points of other units have no place in it.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite

from gateway.model import Frame, Quality
from gateway.uplink.messages.cim_xml import codes
from gateway.uplink.messages.cim_xml.document import Element, leaf
from gateway.uplink.messages.cim_xml.leaves import interval, quantity
from gateway.uplink.messages.cim_xml.parties import Agreement, Mrid
from gateway.uplink.messages.cim_xml.schema import MEASUREMENT_VALUE, written
from gateway.uplink.messages.cim_xml.times import duration, second

PRODUCT: Mapping[str, str] = {
    "W": "8716867000016",
    "var": "8716867000023",
    "Wh": "8716867000030",
    "varh": "8716867000047",
}
"""The product of each unit that the document can carry."""
_COUNTED = ("Wh", "varh")
_NET, _FIXED_BLOCKS, _REALISED = "A07", "A01", "A16"
_PROVIDED, _ESTIMATED, _INCOMPLETE, _UNAVAILABLE = "A04", "A03", "A05", "A02"
_DECIMALS = 3
"""Of a W or var: what a meter resolves, and few enough digits for the facet."""


@dataclass(frozen=True, slots=True)
class _Stretch:
    """A value that holds from one time to another; None is not known."""

    start: float
    end: float
    value: float | None
    good: bool


def measurements(
    site: str,
    frames: Sequence[Frame],
    *,
    units: Mapping[str, str],
    start: float,
    end: float,
    step_s: float,
    created: float,
    agreed: Agreement,
) -> bytes:
    """
    The document of the points in *units* (point id to unit) from *start* to *end*, whole minutes, in steps of *step_s*.

    Frames before *start* say what held when it began. The same interval and steps have the same mRID.

    Raises:
        ValueError: There is no point to report, no whole number of steps, or more than a document has room for.
    """
    steps, rest = divmod(end - start, step_s)
    if steps < 1 or rest:
        raise ValueError(f"{end - start:g} s are no whole number of steps of {step_s:g} s")
    bounds = [start + number * step_s for number in range(int(steps) + 1)]
    reported = {point: unit for point, unit in units.items() if unit in PRODUCT}
    named = f"{site} {start} {end} {step_s}"
    root = Element("MeasurementValue_MarketDocument")
    root.children = [
        leaf("mRID", f"MEA-{hashlib.sha256(named.encode()).hexdigest()[:32]}"),
        leaf("revisionNumber", "1"),
        leaf("type", codes.MEASUREMENT),
        leaf("process.processType", _REALISED),
        *agreed.site.written("sender"),
        *agreed.dso.written("receiver"),
        leaf("createdDateTime", second(created)),
        interval("period.timeInterval", start, end),
        agreed.domain.written("domain.mRID"),
        *(
            _series(point, unit, list(_stretches(point, frames, end)), bounds, agreed)
            for point, unit in reported.items()
        ),
    ]
    return written(root, MEASUREMENT_VALUE)


def _stretches(point: str, frames: Iterable[Frame], end: float) -> Iterator[_Stretch]:
    """What is known of a point, in the order of time, until *end*."""
    said = sorted(
        (frame for frame in frames if point in frame.values or point in frame.quality), key=lambda one: one.time
    )
    for frame, until in zip(said, [*(one.time for one in said), end][1:], strict=True):
        value, quality = frame.values.get(point), frame.quality.get(point, Quality.GOOD)
        known = isinstance(value, int | float) and isfinite(value) and quality in {Quality.GOOD, Quality.UNCERTAIN}
        yield _Stretch(
            frame.time, until, float(value) if known and value is not None else None, quality is Quality.GOOD
        )


def _series(
    point: str, unit: str, stretches: Sequence[_Stretch], bounds: Sequence[float], agreed: Agreement
) -> Element:
    device = point.partition(".")[0]
    written_unit = codes.WRITTEN[unit]
    period = Element("Period", children=[interval("timeInterval", bounds[0], bounds[-1])])
    period.children.append(leaf("resolution", duration(bounds[1] - bounds[0])))
    of_step = _counted if unit in _COUNTED else _mean
    for position, (start, end) in enumerate(pairwise(bounds), start=1):
        value, quality = of_step(stretches, start, end)
        known = [leaf("quantity", quantity(round(value, _DECIMALS), written_unit))] if value is not None else []
        period.children.append(
            Element("Point", children=[leaf("position", str(position)), *known, leaf("quality", quality)])
        )
    return Element(
        "TimeSeries",
        children=[
            leaf("mRID", point),
            leaf("businessType", _NET),
            leaf("product", PRODUCT[unit]),
            leaf("curveType", _FIXED_BLOCKS),
            agreed.domain.written("in_Domain.mRID"),
            agreed.domain.written("out_Domain.mRID"),
            agreed.resources.get(device, Mrid(device)).written("marketEvaluationPoint.mRID"),
            leaf("measurement_Unit.name", written_unit),
            period,
        ],
    )


def _mean(stretches: Sequence[_Stretch], start: float, end: float) -> tuple[float | None, str]:
    """The mean over the part of the step in which the value is known."""
    known_s = total = 0.0
    good = True
    for one in stretches[max(_at(stretches, start), 0) :]:
        if one.start >= end:
            break
        length_s = min(one.end, end) - max(one.start, start)
        if length_s > 0 and one.value is not None:
            known_s += length_s
            total += one.value * length_s
            good = good and one.good
    if not known_s:
        return None, _UNAVAILABLE
    if known_s < end - start:
        return total / known_s, _INCOMPLETE
    return total / known_s, _PROVIDED if good else _ESTIMATED


def _counted(stretches: Sequence[_Stretch], start: float, end: float) -> tuple[float | None, str]:
    """What a counter has counted in the step; a counter that has gone back was replaced, and says nothing."""
    before, after = _reading(stretches, start), _reading(stretches, end)
    if before is None or after is None or before.value is None or after.value is None or after.value < before.value:
        return None, _UNAVAILABLE
    return after.value - before.value, _PROVIDED if before.good and after.good else _ESTIMATED


def _reading(stretches: Sequence[_Stretch], time: float) -> _Stretch | None:
    at = _at(stretches, time)
    return stretches[at] if at >= 0 else None


def _at(stretches: Sequence[_Stretch], time: float) -> int:
    """The number of the stretch that holds at a time; -1 before the first."""
    return bisect_right(stretches, time, key=lambda one: one.start) - 1
