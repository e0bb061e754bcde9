"""The command line of `dergate commission`, as far as it needs no device."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.cli import main

SITE = """\
site: {id: park, rated_power: 100kW}
state_dir: state
devices:
  - {id: inv1, driver: modbus, endpoint: "tcp://127.0.0.1:1502", profile: sunspec, role: pv}
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    file = tmp_path / "site.yaml"
    file.write_text(SITE)
    return file


def test_it_says_that_a_site_file_is_missing() -> None:
    done = CliRunner().invoke(main, ["commission"])
    assert done.exit_code == 2
    assert "Missing argument 'SITE.yaml'" in done.output


def test_a_bad_site_file_ends_with_2_and_starts_nothing(site: Path) -> None:
    site.write_text(SITE.replace("role: pv", "role: sun"))
    done = CliRunner().invoke(main, ["commission", str(site)])
    assert done.exit_code == 2
    assert "nothing was started" in done.output
    assert not (site.parent / "state").exists()


def test_root_leaves_no_files_that_the_daemon_cannot_open(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = site.parent / "state"
    state.mkdir()
    if os.geteuid() == 0:
        os.chown(state, 12345, -1)
    monkeypatch.setattr("os.geteuid", lambda: 0)
    done = CliRunner().invoke(main, ["commission", str(site), "--yes"])
    assert done.exit_code == 1
    assert "sudo -u" in done.output
    assert list(state.iterdir()) == []


def test_verifying_what_is_no_protocol_ends_with_4_and_makes_no_key(site: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    done = CliRunner().invoke(main, ["commission", "--verify", str(empty)])
    assert done.exit_code == 4
    assert "protocol.json" in done.output
    assert CliRunner().invoke(main, ["commission", "--verify", str(empty), str(site)]).exit_code == 1
    assert not (tmp_path / "state").exists()
