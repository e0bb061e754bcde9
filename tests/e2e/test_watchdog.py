"""What systemd hears: ready when all parts run, alive with completed ticks, stopping at the end."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from pathlib import Path

import pytest

from tests.e2e.gateway import bench


async def test_systemd_hears_ready_then_every_tick_then_stopping(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        address = tmp_path / "notify"
        notify.bind(str(address))
        notify.setblocking(False)

        async def heard() -> str:
            async with asyncio.timeout(20):
                return (await asyncio.get_running_loop().sock_recv(notify, 4096)).decode()

        async with bench(tmp_path, start=False) as one:
            monkeypatch.setitem(os.environ, "NOTIFY_SOCKET", str(address))
            await one.daemon.start()
            assert await heard() == "READY=1"
            assert {await heard() for _ in range(5)} == {"WATCHDOG=1"}
            await one.online()
            os.kill(one.daemon.pid, signal.SIGSTOP)  # it hangs: systemd must not hear that it lives
            while True:
                try:
                    notify.recv(4096)
                except BlockingIOError:
                    break
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1):
                    await asyncio.get_running_loop().sock_recv(notify, 4096)
            os.kill(one.daemon.pid, signal.SIGCONT)
            assert await heard() == "WATCHDOG=1"
            stopping = asyncio.create_task(one.daemon.end())
            while await heard() != "STOPPING=1":
                pass
            assert await stopping == 0
