"""`dergate demo`: simulated devices, a broker, the real gateway and a DSO that curtails and releases it."""

from __future__ import annotations

import asyncio
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from rich.console import Console
from rich.live import Live

from hil.broker import BrokerError, EmbeddedBroker
from hil.demo.daemon import SITE_FILE, Daemon, DaemonDied
from hil.demo.screen import SYMBOLS, View, render
from hil.demo.script import Script, Step
from hil.demo.verdict import DemoVerdict, judge, report
from hil.dso import Book, Dso, DsoError
from hil.dso.commands import message_lines
from hil.dso.messages import Ack, LinkStatus, Message
from hil.faults import TcpProxy
from hil.site import SimulatedSite, site_yaml

SITE = "demo"
RATED_W = 60_000.0
ONLINE_S = 30.0  # from starting the daemon to its birth: imports on a Raspberry Pi and the first SunSpec discovery
REDRAW_S = 0.25


def run(seconds: float | None = None) -> int:
    """
    Play the demo in the terminal: a live table, or plain lines where the output is not a terminal.

    Args:
        seconds: After the script, go on with a slow cycle of limits until this long has passed since the start.

    Returns:
        The exit status: 0 when every order was obeyed, every acknowledgement was legal and no frame was lost; 1
        otherwise; 130 after Ctrl-C, 143 after SIGTERM. Whatever it was, nothing is left running.
    """
    console = Console()
    try:
        with EmbeddedBroker() as broker, tempfile.TemporaryDirectory(prefix="dergate-demo-") as folder:
            return asyncio.run(_until_signal(_Demo(console, broker.port, Path(folder), seconds)))
    except BrokerError as error:
        console.print(f"error: {error}", style="red", markup=False)
        return 1
    except KeyboardInterrupt:  # before the event loop listens for it
        return 128 + signal.SIGINT


async def _until_signal(demo: _Demo) -> int:
    """Run to the end; SIGINT or SIGTERM cancels once, and the clean-up is not disturbed by a second one."""
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(demo.run())
    came: list[int] = []

    def stop(number: int) -> None:
        if not came:
            came.append(number)
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop, number)
    try:
        return await task
    except asyncio.CancelledError:
        return 128 + came[0] if came else 1


class _Demo:
    def __init__(self, console: Console, broker_port: int, folder: Path, seconds: float | None) -> None:
        self._console, self._broker_port, self._folder, self._seconds = console, broker_port, folder, seconds
        self._started_s = time.monotonic()
        self._script: Script | None = None

    async def run(self) -> int:
        verdict: DemoVerdict | None = None
        try:
            verdict = await self._play()
        except* (DaemonDied, DsoError) as group:
            for error in group.exceptions:
                self._console.print(f"error: {error}", style="red", markup=False, soft_wrap=True)
        if verdict is None:
            return 1
        self._console.print(report(verdict))
        return 0 if verdict.ok else 1

    async def _play(self) -> DemoVerdict:
        async with (
            SimulatedSite() as site,
            TcpProxy("127.0.0.1", self._broker_port) as path,
            Dso(f"mqtt://127.0.0.1:{self._broker_port}", SITE, on_message=self._hear) as dso,
        ):
            script = self._script = Script(dso, path, site.truth, rated_w=RATED_W, on_step=self._tell_step)
            await dso.ready()
            self._tell("the broker, the simulated devices and the DSO are up; starting the gateway")
            async with self._daemon(site, path) as daemon:
                await self._conduct(dso, script, daemon)
                status = await daemon.stop()
            with suppress(DsoError):  # what it said last is still on its way, and to be acknowledged
                await dso.until(
                    "status offline, and all frames acknowledged",
                    lambda book: not book.online and dso.frames_acknowledged == book.frames.count().distinct,
                    timeout_s=2.0,
                )
            faults = [*script.faults]
            if status:
                faults.append(f"the daemon ended with exit status {status}; the end of its log:\n{daemon.tail()}")
            return judge(
                dso.book.verdict(), script.promises, acknowledged=dso.frames_acknowledged, script_faults=faults
            )

    async def _conduct(self, dso: Dso, script: Script, daemon: Daemon) -> None:
        """Play the script while the truth is observed, the screen drawn, and the daemon's life watched."""
        async with asyncio.TaskGroup() as tasks:
            aside = [
                tasks.create_task(daemon.watch(), name="demo daemon"),
                tasks.create_task(script.observe(), name="demo truth"),
                tasks.create_task(self._show(dso, script), name="demo screen"),
            ]
            await dso.until("the gateway online, with its birth", _is_born, timeout_s=ONLINE_S)
            await script.play()
            if self._seconds is not None:
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._seconds - (time.monotonic() - self._started_s)):
                        await script.cycle()
            await script.finish()
            for task in aside:
                task.cancel()

    @asynccontextmanager
    async def _daemon(self, site: SimulatedSite, path: TcpProxy) -> AsyncIterator[Daemon]:
        site_file = self._folder / "site.yaml"
        text = SITE_FILE.format(
            site=SITE,
            rated_kw=RATED_W / 1e3,
            devices=site_yaml(site.ports),
            broker_port=path.port,
        )
        site_file.write_text(text)
        command = [sys.executable, "-P", "-m", "gateway.cli", "run", str(site_file)]
        async with Daemon(command, log=self._folder / "daemon.log") as daemon:
            yield daemon

    # ---- what is shown ----------------------------------------------------------------------------------------------

    async def _show(self, dso: Dso, script: Script) -> None:
        if not self._console.is_terminal:
            return
        with Live(console=self._console, auto_refresh=False) as live:
            try:
                while True:
                    live.update(render(self._view(dso, script)), refresh=True)
                    await asyncio.sleep(REDRAW_S)
            finally:
                live.update(render(self._view(dso, script)), refresh=True)

    def _view(self, dso: Dso, script: Script) -> View:
        return View(
            book=dso.book,
            steps=script.steps,
            elapsed_s=time.monotonic() - self._started_s,
            rated_w=RATED_W,
            acknowledged=dso.frames_acknowledged,
            path_cut=script.path_cut,
            backlog=script.backlog,
        )

    def _hear(self, name: str, message: Message) -> None:
        if self._script is not None:
            self._script.hear(name, message)
        if isinstance(message, LinkStatus) or (name == "acks" and isinstance(message, Ack)):
            for line in message_lines(name, message):
                self._tell(line)

    def _tell_step(self, step: Step) -> None:
        self._tell(f"{SYMBOLS[step.state]} {step.title}{f': {step.note}' if step.note else ''}")

    def _tell(self, line: str) -> None:
        if not self._console.is_terminal:
            elapsed_s = time.monotonic() - self._started_s
            self._console.print(f"{elapsed_s:6.2f}  {line}", markup=False, highlight=False, soft_wrap=True)


def _is_born(book: Book) -> bool:
    return book.online and book.birth is not None
