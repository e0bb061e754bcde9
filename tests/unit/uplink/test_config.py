"""What the site file may say of an MQTT uplink, and what of it is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from gateway.uplink.config import MqttConfig, SecretError, read_password


def config(**fields: Any) -> MqttConfig:
    return MqttConfig.model_validate({"id": "dso", "type": "mqtt", "url": "mqtts://mqtt.dso.example"} | fields)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("mqtts://mqtt.dso.example", ("mqtt.dso.example", 8883, True)),
        ("mqtts://mqtt.dso.example:443/", ("mqtt.dso.example", 443, True)),
        ("mqtt://127.0.0.1", ("127.0.0.1", 1883, False)),
        ("mqtt://[::1]:1999", ("::1", 1999, False)),
        ("mqtt://localhost", ("localhost", 1883, False)),
    ],
)
def test_a_url_names_host_port_and_whether_it_is_tls(url: str, expected: tuple[str, int, bool]) -> None:
    broker = config(url=url)
    assert (broker.host, broker.port, broker.is_tls) == expected


def test_the_defaults_are_those_of_the_contract() -> None:
    uplink = config()
    assert (uplink.topic_prefix, uplink.payload, uplink.acknowledge) == ("der/v1", "json", "application")
    assert (uplink.authority.priority, uplink.authority.functions, uplink.heartbeat) == (10, ("all",), None)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"url": "mqtt://10.0.0.1"}, "insecure: true"),
        ({"url": "http://mqtt.dso.example"}, "like mqtts://"),
        ({"url": "mqtts://"}, "like mqtts://"),
        ({"url": "mqtts://user:secret@mqtt.dso.example"}, "credentials"),
        ({"url": "mqtts://mqtt.dso.example:99999"}, "[Pp]ort"),
        ({"require_signature": True}, "require_signature"),
        ({"topic_prefix": "der/+"}, "topic_prefix"),
        ({"tls": {"certificate": "site.pem"}}, "go together"),
        ({"heartbeat": 60}, "duration with its unit"),
        ({"retain": True}, "retain"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_what_cannot_be_meant_is_refused(fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        config(**fields)


def test_a_plain_connection_off_this_host_takes_an_explicit_word() -> None:
    uplink = config(url="mqtt://10.0.0.1", insecure=True)
    assert uplink.is_plain


def test_a_password_is_the_first_line_of_a_file_that_only_its_owner_reads(tmp_path: Path) -> None:
    file = tmp_path / "mqtt.password"
    file.write_text("s3cret\n")
    file.chmod(0o600)
    assert read_password(file) == "s3cret"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_password_file_that_is_open_to_others_is_refused_without_its_content(tmp_path: Path, mode: int) -> None:
    file = tmp_path / "mqtt.password"
    file.write_text("s3cret\n")
    file.chmod(mode)
    with pytest.raises(SecretError, match="chmod 600") as refused:
        read_password(file)
    assert "s3cret" not in str(refused.value)


def test_a_password_file_that_is_missing_or_empty_is_refused(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.touch(0o600)
    with pytest.raises(SecretError, match="is empty"):
        read_password(empty)
    with pytest.raises(SecretError, match="cannot be read"):
        read_password(tmp_path / "missing")
