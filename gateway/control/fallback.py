"""What stands in when the DSO or the PCC meter is lost: a limit of our own, until there is evidence of its return."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.control.arbitration import Order
from gateway.control.functions import ACTIVE, REACTIVE
from gateway.control.functions.limit import LIMIT_ACTIVE_POWER
from gateway.control.plant import Fallback, Plant
from gateway.image import Snapshot
from gateway.model import Kind

_RANK = (0.0, float(len(Kind)), 0.0, 0.0)
"""A limit, behind those of every kind; limits combine by the tightest, so the place matters only for the record."""


def fallbacks(plant: Plant, snapshot: Snapshot, heard: Mapping[str, float]) -> tuple[list[Order], frozenset[str]]:
    """
    What the losses that have lasted longer than their wait bring about; *heard* by uplink, monotonic seconds.

    Returns:
        Limits that stand in, and the quantities whose orders are let go.
    """
    now = snapshot.now.mono
    orders: list[Order] = []
    released: set[str] = set()
    if plant.uplink_lost is not None and heard:
        target = "pcc" if plant.pcc is not None else "plant"
        _add(plant.uplink_lost, "uplink_lost", target, now - max(heard.values()), orders, released)
    if plant.pcc_meter_lost is not None and plant.pcc is not None:
        point = f"{plant.pcc}.{ACTIVE}"
        if snapshot.number(point) is None:
            reading = snapshot.readings.get(point)
            lost_for = now - reading.mono if reading is not None else float("inf")
            _add(plant.pcc_meter_lost, "pcc_meter_lost", "plant", lost_for, orders, released)
    return orders, frozenset(released)


def _add(fallback: Fallback, name: str, target: str, lost_for: float, orders: list[Order], released: set[str]) -> None:
    if lost_for < fallback.after_s:
        return
    released |= {ACTIVE} if fallback.release_active_power else set()
    released |= {REACTIVE} if fallback.release_reactive_power else set()
    if fallback.active_power_limit_w is not None:
        orders.append(
            Order(
                source=f"fallback:{name}",
                kind=Kind.LOCAL,
                target=target,
                function=LIMIT_ACTIVE_POWER,
                value=fallback.active_power_limit_w,
                rank=_RANK,
            )
        )
