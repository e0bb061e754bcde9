"""
The activation of each function of the contract: what it may say, and what is refused of it.

The files in `orders/` are the examples of the contract: each is read into the words that stand beside its name here.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import astuple, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.characteristic import Droop
from gateway.model import Activation, Cancellation, Kind, Refusal, Reserve, Schedule
from gateway.uplink.messages import json as messages
from gateway.uplink.messages.activation import FUNCTIONS, STEPS_MAX

ORDERS = Path(__file__).with_name("orders")
TEN = 1795341600.0  # 2026-11-22T10:00:00Z
HOUR = 3600.0
MIDNIGHT = TEN + 14 * HOUR


def parse_order(payload: bytes) -> Activation | Cancellation | Refusal:
    return messages.parse_order(payload, "pv-park-7")


def example(name: str, **changes: Any) -> bytes:
    """The example with fields changed; `...` leaves one out."""
    fields = json.loads((ORDERS / f"{name}.json").read_text()) | changes
    return json.dumps({key: value for key, value in fields.items() if value is not ...}).encode()


def activation(name: str, **changes: Any) -> Activation:
    parsed = parse_order(example(name, **changes))
    assert isinstance(parsed, Activation), parsed
    return parsed


VARS = {"ramp_unit": "var/s"}
WORDS: dict[str, dict[str, Any]] = {
    "limit_active_power": {
        "value": 60.0,
        "unit": "%",
        "start": TEN,
        "end": TEN + HOUR,
        "ramp_up": 600.0,
        "ramp_down": 600.0,
        "tolerance": 2.0,
        "respond_within": 10.0,
    },
    "limit_active_power_schedule": {
        "schedule": Schedule(900.0, (60000.0, 45000.0, 30000.0, 45000.0)),
        "unit": "W",
        "start": TEN,
        "end": TEN + HOUR,
    },
    "set_active_power": {
        "value": -5000.0,
        "unit": "W",
        "start": TEN,
        "end": TEN + HOUR,
        "kind": Kind.MARKET,
        "settle": 5.0,
    },
    "set_active_power_schedule": {
        "schedule": Schedule(3600.0, (0.0, 20.0, 40.5, 20.0)),
        "unit": "%",
        "kind": Kind.MARKET,
        "start": MIDNIGHT,
        "end": MIDNIGHT + 3.5 * HOUR,
    },
    "set_reactive_power": {
        "value": -12000.0,
        "unit": "var",
        "tolerance": 500.0,
        "tolerance_unit": "var",
        "ramp_up": 5 / 60,
        "ramp_down": 5 / 60,
        "ramp_unit": "%/s",
    },
    "set_power_factor": {**VARS, "value": 0.95, "excitation": "under", "response_s": 10.0},
    "set_power_factor_schedule": {
        **VARS,
        "schedule": Schedule(3600.0, (1.0, 0.98, 0.95)),
        "excitation": "over",
        "start": TEN,
        "end": TEN + 3 * HOUR,
    },
    "limit_import": {"value": 30000.0, "unit": "W", "mean_s": 900.0},
    "limit_export": {"value": 70.0, "unit": "%", "start": TEN, "end": TEN + HOUR},
    "volt_var": {**VARS, "curve": ((0.92, 0.44), (0.98, 0.0), (1.02, 0.0), (1.08, -0.44)), "response_s": 5.0},
    "volt_var_preset": {**VARS, "preset": "ieee1547-2018-b"},
    "volt_watt": {"curve": ((1.06, 1.0), (1.1, 0.2)), "response_s": 10.0},
    "watt_var": {**VARS, "curve": ((0.2, 0.0), (0.5, 0.0), (1.0, -0.44)), "response_s": 10.0},
    "watt_power_factor": {**VARS, "curve": ((0.5, 1.0), (1.0, -0.9))},
    "frequency_droop": {"droop": Droop(0.2, 0.05, response_s=2.0, p_min=0.0)},
    "frequency_droop_full": {"droop": Droop(0.2, 0.05, 2.0, -1.0, 0.3, 0.02, "both", "nominal", 600.0, 0.0017)},
    "frequency_droop_flat": {"droop": Droop(0.2, 0.05, response_s=2.0, p_min=0.0)},
    "frequency_droop_preset": {"preset": "lfsm-o"},
    "reserve": {"reserve": Reserve(10000.0, 5000.0), "start": TEN, "end": TEN + HOUR},
    "reserve_flat": {"reserve": Reserve(10000.0, 0.0)},
    "connect": {},
    "disconnect": {"kind": Kind.EMERGENCY, "respond_within": 5.0},
}


def test_every_function_of_the_contract_has_an_example_and_every_example_its_words() -> None:
    names = {path.stem for path in ORDERS.glob("*.json")}
    assert names == WORDS.keys()
    assert {json.loads(example(name))["function"] for name in names} == set(FUNCTIONS)
    assert len(FUNCTIONS) == 14


@pytest.mark.parametrize("name", WORDS)
def test_each_example_is_read_into_the_words_of_the_model(name: str) -> None:
    said = json.loads(example(name))
    parsed = activation(name)
    common = {"id": said["id"], "revision": 1, "issuer": "dso", "issued": TEN - 2, "target": said["target"]}
    expected = Activation(**common, function=said["function"])
    assert replace(parsed, digest="") == replace(expected, **WORDS[name])


def test_two_examples_never_have_the_same_digest() -> None:
    """Without what tells orders apart anyway: the digest covers all that an order says."""
    digests = {activation(name, id="same", target="pcc").digest for name in WORDS}
    said_twice = {"frequency_droop_flat"}  # the other notation of the example beside it
    assert len(digests) == len(WORDS) - len(said_twice)


CHANGES: dict[str, tuple[str, dict[str, Any]]] = {
    "a value of a schedule": ("limit_active_power_schedule", {"schedule": {"resolution": 900, "values": [1, 2, 3, 5]}}),
    "the resolution": ("set_power_factor_schedule", {"schedule": {"resolution": 1800, "values": [1, 0.98, 0.95]}}),
    "the excitation": ("set_power_factor", {"excitation": "over"}),
    "the mean": ("limit_import", {"mean": 901}),
    "a point of a curve": ("watt_power_factor", {"curve": [[0.5, 1], [1, -0.91]]}),
    "a preset": ("volt_var_preset", {"curve": "ieee1547-2018-a"}),
    "the response": ("volt_var", {"response": 6}),
    "a droop": ("frequency_droop", {"value": {"deadband_hz": 0.2, "droop": 0.04, "response_s": 2, "p_min": 0}}),
    "a reserve": ("reserve", {"value": {"up_w": 10000, "down_w": 5001}}),
    "the settling time": ("connect", {"settle": 3}),
}


@pytest.mark.parametrize(("name", "changes"), CHANGES.values(), ids=CHANGES.keys())
def test_the_digest_covers(name: str, changes: dict[str, Any]) -> None:
    assert activation(name, **changes).digest != activation(name).digest


SAME: dict[str, tuple[str, dict[str, Any]]] = {
    "a default": ("limit_import", {"settle": 2, "kind": "dso", "revision": 1}),
    "the end that a schedule has by itself": ("limit_active_power_schedule", {"end": "2026-11-22T11:00:00Z"}),
    "no unit": ("set_power_factor", {"unit": ""}),
    "a minus before zero": ("volt_var", {"curve": [[0.92, 0.44], [0.98, -0.0], [1.02, 0], [1.08, -0.44]]}),
    "the other notation": (
        "frequency_droop",
        {"value": ..., "deadband_hz": 0.2, "droop": 0.05, "response_s": 2, "p_min": 0},
    ),
}


@pytest.mark.parametrize(("name", "changes"), SAME.values(), ids=SAME.keys())
def test_what_says_the_same_has_the_same_digest_with(name: str, changes: dict[str, Any]) -> None:
    assert activation(name, **changes).digest == activation(name).digest


def test_a_power_factor_of_1_needs_no_excitation() -> None:
    assert activation("set_power_factor", value=1, excitation=...).value == 1.0
    steps = {"resolution": 900, "values": [1, 1.0]}
    assert activation("set_power_factor_schedule", schedule=steps, excitation=...).schedule is not None


def test_a_curve_may_jump_at_one_x() -> None:
    """The default curve of IEEE 1547-2018, category A, has the reference voltage twice."""
    curve = [[0.9, 0.25], [1, 0], [1, 0], [1.1, -0.25]]
    assert activation("volt_var", curve=curve).curve == ((0.9, 0.25), (1.0, 0.0), (1.0, 0.0), (1.1, -0.25))


def test_the_longest_schedule_is_read() -> None:
    steps = {"resolution": 900, "values": [100000.25] * STEPS_MAX}
    assert activation("limit_active_power_schedule", schedule=steps).end == TEN + 900 * STEPS_MAX


@pytest.mark.parametrize("name", WORDS)
def test_ramp_and_tolerance_have_the_unit_of_the_quantity(name: str) -> None:
    active = activation(name, ramp=..., tolerance=...).ramp_unit == "W/s"
    right, wrong = ("W", "var") if active else ("var", "W")
    ramp, tolerance = {"up": 1, "unit": f"{right}/s"}, {"value": 1, "unit": right}
    assert activation(name, ramp=ramp, tolerance=tolerance).tolerance_unit == right
    refusal = parse_order(example(name, ramp={"up": 1, "unit": f"{wrong}/s"}))
    assert isinstance(refusal, Refusal)
    assert f"ramp.unit is '{wrong}/s'; accepted are {right}/s, {right}/min, %/s, %/min" in refusal.detail


def droop(**changes: Any) -> dict[str, Any]:
    return {"value": {"deadband_hz": 0.2, "droop": 0.05} | changes}


def steps(resolution: Any = 900, values: Any = (1, 1, 1, 1)) -> dict[str, Any]:
    return {"schedule": {"resolution": resolution, "values": values}}


SCHEDULED = "limit_active_power_schedule"
MALFORMED: dict[str, tuple[str, dict[str, Any], str]] = {
    "function missing": ("connect", {"function": ...}, "function is missing; accepted are limit_active_power, set_"),
    "function a number": ("connect", {"function": 7}, "function is 7; accepted are limit_active_power, set_"),
    "unit missing": ("limit_import", {"unit": ...}, "payload: Object missing required field `unit`"),
    "vars of active power": ("limit_export", {"unit": "var"}, "unit is 'var'; accepted are W, %"),
    "watts of reactive power": ("set_reactive_power", {"unit": "W"}, "unit is 'W'; accepted are var, %"),
    "watts of a power factor": ("set_power_factor", {"unit": "W"}, "unit is 'W'; accepted are none"),
    "an object for a value": ("limit_import", {"value": {}}, "value: Expected `float`, got `object`"),
    "import below 0": ("limit_import", {"value": -1}, "value is -1.0; accepted is 0 or more"),
    "mean of 0": ("limit_import", {"mean": 0}, "mean: Expected `float` > 0.0; found 0"),
    "mean a duration": ("limit_import", {"mean": "15min"}, "mean: Expected `float | null`, got `str`; found '15min'"),
    "mean of another function": ("set_active_power", {"mean": 900}, "unknown field 'mean'; accepted are schema, site"),
    "schedule and value": (SCHEDULED, {"value": 1}, "value and schedule are both given; accepted is one of them"),
    "schedule without start": (SCHEDULED, {"start": ...}, "start is missing; accepted is the time at which the first"),
    "schedule without values": (
        SCHEDULED,
        steps(values=[]),
        "schedule.values: Expected `array` of length >= 1; found a",
    ),
    "schedule too long": (SCHEDULED, steps(values=[1] * 10_001), "of length <= 10000; found a list of 10001"),
    "schedule of texts": (
        SCHEDULED,
        steps(values=[1, "2"]),
        "schedule.values[1]: Expected `float`, got `str`; found '2'",
    ),
    "schedule with a hole": (SCHEDULED, steps(values=[1, None]), "schedule.values[1]: Expected `float`, got `null`"),
    "schedule beyond floats": (
        SCHEDULED,
        steps(values=[10**400]),
        "schedule.values[0]: Number out of range; found 1000",
    ),
    "schedule a list": (SCHEDULED, {"schedule": [1, 2]}, "schedule: Expected `object`, got `array`; found a list of 2"),
    "schedule field": (
        SCHEDULED,
        {"schedule": {"step": 1}},
        "schedule: unknown field 'step'; accepted are resolution,",
    ),
    "resolution of 0": (SCHEDULED, steps(0), "schedule.resolution: Expected `float` >= 0.1; found 0"),
    "resolution without an end": (SCHEDULED, steps(1e308), "accepted are steps that end between start and 9999-12-31"),
    "end behind the schedule": (
        SCHEDULED,
        {"end": "2026-11-22T11:00:00.002Z"},
        "end is 2026-11-22T11:00:00.002Z; accepted is up to the end of the schedule, 2026-11-22T11:00:00.000Z",
    ),
    "export below 0, later": (
        "limit_export",
        {"value": ..., "end": ..., **steps(values=[5, -5])},
        "schedule.values[1] is -5.0; accepted is 0 or more",
    ),
    "power factor of 0": ("set_power_factor", {"value": 0}, "value is 0.0; accepted is above 0 up to 1"),
    "power factor signed": ("set_power_factor", {"value": -0.9}, "value is -0.9; accepted is above 0 up to 1"),
    "power factor in %": ("set_power_factor", {"value": 95}, "value is 95.0; accepted is above 0 up to 1"),
    "power factor, later": (
        "set_power_factor_schedule",
        steps(values=[1, 2]),
        "schedule.values[1] is 2.0; accepted is",
    ),
    "excitation missing": ("set_power_factor", {"excitation": ...}, "excitation is missing; accepted are over, under"),
    "excitation": ("set_power_factor", {"excitation": "lag"}, "excitation is 'lag'; accepted are over, under"),
    "response below 0": ("set_power_factor", {"response": -1}, "response: Expected `float` >= 0.0; found -1"),
    "curve missing": ("volt_var", {"curve": ...}, "payload: Object missing required field `curve`"),
    "curve null": ("volt_var", {"curve": None}, "curve: Expected `str | array`, got `null`; found missing"),
    "curve of one point": (
        "volt_watt",
        {"curve": [[1, 1]]},
        "curve: Expected `array` of length >= 2; found a list of 1",
    ),
    "curve of 21 points": ("watt_var", {"curve": [[x, 0] for x in range(21)]}, "length <= 20; found a list of 21"),
    "curve falling": ("volt_var", {"curve": [[1, 0], [0.9, 1]]}, "curve[1][0] is 0.9 after 1.0; accepted are rising x"),
    "curve of triples": (
        "volt_var",
        {"curve": [[1, 0, 0], [2, 0, 0]]},
        "curve[0]: Expected `array` of length 2, got 3",
    ),
    "curve of numbers": ("volt_var", {"curve": [1, 2]}, "curve[0]: Expected `array`, got `int`; found 1"),
    "curve of texts": (
        "volt_var",
        {"curve": [[1, 0], [2, "x"]]},
        "curve[1][1]: Expected `float`, got `str`; found 'x'",
    ),
    "preset with a blank": ("volt_var", {"curve": "IEEE 1547"}, "curve: Expected `str` matching regex"),
    "preset with a line break": ("volt_var", {"curve": "a\n"}, "curve: Expected `str` matching regex"),
    "curve with a value": ("volt_var", {"value": 1}, "payload: unknown field 'value'; accepted are schema, site, id"),
    "curve with a schedule": ("volt_var", steps(), "payload: unknown field 'schedule'; accepted are schema, site, id"),
    "droop missing": ("frequency_droop", {"value": ...}, "payload: Object missing required field `value`"),
    "droop a number": ("frequency_droop", {"value": 0.05}, "value: Expected `str | object`, got `float`; found 0.05"),
    "droop without deadband": (
        "frequency_droop",
        {"value": {"droop": 0.05}},
        "value: Object missing required field `dead",
    ),
    "droop in %": ("frequency_droop", droop(droop=5), "value.droop: Expected `float` <= 0.2; found 5"),
    "droop of 0": ("frequency_droop", droop(under_droop=0), "value.under_droop: Expected `float` >= 0.004; found 0"),
    "deadband a frequency": ("frequency_droop", droop(deadband_hz=50.2), "value.deadband_hz: Expected `float` <= 5.0"),
    "deadband below 0": (
        "frequency_droop",
        droop(under_deadband_hz=-0.2),
        "value.under_deadband_hz: Expected `float` >=",
    ),
    "least power in W": ("frequency_droop", droop(p_min=6000), "value.p_min: Expected `float` <= 1.0; found 6000"),
    "response of the droop": (
        "frequency_droop",
        droop(response_s=-1),
        "value.response_s: Expected `float` >= 0.0; found",
    ),
    "sides": ("frequency_droop", droop(sides="left"), "value.sides is 'left'; accepted are both, over, under"),
    "reference": ("frequency_droop", droop(reference="now"), "value.reference is 'now'; accepted are frozen, nominal"),
    "release below 0": ("frequency_droop", droop(release_delay_s=-1), "value.release_delay_s: Expected `float` >= 0.0"),
    "recovery of 0": (
        "frequency_droop",
        droop(recovery_per_s=0),
        "value.recovery_per_s: Expected `float` > 0.0; found 0",
    ),
    "droop key": (
        "frequency_droop",
        droop(drop=1),
        "value: unknown field 'drop'; accepted are deadband_hz, droop, resp",
    ),
    "droop twice": (
        "frequency_droop",
        {"droop": 0.05},
        "payload: unknown field 'droop'; accepted are schema, site, id",
    ),
    "droop flat and wrong": ("frequency_droop_flat", {"droop": 5}, "value.droop: Expected `float` <= 0.2; found 5"),
    "droop flat and half": (
        "frequency_droop_flat",
        {"deadband_hz": ...},
        "value: Object missing required field `deadband",
    ),
    "reserve missing": ("reserve", {"value": ...}, "payload: Object missing required field `value`"),
    "reserve of nothing": (
        "reserve",
        {"value": {}},
        "value.up_w and value.down_w are 0; accepted is at least one above 0",
    ),
    "reserve below 0": ("reserve", {"value": {"up_w": -1}}, "value.up_w: Expected `float` >= 0.0; found -1"),
    "reserve a preset": ("reserve", {"value": "all"}, "value: Expected `object`, got `str`; found 'all'"),
    "reserve flat and twice": ("reserve", {"up_w": 1}, "payload: unknown field 'up_w'; accepted are schema, site, id"),
    "connect with a value": ("connect", {"value": 1}, "payload: unknown field 'value'; accepted are schema, site, id"),
    "disconnect with null": (
        "disconnect",
        {"value": None},
        "payload: unknown field 'value'; accepted are schema, site",
    ),
    "disconnect with a unit": ("disconnect", {"unit": "W"}, "payload: unknown field 'unit'; accepted are schema, site"),
    "connect with a schedule": ("connect", steps(), "payload: unknown field 'schedule'; accepted are schema, site, id"),
}


@pytest.mark.parametrize(("name", "changes", "detail"), MALFORMED.values(), ids=MALFORMED.keys())
def test_what_does_not_belong_to_a_function_is_refused_with_where_found_and_accepted(
    name: str, changes: dict[str, Any], detail: str
) -> None:
    payload = example(name, **changes)
    refusal = parse_order(payload)
    assert isinstance(refusal, Refusal)
    assert refusal.code == "malformed"
    assert detail in refusal.detail
    assert refusal.id == json.loads(example(name))["id"], "the id can be read, so the refusal can be answered"


def numbers(value: object) -> Iterator[float]:
    if isinstance(value, float):
        yield value
    elif isinstance(value, tuple | list):
        for item in value:
            yield from numbers(item)


def is_sound(parsed: Activation | Cancellation | Refusal) -> bool:
    """Every number of it is finite, it ends after it starts, and it orders one thing."""
    if not isinstance(parsed, Activation):
        return True
    ordered = (parsed.value, parsed.schedule, parsed.curve, parsed.preset or None, parsed.droop, parsed.reserve)
    switched = parsed.function in {"connect", "disconnect"}
    return (
        all(math.isfinite(number) for number in numbers(astuple(parsed)))
        and (parsed.start is None or parsed.end is None or parsed.start < parsed.end)
        and sum(thing is not None for thing in ordered) == (0 if switched else 1)
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
NUMBER = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-2, 2) | st.floats(0, 1)
FIELDS = (
    *("function", "value", "unit", "schedule", "curve", "excitation", "mean", "response", "start", "end", "kind"),
    *("ramp", "tolerance", "settle", "respond_within", "deadband_hz", "droop", "up_w", "down_w", "other"),
)
NEAR = st.one_of(
    NUMBER,
    st.builds(lambda r, v: {"resolution": r, "values": v}, NUMBER, st.lists(NUMBER, max_size=4)),
    st.lists(st.tuples(NUMBER, NUMBER), max_size=4),
    st.builds(lambda d, p: {"deadband_hz": d, "droop": p}, NUMBER, NUMBER),
    st.builds(lambda u, d: {"up_w": u, "down_w": d}, NUMBER, NUMBER),
    st.sampled_from([*FUNCTIONS, "W", "%", "", "over", "lfsm-o", "2026-11-22T10:00:00Z", "9999-12-31T23:59:59Z", None]),
)
"""Values of the kinds that belong into an activation, in whatever place."""


@given(st.sampled_from([*WORDS]), st.dictionaries(st.sampled_from(FIELDS), JSON | NEAR, max_size=4))
def test_whatever_stands_in_its_fields_an_activation_is_sound_or_refused(name: str, changes: dict[str, Any]) -> None:
    assert is_sound(parse_order(example(name, **changes)))


@given(st.sampled_from([*WORDS]), st.integers(0, 1000), st.binary(max_size=3))
def test_an_order_damaged_anywhere_raises_nothing(name: str, position: int, damage: bytes) -> None:
    payload = example(name)
    position %= len(payload)
    assert is_sound(parse_order(payload[:position] + damage + payload[position + len(damage) + 1 :]))


@given(st.lists(NUMBER, min_size=1, max_size=50), st.floats(0.1, 1e6))
def test_the_numbers_of_a_schedule_arrive_exactly(values: list[float], resolution: float) -> None:
    parsed = activation("set_active_power_schedule", end=..., **steps(resolution, values))
    assert parsed.schedule == Schedule(resolution, tuple(map(float, values)))
    assert parsed.end == MIDNIGHT + resolution * len(values)
