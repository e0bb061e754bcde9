"""From the activations in force to what each of them says now: its schedule, its ramp, its function."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import copysign, log

from gateway.characteristic import Curve, to_text
from gateway.control.arbitration import Order, rank_of
from gateway.control.capability import POWER_FACTOR_SETPOINT, REACTIVE_SETPOINT, DerNow
from gateway.control.functions import BY_NAME, Function
from gateway.control.functions.base import ACTIVE, CONNECTION
from gateway.control.functions.ramp import toward
from gateway.control.functions.response import lag
from gateway.control.functions.schedule import value_at
from gateway.control.functions.statement import SILENT, Memory, Situation, Statement
from gateway.control.plant import Plant
from gateway.control.situation import Situations
from gateway.model import Activation, Entry, Kind, Ramp, Setting

StandingKey = tuple[str, str, str]
"""Issuer, target, function: a newer order goes on from where the older one stood."""


@dataclass(frozen=True, slots=True)
class Standing:
    """
    What is remembered of an order: where its ramp stands, its function's memory, what it said last, and `lately`.
    """

    ramped: float | None = None
    memory: Memory = None
    statement: Statement = SILENT
    wanted: Statement = SILENT
    lately: Statement = SILENT


def orders_of(
    plant: Plant,
    standing: Mapping[StandingKey, Standing],
    in_force: Sequence[Entry],
    ders: Mapping[str, DerNow],
    situations: Situations,
) -> tuple[list[Order], dict[StandingKey, Standing]]:
    """What every activation in force says, and what is to be remembered of it."""
    orders: list[Order] = []
    kept: dict[StandingKey, Standing] = {}
    for entry in in_force:
        activation = entry.activation
        function = BY_NAME.get(activation.function) if activation else None
        if activation is None or function is None:
            continue
        situation = situations.at(activation.target, function.looks_at)
        if situation is None:
            continue
        key = (activation.issuer, activation.target, function.name)
        goal = ordered(activation, situation.rated_w, situation.wall)
        now = _next(activation, function, goal, standing.get(key, Standing()), situation, plant)
        kept[key] = now
        orders.append(
            Order(
                source=entry.id,
                kind=activation.kind,
                target=activation.target,
                function=function,
                statement=now.statement,
                rank=rank_of(entry, function, plant.authorities),
                expires=activation.end,
                wanted=now.wanted,
                lately=now.lately if function.looks_at or activation.schedule else now.wanted,
                requested=requested(function, goal, now.wanted),
                setting=handed(activation, function, ders),
                reserve=activation.reserve,
            )
        )
    return orders, kept


def ordered(activation: Activation, rated_w: float, wall: float) -> float | None:
    """What an order orders at a time: in W or var, or the bare number of a function without a unit; None: no value."""
    if activation.schedule is not None:
        start = activation.start if activation.start is not None else activation.issued
        value = value_at(activation.schedule, start, wall)
    else:
        value = activation.value
    return value * rated_w / 100.0 if value is not None and activation.unit == "%" else value


def told(activation: Activation) -> str:
    """What an order orders, for a person: `60 %`, `96 values every 900 s`, `a curve of 4 points`."""
    if activation.schedule is not None:
        count, step = len(activation.schedule.values), activation.schedule.resolution_s
        return f"{count} values every {step:g} s {activation.unit}".rstrip()
    if activation.value is not None:
        excitation = f" {activation.excitation}-excited" if activation.function == "set_power_factor" else ""
        return f"{activation.value:g} {activation.unit}".rstrip() + excitation
    if activation.reserve is not None:
        return f"{activation.reserve.up_w:g} W up, {activation.reserve.down_w:g} W down"
    if activation.droop is not None:
        text = f"a droop of {activation.droop.droop * 100:g} % beyond {activation.droop.deadband_hz:g} Hz"
        return f"{activation.preset}: {text}" if activation.preset else text
    if activation.curve is not None:
        return activation.preset or f"a curve of {len(activation.curve)} points"
    return activation.preset


def values_of(activation: Activation, rated_w: float) -> tuple[float | None, ...]:
    """Every value an order will ever order, as `ordered` gives it; a single None where it orders no value."""
    given = activation.schedule.values if activation.schedule is not None else (activation.value,)
    return tuple(value * rated_w / 100.0 if value is not None and activation.unit == "%" else value for value in given)


def requested(function: Function, goal: float | None, statement: Statement) -> float | None:
    """Where an order wants its quantity in the end, in W or var; None while it says nothing."""
    if function.quantity == CONNECTION:
        return None
    if function.units and goal is not None:
        return function.sign * goal
    return statement.hi if statement.hi is not None else statement.lo


def handed(activation: Activation, function: Function, ders: Mapping[str, DerNow]) -> Setting | None:
    """What a device is given that follows the order by itself; None: the tick does it."""
    der = ders.get(activation.target)
    if der is None or function.point is None or function.point not in der.points:
        return None
    if function.point == POWER_FACTOR_SETPOINT:
        # Its sign is that of the reactive power. Where both are there, vars are the plainer word.
        plain = REACTIVE_SETPOINT in der.points or activation.value is None
        return None if plain else copysign(activation.value or 1.0, 1.0 if activation.excitation == "over" else -1.0)
    if activation.droop is not None:
        return to_text(activation.droop)
    return to_text(Curve(activation.curve, activation.response_s)) if activation.curve is not None else None


def _next(
    activation: Activation,
    function: Function,
    goal: float | None,
    before: Standing,
    situation: Situation,
    plant: Plant,
) -> Standing:
    value = goal
    if goal is not None and function.units:
        start = before.ramped if before.ramped is not None else _start(function, goal, situation)
        value = toward(start, goal, _ramp(activation, function, plant, situation.rated_w), situation.dt)
    statement, memory = function.decide(activation, value, situation, before.memory)
    # What an order said stands until it can say something else: in doubt a limit stays.
    says = before.statement if statement is None else statement
    wanted = says if value == goal else function.decide(activation, goal, situation, before.memory)[0] or says
    latency_s = plant.latencies.get(activation.target, 0.0)
    lately = Statement(
        _behind(before.lately.lo, wanted.lo, situation.dt, latency_s),
        _behind(before.lately.hi, wanted.hi, situation.dt, latency_s),
    )
    return Standing(value, memory, says, wanted, lately)


def _behind(before: float | None, wanted: float | None, dt: float, latency_s: float) -> float | None:
    """One edge by a lag whose time constant is the latency: it is behind a ramp by just that."""
    return None if wanted is None else lag(before, wanted, dt, latency_s * log(10.0))


def _start(function: Function, goal: float, situation: Situation) -> float:
    """A ramp begins where the quantity is; a limit never below its goal, as nothing has to be raised to it."""
    power = situation.active_w if function.unit == "W" else situation.reactive_var
    if power is None:
        return goal
    return max(function.sign * power, goal) if function.is_limit else power


def _ramp(activation: Activation, function: Function, plant: Plant, rated_w: float) -> Ramp:
    if activation.ramp_up is None and activation.ramp_down is None:
        if function.quantity != ACTIVE:
            return Ramp()
        emergency = plant.ramps.emergency if activation.kind is Kind.EMERGENCY else None
        return emergency or plant.ramps.normal
    unit = rated_w / 100.0 if activation.ramp_unit.startswith("%") else 1.0
    scaled = (rate if rate is None else rate * unit for rate in (activation.ramp_up, activation.ramp_down))
    return Ramp(*scaled)
