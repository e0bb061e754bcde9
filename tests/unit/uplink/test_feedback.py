"""What a head end says beside orders: that it has received frames, and that it is alive."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.uplink.messages.json import parse_heartbeat, parse_measurements_ack


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b'{"schema":"measurements-ack/1","epoch":"e","ranges":[[1,5],[9,9]]}', ("e", ((1, 5), (9, 9)))),
        (b'{"schema":"measurements-ack/1","site":"s","time":"x","epoch":"e","ranges":[]}', ("e", ())),
        (b'{"schema":"measurements-ack/1","epoch":"e","ranges":[[5,1]]}', None),
        (b'{"schema":"measurements-ack/1","epoch":"e","ranges":[[-1,1]]}', None),
        (b'{"schema":"measurements-ack/1","epoch":"e","ranges":[[1,1e3]]}', None),
        (b'{"schema":"measurements-ack/1","epoch":"e","ranges":[[1]]}', None),
        (b'{"schema":"measurements-ack/1","epoch":"e","ranges":[[1,99999999999999999999]]}', None),
        (b'{"schema":"measurements-ack/1","epoch":1,"ranges":[[1,2]]}', None),
        (b'{"schema":"measurements/1","epoch":"e","ranges":[[1,2]]}', None),
        (b"[" * 100_000, None),
    ],
)
def test_an_acknowledgement_of_measurements_names_an_epoch_and_ranges(payload: bytes, expected: Any) -> None:
    assert parse_measurements_ack(payload) == expected


@pytest.mark.parametrize(
    ("payload", "alive"),
    [
        (b'{"schema":"heartbeat/1","time":"2026-11-22T10:00:00.000Z"}', True),
        (b'{"schema":"ack/1"}', False),
        (b"", False),
        (b"1", False),
    ],
)
def test_a_heartbeat_is_known_by_its_schema(payload: bytes, alive: bool) -> None:
    assert parse_heartbeat(payload) is alive


@given(st.binary(max_size=200))
def test_any_bytes_are_neither_and_raise_nothing(payload: bytes) -> None:
    assert parse_measurements_ack(payload) is None
    assert parse_heartbeat(payload) is False
