"""`dergate commission`: sign and follow tests of each device with the operator's consent, and a signed protocol."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import click

import drivers
from gateway import __version__, clock, identity
from gateway.commands.common import load_or_exit
from gateway.commissioning import folder
from gateway.commissioning.bench import running
from gateway.commissioning.protocol import Heading
from gateway.commissioning.result import Device, Result, Verdict, counted, worst
from gateway.commissioning.session import Consent, Session, Timing
from gateway.config import Site, configuration_hash
from gateway.identity import Identity, IdentityError
from gateway.model import Hold
from gateway.store import Limits, Store, StoreError
from gateway.store.errors import StoreLocked
from gateway.uplink.messages.times import rfc3339

FAILED, FORGED = 1, 4
COMPLETE, BROKEN_OFF = "complete", "broken off"
LINE_MAX = 4096
"""What a terminal gives at once."""
_COLOURS = {Verdict.PASS: "green", Verdict.FAIL: "red", Verdict.INCONCLUSIVE: "yellow", Verdict.NOT_RUN: "bright_black"}
_TIMING = Timing()
_VERDICT_WIDTH = max(map(len, Verdict))

log = logging.getLogger(__name__)


@click.command()
@click.argument("site_file", metavar="SITE.yaml", type=click.Path(path_type=Path), required=False)
@click.option("--yes", "-y", is_flag=True, help="Agree to all writes, without being asked for each device.")
@click.option("--read-only", is_flag=True, help="Run the reading tests only; nothing is written to any device.")
@click.option("--operator", default="", metavar="NAME", help="Who runs the tests; stands in the protocol.")
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Where the protocol goes.  [default: ./commissioning-<site>-<time>]",
)
@click.option(
    "--nominal-voltage",
    "nominal_v",
    type=click.FloatRange(min=1.0),
    default=400.0,
    show_default=True,
    metavar="V",
    help="Voltage of the grid between two phases.",
)
@click.option(
    "--verify",
    "protocol",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    metavar="DIR",
    help="Check a protocol's signature instead; with SITE.yaml, also that it is by this gateway's key.",
)
@click.option("--read-seconds", "read_s", type=float, default=_TIMING.read_s, hidden=True)
@click.option("--appear-seconds", "appear_s", type=float, default=_TIMING.appear_s, hidden=True)
@click.option("--follow-seconds", "follow_s", type=float, default=_TIMING.follow_s, hidden=True)
@click.option("--hold-seconds", "hold_s", type=float, default=_TIMING.hold_s, hidden=True)
@click.option("--cycles", type=click.IntRange(1, 20), default=_TIMING.cycles, hidden=True)
def command(
    site_file: Path | None,
    yes: bool,
    read_only: bool,
    operator: str,
    output: Path | None,
    nominal_v: float,
    protocol: Path | None,
    read_s: float,
    appear_s: float,
    follow_s: float,
    hold_s: float,
    cycles: int,
) -> None:
    """
    Test the devices of a site before it goes live, and write a signed protocol.

    Reads every device, then, with your consent, steps each controllable one by a tenth of its rated power and watches
    it and the meter at the connection point. Afterwards what stood in the device before stands there again. The daemon
    must not run meanwhile.

    Ends with 0, 1 if a device fails or the tests were broken off, 2 for a bad site file; --verify with 4 if the
    protocol is not as it was signed.

    \b
    Example:
      dergate commission site.yaml --operator "A. Miller"
      dergate commission --verify commissioning-pv-park-7-20261122-101500
    """
    if site_file is None and protocol is None:
        raise click.UsageError("Missing argument 'SITE.yaml'.")
    site = load_or_exit(site_file, "nothing was started") if site_file is not None else None
    if protocol is not None:
        sys.exit(_verify(protocol, site))
    assert site is not None  # noqa: S101 - one of both was given
    timing = Timing(read_s=read_s, appear_s=appear_s, follow_s=follow_s, hold_s=hold_s, cycles=cycles)
    asking = _Asking(yes=yes, read_only=read_only, terminal=sys.stdin.isatty())
    sys.exit(_commission(site, asking, timing, operator=operator, output=output, nominal_v=nominal_v))


def _verify(protocol: Path, site: Site | None) -> int:
    try:
        known = identity.load(site.state_dir).public_key_pem if site is not None else None
        content = folder.check(protocol, known)
    except IdentityError as error:
        raise click.ClickException(str(error)) from None
    except (folder.Forged, OSError) as error:
        click.echo(f"{protocol}: {error}", err=True)
        return FORGED
    click.echo(f"{protocol}: as signed by key {content['key']}: {content['site']}, {content['time']}")
    click.echo(f"verdict {content['verdict']}, operator {content['operator'] or 'not named'}")
    return 0


@dataclass(slots=True)
class _Asking:
    """How consent is come by, and what was said for which device."""

    yes: bool
    read_only: bool
    terminal: bool
    given: dict[str, str] = field(default_factory=dict)

    @property
    def consent(self) -> Consent | None:
        return self._ask if not self.read_only and (self.yes or self.terminal) else None

    @property
    def why_not(self) -> str:
        return (
            "reading tests only: --read-only" if self.read_only else "no consent: no terminal to ask at, and no --yes"
        )

    async def _ask(self, device: Device, told: str) -> bool:
        _say(f"\n{device.id}: will be written: {told}")
        if self.yes:
            self.given[device.id] = f"given by --yes: {told}"
            return True
        click.echo("go ahead? [y/N] ", nl=False)
        agreed = (await _line()).strip().lower() in {"y", "yes"}
        self.given[device.id] = f"{'given' if agreed else 'refused'} at the terminal: {told}"
        return agreed


async def _line() -> str:
    """One line of the terminal; devices are read on meanwhile, and a signal ends the waiting."""
    loop, terminal = asyncio.get_running_loop(), sys.stdin.fileno()
    readable = asyncio.Event()
    loop.add_reader(terminal, readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(terminal)
    with suppress(OSError):  # a terminal that is gone agrees to nothing, nor does what was typed ahead
        return os.read(terminal, LINE_MAX).decode(errors="replace")
    return ""


class _Holds:
    """What stood in a point, in the store: the daemon gives it back at its start when we cannot any more."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._theirs = {hold.point for hold in store.holds()}  # of orders that the daemon has not ended: they stay

    async def take(self, hold: Hold) -> None:
        if hold.point not in self._theirs:
            await self._store.commit(holds=[hold])

    async def release(self, point: str) -> None:
        if point in self._theirs:
            return
        try:
            await self._store.commit(released=[point])
        except StoreError as error:  # the daemon will give back once more what was given back: no harm
            log.warning("%s", error)


