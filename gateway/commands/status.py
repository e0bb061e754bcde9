"""`dergate status`: asks the running daemon over its local API."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from gateway.commands.common import load_or_exit, table
from gateway.commands.local import Document, NotRunning, ask

DEFAULT_ADDRESS = "127.0.0.1:8080"
NOT_RUNNING = 3


@click.command()
@click.argument("site_file", metavar="[SITE.yaml]", type=click.Path(path_type=Path), required=False)
@click.option("--json", "as_json", is_flag=True, help="Print the state as the local API gives it.")
def command(site_file: Path | None, as_json: bool) -> None:
    """
    Ask the running gateway how it is, at the local.http of the site file; without one at 127.0.0.1:8080.

    Ends with 3 when no gateway of this site answers there.

    \b
    Example:
      dergate status site.yaml
    """
    address: str | None = DEFAULT_ADDRESS
    site_id = None
    if site_file is not None:
        site = load_or_exit(site_file)
        address, site_id = site.local.http, site.site.id
    try:
        state = ask(address, "state", site=site_id, key="uptime_s")
    except NotRunning as reason:
        click.echo(f"dergate status: {reason}", err=True)
        sys.exit(NOT_RUNNING)
    click.echo(json.dumps(state, indent=2) if as_json else table(rows(state)))


def rows(state: Document) -> Iterator[tuple[str, str]]:
    """The state on one page; `-` is what is not known."""
    name = f" ({state['name']})" if state["name"] else ""
    yield "site", f"{state['site']}{name}"
    yield "version", f"{state['version']}, up {duration(state['uptime_s'])}"
    yield "health", "every part makes progress" if state["healthy"] else "; ".join(state["reasons"])
    devices = state["devices"]
    away = f", away: {', '.join(devices['away'])}" if devices["away"] else ""
    yield "devices", f"{devices['online']} of {devices['configured']} online{away}"
    for uplink in state["uplinks"]:
        connected = "connected" if uplink["connected"] else "not connected"
        waiting = f"waiting: {uplink['frames_pending']} frames, {uplink['messages_pending']} messages"
        yield f"uplink {uplink['id']}", f"{connected}; {waiting}"
    yield "activations", f"{state['activations']['open']} open"
    for one in state["mirror"]["quantities"]:
        until = f" until {one['expires']}" if one["expires"] else ""
        limited = f", limited by {one['limited_by']}" if one["limited_by"] else ""
        value = f"{number(one['value'])} {one['unit']}"
        yield f"{one['target']} {one['quantity']}", f"{one['function']} {value} by {one['source']}{until}{limited}"
    room = state["mirror"]["headroom"]
    yield (
        "headroom",
        f"+{number(room['p_up'])} -{number(room['p_down'])} W, +{number(room['q_up'])} -{number(room['q_down'])} var",
    )
    for setpoint in state["control"]["setpoints"]:
        if setpoint["error"]:
            yield f"write {setpoint['point']}", setpoint["error"]


def number(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"


def duration(seconds: float) -> str:
    """
    The two largest units.

    >>> duration(3.2), duration(125), duration(90_000)
    ('3 s', '2 min 5 s', '1 d 1 h')
    """
    parts: list[str] = []
    rest = int(seconds)
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1)):
        count, rest = divmod(rest, size)
        if count or (unit == "s" and not parts):
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2])
