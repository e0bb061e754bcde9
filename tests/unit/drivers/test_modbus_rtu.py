"""Frames of a serial line: what fits a request is its answer, and nothing else is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.modbus import pdu, rtu
from drivers.modbus.endpoint import SerialLine
from drivers.modbus.framing import Answer
from drivers.modbus.pdu import RefusalError, Request, WrongAnswerError

READ = pdu.read(1, "holding", 0, 2)
ANSWER = rtu.frame(1, bytes.fromhex("03 04 00 07 00 08"))
REFUSAL = rtu.frame(1, bytes.fromhex("83 02"))


def receive(request: Request, *chunks: bytes, echo: bool = False) -> list[Answer]:
    """All that a framing says to what it receives after it has sent a request."""
    framing = rtu.RtuFraming(SerialLine("/dev/null", echo=echo))
    framing.frame(request)
    return [answer for chunk in chunks for answer in framing.received(chunk)]


def kinds(answers: list[Answer]) -> list[type]:
    return [type(answer) for answer in answers]


@pytest.mark.parametrize(
    ("frame", "checksum"),
    [
        pytest.param("01 03 00 00 00 0A", "c5 cd", id="ten-registers"),
        pytest.param("01 04 00 34 00 02", "30 05", id="a-float"),
        pytest.param("01 03 9C 40 00 03", "2a 4f", id="sunspec"),
        pytest.param("", "ff ff", id="nothing"),
    ],
)
def test_the_checksum_is_that_of_the_standard(frame: str, checksum: str) -> None:
    assert rtu.crc16(bytes.fromhex(frame)).hex(" ") == checksum


@pytest.mark.parametrize(
    ("request_", "size"),
    [
        pytest.param(pdu.read(1, "holding", 0, 1), 7, id="one-register"),
        pytest.param(pdu.read(1, "input", 0, 125), 255, id="125-registers"),
        pytest.param(pdu.read(1, "coil", 0, 9), 7, id="nine-coils"),
        pytest.param(pdu.write_coil(1, 0, True), 8, id="fc5"),
        pytest.param(pdu.write_register(1, 0, 7), 8, id="fc6"),
        pytest.param(pdu.write_coils(1, 0, [True] * 9), 8, id="fc15"),
        pytest.param(pdu.write_registers(1, 0, [1, 2, 3]), 8, id="fc16"),
    ],
)
def test_the_length_of_an_answer_is_known_from_its_request(request_: Request, size: int) -> None:
    assert rtu.answer_size(request_) == size


def test_a_right_answer_is_its_data() -> None:
    assert receive(READ, ANSWER) == [bytes.fromhex("00 07 00 08")]


def test_a_write_is_answered_by_its_echo() -> None:
    write = pdu.write_registers(1, 5, [7, 8])

    assert receive(write, rtu.frame(1, write.pdu[:5])) == [b""]


def test_an_answer_may_come_in_single_bytes() -> None:
    assert receive(READ, *(bytes((byte,)) for byte in ANSWER)) == [bytes.fromhex("00 07 00 08")]


def test_a_refusal_is_told_with_its_code() -> None:
    (refusal,) = receive(READ, REFUSAL)

    assert isinstance(refusal, RefusalError)
    assert refusal.code == 2


@pytest.mark.parametrize("size", range(1, len(ANSWER)))
def test_part_of_an_answer_says_nothing(size: int) -> None:
    assert receive(READ, ANSWER[:size]) == []


@pytest.mark.parametrize(
    ("received", "text"),
    [
        pytest.param(rtu.frame(2, ANSWER[1:-2]), "asked unit 1, the answer begins 02 03", id="another-unit"),
        pytest.param(b"\0" + ANSWER, "begins 00 01 03", id="a-byte-too-many-before"),
        pytest.param(rtu.frame(1, b"\x04" + ANSWER[2:-2]), "beginning 03 04, found 04 04", id="another-function"),
        pytest.param(rtu.frame(1, bytes.fromhex("03 02 00 07")), "beginning 03 04, found 03 02", id="fewer-registers"),
        pytest.param(rtu.frame(1, bytes.fromhex("03 06") + bytes(6)), "found 03 06", id="more-registers"),
        pytest.param(ANSWER[:-2] + ANSWER[:-3:-1], "checksum .* is wrong", id="checksum-the-wrong-way-round"),
        pytest.param(ANSWER[:3] + b"\1" + ANSWER[4:], "checksum .* is wrong", id="a-flipped-bit"),
        pytest.param(REFUSAL[:-1] + b"\0", "checksum .* is wrong", id="refusal-with-a-wrong-checksum"),
        pytest.param(rtu.frame(1, bytes.fromhex("84 02")), "found 84 02", id="refusal-of-another-function"),
        pytest.param(rtu.frame(1, READ.pdu), "the request itself came back: .* echo=true", id="an-adapter-that-echoes"),
        pytest.param(b"\xff" * 40, "begins ff ff", id="noise"),
    ],
)
def test_what_does_not_fit_the_request_is_told_and_is_no_data(received: bytes, text: str) -> None:
    (answer,) = receive(READ, received)

    assert isinstance(answer, WrongAnswerError)
    with pytest.raises(WrongAnswerError, match=text):
        raise answer


def test_a_write_that_sets_another_register_is_not_its_echo() -> None:
    (answer,) = receive(pdu.write_register(1, 5, 7), rtu.frame(1, pdu.write_register(1, 6, 7).pdu))

    assert isinstance(answer, WrongAnswerError)


@pytest.mark.parametrize("extra", [ANSWER, b"\0"], ids=["the-answer-again", "one-byte"])
def test_what_comes_behind_an_answer_is_told_to_be_nobodys(extra: bytes) -> None:
    assert receive(READ, ANSWER + extra) == [bytes.fromhex("00 07 00 08"), None]


def test_nothing_is_an_answer_before_the_first_request_and_after_an_answer() -> None:
    framing = rtu.RtuFraming(None)

    assert list(framing.received(ANSWER)) == [None]
    framing.frame(READ)
    assert kinds(list(framing.received(ANSWER))) == [bytes]
    assert list(framing.received(ANSWER)) == [None]


def test_what_was_left_of_an_earlier_answer_is_forgotten_with_the_next_request() -> None:
    framing = rtu.RtuFraming(None)
    framing.frame(READ)
    assert list(framing.received(ANSWER[:4])) == []
    framing.frame(READ)

    assert kinds(list(framing.received(ANSWER))) == [bytes]


def test_the_echo_of_an_adapter_is_taken_off() -> None:
    sent = rtu.frame(1, READ.pdu)

    assert receive(READ, sent + ANSWER, echo=True) == [bytes.fromhex("00 07 00 08")]
    assert receive(READ, sent[:3], sent[3:] + ANSWER[:1], ANSWER[1:], echo=True) == [bytes.fromhex("00 07 00 08")]
    assert receive(READ, sent, echo=True) == []


def test_an_echoed_write_alone_is_no_answer() -> None:
    """The echo of FC 6 and its answer are the same bytes."""
    write = pdu.write_register(1, 5, 7)
    sent = rtu.frame(1, write.pdu)

    assert receive(write, sent, echo=True) == []
    assert receive(write, sent, sent, echo=True) == [b""]


def test_an_echo_that_differs_is_a_wrong_answer() -> None:
    """Somebody else was sending at the same time, or there is no echo at all."""
    (answer,) = receive(READ, ANSWER, echo=True)

    assert isinstance(answer, WrongAnswerError)


requests = st.one_of(
    st.builds(pdu.read, st.integers(1, 247), st.sampled_from(["holding", "input"]), st.just(0), st.integers(1, 125)),
    st.builds(pdu.read, st.integers(1, 247), st.sampled_from(["coil", "discrete"]), st.just(0), st.integers(1, 2000)),
    st.builds(pdu.write_register, st.integers(1, 247), st.integers(0, 0xFFFF), st.integers(0, 0xFFFF)),
)


@given(requests, st.lists(st.binary(min_size=1, max_size=40), max_size=8))
def test_random_bytes_are_never_data_unless_they_fit(request: Request, chunks: list[bytes]) -> None:
    """What a right answer is, is computed here from the request alone; the first verdict is the only one."""
    answers = receive(request, *chunks)
    heard = b"".join(chunks)[: request.length + 3]
    fits = (
        len(heard) == request.length + 3
        and heard[0] == request.unit
        and heard[1:].startswith(request.head)
        and heard.endswith(rtu.crc16(heard[:-2]))
    )
    assert any(isinstance(answer, bytes) for answer in answers) == fits
    assert all(answer is None for answer in answers[1:])


@given(st.integers(1, 60), st.data())
def test_one_wrong_bit_anywhere_makes_an_answer_none(count: int, data: st.DataObject) -> None:
    request = pdu.read(17, "input", 0, count)
    answer = rtu.frame(17, request.head + data.draw(st.binary(min_size=2 * count, max_size=2 * count)))
    bit = data.draw(st.integers(0, 8 * len(answer) - 1))
    broken = bytearray(answer)
    broken[bit // 8] ^= 1 << bit % 8

    assert not any(isinstance(each, bytes | RefusalError) for each in receive(request, bytes(broken)))


@given(requests, st.data())
def test_an_answer_to_another_request_is_not_taken_for_one_to_this(request: Request, data: st.DataObject) -> None:
    """Another unit, function, count or echo; only a read of as many registers elsewhere looks the same."""
    other = data.draw(requests.filter(lambda each: (each.unit, each.head) != (request.unit, request.head)))
    answer = rtu.frame(other.unit, other.head + bytes(other.length - len(other.head)))

    assert not any(isinstance(each, bytes) for each in receive(request, answer))


@pytest.mark.parametrize(
    ("baudrate", "silence_s"),
    [
        pytest.param(1200, 0.0320833, id="1200"),
        pytest.param(9600, 0.0040104, id="9600"),
        pytest.param(19200, 0.0020052, id="19200"),
        pytest.param(38400, 0.00175, id="38400"),
        pytest.param(115200, 0.00175, id="115200"),
    ],
)
def test_the_silence_between_frames_is_that_of_the_standard(baudrate: int, silence_s: float) -> None:
    """3.5 characters of 11 bits, and no less than 1.75 ms."""
    assert rtu.silence_s(SerialLine("/dev/null", baudrate)) == pytest.approx(silence_s, abs=1e-7)


def test_a_request_takes_the_line_for_its_bytes_its_answers_and_two_silences() -> None:
    """60 registers at 9600 Bd: 8 and 125 bytes of 11 bits."""
    line = SerialLine("/dev/null", 9600)

    assert rtu.line_time_s(8, 125, line) == pytest.approx(133 * 11 / 9600 + 2 * 3.5 * 11 / 9600)
    assert rtu.RtuFraming(line).air_time_s(pdu.read(1, "holding", 0, 60)) == rtu.line_time_s(8, 125, line)
    assert rtu.RtuFraming(None).air_time_s(READ) == 0
