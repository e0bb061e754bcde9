"""A good site file: variables, paths, profiles, defaults, and the words for amounts."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gateway.config import Site, SiteFaults, configuration_hash, data_dir, load, schema
from gateway.config.profiles import names
from gateway.config.quantities import Amount, parse_deadband, parse_power_limit, parse_ramp, parse_size

Write = Callable[[str], Path]
EXAMPLE = (data_dir() / "site.example.yaml").read_text(encoding="utf-8")


def test_the_shortest_site_file_gets_the_defaults_of_the_contract(write: Write, minimal: str) -> None:
    site = load(write(minimal), {})

    assert site.ders == ("inv1",)
    assert site.control.period == pytest.approx(0.2)
    assert (site.control.ramp.up, site.control.ramp.down) == (None, None)
    assert site.report.default.deadband == Amount(0.5, "%")
    assert (site.buffer.max_size, site.buffer.commit_interval, site.local.http) == (2 * 10**9, 1.0, None)


@pytest.mark.parametrize(
    ("given", "environment", "expected"),
    [
        pytest.param("", {}, "{folder}/state", id="beside-the-file"),
        pytest.param("", {"STATE_DIRECTORY": "/var/lib/a:/var/lib/b"}, "/var/lib/a", id="where-systemd-says"),
        pytest.param(
            "state_dir: store", {"STATE_DIRECTORY": "/var/lib/a"}, "{folder}/store", id="relative-to-the-file"
        ),
        pytest.param("state_dir: /srv/x", {}, "/srv/x", id="absolute"),
    ],
)
def test_the_state_directory(
    write: Write, minimal: str, given: str, environment: dict[str, str], expected: str
) -> None:
    path = write(minimal + given)

    assert load(path, environment).state_dir == Path(expected.format(folder=path.parent))


def test_every_relative_path_is_taken_from_the_folder_of_the_file(write: Write) -> None:
    path = write(EXAMPLE)

    (uplink,) = load(path, {}).uplinks

    assert uplink.tls.ca == path.parent / "pki/ca.pem"
    assert uplink.credentials is not None
    assert uplink.credentials.password_file == path.parent / "mqtt.password"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("${A}", "one", id="whole"),
        pytest.param("x${A}y${B}", "xoney", id="inside-and-empty"),
        pytest.param("$${A}", "${A}", id="escaped"),
        pytest.param("$A", "$A", id="without-braces-it-is-text"),
    ],
)
def test_variables_are_expanded_in_every_string(write: Write, minimal: str, text: str, expected: str) -> None:
    site = load(write(minimal.replace("{id: park,", f"{{id: park, name: '{text}',")), {"A": "one", "B": ""})

    assert site.site.name == expected


def test_a_variable_can_hold_a_number(write: Write, minimal: str) -> None:
    site = load(write(minimal + "    unit: ${UNIT}\n"), {"UNIT": "7"})

    assert site.devices[0].unit == 7


METER = """\
  - id: m1
    driver: modbus
    endpoint: tcp://192.168.1.21
    role: meter
    profile: eastron-sdm630
