"""What is read together, what a refusal leaves, and what it costs."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.modbus import plan
from drivers.modbus.codec import Register, Type
from drivers.modbus.config import ModbusDevice
from drivers.modbus.driver import build
from drivers.modbus.endpoint import Network, SerialLine
from drivers.modbus.pdu import Space
from gateway.model import Measurement, Quality


def register(address: int, type_: Type = "uint16", space: Space = "holding") -> Register:
    return Register(point=f"d.{space}{address}", space=space, address=address, type=type_)


def texts(*registers: Register, gap: int = plan.GAP_MAX) -> list[str]:
    return [block.text for block in plan.blocks(registers, gap=gap)]


@pytest.mark.parametrize(
    ("registers", "expected"),
    [
        pytest.param([register(0), register(1)], ["holding 0-1"], id="neighbours"),
        pytest.param([register(1), register(0)], ["holding 0-1"], id="in-any-order"),
        pytest.param([register(0, "float32"), register(10)], ["holding 0-10"], id="a-gap-of-8-is-read-over"),
        pytest.param([register(0), register(10)], ["holding 0", "holding 10"], id="a-gap-of-9-is-not"),
        pytest.param([register(0), register(0, space="input")], ["holding 0", "input 0"], id="spaces-apart"),
        pytest.param([register(a) for a in range(125)], ["holding 0-124"], id="125-registers"),
        pytest.param([register(a) for a in range(126)], ["holding 0-124", "holding 125"], id="126-registers"),
        pytest.param(
            [register(a) for a in range(124)] + [register(124, "float32")],
            ["holding 0-123", "holding 124-125"],
            id="a-value-is-never-cut",
        ),
        pytest.param([register(a, "bool", "coil") for a in range(2001)], ["coil 0-1999", "coil 2000"], id="2000-bits"),
        pytest.param([register(4, "float32"), register(5)], ["holding 4-5"], id="overlap"),
    ],
)
def test_registers_are_read_in_as_few_requests_as_the_protocol_allows(
    registers: list[Register], expected: list[str]
) -> None:
    assert texts(*registers) == expected


def test_a_refused_block_is_first_read_without_what_nobody_asked_for() -> None:
    (block,) = plan.blocks([register(0), register(1), register(5)])

    assert [each.text for each in plan.split(block)] == ["holding 0-1", "holding 5"]


def test_then_in_halves_down_to_one_value() -> None:
    (block,) = plan.blocks([register(0), register(1, "float32"), register(3)])
    halves = plan.split(block)

    assert [each.text for each in halves] == ["holding 0", "holding 1-3"]
    assert plan.split(halves[0]) == ()


@given(st.sets(st.integers(0, 400), min_size=1, max_size=60), st.integers(0, 8))
def test_every_register_is_read_once_and_no_request_is_too_long(addresses: set[int], gap: int) -> None:
    blocks = plan.blocks([register(address) for address in addresses], gap=gap)

    assert sorted(point for block in blocks for point in block.points) == sorted(f"d.holding{a}" for a in addresses)
    for block in blocks:
        assert block.count <= 125
        inside = sorted(a for a in addresses if block.address <= a < block.address + block.count)
        assert all(right - left - 1 <= gap for left, right in pairwise(inside))


@pytest.mark.parametrize(
    ("previous", "period_s", "now", "expected"),
    [
        pytest.param(10.0, 1.0, 10.3, 11.0, id="in-time"),
        pytest.param(10.0, 1.0, 13.5, 14.0, id="missed-turns-are-skipped"),
        pytest.param(10.0, 1.0, 9.0, 11.0, id="clock-behind"),
        pytest.param(10.0, 0.25, 10.25, 10.5, id="exactly-then"),
    ],
)
def test_the_schedule_is_absolute(previous: float, period_s: float, now: float, expected: float) -> None:
    assert plan.next_due(previous, period_s, now) == expected


def test_the_plan_tells_requests_load_and_age() -> None:
    """Two requests of this device, 5 ms each, and one of another on the line that takes 300 ms."""
    mine = [plan.Asked("input 0-9", 0.2, 0.005), plan.Asked("holding 4", 1.0, 0.005)]
    device = plan.planned("pcc", mine, line_time_s=0.31)

    assert device.requests_per_s == pytest.approx(6.0)
    assert device.load == pytest.approx(0.03)
    assert device.worst_age_s == pytest.approx(1.31)
    assert device.requests == ("input 0-9 every 200 ms", "holding 4 every 1 s")


def test_the_worst_age_holds_what_the_other_devices_of_the_line_really_cost() -> None:
    """At 9600 Bd, a meter with one register waits for an inverter's 100; its age grows by those, not by its own."""
    endpoint = "rtu:///dev/ttyUSB0?baudrate=9600"
    meter, inverter = serial_device("meter", 1, endpoint, registers=1), serial_device("inv", 2, endpoint, registers=100)
    (driver,) = build([meter, inverter], revert_s=None)

    ages = {device.device: device.worst_age_s for device in driver.plan()}

    line = SerialLine("/dev/ttyUSB0", baudrate=9600)
    line_time_s = plan.request_time_s(line, 5, 4) + plan.request_time_s(line, 5, 202)
    assert ages == {"meter": pytest.approx(1 + line_time_s), "inv": pytest.approx(1 + line_time_s)}


