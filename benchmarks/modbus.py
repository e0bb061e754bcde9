"""
How fast Modbus TCP is read: one connection back to back, and many devices each second, beside libmodbus in C.

    client (Link | Link and codec | pymodbus | libmodbus) ══ one connection ══► server in C        in turn, ROUNDS times
    poller (drivers.build | libmodbus), on one core       ══ 200 connections ═► server in C
"""

from __future__ import annotations

import asyncio
import os
import socket
import statistics
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import click

from benchmarks.rig.compiled import compiled
from benchmarks.rig.process import RigError, python, running
from benchmarks.rig.table import Result, Row, quantile

REQUESTS = 20_000
ROUNDS = 3
REGISTERS = (1, 10, 100)
AIM_RATE = 0.7
"""Of the C client's rate."""
WARM_UP = 200
"""Requests that are not counted."""

SECONDS = 30
DEVICES, DEAD, POINTS = 200, 20, 20
PERIOD_MS = 1000
AIM_CORE_PERCENT = 15.0
AIM_PERIOD_MS = PERIOD_MS / 100
EXTRA_S = 60.0
"""A client that has not ended by so much after it should have is a failed one."""

_CLIENTS = {"link": "link, bytes", "measurements": "link, measurements", "pymodbus": "pymodbus"}


@dataclass(frozen=True, slots=True)
class Run:
    """One client's requests: seconds of the wall and of the processor, wrong answers, nanoseconds of each."""

    wall_s: float
    cpu_s: float
    wrong: int
    took_ns: tuple[int, ...]

    @property
    def rate(self) -> float:
        return len(self.took_ns) / self.wall_s

    @property
    def p50_us(self) -> float:
        return quantile(self.took_ns, 0.5) / 1e3

    @property
    def cpu_us(self) -> float:
        return self.cpu_s / len(self.took_ns) * 1e6


@dataclass(frozen=True, slots=True)
class Polled:
    """Some seconds of polling: those of the wall and of the processor, and for each device when each turn was done."""

    wall_s: float
    cpu_s: float
    stamps: tuple[tuple[float, ...], ...]

    @property
    def core_percent(self) -> float:
        return 100 * self.cpu_s / self.wall_s

    @property
    def missed(self) -> int:
        """Turns that the schedule asked for between the first and the last, and that did not come."""
        return sum(round((each[-1] - each[0]) * 1e3 / PERIOD_MS) - (len(each) - 1) for each in self.stamps)

    @property
    def period_off_ms(self) -> float:
        """By how much the mean period of the worst device is off."""
        return max(abs((each[-1] - each[0]) * 1e3 / (len(each) - 1) - PERIOD_MS) for each in self.stamps)

    @property
    def drift_ms(self) -> float:
        """How far the schedule of the worst device has moved: its last third of turns against its first, medians."""
        return max(map(_drift_ms, self.stamps))

    @property
    def late_ms(self) -> list[float]:
        """How much later than at the earliest in its period each turn of each device was done."""
        return [late for each in self.stamps for late in _late_ms(each)]


def _late_ms(stamps: Sequence[float]) -> list[float]:
    phases = [(stamp - stamps[0]) * 1e3 - turn * PERIOD_MS for turn, stamp in enumerate(stamps)]
    return [phase - min(phases) for phase in phases]


