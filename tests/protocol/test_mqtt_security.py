"""Who may connect: certificates both ways, passwords, and what the log says when one is wrong."""

from __future__ import annotations

import logging
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.uplink.config import MqttConfig, SecretError
from gateway.uplink.mqtt import MqttUplink
from tests.protocol.mosquitto import Mosquitto, mosquitto
from tests.protocol.mqtt_peers import SITE, MemoryOutbox, instant, site, until

RELEASED = "20250101000000Z"


class Authority:
    """A certificate authority for one test, by the openssl command."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        folder.mkdir()
        (folder / "index.txt").touch()
        (folder / "ca.cnf").write_text(
            f"[ca]\ndefault_ca = own\n[own]\ndatabase = {folder}/index.txt\nnew_certs_dir = {folder}\n"
            "default_md = sha256\nrand_serial = yes\npolicy = any\nunique_subject = no\ncopy_extensions = copy\n"
            "[any]\ncommonName = supplied\n"
        )
        self._openssl(
            *("req", "-x509", "-subj", f"/CN={name}", "-days", "2", "-keyout", "ca.key", "-out", "ca.pem"),
            *("-addext", "keyUsage=critical,keyCertSign", *_KEY),
        )

    def issue(self, name: str, address: str = "127.0.0.1", until_date: str = "20990101000000Z") -> None:
        """`name`.pem and `name`.key."""
        self._openssl(
            *("req", "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr", *_KEY),
            *("-addext", f"subjectAltName=IP:{address}"),
        )
        self._openssl(
            *("ca", "-batch", "-config", "ca.cnf", "-cert", "ca.pem", "-keyfile", "ca.key", "-notext"),
            *("-in", f"{name}.csr", "-out", f"{name}.pem", "-startdate", RELEASED, "-enddate", until_date),
        )

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=self.folder, check=True, capture_output=True)


_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


@contextmanager
def secured(tmp_path: Path, **broker_certificate: str) -> Iterator[tuple[Mosquitto, Authority]]:
    authority = Authority(tmp_path / "pki", "DSO test authority")
    authority.issue("broker", **broker_certificate)
    authority.issue("gateway")
    (tmp_path / "broker").mkdir()
    with mosquitto(Mosquitto(tmp_path / "broker", tls=authority.folder)) as broker:
        yield broker, authority


def files(authority: Authority, name: str = "gateway") -> dict[str, str]:
    folder = authority.folder
    return {"ca": f"{folder}/ca.pem", "certificate": f"{folder}/{name}.pem", "key": f"{folder}/{name}.key"}


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.message for r in caplog.records if r.levelno == logging.ERROR and r.name.startswith("gateway")]


async def test_certificates_of_both_sides_make_a_connection(tmp_path: Path) -> None:
    with secured(tmp_path) as (broker, authority):
        async with site(broker, tls=files(authority)) as running:
            number = running.outbox.send(b"{}")
            await until(lambda: number in running.outbox.free_messages)


@pytest.mark.parametrize(
    ("certificate", "reason"),
    [
        ({"address": "127.0.0.2"}, "certificate is not valid for '127.0.0.1'"),
        ({"until_date": "20250201000000Z"}, "certificate has expired"),
    ],
    ids=["another host", "expired"],
)
async def test_a_broker_with_the_wrong_certificate_is_refused_with_the_reason_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, certificate: dict[str, str], reason: str
) -> None:
    with secured(tmp_path, **certificate) as (broker, authority):
        async with site(broker, connected=False, tls=files(authority)) as running:
            await until(lambda: errors(caplog))
            assert not running.uplink.connected
    assert len(errors(caplog)) == 1
    assert "the broker's certificate is refused: " in errors(caplog)[0]
    assert reason in errors(caplog)[0]


async def test_a_broker_of_another_authority_is_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    other = Authority(tmp_path / "other", "someone else")
    with secured(tmp_path) as (broker, authority):
        tls = files(authority) | {"ca": f"{other.folder}/ca.pem"}
        async with site(broker, connected=False, tls=tls):
            await until(lambda: errors(caplog))
    assert "the broker's certificate is refused: self-signed certificate in certificate chain" in errors(caplog)[0]


@pytest.mark.parametrize("own", ["none", "another authority", "expired"])
async def test_a_broker_that_refuses_our_certificate_is_not_stormed_and_the_log_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, own: str
) -> None:
    with secured(tmp_path) as (broker, authority):
        tls = files(authority)
        if own == "none":
            tls = {"ca": tls["ca"]}
        elif own == "expired":
            authority.issue("old", until_date="20250201000000Z")
            tls = files(authority, "old")
        else:
            other = Authority(tmp_path / "other", "someone else")
            other.issue("gateway")
            tls = files(other) | {"ca": tls["ca"]}
        async with site(broker, connected=False, tls=tls):
            await until(lambda: errors(caplog))
        assert "closed the connection before it answered" in errors(caplog)[0]
        assert "certificate" in errors(caplog)[0]


def password_file(tmp_path: Path, password: str, mode: int = 0o600) -> Path:
    file = tmp_path / "mqtt.password"
    file.write_text(password + "\n")
    file.chmod(mode)
    return file


async def test_the_right_password_connects(tmp_path: Path) -> None:
    file = password_file(tmp_path, "right-secret")
    with mosquitto(Mosquitto(tmp_path, users={SITE: "right-secret"})) as broker:
        async with site(broker, credentials={"username": SITE, "password_file": file}) as running:
            assert running.uplink.connected


async def test_a_wrong_password_is_said_once_and_tried_slowly_until_it_is_right(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    file = password_file(tmp_path, "wrong-secret")
    with mosquitto(Mosquitto(tmp_path, users={SITE: "right-secret"})) as broker:
        async with site(broker, connected=False, credentials={"username": SITE, "password_file": file}) as running:
            log = tmp_path / "mosquitto.log"
            await until(lambda: log.read_text().count("not authorised") >= 3, "three attempts")
            assert errors(caplog) == [
                f"dso: no connection to {broker.url}: the broker refuses the connection: Not authorized"
            ]
            password_file(tmp_path, "right-secret")
            await until(lambda: running.uplink.connected)
    assert "secret" not in caplog.text


def uplink(**config: Any) -> MqttUplink:
    settings = MqttConfig.model_validate({"id": "dso", "type": "mqtt", "url": "mqtts://mqtt.dso.example"} | config)
    return MqttUplink(
        settings,
        site=SITE,
        outbox=MemoryOutbox(),
        now=instant,
        version="0.1.0",
        session=1,
        on_order=lambda _: None,
        on_heard=lambda: None,
    )


def test_files_that_cannot_be_used_are_found_before_the_daemon_runs(tmp_path: Path) -> None:
    open_file = password_file(tmp_path, "secret", mode=0o644)
    with pytest.raises(SecretError, match="chmod 600"):
        uplink(credentials={"username": SITE, "password_file": open_file}).check()
    with pytest.raises(SecretError, match=r"missing\.pem.*No such file"):
        uplink(tls={"ca": tmp_path / "missing.pem"}).check()
    with pytest.raises(SecretError, match="cannot be used"):
        uplink(tls={"ca": open_file}).check()
    uplink().check()


async def test_a_plain_connection_off_this_host_is_warned_of_at_each_start(caplog: pytest.LogCaptureFixture) -> None:
    async with site("mqtt://192.0.2.1", connected=False, insecure=True):
        await until(lambda: any("is not encrypted" in record.message for record in caplog.records))
