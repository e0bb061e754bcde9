"""`dergate run`: the daemon."""

from __future__ import annotations

import signal
import sys
from importlib import import_module
from pathlib import Path
from types import FrameType

import click

from gateway import log
from gateway.commands.common import load_or_exit, site_argument


@click.command()
@site_argument
@click.option("--log-level", type=click.Choice(log.LEVELS), default="info", show_default=True)
def command(site_file: Path, log_level: str) -> None:
    """
    Run the gateway of a site in the foreground, with logs on stderr.

    Ends with 0 on SIGTERM, 1 on a fault, 2 on a bad site file: then nothing was started.

    \b
    Example:
      dergate run /etc/dergate/site.yaml
    """
    signal.signal(signal.SIGTERM, _stop)  # until the application has its own way to stop
    log.setup(log_level)
    site = load_or_exit(site_file, "nothing was started")
    sys.exit(import_module("gateway.app").main(site))


def _stop(_signal: int, _frame: FrameType | None) -> None:
    sys.exit(0)
