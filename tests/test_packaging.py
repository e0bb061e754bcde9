"""The wheel is the product: it installs into a clean environment, and nothing of the checkout is missed."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
import zipfile
from importlib.metadata import distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
OURS = ("gateway", "drivers", "hil")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from the checkout, without isolation: the build backend is a development dependency."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    [built] = folder.glob("dergate-*.whl")
    return built


def test_the_wheel_holds_the_packages_the_schema_and_the_examples(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()

    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == set(OURS)
    for needed in ("gateway/data/site.example.yaml", "gateway/data/profiles/eastron-sdm630.yaml"):
        assert needed in names
    assert any(name.startswith("gateway/store/schema/") and name.endswith(".sql") for name in names)


def test_installed_elsewhere_it_checks_its_own_example(wheel: Path, tmp_path: Path) -> None:
    """A clean environment that borrows only the dependencies, not the checkout."""
    home = tmp_path / "venv"
    venv.create(home, with_pip=False)
    site = next(home.glob("lib/python*/site-packages"))
    zipfile.ZipFile(wheel).extractall(site)
    dependencies = [path for path in sys.path if path.endswith("site-packages")]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join([str(site), *dependencies])}
    code = (
        "import gateway, sys; from gateway.config import data_dir; from gateway.cli import main;"
        f"assert gateway.__file__.startswith({str(site)!r}), gateway.__file__;"
        "sys.argv = ['dergate', 'check', str(data_dir() / 'site.example.yaml')]; main()"
    )
    done = subprocess.run(
        [home / "bin" / "python", "-c", code],
        check=False,
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_no_dependency_ships_a_package_of_our_names() -> None:
    foreign = [
        f"{one.metadata['Name']}: {file}"
        for one in distributions()
        if one.metadata["Name"] != "dergate"
        for file in one.files or ()
        if file.parts[0] in OURS
    ]

    assert foreign == []
