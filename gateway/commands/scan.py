"""`dergate scan`: which devices answer on a Modbus connection, and a site file to begin with."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from urllib.parse import urlencode

import click

import drivers
from drivers.base import ConnectionLost
from drivers.modbus.config import RTU_UNIT_MAX
from drivers.modbus.connect import connect
from drivers.modbus.endpoint import BAUDRATES, Network, SerialLine, parse_line
from drivers.modbus.scan import Check, Device, Signature, Survey, pace, run
from gateway.commands.check import LOAD_WARNING, load_of
from gateway.commands.common import NOT_READ, table
from gateway.config import load, profiles
from gateway.config.models import DER_ROLES

INTERRUPTED = 130
"""What a shell says of a command that Ctrl-C ended: 128 and the signal's number."""
UNIT_MAX = 255  # above what a serial line has, and yet in use by devices with a TCP port of their own
SERIAL = {"baudrate": "9600", "parity": "N", "stopbits": "1"}
"""What most devices have from the factory."""
PROGRESS_S = 10.0
"""Between two lines of progress where they stay, as in a log."""
ONE_CLIENT = "many devices serve one client only: stop what else is connected to it, dergate run included"
WIRING = "check --baudrate, --parity and --stopbits, and that the two wires are not swapped"


def unit_ids(text: str, highest: int) -> tuple[int, ...]:
    """Unit ids from `1-10,126`, ascending."""
    units: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"(\d{1,3})(?:-(\d{1,3}))?", part.strip())
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
        if not 1 <= first <= last <= highest:
            raise click.UsageError(f"--unit {part!r} should be a unit id, or a range of them, from 1 to {highest}")
        units |= {*range(first, last + 1)}
    return tuple(sorted(units))


@click.command()
@click.argument("target", metavar="HOST[:PORT]|/dev/ttyX")
@click.option("--unit", "units", default="1-247", show_default=True, metavar="UNITS", help="Unit ids, like 1-10,126.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0.05),
    default=1.0,
    show_default=True,
    help="Seconds to wait for an answer; a gateway before a slow serial line may need more.",
)
@click.option("--baudrate", type=click.Choice([str(rate) for rate in BAUDRATES]), help="Serial line; default 9600.")
@click.option("--parity", type=click.Choice(["N", "E", "O"]), help="Serial line; default N.")
@click.option("--stopbits", type=click.Choice(["1", "2"]), help="Serial line; default 1.")
@click.option("--json", "as_json", is_flag=True, help="Print {endpoint, complete, any_unit, units: [...]}.")
@click.option(
    "--write", "site_file", type=click.Path(path_type=Path), metavar="FILE", help="Write a starter site file."
)
@click.option("--force", is_flag=True, help="With --write: replace FILE.")
def command(
    target: str,
    units: str,
    timeout: float,
    as_json: bool,
    site_file: Path | None,
    force: bool,
    **settings: str | None,
) -> None:
    """
    Find Modbus units, SunSpec models and known profiles.

    Only reads, over one connection, one request after the other; the unit ids that devices have from the factory come
    first. A device that serves one client only cannot be scanned while something else is connected to it.

    Ends with 3 when nothing answered, and with 130 on Ctrl-C, after what was found so far.

    \b
    Example:
      dergate scan 192.168.1.20
      dergate scan 192.168.1.23:502 --unit 1-10 --write site.yaml
      dergate scan /dev/ttyUSB0 --baudrate 19200 --parity E
    """
    endpoint, line = line_to(target, settings)
    asked = unit_ids(units, RTU_UNIT_MAX if line.rtu else UNIT_MAX)
    if site_file is not None:
        _refuse_to_overwrite(site_file, force)
    survey = Survey(asked, signatures())
    lost, interrupted = _carry_out(survey, line, timeout)
    complete = not lost and not interrupted
    found = sorted(survey.found, key=lambda device: device.unit)
    if as_json:
        click.echo(json.dumps(as_document(endpoint, found, complete=complete, any_unit=survey.any_unit), indent=2))
    elif found:
        click.echo(found_table(found))
    for sentence in _remarks(endpoint, survey, lost, interrupted):
        click.echo(sentence, err=True)
    if site_file is not None and found:
        if complete:
            _write(site_file, starter(endpoint, found), force)
        else:
            click.echo(f"{site_file} was not written: the scan did not come to its end", err=True)
    sys.exit(INTERRUPTED if interrupted else 0 if found else NOT_READ)


def line_to(target: str, settings: Mapping[str, str | None]) -> tuple[str, Network | SerialLine]:
    """
    The endpoint of a target, as a site file writes it, and where it leads.

    `settings` are those of a serial line, None where left out.
    """
    given = {name: value for name, value in settings.items() if value is not None}
    if target.startswith("/"):
        endpoint = f"rtu://{target}?{urlencode(SERIAL | given)}"
    elif given:
        raise click.UsageError(f"--{next(iter(given))} is for a serial line, and {target} is none")
    else:
        endpoint = target if "://" in target else f"tcp://{target}"
    try:
        line = parse_line(endpoint)
    except ValueError:
        raise click.UsageError(
            f"{target!r} should be HOST, HOST:PORT, a device file like /dev/ttyUSB0, or rtu-over-tcp://HOST:PORT"
        ) from None
    if isinstance(line, SerialLine):
        return endpoint, line
    if line.transport == "tls":
        raise click.UsageError(f"{target}: TLS needs certificates, which only a site file names")
    return str(line), line


