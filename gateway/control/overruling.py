"""Of one ruling: what each order decided, and who keeps an order from having its way."""

from __future__ import annotations

from collections.abc import Iterable

from gateway.control.arbitration import Order, Ruling
from gateway.control.functions import CONNECTION

CAPABILITY = "capability"


def deciding(ruling: Ruling) -> Iterable[tuple[str, str]]:
    """What was decided, and by whom: an order, or capability; of a set-point that is held back, what holds it."""
    exclusive = ruling.handed or ruling.setpoint
    if exclusive is not None:
        yield _word(exclusive), overruling(exclusive, ruling) or exclusive.source
        return
    if ruling.ceiling is not None:
        yield "ceiling", _below(ruling.ceiling, ruling) or ruling.ceiling.source
    if ruling.floor is not None:
        yield "floor", _above(ruling.floor, ruling) or ruling.floor.source


def _word(order: Order) -> str:
    if order.setting is not None:
        return "device"
    return "connection" if order.function.quantity == CONNECTION else "set-point"


def decided(order: Order, ruling: Ruling) -> Iterable[str]:
    """What one order decided."""
    if ruling.setpoint is order or (order.setting is not None and _first_handed(order, ruling) is order):
        yield _word(order)
    if ruling.ceiling is order and _below(order, ruling) is None:
        yield "ceiling"
    if ruling.floor is order and _above(order, ruling) is None:
        yield "floor"


def _first_handed(order: Order, ruling: Ruling) -> Order | None:
    """Of set-points the device follows one, of limits the highest order of each function."""
    if not order.function.is_limit:
        return ruling.handed
    return next((one for one in ruling.orders if one.setting is not None and one.function is order.function), None)


def overruling(order: Order, ruling: Ruling) -> str | None:
    """Who keeps an order from having its way; None: nobody does."""
    exclusive = not order.function.is_limit and (order.setting is not None or order.is_setpoint)
    winner = ruling.handed or ruling.setpoint
    if exclusive and winner is not None and winner is not order:
        return winner.source
    if order.setting is not None:
        first = _first_handed(order, ruling)
        return None if first is None or first is order else first.source
    if exclusive:
        return _beside(order, ruling)
    return _below(order, ruling) or _above(order, ruling)


def _beside(order: Order, ruling: Ruling) -> str | None:
    """Who keeps the set-point in force from where it is wanted."""
    wanted, value = order.statement.lo, ruling.band.lo
    if wanted is None or wanted == value:
        return None
    return _lower(order, ruling, value) if wanted > value else _higher(order, ruling, value)


def _below(order: Order, ruling: Ruling) -> str | None:
    """Who decides the upper edge in place of an order that speaks of it."""
    says, ceiling, edge = order.statement.hi, ruling.ceiling, ruling.band.hi
    if says is None or ceiling is None:
        return None
    if says < edge:
        return _higher(order, ruling, edge)
    if ceiling is not order:
        return ceiling.source if _hi(ceiling) < says else _below(ceiling, ruling)
    # A set-point lies within what the limits left, and so says nothing of how far they went.
    return CAPABILITY if says > edge and ruling.setpoint is None else None


def _above(order: Order, ruling: Ruling) -> str | None:
    """Who decides the lower edge in place of an order that speaks of it."""
    says, floor, edge = order.statement.lo, ruling.floor, ruling.band.lo
    if says is None or floor is None:
        return None
    if says > edge:
        return _lower(order, ruling, edge)
    if floor is not order:
        return floor.source if _lo(floor) > says else _above(floor, ruling)
    return CAPABILITY if says < edge and ruling.setpoint is None else None


def _lower(order: Order, ruling: Ruling, value: float) -> str:
    """What allows an order no more than *value*."""
    other = ruling.ceiling
    return other.source if other is not None and _hi(other) <= value and _outranks(other, order, ruling) else CAPABILITY


def _higher(order: Order, ruling: Ruling, value: float) -> str:
    """What allows an order no less than *value*."""
    other = ruling.floor
    return other.source if other is not None and _lo(other) >= value and _outranks(other, order, ruling) else CAPABILITY


def _outranks(other: Order, order: Order, ruling: Ruling) -> bool:
    """Only what ranks higher keeps an order from something; its own other edge, which may cross it, does not."""
    return other is not order and next(one for one in ruling.orders if one is order or one is other) is other


def _hi(order: Order) -> float:
    return float("inf") if order.statement.hi is None else order.statement.hi


def _lo(order: Order) -> float:
    return float("-inf") if order.statement.lo is None else order.statement.lo
