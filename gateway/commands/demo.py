"""`dergate demo`: the whole loop on one machine."""

from __future__ import annotations

import sys

import click

from gateway.commands.common import extra


@click.command()
@click.option(
    "--seconds", type=click.FloatRange(min=1), help="Let it run on for so long; left out: it ends with its script."
)
@click.option("--no-browser", is_flag=True, expose_value=False, help="Open no browser window; none is opened anyway.")
def command(seconds: float | None) -> None:
    """
    Show the whole loop on this machine: simulated devices, a broker, a DSO that curtails and releases.

    Ends with 0 when every acknowledgement arrived and the measured power obeyed.

    \b
    Example:
      dergate demo --seconds 120
    """
    sys.exit(extra("hil.demo").run(seconds=seconds))
