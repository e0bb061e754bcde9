"""The one list of protocols. The library of one is imported only when a site uses it: memory counts."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from drivers.base import Driver, Now
from drivers.config import DeviceConfig
from drivers.modbus.config import ModbusDevice

AnyDevice = ModbusDevice
"""One member a protocol; told apart by `driver`."""

_DRIVERS = {"modbus": "drivers.modbus.driver"}


def build(
    devices: Sequence[AnyDevice],
    *,
    revert_s: float | None,
    state_dir: Path | None = None,
    now: Now | None = None,
) -> list[Driver]:
    """
    One driver a connection, for all devices of a site.

    `revert_s` is the time after which a device shall let go of a set-point that nobody refreshes, where it can.
    In `state_dir` drivers keep what they have to know after a restart, dated by `now`; without, in memory.
    """
    drivers: list[Driver] = []
    for protocol, module in _DRIVERS.items():
        mine = [device for device in devices if device.driver == protocol]
        if mine:
            drivers += import_module(module).build(mine, revert_s=revert_s, state_dir=state_dir, now=now)
    return drivers


__all__ = ["AnyDevice", "DeviceConfig", "build"]
