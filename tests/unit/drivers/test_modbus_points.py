"""What may be said of a point and of writing it, what each mistake is answered with, and what editors are told."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from drivers.modbus.points import ModbusPoint

WORD = {"name": "p", "register": "holding:7", "type": "uint16"}
WRITABLE = WORD | {"access": "read-write"}
FLASH = {"memory": "flash"}


def point(given: dict[str, Any], **changes: Any) -> ModbusPoint:
    return ModbusPoint.model_validate(given | changes)


def step(**changes: Any) -> dict[str, Any]:
    return {"register": "holding:8", "type": "uint16", "value": 1} | changes


def test_all_that_can_be_said_of_writing_is_understood() -> None:
    how = {
        "function": 16,
        "tolerance": 0.5,
        "settle": "2s",
        "memory": "ram",
        "daily_writes": 10,
        "refresh": "30s",
        "before": [{"register": "holding:40151", "type": "uint32", "value": 802}],
        "release": [{"register": "coil:3", "value": 0}],
    }
    write = point(WRITABLE, write=how).write

    assert write is not None
    assert (write.function, write.tolerance, write.settle, write.refresh) == (16, 0.5, 2.0, 30.0)
    assert (write.memory, write.daily_writes) == ("ram", 10)


def test_a_sequence_has_names_that_no_point_has_and_the_order_of_its_point() -> None:
    how = {"before": [step(type="uint32", value=802), step(type="uint32", value=802, order="ABCD")]}
    first, second = point(WRITABLE, order="CDAB", write=how).sequence("inv1", "before")

    assert (first.register.point, first.words) == ("inv1.p before 1", (802, 0))
    assert (second.register.point, second.words) == ("inv1.p before 2", (0, 802))


@pytest.mark.parametrize(
    ("of_the_point", "of_the_step", "expected"),
    [
        pytest.param("flash", {}, "flash", id="as-the-point"),
        pytest.param("ram", {"memory": "flash"}, "flash", id="a-switch-in-flash"),
        pytest.param("flash", {"memory": "ram"}, "ram", id="a-switch-in-ram"),
    ],
)
def test_a_step_is_kept_where_it_says_or_where_its_point_is(
    of_the_point: str, of_the_step: dict[str, Any], expected: str
) -> None:
    (held,) = point(WRITABLE, write={"memory": of_the_point, "release": [step(**of_the_step)]}).sequence("d", "release")

    assert held.memory == expected


def test_nothing_is_written_around_a_value_that_has_no_sequences() -> None:
    assert point(WRITABLE).sequence("inv1", "before") == ()
    assert point(WRITABLE, write=FLASH).sequence("inv1", "release") == ()


@pytest.mark.parametrize(
    ("given", "bits"),
    [pytest.param("4", (4, 4), id="bit"), pytest.param(4, (4, 4), id="bare"), pytest.param("0-15", (0, 15), id="all")],
)
def test_bits_are_one_or_a_range(given: object, bits: tuple[int, int]) -> None:
    assert point(WORD, bits=given).bits == bits


def test_states_are_numbered_as_the_document_numbers_them() -> None:
    """Keys of a YAML mapping arrive as text."""
    assert point(WORD, enumeration={"0x0200": "run", "3": "stop"}).enumeration == {512: "run", 3: "stop"}


@pytest.mark.parametrize(
    ("changes", "where", "text"),
    [
        pytest.param({"type": "string"}, (), "length should be the number of registers", id="string-without-length"),
        pytest.param({"length": 2}, (), "it is for a string, found type uint16", id="length-of-a-number"),
        pytest.param({"type": "string", "length": 126}, ("length",), "less than or equal to 125", id="too-long"),
        pytest.param(
            {"type": "string", "length": 2, "order": "CDAB"}, (), "order should be ABCD, or BADC", id="words-reversed"
        ),
        pytest.param(
            {"type": "string", "length": 2, "scale": 2}, (), "a string should have no scale", id="scaled-string"
        ),
        pytest.param(
            {"type": "string", "length": 2, "not_implemented": 0}, (), "no value", id="string-with-a-sentinel"
        ),
        pytest.param({"register": "holding:65535", "type": "string", "length": 2}, (), "needs 65536", id="string-end"),
        pytest.param({"bits": "3-0"}, ("bits",), "lowest and the highest bit like 0-3", id="range-turned-round"),
        pytest.param({"bits": "x"}, ("bits",), "found 'x'", id="no-bit"),
        pytest.param({"bits": "16"}, (), "within an unsigned integer, found 16-16 of uint16", id="bit-too-high"),
        pytest.param({"type": "int16", "bits": "1"}, (), "found 1-1 of int16", id="bits-of-a-signed-number"),
        pytest.param({"bits": "0-3", "scale": 10}, (), "a point with bits should have no scale", id="scaled-bits"),
        pytest.param(
            {"type": "float32", "enumeration": {0: "a"}}, (), "of an integer, found float32", id="worded-float"
        ),
        pytest.param({"enumeration": {}}, ("enumeration",), "at least 1", id="no-words"),
        pytest.param({"enumeration": {"off": "x"}}, ("enumeration", "off", "[key]"), "found 'off'", id="word-as-key"),
        pytest.param(
            {"enumeration": {0: "a"}, "scale": 2}, (), "a point with enumeration should have no", id="scaled-words"
        ),
        pytest.param({"type": "bcd16", "not_implemented": 0x10000}, (), "0 to 65535", id="sentinel-of-bcd"),
        pytest.param({"max_step": 0}, ("max_step",), "greater than 0", id="no-step"),
        pytest.param({"bits": "0", "max_step": 1}, (), "numbers that are only read", id="step-of-a-bit"),
        pytest.param(
            {"access": "read-write", "max_step": 1}, (), "numbers that are only read", id="step-of-a-set-point"
        ),
        pytest.param({"stuck_after": "0s"}, ("stuck_after",), "longer than 0", id="stuck-at-once"),
        pytest.param(
            {"access": "read-write", "stuck_after": "1h"}, (), "values that are only read", id="set-point-that-stands"
        ),
        pytest.param({"access": "write", "bits": "0"}, (), "the register is read, changed", id="bits-written-blind"),
        pytest.param(
            {"access": "write", "enumeration": {0: "a", 1: "a"}}, (), "'a' again", id="written-word-of-two-numbers"
        ),
        pytest.param(
            {"access": "write", "type": "string", "length": 1}, (), "a string cannot be written", id="string-written"
        ),
        pytest.param({"write": {}}, (), "or access be write or read-write, found read", id="write-of-a-reading"),
    ],
)
def test_mistakes_in_a_reading_say_what_is_accepted(
    changes: dict[str, Any], where: tuple[str | int, ...], text: str
) -> None:
    refused(WORD | changes, where, text)


@pytest.mark.parametrize(
    ("changes", "where", "text"),
    [
        pytest.param({"function": 3}, ("write", "function"), "5, 6, 15 or 16", id="a-reading-function"),
        pytest.param({"function": 5}, (), "6 or 16 for a holding register, found 5", id="coil-function"),
        pytest.param({"tolerance": -1}, ("write", "tolerance"), "greater than or equal to 0", id="tolerance"),
        pytest.param({"settle": 2}, ("write", "settle"), "duration with its unit", id="settle-without-unit"),
        pytest.param({"memory": "rom"}, ("write", "memory"), "'ram' or 'flash'", id="memory"),
        pytest.param({"daily_writes": 0}, ("write", "daily_writes"), "greater than or equal to 1", id="daily-writes"),
        pytest.param({"refresh": "0s"}, ("write", "refresh"), "longer than 0", id="refresh"),
        pytest.param({"befor": []}, ("write", "befor"), "not permitted", id="unknown-key"),
        pytest.param(
            {"before": [step(register="input:8")]}, ("write", "before", 0), "an? input cannot be written", id="input"
        ),
        pytest.param({"before": [step(type=None)]}, ("write", "before", 0), "for a holding, found none", id="no-type"),
        pytest.param(
            {"before": [step(register="coil:1")]}, ("write", "before", 0), "bool for a coil, found uint16", id="coil"
        ),
        pytest.param({"before": [step(value=-1)]}, ("write", "before", 0), "0 to 65535, found -1", id="value"),
        pytest.param({"before": [step(type="string")]}, ("write", "before", 0), "found string", id="string"),
        pytest.param(
            {"release": [step(register="holding:65535", type="uint32")]},
            ("write", "release", 0),
            "needs 65536",
            id="step-beyond-the-space",
        ),
    ],
)
def test_mistakes_in_writing_say_what_is_accepted(
    changes: dict[str, Any], where: tuple[str | int, ...], text: str
) -> None:
    refused(WRITABLE | {"write": changes}, where, text)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        pytest.param({"type": "uint32", "write": {"function": 6}}, "uint32 has 2 registers, and 6 writes one", id="6"),
        pytest.param({"access": "write", "write": FLASH}, "written only when it is seen to differ", id="blind-flash"),
        pytest.param(
            {"register": "coil:1", "type": None, "write": {"function": 6}}, "5 or 15 for a coil, found 6", id="coil"
        ),
    ],
)
def test_a_way_of_writing_fits_its_point(given: dict[str, Any], text: str) -> None:
    refused(WRITABLE | given, (), text)


def test_an_editor_is_told_what_each_key_is_for() -> None:
    schema = ModbusPoint.model_json_schema()
    write = schema["$defs"]["Write"]["properties"]
    keys = ("register", "type", "order", "not_implemented", "length", "bits", "enumeration", "max_step", "write")

    assert all("description" in schema["properties"][key] for key in keys)
    assert all("description" in each for each in (*write.values(), *schema["$defs"]["Step"]["properties"].values()))


def refused(given: dict[str, Any], where: tuple[str | int, ...], text: str) -> None:
    with pytest.raises(ValidationError, match=text) as caught:
        ModbusPoint.model_validate(given)
    (error,) = caught.value.errors()
    assert error["loc"] == where
