"""
A PV inverter or a battery of the plant as a DER of the IEEE 1547 generation: models 701 to 713 and 715.

As in model 704, a set-point acts once it is enabled, and each write of its enable starts its reversion time; after it
the set-point is disabled. Set-points are in % for the limit, in W and in var.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from hil.faces.modbus import ModbusFault
from hil.faces.sunspec import Model, SunSpecRegisters, Value, Writable
from hil.faces.sunspec_curves import CurveBank
from hil.faces.sunspec_devices import IDLE_W, At, battery_state, common_model, constant, inverter_state
from hil.faces.sunspec_layout import TRIP_POINTS, scale_factor
from hil.plant.battery import Battery
from hil.plant.inverter import Inverter
from hil.plant.setting import Setting

_ILLEGAL_ADDRESS = 2
_PERCENT_SF = -2
_TIMER_MAX_S = 0xFFFFFFFE  # 0xFFFFFFFF is "not implemented"
_HEARTBEAT_END = 2**32 - 1
_THREE_PHASE = 2
_WATTS, _VARS, _ACTIVE_FIRST = 1, 4, 0
_STOP = 0
_TRIPS = (707, 708, 709, 710)


@dataclass(slots=True)
class Panel:
    """
    The operating panel of a device: while `local` is set, it refuses every write; `frozen` stops its own heartbeat.

    `revert_max_s` is the longest reversion time it keeps, whatever is written; `protected`: its trips are enabled.
    """

    local: bool = False
    controller_heartbeat: int = 0
    frozen: bool = False
    revert_max_s: float = _TIMER_MAX_S
    heartbeat: int = 0
    protected: bool = True


class DerRegisters(SunSpecRegisters):
    """As SunSpecRegisters; refuses every write with exception 2 while the panel says local."""

    def __init__(
        self,
        models: Sequence[Model],
        panel: Panel,
        *,
        on_write: Callable[[str, float], None] = lambda _name, _value: None,
    ) -> None:
        super().__init__(models, on_write=on_write)
        self._panel = panel

    def write(self, space: str, address: int, words: list[int]) -> None:
        if self._panel.local:
            raise ModbusFault(_ILLEGAL_ADDRESS)
        super().write(space, address, words)


def der_models(
    device: Inverter | Battery,
    at: At,
    *,
    serial: str,
    panel: Panel,
    now: Callable[[], float],
    banks: Sequence[CurveBank] = (),
) -> list[Model]:
    """
    Models 1, 701 to 704, 707 to 710 and 715 of a PV inverter or a battery, 713 of a battery, the curves of `banks`.

    `now` in s counts the device's heartbeat.
    """
    converter = device.converter
    models = [
        common_model("DER60" if isinstance(device, Inverter) else "DERBAT30", serial),
        _measurements(device, at),
        _capacity(device),
        _enter_service(converter.disconnect),
        _controls(device, panel),
        *(bank.model() for bank in banks),
        *(_trip(number, panel) for number in _TRIPS),
    ]
    if isinstance(device, Battery):
        models.append(_storage(device))
    return [*models, _control(panel, converter.disconnect, now)]


def _measurements(device: Inverter | Battery, at: At) -> Model:
    converter = device.converter

    def state() -> int:
        return (inverter_state(device) if isinstance(device, Inverter) else battery_state(device)) - 1

    def apparent_va() -> float:
        return math.hypot(converter.active_power_w, converter.reactive_power_var)

    def power_factor() -> float:
        return 1.0 if apparent_va() < IDLE_W else converter.active_power_w / apparent_va()

    def current_a() -> float:
        return at().current_a(apparent_va())

    values: dict[str, Callable[[], Value]] = {
        "ACType": constant(_THREE_PHASE),
        "St": lambda: int(converter.connected),
        "InvSt": state,
        "ConnSt": lambda: int(converter.connected),
        "Alrm": constant(0),
        "W": lambda: converter.active_power_w,
        "VA": apparent_va,
        "Var": lambda: converter.reactive_power_var,
        "PF": power_factor,
        "A": lambda: 3.0 * current_a(),
        "LLV": lambda: at().voltage_v,
        "LNV": lambda: at().phase_voltage_v,
        "Hz": lambda: at().frequency_hz,
        "TotWhInj": lambda: converter.energy_out_wh,
        "TotWhAbs": lambda: converter.energy_in_wh,
        "TmpCab": constant(38.0),
    }
    for phase, line in (("L1", "VL1L2"), ("L2", "VL2L3"), ("L3", "VL3L1")):
        values |= {f"W{phase}": lambda: converter.active_power_w / 3.0, f"A{phase}": current_a}
        values |= {line: lambda: at().voltage_v, f"V{phase}": lambda: at().phase_voltage_v}
    rated_w, rated_va = converter.parameters.rated_w, converter.parameters.rated_va
    scales = {"A_SF": -1, "V_SF": -1, "Hz_SF": -3, "PF_SF": -3, "TotWh_SF": 0, "Tmp_SF": -1}
    scales |= {"W_SF": scale_factor(rated_w), "VA_SF": scale_factor(rated_va), "Var_SF": scale_factor(rated_va)}
    return Model(701, values, scales)


def _capacity(device: Inverter | Battery) -> Model:
    rated_w, rated_va = device.converter.parameters.rated_w, device.converter.parameters.rated_va
    values = {"WMax": rated_w, "VAMax": rated_va, "VarMaxInj": rated_w, "VarMaxAbs": rated_w}
    if isinstance(device, Battery):
        values |= {"WChaRteMax": rated_w, "WDisChaRteMax": rated_w}
    ratings = {f"{name}Rtg": value for name, value in values.items()}
    scales = {"W_SF": scale_factor(rated_w, bound=0xFFFE), "VA_SF": scale_factor(rated_va, bound=0xFFFE)}
    scales |= {"Var_SF": scale_factor(rated_w, bound=0xFFFE)}
    return Model(702, {name: constant(value) for name, value in (values | ratings).items()}, scales)


def _enter_service(disconnect: Setting) -> Model:
    writable = {"ES": Writable(lambda on: disconnect.enable(not on), 0, 1)}
    return Model(703, {"ES": lambda: int(not disconnect.enabled)}, {}, writable)


def _controls(device: Inverter | Battery, panel: Panel) -> Model:
    converter = device.converter
    rated_w = converter.parameters.rated_w
    limit, reactive = converter.limit, converter.reactive
    values = _function("WMaxLimPct", [limit]) | _function("VarSet", [reactive])
    values |= {
        "WMaxLimPct": lambda: limit.value,
        "VarSetMod": constant(_VARS),
        "VarSetPri": constant(_ACTIVE_FIRST),
        "VarSet": lambda: reactive.value * rated_w / 100.0,
    }
    writable = _switches("WMaxLimPct", [limit], panel) | _switches("VarSet", [reactive], panel)
    writable |= {
        "WMaxLimPct": Writable(partial(setattr, limit, "value"), 0, 100),
        "VarSetMod": Writable(lambda _mode: None, _VARS, _VARS),
        "VarSet": Writable(lambda var: setattr(reactive, "value", 100.0 * var / rated_w), -rated_w, rated_w),
    }
    if isinstance(device, Battery):
        charge, discharge = device.charge, device.discharge

        def hold(power_w: float) -> None:
            discharge.value = 100.0 * power_w / rated_w
            charge.value = -discharge.value

        values |= _function("WSet", [charge, discharge])
        values |= {"WSetMod": constant(_WATTS), "WSet": lambda: discharge.value * rated_w / 100.0}
        writable |= _switches("WSet", [charge, discharge], panel)
        writable |= {
            "WSetMod": Writable(lambda _mode: None, _WATTS, _WATTS),
            "WSet": Writable(hold, -rated_w, rated_w),
        }
    return Model(704, values, {"WMaxLimPct_SF": _PERCENT_SF, "WSet_SF": 0, "VarSet_SF": 0}, writable)


def _function(name: str, settings: Sequence[Setting]) -> dict[str, Callable[[], Value]]:
    """What a set-point of model 704 shows beside its value."""
    first = settings[0]
    return {
        f"{name}Ena": lambda: int(first.enabled),
        f"{name}EnaRvrt": constant(0),
        f"{name}RvrtTms": lambda: first.revert_s,
        f"{name}RvrtRem": lambda: math.ceil(first.left_s) if first.enabled and first.left_s < math.inf else 0,
    }


def _switches(name: str, settings: Sequence[Setting], panel: Panel) -> dict[str, Writable]:
    def enable(on: float) -> None:
        for each in settings:
            each.enable(bool(on))

    def reversion(seconds: float) -> None:
        for each in settings:
            each.revert_s = min(seconds, panel.revert_max_s)

    return {
        f"{name}Ena": Writable(enable, 0, 1),
        f"{name}EnaRvrt": Writable(lambda _off: None, 0, 0),  # the plant lets go of a set-point, and of nothing else
        f"{name}RvrtTms": Writable(reversion, 0, _TIMER_MAX_S),
    }


def _trip(number: int, panel: Panel) -> Model:
    """Low or high voltage, low or high frequency: enabled or not, and without a curve to tell."""
    values: dict[str, Callable[[], Value]] = {
        "Ena": lambda: int(panel.protected),
        "AdptCrvReq": constant(0),
        "AdptCrvRslt": constant(1),
        "NPt": constant(TRIP_POINTS),
        "NCrvSet": constant(1),
        "Crv1.ReadOnly": constant(1),
    }
    return Model(number, values)


def _storage(battery: Battery) -> Model:
    capacity_wh = battery.parameters.capacity_wh
    values: dict[str, Callable[[], Value]] = {
        "WHRtg": constant(capacity_wh),
        "WHAvail": lambda: battery.soc * capacity_wh,
        "SoC": lambda: 100.0 * battery.soc,
        "SoH": constant(100.0),
        "Sta": constant(0),
    }
    return Model(713, values, {"WH_SF": scale_factor(capacity_wh, bound=0xFFFE), "Pct_SF": _PERCENT_SF})


def _control(panel: Panel, disconnect: Setting, now: Callable[[], float]) -> Model:
    def heartbeat() -> int:
        if not panel.frozen:
            panel.heartbeat = int(now()) % _HEARTBEAT_END
        return panel.heartbeat

    values: dict[str, Callable[[], Value]] = {
        "LocRemCtl": lambda: int(panel.local),
        "DERHb": heartbeat,
        "ControllerHb": lambda: panel.controller_heartbeat,
    }
    writable = {
        "ControllerHb": Writable(lambda beat: setattr(panel, "controller_heartbeat", int(beat)), 0, _HEARTBEAT_END - 1),
        "OpCtl": Writable(lambda operation: disconnect.enable(operation == _STOP), 0, 1),
    }
    return Model(715, values, {}, writable)
