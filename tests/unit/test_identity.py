"""The gateway's own key: made once, its owner's alone, and what it signs is known by its public half."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway import identity
from gateway.identity import KEY_FILE, IdentityError


def test_the_key_is_made_on_first_use_and_stays(tmp_path: Path) -> None:
    first = identity.load_or_create(tmp_path / "state")
    again = identity.load_or_create(tmp_path / "state")
    assert again.public_key_pem == first.public_key_pem
    assert [path.name for path in (tmp_path / "state").iterdir()] == [KEY_FILE]


def test_the_private_key_is_readable_by_its_owner_alone(tmp_path: Path) -> None:
    identity.load_or_create(tmp_path)
    assert (tmp_path / KEY_FILE).stat().st_mode & 0o777 == 0o600
    (tmp_path / KEY_FILE).chmod(0o644)
    with pytest.raises(IdentityError, match="chmod 600"):
        identity.load_or_create(tmp_path)


def test_a_signature_holds_for_its_data_and_its_key_only(tmp_path: Path) -> None:
    ours, theirs = identity.load_or_create(tmp_path / "ours"), identity.load_or_create(tmp_path / "theirs")
    signature = ours.sign(b"protocol")
    assert identity.verify(ours.public_key_pem, signature, b"protocol")
    assert not identity.verify(ours.public_key_pem, signature, b"protocoL")
    assert not identity.verify(theirs.public_key_pem, signature, b"protocol")


@pytest.mark.parametrize("content", [b"", b"no key", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_a_file_that_is_no_key_is_told_and_not_replaced(tmp_path: Path, content: bytes) -> None:
    (tmp_path / KEY_FILE).write_bytes(content)
    (tmp_path / KEY_FILE).chmod(0o600)
    with pytest.raises(IdentityError, match="is no private key"):
        identity.load_or_create(tmp_path)
    assert (tmp_path / KEY_FILE).read_bytes() == content


def test_a_key_that_is_none_verifies_nothing() -> None:
    with pytest.raises(IdentityError, match="no public key"):
        identity.verify(b"none", b"0" * 64, b"data")


def test_loading_makes_no_key(tmp_path: Path) -> None:
    with pytest.raises(IdentityError, match="No such file"):
        identity.load(tmp_path)
    assert list(tmp_path.iterdir()) == []
