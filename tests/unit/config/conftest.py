from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.config import SiteFaults, load

MINIMAL = """\
site: {id: park, rated_power: 100kW}
devices:
  - id: inv1
    driver: modbus
    endpoint: tcp://192.168.1.20:502
    profile: sunspec
    role: pv
"""


@pytest.fixture
def minimal() -> str:
    return MINIMAL


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / "site.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture
def faults(write: Callable[[str], Path]) -> Callable[..., list[str]]:
    """The fault lines of a site file, without the folder of the test."""

    def faults(text: str, environment: dict[str, str] | None = None) -> list[str]:
        path = write(text)
        with pytest.raises(SiteFaults) as caught:
            load(path, environment or {})
        return str(caught.value).replace(f"{path.parent}/", "").splitlines()

    return faults
