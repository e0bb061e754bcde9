"""Modbus/TCP Security: the right peer works, and every other one is refused with a reason."""

from __future__ import annotations

import asyncio
import socket
import ssl
import subprocess
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from drivers.base import ConnectionLost, Driver
from gateway.model import SetPoint
from hil.faces.modbus import MemoryRegisters, ModbusFace
from tests.contract.watch import running
from tests.protocol import modbus_peers as peers

POINT = {"name": "p", "register": "holding:7", "type": "uint16", "access": "read-write"}


class Pki:
    """Authorities and certificates in one folder, by the openssl command."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for authority in ("ours", "foreign"):
            self._openssl(authority, f"/CN={authority}", "-addext", "keyUsage=critical,keyCertSign")
        for name, signer in (("device", "ours"), ("gateway", "ours"), ("stranger", "foreign")):
            signed = ("-CA", f"{signer}.pem", "-CAkey", f"{signer}.key")
            end = ("-addext", "basicConstraints=critical,CA:FALSE", "-addext", "subjectAltName=IP:127.0.0.1")
            self._openssl(name, f"/CN={name}", *signed, *end)

    def files(self, certificate: str = "gateway", ca: str = "ours") -> dict[str, str]:
        """What a device has under `tls`."""
        names = {"ca": f"{ca}.pem", "certificate": f"{certificate}.pem", "key": f"{certificate}.key"}
        return {key: str(self.folder / name) for key, name in names.items()}

    def _openssl(self, name: str, subject: str, *arguments: str) -> None:
        key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key")
        command = ("openssl", "req", "-x509", "-days", "2", "-subj", subject, "-out", f"{name}.pem", *key, *arguments)
        subprocess.run(command, cwd=self.folder, check=True, capture_output=True)


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


def _server_context(pki: Pki, certificate: str, version: ssl.TLSVersion) -> ssl.SSLContext:
    """Of a server that takes this version of TLS only, and certificates of our authority only."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pki.folder / f"{certificate}.pem", pki.folder / f"{certificate}.key")
    context.load_verify_locations(pki.folder / "ours.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    with warnings.catch_warnings(action="ignore"):  # versions that nobody should use are what is tested
        context.minimum_version = context.maximum_version = version
    return context


@asynccontextmanager
async def secured(
    face: ModbusFace, pki: Pki, *, certificate: str = "device", version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3
) -> AsyncIterator[int]:
    """The port of TLS in front of a face; whoever connects must show a certificate of our authority."""
    context = _server_context(pki, certificate, version)
    clients: set[asyncio.Task[None]] = set()

    async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(4096):
                sink.write(data)
        finally:
            sink.transport.abort()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        clients.add(asyncio.current_task())  # type: ignore[arg-type]  # start_server runs it in a task
        try:
            with suppress(OSError, asyncio.CancelledError):
                inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", face.port)
                await asyncio.gather(pump(reader, inner_writer), pump(inner_reader, writer))
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for client in clients:
            client.cancel()
        await asyncio.gather(*clients, return_exceptions=True)
        await server.wait_closed()


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
    async with ModbusFace({1: registers}) as face, secured(face, pki, version=version) as port:
        built = driver(port, pki.files())
        async with running(built) as watch:
            await watch.until(lambda: watch.value("d.p") == 1007)

            assert await built.write(SetPoint("d.p", 5, expires=float("inf"), cause="test")) == 5
            assert registers.holding[7] == 5


async def test_a_lost_connection_ends_the_run(pki: Pki) -> None:
    registers = MemoryRegisters(holding={7: 7})
    async with (
        ModbusFace({1: registers}) as face,
        secured(face, pki) as port,
        running(driver(port, pki.files())) as watch,
    ):
        await watch.until(lambda: watch.value("d.p") == 7)
        await face.stop()

        assert f"tls://127.0.0.1:{port}" in await watch.lost()


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
    registers = MemoryRegisters(holding={7: 7})
    async with ModbusFace({1: registers}) as face, secured(face, pki, certificate=device, version=version) as port:
        lost = await loss(driver(port, pki.files(**files), host))

    assert lost.startswith(f"tls://{host}:{port}: ")
    with pytest.raises(ConnectionLost, match=text):
        raise ConnectionLost(lost)


async def test_a_peer_without_a_certificate_of_ours_is_never_answered(pki: Pki) -> None:
    """The rig itself refuses a client that shows none, so that the tests above prove that ours was shown."""
    context = ssl.create_default_context(cafile=pki.files()["ca"])
    async with ModbusFace({1: MemoryRegisters(holding={7: 7})}) as face, secured(face, pki) as port:
        with suppress(ssl.SSLError, ConnectionError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
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
    context = _server_context(pki, "device", version)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def refuse() -> None:
            client, _ = server.accept()
            client.settimeout(5)
            with client, suppress(OSError), context.wrap_socket(client, server_side=True) as secure:
                secure.read()

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
        pytest.param("ca", "tls.ca .* cannot be used: No such file", id="no-ca"),
        pytest.param("key", "tls.certificate .* with tls.key .* cannot be used: No such file", id="no-key"),
    ],
)
async def test_a_file_that_cannot_be_used_is_named(pki: Pki, tmp_path: Path, key: str, text: str) -> None:
    lost = await loss(driver(1, pki.files() | {key: str(tmp_path / "missing.pem")}))

    with pytest.raises(ConnectionLost, match=text):
        raise ConnectionLost(lost)


async def test_a_key_of_another_certificate_is_named(pki: Pki) -> None:
    files = pki.files() | {"key": str(pki.folder / "stranger.key")}

    assert "cannot be used: TLS: key values mismatch" in await loss(driver(1, files))
