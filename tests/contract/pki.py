"""Authorities and certificates for tests of TLS, made by the openssl command."""

from __future__ import annotations

import atexit
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path


class Pki:
    """Certificates `device`, `gateway` and `stranger` for 127.0.0.1; the last one is by another authority."""

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


@cache
def pki() -> Pki:
    """Made once a process, as five keys take a moment; removed with it."""
    folder = Path(tempfile.mkdtemp(prefix="pki-"))
    atexit.register(shutil.rmtree, folder)
    return Pki(folder)
