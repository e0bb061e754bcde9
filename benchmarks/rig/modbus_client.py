"""
Clients that read holding registers back to back: `python -m benchmarks.rig.modbus_client WHO ARGUMENTS...`.

The arguments are those of modbus_client.c: PORT REGISTERS WARM REQUESTS. It prints a line
`SECONDS CPU_SECONDS WRONG` and a line of the nanoseconds that each request took.
"""

from __future__ import annotations

import struct
import sys
import time
from collections.abc import Awaitable, Callable

import uvloop

TIMEOUT_S = 5.0
HOST = "127.0.0.1"
Ask = Callable[[], Awaitable[bool]]
"""One request; whether its answer was right."""


async def link_raw(port: int, registers: int) -> Ask:
    """Our link alone: the checked bytes of each answer."""
    from drivers.modbus import pdu  # noqa: PLC0415 - pymodbus is measured without our modules, and the other way round
    from drivers.modbus.link import Link  # noqa: PLC0415 - as above

    link = await Link.connect(HOST, port)
    expected = struct.pack(f">{registers}H", *range(registers))

    async def ask() -> bool:
        return await link.request(pdu.read(1, "holding", 0, registers), TIMEOUT_S) == expected

    return ask


async def link_measurements(port: int, registers: int) -> Ask:
    """Our link and codec, as a unit uses them: each register a uint16 point, each answer a list of measurements."""
    from drivers.modbus import pdu, plan  # noqa: PLC0415 - as above
    from drivers.modbus.codec import Register  # noqa: PLC0415 - as above
    from drivers.modbus.link import Link  # noqa: PLC0415 - as above

    link = await Link.connect(HOST, port)
    (block,) = plan.blocks(
        [Register(point=f"d.p{n}", space="holding", address=n, type="uint16") for n in range(registers)]
    )

    async def ask() -> bool:
        data = await link.request(pdu.read(1, block.space, block.address, block.count), TIMEOUT_S)
        return block.decode(data)[-1].value == registers - 1

    return ask


async def pymodbus(port: int, registers: int) -> Ask:
    """pymodbus; it decodes to a list of numbers."""
    from pymodbus.client import AsyncModbusTcpClient  # noqa: PLC0415 - as above

    client = AsyncModbusTcpClient(HOST, port=port, timeout=TIMEOUT_S)
    await client.connect()

    async def ask() -> bool:
        answer = await client.read_holding_registers(0, count=registers, device_id=1)
        return not answer.isError() and answer.registers[-1] == registers - 1

    return ask


async def main(who: str, port: int, registers: int, warm: int, requests: int) -> None:
    ask = await {"link": link_raw, "measurements": link_measurements, "pymodbus": pymodbus}[who](port, registers)
    wrong = 0
    for _ in range(warm):
        wrong += not await ask()
    took = []
    cpu = time.process_time()
    began = last = time.monotonic_ns()
    for _ in range(requests):
        wrong += not await ask()
        now = time.monotonic_ns()
        took.append(now - last)
        last = now
    print((last - began) / 1e9, time.process_time() - cpu, wrong)
    print(*took)


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], *map(int, sys.argv[2:])))
