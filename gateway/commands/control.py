"""`dergate control`: by which rules the gateway decides, and who decides what now."""

from __future__ import annotations

import json
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import click
import msgspec

import drivers
from gateway import clock
from gateway.assemble import plant_of
from gateway.commands import control_page as page
from gateway.commands.common import load_or_exit, site_argument
from gateway.config import Site
from gateway.control.capability import Known, View, ders_now
from gateway.control.explain import abilities_of, rules_of
from gateway.image import Image

TIMEOUT_S = 5.0
ANSWER_BYTES_MAX = 16_000_000
"""A site of some thousand set-points; what answers with more is not ours."""

Document = dict[str, Any]


class NotRunning(Exception):
    """No gateway of this site answers; the text says what does."""


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
    address = site.local.http
    if address is None:
        raise NotRunning("local.http is not set in the site file, so its gateway answers nowhere")
    connection = HTTPConnection(address, timeout=TIMEOUT_S)
    try:
        connection.request("GET", "/api/v1/control", headers={"Connection": "close"})
        answer = connection.getresponse()
        body = answer.read(ANSWER_BYTES_MAX)
    except ConnectionRefusedError:
        raise NotRunning(f"no gateway runs: nothing listens at {address}") from None
    except (OSError, HTTPException) as error:
        raise NotRunning(f"no gateway answers at {address}: {error or type(error).__name__}") from None
    finally:
        connection.close()
    try:
        told = json.loads(body)
    except ValueError:
        told = None
    if answer.status != 200 or not isinstance(told, dict) or "places" not in told:
        raise NotRunning(f"what answers at {address} tells nothing of its control (HTTP {answer.status})")
    if told["site"] != site.site.id:
        raise NotRunning(f"at {address} the gateway of another site answers: {told['site']}, not {site.site.id}")
    return told
