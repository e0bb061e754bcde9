"""`connect` and `disconnect`: whether the devices of a target may be connected to the grid."""

from __future__ import annotations

from gateway.control.functions.base import CONNECTION, Function
from gateway.control.functions.statement import Memory, Situation, Statement
from gateway.model import Activation, Band


def _connected(_: Activation, value: float | None, situation: Situation, memory: Memory) -> tuple[Statement, Memory]:
    return Statement(1.0, 1.0), memory


def _disconnected(_: Activation, value: float | None, situation: Situation, memory: Memory) -> tuple[Statement, Memory]:
    return Statement(0.0, 0.0), memory


def _check(activation: Activation, value: float | None, band: Band) -> str | None:
    return None


CONNECT = Function(name="connect", quantity=CONNECTION, decide=_connected, check=_check, place=CONNECTION)
DISCONNECT = Function(name="disconnect", quantity=CONNECTION, decide=_disconnected, check=_check, place=CONNECTION)
