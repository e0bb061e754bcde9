"""The models that a PV inverter and a battery of the plant show, and what their set-points do to the device."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

from hil.faces.sunspec import Model, Value, Writable
from hil.faces.sunspec_layout import scale_factor
from hil.plant.battery import Battery
from hil.plant.converter import Converter
from hil.plant.grid import ConnectionPoint
from hil.plant.inverter import Inverter
from hil.plant.setting import Setting

_PERCENT_SF = -2
_TIMER_MAX_S = 0xFFFE  # 0xFFFF is "not implemented"
_PV, _STORAGE = 4, 82  # DERTyp; there is no battery without PV in the list
_OFF, _MPPT, _THROTTLED, _STANDBY = 1, 4, 5, 8  # St
_EMPTY, _DISCHARGING, _CHARGING, _FULL, _HOLDING = 2, 3, 4, 5, 6  # ChaSt
_CONNECTED = 0b111  # connected, available, operating
_DC_V = 700.0
IDLE_W = 1.0  # below this, a converter is at rest

At = Callable[[], ConnectionPoint]


def inverter_models(inverter: Inverter, at: At, *, serial: str) -> list[Model]:
    """Models 1, 103 and 120 to 123 of a PV inverter that stands at this connection point."""
    converter = inverter.converter
    return [
        common_model("PV60", serial),
        _measurements(converter, at, partial(inverter_state, inverter)),
        _nameplate(converter, _PV, {}, {}),
        _settings(converter),
        _status(converter, "PVConn", lambda: inverter.available_w),
        _controls(converter),
    ]


def battery_models(battery: Battery, at: At, *, serial: str) -> list[Model]:
    """Models 1, 103 and 120 to 124 of a battery that stands at this connection point."""
    converter = battery.converter
    parameters = battery.parameters
    rated_w = parameters.converter.rated_w
    energy = {
        "WHRtg": constant(parameters.capacity_wh),
        "MaxChaRte": constant(rated_w),
        "MaxDisChaRte": constant(rated_w),
    }
    energy_sf = {
        "WHRtg_SF": scale_factor(parameters.capacity_wh, bound=0xFFFE),
        "MaxChaRte_SF": scale_factor(rated_w, bound=0xFFFE),
        "MaxDisChaRte_SF": scale_factor(rated_w, bound=0xFFFE),
    }
    available_w = partial(_discharge_available_w, battery)
    return [
        common_model("BAT30", serial),
        _measurements(converter, at, partial(battery_state, battery)),
        _nameplate(converter, _STORAGE, energy, energy_sf),
        _settings(converter),
        _status(converter, "StorConn", available_w),
        _controls(converter),
        _storage(battery),
    ]


def inverter_state(inverter: Inverter) -> int:
    """St of models 101 to 103."""
    return _state(inverter.converter, at_work=inverter.available_w > IDLE_W)


def battery_state(battery: Battery) -> int:
    """St of models 101 to 103."""
    return _state(battery.converter, at_work=abs(battery.converter.active_power_w) > IDLE_W)


def _state(converter: Converter, *, at_work: bool) -> int:
    if not converter.connected:
        return _OFF
    if converter.curtailed:
        return _THROTTLED
    return _MPPT if at_work else _STANDBY


def common_model(model: str, serial: str) -> Model:
    text = {"Mn": "dergate", "Md": model, "Vr": "1.0", "SN": serial}
    return Model(1, {name: constant(value) for name, value in text.items()} | {"DA": constant(1)})


def _measurements(converter: Converter, at: At, state: Callable[[], int]) -> Model:
    def apparent_va() -> float:
        return math.hypot(converter.active_power_w, converter.reactive_power_var)

    def power_factor_percent() -> float:
        apparent = apparent_va()
        return 100.0 if apparent < IDLE_W else 100.0 * converter.active_power_w / apparent

    def current_a() -> float:
        return at().current_a(apparent_va())

    rated_w, rated_va = converter.parameters.rated_w, converter.parameters.rated_va
    values: dict[str, Callable[[], Value]] = {
        "A": lambda: 3.0 * current_a(),
        "W": lambda: converter.active_power_w,
        "Hz": lambda: at().frequency_hz,
        "VA": apparent_va,
        "VAr": lambda: converter.reactive_power_var,
        "PF": power_factor_percent,
        "WH": lambda: converter.energy_out_wh,
        "DCA": lambda: abs(converter.active_power_w) / _DC_V,
        "DCV": constant(_DC_V),
        "DCW": lambda: converter.active_power_w,
        "TmpCab": constant(38.0),
        "St": state,
        "Evt1": constant(0),
        "Evt2": constant(0),
    }
    values |= dict.fromkeys(("AphA", "AphB", "AphC"), current_a)
    values |= dict.fromkeys(("PPVphAB", "PPVphBC", "PPVphCA"), lambda: at().voltage_v)
    values |= dict.fromkeys(("PhVphA", "PhVphB", "PhVphC"), lambda: at().phase_voltage_v)
    scales = {"A_SF": -1, "V_SF": -1, "Hz_SF": -2, "PF_SF": -2, "WH_SF": 0, "DCA_SF": -1, "DCV_SF": -1, "Tmp_SF": -1}
    scales |= {"W_SF": scale_factor(rated_w), "VA_SF": scale_factor(rated_va), "VAr_SF": scale_factor(rated_va)}
    return Model(103, values, scales | {"DCW_SF": scale_factor(rated_w)})


def _nameplate(
    converter: Converter, kind: int, energy: dict[str, Callable[[], Value]], energy_sf: dict[str, int]
) -> Model:
    rated_w, rated_va = converter.parameters.rated_w, converter.parameters.rated_va
    values = {"DERTyp": constant(kind), "WRtg": constant(rated_w), "VARtg": constant(rated_va)} | energy
    values |= {"ARtg": constant(rated_va / (math.sqrt(3.0) * 400.0))}
    values |= {"VArRtgQ1": constant(rated_va), "VArRtgQ4": constant(-rated_va)}
    scales = {"WRtg_SF": scale_factor(rated_w, bound=0xFFFE), "VARtg_SF": scale_factor(rated_va, bound=0xFFFE)}
    return Model(120, values, scales | {"ARtg_SF": -1, "VArRtg_SF": scale_factor(rated_va)} | energy_sf)


def _settings(converter: Converter) -> Model:
    rated_w, rated_va = converter.parameters.rated_w, converter.parameters.rated_va
    values = {"WMax": rated_w, "VRef": 400.0, "VRefOfs": 0.0, "VAMax": rated_va, "ECPNomHz": 50.0}
    scales = {"WMax_SF": scale_factor(rated_w, bound=0xFFFE), "VAMax_SF": scale_factor(rated_va, bound=0xFFFE)}
    scales |= {"VRef_SF": -1, "VRefOfs_SF": -1, "ECPNomHz_SF": -2}
    return Model(121, {name: constant(value) for name, value in values.items()}, scales)


def _status(converter: Converter, connection: str, available_w: Callable[[], float]) -> Model:
    def active_controls() -> int:
        fixed_w = converter.limit.in_force is not None
        fixed_var = converter.reactive.in_force is not None
        return int(fixed_w) | int(fixed_var) << 1

    values: dict[str, Callable[[], Value]] = {
        "PVConn": constant(0),
        "StorConn": constant(0),
        connection: lambda: _CONNECTED if converter.connected else 0,
        "ECPConn": lambda: int(converter.connected),
        "ActWh": lambda: converter.energy_out_wh,
        "WAval": available_w,
        "StActCtl": active_controls,
    }
    return Model(122, values, {"WAval_SF": scale_factor(converter.parameters.rated_w, bound=0xFFFE)})


def _controls(converter: Converter) -> Model:
    limit, reactive, disconnect = converter.limit, converter.reactive, converter.disconnect
    values: dict[str, Callable[[], Value]] = {
        "Conn_RvrtTms": lambda: disconnect.revert_s,
        "Conn": lambda: int(not disconnect.enabled),
        "WMaxLimPct": lambda: limit.value,
        "WMaxLimPct_RvrtTms": lambda: limit.revert_s,
        "WMaxLimPct_RmpTms": lambda: limit.ramp_s,
        "WMaxLim_Ena": lambda: int(limit.enabled),
        "VArWMaxPct": lambda: reactive.value,
        "VArPct_RvrtTms": lambda: reactive.revert_s,
        "VArPct_RmpTms": lambda: reactive.ramp_s,
        "VArPct_Mod": constant(1),
        "VArPct_Ena": lambda: int(reactive.enabled),
    }
    writable = {
        "Conn_RvrtTms": _timer(disconnect, "revert_s"),
        "Conn": Writable(lambda on: disconnect.enable(not on), 0, 1),
        "WMaxLimPct": Writable(limit.put, 0, 100),
        "WMaxLimPct_RvrtTms": _timer(limit, "revert_s"),
        "WMaxLimPct_RmpTms": _timer(limit, "ramp_s"),
        "WMaxLim_Ena": _enable(limit),
        "VArWMaxPct": Writable(reactive.put, -100, 100),
        "VArPct_RvrtTms": _timer(reactive, "revert_s"),
        "VArPct_RmpTms": _timer(reactive, "ramp_s"),
        "VArPct_Mod": Writable(lambda _mode: None, 1, 1),  # % of WMax is the only one there is
        "VArPct_Ena": _enable(reactive),
    }
    return Model(123, values, {"WMaxLimPct_SF": _PERCENT_SF, "VArPct_SF": _PERCENT_SF}, writable)


def _storage(battery: Battery) -> Model:
    charge, discharge, parameters = battery.charge, battery.discharge, battery.parameters
    rated_w = parameters.converter.rated_w

    def mode(bits: float) -> None:
        charge.enable(bool(int(bits) & 1))
        discharge.enable(bool(int(bits) & 2))

    def rate(setting: Setting, percent: float) -> None:
        setting.value = percent
        charge.arm()
        discharge.arm()

    def reversion(seconds: float) -> None:
        charge.revert_s = discharge.revert_s = seconds

    def charge_state() -> int:
        power_w = battery.converter.active_power_w
        if abs(power_w) > IDLE_W:
            return _DISCHARGING if power_w > 0 else _CHARGING
        if battery.soc >= 1.0:
            return _FULL
        return _EMPTY if battery.soc <= parameters.soc_min else _HOLDING

    values: dict[str, Callable[[], Value]] = {
        "WChaMax": constant(rated_w),
        "WChaGra": constant(100.0),
        "WDisChaGra": constant(100.0),
        "StorCtl_Mod": lambda: int(charge.enabled) | int(discharge.enabled) << 1,
        "MinRsvPct": constant(100.0 * parameters.soc_min),
        "ChaState": lambda: 100.0 * battery.soc,
        "ChaSt": charge_state,
        "OutWRte": lambda: discharge.value,
        "InWRte": lambda: charge.value,
        "InOutWRte_RvrtTms": lambda: charge.revert_s,
        "ChaGriSet": constant(1),
    }
    scales = {"WChaMax_SF": scale_factor(rated_w, bound=0xFFFE), "WChaDisChaGra_SF": 0, "MinRsvPct_SF": _PERCENT_SF}
    scales |= {"ChaState_SF": _PERCENT_SF, "InOutWRte_SF": _PERCENT_SF}
    writable = {
        "StorCtl_Mod": Writable(mode, 0, 3),
        "OutWRte": Writable(partial(rate, discharge), -100, 100),
        "InWRte": Writable(partial(rate, charge), -100, 100),
        "InOutWRte_RvrtTms": Writable(reversion, 0, _TIMER_MAX_S),
    }
    return Model(124, values, scales, writable)


def _discharge_available_w(battery: Battery) -> float:
    return battery.parameters.converter.rated_w if battery.soc > battery.parameters.soc_min else 0.0


def _timer(setting: Setting, attribute: str) -> Writable:
    return Writable(partial(setattr, setting, attribute), 0, _TIMER_MAX_S)


def _enable(setting: Setting) -> Writable:
    return Writable(lambda on: setting.enable(bool(on)), 0, 1)


def constant(value: Value) -> Callable[[], Value]:
    return lambda: value