def signatures() -> tuple[Signature, ...]:
    """What tells the devices of the profiles apart, as far as the profiles say."""
    found = []
    for name in profiles.names():
        if name == profiles.BUILT_IN:
            continue
        profile = profiles.load(name)
        if checks := tuple(Check(mark.register_of("scan"), *mark.bounds) for mark in profile.identify):
            on_sunspec = profile.extends == profiles.BUILT_IN
            found.append(Signature(name, profile.vendor, profile.model, profile.role, checks, on_sunspec))
    return tuple(found)


def _refuse_to_overwrite(path: Path, force: bool) -> None:
    """Before anything is asked: a scan of some minutes should not end in this."""
    if path.exists() and not force:
        raise click.UsageError(f"{path} exists; give another name, or --force to replace it")
    if not path.absolute().parent.is_dir():
        raise click.UsageError(f"{path} cannot be written: there is no folder {path.absolute().parent}")


def _carry_out(survey: Survey, line: Network | SerialLine, timeout_s: float) -> tuple[str, bool]:
    """Why the connection was lost, or nothing; and whether Ctrl-C ended the scan."""
    progress = Progress(survey)
    try:
        asyncio.run(run(survey, lambda: connect(line, pace(line, timeout_s)), timeout_s, progress))
    except ConnectionLost as error:
        return _reason(error), False
    except KeyboardInterrupt:
        return "", True
    finally:
        progress.clear()
    return "", False


def _reason(error: ConnectionLost) -> str:
    """In the system's words: asyncio says of a refused connection that a call failed, and not why."""
    text = str(error)
    peer, _, why = text.partition(": ")
    if "Connect call failed" not in why or not isinstance(error.__cause__, OSError):
        return text
    number = re.search(r"\[Errno (\d+)\]", why)  # of the first address, where a name has several
    code = error.__cause__.errno or (int(number[1]) if number else None)
    return text if code is None else f"{peer}: {os.strerror(code).lower()}"


class Progress:
    """How far a scan is, on stderr: one line that changes in a terminal, else a line every now and then."""

    def __init__(self, survey: Survey) -> None:
        self._survey = survey
        self._terminal = sys.stderr.isatty()
        self._told = ""
        self._due: float | None = None

    def __call__(self) -> None:
        survey = self._survey
        text = f"unit {survey.at} ({survey.asked + 1} of {len(survey.units)}), {len(survey.found)} found"
        if self._terminal:
            if text != self._told:
                click.echo(f"\r{text}\033[K", err=True, nl=False)
                self._told = text
            return
        now = asyncio.get_running_loop().time()
        self._due = now + PROGRESS_S if self._due is None else self._due
        if now >= self._due:
            click.echo(text, err=True)
            self._due = now + PROGRESS_S

    def clear(self) -> None:
        if self._told:
            click.echo("\r\033[K", err=True, nl=False)


def _remarks(endpoint: str, survey: Survey, lost: str, interrupted: bool) -> Iterator[str]:
    hint = WIRING if endpoint.startswith("rtu:") else ONE_CLIENT
    if interrupted:
        yield f"interrupted: {survey.asked} of {len(survey.units)} units were asked"
    elif lost and survey.found:
        yield f"{lost}; ended at unit {survey.at}, {survey.asked} of {len(survey.units)} units were asked"
    elif lost:
        yield lost if endpoint.startswith("rtu:") else f"{lost}; {ONE_CLIENT}"
    elif survey.late:
        yield f"{endpoint}: answers came after their time-out, and units may be missing; scan again with more --timeout"
    elif not survey.found and survey.gateway:
        yield f"{endpoint}: a gateway answers, and reaches none of {len(survey.units)} units behind it"
    elif not survey.found:
        yield f"{endpoint}: connected, and none of {len(survey.units)} units answered; {hint}"
    if survey.any_unit:
        yield f"{endpoint}: answers to every unit id as the same device; the first stands for all"
    for device in survey.found:
        if device.note:
            yield f"unit {device.unit}: its SunSpec models cannot be read: {device.note}"


def found_table(devices: Sequence[Device]) -> str:
    """One line a unit."""
    rows = [["unit", "profile", "role", "manufacturer", "model", "serial", "found"]]
    for device in devices:
        facts = (device.profile, device.role, device.manufacturer, device.model, device.serial)
        rows.append([str(device.unit), *(fact or "-" for fact in facts), _found(device)])
    return table(rows)


