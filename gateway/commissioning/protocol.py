"""The protocol as a document: schema `commissioning/1`, one entry a test. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway.commissioning.result import Result, Sample, Trace, worst

SCHEMA = "commissioning/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Heading:
    """What a protocol is about: times as RFC 3339, `consent` by device, `ended` how it came to its end, `key` the
    fingerprint of the key it is signed by."""

    site: str
    site_name: str
    configuration: str
    version: str
    begun: str
    finished: str
    operator: str
    consent: Mapping[str, str]
    ended: str
    key: str = ""


def document(heading: Heading, results: Sequence[Result]) -> dict[str, object]:
    """All of it as plain data; what `page` is made from."""
    return {
        "schema": SCHEMA,
        "site": heading.site,
        "time": heading.finished,
        "begun": heading.begun,
        "name": heading.site_name,
        "configuration": heading.configuration,
        "version": heading.version,
        "operator": heading.operator,
        "consent": dict(heading.consent),
        "ended": heading.ended,
        "verdict": str(worst(results)),
        "key": heading.key,
        "tests": [_test(result) for result in results],
    }


def as_bytes(content: Mapping[str, object]) -> bytes:
    """The file, as it is signed; it ends with a line break."""
    return (json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _test(result: Result) -> dict[str, object]:
    test: dict[str, object] = {
        "device": result.device,
        "test": result.test,
        "expected": result.expected,
        "measured": result.measured,
        "verdict": str(result.verdict),
        "advice": result.advice,
        "values": {name: round(value, 4) for name, value in result.values.items()},
    }
    if result.trace is not None:
        test["trace"] = _trace(result.trace)
    return test


def _trace(trace: Trace) -> dict[str, list[list[float]]]:
    """Series of [s, W]."""
    return {"asked": _pairs(trace.asked), "device": _pairs(trace.device), "meter": _pairs(trace.meter)}


def _pairs(series: Sequence[Sample]) -> list[list[float]]:
    return [[round(mono, 3), round(value, 1)] for mono, value in series]
