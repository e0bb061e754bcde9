"""`dergate activations`: the orders of a site and their lives, also while the daemon runs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import click

from gateway import identity
from gateway.commands.common import load_or_exit, reading_store, site_argument, table
from gateway.config.wording import suggest
from gateway.control.demand import told
from gateway.ledger import signed, unrecorded
from gateway.model import Entry
from gateway.store import chain, inspect
from gateway.uplink.messages.times import rfc3339

BROKEN = 4


@click.group()
@site_argument
@click.pass_context
def command(ctx: click.Context, site_file: Path) -> None:
    """
    The orders of a site, and what became of them.

    \b
    Example:
      dergate activations site.yaml list
    """
    ctx.obj = site_file


@command.command("list")
@click.pass_obj
def list_(site_file: Path) -> None:
    """
    Print every order with its present state.

    \b
    Example:
      dergate activations site.yaml list
    """
    site = load_or_exit(site_file)
    with reading_store():
        entries = inspect.entries(site.state_dir)
    if not entries:
        click.echo("no order so far")
        return
    heading = ("received", "id", "revision", "uplink", "status", "order")
    click.echo(table([heading, *(_row(entry) for entry in entries)]))


@command.command()
@click.argument("order_id", metavar="ID")
@click.pass_obj
def show(site_file: Path, order_id: str) -> None:
    """
    Print the life of one order: each acknowledgement, with what was measured.

    \b
    Example:
      dergate activations site.yaml show dso-2026-11-22-0042
    """
    site = load_or_exit(site_file)
    with reading_store():
        known = {entry.id: entry for entry in inspect.entries(site.state_dir)}
        acks = [json.loads(payload) for payload in inspect.acks(site.state_dir, order_id)]
    if order_id not in known:
        raise click.ClickException(f"there is no order {order_id!r}; {suggest(order_id, known)}")
    click.echo(f"{order_id}: {known[order_id].status}; {_order(known[order_id])}")
    heading = ("n", "time", "rev", "status", "requested", "applied", "measured", "why")
    click.echo(table([heading, *(_ack_row(ack) for ack in acks)]))


@command.command()
@click.option(
    "--export",
    metavar="FILE.jsonl",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the records as JSON lines, for others to verify.",
)
@click.pass_obj
def verify(site_file: Path, export: Path | None) -> None:
    """
    Check the ledger's chain and its signatures; exit 4 if it is broken.

    \b
    Example:
      dergate activations site.yaml verify --export ledger.jsonl
    """
    site = load_or_exit(site_file)
    try:
        with reading_store(), ExitStack() as stack:
            entries = inspect.entries(site.state_dir)  # before the ledger, which may grow meanwhile
            base, links = stack.enter_context(inspect.ledger(site.state_dir))
            if export is not None:
                links = _exported(stack.enter_context(export.open("wb")), base, links)
            verdict = chain.verify(base, links, signed)
    except OSError as error:
        raise click.ClickException(f"{export or site.state_dir}: {error.strerror or error}") from None
    key, other = _key_told(site.state_dir, verdict.keys)
    faults = [fault.text for fault in verdict.faults]
    faults += [f"{verdict.fault_count - len(faults)} more"] if verdict.fault_count > len(faults) else []
    faults += [*unrecorded(entries, verdict), *other]
    for name, text in (*_told(verdict), ("key", key)):
        click.echo(f"{name:<8} {text}")
    if export is not None:
        click.echo(f"{'export':<8} {export}")
    for fault in faults:
        click.echo(f"{'broken':<8} {fault}")
    if faults:
        raise SystemExit(BROKEN)
    click.echo(f"{'verdict':<8} the chain is whole")


def _exported(file: IO[bytes], base: chain.Base | None, links: Iterable[chain.Link]) -> Iterator[chain.Link]:
    """The same links, each written as it passes."""
    if base is not None:
        file.write(chain.heading(base) + b"\n")
    for link in links:
        file.write(chain.line(link) + b"\n")
        yield link


def _told(verdict: chain.Verdict) -> Iterator[tuple[str, str]]:
    first, last = verdict.first, verdict.last
    if first is not None and last is not None:
        yield "records", f"{verdict.records}: {first.n} of {first.time} to {last.n} of {last.time}"
    if verdict.head is not None:
        yield "head", f"{verdict.head.n} {verdict.head.hash.hex()}"


def _key_told(state_dir: Path, keys: Sequence[tuple[int, str]]) -> tuple[str, list[str]]:
    """The fingerprints of the keys in use, and a fault where the newest is not the gateway's own."""
    texts = [identity.fingerprint(key.encode()) for _, key in keys]
    told = ", then ".join(f"{text} from record {n}" for text, (n, _) in zip(texts, keys, strict=True))
    try:
        own = identity.fingerprint(identity.load(state_dir).public_key_pem)
    except identity.IdentityError as error:
        return f"{told}; not compared with the gateway's own: {error}", []
    fault = f"the gateway's own key is {own}: another one has signed, or it was replaced since the daemon was started"
    return told, [] if texts and texts[-1] == own else [fault]


def _row(entry: Entry) -> tuple[str, ...]:
    return (rfc3339(entry.received), entry.id, str(entry.revision), entry.uplink, str(entry.status), _order(entry))


def _order(entry: Entry) -> str:
    order = entry.activation
    if order is None:
        return "refused before it could be read"
    start = "at once" if order.start is None else f"from {rfc3339(order.start)}"
    end = "until cancelled" if order.end is None else f"until {rfc3339(order.end)}"
    what = " ".join(filter(None, (order.target, order.function, told(order))))
    return f"{what}, {start}, {end}, {order.kind} by {order.issuer}"


def _ack_row(ack: dict[str, Any]) -> tuple[str, ...]:
    unit = ack["unit"] or ""
    powers = ("-" if ack[key] is None else f"{ack[key]:.0f} {unit}" for key in ("requested", "applied", "measured"))
    why = ": ".join(text for text in (ack["code"], ack["detail"]) if text)
    return (str(ack["n"]), ack["time"], str(ack["revision"]), ack["status"], *powers, why)
