"""`dergate activations`: the orders of a site and their lives, also while the daemon runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from gateway.commands.common import load_or_exit, reading_store, site_argument, table
from gateway.config.wording import suggest
from gateway.control.demand import told
from gateway.model import Entry
from gateway.store import inspect
from gateway.uplink.messages.times import rfc3339


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
