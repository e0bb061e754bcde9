"""Which set-points a SunSpec device offers: models 123 and 124 of the first generation, 704 of the second. Pure."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from drivers.modbus import sunspec_models as models
from drivers.modbus.sunspec_coding import Coding, PowerFactor, Scaled
from drivers.modbus.sunspec_control import Authority, Control
from drivers.modbus.sunspec_fields import Field, scale_factor, value_of

REGISTERS = {704: 67, 123: 26, 124: 26}
"""The models with set-points, in the order of their rank, and their registers with ID and length."""
FIELDS = {
    704: (
        *(Field(name, "s", at, "uint32") for name, at in (
            ("PFWInjRvrtTms", 4), ("PFWInjRvrtRem", 6), ("WMaxLimPctRvrtTms", 18), ("WMaxLimPctRvrtRem", 20),
            ("WSetRvrtTms", 31), ("WSetRvrtRem", 33), ("VarSetRvrtTms", 45), ("VarSetRvrtRem", 47),
        )),
        Field("WMaxLimPct", "%", 15, "uint16", 54), Field("WSet", "W", 24, "int32", 55),
        Field("WSetPct", "%", 28, "int16", 56), Field("VarSet", "var", 38, "int32", 57),
        Field("VarSetPct", "%", 42, "int16", 58), Field("PFWInj.PF", "", 59, "uint16", 53),
    ),
    123: (
        Field("WMaxLimPct", "%", 5, "uint16", 23), Field("VArWMaxPct", "%", 15, "int16", 25),
        Field("VArMaxPct", "%", 16, "int16", 25),
    ),
    124: (
        models.STORAGE_POWER, Field("OutWRte", "%", 12, "int16", 25), Field("InWRte", "%", 13, "int16", 25),
    ),
}  # fmt: skip
"""What is read of them for a set-point, beside registers that stand for themselves."""
_NONE = 0xFFFF
_WATTS, _VARS, _PERCENT_OF_W_MAX, _PERCENT_OF_VAR_MAX = 1, 4, 0, 1  # WSetMod and VarSetMod of model 704


@dataclass(frozen=True, slots=True)
class Ratings:
    """What 100 % is and how far set-points go, in W, var, VA, Wh and Hz; None where the device does not say."""

    power_w: float | None
    charge_w: float | None
    reactive_var: float | None
    absorbed_var: float | None
    rated_reactive_var: float | None
    energy_wh: float | None
    apparent_va: float | None
    nominal_hz: float | None

    @classmethod
    def read(cls, content: Mapping[int, bytes]) -> Ratings:
        """From the models' bytes; a setting goes before its rating, the second generation before the first."""

        def first(*tables: Mapping[int, Field]) -> float | None:
            for number in (702, 713, 802, 121, 120):
                for table in tables:
                    value = value_of(table[number], content.get(number, b"")) if number in table else None
                    if value is not None and value > 0:
                        return value
            return None

        return cls(
            power_w=first(models.MAX_POWER, models.RATED_POWER),
            charge_w=first(models.MAX_CHARGE_POWER, models.RATED_CHARGE_POWER),
            reactive_var=first(models.MAX_REACTIVE_POWER, models.RATED_REACTIVE_POWER),
            absorbed_var=first(models.MAX_ABSORBED, models.RATED_ABSORBED),
            rated_reactive_var=first(models.RATED_REACTIVE_POWER),
            energy_wh=first(models.RATED_ENERGY),
            apparent_va=first(models.APPARENT_POWER, models.RATED_APPARENT_POWER),
            nominal_hz=first(models.NOMINAL_FREQUENCY),
        )


def controls(number: int, device: str, data: bytes, ratings: Ratings, authority: Authority) -> list[Control]:
    """What this model's bytes show to be implemented; none of a model that is shorter than its definition."""
    if number not in REGISTERS or len(data) < 2 * REGISTERS[number]:
        return []
    words = struct.unpack(f">{len(data) // 2}H", data)
    if number == 704:
        return _der(device, words, ratings, authority)
    return _immediate(device, words, ratings) if number == 123 else _storage(device, words, data)


