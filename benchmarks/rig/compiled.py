"""Programs in C, built for one run."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

from benchmarks.rig.process import RigError


class MissingError(RigError):
    """This machine has not what a benchmark needs; the text says what, and how to get it."""


async def compiled(name: str, folder: Path, *packages: str) -> Path:
    """
    The program of `name`.c beside this file; `packages` as pkg-config knows them.

    Raises:
        MissingError: There is no compiler, or no such package.
    """
    flags = (await _output("pkg-config", "--cflags", "--libs", *packages)).split() if packages else []
    program = folder / name
    source = Path(__file__).with_name(f"{name}.c")
    await _output("gcc", "-O2", "-Wall", "-Wextra", "-o", str(program), str(source), *flags)
    return program


async def _output(command: str, *arguments: str) -> str:
    if shutil.which(command) is None:
        raise MissingError(f"{command} is not installed; run: apt-get install gcc pkg-config libmodbus-dev")
    process = await asyncio.create_subprocess_exec(
        command, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, errors = await process.communicate()
    if process.returncode:
        error = MissingError if command == "pkg-config" else RigError
        raise error(f"{command} failed: {errors.decode().strip()}")
    return out.decode()
