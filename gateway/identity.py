"""The gateway's own key: an Ed25519 key pair in the state directory, by which others know what comes from this one."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

KEY_FILE = "gateway-key.pem"


class IdentityError(Exception):
    """The key cannot be used or made; the text says why and what to do."""


class Identity:
    """Signs in the name of this gateway. `public_key_pem` is what others check its signatures with."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public_key_pem = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def sign(self, data: bytes) -> bytes:
        """The signature of *data*, 64 bytes (RFC 8032)."""
        return self._key.sign(data)


def load_or_create(state_dir: Path) -> Identity:
    """
    The key of this state directory; made on first use, readable by its owner alone.

    Raises:
        IdentityError: As `load`, or the file cannot be made.
    """
    path = state_dir / KEY_FILE
    try:
        if not path.exists():
            _create(path)
    except OSError as error:
        raise IdentityError(f"{path}: the gateway's key cannot be made: {error.strerror or error}") from None
    return load(state_dir)


def load(state_dir: Path) -> Identity:
    """
    The key that this state directory has.

    Raises:
        IdentityError: The file is not there, cannot be read, is no such key, or is open to others.
    """
    path = state_dir / KEY_FILE
    try:
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise IdentityError(f"{path}: is open to other users; a private key is its owner's alone: chmod 600 {path}")
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise IdentityError(f"{path}: the gateway's key cannot be read: {error.strerror or error}") from None
    except (ValueError, TypeError) as error:
        raise IdentityError(f"{path}: is no private key: {error}; restore it from a backup") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise IdentityError(f"{path}: should hold an Ed25519 key, found another kind; restore it from a backup")
    return Identity(key)


def verify(public_key_pem: bytes, signature: bytes, data: bytes) -> bool:
    """
    Whether *signature* over *data* was made with the private half of this public key.

    Raises:
        IdentityError: The public key is none, or of another kind.
    """
    try:
        key = serialization.load_pem_public_key(public_key_pem)
    except ValueError as error:
        raise IdentityError(f"is no public key: {error}") from None
    if not isinstance(key, Ed25519PublicKey):
        raise IdentityError("should be an Ed25519 public key, found another kind")
    try:
        key.verify(signature, data)
    except InvalidSignature:
        return False
    return True


def fingerprint(public_key_pem: bytes) -> str:
    """The first 16 hexadecimal digits of the public key's SHA-256, in groups of four: short enough to read aloud."""
    digits = hashlib.sha256(public_key_pem).hexdigest()[:16]
    return " ".join(digits[i : i + 4] for i in range(0, 16, 4))


def _create(path: Path) -> None:
    """Whole from the moment it has its name; where two make one at a time, the first one stays."""
    pem = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mkstemp: mode 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(beside, path)
    finally:
        Path(beside).unlink()
