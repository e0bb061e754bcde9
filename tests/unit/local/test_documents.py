"""The documents say what is known, and null for what is not; they are made of a look alone."""

from __future__ import annotations

import json
from dataclasses import replace
from math import inf, nan
from typing import Any

import pytest

from gateway.image import Reading
from gateway.local import documents
from gateway.model import Quality, WriteResult
from tests.unit.local.world import LIMIT, NOW, NOW_TEXT, POWER, STORE, decided, ordered, snapshot, view

ALL = [
    documents.health,
    documents.state,
    documents.devices,
    documents.points,
    documents.activations,
    documents.control,
    documents.buffer,
    documents.plan,
]


def decoded(document: documents.Document) -> Any:
    return json.loads(documents.encode(document))


@pytest.mark.parametrize("build", ALL, ids=lambda build: build.__name__)
def test_every_document_can_be_read_by_any_json_reader(build: Any) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    odd = snapshot({POWER.id: Reading(nan, Quality.GOOD, inf, NOW.mono)})
    for one in (view(), view(control=ordered()), view(control=decided()), view(snapshot=odd), view(lines=())):
        assert isinstance(json.loads(documents.encode(build(one)), parse_constant=refuse), dict)


def test_the_state_is_the_site_on_one_page() -> None:
    state = decoded(documents.state(view()))

    assert state == {
        "site": "park",
        "time": NOW_TEXT,
        "name": "Park Seven",
        "version": "9.9",
        "started": "2026-11-22T09:58:20.000Z",
        "uptime_s": 100.0,
        "healthy": True,
        "reasons": [],
        "uplinks": [
            {"id": "dso", "type": "mqtt", "connected": True, "frames_pending": 5, "messages_pending": 1},
        ],
        "devices": {"configured": 4, "online": 1, "away": ["inv1", "bat1"]},
        "activations": {"open": 0},
        "mirror": {
            "quantities": [],
            "headroom": {"p_up": None, "p_down": None, "q_up": None, "q_down": None},
            "active": None,
            "reactive": None,
            "reserve": None,
        },
        "control": {"ticks": 50, "period_s": 0.2, "setpoints": [], "held": [], "events": []},
    }


def test_the_state_tells_what_is_in_force_what_was_written_and_what_went_wrong() -> None:
    refused = {LIMIT.id: WriteResult(LIMIT.id, 60.0, None, "illegal data value", NOW.mono - 2)}
    state = decoded(documents.state(view(control=ordered(), snapshot=snapshot(writes=refused))))

    assert state["mirror"] == {
        "quantities": [
            {
                "target": "pcc",
                "quantity": "active_power",
                "function": "limit_active_power",
                "value": 60_000.0,
                "unit": "W",
                "source": "o1",
                "kind": "dso",
                "priority": 10,
                "expires": "2026-11-22T10:10:00.000Z",
                "limited_by": None,
                "execution": "local",
                "by": "",
            }
        ],
        "headroom": {"p_up": 100.0, "p_down": None, "q_up": None, "q_down": None},
        "active": None,
        "reactive": None,
        "reserve": None,
    }
    assert state["control"] == {
        "ticks": 51,
        "period_s": 0.2,
        "setpoints": [
            {
                "point": LIMIT.id,
                "value": 60.0,
                "unit": "%",
                "cause": "o1",
                "written": False,
                "readback": None,
                "error": "illegal data value",
            }
        ],
        "held": [LIMIT.id],
        "events": [{"time": "2026-11-22T09:59:57.000Z", "code": "device_lost", "detail": "inv1: silent"}],
    }


def test_a_set_point_whose_write_has_not_ended_is_neither_written_nor_refused() -> None:
    [setpoint] = decoded(documents.state(view(control=ordered())))["control"]["setpoints"]

    assert (setpoint["written"], setpoint["readback"], setpoint["error"]) == (None, None, None)


def test_the_reasons_against_health_stand_in_health_and_state() -> None:
    ill = view(reasons=("store: commits fail",))

    assert decoded(documents.health(ill)) == {"healthy": False, "reasons": ["store: commits fail"]}
    assert decoded(documents.state(ill))["reasons"] == ["store: commits fail"]


