"""A protocol on disk: the document, the page, the document's signature, and the public key it is checked with."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from gateway import identity
from gateway.commissioning.page import page
from gateway.commissioning.protocol import SCHEMA, Heading, as_bytes, document
from gateway.commissioning.result import Result
from gateway.identity import Identity, IdentityError

DOCUMENT, PAGE, SIGNATURE, PUBLIC_KEY = "protocol.json", "protocol.html", "protocol.json.sig", "gateway-key.pub.pem"


class Forged(Exception):
    """The folder is not what was signed; the text says what is wrong with which file."""


def write(folder: Path, heading: Heading, results: Sequence[Result], key: Identity) -> None:
    """
    Write all four files. The signature covers the document, and the document the page, by its hash.

    Raises:
        OSError: The folder cannot be made or written.
    """
    heading = replace(heading, key=identity.fingerprint(key.public_key_pem))
    shown = page(heading, results).encode()
    content = document(heading, results) | {"page": {"file": PAGE, "sha256": hashlib.sha256(shown).hexdigest()}}
    signed = as_bytes(content)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / DOCUMENT).write_bytes(signed)
    (folder / PAGE).write_bytes(shown)
    (folder / SIGNATURE).write_bytes(_encoded(key.sign(signed)))
    (folder / PUBLIC_KEY).write_bytes(key.public_key_pem)


def check(folder: Path, known_key_pem: bytes | None) -> Mapping[str, object]:
    """
    The document of a folder that is as it was signed, by *known_key_pem* where that is given.

    Raises:
        Forged: It is not.
        OSError: A file cannot be read.
    """
    signed, public_key = (folder / DOCUMENT).read_bytes(), (folder / PUBLIC_KEY).read_bytes()
    encoded = (folder / SIGNATURE).read_bytes()
    try:
        signature = base64.b64decode(encoded.strip(), validate=True)
        genuine = encoded == _encoded(signature) and identity.verify(public_key, signature, signed)
    except binascii.Error:
        raise Forged(f"{SIGNATURE}: is no signature") from None
    except IdentityError as error:
        raise Forged(f"{PUBLIC_KEY}: {error}") from None
    if not genuine:
        raise Forged(f"{DOCUMENT}: is not what was signed with {PUBLIC_KEY}")
    if known_key_pem is not None and known_key_pem != public_key:
        raise Forged(f"{PUBLIC_KEY}: is not the key of this gateway ({identity.fingerprint(known_key_pem)})")
    content = json.loads(signed)
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        raise Forged(f"{DOCUMENT}: is no {SCHEMA}")
    if content["key"] != identity.fingerprint(public_key):
        raise Forged(f"{PUBLIC_KEY}: is not the key that {DOCUMENT} names")
    if hashlib.sha256((folder / PAGE).read_bytes()).hexdigest() != content["page"]["sha256"]:
        raise Forged(f"{PAGE}: is not the page of {DOCUMENT}")
    return content


def _encoded(signature: bytes) -> bytes:
    return base64.b64encode(signature) + b"\n"
