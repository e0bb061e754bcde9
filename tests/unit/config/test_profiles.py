"""What a profile brings to a device, what the device's own words override, and what is said of a broken one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.config import SiteFaults, load
from gateway.config.profiles import load as load_profile

Write = Callable[[str], Path]
Profile = Callable[..., None]

HEAD = "vendor: V\nmodel: M\nrole: pv\nsource: s\n"
POINTS = "points:\n  - {name: active_power, register: 'input:1', type: float32, unit: W}\n"
DEVICE = """\
  - id: d
    driver: modbus
    endpoint: tcp://192.168.1.21
    role: pv
    profile: p
"""


@pytest.fixture
def profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Profile:
    """Makes `text` the one profile, named p."""
    folder = tmp_path / "data" / "profiles"
    folder.mkdir(parents=True)
    monkeypatch.setattr("gateway.config.profiles.data_dir", lambda: folder.parent)

    def profile(text: str) -> None:
        (folder / "p.yaml").write_text(text, encoding="utf-8")

    return profile


def told(write: Write, text: str) -> list[str]:
    with pytest.raises(SiteFaults) as caught:
        load(write(text), {})
    return [line.rpartition("/")[2] for line in str(caught.value).splitlines()]


def test_a_device_has_the_quirks_of_its_profile(write: Write, minimal: str, profile: Profile) -> None:
    profile(HEAD + "quirks: {pause_after_connect: 1s, max_registers: 50}\n" + POINTS)

    quirks = load(write(minimal + DEVICE), {}).device("d").quirks

    assert (quirks.pause_after_connect, quirks.max_registers, quirks.gap) == (1.0, 50, 0.0)


def test_a_quirk_of_the_devices_own_overrides_the_profiles_one_by_one(
    write: Write, minimal: str, profile: Profile
) -> None:
    profile(HEAD + "quirks: {pause_after_connect: 1s, max_registers: 50}\n" + POINTS)

    quirks = load(write(minimal + DEVICE + "    quirks: {max_registers: 10, gap: 20ms}\n"), {}).device("d").quirks

    assert (quirks.pause_after_connect, quirks.max_registers, quirks.gap) == (1.0, 10, 0.02)


def test_two_devices_of_one_profile_share_nothing_that_one_of_them_says(
    write: Write, minimal: str, profile: Profile
) -> None:
    profile(HEAD + "quirks: {max_registers: 50}\n" + POINTS)
    second = DEVICE.replace("id: d", "id: e").replace(".21", ".22") + "    quirks: {max_registers: 10}\n"

    site = load(write(minimal + second + DEVICE), {})

    assert [site.device(name).quirks.max_registers for name in ("d", "e")] == [50, 10]


def test_a_profile_that_extends_sunspec_adds_its_points_to_what_the_device_says_of_itself(
    write: Write, minimal: str, profile: Profile
) -> None:
    profile(HEAD + "extends: sunspec\n" + POINTS)

    device = load(write(minimal + DEVICE), {}).device("d")

    assert device.sunspec
    assert [point.name for point in device.points] == ["active_power"]


def test_how_a_device_is_reached_as_delivered_is_a_hint_and_never_applied(
    write: Write, minimal: str, profile: Profile
) -> None:
    profile(HEAD + "connection: {port: 1502, unit: 71}\n" + POINTS)

    device = load(write(minimal + DEVICE), {}).device("d")

    assert (device.address[1], device.unit) == (502, 1)
    assert (load_profile("p").connection.port, load_profile("p").connection.unit) == (1502, 71)


@pytest.mark.parametrize(
    ("mark", "bounds"),
    [
        pytest.param("{register: 'holding:11', type: uint16, equals: 1648}", (1648, 1648), id="equals"),
        pytest.param("{register: 'holding:11', type: uint16, equals: 0}", (0, 0), id="equals-0"),
        pytest.param("{register: 'input:0', type: float32, range: [90, 290]}", (90, 290), id="range"),
    ],
)
def test_a_mark_says_within_which_bounds_a_scan_knows_the_device(
    profile: Profile, mark: str, bounds: tuple[float, float]
) -> None:
    profile(HEAD + f"identify:\n  - {mark}\n" + POINTS)

    (found,) = load_profile("p").identify

    assert found.bounds == bounds


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            "quirks: {gap: 20}\n",
            ["p.yaml:5:15: quirks.gap: should be a duration with its unit, like 250ms, 1s, 5min or 1h, found 20"],
            id="quirk",
        ),
        pytest.param(
            "quirks: {gapp: 20ms}\n", ["p.yaml:5:10: quirks.gapp: unknown key; did you mean 'gap'?"], id="unknown-quirk"
        ),
        pytest.param(
            "identify:\n  - {register: 'input:0', type: float32}\n",
            ["p.yaml:6:5: identify[0]: should have either equals or range, found neither"],
            id="mark-without-expectation",
        ),
        pytest.param(
            "identify:\n  - {register: 'input:0', type: float32, equals: 1, range: [1, 2]}\n",
            ["p.yaml:6:5: identify[0]: should have either equals or range, found both"],
            id="mark-with-two-expectations",
        ),
        pytest.param(
            "identify:\n  - {register: 'input:0', type: float32, range: [290, 90]}\n",
            ["p.yaml:6:5: identify[0]: range should rise, found 290 to 90"],
            id="mark-upside-down",
        ),
        pytest.param(
            "extends: sunspek\n",
            ["p.yaml:5:10: extends: 'sunspek' is not one of 'sunspec'"],
            id="extends-what-is-not-there",
        ),
    ],
)
def test_a_fault_in_a_profile_is_told_at_its_place(
    write: Write, minimal: str, profile: Profile, text: str, expected: list[str]
) -> None:
    profile(HEAD + text + POINTS)

    assert told(write, minimal + DEVICE) == expected
    with pytest.raises(SiteFaults):
        load_profile("p")


def test_a_fault_in_the_quirks_of_a_device_is_told_in_the_site_file(
    write: Write, minimal: str, profile: Profile
) -> None:
    profile(HEAD + "quirks: {gap: 20ms}\n" + POINTS)

    (line,) = told(write, minimal + DEVICE + "    quirks: {max_registers: 200}\n")

    assert line.startswith("site.yaml:13:29:")
    assert "quirks.max_registers: should be" in line
    assert line.endswith("found 200")


def test_quirks_that_are_no_mapping_are_told_once(write: Write, minimal: str, profile: Profile) -> None:
    profile(HEAD + "quirks: {gap: 20ms}\n" + POINTS)

    assert len(told(write, minimal + DEVICE + "    quirks: 3\n")) == 1
