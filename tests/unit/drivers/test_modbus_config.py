"""What the site file may say of a Modbus device, and what each mistake is answered with."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from drivers.modbus.config import ModbusDevice
from drivers.modbus.plan import GAP_MAX

POINT = {"name": "active_power", "register": "input:52", "type": "float32"}
FILES = {"ca": "ca.pem", "certificate": "own.pem", "key": "own.key"}
FILES_WITHOUT_KEY = {"ca": "ca.pem", "certificate": "own.pem"}


def device(**changes: Any) -> ModbusDevice:
    given = {"id": "inv1", "driver": "modbus", "role": "pv", "endpoint": "tcp://10.0.0.1", "points": [POINT]} | changes
    return ModbusDevice.model_validate(given)


def test_defaults_are_those_of_the_contract() -> None:
    plain = device()

    assert plain.address == ("10.0.0.1", 502)
    assert (plain.unit, plain.poll, plain.timeout) == (1, 1.0, 1.0)
    assert (plain.points[0].at.space, plain.points[0].at.address) == ("input", 52)
    assert (plain.points[0].readable, plain.points[0].writable) == (True, False)


def test_a_bit_needs_no_type() -> None:
    register = device(points=[{"name": "breaker_closed", "register": "discrete:3"}]).points[0].register_of("inv1")

    assert (register.point, register.type, register.bit) == ("inv1.breaker_closed", "bool", True)


def test_a_sentinel_may_be_written_as_the_document_writes_it() -> None:
    point = device(points=[POINT | {"type": "int16", "not_implemented": 0x8000}]).points[0]

    assert point.register_of("inv1").not_implemented == -0x8000


def test_a_device_without_quirks_may_be_read_over_as_many_registers_as_pay() -> None:
    assert device().quirks.max_gap == GAP_MAX
    assert device(quirks={"max_gap": 0}).quirks.max_gap == 0


def test_an_editor_is_told_what_each_quirk_is_for() -> None:
    quirks = ModbusDevice.model_json_schema()["$defs"]["Quirks"]["properties"]

    assert "max_gap" in quirks
    assert all("description" in each for each in quirks.values())


def test_sunspec_needs_no_points() -> None:
    assert device(profile="sunspec", points=[]).sunspec


@pytest.mark.parametrize(
    ("changes", "where", "text"),
    [
        pytest.param({"endpoint": "10.0.0.1:502"}, ("endpoint",), "tcp://host[:port]", id="no-scheme"),
        pytest.param({"endpoint": "tls://h:802"}, (), "should have tls: {ca, certificate, key}", id="no-files"),
        pytest.param({"tls": FILES}, (), "with a tls:// endpoint only", id="files-without-tls"),
        pytest.param({"endpoint": "tls://h", "tls": FILES_WITHOUT_KEY}, ("tls", "key"), "required", id="no-key"),
        pytest.param(
            {"endpoint": "rtu:///dev/ttyS0", "unit": 0}, (), "unit from 1 to 247 on a serial line, found 0", id="unit-0"
        ),
        pytest.param({"endpoint": "rtu-over-tcp://h", "unit": 248}, (), "found 248", id="unit-248"),
        pytest.param({"unit": 256}, ("unit",), "less than or equal to 255", id="unit"),
        pytest.param({"timeout": "0s"}, ("timeout",), "longer than 0", id="timeout-0"),
        pytest.param({"quirks": {"max_gap": -1}}, ("quirks", "max_gap"), "greater than or equal to 0", id="gap"),
        pytest.param({"points": []}, (), "points or a profile", id="nothing-to-read"),
        pytest.param({"points": [POINT, POINT]}, ("points",), "'active_power' at 1 again", id="twice"),
        pytest.param({"points": [{"name": "p", "register": "input:1"}]}, ("points", 0), "type should be", id="no-type"),
        pytest.param(
            {"points": [POINT | {"register": "input:65536"}]}, ("points", 0, "register"), "0 to 65535", id="address"
        ),
        pytest.param(
            {"points": [POINT | {"register": "input:65535"}]}, ("points", 0), "needs 65536", id="end-beyond-the-space"
        ),
        pytest.param({"points": [POINT | {"register": 52}]}, ("points", 0, "register"), "found 52", id="bare-number"),
        pytest.param(
            {"points": [POINT | {"register": "coil:1"}]}, ("points", 0), "bool for a coil", id="float-in-a-coil"
        ),
        pytest.param(
            {"points": [POINT | {"access": "read-write"}]}, ("points", 0), "cannot be written", id="read-only"
        ),
        pytest.param({"points": [POINT | {"scale": 0}]}, ("points", 0), "not be 0", id="scale-0"),
        pytest.param({"points": [POINT | {"scal": 1}]}, ("points", 0, "scal"), "not permitted", id="unknown-key"),
        pytest.param(
            {"points": [POINT | {"type": "int16", "not_implemented": 0x10000}]}, ("points", 0), "65535", id="sentinel"
        ),
    ],
)
def test_mistakes_say_where_and_what_is_accepted(
    changes: dict[str, Any], where: tuple[str | int, ...], text: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        device(**changes)

    (error,) = caught.value.errors()
    assert error["loc"] == where
    assert text in error["msg"]


def test_the_schema_names_what_the_file_names() -> None:
    schema = ModbusDevice.model_json_schema()

    assert schema["$defs"]["ModbusPoint"]["properties"]["register"]["examples"] == ["holding:52"]