def serial_device(name: str, unit: int, endpoint: str, registers: int) -> ModbusDevice:
    points = [{"name": f"r{n}", "register": f"holding:{n}", "type": "uint16"} for n in range(registers)]
    given = {"id": name, "driver": "modbus", "role": "meter", "endpoint": endpoint, "unit": unit, "points": points}
    return ModbusDevice.model_validate(given)


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param([f"modbus tcp://192.168.1.{n}:502" for n in range(1, 201)], id="neighbours-in-one-network"),
        pytest.param([f"modbus tcp://10.0.0.5:{n}" for n in range(2000, 2200)], id="ports-of-one-host"),
        pytest.param([f"modbus tcp://inv{n}.park.example:502" for n in range(200)], id="host-names"),
    ],
)
def test_200_endpoints_are_spread_over_their_period(lines: list[str]) -> None:
    """20 in each tenth on the mean; none is left out, and none holds more than 15 %."""
    counts = Counter(int(10 * plan.phases(line, 1)[0]) for line in lines)

    assert set(counts) == set(range(10))
    assert max(counts.values()) <= 30


def test_the_devices_of_a_line_are_evenly_apart() -> None:
    phases = sorted(plan.phases("modbus tcp://10.0.0.5:502", 4))

    assert all(0 <= phase < 1 for phase in phases)
    assert [after - before for before, after in pairwise(phases)] == pytest.approx([0.25] * 3)


def test_a_line_has_the_same_phase_after_a_restart() -> None:
    """Python's own hash of a text is another one in each process; this figure stands for all of them."""
    assert plan.phases("modbus tcp://10.0.0.5:502", 1) == pytest.approx([0.845926], abs=1e-6)


def test_a_request_on_a_serial_line_takes_its_bytes_and_the_devices_turn() -> None:
    """10 registers at 9600 Bd 8N1: 8 + 25 characters of 11 bits, two silences of 3.5, and 5 ms."""
    time_s = plan.request_time_s(SerialLine("/dev/ttyUSB0", baudrate=9600), 5, 22)

    assert time_s == pytest.approx((8 + 25 + 2 * 3.5) * 11 / 9600 + 0.005)


def test_a_request_over_a_network_takes_a_round_trip_however_long_it_is() -> None:
    network = Network("tcp", "10.0.0.1", 502)

    assert plan.request_time_s(network, 5, 252) == plan.request_time_s(network, 5, 4) == plan.ROUND_TRIP_S


def test_a_device_with_short_answers_is_asked_in_more_requests() -> None:
    found = plan.blocks([register(address) for address in range(120)], longest=50)

    assert [each.text for each in found] == ["holding 0-49", "holding 50-99", "holding 100-119"]


def test_a_device_with_short_answers_gives_as_many_bits_as_any() -> None:
    found = plan.blocks([register(address, "bool", "coil") for address in range(200)], longest=50)

    assert [each.text for each in found] == ["coil 0-199"]


def test_a_device_that_answers_for_one_point_is_asked_for_one_point() -> None:
    found = plan.blocks([register(0), register(1), register(2, "float32")], one_point=True)

    assert [each.text for each in found] == ["holding 0", "holding 1", "holding 2-3"]


def test_a_number_without_a_word_is_uncertain_and_its_neighbours_are_not() -> None:
    state = Register(point="d.state", space="holding", address=0, type="uint16", enumeration={1: "on"})
    (block,) = plan.blocks([state, register(1)])

    assert block.decode(bytes.fromhex("0001 0001")) == [Measurement("d.state", "on"), Measurement("d.holding1", 1)]
    assert block.decode(bytes.fromhex("0007 0001")) == [
        Measurement("d.state", 7, Quality.UNCERTAIN),
        Measurement("d.holding1", 1),
    ]


@given(
    st.floats(min_value=0, max_value=1e6),
    st.sampled_from([0.02, 0.2, 0.25, 1.0, 1.7, 60.0]),
    st.integers(min_value=0, max_value=100_000),
)
def test_what_was_due_is_not_due_again(anchor: float, period_s: float, turns: int) -> None:
    due = anchor + period_s * turns

    assert plan.next_due(anchor, period_s, due) > due + period_s / 2
