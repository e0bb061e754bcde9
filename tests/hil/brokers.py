"""Brokers to test against: the one that comes with the package, and Debian's mosquitto as a foreign one."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hil.broker import EmbeddedBroker, accepts_mqtt5

MOSQUITTO = shutil.which("mosquitto") or "/usr/sbin/mosquitto"


@contextmanager
def mosquitto(*lines: str) -> Iterator[int]:
    """A mosquitto on a free loopback port with more lines of configuration; yields the port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "mosquitto.conf")
        config.write_text("\n".join([f"listener {port} 127.0.0.1", "set_tcp_nodelay true", "user root", *lines]))
        process = subprocess.Popen([MOSQUITTO, "-c", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            deadline = time.monotonic() + 5.0
            while not (ready := accepts_mqtt5(port)) and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.02)
            assert ready, f"mosquitto does not accept MQTT 5; exit status {process.poll()}"
            yield port
        finally:
            process.terminate()
            process.wait(5.0)


@contextmanager
def broker(kind: str) -> Iterator[int]:
    """Yield the port of an `embedded` broker or of a `mosquitto`."""
    if kind == "mosquitto":
        with mosquitto("allow_anonymous true") as port:
            yield port
    else:
        with EmbeddedBroker() as embedded:
            yield embedded.port
