"""Register words to values and back: orders, sentinels, scales and ranges."""

from __future__ import annotations

import dataclasses
import math
import struct
from typing import Any, get_args

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from drivers.modbus.codec import Order, Register, Type, decode_words, decoder, encode, merged, raw_bounds, same_raw

INTEGERS = [each for each in get_args(Type) if "int" in each]
BCD: list[Type] = ["bcd16", "bcd32"]
NUMBERS = [each for each in get_args(Type) if each != "string"]
ORDERS = get_args(Order)


def register(type_: Type, address: int = 0, **options: object) -> Register:
    return Register(point="d.p", space="holding", address=address, type=type_, **options)  # type: ignore[arg-type]


# STANDARDS D.2, and the same rule continued to 64 bits
ORDER_TABLE = [
    pytest.param("float32", 230.5, "ABCD", "43 66 80 00", id="float32-ABCD"),
    pytest.param("float32", 230.5, "CDAB", "80 00 43 66", id="float32-CDAB"),
    pytest.param("float32", 230.5, "BADC", "66 43 00 80", id="float32-BADC"),
    pytest.param("float32", 230.5, "DCBA", "00 80 66 43", id="float32-DCBA"),
    pytest.param("int32", -12345, "ABCD", "FF FF CF C7", id="int32-ABCD"),
    pytest.param("int32", -12345, "CDAB", "CF C7 FF FF", id="int32-CDAB"),
    pytest.param("int32", 1234567, "ABCD", "00 12 D6 87", id="int32-positive-ABCD"),
    pytest.param("int32", 1234567, "CDAB", "D6 87 00 12", id="int32-positive-CDAB"),
    pytest.param("uint16", 0x1234, "CDAB", "12 34", id="one-word-has-no-word-order"),
    pytest.param("uint16", 0x1234, "BADC", "34 12", id="one-word-has-a-byte-order"),
    pytest.param("int32", -12345, "BADC", "FF FF C7 CF", id="int32-BADC"),
    pytest.param("int32", -12345, "DCBA", "C7 CF FF FF", id="int32-DCBA"),
    pytest.param("float64", 230.5, "ABCD", "40 6C D0 00 00 00 00 00", id="float64-ABCD"),
    pytest.param("float64", 230.5, "CDAB", "00 00 00 00 D0 00 40 6C", id="float64-CDAB"),
    pytest.param("bcd16", 1234, "ABCD", "12 34", id="bcd16"),
    pytest.param("bcd16", 1234, "BADC", "34 12", id="bcd16-BADC"),
    pytest.param("bcd32", 12345678, "ABCD", "12 34 56 78", id="bcd32-ABCD"),
    pytest.param("bcd32", 12345678, "CDAB", "56 78 12 34", id="bcd32-CDAB"),
    pytest.param("uint64", 0x0001020304050607, "CDAB", "06 07 04 05 02 03 00 01", id="uint64-CDAB"),
    pytest.param("uint64", 0x0001020304050607, "BADC", "01 00 03 02 05 04 07 06", id="uint64-BADC"),
    pytest.param("uint64", 0x0001020304050607, "DCBA", "07 06 05 04 03 02 01 00", id="uint64-DCBA"),
]


@pytest.mark.parametrize(("type_", "value", "order", "wire"), ORDER_TABLE)
def test_byte_orders_are_those_of_the_vendors_documents(type_: Type, value: float, order: Order, wire: str) -> None:
    """The same bytes are read and written."""
    place = register(type_, order=order)
    data = bytes.fromhex(wire)

    assert decoder([place], 0)(data) == [value]
    assert struct.pack(f">{place.size}H", *encode(place, value)) == data


@pytest.mark.parametrize(
    ("type_", "wire", "missing"),
    [
        pytest.param("int16", "80 00", -0x8000, id="int16"),
        pytest.param("uint32", "FF FF FF FF", 0xFFFFFFFF, id="uint32"),
        pytest.param("float32", "7F C0 00 00", None, id="float32-nan"),
        pytest.param("float32", "FF FF FF FF", None, id="float32-other-nan"),
        pytest.param("float32", "7F 80 00 00", None, id="float32-infinity"),
        pytest.param("float64", "FF F0 00 00 00 00 00 00", None, id="float64-minus-infinity"),
        pytest.param("bool", "FF FF", 0xFFFF, id="bool"),
        pytest.param("bcd16", "12 3A", None, id="bcd-with-a-digit-above-9"),
        pytest.param("bcd32", "FF FF FF FF", 0xFFFFFFFF, id="bcd32"),
    ],
)
def test_what_the_device_does_not_implement_is_no_number(type_: Type, wire: str, missing: int | None) -> None:
    assert decoder([register(type_, not_implemented=missing)], 0)(bytes.fromhex(wire)) == [None]


