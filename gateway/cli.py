"""The commands of `dergate`. Each stands in its own module and is imported when it is asked for."""

from __future__ import annotations

from importlib import import_module

import click

from gateway import __version__

_COMMANDS = {
    "demo": "gateway.commands.demo",
    "run": "gateway.commands.run",
    "check": "gateway.commands.check",
    "schema": "gateway.commands.schema",
    "scan": "gateway.commands.scan",
    "read": "gateway.commands.read",
    "buffer": "gateway.commands.buffer",
    "activations": "gateway.commands.activations",
    "dso": "gateway.commands.dso",
    "commission": "gateway.commands.commission",
    "status": "gateway.commands.status",
    "control": "gateway.commands.control",
}


class _Commands(click.Group):
    """The daemon must not carry what only other commands need: memory counts on a small host."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = import_module(_COMMANDS[cmd_name]).command
        return command


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="dergate")
def main() -> None:
    """
    The edge gateway between a distribution system operator and the devices of one site.

    \b
    Example:
      dergate check site.yaml && dergate run site.yaml
    """


if __name__ == "__main__":
    main()
