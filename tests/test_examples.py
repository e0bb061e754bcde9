"""What is shipped as an example works as it stands."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from gateway.config import data_dir, load

EXAMPLE = data_dir() / "site.example.yaml"


def test_the_example_site_loads_and_shows_what_a_site_can_hold() -> None:
    site = load(EXAMPLE, {})

    assert site.site.rated_power == 100_000
    assert {device.profile for device in site.devices} == {"sunspec", "janitza-umg604", "eastron-sdm630", None}
    assert site.ders == ("inv1", "bat1")
    assert site.state_dir == EXAMPLE.parent / "state"


def test_the_example_site_passes_the_check(tmp_path: Path) -> None:
    """Only its certificates and passwords, which no example can bring, are missed; and nothing is written anywhere."""
    done = subprocess.run(
        [sys.executable, "-m", "gateway.cli", "check", str(EXAMPLE)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=60,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    warnings = [line for line in done.stdout.splitlines() if line.startswith("warning:")]
    assert len(warnings) == 4
    assert all("there is no file" in warning for warning in warnings)
    assert not list(tmp_path.iterdir())
    assert not (EXAMPLE.parent / "state").exists()
