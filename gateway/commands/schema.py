"""`dergate schema`: what an editor needs to help with a site file."""

from __future__ import annotations

import json

import click

from gateway import config


@click.command()
def command() -> None:
    """
    Print the JSON Schema of the site file, for editors.

    \b
    Example:
      dergate schema > site.schema.json
      then as first line of the site file:
      # yaml-language-server: $schema=site.schema.json
    """
    click.echo(json.dumps(config.schema(), indent=2, ensure_ascii=False))