def test_each_device_says_what_it_is_and_whether_it_answers() -> None:
    pcc, inv1, bat1, gen = decoded(documents.devices(view()))["devices"]

    assert pcc == {
        "id": "pcc",
        "role": "meter",
        "driver": "modbus",
        "connection": "modbus tcp://meter",
        "online": True,
        "manufacturer": None,
        "model": None,
        "serial": None,
        "rated_power_w": None,
        "points": 2,
        "points_known": 1,
        "worst_age_s": 0.5,
    }
    assert (inv1["online"], inv1["rated_power_w"], inv1["model"], inv1["worst_age_s"]) == (False, 60_000.0, "S60", 20.0)
    assert (bat1["online"], bat1["rated_power_w"], bat1["points"], bat1["worst_age_s"]) == (False, 30_000.0, 0, None)
    assert gen["online"] is None, "nobody can tell of a device that only takes orders"


NULL = None


def read(value: Any, quality: Quality, ago_s: float = 0.0) -> Reading:
    return Reading(value, quality, NOW.wall - ago_s, NOW.mono - ago_s)


AT = "2026-11-22T09:59:{}.000Z".format
READINGS = [
    pytest.param(None, (NULL, NULL, NULL, NULL), id="never-read"),
    pytest.param(read(0.0, Quality.GOOD, 1), (0.0, "good", AT(59), 1.0), id="zero-is-a-value"),
    pytest.param(read(7.0, Quality.STALE, 9), (7.0, "stale", AT(51), 9.0), id="stale-keeps-its-value-and-time"),
    pytest.param(read(NULL, Quality.OFFLINE), (NULL, "offline", NULL, NULL), id="offline-and-never-read"),
    pytest.param(read(NULL, Quality.INVALID, 2), (NULL, "invalid", AT(58), 2.0), id="invalid-since"),
    pytest.param(read(NULL, Quality.GOOD), (NULL, "good", NOW_TEXT, 0.0), id="read-and-no-set-point-in-force"),
    pytest.param(read(nan, Quality.GOOD), (NULL, "good", NOW_TEXT, 0.0), id="not-a-number"),
    pytest.param(read(1.0, Quality.GOOD)._replace(time=inf), (1.0, "good", NULL, 0.0), id="impossible-time"),
    pytest.param(read(1.0, Quality.GOOD)._replace(mono=NOW.mono + 1), (1.0, "good", NOW_TEXT, 0.0), id="newer"),
    pytest.param(read(True, Quality.GOOD), (True, "good", NOW_TEXT, 0.0), id="switch"),
]


@pytest.mark.parametrize(("reading", "expected"), READINGS)
def test_a_point_has_value_quality_time_and_age_or_null(reading: Reading | None, expected: tuple[object, ...]) -> None:
    known = {} if reading is None else {POWER.id: reading}
    [point] = [
        one for one in decoded(documents.points(view(snapshot=snapshot(known))))["points"] if one["point"] == POWER.id
    ]

    assert (point["value"], point["quality"], point["time"], point["age_s"]) == expected
    assert (point["unit"], point["readable"], point["writable"]) == ("W", True, False)
    assert (point["iec61850"], point["cim"]) == ("MMXU.TotW", "ThreePhaseActivePower")


def test_open_activations_come_first_and_ended_ones_the_latest_first() -> None:
    document = decoded(documents.activations(view(control=ordered())))

    assert [one["id"] for one in document["ended"]] == ["bad", "old"]
    assert document["open"] == [
        {
            "id": "o1",
            "revision": 2,
            "uplink": "dso",
            "received": "2026-11-22T09:59:00.000Z",
            "status": "deviating",
            "since": "2026-11-22T09:59:58.000Z",
            "issuer": "dso",
            "kind": "dso",
            "target": "pcc",
            "function": "limit_active_power",
            "value": 60.0,
            "unit": "%",
            "start": None,
            "end": "2026-11-22T10:10:00.000Z",
            "requested": None,
            "applied": None,
            "measured": 59_800.0,
            "code": "write_failed",
            "detail": None,
        }
    ]