def _found(device: Device) -> str:
    parts = []
    if device.models:
        parts.append(f"SunSpec models {', '.join(map(str, device.models))}")
    if device.rated_power_w is not None:
        parts.append(f"rated {device.rated_power_w:g} W")
    if device.others:
        parts.append(f"fits {', '.join(device.others)} as well")
    if not parts:
        parts.append("answers as its profile says" if device.profile else "answers, unknown device")
    return "; ".join(parts)


def as_document(endpoint: str, found: Sequence[Device], *, complete: bool, any_unit: bool) -> dict[str, object]:
    """What --json prints; a unit's keys are those of drivers.modbus.scan.Device."""
    units = [asdict(device) for device in found]
    return {"endpoint": endpoint, "complete": complete, "any_unit": any_unit, "units": units}


_HEAD = """\
# A site file to begin with, from what answered at {endpoint}.
# What is marked with "<- your value" is a placeholder or a guess.
# Then:  dergate check FILE  and, to see what it says:  dergate read FILE {device}

site:
  id: my-site                    # <- your value: a-z, 0-9 and -; part of every MQTT topic
  rated_power: 100kW             # <- your value: agreed capacity at the point of common coupling (PCC)

devices:
"""
_TAIL = """\

control:
{pcc}the meter at the PCC; without it, no order for the PCC can be followed
  fallback:
    uplink_lost: {{after: 15min, active_power: hold}}   # <- your value: hold | release | {{limit: 50%}}
    der_lost: {{after: 30s, device_revert: 60s}}        # a device lets go of a set-point that nobody refreshes

# uplinks:                       # <- your value: the way to the DSO
#   - id: dso
#     type: mqtt
#     url: mqtts://mqtt.dso.example:8883
"""
_IDS = {"pv": "inv", "battery": "bat", "generator": "gen", "substation": "station"}


POLLS = ("1s", "2s", "5s", "10s", "30s", "1min")


def starter(endpoint: str, devices: Sequence[Device]) -> str:
    """
    A site file for an installer to go on with, which is right as it is.

    An unknown device is an example in comments; but a site has at least one device, so where none is known the first
    example stands. Devices on a serial line are read as often as it can carry.
    """
    texts = (_starter(endpoint, devices, poll) for poll in POLLS)
    if isinstance(parse_line(endpoint), Network):
        return next(texts)
    text = ""
    for text in texts:
        if _load(text) <= LOAD_WARNING:
            break
    return text


def _load(text: str) -> float:
    """The share of its lines that the devices of a site file take."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "site.yaml")
        path.write_text(text, encoding="utf-8")
        return max(map(load_of, drivers.build(load(path).devices, revert_s=None)))


def _starter(endpoint: str, devices: Sequence[Device], poll: str) -> str:
    names = _names(devices)
    known = [device for device in devices if device.profile is not None]
    living = known or devices[:1]
    meter = next((names[device.unit] for device in known if device.role == "meter"), "meter1")
    entries = []
    for device in devices:
        lead = "  " if device in living else "  # "
        lines = _entry(endpoint, device, names[device.unit], poll)
        entries.append(f"  # {_told(device)}\n" + "".join(f"{lead}{line}\n" for line in lines))
    head = _HEAD.format(endpoint=endpoint, device=names[living[0].unit])
    return head + "\n".join(entries) + _TAIL.format(pcc=_marked(f"  # pcc: {meter}"))


def _names(devices: Sequence[Device]) -> dict[int, str]:
    """An id for each unit: by its role, and counted."""
    counts: dict[str, int] = {}
    names = {}
    for device in devices:
        stem = _IDS.get(device.role or "", device.role or "device")
        counts[stem] = counts.get(stem, 0) + 1
        names[device.unit] = f"{stem}{counts[stem]}"
    return names


def _told(device: Device) -> str:
    name = (device.manufacturer, device.model, device.serial and f"serial {device.serial}")
    return "; ".join(filter(None, (f"Unit {device.unit}", " ".join(filter(None, name)), _found(device))))


def _entry(endpoint: str, device: Device, name: str, poll: str) -> Iterator[str]:
    yield f"- id: {name}"
    yield "  driver: modbus"
    yield f"  endpoint: {endpoint}"
    yield f"  unit: {device.unit}"
    if poll != POLLS[0]:
        yield f"  poll: {poll:<21}# as often as the line can carry"
    yield _marked(f"  role: {device.role or 'meter'}") + "pv | battery | meter | load | generator"
    if device.role in DER_ROLES and device.rated_power_w is None:
        yield _marked("  # rated_power: 60kW") + "its nameplate, which it does not say itself"
    if device.profile is not None:
        yield f"  profile: {device.profile}"
        return
    yield _marked("  points:") + "from the vendor's register list, as wire addresses from 0"
    yield '    - {name: active_power, register: "holding:0", type: uint16, unit: W}'


def _marked(text: str) -> str:
    return f"{text:<29}# <- your value: "


def _write(path: Path, text: str, force: bool) -> None:
    try:
        with path.open("w" if force else "x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise click.ClickException(f"{path} cannot be written: {(error.strerror or str(error)).lower()}") from None
    click.echo(f"{path} was written; fill in what is marked, then: dergate check {path}", err=True)
