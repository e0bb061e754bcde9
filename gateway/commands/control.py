"""`dergate control`: by which rules the gateway decides, and who decides what now."""

from __future__ import annotations

import json
from pathlib import Path

import click
import msgspec

import drivers
from gateway import clock
from gateway.assemble import plant_of
from gateway.commands import control_page as page
from gateway.commands import local
from gateway.commands.common import load_or_exit, site_argument
from gateway.commands.local import Document, NotRunning
from gateway.config import Site
from gateway.control.capability import Known, View, ders_now
from gateway.control.explain import abilities_of, rules_of
from gateway.image import Image


@click.group()
def command() -> None:
    """
    How orders are arbitrated.

    \b
    Example:
      dergate control explain site.yaml
    """


@command.command("explain")
@site_argument
@click.option("--json", "as_json", is_flag=True, help="Print the rules and the running gateway's decision as JSON.")
def explain_(site_file: Path, as_json: bool) -> None:
    """
    Print the arbitration table of a site; where its gateway runs, also which order decides each quantity now.

    \b
    Example:
      dergate control explain site.yaml
    """
    site = load_or_exit(site_file)
    told: Document = by_file(site)
    try:
        told |= {"running": ask(site), "not_running": None}
    except NotRunning as reason:
        told |= {"running": None, "not_running": str(reason)}
    click.echo(json.dumps(told, indent=2) if as_json else "\n".join(page.lines(told)))


def by_file(site: Site) -> Document:
    """The rules of a site, and what its targets can do as far as the site file tells."""
    plant = plant_of(site)
    plates = [plate for line in drivers.build(site.devices, revert_s=None) for plate in line.nameplates]
    snapshot = Image(plates).snapshot(clock.now())
    view = View(plant, ders_now(plant, Known(), snapshot), snapshot)
    told = {"site": site.site.id, "rules": rules_of(plant), "abilities": abilities_of(view)}
    document: Document = json.loads(msgspec.json.encode(told))
    return document


def ask(site: Site) -> Document:
    """
    What the site's gateway tells of its control.

    Raises:
        NotRunning: There is none that could be asked.
    """
    return local.ask(site.local.http, "control", site=site.site.id, key="places")