@pytest.mark.parametrize(
    ("raw", "scale", "offset", "value"),
    [
        pytest.param(3, 0.1, 0.0, 0.3, id="a-tenth-is-the-nearest-number"),
        pytest.param(-1234, 0.1, 0.0, -123.4, id="negative"),
        pytest.param(52, -1.0, 0.0, -52.0, id="sign-turned"),
        pytest.param(25, 1.0, -40.0, -15.0, id="offset"),
        pytest.param(7, 1000.0, 0.0, 7000.0, id="kilo"),
    ],
)
def test_scale_and_offset_make_the_value(raw: int, scale: float, offset: float, value: float) -> None:
    place = register("int16", scale=scale, offset=offset)

    assert decode_words(place, [raw & 0xFFFF]) == value
    assert encode(place, value) == (raw & 0xFFFF,)


def test_one_answer_serves_many_registers_with_gaps_overlaps_and_orders() -> None:
    places = [
        register("int16", 100),
        register("float32", 102, order="CDAB"),
        register("uint16", 103),
        register("int16", 106, order="BADC"),
    ]
    data = bytes.fromhex("FFFE 0000 8000 4366 0000 0000 0100")

    assert decoder(places, 100)(data) == [-2, 230.5, 0x4366, 1]


@pytest.mark.parametrize(
    ("wire", "length", "order", "text"),
    [
        pytest.param("53 55 4E 00 00 00", 3, "ABCD", "SUN", id="up-to-the-first-nul"),
        pytest.param("53 55 4E 20 20 20", 3, "ABCD", "SUN", id="without-blanks"),
        pytest.param("55 53 00 4E", 2, "BADC", "SUN", id="characters-swapped"),
        pytest.param("53 C3 BC 64", 2, "ABCD", "Süd", id="utf-8"),
        pytest.param("53 FF", 1, "ABCD", "S\ufffd", id="what-is-no-text-is-marked"),
        pytest.param("00 00 00 00", 2, "ABCD", None, id="empty-is-no-value"),
    ],
)
def test_a_string_is_what_its_registers_spell(wire: str, length: int, order: Order, text: str | None) -> None:
    assert decoder([register("string", length=length, order=order)], 0)(bytes.fromhex(wire)) == [text]


@pytest.mark.parametrize(
    ("type_", "options", "wire", "value"),
    [
        pytest.param("uint16", {"bits": (4, 4)}, "00 10", True, id="one-bit-set"),
        pytest.param("uint16", {"bits": (4, 4)}, "FF EF", False, id="one-bit-clear"),
        pytest.param("uint16", {"bits": (0, 3)}, "AB CD", 0xD, id="range-at-the-end"),
        pytest.param("uint16", {"bits": (8, 15)}, "AB CD", 0xAB, id="range-at-the-front"),
        pytest.param("uint32", {"bits": (15, 16), "order": "CDAB"}, "80 00 00 01", 0b11, id="range-over-two-registers"),
        pytest.param("uint64", {"bits": (63, 63)}, "80 00 00 00 00 00 00 00", True, id="highest-bit"),
        pytest.param("uint16", {"bits": (0, 3), "not_implemented": 0xFFFF}, "FF FF", None, id="sentinel-is-the-word"),
        pytest.param("uint16", {"enumeration": {0: "off", 1: "on"}}, "00 01", "on", id="word"),
        pytest.param("uint16", {"enumeration": {0: "off", 1: "on"}}, "00 02", 2, id="number-without-a-word"),
        pytest.param("int16", {"enumeration": {-1: "fault"}}, "FF FF", "fault", id="negative-number"),
        pytest.param("int16", {"enumeration": {0: "off"}}, "80 00", -0x8000, id="negative-number-without-a-word"),
        pytest.param("uint16", {"bits": (4, 5), "enumeration": {2: "run"}}, "00 2F", "run", id="word-for-bits"),
        pytest.param("uint16", {"bits": (4, 4), "enumeration": {1: "closed"}}, "00 10", "closed", id="word-for-a-bit"),
    ],
)
def test_bits_and_words_are_parts_of_an_integer(
    type_: Type, options: dict[str, object], wire: str, value: object
) -> None:
    (found,) = decoder([register(type_, **options)], 0)(bytes.fromhex(wire))

    assert (found, type(found)) == (value, type(value))


