"""`dergate buffer`: what the store holds, also while the daemon runs."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable
from pathlib import Path

import click

from gateway.commands.common import load_or_exit, moment, reading_store, site_argument, table
from gateway.model import Frame, Quality
from gateway.store import inspect
from gateway.uplink.messages.times import rfc3339


@click.group()
@site_argument
@click.pass_context
def command(ctx: click.Context, site_file: Path) -> None:
    """
    Look into the store of a site, also while the daemon runs.

    \b
    Example:
      dergate buffer site.yaml stats
    """
    ctx.obj = site_file


@command.command()
@click.pass_obj
def stats(site_file: Path) -> None:
    """
    Print how much is kept, and how much each uplink still has to deliver.

    \b
    Example:
      dergate buffer site.yaml stats
    """
    site = load_or_exit(site_file)
    with reading_store():
        found = inspect.stats(site.state_dir)
    numbers = "none" if found.first is None else f"{found.first} to {found.last}"
    times = " to ".join(rfc3339(time) for time in (found.oldest, found.newest) if time is not None)
    rows = [
        ("store", str(site.state_dir)),
        ("epoch", f"{found.epoch}, session {found.session}"),
        ("frames", f"{found.frames} (numbers {numbers})"),
        ("times", times or "none"),
        ("messages", str(found.messages)),
        ("size", f"{found.size_bytes / 1e6:.1f} MB of {site.buffer.max_size / 1e6:.0f} MB"),
    ]
    for one in found.uplinks:
        waiting = f"waiting: {one.frames} frames, {one.messages} messages"
        rows.append((f"uplink {one.uplink}", f"acknowledged to {one.position}; {waiting}"))
    click.echo(table(rows))


@command.command()
@click.option("--from", "since", type=moment, help="From this time on, like 2026-11-22T10:00:00Z.")
@click.option("--to", "until", type=moment, help="Until before this time.")
@click.option("--format", "form", type=click.Choice(("csv", "jsonl")), default="csv", show_default=True)
@click.pass_obj
def export(site_file: Path, since: float | None, until: float | None, form: str) -> None:
    """
    Print the kept measurements: csv has one row a value, jsonl one object a frame.

    \b
    Example:
      dergate buffer site.yaml export --from 2026-11-22T10:00:00Z --format csv > values.csv
    """
    site = load_or_exit(site_file)
    with reading_store():
        frames = inspect.frames(site.state_dir, since, until)
        _write_csv(frames) if form == "csv" else _write_jsonl(frames)


def _write_csv(frames: Iterable[tuple[int, Frame]]) -> None:
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(("seq", "time", "point", "value", "quality"))
    for seq, frame in frames:
        for point in sorted({*frame.values, *frame.quality}):
            quality = frame.quality.get(point, Quality.GOOD)
            out.writerow((seq, rfc3339(frame.time), point, frame.values.get(point, ""), quality))


def _write_jsonl(frames: Iterable[tuple[int, Frame]]) -> None:
    for seq, frame in frames:
        line = {"seq": seq, "time": rfc3339(frame.time), "values": dict(frame.values)}
        if frame.quality:
            line["quality"] = dict(frame.quality)
        click.echo(json.dumps(line))
