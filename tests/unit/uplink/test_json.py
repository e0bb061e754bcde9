"""The messages as they leave: compared with golden files, and read back."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model import Ack, Block, Frame, Quality, Status
from gateway.uplink.messages import json as messages
from gateway.uplink.messages.activation import FUNCTIONS
from gateway.uplink.messages.catalogue import (
    MAPPING,
    Capability,
    Catalogue,
    CatalogueDevice,
    CataloguePoint,
    Headroom,
    Mirror,
    MirroredQuantity,
    MirroredReserve,
)
from gateway.uplink.messages.times import epoch, rfc3339

GOLDEN = Path(__file__).with_name("golden")
SITE = "pv-park-7"
TEN = 1795341600.0  # 2026-11-22T10:00:00Z
ID = "dso-2026-11-22-0042"

EFFECTIVE = Ack(
    id=ID,
    revision=1,
    n=3,
    status=Status.EFFECTIVE,
    time=TEN + 4.21,
    requested=60000.0,
    applied=60000.0,
    measured=59720.0,
    unit="W",
)
BLOCKS = [
    Block(1201, (Frame(TEN + 0.5, {"inv1.active_power": 59800.0, "pcc.active_power": 41200.0}),)),
    Block(
        1202,
        (
            Frame(
                TEN + 1,
                {"inv1.active_power": 59750.0, "inv1.alarm": 0, "rtu1.breaker_closed": True, "inv1.dc_power": math.nan},
                {
                    "inv1.active_power": Quality.UNCERTAIN,
                    "inv1.alarm": Quality.GOOD,
                    "pcc.active_power": Quality.OFFLINE,
                },
            ),
        ),
    ),
]
CATALOGUE = Catalogue(
    name="PV park Seven",
    rated_power=100000.0,
    devices=(
        CatalogueDevice(
            id="inv1",
            role="pv",
            rated_power=60000.0,
            manufacturer="ACME",
            model="X60",
            points=(
                CataloguePoint.of("active_power", "W", readable=True, writable=False),
                CataloguePoint.of("active_power_limit", "%", readable=True, writable=True),
                CataloguePoint.of("fan_speed", "%", readable=True, writable=False),
            ),
        ),
    ),
    functions=(*FUNCTIONS, "a_function_to_come"),
    capability=Capability(p_min=0.0, p_max=60000.0, q_min=-30000.0, q_max=30000.0),
    configuration="5f3a",
)
MIRROR = Mirror(
    quantities=(
        MirroredQuantity(
            target="pcc",
            quantity="active_power",
            function="limit_active_power",
            value=60000.0,
            unit="W",
            source=ID,
            kind="dso",
            priority=10,
            expires=rfc3339(TEN + 3600),
        ),
        MirroredQuantity(
            target="inv1",
            quantity="reactive_power",
            function="volt_var",
            value=None,
            unit="var",
            source="dso-2026-11-22-0043",
            kind="dso",
            priority=10,
            execution="device",
            by="set-points",
        ),
    ),
    headroom=Headroom(p_up=280.0, p_down=59720.0),
    reserve=MirroredReserve(up_w=200.0, down_w=0.0, kept=True),
    capability=Capability(p_min=0.0, p_max=60000.0, q_min=-30000.0, q_max=30000.0),
)
MESSAGES = {
    "ack": messages.ack(SITE, EFFECTIVE),
    "measurements": messages.measurements(SITE, TEN + 1.02, "6f1c", "live", BLOCKS),
    "status": messages.status(SITE, TEN, "online", 4, "0.1.0"),
    "birth": messages.birth(SITE, TEN, CATALOGUE),
    "control": messages.control(SITE, TEN, MIRROR),
    "event": messages.event(SITE, TEN, "buffer_gap", "the buffer was full", **{"from": 3, "to": 9, "share": math.inf}),
}


@pytest.mark.parametrize("name", MESSAGES)
def test_each_message_is_as_its_golden_file(name: str) -> None:
    assert json.loads(MESSAGES[name]) == json.loads((GOLDEN / f"{name}.json").read_text())


def test_a_mirror_of_nothing_says_null_of_reserve_and_capability() -> None:
    empty = json.loads(messages.control(SITE, TEN, Mirror()))
    assert (empty["quantities"], empty["reserve"], empty["capability"]) == ([], None, None)


@pytest.mark.parametrize(
    "blocks",
    [[], [Block(1, ())], [Block(1, (Frame(TEN, {}),)), Block(3, (Frame(TEN, {}),))]],
    ids=["none", "no frame", "a gap"],
)
def test_a_message_holds_one_contiguous_run_of_frames(blocks: list[Block]) -> None:
    with pytest.raises(ValueError, match="without a gap"):
        messages.measurements(SITE, TEN, "e", "live", blocks)


def test_every_canonical_name_of_the_contract_is_mapped_to_both_models() -> None:
    phases = ("l1", "l2", "l3")
    names = {
        *("active_power", "reactive_power", "apparent_power", "power_factor", "frequency"),
        *(f"{quantity}_{phase}" for quantity in ("voltage", "current", "active_power") for phase in phases),
        *("voltage_l12", "voltage_l23", "voltage_l31", "current_n", "energy_export", "energy_import"),
        *("state_of_charge", "state_of_health", "dc_voltage", "dc_current", "dc_power", "temperature"),
        *("operating_state", "alarm", "breaker_closed", "active_power_limit", "active_power_setpoint"),
        *("reactive_power_setpoint", "power_factor_setpoint", "connect"),
    }
    assert set(MAPPING) == names
    assert all(iec and cim for iec, cim in MAPPING.values())
    assert MAPPING["active_power"] == ("MMXU.TotW", "ThreePhaseActivePower")


def refuse(constant: str) -> Any:
    raise AssertionError(f"{constant} is no JSON")


@given(st.dictionaries(st.text(min_size=1), st.floats() | st.integers(-(2**53), 2**53) | st.booleans() | st.text()))
def test_a_frame_holds_finite_values_and_says_of_every_other_point_that_it_is_invalid(values: dict[str, Any]) -> None:
    encoded = messages.measurements(SITE, TEN, "e", "live", [Block(5, (Frame(TEN, values),))])
    frame = json.loads(encoded, parse_constant=refuse)["frames"][0]
    lost = {point for point, value in values.items() if isinstance(value, float) and not math.isfinite(value)}
    assert frame["values"] == {point: value for point, value in values.items() if point not in lost}
    assert frame.get("quality", {}) == dict.fromkeys(lost, "invalid")


@given(st.floats(), st.floats(), st.floats())
def test_an_ack_says_null_for_a_number_that_is_not_finite(requested: float, applied: float, measured: float) -> None:
    answer = Ack(
        id="a",
        revision=1,
        n=1,
        status=Status.STARTED,
        time=TEN,
        requested=requested,
        applied=applied,
        measured=measured,
    )
    decoded = json.loads(messages.ack(SITE, answer), parse_constant=refuse)
    for name, value in (("requested", requested), ("applied", applied), ("measured", measured)):
        assert decoded[name] == (value if math.isfinite(value) else None)


@given(st.integers(-62135596800_000, 253402300799_999))
def test_times_keep_their_millisecond_both_ways(milliseconds: int) -> None:
    assert round(epoch(rfc3339(milliseconds / 1000)) * 1000) == milliseconds


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (TEN, "2026-11-22T10:00:00.000Z"),
        (TEN + 0.9996, "2026-11-22T10:00:01.000Z"),
        (-0.001, "1969-12-31T23:59:59.999Z"),
        (0.0, "1970-01-01T00:00:00.000Z"),
    ],
)
def test_a_time_is_written_in_utc_with_milliseconds(seconds: float, text: str) -> None:
    assert rfc3339(seconds) == text


@pytest.mark.parametrize("seconds", [math.nan, math.inf, 1e300, 1e12])
def test_what_is_no_time_cannot_be_written_as_one(seconds: float) -> None:
    with pytest.raises(ValueError, match="not a moment"):
        rfc3339(seconds)


@pytest.mark.parametrize("text", ["2026-11-22T10:00:00", "now", ""])
def test_a_time_without_an_offset_is_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"no offset|Invalid isoformat"):
        epoch(text)
