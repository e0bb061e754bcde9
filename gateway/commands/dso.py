"""`dergate dso`: the DSO's side of the contract, from a shell."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from gateway import clock
from gateway.commands import dso_order
from gateway.commands.common import duration, extra, moment
from gateway.uplink.config import SecretError, read_password
from gateway.uplink.messages.times import rfc3339

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
_CONNECTION = (
    click.option("--url", default="mqtt://127.0.0.1:1883", show_default=True, help="The broker: mqtt:// or mqtts://."),
    click.option("--site", required=True, help="Id of the site."),
    click.option("--prefix", default="der/v1", show_default=True, help="Topic prefix, as in the site file."),
    click.option("--username", help="Name at the broker."),
    click.option("--password-file", type=_FILE, help="File whose first line is the password."),
    click.option("--ca", type=_FILE, help="Certificate of the authority that signed the broker's."),
    click.option("--cert", type=_FILE, help="Our own certificate."),
    click.option("--key", type=_FILE, help="The key of our own certificate."),
)


def _connection(function: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(_CONNECTION):
        function = option(function)
    return function


@click.group()
def command() -> None:
    """
    Act as the DSO: send orders to a site, watch what it says.

    \b
    Example:
      dergate dso watch --site pv-park-7
    """


@command.command()
@_connection
@click.option("--target", default="pcc", show_default=True, help="pcc, plant or a device id.")
@click.option(
    "--function",
    "function_",
    default="limit_active_power",
    show_default=True,
    help="What to do; above is an example of each.",
)
@dso_order.options
@click.option("--start", type=moment, help="From when on; left out: now.")
@click.option("--end", type=moment, help="Until when; left out: until cancelled.")
@click.option("--for", "for_s", type=duration, help="For how long, like 10min, in place of --end.")
@click.option("--id", "order_id", help="Id of the order; left out: a new one.")
@click.option("--revision", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--issuer", default="dso", show_default=True)
@click.option("--cancel", metavar="ID", help="Cancel this order; nothing else is sent.")
@click.option("--timeout", type=click.FloatRange(min=0.1), default=30.0, show_default=True, help="Seconds to wait.")
def send(
    target: str,
    function_: str,
    start: float | None,
    end: float | None,
    for_s: float | None,
    order_id: str | None,
    revision: int,
    issuer: str,
    cancel: str | None,
    timeout: float,
    **more: Any,
) -> None:
    """
    Send an order, or cancel one, and print its acknowledgements.

    Ends with 0 when it became effective, 5 when it was rejected, 1 otherwise. A schedule without --start starts now.

    \b
    Example:
      dergate dso send --site pv-park-7 --target pcc --value 60 --unit % --for 10min
      dergate dso send --site pv-park-7 --function set_active_power --target bat1 --schedule day.csv --resolution 15min
      dergate dso send --site pv-park-7 --function set_reactive_power --value -12000 --unit var
      dergate dso send --site pv-park-7 --function set_power_factor --target inv1 --value 0.95 --excitation under
      dergate dso send --site pv-park-7 --function limit_import --value 30000 --mean 15min
      dergate dso send --site pv-park-7 --function limit_export --value 70 --unit %
      dergate dso send --site pv-park-7 --function volt_var --curve 0.92:0.44,0.98:0,1.02:0,1.08:-0.44 --response 5s
      dergate dso send --site pv-park-7 --function volt_watt --preset ieee1547-2018-b
      dergate dso send --site pv-park-7 --function watt_var --curve 0.2:0,0.5:0,1:-0.44
      dergate dso send --site pv-park-7 --function watt_power_factor --curve 0.5:1,1:-0.9
      dergate dso send --site pv-park-7 --function frequency_droop --droop deadband_hz=0.2,droop=0.05,response_s=2
      dergate dso send --site pv-park-7 --function reserve --reserve-up 10000 --reserve-down 5000
      dergate dso send --site pv-park-7 --function disconnect --target inv1
      dergate dso send --site pv-park-7 --function connect --target inv1
      dergate dso send --site pv-park-7 --cancel dso-2026-11-22-0042
    """
    ordered = {name: more.pop(name) for name in dso_order.NAMES}
    if end is not None and for_s is not None:
        raise click.UsageError("give either --end or --for")
    if cancel is not None:
        what: dict[str, Any] = {"cancel": (cancel, revision)}
    else:
        content = dso_order.content(function_, **ordered)
        if start is None and "schedule" in content:
            start = clock.now().wall
        if for_s is not None:
            end = (clock.now().wall if start is None else start) + for_s
        order = {
            "id": order_id,
            "revision": revision,
            "issuer": issuer,
            "target": target,
            "function": function_,
            **content,
            "start": None if start is None else rfc3339(start),
            "end": None if end is None else rfc3339(end),
        }
        what = {"order": {key: field for key, field in order.items() if field is not None}}
    sys.exit(extra("hil.dso.commands").send_command(**_broker(**more), **what, timeout_s=timeout))


@command.command()
@_connection
@click.option("--json", "json_lines", is_flag=True, help="One JSON object a line.")
def watch(json_lines: bool, **connection: Any) -> None:
    """
    Print measurements, acknowledgements and events of a site until Ctrl-C.

    \b
    Example:
      dergate dso watch --site pv-park-7 --url mqtt://127.0.0.1:1883
    """
    sys.exit(extra("hil.dso.commands").watch_command(**_broker(**connection), json_lines=json_lines))


def _broker(
    *,
    url: str,
    site: str,
    prefix: str,
    username: str | None,
    password_file: Path | None,
    ca: Path | None,
    cert: Path | None,
    key: Path | None,
) -> dict[str, Any]:
    try:
        password = None if password_file is None else read_password(password_file)
    except SecretError as error:
        raise click.ClickException(str(error)) from None
    return {
        "url": url,
        "site": site,
        "prefix": prefix,
        "username": username,
        "password": password,
        "tls": extra("hil.dso.client").Tls(ca=ca, certificate=cert, key=key) if ca or cert or key else None,
    }
