"""A real mosquitto on a free loopback port, with its own clients, for tests of the uplink."""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

START_S = 10.0
"""A busy machine takes its time; a broker that is not there then will not come."""


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@dataclass(slots=True)
class Mosquitto:
    """
    One broker. `config` is added to its file, `users` (name to password) and `acl` make it ask who may do what,
    `tls` is a folder with `ca.pem`, `broker.pem` and `broker.key`, and then clients need a certificate, too.
    """

    folder: Path
    config: str = ""
    users: dict[str, str] = field(default_factory=dict)
    acl: str = ""
    tls: Path | None = None
    port: int = field(default_factory=free_port)
    _process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"{'mqtts' if self.tls else 'mqtt'}://127.0.0.1:{self.port}"

    def start(self) -> None:
        lines = [
            f"listener {self.port} 127.0.0.1",
            f"user {getpass.getuser()}",  # started by root it would become another user, who cannot write the folder
            "set_tcp_nodelay true",
            "persistence true",
            f"persistence_location {self.folder}/",
            "max_queued_messages 100000",
            f"allow_anonymous {'false' if self.users else 'true'}",
            self.config,
        ]
        if self.users:
            lines.append(f"password_file {self._passwords()}")
        if self.acl:
            acl = self.folder / "acl"
            acl.write_text(self.acl)
            acl.chmod(0o600)
            lines.append(f"acl_file {acl}")
        if self.tls:
            lines += [f"cafile {self.tls}/ca.pem", f"certfile {self.tls}/broker.pem", f"keyfile {self.tls}/broker.key"]
            lines.append("require_certificate true")
        file = self.folder / "mosquitto.conf"
        file.write_text("\n".join(lines) + "\n")
        with (self.folder / "mosquitto.log").open("ab") as log:
            self._process = subprocess.Popen(["mosquitto", "-c", str(file)], stdout=log, stderr=log)
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return
            if self._process.poll() is not None:
                break
            time.sleep(0.01)
        raise RuntimeError("mosquitto did not start: " + (self.folder / "mosquitto.log").read_text())

    def _passwords(self) -> Path:
        file = self.folder / "passwords"
        file.touch(0o600)
        for user, password in self.users.items():
            subprocess.run(["mosquitto_passwd", "-b", str(file), user, password], check=True, capture_output=True)
        return file

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End it, and wait for its end."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(10)
            self._process = None

    def kill(self) -> None:
        """End it as a power cut does: what it had in memory is lost."""
        self.stop(signal.SIGKILL)

    def freeze(self) -> None:
        """Its connections stay open, and it says nothing any more."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    async def client(self, program: str, *arguments: str, stdin: bytes | None = None) -> bytes:
        """Run mosquitto_pub, mosquitto_sub or mosquitto_rr to its end; what it printed."""
        process = await asyncio.create_subprocess_exec(
            program,
            *("-h", "127.0.0.1", "-p", str(self.port), "-V", "mqttv5"),
            *arguments,
            stdin=asyncio.subprocess.PIPE if stdin is not None else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(20):
                out, err = await process.communicate(stdin)
        except BaseException:
            process.kill()
            await process.wait()
            raise
        assert process.returncode == 0, err.decode()
        return out


@contextlib.contextmanager
def mosquitto(broker: Mosquitto) -> Iterator[Mosquitto]:
    """The broker, running for as long as the context lasts."""
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()