def test_bits_stand_in_the_bytes_from_the_lowest_up() -> None:
    coils = [Register(point="d.p", space="coil", address=address, type="bool") for address in (10, 11, 19)]

    assert decoder(coils, 10)(bytes([0b10, 0b10])) == [False, True, True]


@pytest.mark.parametrize(
    ("type_", "options", "value", "accepted"),
    [
        pytest.param("uint16", {}, -1, "0 to 65535", id="below"),
        pytest.param("int16", {"scale": 0.1}, 3276.8, "-3276.8 to 3276.7", id="above-with-scale"),
        pytest.param("int16", {"scale": -1.0}, 32769, "-32767 to 32768", id="above-with-turned-sign"),
        pytest.param("int32", {}, math.nan, "a finite number", id="nan"),
        pytest.param("float32", {}, math.inf, "a finite number", id="infinity"),
        pytest.param("float32", {}, 1e39, "what a float32 holds", id="too-large-for-float32"),
        pytest.param("bool", {}, 2, "0 or 1", id="bool"),
        pytest.param("int16", {"not_implemented": -1}, -1, "word for no value", id="the-sentinel"),
        pytest.param("bcd16", {}, 10000, "0 to 9999", id="bcd16-has-four-digits"),
        pytest.param("bcd32", {"scale": 0.01}, -0.01, "0 to 1e", id="bcd-has-no-sign"),
        pytest.param("bcd16", {"not_implemented": 0x9999}, 9999, "word for no value", id="the-sentinel-in-bcd"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_is_accepted(
    type_: Type, options: dict[str, float], value: float, accepted: str
) -> None:
    with pytest.raises(ValueError, match=accepted):
        encode(register(type_, **options), value)


@given(st.sampled_from(INTEGERS), st.sampled_from(ORDERS), st.data())
def test_every_integer_survives_the_way_there_and_back(type_: Type, order: Order, data: st.DataObject) -> None:
    lowest, highest = raw_bounds(type_)
    value = data.draw(st.integers(max(lowest, -(2**53)), min(highest, 2**53)))
    place = register(type_, order=order)

    words = encode(place, value)

    assert decode_words(place, words) == value
    assert same_raw(place, words, struct.pack(f">{len(words)}H", *words))


@given(st.sampled_from(BCD), st.sampled_from(ORDERS), st.data())
def test_every_bcd_number_survives_the_way_there_and_back(type_: Type, order: Order, data: st.DataObject) -> None:
    value = data.draw(st.integers(*raw_bounds(type_)))
    place = register(type_, order=order)

    assert decode_words(place, encode(place, value)) == value


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=8), st.sampled_from("AB"))
def test_every_text_survives_the_way_there(text: str, first: str) -> None:
    """Blanks around it are filling."""
    data = text.encode().ljust(32, b"\0")
    if first == "B":
        data = b"".join(data[at + 1 : at + 2] + data[at : at + 1] for at in range(0, 32, 2))

    place = register("string", length=16, order="ABCD" if first == "A" else "BADC")

    assert decoder([place], 0)(data) == [text.strip() or None]


@given(st.integers(0, 2**32 - 1), st.integers(0, 31), st.integers(0, 31))
def test_a_range_of_bits_is_what_shifting_and_masking_gives(raw: int, one: int, other: int) -> None:
    lowest, highest = sorted((one, other))
    (value,) = decoder([register("uint32", bits=(lowest, highest))], 0)(raw.to_bytes(4, "big"))

    assert value == int(f"{raw:032b}"[31 - highest : 32 - lowest], 2)


@given(st.sampled_from(["float32", "float64"]), st.sampled_from(ORDERS), st.floats(width=32, allow_nan=False))
def test_every_float_survives_the_way_there_and_back(type_: Type, order: Order, value: float) -> None:
    assume(math.isfinite(value))
    place = register(type_, order=order)

    assert decode_words(place, encode(place, value)) == value


@given(st.floats(-3000, 3000), st.sampled_from([0.1, 0.01, -0.1, 1.0, 0.25]))
def test_a_written_value_is_off_by_half_a_raw_step_at_most(value: float, scale: float) -> None:
    place = register("int32", scale=scale)

    held = decode_words(place, encode(place, value))

    assert isinstance(held, float | int)
    assert abs(held - value) <= abs(scale) / 2 + 1e-9


@given(st.sampled_from(NUMBERS), st.sampled_from(ORDERS), st.binary(min_size=8, max_size=8))
def test_no_bytes_become_a_number_that_is_not_finite(type_: Type, order: Order, data: bytes) -> None:
    place = register(type_, order=order, scale=1.0 if type_ == "bool" else 1e10)

    (value,) = decoder([place], 0)(data[: 2 * place.size])

    assert value is None or (isinstance(value, float | int) and math.isfinite(value))


@given(st.data())
def test_bits_that_are_written_are_read_and_all_others_stay(data: st.DataObject) -> None:
    """Of every unsigned type, in every order."""
    type_: Type = data.draw(st.sampled_from(["uint16", "uint32", "uint64"]))
    whole = register(type_, order=data.draw(st.sampled_from(ORDERS)))
    size = 16 * whole.size
    lowest = data.draw(st.integers(0, size - 1))
    highest = data.draw(st.integers(lowest, min(size - 1, lowest + 52)))
    part = dataclasses.replace(whole, bits=(lowest, highest))
    stood = data.draw(st.integers(0, 2**size - 1))
    value = data.draw(st.integers(0, 2 ** (highest - lowest + 1) - 1))
    stands = stood.to_bytes(size // 8, "big")
    words = encode(part, value)

    written = merged(part, words, stands)

    assert decode_words(part, written) == value
    assert same_raw(part, words, struct.pack(f">{whole.size}H", *written))
    before, after = decode_words(whole, struct.unpack(f">{whole.size}H", stands)), decode_words(whole, written)
    assert isinstance(before, int)
    assert isinstance(after, int)
    assert (before ^ after) & ~(2 ** (highest + 1) - 2**lowest) == 0


@pytest.mark.parametrize(
    ("options", "value", "text"),
    [
        pytest.param({"bits": (3, 3)}, 2, "accepted is 0 or 1, found 2", id="bit"),
        pytest.param({"bits": (3, 3)}, 0.5, "accepted is 0 or 1, found 0.5", id="half-a-bit"),
        pytest.param({"bits": (0, 3)}, 16, "a whole number from 0 to 15, found 16", id="range"),
        pytest.param({"bits": (0, 3)}, -1, "a whole number from 0 to 15, found -1", id="below"),
        pytest.param({"bits": (0, 3)}, math.nan, "a finite number, found nan", id="no-number"),
        pytest.param({"bits": (0, 3)}, "on", "a finite number, found on", id="word-of-bits"),
        pytest.param({}, "on", "a finite number, found on", id="word-of-a-number"),
        pytest.param({"enumeration": {0: "off", 5: "on"}}, 1, r"one of off \(0\), on \(5\); found 1", id="number"),
        pytest.param({"enumeration": {0: "off", 5: "on"}}, "On", r"on \(5\); found On", id="word"),
        pytest.param({"enumeration": {0: "off", 5: "on"}}, math.nan, "found nan", id="no-number-of-words"),
        pytest.param({"enumeration": {0: "off", 7: "on"}, "bits": (0, 1)}, "on", "from 0 to 3, found 7", id="too-wide"),
    ],
)
def test_what_bits_and_words_do_not_take_is_refused_with_what_they_do(
    options: dict[str, Any], value: float | str, text: str
) -> None:
    with pytest.raises(ValueError, match=text):
        encode(register("uint16", **options), value)


@pytest.mark.parametrize("value", [5, 5.0, "on"], ids=["number", "float", "word"])
def test_one_of_an_enumeration_is_named_by_its_number_or_its_word(value: float | str) -> None:
    assert encode(register("uint16", enumeration={0: "off", 5: "on"}), value) == (5,)


@pytest.mark.parametrize(("value", "word"), [(True, 1), (False, 0), (1.0, 1)])
def test_a_bit_takes_a_boolean(value: float, word: int) -> None:
    assert encode(register("uint16", bits=(0, 0)), value) == (word,)
    assert encode(register("bool"), value) == (word,)