"""


def test_a_profile_brings_its_points_and_the_device_overrides_them_by_name(write: Write, minimal: str) -> None:
    own = '{name: active_power, register: "input:52", type: float32, unit: W, scale: 1}'

    meter = load(write(f"{minimal}{METER}    points: [{own}]\n"), {}).device("m1")

    points = {point.name: point for point in meter.points}
    assert points["active_power"].scale == 1
    assert points["reactive_power"].scale == -1
    assert len(points) == len(meter.points) > 10


def test_a_fault_in_a_profile_is_told_at_its_place_in_the_profile(
    write: Write, minimal: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    profiles = tmp_path / "profiles"
    profiles.mkdir()
    (profiles / "eastron-sdm630.yaml").write_text(
        "vendor: E\nmodel: M\nrole: meter\nsource: s\npoints:\n"
        "  - {name: p, register: 'input:1', type: float32, scal: 2}\n  - 5\n"
    )
    (profiles / "broken.yaml").write_text("vendor: E\npoints: []\n")
    monkeypatch.setattr("gateway.config.profiles.data_dir", lambda: tmp_path)
    second = METER.replace("m1", "m2").replace("21", "22").replace("eastron-sdm630", "broken")

    with pytest.raises(SiteFaults) as caught:
        load(write(minimal + METER + second), {})

    assert str(caught.value).replace(f"{profiles}/", "").splitlines() == [
        "broken.yaml:1:1: model: is missing",
        "broken.yaml:1:1: role: is missing",
        "broken.yaml:1:1: source: is missing",
        "broken.yaml:2:9: points: should have at least 1 of them, found an empty list",
        "eastron-sdm630.yaml:6:51: points[0].scal: unknown key; did you mean 'scale'?",
        "eastron-sdm630.yaml:7:5: points[1]: should be a mapping of keys to values, found 5",
    ]


@pytest.mark.parametrize("name", sorted(set(names()) - {"sunspec"}))
def test_every_profile_loads_and_measures_in_canonical_units(write: Write, minimal: str, name: str) -> None:
    """Energy in Wh, power in W: a profile scales the vendor's units; each point has the vendor's word beside it."""
    meter = load(write(minimal + METER.replace("eastron-sdm630", name)), {}).device("m1")

    assert {point.unit for point in meter.points} <= {
        "W",
        "var",
        "VA",
        "V",
        "A",
        "Hz",
        "Wh",
        "varh",
        "%",
        "°C",
        "s",
        "",
    }
    text = (data_dir() / "profiles" / f"{name}.yaml").read_text(encoding="utf-8")
    assert len(re.findall(r"^  - \{name: .*\}\s+# .+$", text, re.MULTILINE)) == len(meter.points)


def test_a_later_report_pattern_overrides_an_earlier_one_key_by_key(write: Write, minimal: str) -> None:
    rules = '{"*.energy_*": {min_interval: 15min}, "inv1.*": {deadband: 100W, min_interval: 2s}}'
    report = load(write(f"{minimal}report: {{points: {rules}}}\n"), {}).report

    assert report.rule("inv1.voltage_l1").deadband == Amount(100.0, "W")
    assert report.rule("inv1.energy_export").min_interval == pytest.approx(2.0)
    assert report.rule("other.energy_export").min_interval == pytest.approx(900.0)
    assert report.rule("other.voltage_l1") == report.default


@pytest.mark.parametrize(
    ("parse", "text", "expected"),
    [
        pytest.param(parse_ramp, "10%/min", Amount(10 / 60, "%"), id="ramp-share-a-minute"),
        pytest.param(parse_ramp, "500 W / s", Amount(500, "W"), id="ramp-watts-a-second"),
        pytest.param(parse_ramp, "36kW/h", Amount(10, "W"), id="ramp-kilowatts-an-hour"),
        pytest.param(parse_ramp, "unlimited", None, id="ramp-unlimited"),
        pytest.param(parse_deadband, "0.5%", Amount(0.5, "%"), id="deadband-share"),
        pytest.param(parse_deadband, "0.1Hz", Amount(0.1, "Hz"), id="deadband-frequency"),
        pytest.param(parse_deadband, "2kvar", Amount(2000, "var"), id="deadband-prefix"),
        pytest.param(parse_deadband, 3, Amount(3, ""), id="deadband-number"),
        pytest.param(parse_power_limit, "0%", Amount(0, "%"), id="limit-share"),
        pytest.param(parse_power_limit, "30kW", Amount(30_000, "W"), id="limit-power"),
        pytest.param(parse_size, "1.5GB", 1_500_000_000, id="size"),
    ],
)
def test_amounts_in_words(parse: Callable[[object], object], text: object, expected: object) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        pytest.param(parse_ramp, "0%/s", id="ramp-that-never-moves"),
        pytest.param(parse_ramp, "-1%/s", id="ramp-backwards"),
        pytest.param(parse_ramp, 10, id="ramp-without-unit"),
        pytest.param(parse_deadband, "-1W", id="deadband-negative"),
        pytest.param(parse_deadband, True, id="deadband-that-is-no-number"),
        pytest.param(parse_power_limit, "-5%", id="limit-negative"),
        pytest.param(parse_power_limit, "5 A", id="limit-in-ampere"),
        pytest.param(parse_size, "2 gigabytes", id="size"),
    ],
)
def test_amounts_that_mean_nothing_are_refused(parse: Callable[[object], object], text: object) -> None:
    with pytest.raises(ValueError, match="should"):
        parse(text)


def test_the_hash_names_the_content_not_the_way_it_is_written(write: Write, minimal: str) -> None:
    first = configuration_hash(load(write(minimal), {}))
    same = configuration_hash(load(write("# comment\n" + minimal + "control: {period: 0.2s}\n"), {}))
    other = configuration_hash(load(write(minimal + "control: {period: 0.3s}\n"), {}))

    assert first == same != other


def test_the_schema_describes_every_key_of_the_site_file_in_words() -> None:
    document = schema()

    assert document["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    sections = ("Site", "SiteIdentity", "Control", "RampLimits", "Fallback", "ReportRule", "Local", "Buffer")
    for name in sections[1:]:
        for key, described in document["$defs"][name]["properties"].items():
            assert described.get("description"), f"{name}.{key}"
    assert document["$defs"]["Control"]["properties"]["period"]["default"] == "200ms"
    assert document["$defs"]["Buffer"]["properties"]["max_size"]["default"] == "2GB"


def test_texts_with_a_unit_have_no_number_as_default_in_the_schema() -> None:
    def walk(node: object) -> None:
        if isinstance(node, dict):
            if node.get("type") == "string":
                assert isinstance(node.get("default", ""), str), node
            for child in node.values():
                walk(child)
        elif isinstance(node, list):
            for child in node:
                walk(child)

    walk(schema())


def _loads_or_says_why(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    try:
        outcome: object = load(path, {"HOME": "/root"})
    except SiteFaults as error:
        outcome = [str(fault) for fault in error.faults]
    assert outcome
    assert isinstance(outcome, Site | list)


_ANY = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@_ANY
@given(text=st.text(st.sampled_from("abc:-{}[]&*!|>'\"%@`#,? \n\t0.$~<\\x€"), max_size=40))
@example(text="&a [*a]")
@example(text='"\\ud800"')
@example(text="%YAML 9.9\n---\na")
@example(text="? ")
@example(text="!!python/object:os.system x")
@example(text="<<: *x")
@example(text="=: =")
def test_any_text_gives_a_site_or_faults_and_nothing_else(tmp_path: Path, text: str) -> None:
    _loads_or_says_why(tmp_path / "site.yaml", text)


@_ANY
@given(data=st.data())
def test_any_damage_to_the_example_gives_a_site_or_faults_and_nothing_else(tmp_path: Path, data: st.DataObject) -> None:
    lines = [line.partition(" #")[0] for line in EXAMPLE.splitlines() if not line.lstrip().startswith("#")]
    line = data.draw(st.integers(0, len(lines) - 1))
    start, end = sorted(data.draw(st.tuples(*[st.integers(0, len(lines[line]))] * 2)))
    inserted = data.draw(
        st.sampled_from(["", "x", "-1", "null", "[]", "{}", ": ", "\n", "'", "${", "${X}", "1e999", "é"])
    )
    lines[line] = lines[line][:start] + inserted + lines[line][end:]
    _loads_or_says_why(tmp_path / "site.yaml", "\n".join(lines))
