"""What `dergate dso send` orders: its options, and the fields of the activation that they are."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable
from math import isfinite
from pathlib import Path
from typing import Any

import click

from gateway.commands.common import duration

FILE_MAX = 256 * 1024
"""Bytes of a schedule's file: a gateway takes no longer payload."""
RESOLUTION_S = 900.0
"""The step of the day-ahead market."""
DEFAULT_UNITS = {
    "limit_active_power": "W",
    "set_active_power": "W",
    "set_reactive_power": "var",
    "limit_import": "W",
    "limit_export": "W",
}
"""The functions whose numbers have a unit, and which it is unless told."""
SWITCHES = frozenset({"connect", "disconnect"})
"""The functions that need no number."""

Json = dict[str, Any]


def curve(text: str) -> list[tuple[float, float]]:
    """The points of `x:y,x:y`, in per unit."""
    try:
        return [(_number(x), _number(y)) for x, y in (point.split(":") for point in text.split(","))]
    except ValueError:
        raise click.BadParameter(f"{text!r} should be points x:y, like 0.92:0.44,0.98:0,1.02:0,1.08:-0.44") from None


def pairs(text: str) -> Json:
    """The object of `key=value,key=value`; what is no number is a text."""
    words = [part.partition("=") for part in text.split(",")]
    if not all(key and value for key, _, value in words):
        raise click.BadParameter(f"{text!r} should be pairs key=value, like deadband_hz=0.2,droop=0.05")
    return {key.strip(): _number_or_text(value.strip()) for key, _, value in words}


def schedule(text: str) -> Json:
    """
    The values of a file, one a step: a CSV file with one value a line, below a heading or not, or a JSON file with a
    list, or with an object as in the contract, which has its own resolution.
    """
    path = Path(text)
    try:
        if path.stat().st_size > FILE_MAX:
            raise click.BadParameter(f"{text} has {path.stat().st_size} bytes; accepted are up to {FILE_MAX}")
        written = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise click.BadParameter(f"{text} cannot be read: {error}") from None
    said = (
        _json_schedule(text, written) if path.suffix.lower() == ".json" else {"values": [*_csv_values(text, written)]}
    )
    if not said["values"]:
        raise click.BadParameter(f"{text} holds no number")
    return said


def _json_schedule(name: str, written: str) -> Json:
    try:
        said = json.loads(written, parse_constant=_number)
    except (ValueError, RecursionError) as error:
        raise click.BadParameter(f"{name} should be JSON: {error}") from None
    fields = said if isinstance(said, dict) else {"values": said}
    if not isinstance(fields.get("values"), list):
        raise click.BadParameter(f'{name} should hold a list of numbers, or {{"resolution": 900, "values": […]}}')
    return fields


def _csv_values(name: str, written: str) -> Iterable[float]:
    for number, row in enumerate(csv.reader(written.splitlines()), start=1):
        if not row:
            continue
        try:
            (cell,) = row
            yield _number(cell)
        except ValueError:
            if number > 1:  # the first line may be a heading
                raise click.BadParameter(f"{name}:{number}: found {','.join(row)!r}, accepted is one number") from None


def _number(text: str) -> float:
    number = float(text)
    if not isfinite(number):
        raise ValueError(f"{text} is not finite")
    return number


def _number_or_text(text: str) -> float | str:
    try:
        return _number(text)
    except ValueError:
        return text


_OPTIONS = (
    click.option("--value", type=float, help="How much."),
    click.option("--unit", help="Unit of the value: W, var or %; left out: W, or var of reactive power."),
    click.option("--schedule", type=schedule, metavar="FILE", help="One value a step: .csv (one a line) or .json."),
    click.option("--resolution", "resolution_s", type=duration, help="Step of the schedule; left out: 15min."),
    click.option("--curve", type=curve, metavar="X:Y,…", help="Points of a characteristic, in per unit."),
    click.option("--preset", metavar="NAME", help="A curve or a droop that the gateway knows by name."),
    click.option("--droop", type=pairs, multiple=True, metavar="KEY=VALUE,…", help="Of frequency_droop."),
    click.option("--reserve-up", "reserve_up_w", type=float, metavar="W", help="So much more has to be possible."),
    click.option("--reserve-down", "reserve_down_w", type=float, metavar="W", help="So much less has to be possible."),
    click.option("--excitation", type=click.Choice(["over", "under"]), help="Of set_power_factor."),
    click.option("--mean", "mean_s", type=duration, help="Interval on whose mean an import or export limit holds."),
    click.option("--response", "response_s", type=duration, help="Open-loop response time of a characteristic."),
)
NAMES = (
    *("value", "unit", "schedule", "resolution_s", "curve", "preset", "droop", "reserve_up_w", "reserve_down_w"),
    *("excitation", "mean_s", "response_s"),
)
"""The parameters that the options become."""


def options(function: Callable[..., None]) -> Callable[..., None]:
    """The options that say what is ordered; their values are the keyword arguments of `content`."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def content(
    function: str,
    *,
    value: float | None,
    unit: str | None,
    schedule: Json | None,
    resolution_s: float | None,
    curve: list[tuple[float, float]] | None,
    preset: str | None,
    droop: tuple[Json, ...],
    reserve_up_w: float | None,
    reserve_down_w: float | None,
    excitation: str | None,
    mean_s: float | None,
    response_s: float | None,
) -> Json:
    """
    The fields of an activation that say what is ordered. Whether they belong to the function, the gateway judges.

    Raises:
        click.UsageError: Nothing is ordered, or two things at once.
    """
    reserve = {"up_w": reserve_up_w, "down_w": reserve_down_w}
    given = {
        "--value": value if value is None else {"value": value},
        "--schedule": schedule if schedule is None else {"schedule": _stepped(schedule, resolution_s)},
        "--curve": curve if curve is None else {"curve": curve},
        "--preset": preset if preset is None else {"value" if function == "frequency_droop" else "curve": preset},
        "--droop": {"value": {key: field for part in droop for key, field in part.items()}} if droop else None,
        "--reserve-up/--reserve-down": {"value": _given(reserve)} if _given(reserve) else None,
    }
    ordered = {name: fields for name, fields in given.items() if fields is not None}
    if not ordered and function not in SWITCHES:
        raise click.UsageError(
            "give --value, or --cancel ID; in place of a value, as the function asks, --schedule, --curve, --preset, "
            "--droop, or --reserve-up and --reserve-down"
        )
    if len(ordered) > 1:
        raise click.UsageError(f"give one of {', '.join(ordered)}")
    if resolution_s is not None and schedule is None:
        raise click.UsageError("--resolution is of a --schedule")
    beside = {
        "unit": DEFAULT_UNITS.get(function) if unit is None else unit,
        "excitation": excitation,
        "mean": mean_s,
        "response": response_s,
    }
    return {**next(iter(ordered.values()), {}), **_given(beside)}


def _stepped(schedule: Json, resolution_s: float | None) -> Json:
    if resolution_s is not None:
        return {**schedule, "resolution": resolution_s}
    return {"resolution": RESOLUTION_S, **schedule}


def _given(fields: Json) -> Json:
    return {key: field for key, field in fields.items() if field is not None}
