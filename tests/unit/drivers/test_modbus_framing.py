"""A frame is taken at a glance only when it is exactly the right answer, and all else goes the long way."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.modbus import pdu
from drivers.modbus.framing import TcpFraming
from drivers.modbus.pdu import Request

READ = pdu.read(1, "holding", 0, 2)
RIGHT = bytes.fromhex("0001 0000 0007 01 03 04 0007 0008")


def asked(request: Request = READ) -> TcpFraming:
    framing = TcpFraming()
    framing.frame(request)
    return framing


@pytest.mark.parametrize(
    ("request_", "answer", "data"),
    [
        pytest.param(READ, "0001 0000 0007 01 03 04 0007 0008", "0007 0008", id="registers"),
        pytest.param(pdu.read(1, "coil", 0, 9), "0001 0000 0005 01 01 02 FF01", "FF01", id="bits"),
        pytest.param(pdu.write_register(1, 1, 3), "0001 0000 0006 01 06 0001 0003", "", id="echo-of-one"),
        pytest.param(pdu.write_registers(1, 1, [3, 4]), "0001 0000 0006 01 10 0001 0002", "", id="echo-of-several"),
    ],
)
def test_the_right_answer_is_known_at_a_glance(request_: Request, answer: str, data: str) -> None:
    assert asked(request_).whole(bytes.fromhex(answer)) == bytes.fromhex(data)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param("0002 0000 0007 01 03 04 0007 0008", id="another-number"),
        pytest.param("0001 0001 0007 01 03 04 0007 0008", id="another-protocol"),
        pytest.param("0001 0000 0005 01 03 04 0007 0008", id="another-length"),
        pytest.param("0001 0000 0007 02 03 04 0007 0008", id="another-unit"),
        pytest.param("0001 0000 0007 01 04 04 0007 0008", id="another-function"),
        pytest.param("0001 0000 0007 01 03 02 0007 0008", id="another-byte-count"),
        pytest.param("0001 0000 0007 01 03 04 0007 00", id="a-byte-missing"),
        pytest.param("0001 0000 0007 01 03 04 0007 0008 00", id="a-byte-more"),
        pytest.param("0001 0000 0003 01 83 02", id="a-refusal"),
    ],
)
def test_nothing_else_is_taken_at_a_glance(answer: str) -> None:
    assert asked().whole(bytes.fromhex(answer)) is None


def test_an_answer_behind_half_of_another_frame_is_not_taken_at_a_glance() -> None:
    """What looks like an answer is then the rest of the frame before it."""
    framing = asked()

    assert list(framing.received(RIGHT[:6])) == []
    assert framing.whole(RIGHT) is None


def test_an_answer_taken_at_a_glance_answers_nothing_a_second_time() -> None:
    framing = asked()

    assert framing.whole(RIGHT) is not None
    assert list(framing.received(RIGHT)) == [None]


@given(st.lists(st.sampled_from(range(256)), max_size=16).map(bytes) | st.binary(max_size=16), st.integers(0, 15))
def test_both_ways_say_the_same(noise: bytes, at: int) -> None:
    """An answer with some bytes replaced: data at a glance is the same data the long way, found by parts."""
    answer = RIGHT[:at] + noise + RIGHT[at + len(noise) :]
    glance = asked().whole(answer)
    if glance is not None:
        assert list(asked().received(answer)) == [glance]
    else:
        assert answer != RIGHT