def test_the_control_says_of_every_order_what_it_decides_or_who_overrules_it() -> None:
    document = decoded(documents.control(view(control=decided())))

    says = {"level": "limits", "function": "limit_active_power", "priority": 10, "handed": None}
    o1 = {
        **says,
        "rank": 1,
        "source": "o1",
        "kind": "dso",
        "lo": None,
        "hi": 60_000.0,
        "wanted_lo": None,
        "wanted_hi": 60_000.0,
        "decides": [],
        "overruled_by": "t1",
        "expires": "2026-11-22T10:10:00.000Z",
    }
    t1 = {
        **o1,
        "rank": 2,
        "source": "t1",
        "kind": "market",
        "hi": 40_000.0,
        "wanted_hi": 40_000.0,
        "decides": ["ceiling"],
        "overruled_by": None,
        "expires": None,
    }
    assert (document["site"], document["time"], document["ticks"]) == ("park", NOW_TEXT, 51)
    assert document["places"] == [
        {
            "target": "pcc",
            "quantity": "active_power",
            "unit": "W",
            "capability": {"lo": -100_000.0, "hi": 100_000.0},
            "left": {"lo": -100_000.0, "hi": 40_000.0},
            "value": 40_000.0,
            "decided_by": {"ceiling": "t1"},
            "orders": [o1, t1],
        }
    ]
    assert document["totals"] == {"active_power": {"limit": 40_000.0, "setpoint": None, "floor": None}}
    assert document["wishes"] == [{"point": LIMIT.id, "value": 40_000.0, "unit": "W", "cause": "o1 t1"}]
    assert (document["let_go"], document["fallbacks"]) == ([], [])


def test_the_control_says_by_which_rules_and_what_each_target_can_do() -> None:
    document = decoded(documents.control(view()))

    assert document["rules"]["ders"] == ["inv1", "bat1", "gen"]
    assert [level["name"] for level in document["rules"]["levels"]][:2] == ["capability", "connection"]
    able = {(one["target"], one["function"]): one["by"] for one in document["abilities"]}
    assert able["inv1", "limit_active_power"] == "gateway"
    assert able["inv1", "set_reactive_power"] == "none"
    assert able["bat1", "limit_active_power"] == "unknown", "it has not said what it is"


def test_the_buffer_says_what_is_kept_and_what_waits_for_whom() -> None:
    assert decoded(documents.buffer(view())) == {
        "site": "park",
        "time": NOW_TEXT,
        "epoch": "e1",
        "session": 3,
        "last_frame": 120,
        "last_message": 7,
        "frames_waiting": 0,
        "frames_dropped": 0,
        "fault": None,
        "max_size_bytes": 2_000_000_000,
        "max_age_s": 7_776_000.0,
        "uplinks": [
            {
                "id": "dso",
                "frames_pending": 5,
                "frames_acknowledged": 115,
                "messages_pending": 1,
                "oldest_pending": "2026-11-22T09:59:56.000Z",
            }
        ],
    }


def test_a_store_without_a_frame_has_no_last_one() -> None:
    empty = replace(STORE, last_frame=0, last_message=0)
    document = decoded(documents.buffer(view(store=empty, uplinks=())))

    assert (document["last_frame"], document["last_message"]) == (None, None)


def test_the_plan_stands_beside_what_came_of_it() -> None:
    pcc, inv1 = decoded(documents.plan(view()))["devices"]

    assert pcc == {
        "device": "pcc",
        "connection": "modbus tcp://meter",
        "planned": {
            "requests_per_s": 5.0,
            "load": 0.04,
            "worst_age_s": 0.3,
            "requests": ["input 52-53 every 200 ms"],
        },
        "actual": {
            "over_s": 60.0,
            "requests_per_s": 4.9,
            "unanswered_per_s": 0.05,
            "load": 0.03,
            "worst_age_s": 0.5,
            "total": {"requests": 500, "unanswered": 3, "refused": 2, "skipped": 1, "writes": 0, "busy_s": 4.0},
        },
    }
    assert inv1["planned"] is None
    assert inv1["actual"] == {
        "over_s": None,
        "requests_per_s": None,
        "unanswered_per_s": None,
        "load": None,
        "worst_age_s": 20.0,
        "total": None,
    }