def _immediate(device: str, words: Sequence[int], ratings: Ratings) -> list[Control]:
    """Model 123: limit and reactive power in percent."""
    found: list[Control] = []
    max_power, max_reactive = ratings.power_w, ratings.reactive_var
    if max_power is not None and _scales(words, 23) and words[9] != _NONE:
        coding = Scaled(unit="W", lowest=0, highest=max_power, first=5, kind="uint16", sf=23, percent_of=max_power)
        found.append(Control(point=f"{device}.active_power_limit", unit="W", coding=coding, enable=9, revert=7))
    of_power = words[15] != 0x8000 and max_power is not None
    value, mode, base = (15, 1, max_power) if of_power else (16, 2, max_reactive)
    if base is not None and _scales(words, 25) and words[22] != _NONE and words[value] != 0x8000:
        coding = Scaled(unit="var", lowest=-base, highest=base, first=value, kind="int16", sf=25, percent_of=base)
        point = f"{device}.reactive_power_setpoint"
        found.append(Control(point=point, unit="var", coding=coding, enable=22, revert=19, mode=(21, mode)))
    return found


def _storage(device: str, words: Sequence[int], data: bytes) -> list[Control]:
    """Model 124: charge and discharge rate together, as a rate below 0 forces the other direction."""
    base = value_of(models.STORAGE_POWER, data)
    if not base or not _scales(words, 25) or words[5] == _NONE or 0x8000 in words[12:14]:
        return []
    coding = Scaled(unit="W", lowest=-base, highest=base, first=12, kind="int16", sf=25, percent_of=base, signs=(1, -1))
    return [Control(point=f"{device}.active_power_setpoint", unit="W", coding=coding, enable=5, on=3, revert=15)]


def _der(device: str, words: Sequence[int], ratings: Ratings, authority: Authority) -> list[Control]:
    """Model 704. VarSetPri is left as it stands: which power gives way is the owner's setting, not an order."""

    def control(
        name: str, unit: str, coding: Coding, enable: int, revert: int, revert_enable: int, mode: tuple[int, int] | None
    ) -> Control:
        return Control(
            point=f"{device}.{name}",
            unit=unit,
            coding=coding,
            enable=enable,
            revert=revert + 1,
            revert_long=True,
            remaining=revert + 2,
            revert_enable=revert_enable if words[revert_enable] != _NONE else None,
            mode=mode if mode is not None and words[mode[0]] != _NONE else None,
            rearm=True,
            authority=authority,
        )

    found: list[Control] = []
    power, reactive = ratings.power_w, ratings.reactive_var
    if power is not None and words[14] != _NONE and _scales(words, 54):
        limit = Scaled(unit="W", lowest=0, highest=power, first=15, kind="uint16", sf=54, percent_of=power)
        found.append(control("active_power_limit", "W", limit, 14, 18, 17, None))
    if power is not None and words[22] != _NONE:
        lowest = -(ratings.charge_w or 0.0)  # no rating for charging: nothing to charge
        if _scales(words, 55) and words[24:26] != (0x8000, 0):
            watts = Scaled(unit="W", lowest=lowest, highest=power, first=24, kind="int32", sf=55)
            found.append(control("active_power_setpoint", "W", watts, 22, 31, 30, (23, _WATTS)))
        elif _scales(words, 56) and words[28] != 0x8000:
            share = Scaled(unit="W", lowest=lowest, highest=power, first=28, kind="int16", sf=56, percent_of=power)
            found.append(control("active_power_setpoint", "W", share, 22, 31, 30, (23, _PERCENT_OF_W_MAX)))
    base = reactive if reactive is not None else power
    if base is not None and words[35] != _NONE:
        lowest = -(ratings.absorbed_var or base)
        if _scales(words, 57) and words[38:40] != (0x8000, 0):
            vars_ = Scaled(unit="var", lowest=lowest, highest=base, first=38, kind="int32", sf=57)
            found.append(control("reactive_power_setpoint", "var", vars_, 35, 45, 44, (36, _VARS)))
        elif _scales(words, 58) and words[42] != 0x8000:
            mode = _PERCENT_OF_VAR_MAX if reactive is not None else _PERCENT_OF_W_MAX
            part = Scaled(unit="var", lowest=-base, highest=base, first=42, kind="int16", sf=58, percent_of=base)
            found.append(control("reactive_power_setpoint", "var", part, 35, 45, 44, (36, mode)))
    if words[2] != _NONE and words[59] != _NONE and _scales(words, 53):
        found.append(control("power_factor_setpoint", "", PowerFactor(59, 53), 2, 4, 3, None))
    return found


def _scales(words: Sequence[int], offset: int) -> bool:
    return scale_factor(words[offset]) is not None
