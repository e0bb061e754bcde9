"""An MQTT 5 broker that comes with the package (iotcore, rumqttd in a wheel): for the demo and tests, nothing else."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType

START_TIMEOUT_S = 10.0  # it takes 0.3 s; a loaded Raspberry Pi is slower
STOP_TIMEOUT_S = 3.0  # then it is killed: it keeps nothing on disk that could be lost
START_TRIES = 3  # between choosing a free port and listening on it, another program may take it
PROBE_PERIOD_S = 0.03
MAX_PAYLOAD_BYTES = 1_048_576  # a backlog batch is far smaller; iotcore's own default of 20 kB is not enough

CONFIG = """\
id = 0

[router]
id = 0
max_connections = 100
max_outgoing_packet_count = 200
max_segment_size = 10485760
max_segment_count = 10

[v5.1]
name = "v5-1"
listen = "127.0.0.1:{port}"
next_connection_delay_ms = 1

[v5.1.connections]
connection_timeout_ms = 60000
max_payload_size = {payload}
max_inflight_count = 100
dynamic_filters = true
"""

# CONNECT: protocol MQTT, version 5, clean start, keep-alive 5 s, no properties, client id "probe"
_CONNECT = b"\x10\x12\x00\x04MQTT\x05\x02\x00\x05\x00\x00\x05probe"
_DISCONNECT = b"\xe0\x00"


class BrokerError(Exception):
    """The embedded broker did not come up; the text says what it wrote."""


class EmbeddedBroker:
    """
    A broker on a free loopback port, as a context manager: it accepts MQTT 5 when entered, and is gone when left.

    It runs as a process of its own, in its own process group (a Ctrl-C of the terminal does not end it before those
    who still talk to it), and ends by itself should this process die. Sessions and retained messages live in memory.
    """

    def __init__(self) -> None:
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    def __enter__(self) -> EmbeddedBroker:
        """
        Start, and return when it accepts MQTT 5 (blocks for about 0.3 s).

        Raises:
            BrokerError: It did not come up.
        """
        self._folder = tempfile.TemporaryDirectory(prefix="dergate-broker-")
        said = ""
        for _ in range(START_TRIES):
            log = Path(self._folder.name, "broker.log")
            self._start(log)
            if self._await_mqtt5():
                return self
            self._stop_process()
            said = log.read_text(errors="replace")[-2000:]
        self._folder.cleanup()
        raise BrokerError(
            f"the embedded broker does not accept MQTT 5 on 127.0.0.1:{self.port}; it said: {said or '-'}"
        )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop_process()
        if self._folder is not None:
            self._folder.cleanup()

    def _start(self, log: Path) -> None:
        self.port = _free_port()
        config = log.with_name("broker.toml")
        config.write_text(CONFIG.format(port=self.port, payload=MAX_PAYLOAD_BYTES))
        with log.open("wb") as output:
            # Not iotcore.Broker: it leaves its child in our process group, and its start waits for TCP alone.
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and arguments
                [sys.executable, "-P", "-m", "iotcore._serve", json.dumps({"config_path": str(config)})],
                stdin=subprocess.PIPE,  # it exits when this pipe closes, so also with us
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def _await_mqtt5(self) -> bool:
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            if self._process is None or self._process.poll() is not None:
                return False
            if accepts_mqtt5(self.port):
                return True
            time.sleep(PROBE_PERIOD_S)
        return False

    def _stop_process(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdin is not None:
            process.stdin.close()


def accepts_mqtt5(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a CONNECT of MQTT 5 is answered with success; an open TCP port alone says little."""
    try:
        with socket.create_connection((host, port), timeout=0.5) as connection:
            connection.sendall(_CONNECT)
            answer = connection.recv(64)
            connection.sendall(_DISCONNECT)
    except OSError:
        return False
    return len(answer) >= 4 and answer[0] == 0x20 and answer[3] == 0  # CONNACK, reason: success


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
