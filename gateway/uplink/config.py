"""What the site file says of an MQTT uplink."""

from __future__ import annotations

import ipaddress
import stat
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import SplitResult, urlsplit

from pydantic import Field, field_validator, model_validator

from drivers.config import Duration, Name, Section

PORTS = {"mqtt": 1883, "mqtts": 8883}
"""By scheme, as IANA has registered them."""
_PRIVATE = stat.S_IRWXG | stat.S_IRWXO


class SecretError(ValueError):
    """A file of the uplink cannot be used: which, why, and what to do. Never holds its content."""


class MqttTls(Section):
    """Certificates, as PEM files: the authority that signed the broker's, and our own with its key."""

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    @model_validator(mode="after")
    def _certificate_with_key(self) -> MqttTls:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key go together: give both, or neither")
        return self


class MqttCredentials(Section):
    """How we name ourselves to the broker; the password stands in a file that only its owner reads."""

    username: str
    password_file: Path


class Authority(Section):
    """What the orders of this uplink may ask for, and their rank among orders of the same kind (higher first)."""

    priority: int = 10
    functions: tuple[str, ...] = ("all",)


class MqttConfig(Section):
    """One MQTT 5 uplink to a DSO's broker."""

    id: Name
    type: Literal["mqtt"]
    url: str
    client_id: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    tls: MqttTls = MqttTls()
    credentials: MqttCredentials | None = None
    topic_prefix: Annotated[str, Field(pattern=r"^[^/+#\x00][^+#\x00]{0,199}$")] = "der/v1"
    payload: Literal["json"] = "json"
    acknowledge: Literal["application", "broker"] = "application"
    heartbeat: Duration | None = None
    authority: Authority = Authority()
    require_signature: Literal[False] = False
    insecure: bool = False

    @field_validator("url")
    @classmethod
    def _broker(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in PORTS or not parts.hostname or parts.path not in {"", "/"} or parts.query:
            raise ValueError("should be the broker's address, like mqtts://mqtt.dso.example:8883")
        if parts.username or parts.password:
            raise ValueError("should hold no user name and no password: they belong into credentials")
        _ = parts.port  # raises ValueError where it is none
        return url

    @model_validator(mode="after")
    def _secured(self) -> MqttConfig:
        if self.is_plain and not self.insecure:
            raise ValueError(
                "mqtt:// off this host is readable by everyone on the way: use mqtts://, or set insecure: true"
            )
        return self

    @property
    def _parts(self) -> SplitResult:
        return urlsplit(self.url)

    @property
    def host(self) -> str:
        return self._parts.hostname or ""

    @property
    def port(self) -> int:
        return self._parts.port or PORTS[self._parts.scheme]

    @property
    def is_tls(self) -> bool:
        return self._parts.scheme == "mqtts"

    @property
    def is_plain(self) -> bool:
        """Whether messages leave this host unprotected."""
        return not self.is_tls and not _is_loopback(self.host)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def read_password(file: Path) -> str:
    """
    The first line of a password file.

    Raises:
        SecretError: It cannot be read, is empty, or is open to others than its owner.
    """
    try:
        if file.stat().st_mode & _PRIVATE:
            raise SecretError(f"{file} can be read by others than its owner; run: chmod 600 {file}")
        password = file.read_text(encoding="utf-8").partition("\n")[0]
    except (OSError, UnicodeDecodeError) as error:
        raise SecretError(f"the password file {file} cannot be read: {error}") from error
    if not password:
        raise SecretError(f"the password file {file} is empty; its first line should be the password")
    return password
