"""Why an order has no effect, in the contract's codes, with a detail for the person who has to act on it."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.control.activation import Powers
from gateway.control.arbitration import Order, Ruling
from gateway.control.capability import QUANTITY_OF, View
from gateway.control.functions import BY_NAME, CONNECTION
from gateway.control.plant import PLANT_TARGETS, Plant
from gateway.control.steering import Decision
from gateway.control.writes import Wish, Writes, failed, named
from gateway.image import Snapshot
from gateway.model import Activation


def why_not_written(activation: Activation, plant: Plant, snapshot: Snapshot) -> tuple[str, str]:
    """Code and detail of an order that no device has taken."""
    function = BY_NAME.get(activation.function)
    devices = _devices(activation, plant)
    errors = [
        named(point_id, error)
        for point_id, point in snapshot.points.items()
        if point.device in devices
        and function is not None
        and QUANTITY_OF.get(point.name) == function.quantity
        and (error := failed(point_id, snapshot))
    ]
    if errors:
        return "write_failed", "; ".join(errors)
    return "device_offline", f"nothing could be written to {', '.join(devices)}"


def why_deviating(
    activation: Activation,
    order: Order,
    decision: Decision,
    powers: Powers,
    wishes: Mapping[str, Wish],
    writes: Writes,
    view: View,
) -> tuple[str, str]:
    """Code and detail of an order whose effect is not measured any more; the detail has what is reached instead."""
    plant, ders, snapshot = view.plant, view.ders, view.snapshot
    if powers.measured is None:
        return "device_offline", f"the power at {activation.target} is not known"
    away = [id_ for id_ in _devices(activation, plant) if id_ not in ders or not ders[id_].online]
    reached = f"{powers.measured:g} {powers.unit} is reached"
    if away:
        return "device_offline", f"{', '.join(away)} does not answer; {reached}"
    off = _off(activation, order, decision, plant)
    if off is not None:
        return "overridden", f"{_switched_off(off)}; {reached}"
    errors = [named(id_, error) for id_ in wishes if (error := failed(id_, snapshot))]
    if errors:
        return "write_failed", "; ".join(errors)
    foreign = sorted(set(writes.foreign) & set(wishes))
    if foreign:
        return "overridden", f"another value than ours was found in {', '.join(foreign)}; {reached}"
    winner = _winner(order, decision.rulings[order.target, order.function.quantity])
    if winner is not None:
        return "overridden", f"{winner.source} ({winner.kind}) decides; {reached}"
    return "resource_short", reached


def why_overruled(activation: Activation, order: Order, decision: Decision, plant: Plant) -> tuple[str, str] | None:
    """Code and detail of an order that is not even written, because another one decides; None: none does."""
    if (off := _off(activation, order, decision, plant)) is not None:
        return "overridden", _switched_off(off)
    winner = _winner(order, decision.rulings[order.target, order.function.quantity])
    return None if winner is None else ("overridden", f"{winner.source} ({winner.kind}) decides")


def _switched_off(off: Order) -> str:
    return f"{off.source} ({off.kind}) has taken devices off the grid"


def _off(activation: Activation, order: Order, decision: Decision, plant: Plant) -> Order | None:
    """The order by which a device, through which this one acts, is to be off; None: none is."""
    for target in (*PLANT_TARGETS, *_devices(activation, plant)):
        ruling = decision.rulings.get((target, CONNECTION))
        if ruling and ruling.setpoint and ruling.setpoint is not order and ruling.band.hi < 1.0:
            return ruling.setpoint
    return None


def _winner(order: Order, ruling: Ruling) -> Order | None:
    """The order that keeps a set-point from having its way; None: no other does."""
    if order.function.is_limit:
        return None
    in_force = ruling.handed or ruling.setpoint
    if in_force is not None and in_force is not order:
        return in_force
    if order.wanted.lo is None or order.setting is not None or ruling.band.lo == order.statement.lo:
        return None
    return ruling.ceiling if ruling.band.hi < order.wanted.lo else ruling.floor


def _devices(activation: Activation, plant: Plant) -> list[str]:
    """The devices through which an order acts."""
    return [der.id for der in plant.ders] if activation.target in PLANT_TARGETS else [activation.target]
