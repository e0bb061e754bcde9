"""What `dergate dso send` and `dergate dso watch` do: the DSO's side of the contract from a shell."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any

import click
import msgspec

from hil.dso.client import Dso, DsoError, Tls
from hil.dso.messages import Ack, LinkStatus, Measurements, Message, Notice
from hil.dso.orders import FINAL

REJECTED_EXIT = 5  # contract, section 2
FAULT_EXIT = 1
INTERRUPTED_EXIT = 130  # 128 + SIGINT, as shells have it


def send_command(
    *,
    url: str,
    site: str,
    prefix: str = "der/v1",
    order: Mapping[str, Any] | None = None,
    cancel: tuple[str, int] | None = None,
    timeout_s: float = 30.0,
    username: str | None = None,
    password: str | None = None,
    tls: Tls | None = None,
) -> int:
    """
    Send one activation, or the cancellation (id, revision) of one, and print each acknowledgement.

    It ends with the order's last word, `effective`, `rejected`, or after `timeout_s`.

    Args:
        order: An activation as in the contract; id, revision, issuer and time are filled in where left out.

    Returns:
        The exit status: 0; 5 if rejected; 1 if it failed or expired, nothing was answered, or no broker was reached.
    """
    answers: asyncio.Queue[Ack] = asyncio.Queue()

    def note(name: str, message: Message) -> None:
        if name == "acks" and isinstance(message, Ack):
            answers.put_nowait(message)

    async def run() -> int:
        dso = Dso(
            url, site, prefix=prefix, username=username, password=password, tls=tls, acknowledge=False, on_message=note
        )
        async with dso:
            return await _send(dso, order, cancel, answers, timeout_s)

    return _ended(run())


async def _send(
    dso: Dso,
    order: Mapping[str, Any] | None,
    cancel: tuple[str, int] | None,
    answers: asyncio.Queue[Ack],
    timeout_s: float,
) -> int:
    loop = asyncio.get_running_loop()
    sent_s = loop.time()
    if order is not None:
        order_id, revision = await dso.send(order, timeout_s=timeout_s), int(order.get("revision", 1))
        click.echo(f"sent {order_id} revision {revision}: {order_text(order)}")
    elif cancel is not None:
        order_id, revision = cancel
        await dso.cancel(order_id, revision, timeout_s=timeout_s)
        click.echo(f"sent the cancellation of {order_id} revision {revision}")
    else:
        raise ValueError("give either an order or a cancellation")
    said = ""
    try:
        async with asyncio.timeout_at(sent_s + timeout_s):
            while not _is_enough(said, cancelling=order is None):
                ack = await answers.get()
                if ack.id == order_id and (order is None or ack.revision == revision):
                    said = ack.status
                    click.echo(ack_line(ack, loop.time() - sent_s))
    except TimeoutError:
        click.echo(f"no further answer within {timeout_s:g} s; last was: {said or 'nothing at all'}", err=True)
    return REJECTED_EXIT if said == "rejected" else FAULT_EXIT if said in {"", "failed", "expired"} else 0


def _is_enough(status: str, *, cancelling: bool) -> bool:
    return status in FINAL or (status == "effective" and not cancelling)


def _ended(run: Coroutine[Any, Any, int]) -> int:
    """Run to the end; a person's mistake or Ctrl-C is a sentence and an exit status, never a traceback."""
    try:
        return asyncio.run(run)
    except (DsoError, ValueError, OSError) as error:
        click.echo(f"error: {error}", err=True)
        return FAULT_EXIT
    except KeyboardInterrupt:
        return INTERRUPTED_EXIT


def watch_command(
    *,
    url: str,
    site: str,
    prefix: str = "der/v1",
    username: str | None = None,
    password: str | None = None,
    tls: Tls | None = None,
    json_lines: bool = False,
) -> int:
    """
    Print acknowledgements, events and measurements as they arrive, until Ctrl-C; changes nothing at the site.

    Args:
        json_lines: One JSON object a line, `{"topic": …, "message": …}`, instead of readable lines.

    Returns:
        The exit status: 130 after Ctrl-C, 1 if the broker cannot be reached.
    """

    def show(name: str, message: Message) -> None:
        if json_lines:
            body = message.body if isinstance(message, Notice) else message
            click.echo(msgspec.json.encode({"topic": name, "message": body}))
            return
        for line in message_lines(name, message):
            click.echo(line)

    async def run() -> int:
        dso = Dso(
            url, site, prefix=prefix, username=username, password=password, tls=tls, acknowledge=False, on_message=show
        )
        async with dso:
            await dso.ready()
            await asyncio.Event().wait()  # until Ctrl-C
        return 0

    return _ended(run())


def ack_line(ack: Ack, latency_s: float | None = None) -> str:
    """One acknowledgement as a person reads it: time, status, powers, and why."""
    values = ((name, getattr(ack, name)) for name in ("requested", "applied", "measured"))
    powers = "  ".join(
        f"{name} {_power_text(value)} {ack.unit or ''}".rstrip() for name, value in values if value is not None
    )
    why = ": ".join(text for text in (ack.code, ack.detail) if text)
    after = "" if latency_s is None else f"{latency_s:7.3f} s  "
    return f"{ack.time[11:23]}  {after}{ack.status:<10}  {'  '.join(text for text in (powers, why) if text)}".rstrip()


def message_lines(name: str, message: Message) -> list[str]:
    """A message as a person reads it; a batch of measurements is one line a frame."""
    match message:
        case Ack():
            return [f"ack    {message.id} r{message.revision} n={message.n}  {ack_line(message)}"]
        case Measurements():
            return [
                f"frame  {frame.time[11:23]}  {frame.seq}  "
                + "  ".join(
                    f"{point}={_value_text(frame.values.get(point))}{_quality_text(frame.quality.get(point, 'good'))}"
                    for point in sorted(frame.values.keys() | frame.quality.keys())
                )
                + ("  (backfill)" if message.lane == "backfill" else "")
                for frame in message.frames
            ]
        case LinkStatus():
            return [f"status {message.state}"]
        case Notice():
            body = {key: value for key, value in message.body.items() if key not in {"schema", "site"}}
            text = msgspec.json.encode(body).decode()
            return [f"{name.removesuffix('s'):<6} {text if len(text) <= 200 else text[:199] + '…'}"]


def _power_text(value: float) -> str:
    """Whole watts; what is small enough to be a factor keeps its digits."""
    return f"{value:,.0f}" if abs(value) >= 10 else f"{value:.3g}"


def _value_text(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else "?" if value is None else str(value)


def _quality_text(quality: str) -> str:
    return "" if quality == "good" else f"[{quality}]"


def order_text(order: Mapping[str, Any]) -> str:
    """What an order says, in a line: whom, what, how much; of a schedule its steps, of an object its fields."""
    words = [str(order[key]) for key in ("target", "function") if key in order]
    if isinstance(schedule := order.get("schedule"), Mapping):
        values = schedule["values"]
        words.append(f"{len(values)} steps of {schedule.get('resolution')} s, {values[0]} to {values[-1]}")
    if isinstance(curve := order.get("curve"), str):
        words.append(curve)
    elif curve is not None:
        words.append(" ".join(f"{x:g}:{y:g}" for x, y in curve))
    if isinstance(value := order.get("value"), Mapping):
        words += [f"{key}={field}" for key, field in value.items()]
    elif value is not None:
        words.append(str(value))
    words += [str(order[key]) for key in ("unit", "excitation") if order.get(key)]
    words += [f"{key} {order[key]:g} s" for key in ("mean", "response") if key in order]
    return " ".join(words)
