"""All benchmarks one after the other, a few minutes in all: `python -m benchmarks`."""

from __future__ import annotations

import asyncio

import click

from benchmarks import memory, modbus, order_to_write, start, tick
from benchmarks.rig.compiled import MissingError
from benchmarks.rig.table import machine


@click.command()
def main() -> None:
    """All benchmarks; each alone: python -m benchmarks.NAME."""
    print(machine(), end="\n\n")
    print(asyncio.run(order_to_write.measure(order_to_write.ORDERS)), flush=True)
    print(asyncio.run(memory.measure(memory.SECONDS)), flush=True)
    print(asyncio.run(start.measure(start.STARTS)), flush=True)
    print(tick.measure(tick.TICKS), flush=True)
    try:
        print(asyncio.run(modbus.measure(modbus.REQUESTS)), flush=True)
        print(asyncio.run(modbus.poll(modbus.SECONDS)), flush=True)
    except MissingError as error:
        print(f"modbus is left out: {error.message}", flush=True)


if __name__ == "__main__":
    main()
