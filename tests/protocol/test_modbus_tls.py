"""Modbus/TCP Security: the right peer works, and every other one is refused with a reason."""

from __future__ import annotations

import asyncio
import socket
import ssl
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from drivers.base import ConnectionLost, Driver
from gateway.model import SetPoint
from hil.faces.modbus import MemoryRegisters, ModbusFace, Registers
from hil.faces.tls import ModbusTlsFace, server_context
from tests.contract.pki import Pki
from tests.contract.pki import pki as made_pki
from tests.contract.watch import running
from tests.protocol import modbus_peers as peers

POINT = {"name": "p", "register": "holding:7", "type": "uint16", "access": "read-write"}


@pytest.fixture(scope="session")
def pki() -> Pki:
    return made_pki()


def _context(pki: Pki, certificate: str, version: ssl.TLSVersion) -> ssl.SSLContext:
    """Of a server that takes this version of TLS only, and certificates of our authority only."""
    context = server_context(**{key: Path(file) for key, file in pki.files(certificate).items()})
    with warnings.catch_warnings(action="ignore"):  # versions that nobody should use are what is tested
        context.minimum_version = context.maximum_version = version
    return context


def secured(
    pki: Pki,
    registers: Registers,
    *,
    certificate: str = "device",
    version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
) -> ModbusTlsFace:
    """Whoever connects must show a certificate of our authority."""
    return ModbusTlsFace({1: registers}, _context(pki, certificate, version))


def driver(port: int, files: dict[str, str], host: str = "127.0.0.1") -> Driver:
    return peers.driver(port, POINT, endpoint=f"tls://{host}:{port}", tls=files)


async def loss(built: Driver) -> str:
    """Why a run ended."""
    async with asyncio.timeout(10):
        with pytest.raises(ConnectionLost) as caught:
            await built.run(lambda _: None)
    return str(caught.value)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
async def test_the_right_peer_is_read_and_written(pki: Pki, version: ssl.TLSVersion) -> None:
    registers = MemoryRegisters(holding={7: 1007})
    async with secured(pki, registers, version=version) as face:
        built = driver(face.port, pki.files())
        async with running(built) as watch:
            await watch.until(lambda: watch.value("d.p") == 1007)

            assert await built.write(SetPoint("d.p", 5, expires=float("inf"), cause="test")) == 5
            assert registers.holding[7] == 5


async def test_a_lost_connection_ends_the_run(pki: Pki) -> None:
    registers = MemoryRegisters(holding={7: 7})
    async with secured(pki, registers) as face, running(driver(face.port, pki.files())) as watch:
        await watch.until(lambda: watch.value("d.p") == 7)
        await face.stop()

        assert f"tls://127.0.0.1:{face.port}" in await watch.lost()


@pytest.mark.parametrize(
    ("device", "files", "host", "text"),
    [
        pytest.param(
            "stranger", {}, "127.0.0.1", "the device's certificate is not accepted: .*issuer", id="device-of-another-ca"
        ),
        pytest.param(
            "device", {"ca": "foreign"}, "127.0.0.1", "the device's certificate is not accepted", id="our-ca-is-wrong"
        ),
        pytest.param(
            "device", {}, "localhost", "not accepted: Hostname mismatch.*'localhost'", id="another-host-than-certified"
        ),
    ],
)
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
async def test_a_wrong_peer_is_refused_with_a_reason(
    pki: Pki, device: str, files: dict[str, Any], host: str, text: str, version: ssl.TLSVersion
) -> None:
    async with secured(pki, MemoryRegisters(holding={7: 7}), certificate=device, version=version) as face:
        lost = await loss(driver(face.port, pki.files(**files), host))

    assert lost.startswith(f"tls://{host}:{face.port}: ")
    with pytest.raises(ConnectionLost, match=text):
        raise ConnectionLost(lost)


async def test_a_peer_without_a_certificate_of_ours_is_never_answered(pki: Pki) -> None:
    """The rig itself refuses a client that shows none, so that the tests above prove that ours was shown."""
    context = ssl.create_default_context(cafile=pki.files()["ca"])
    async with secured(pki, MemoryRegisters(holding={7: 7})) as face:
        with suppress(ssl.SSLError, ConnectionError):
            reader, writer = await asyncio.open_connection("127.0.0.1", face.port, ssl=context)
            writer.write(bytes.fromhex("00 01 00 00 00 06 01 03 00 07 00 01"))
            try:
                assert await reader.read() == b""
            finally:
                writer.transport.abort()


@pytest.mark.parametrize(
    ("certificate", "version", "text"),
    [
        pytest.param("stranger", ssl.TLSVersion.TLSv1_2, "the device refused our certificate .*unknown ca", id="1.2"),
        pytest.param("stranger", ssl.TLSVersion.TLSv1_3, "the device refused our certificate .*unknown ca", id="1.3"),
        pytest.param("gateway", ssl.TLSVersion.TLSv1_1, "or our TLS: .*alert", id="older-than-1.2"),
    ],
)
async def test_a_device_that_refuses_us_is_understood(
    pki: Pki, certificate: str, version: ssl.TLSVersion, text: str
) -> None:
    """A server on a thread, because asyncio's own servers close without the alert that says why."""
    context = _context(pki, "device", version)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def refuse() -> None:
            client, _ = server.accept()
            client.settimeout(5)
            with context.wrap_socket(client, server_side=True, do_handshake_on_connect=False) as secure:
                with suppress(OSError):
                    secure.do_handshake()
                # To close with a request unread is a reset, which can overtake the alert.
                with suppress(OSError):
                    while socket.socket.recv(secure, 4096):
                        pass

        refusing = asyncio.create_task(asyncio.to_thread(refuse))
        lost = await loss(driver(server.getsockname()[1], pki.files(certificate)))
        await refusing

    with pytest.raises(ConnectionLost, match=text):
        raise ConnectionLost(lost)


async def test_plain_modbus_behind_a_tls_endpoint_is_told(pki: Pki) -> None:
    async with ModbusFace({1: MemoryRegisters()}) as face:
        assert f"tls://127.0.0.1:{face.port}: " in await loss(driver(face.port, pki.files()))


@pytest.mark.parametrize(
    ("key", "text"),
    [
        pytest.param("ca", "tls.ca .* cannot be used: no such file", id="no-ca"),
        pytest.param("key", "tls.certificate .* with tls.key .* cannot be used: no such file", id="no-key"),
    ],
)
async def test_a_file_that_cannot_be_used_is_named(pki: Pki, tmp_path: Path, key: str, text: str) -> None:
    lost = await loss(driver(1, pki.files() | {key: str(tmp_path / "missing.pem")}))

    with pytest.raises(ConnectionLost, match=text):
        raise ConnectionLost(lost)


async def test_a_key_of_another_certificate_is_named(pki: Pki) -> None:
    files = pki.files() | {"key": str(pki.folder / "stranger.key")}

    assert "cannot be used: TLS: key values mismatch" in await loss(driver(1, files))
