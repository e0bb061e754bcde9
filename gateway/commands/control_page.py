"""The page of `dergate control explain`, made of its document alone; no line is wider than a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from textwrap import wrap
from typing import Any

WIDTH = 96
LAST_COLUMN_MIN = 30
"""Beside names of any length, text is still to be read."""
LOSSES = {"uplink_lost": "the DSO", "pcc_meter_lost": "the PCC meter", "clock_lost": "the clock"}
WORDS = {"hold": "orders stay", "release": "orders are let go", "disconnect": "the devices leave the grid"}
ABLE = {
    "gateway": "can",
    "device": "devices do",
    "unknown": "not known",
    "none": "cannot",
}
"""How a function is carried out, in the words of the page."""

Part = Mapping[str, Any]


def lines(told: Part) -> Iterator[str]:
    """All of it: the rules, then what is decided by them now or why that is not known."""
    running = told["running"]
    yield from _rules(told["site"], told["rules"])
    yield from _abilities((running or told)["abilities"], answered=running is not None)
    yield ""
    if running is None:
        yield from _wrapped(f"NOW: not known, {told['not_running']}", 0)
        return
    yield from now(running)
    if running["rules"] != told["rules"]:
        differ = ", ".join(key for key, rule in told["rules"].items() if running["rules"].get(key) != rule)
        yield from _wrapped(f"The running gateway was started with other rules than this site file's: {differ}", 0)


def _rules(site: str, rules: Part) -> Iterator[str]:
    meter = f"the meter {rules['pcc']} is its PCC" if rules["pcc"] else "no meter is its PCC"
    ders = ", ".join(rules["ders"]) or "no device"
    yield from _wrapped(f"Site {site}, rated {_power(rules['rated_power_w'], 'W')}; {meter}; controls {ders}", 0)
    yield ""
    yield "WHO DECIDES, the highest first: each level only narrows what those above it left"
    yield from _columns(_levels(rules))
    yield from _wrapped(f"What is left at the plant and the PCC is shared among the devices: {rules['allocation']}", 2)
    yield ""
    yield "WHO MAY ORDER"
    if rules["uplinks"]:
        rows = [(one["id"], str(one["priority"]), ", ".join(one["functions"])) for one in rules["uplinks"]]
        yield from _columns([("uplink", "priority", "functions"), *rows])
    else:
        yield "  no uplink: no order can arrive"
    yield ""
    yield "HOW FAST active power of the site moves"
    yield from _columns(_ramps(rules))
    yield ""
    yield "WHEN SOMETHING IS LOST"
    yield from _columns(_losses(rules))


def _levels(rules: Part) -> Iterator[tuple[str, str, str]]:
    for level in rules["levels"]:
        rank, name, functions, combined = str(level["rank"]), level["name"], level["functions"], level["combined"]
        yield rank, name, ", ".join(functions) or combined
        if functions:
            yield "", "", combined


def _ramps(rules: Part) -> Iterator[tuple[str, str]]:
    ramps = rules["ramps"]
    yield "orders without a ramp of their own", _ramp(ramps["normal"])
    yield "the same of the kind emergency", _ramp(ramps["emergency"] or ramps["normal"])
    yield "up again after a limit", _rate(ramps["release"])
    yield "up again after a disconnection", _rate(ramps["reconnect"])
    for device, ramp in rules["device_ramps"].items():
        yield f"the device {device}, at any time", _ramp(ramp)


def _ramp(ramp: Part) -> str:
    return f"up {_rate(ramp['up'])}, down {_rate(ramp['down'])}"


def _rate(rate: float | None) -> str:
    return "unlimited" if rate is None else f"{rate:.4g} W/s"


def _losses(rules: Part) -> Iterator[tuple[str, str, str, str]]:
    yield "of", "after", "quantity", "what becomes of it"
    for one in rules["fallbacks"]:
        yield LOSSES[one["loss"]], _after(one["after_s"]), one["quantity"], _action(one)
    revert_s = rules["device_revert_s"]
    lets_go = "it keeps what it was set to" if revert_s is None else f"it lets go {revert_s:g} s after the last refresh"
    yield "a device", _after(rules["der_lost_s"]), "all", lets_go


def _after(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds:g} s"


def _action(fallback: Part) -> str:
    action, unit = fallback["action"], fallback["unit"]
    if action["word"] == "limit":
        return f"orders stay, at most {_power(action['power'], unit)}"
    if action["word"] == "value":
        slowly = f" at {action['ramp']['up']:.4g} {unit}/s" if action["ramp"] else ""
        return f"{_power(action['power'], unit)}{slowly} for all set-points"
    return WORDS[action["word"]]


def _abilities(abilities: Sequence[Part], *, answered: bool) -> Iterator[str]:
    yield ""
    yield f"WHAT EACH TARGET CAN DO, as {'its devices say' if answered else 'the site file tells'}"
    by_target: dict[str, dict[str, list[str]]] = {}
    for one in abilities:
        by_target.setdefault(one["target"], {}).setdefault(ABLE[one["by"]], []).append(one["function"])
    alike: list[tuple[list[str], dict[str, list[str]]]] = []
    for target, able in by_target.items():
        same = next((targets for targets, known in alike if known == able), None)
        if same is None:
            alike.append(([target], able))
        else:
            same.append(target)
    for targets, able in alike:
        yield from _wrapped(", ".join(targets), 2)
        yield from _columns([("", word, ", ".join(able[word])) for word in ABLE.values() if word in able])


def now(running: Part) -> Iterator[str]:
    """What the running gateway decided in its last tick."""
    yield f"NOW, {running['time']}, tick {running['ticks']}"
    for name in running["fallbacks"]:
        yield f"  the fallback {name} stands"
    for place in running["places"]:
        yield from _place(place)
    for one in running["let_go"]:
        yield from _wrapped(f"{one['source']} ({one['function']} at {one['target']}) has no say: {one['why']}", 2)
    if not running["places"]:
        yield "  no order is in force: the devices do what they do by themselves"
        return
    for quantity, total in running["totals"].items():
        unit = "var" if quantity == "reactive_power" else "W"
        exactly = total["setpoint"]
        lo, hi = (total["floor"], total["limit"]) if exactly is None else (exactly, exactly)
        if lo is not None or hi is not None:
            yield f"  all devices in sum, {quantity}: {_says(lo, hi, unit)}"
    for wish in running["wishes"]:
        text = isinstance(wish["value"], str)  # a characteristic, which has no spaces to break it at
        value = wish["value"].replace(",", ", ") if text else _power(wish["value"], wish["unit"])
        yield from _wrapped(f"{wish['point']} is to be {value}, because of {wish['cause']}", 2)


def _place(place: Part) -> Iterator[str]:
    deciding = place["decided_by"]
    by = " and ".join(f"{who} ({what})" if len(deciding) > 1 else who for what, who in deciding.items())
    yield from _wrapped(
        f"{place['target']} {place['quantity']}: {_in_force(place)}{f', decided by {by}' if by else ''}", 2
    )
    if place["unit"]:
        can = place["capability"]
        yield f"{'':7}capability: {can['lo']:.0f} to {can['hi']:.0f} {place['unit']}"
    for order in place["orders"]:
        until = f"until {order['expires']}" if order["expires"] else "without end"
        who = f"{order['kind']}, priority {order['priority']}"
        yield from _wrapped(
            f"{order['rank']}  {order['source']}: {order['function']} ({order['level']}), {who}, {until}", 5
        )
        yield from _wrapped(f"{_wanted(order, place['unit'])}; {_fate(order)}", 8)


def _in_force(place: Part) -> str:
    decided, left, unit = place["decided_by"], place["left"], place["unit"]
    if place["value"] is None:
        by_itself = any("device" in order["decides"] for order in place["orders"])
        return "the device follows by itself" if by_itself else "nothing is said now"
    if "set-point" in decided or "connection" in decided:
        return _says(left["lo"], left["lo"], unit)
    return _says(left["lo"] if "floor" in decided else None, left["hi"] if "ceiling" in decided else None, unit)


def _wanted(order: Part, unit: str) -> str:
    if order["handed"] is not None:
        return "given to the device"
    now, then = _says(order["lo"], order["hi"], unit), _says(order["wanted_lo"], order["wanted_hi"], unit)
    return f"says {now}" if now == then else f"says {now}, on its way to {then}"


def _fate(order: Part) -> str:
    decides, other = " and ".join(order["decides"]), order["overruled_by"]
    if decides and other:
        return f"decides: {decides}, held back by {other}"
    if decides:
        return f"decides: {decides}"
    if other:
        return f"overruled by {other}"
    silent = order["lo"] is None and order["hi"] is None and order["handed"] is None
    return "has no part now" if silent else "the same as what decides"


def _says(lo: float | None, hi: float | None, unit: str) -> str:
    if lo is None and hi is None:
        return "nothing"
    if not unit:
        return "connected" if lo else "disconnected"
    if lo is None:
        return f"at most {hi:.0f} {unit}"
    if hi is None:
        return f"at least {lo:.0f} {unit}"
    return f"{lo:.0f} {unit}" if lo == hi else f"{lo:.0f} to {hi:.0f} {unit}"


def _power(value: float, unit: str) -> str:
    return f"{value:.0f} {unit}" if unit else f"{value:g}"


def _wrapped(text: str, indent: int) -> list[str]:
    return wrap(text, WIDTH, initial_indent=" " * indent, subsequent_indent=" " * (indent + 3))


def _columns(rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Aligned to the left; what is too long in the last column goes on below itself."""
    rows = [[*row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)][:-1]
    for *cells, last in rows:
        head = "  " + "".join(f"{cell.ljust(width)}  " for cell, width in zip(cells, widths, strict=True))
        first, *rest = wrap(last, max(WIDTH - len(head), LAST_COLUMN_MIN)) or [""]
        yield f"{head}{first}".rstrip()
        yield from (" " * len(head) + line for line in rest)
