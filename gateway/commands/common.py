"""What the commands share: how a site file is given, how faults and tables are printed."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import NoReturn

import click

from drivers.config import parse_duration
from gateway.config import Fault, Site, SiteFaults, load
from gateway.store.errors import StoreError
from gateway.uplink.messages.times import epoch

BAD_CONFIGURATION = 2
NOT_READ = 3

site_argument = click.argument("site_file", metavar="SITE.yaml", type=click.Path(path_type=Path))


def load_or_exit(path: Path, consequence: str = "") -> Site:
    """The site; or one line a fault on stderr, and exit 2."""
    try:
        return load(path)
    except SiteFaults as error:
        refuse(path, error.faults, consequence)


def refuse(path: Path, faults: Sequence[Fault], consequence: str = "") -> NoReturn:
    """Exit 2 with one line a fault, and the count in the last line."""
    for fault in faults:
        click.echo(str(fault), err=True)
    count = f"{len(faults)} fault{'s' if len(faults) != 1 else ''}"
    click.echo(f"{path}: {count}{f', {consequence}' if consequence else ''}", err=True)
    sys.exit(BAD_CONFIGURATION)


def extra(module: str) -> ModuleType:
    """A module of the HIL side; a missing library is a sentence that says how to get it, and exit 1."""
    try:
        return import_module(module)
    except ImportError as error:
        raise click.ClickException(
            f"this command needs the library {error.name!r}; get it with: pip install 'dergate[hil]'"
        ) from None


@contextmanager
def reading_store() -> Iterator[None]:
    """A store that cannot be read is a sentence, and exit 1."""
    try:
        yield
    except StoreError as error:
        raise click.ClickException(str(error)) from None


def moment(text: str) -> float:
    """An option's time, as UTC seconds."""
    try:
        return epoch(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} should be a time like 2026-11-22T10:00:00Z") from None


def duration(text: str) -> float:
    """An option's duration, as seconds."""
    try:
        return parse_duration(text)
    except ValueError as error:
        raise click.BadParameter(f"{text!r} {error}") from None


def table(rows: Iterable[Sequence[str]]) -> str:
    """Columns aligned to the left; the first row is the heading."""
    rows = [[*row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