def _drift_ms(stamps: Sequence[float]) -> float:
    late, third = _late_ms(stamps), -(-len(stamps) // 3)
    return abs(statistics.median(late[-third:]) - statistics.median(late[:third]))


async def measure(requests: int) -> Result:
    """All clients in turn, so that all see the same machine."""
    runs: dict[tuple[str, int], list[Run]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        reference = await compiled("modbus_client", folder, "libmodbus")
        async with _server(folder, 1, _cores()[0]) as ports:
            commands = {who: python("benchmarks.rig.modbus_client", who) for who in _CLIENTS}
            for _ in range(ROUNDS):
                for registers in REGISTERS:
                    for who, command in {**commands, "C": (str(reference),)}.items():
                        arguments = map(str, (*ports, registers, WARM_UP, requests))
                        lines = await _lines(folder, *command, *arguments)
                        runs.setdefault((who, registers), []).append(_run(lines))
    total = [run for each in runs.values() for run in each]
    return Result(
        title="modbus: reads back to back over one connection",
        reference="modbus_read_registers of libmodbus in C, in a loop",
        rows=tuple(
            row
            for registers in REGISTERS
            for who, words in _CLIENTS.items()
            for row in _rows(f"{words}, {registers} reg", runs[who, registers], runs["C", registers], who == "link")
        ),
        notes=(
            f"median of {ROUNDS} rounds of {requests} requests each, clients in turn, Python under uvloop",
            "server (C, epoll) and client share one core: across two, a virtual machine measures how fast it wakes",
            "bytes: checked answers; measurements: each register a point; pymodbus and the reference: lists of numbers",
        ),
        sent=sum(len(run.took_ns) + WARM_UP for run in total),
        lost=sum(run.wrong for run in total),
    )


def _rows(name: str, ours: Sequence[Run], theirs: Sequence[Run], aim: bool) -> tuple[Row, ...]:
    def median(what: str, runs: Sequence[Run]) -> float:
        return statistics.median(float(getattr(run, what)) for run in runs)

    rate = median("rate", theirs) / 1e3
    return (
        Row(
            f"{name}: rate",
            median("rate", ours) / 1e3,
            "k/s",
            rate,
            AIM_RATE * rate if aim else None,
            more=True,
        ),
        Row(f"{name}: best rate", max(run.rate for run in ours) / 1e3, "k/s", max(run.rate for run in theirs) / 1e3),
        Row(f"{name}: p50", median("p50_us", ours), "us", median("p50_us", theirs)),
        Row(f"{name}: CPU", median("cpu_us", ours), "us", median("cpu_us", theirs)),
    )


async def poll(seconds: int) -> Result:
    """The reference, then all devices alive, then some of them dead."""
    live = DEVICES - DEAD
    turns = seconds * 1000 // PERIOD_MS + 1
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        reference = await compiled("modbus_poller", folder, "libmodbus")
        ours = (*python("benchmarks.rig.modbus_poller"), POINTS, turns, PERIOD_MS)
        async with _server(folder, DEVICES, _cores()[-1]) as ports:
            in_c = _polled(await _lines(folder, str(reference), POINTS, turns, PERIOD_MS, *ports, wait_s=seconds))
            alive = _polled(await _lines(folder, *ours, DEVICES, *ports, wait_s=seconds))
            with _dead(DEAD) as dead:
                some = _polled(await _lines(folder, *ours, live, *ports[:live], *dead, wait_s=seconds))
    pairs = ((f"{DEVICES} alive", alive, in_c), (f"{live} alive, {DEAD} dead", some, alive))
    return Result(
        title=f"modbus: {DEVICES} devices x {POINTS} points each {PERIOD_MS / 1e3:g} s for {seconds} s, on one core",
        reference=f"libmodbus in C, one connection after the other; with {DEAD} dead: the drivers with all alive",
        rows=tuple(row for name, ours, theirs in pairs for row in _poll_rows(name, ours, theirs)),
        notes=(
            f"real drivers, one connection each; {DEAD // 2} of the dead refuse it, the others accept and stay silent",
            "periods are those of the live devices, after their first turn; the server has another core",
            "late: behind the earliest moment in its period at which a device had all its values",
        ),
        sent=sum(len(each) for run in (in_c, alive, some) for each in run.stamps),
        lost=in_c.missed + alive.missed + some.missed,
    )


def _poll_rows(name: str, ours: Polled, theirs: Polled) -> Iterator[Row]:
    late, other = ours.late_ms, theirs.late_ms
    yield Row(f"{name}: of a core", ours.core_percent, "%", theirs.core_percent, AIM_CORE_PERCENT)
    yield Row(f"{name}: mean period off, worst", ours.period_off_ms, "ms", theirs.period_off_ms, AIM_PERIOD_MS)
    yield Row(f"{name}: drift, worst", ours.drift_ms, "ms", theirs.drift_ms)
    yield Row(f"{name}: late p99", quantile(late, 0.99), "ms", quantile(other, 0.99))
    yield Row(f"{name}: late max", max(late), "ms", max(other))


@asynccontextmanager
async def _server(folder: Path, ports: int, core: int) -> AsyncIterator[tuple[str, ...]]:
    program = await compiled("modbus_server", folder)
    async with running(*_pinned(core), str(program), str(ports), log=folder / "server.log") as process:
        if process.stdout is None:
            raise RigError("the Modbus server has no pipe")
        word, *found = (await process.stdout.readline()).decode().split() or [""]
        if word != "ready":
            raise RigError("the Modbus server did not start: " + (folder / "server.log").read_text(encoding="utf-8"))
        yield tuple(found)


@contextmanager
def _dead(count: int) -> Iterator[list[int]]:
    """Ports behind which nobody answers: one half refuses connections, the other accepts them and says nothing."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for number, each in enumerate(sockets):
            each.bind(("127.0.0.1", 0))
            if number >= count // 2:
                each.listen()
        yield [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


async def _lines(folder: Path, *command: object, wait_s: float = 0.0) -> list[list[str]]:
    """The words of each line that a client printed, pinned to the first core; it may take `wait_s` and some more."""
    log = folder / "client.log"
    async with running(*_pinned(_cores()[0]), *map(str, command), log=log) as process:
        try:
            async with asyncio.timeout(wait_s + EXTRA_S):
                out, _ = await process.communicate()
        except TimeoutError:
            raise RigError(f"{command[0]} did not end: " + log.read_text(encoding="utf-8")) from None
    if process.returncode:
        raise RigError(f"{command[0]} failed: " + log.read_text(encoding="utf-8"))
    return [line.split() for line in out.decode().splitlines()]


def _cores() -> list[int]:
    return sorted(os.sched_getaffinity(0))


def _pinned(core: int) -> tuple[str, ...]:
    """Before a command: it starts on this core, so that none ends before it was moved there."""
    return ("taskset", "-c", str(core))


def _run(lines: Sequence[Sequence[str]]) -> Run:
    (wall_s, cpu_s, wrong), took_ns = lines
    return Run(float(wall_s), float(cpu_s), int(wrong), tuple(map(int, took_ns)))


def _polled(lines: Sequence[Sequence[str]]) -> Polled:
    (wall_s, cpu_s), *devices = lines
    return Polled(float(wall_s), float(cpu_s), tuple(tuple(map(float, stamps)) for stamps in devices))


@click.command()
@click.option("--requests", default=REQUESTS, show_default=True, help="Of each client, in each round.")
@click.option("--seconds", default=SECONDS, show_default=True, help="Of each way of polling many devices.")
def main(requests: int, seconds: int) -> None:
    """Reads of one connection, and of 200 devices each second, beside libmodbus in C."""
    print(asyncio.run(measure(requests)), flush=True)
    print(asyncio.run(poll(seconds)))


if __name__ == "__main__":
    main()