def _commission(
    site: Site, asking: _Asking, timing: Timing, *, operator: str, output: Path | None, nominal_v: float
) -> int:
    store = _open(site)
    begun = clock.now().wall
    stamp = rfc3339(begun)[:19].replace("-", "").replace(":", "").replace("T", "-")
    target = output or Path(f"commissioning-{site.site.id}-{stamp}")
    try:
        key = identity.load_or_create(site.state_dir)
        results, ended = asyncio.run(_run(site, store, asking, timing, nominal_v))
        heading = Heading(
            site=site.site.id,
            site_name=site.site.name,
            configuration=configuration_hash(site),
            version=__version__,
            begun=rfc3339(begun),
            finished=rfc3339(clock.now().wall),
            operator=operator,
            consent=asking.given if asking.consent else dict.fromkeys(site.ders, asking.why_not),
            ended=ended,
        )
        _write(target, heading, results, key)
    except (StoreError, IdentityError) as error:
        raise click.ClickException(str(error)) from None
    verdict = worst(results)
    click.echo(
        f"\n{ended}: {counted(results)}; protocol in {target}, signed by key {identity.fingerprint(key.public_key_pem)}"
    )
    return FAILED if verdict is Verdict.FAIL or ended != COMPLETE else 0


def _write(target: Path, heading: Heading, results: Sequence[Result], key: Identity) -> None:
    try:
        folder.write(target, heading, results, key)
    except OSError as error:
        raise click.ClickException(f"{target}: the protocol cannot be written: {error.strerror or error}") from None


def _open(site: Site) -> Store:
    """The store, ours alone until the process ends."""
    folder_ = site.state_dir
    if os.geteuid() == 0 and folder_.exists() and (owner := folder_.stat().st_uid) != 0:
        raise click.ClickException(
            f"{folder_} belongs to user {owner}, and root would leave files in it that the daemon cannot open; "
            f"run it as that user: sudo -u '#{owner}' dergate commission …"
        )
    limits = Limits(
        commit_interval_s=site.buffer.commit_interval,
        max_size_bytes=site.buffer.max_size,
        max_age_s=site.buffer.max_age,
    )
    try:
        store = Store.open(folder_, now=clock.now, limits=limits)
    except StoreLocked as error:
        raise click.ClickException(f"{error}: the daemon and the tests would fight over the devices") from None
    except StoreError as error:
        raise click.ClickException(str(error)) from None
    for uplink in site.uplinks:
        store.register(uplink.id)  # what they wait for is not history
    return store


async def _run(site: Site, store: Store, asking: _Asking, timing: Timing, nominal_v: float) -> tuple[list[Result], str]:
    """The results, and how it ended. SIGTERM, Ctrl-C or a lost terminal end it, not before all is given back."""
    await store.start()
    try:
        # No reversion is armed: registers are left as they were found, and the journaled holds outlive this process.
        async with running(drivers.build(site.devices, revert_s=None), clock.now) as bench:
            session = Session(
                bench,
                _devices(site),
                pcc=site.control.pcc,
                nominal_v=nominal_v,
                timing=timing,
                keeper=_Holds(store),
                consent=asking.consent,
                no_consent=asking.why_not,
                tell=_tell,
            )
            tests = asyncio.create_task(session.run(), name="tests")
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                asyncio.get_running_loop().add_signal_handler(number, tests.cancel)
            await asyncio.wait({tests})
            if not tests.cancelled():
                tests.result()
            return session.results, BROKEN_OFF if tests.cancelled() else COMPLETE
    finally:
        await store.close()


def _devices(site: Site) -> list[Device]:
    ders = set(site.ders)
    rated = {site.control.pcc: site.site.rated_power}
    return [
        Device(one.id, one.role, one.rated_power or rated.get(one.id), controlled=one.id in ders)
        for one in site.devices
    ]


def _tell(result: Result) -> None:
    verdict = click.style(f"{result.verdict:<{_VERDICT_WIDTH}}", fg=_COLOURS[result.verdict], bold=True)
    _say(f"{verdict}  {result.device}: {result.test}: {result.measured}".rstrip(": "))
    if result.advice and result.verdict is not Verdict.PASS:
        _say(f"{'':<{_VERDICT_WIDTH}}  → {result.advice}")


def _say(line: str) -> None:
    with suppress(OSError):  # the terminal may be gone; the protocol says it all
        click.echo(line)
