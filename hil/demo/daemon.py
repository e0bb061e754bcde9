"""The real gateway as a process of its own, with the site file that the demo writes for it."""

from __future__ import annotations

import asyncio
import ctypes
import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

STOP_TIMEOUT_S = 10.0  # it ends within 1 to 2 s; then it is killed, and the exit status says so
TAIL_LINES = 15

SITE_FILE = """\
site:
  id: {site}
  name: dergate demo
  rated_power: {rated_kw:g}kW
state_dir: state
{devices}
report:
  default: {{deadband: 0.1%, min_interval: 1s, max_interval: 5s}}
uplinks:
  - id: dso
    type: mqtt
    url: mqtt://127.0.0.1:{broker_port}
    topic_prefix: der/v1
    acknowledge: application
"""


_PR_SET_PDEATHSIG = 1  # <sys/prctl.h>


def _end_with_parent() -> None:
    """Runs in the child: should the demo be killed, the kernel ends the daemon, too."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class DaemonDied(Exception):
    """The daemon ended while it was needed; the text says how, and holds the end of its log."""


class Daemon:
    """
    A process that runs from entering to leaving, its output in a file.

    It has a process group of its own, so that a Ctrl-C at the terminal reaches us alone and we end it in order.
    """

    def __init__(self, command: Sequence[str], *, log: Path) -> None:
        self._command = command
        self._log = log
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Daemon:
        with self._log.open("wb") as output:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self._log.parent,
                start_new_session=True,
                preexec_fn=_end_with_parent,
            )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def watch(self) -> None:
        """
        Wait for ever, unless the process ends.

        Raises:
            DaemonDied: It did.
        """
        status = await self._running.wait()
        raise DaemonDied(f"the daemon ended with exit status {status}; the end of its log:\n{self.tail()}")

    async def stop(self) -> int:
        """End it with SIGTERM, or by force when it does not; returns its exit status (negative: ended by a signal)."""
        process = self._running
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                return await process.wait()
        except TimeoutError:
            with suppress(ProcessLookupError):
                process.kill()
            return await process.wait()

    def tail(self) -> str:
        """The last lines it wrote."""
        lines = self._log.read_text(errors="replace").splitlines()
        return "\n".join(f"  {line}" for line in lines[-TAIL_LINES:]) or "  (nothing)"

    @property
    def _running(self) -> asyncio.subprocess.Process:
        if self._process is None:
            raise RuntimeError("the daemon was not started")
        return self._process
