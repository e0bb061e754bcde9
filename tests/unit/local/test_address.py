"""Where the local API may be: on the host itself, at a port of its own, and only loaded where it is wanted."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway import cli
from gateway.local.listen import CannotListen, listen

SITE = """\
site: {{id: park, rated_power: 100kW}}
devices:
  - {{id: inv1, driver: modbus, endpoint: "tcp://127.0.0.1:1502", profile: sunspec, role: pv}}
local: {{http: "{}"}}
"""


@pytest.mark.parametrize("address", ["127.0.0.1:8080", "127.8.9.1:1", "localhost:65535", "[::1]:8080"])
def test_an_address_of_the_host_alone_is_accepted(address: str, tmp_path: Path) -> None:
    file = tmp_path / "site.yaml"
    file.write_text(SITE.format(address))

    assert CliRunner().invoke(cli.main, ["check", str(file)]).exit_code == 0


@pytest.mark.parametrize("command", ["check", "run"])
@pytest.mark.parametrize(
    ("address", "fault"),
    [
        pytest.param("0.0.0.0:8080", "0.0.0.0 is off the loopback", id="all-addresses"),
        pytest.param("192.168.1.7:8080", "192.168.1.7 is off the loopback", id="the-lan"),
        pytest.param("[::]:8080", "[::] is off the loopback", id="all-of-ipv6"),
        pytest.param("gateway.local:8080", "gateway.local is off the loopback", id="a-name-that-may-lead-anywhere"),
        pytest.param("127.0.0.1:0", "should have a port between 1 and 65535, found 0", id="port-0"),
        pytest.param("127.0.0.1:65536", "should have a port between 1 and 65535, found 65536", id="port-too-high"),
        pytest.param("8080", "should be an address with its port", id="no-host"),
    ],
)
def test_any_other_is_a_fault_of_the_site_file(command: str, address: str, fault: str, tmp_path: Path) -> None:
    file = tmp_path / "site.yaml"
    file.write_text(SITE.format(address))
    result = CliRunner().invoke(cli.main, [command, str(file)])

    assert result.exit_code == 2
    assert f"{file}:4:15: local.http: {fault}" in result.stderr
    assert not (tmp_path / "state").exists()


def test_a_port_in_use_is_said_with_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(CannotListen, match=rf"cannot listen at {address}: address already in use; end what"):
            listen(address)


def test_no_library_of_the_api_is_loaded_by_the_daemon_itself() -> None:
    code = (
        "import sys, gateway.app\n"
        "print(*sorted({'starlette', 'uvicorn', 'h11', 'anyio', 'prometheus_client'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)

    assert done.stdout.strip() == ""
