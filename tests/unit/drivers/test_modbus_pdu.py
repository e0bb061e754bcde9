"""Requests are the bytes of the specification; an answer is data only when it fits its request in everything."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.modbus import pdu
from drivers.modbus.pdu import FrameError, NoAnswerError, RefusalError, Request, WrongAnswerError, next_frame

READ_10 = pdu.read(1, "holding", 0, 10)


@pytest.mark.parametrize(
    ("transaction", "request_", "wire"),
    [
        pytest.param(1, pdu.read(1, "holding", 40000, 3), "0001 0000 0006 01 03 9C40 0003", id="fc3"),
        pytest.param(2, pdu.read(1, "input", 52, 2), "0002 0000 0006 01 04 0034 0002", id="fc4"),
        pytest.param(3, pdu.read(17, "coil", 19, 37), "0003 0000 0006 11 01 0013 0025", id="fc1"),
        pytest.param(4, pdu.read(17, "discrete", 196, 22), "0004 0000 0006 11 02 00C4 0016", id="fc2"),
        pytest.param(5, pdu.write_coil(17, 172, True), "0005 0000 0006 11 05 00AC FF00", id="fc5-on"),
        pytest.param(6, pdu.write_coil(17, 172, False), "0006 0000 0006 11 05 00AC 0000", id="fc5-off"),
        pytest.param(7, pdu.write_register(17, 1, 3), "0007 0000 0006 11 06 0001 0003", id="fc6"),
        pytest.param(
            8,
            pdu.write_coils(17, 19, [c == "1" for c in "1011001110"]),
            "0008 0000 0009 11 0F 0013 000A 02 CD01",
            id="fc15",
        ),
        pytest.param(
            1, pdu.write_registers(1, 0x9D0D, [6000]), "0001 0000 0009 01 10 9D0D 0001 02 1770", id="WMaxLimPct"
        ),
        pytest.param(
            2, pdu.write_registers(1, 0x9D11, [1]), "0002 0000 0009 01 10 9D11 0001 02 0001", id="WMaxLim_Ena"
        ),
    ],
)
def test_requests_are_the_bytes_of_the_specification(transaction: int, request_: Request, wire: str) -> None:
    """The examples of the application protocol; the last two are the writes of a SunSpec limit."""
    assert transaction.to_bytes(2, "big") + request_.asked == bytes.fromhex(wire)


@pytest.mark.parametrize(
    ("request_", "answer", "data"),
    [
        pytest.param(pdu.read(1, "holding", 0, 2), "03 04 0001 0002", "0001 0002", id="registers"),
        pytest.param(pdu.read(1, "coil", 0, 9), "01 02 FF01", "FF01", id="bits"),
        pytest.param(pdu.write_register(1, 1, 3), "06 0001 0003", "", id="echo-of-one"),
        pytest.param(pdu.write_registers(1, 1, [3, 4]), "10 0001 0002", "", id="echo-of-several"),
    ],
)
def test_a_right_answer_is_data(request_: Request, answer: str, data: str) -> None:
    assert request_.check(1, bytes.fromhex(answer)) == bytes.fromhex(data)


@pytest.mark.parametrize(
    ("request_", "unit", "answer"),
    [
        pytest.param(pdu.read(1, "holding", 0, 2), 2, "03 04 0001 0002", id="another-unit"),
        pytest.param(pdu.read(1, "holding", 0, 2), 1, "04 04 0001 0002", id="another-function"),
        pytest.param(pdu.read(1, "holding", 0, 2), 1, "03 02 0001", id="fewer-registers"),
        pytest.param(pdu.read(1, "holding", 0, 2), 1, "03 06 0001 0002 0003", id="more-registers"),
        pytest.param(pdu.read(1, "holding", 0, 2), 1, "03 04 0001", id="byte-count-too-long"),
        pytest.param(pdu.read(1, "holding", 0, 2), 1, "03 02 0001 0002", id="byte-count-too-short"),
        pytest.param(pdu.read(1, "holding", 0, 2), 1, "84 02", id="exception-of-another-function"),
        pytest.param(pdu.read(1, "holding", 0, 2), 1, "83 02 00", id="exception-too-long"),
        pytest.param(pdu.write_register(1, 1, 3), 1, "06 0001 0004", id="echo-of-another-value"),
        pytest.param(pdu.write_register(1, 1, 3), 1, "06 0002 0003", id="echo-of-another-address"),
        pytest.param(pdu.write_registers(1, 1, [3, 4]), 1, "10 0001 0001", id="fewer-registers-written"),
        pytest.param(pdu.write_coil(1, 1, True), 1, "05 0001 0000", id="echo-of-the-other-state"),
    ],
)
def test_an_answer_to_anything_else_is_an_error(request_: Request, unit: int, answer: str) -> None:
    with pytest.raises(WrongAnswerError):
        request_.check(unit, bytes.fromhex(answer))


@pytest.mark.parametrize("code", [1, 2, 3, 4, 5, 6, 8, 10, 11])
def test_a_refusal_carries_its_code(code: int) -> None:
    with pytest.raises(RefusalError) as refusal:
        READ_10.check(1, bytes((0x83, code)))

    assert refusal.value.code == code
    assert str(code) in str(refusal.value)


@given(st.integers(0, 255), st.binary(min_size=1, max_size=253))
def test_no_bytes_become_data_of_a_request_they_do_not_fit(unit: int, answer: bytes) -> None:
    """Whatever comes: the data of exactly this request, or one of the declared errors."""
    fits = unit == 1 and answer[:2] == bytes((3, 20)) and len(answer) == 22
    try:
        data = READ_10.check(unit, answer)
    except (RefusalError, NoAnswerError):
        assert not fits
    else:
        assert fits
        assert data == answer[2:]


@given(st.binary(max_size=300), st.integers(0, 20))
def test_no_bytes_break_the_framing_but_with_its_own_error(buffer: bytes, start: int) -> None:
    try:
        frame = next_frame(buffer, start)
    except FrameError:
        return
    assert frame is None or start + 9 <= frame.end <= len(buffer)


@pytest.mark.parametrize(
    "wire",
    [
        pytest.param("0001 0001 0006 01 03 0000 0001", id="another-protocol"),
        pytest.param("0001 0000 0002 01 03", id="too-short-for-any-answer"),
        pytest.param("0001 0000 00FF 01 03", id="too-long-for-any-answer"),
    ],
)
def test_a_head_that_is_none_is_an_error_of_the_stream(wire: str) -> None:
    with pytest.raises(FrameError, match="found"):
        next_frame(bytes.fromhex(wire), 0)


def test_a_frame_is_waited_for_until_its_last_byte() -> None:
    wire = bytes.fromhex("0001 0000 0005 01 03 02 0007")

    assert [next_frame(wire[:count], 0) for count in range(len(wire))] == [None] * len(wire)
    assert next_frame(wire + b"\x00", 0) == (1, 1, bytes.fromhex("03 02 0007"), len(wire))
