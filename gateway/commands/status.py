"""`dergate status`: asks the running daemon over its local API."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, NoReturn

import click

from gateway.commands.common import load_or_exit, table

DEFAULT_ADDRESS = "127.0.0.1:8080"
NOT_RUNNING = 3
TIMEOUT_S = 5.0
STATE_BYTES_MAX = 16_000_000
"""A site of some thousand set-points; what answers with more is not ours."""

State = dict[str, Any]


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
    address, site_id = DEFAULT_ADDRESS, None
    if site_file is not None:
        site = load_or_exit(site_file)
        if site.local.http is None:
            not_running(f"{site_file}: local.http is not set, so its gateway answers nowhere")
        address, site_id = site.local.http, site.site.id
    state = ask(address)
    if site_id not in {None, state["site"]}:
        not_running(f"at {address} the gateway of another site answers: {state['site']}, not {site_id}")
    click.echo(json.dumps(state, indent=2) if as_json else table(rows(state)))


def not_running(reason: str) -> NoReturn:
    """Exit 3 with one line."""
    click.echo(f"dergate status: {reason}", err=True)
    sys.exit(NOT_RUNNING)


def ask(address: str) -> State:
    """The state that a gateway gives at `host:port`; or one line on stderr, and exit 3."""
    connection = HTTPConnection(address, timeout=TIMEOUT_S)
    try:
        connection.request("GET", "/api/v1/state", headers={"Connection": "close"})
        answer = connection.getresponse()
        body = answer.read(STATE_BYTES_MAX)
    except ConnectionRefusedError:
        not_running(f"no gateway runs: nothing listens at {address}")
    except (OSError, HTTPException) as error:
        not_running(f"no gateway answers at {address}: {error or type(error).__name__}")
    finally:
        connection.close()
    try:
        state = json.loads(body)
    except ValueError:
        state = None
    if answer.status != 200 or not isinstance(state, dict) or "uptime_s" not in state:
        not_running(f"what answers at {address} is no gateway (HTTP {answer.status})")
    return state


def rows(state: State) -> Iterator[tuple[str, str]]:
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
