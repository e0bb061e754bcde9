"""Processes that live as long as a block, and a mosquitto among them."""

from __future__ import annotations

import asyncio
import getpass
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import click

STOP_S = 10.0
"""The daemon ends within 5 s; what has not ended by then is killed."""
START_S = 10.0


class RigError(click.ClickException):
    """Nothing was measured; the text says why, and click prints it without a traceback."""


@asynccontextmanager
async def running(*command: str, log: Path, stdin: bool = False) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process from entering to leaving, its stderr in a file, its stdout a pipe."""
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE if stdin else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=output,
        )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(STOP_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


def python(module: str, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", module, *arguments)


@asynccontextmanager
async def mosquitto(folder: Path) -> AsyncIterator[int]:
    """A mosquitto on the loopback; its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    config = folder / "mosquitto.conf"
    config.write_text(
        f"listener {port} 127.0.0.1\nuser {getpass.getuser()}\n"
        "allow_anonymous true\nset_tcp_nodelay true\npersistence false\n",
        encoding="utf-8",
    )
    log = folder / "mosquitto.log"
    async with AsyncExitStack() as stack:
        try:
            process = await stack.enter_async_context(running("mosquitto", "-c", str(config), log=log))
        except FileNotFoundError:
            raise RigError("mosquitto is not installed; run: apt-get install mosquitto") from None
        deadline = asyncio.get_running_loop().time() + START_S
        while not await _listens(port):
            if process.returncode is not None or asyncio.get_running_loop().time() > deadline:
                raise RigError("mosquitto did not start: " + log.read_text(encoding="utf-8"))
            await asyncio.sleep(0.01)
        yield port


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True
