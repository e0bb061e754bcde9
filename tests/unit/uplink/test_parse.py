"""What a head end may send, and what is refused: strictly, with a reason, and never with an exception."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model import Activation, Cancellation, Kind, Refusal
from gateway.uplink.messages import json as messages
from gateway.uplink.messages.strict import PAYLOAD_MAX

TEN = 1795341600.0  # 2026-11-22T10:00:00Z
ORDER: dict[str, Any] = {
    "schema": "activation/1",
    "id": "dso-2026-11-22-0042",
    "revision": 2,
    "issuer": "dso",
    "time": "2026-11-22T09:59:58.000Z",
    "target": "pcc",
    "function": "limit_active_power",
    "value": 60,
    "unit": "%",
    "start": "2026-11-22T10:00:00Z",
    "end": "2026-11-22T12:00:00+01:00",
    "kind": "dso",
    "ramp": {"down": 600, "up": 1200, "unit": "W/min"},
    "tolerance": {"value": 2, "unit": "%"},
    "respond_within": 10,
}


def parse_order(payload: bytes) -> Activation | Cancellation | Refusal:
    return messages.parse_order(payload, "pv-park-7")


def order(**changes: Any) -> bytes:
    """The example order with fields changed; `...` leaves one out."""
    return json.dumps({key: value for key, value in (ORDER | changes).items() if value is not ...}).encode()


def raw(field: str, text: str) -> bytes:
    """The example order with the JSON text of one field as given."""
    return order(**{field: "@@"}).replace(b'"@@"', text.encode())


def test_the_example_of_the_contract_is_an_activation_with_seconds_and_rates_a_second() -> None:
    parsed = parse_order(order())
    assert isinstance(parsed, Activation)
    assert len(parsed.digest) == 16
    assert parsed == Activation(
        id="dso-2026-11-22-0042",
        revision=2,
        issuer="dso",
        issued=TEN - 2,
        target="pcc",
        function="limit_active_power",
        value=60.0,
        unit="%",
        kind=Kind.DSO,
        start=TEN,
        end=TEN + 3600,
        ramp_up=20.0,
        ramp_down=10.0,
        ramp_unit="W/s",
        tolerance=2.0,
        tolerance_unit="%",
        respond_within=10.0,
        settle=2.0,
        digest=parsed.digest,
    )


def test_what_may_be_left_out_has_the_defaults_of_the_contract() -> None:
    optional = ("revision", "start", "end", "kind", "ramp", "tolerance", "respond_within")
    parsed = parse_order(order(**dict.fromkeys(optional, ...)))
    assert isinstance(parsed, Activation)
    assert (parsed.revision, parsed.start, parsed.end, parsed.kind, parsed.settle) == (1, None, None, Kind.DSO, 2.0)
    assert (parsed.ramp_up, parsed.ramp_down, parsed.tolerance, parsed.respond_within) == (None, None, None, None)


@pytest.mark.parametrize(
    ("function", "unit", "ramp_unit", "expected"),
    [
        ("limit_active_power", "W", "W/s", (600.0, "W/s")),
        ("set_active_power", "%", "%/min", (10.0, "%/s")),
        ("set_reactive_power", "var", "var/min", (10.0, "var/s")),
        ("set_reactive_power", "%", "%/s", (600.0, "%/s")),
    ],
)
def test_each_function_takes_its_units(function: str, unit: str, ramp_unit: str, expected: tuple[float, str]) -> None:
    tolerance = {"value": 100, "unit": unit}
    parsed = parse_order(order(function=function, unit=unit, ramp={"up": 600, "unit": ramp_unit}, tolerance=tolerance))
    assert isinstance(parsed, Activation)
    assert (parsed.ramp_up, parsed.ramp_unit) == expected
    assert (parsed.unit, parsed.tolerance_unit, parsed.ramp_down) == (unit, unit, None)


def test_a_cancellation_names_id_and_revision() -> None:
    parsed = parse_order(b'{"schema": "cancellation/1", "id": "a", "revision": 3}')
    assert isinstance(parsed, Cancellation)
    assert (parsed.id, parsed.revision) == ("a", 3)
    assert parsed.digest


def test_an_order_may_name_its_site_and_only_this_one() -> None:
    """Every message of the contract has a site; one for another site has gone astray."""
    assert isinstance(parse_order(order(site="pv-park-7")), Activation)
    astray = parse_order(order(site="pv-park-8"))
    assert isinstance(astray, Refusal)
    assert (astray.code, astray.id) == ("unknown_target", ORDER["id"])
    cancellation = {"schema": "cancellation/1", "site": "pv-park-7", "id": "a", "revision": 1}
    assert isinstance(parse_order(json.dumps(cancellation).encode()), Cancellation)


MALFORMED = {
    "value missing": (order(value=...), "value is missing; accepted is a number, or a schedule in its place"),
    "value null": (order(value=None), "value: Expected `float`, got `null`; found missing"),
    "value true": (order(value=True), "value: Expected `float`, got `bool`; found True"),
    "value a text": (order(value="5000"), "value: Expected `float`, got `str`; found '5000'"),
    "value NaN": (raw("value", "NaN"), "not JSON: JSON is malformed: invalid character"),
    "value Infinity": (raw("value", "-Infinity"), "not JSON"),
    "value 1e400": (raw("value", "1e400"), "Number out of range"),
    "value 10^400": (raw("value", "1" + "0" * 400), "value: Number out of range; found 1000"),
    "value of 4301 digits": (raw("value", "1" + "0" * 4300), "out of range"),
    "unit kW": (order(unit="kW"), "unit is 'kW'; accepted are W, %"),
    "unit of the other quantity": (order(unit="var"), "unit is 'var'; accepted are W, %"),
    "ramp unit": (order(ramp={"up": 1, "unit": "W"}), "ramp.unit is 'W'; accepted are W/s, W/min, %/s, %/min"),
    "ramp of 0": (order(ramp={"up": 0, "unit": "W/s"}), "ramp.up: Expected `float` > 0.0; found 0"),
    "ramp field": (
        order(ramp={"upp": 1, "unit": "W/s"}),
        "ramp: unknown field 'upp'; accepted are unit, up, down",
    ),
    "tolerance unit": (order(tolerance={"value": 1, "unit": "var"}), "tolerance.unit is 'var'; accepted are W, %"),
    "tolerance below 0": (order(tolerance={"value": -1, "unit": "%"}), "tolerance.value: Expected `float` >= 0.0"),
    "end at start": (order(end="2026-11-22T10:00:00Z"), "end is not after start"),
    "end before start": (order(end="2026-11-22T09:00:00Z"), "end is not after start"),
    "time without offset": (order(time="2026-11-22T10:00:00"), "time: Expected `datetime` with a timezone component"),
    "time a number": (order(start=1795341600), "start: Expected `datetime | null`, got `int`; found 1795341600"),
    "time of no calendar": (
        order(start="2026-02-30T10:00:00Z"),
        "start: Invalid RFC3339 encoded datetime; found '2026-02",
    ),
    "kind": (order(kind="boss"), "kind is 'boss'; accepted are emergency, dso, market, local"),
    "issuer missing": (order(issuer=...), "missing required field `issuer`"),
    "revision 0": (order(revision=0), "revision: Expected `int` >= 1; found 0"),
    "revision a fraction": (order(revision=1.5), "revision: Expected `int`, got `float`"),
    "revision beyond the store": (order(revision=2**63), "revision: Expected `int` <= "),
    "settle below 0": (order(settle=-1), "settle: Expected `float` >= 0.0"),
    "unknown field": (order(valu=1), "unknown field 'valu'; accepted are schema, site, id, revision, issuer"),
    "schema": (order(schema="activation/2"), "schema is 'activation/2'; accepted are activation/1 and cancellation/1"),
    "schema missing": (order(schema=...), "schema is missing; accepted are"),
    "key twice": (order()[:-1] + b', "value": 100}', "the key 'value' stands twice in one object"),
    "key twice, escaped": (order()[:-1] + b', "valu\\u0065": 100}', "the key 'value' stands twice in one object"),
    "key twice inside": (raw("ramp", '{"up": 1, "up": 2, "unit": "W/s"}'), "the key 'up' stands twice in one object"),
    "nested deeper than any order": (raw("ramp", "[" * 9 + "]" * 9), "nested too deep"),
}


@pytest.mark.parametrize(("payload", "detail"), MALFORMED.values(), ids=MALFORMED.keys())
def test_what_is_malformed_is_refused_with_where_found_and_accepted(payload: bytes, detail: str) -> None:
    refusal = parse_order(payload)
    assert isinstance(refusal, Refusal)
    assert refusal.code == "malformed"
    assert detail in refusal.detail
    assert refusal.id == "dso-2026-11-22-0042", "the id can be read, so the refusal can be answered"


UNANSWERABLE = {
    "empty": (b"", "not JSON"),
    "text": (b"hello", "not JSON"),
    "a list": (b"[]", "the payload is a list of 0; accepted is an object"),
    "bad UTF-8": (b'{"id": "\xff"}', "not JSON"),
    "byte order mark": (b'\xef\xbb\xbf{"id": ""}', "not JSON"),
    "trailing text": (order() + b" {}", "not JSON: JSON is malformed: trailing characters"),
    "cut": (order()[:-1], "not JSON"),
    "lone surrogate": (b'{"schema": "activation/1", "id": "\\ud800"}', "not JSON"),
    "nested 100 000 deep": (b'{"id":' + b"[" * 100_000, "nested too deep"),
    "over the size cap": (order(id="x" * PAYLOAD_MAX), f"accepted are up to {PAYLOAD_MAX}"),
    "id missing": (order(id=...), "id is missing; accepted are 1 to 128 printable characters"),
    "id empty": (order(id=""), "id is ''"),
    "id too long": (order(id="x" * 129), "id is 'xxx"),
    "id with a line break": (order(id="a\nb"), "id is 'a\\nb'"),
    "id a number": (order(id=7), "id is 7"),
    "id twice": (order()[:-1] + b', "id": "other"}', "the key 'id' stands twice"),
}


@pytest.mark.parametrize(("payload", "detail"), UNANSWERABLE.values(), ids=UNANSWERABLE.keys())
def test_a_refusal_without_a_readable_id_carries_none(payload: bytes, detail: str) -> None:
    refusal = parse_order(payload)
    assert isinstance(refusal, Refusal)
    assert (refusal.code, refusal.id, refusal.revision) == ("malformed", None, None)
    assert detail in refusal.detail


@pytest.mark.parametrize(("revision", "read"), [(7, 7), (..., 1), (0, 1), ("2", 1), (True, 1), (2**60, 1)], ids=str)
def test_a_refusal_carries_the_revision_or_1_where_it_cannot_be_read(revision: Any, read: int) -> None:
    refusal = parse_order(order(value="x", revision=revision))
    assert isinstance(refusal, Refusal)
    assert refusal.revision == read


def test_a_function_that_the_contract_does_not_know_is_refused_as_unsupported() -> None:
    refusal = parse_order(order(function="dance"))
    assert isinstance(refusal, Refusal)
    assert (refusal.code, refusal.id, refusal.revision) == ("unsupported_function", "dso-2026-11-22-0042", 2)
    assert refusal.detail.startswith("function 'dance' is not known; accepted are limit_active_power, set_active_power")


@pytest.mark.parametrize("key", ["x - at `$.y", "x - at `$.y`", "x - at `$.ramp", "x` - at `$.value[7]", "a\\b", ""])
def test_an_unknown_key_is_named_whatever_it_looks_like(key: str) -> None:
    refusal = parse_order(order(**{key: 1}))
    assert isinstance(refusal, Refusal)
    assert refusal.detail.startswith(f"payload: unknown field {key!r}; accepted are schema, site, id, revision")


def test_an_unknown_key_that_looks_like_a_path_into_a_list_raises_nothing() -> None:
    changes = {
        "function": "volt_var",
        "value": ...,
        "unit": ...,
        "ramp": ...,
        "tolerance": ...,
        "curve": [[0, 0], [1, 1]],
    }
    refusal = parse_order(order(**changes, **{f"x - at `$.curve[{'9' * 5000}]": 1}))
    assert isinstance(refusal, Refusal)
    assert refusal.detail.startswith("payload: unknown field 'x - at `$.curve[999")
    assert len(refusal.detail) < 400


@pytest.mark.parametrize(
    "changes", [{"unit": "k" * 10_000}, {"kind": "k" * 10_000}, {"k" * 10_000: 1}], ids=["unit", "kind", "key"]
)
def test_a_refusal_repeats_only_a_short_part_of_what_was_found(changes: dict[str, Any]) -> None:
    refusal = parse_order(order(**changes))
    assert isinstance(refusal, Refusal)
    assert len(refusal.detail) < 400


def test_payloads_that_say_the_same_have_the_same_digest_and_others_another() -> None:
    def digest(payload: bytes) -> str:
        parsed = parse_order(payload)
        assert isinstance(parsed, Activation)
        return parsed.digest

    reordered = json.dumps(dict(reversed(ORDER.items())), indent=2).encode()
    assert digest(reordered) == digest(order())
    assert digest(order(start="2026-11-22T11:00:00+01:00")) == digest(order())
    assert digest(order(time="2026-11-22T09:59:59Z")) == digest(order()), "a repetition may be stamped anew"
    assert digest(order(value=61)) != digest(order())


def test_negative_zero_is_zero() -> None:
    parsed = parse_order(raw("value", "-0.0"))
    assert isinstance(parsed, Activation)
    assert math.copysign(1, parsed.value) == 1


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_without_an_exception(payload: bytes) -> None:
    assert isinstance(parse_order(payload), Refusal)


@given(st.floats(allow_nan=False, allow_infinity=False), st.floats(min_value=1e-6, max_value=1e12))
def test_numbers_arrive_exactly(value: float, rate: float) -> None:
    parsed = parse_order(order(value=value, ramp={"up": rate, "unit": "W/s"}))
    assert isinstance(parsed, Activation)
    assert (parsed.value, parsed.ramp_up) == (value, rate)
