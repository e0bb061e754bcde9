"""
What the gateway says of its site in `birth`, and of what is in force in `control`.

`MAPPING` gives each canonical point name its IEC 61850 data object (IEC 61850-7-4 and 7-420, `LN.DO`) and its CIM
measurement type (IEC 61970-301, `Measurement.measurementType`).
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import msgspec


class Mapped(NamedTuple):
    """The name of a point in the two models of the grid's own world; None where the model has no word for it."""

    iec61850: str | None
    cim: str | None


_PHASES = {"l1": "A", "l2": "B", "l3": "C"}
_PAIRS = {"l12": "AB", "l23": "BC", "l31": "CA"}

MAPPING: dict[str, Mapped] = {
    "active_power": Mapped("MMXU.TotW", "ThreePhaseActivePower"),
    "reactive_power": Mapped("MMXU.TotVAr", "ThreePhaseReactivePower"),
    "apparent_power": Mapped("MMXU.TotVA", "ThreePhaseApparentPower"),
    "power_factor": Mapped("MMXU.TotPF", "PowerFactor"),
    "frequency": Mapped("MMXU.Hz", "Frequency"),
    **{f"voltage_{own}": Mapped(f"MMXU.PhV.phs{phase}", "PhaseVoltage") for own, phase in _PHASES.items()},
    **{f"voltage_{own}": Mapped(f"MMXU.PPV.phs{pair}", "LineToLineVoltage") for own, pair in _PAIRS.items()},
    **{f"current_{own}": Mapped(f"MMXU.A.phs{phase}", "LineCurrent") for own, phase in _PHASES.items()},
    "current_n": Mapped("MMXU.A.neut", "LineCurrent"),
    **{f"active_power_{own}": Mapped(f"MMXU.W.phs{phase}", "ActivePower") for own, phase in _PHASES.items()},
    "energy_export": Mapped("MMTR.SupWh", "ActiveEnergy"),
    "energy_import": Mapped("MMTR.DmdWh", "ActiveEnergy"),
    "state_of_charge": Mapped("DSTO.SocEffPct", "StateOfCharge"),
    "state_of_health": Mapped("DBAT.SohPct", "StateOfHealth"),
    "dc_voltage": Mapped("MMDC.Vol", "DCVoltage"),
    "dc_current": Mapped("MMDC.Amp", "DCCurrent"),
    "dc_power": Mapped("MMDC.Watt", "DCPower"),
    "temperature": Mapped("STMP.Tmp", "Temperature"),
    "operating_state": Mapped("DGEN.DEROpSt", "OperatingState"),
    "alarm": Mapped("CALH.GrAlm", "Alarm"),
    "breaker_closed": Mapped("XCBR.Pos", "SwitchPosition"),
    "active_power_limit": Mapped("DWMX.WLimPctSpt", "ActivePowerLimit"),
    "active_power_setpoint": Mapped("DWGC.WSpt", "ActivePowerSetPoint"),
    "reactive_power_setpoint": Mapped("DVAR.VArTgtSpt", "ReactivePowerSetPoint"),
    "power_factor_setpoint": Mapped("DFPF.PFGnTgtSpt", "PowerFactorSetPoint"),
    "connect": Mapped("DCTE.ConnDERSpt", "ConnectCommand"),
}
"""Every canonical name of the contract; names a site makes up have no entry."""

NOT_MAPPED = Mapped(None, None)


class CataloguePoint(msgspec.Struct, frozen=True, kw_only=True):
    """One signal; `name` is the part after the device id, `access` is read, write or read-write."""

    name: str
    unit: str
    access: str
    iec61850: str | None = None
    cim: str | None = None

    @classmethod
    def of(cls, name: str, unit: str, *, readable: bool, writable: bool) -> CataloguePoint:
        """A point with its place in the two models, by its canonical name."""
        access = "-".join(word for word, has in (("read", readable), ("write", writable)) if has)
        mapped = MAPPING.get(name, NOT_MAPPED)
        return cls(name=name, unit=unit, access=access, iec61850=mapped.iec61850, cim=mapped.cim)


class CatalogueDevice(msgspec.Struct, frozen=True, kw_only=True):
    """One device; `rated_power` in W, None while it is not known."""

    id: str
    role: str
    rated_power: float | None = None
    manufacturer: str = ""
    model: str = ""
    points: tuple[CataloguePoint, ...] = ()


class Capability(msgspec.Struct, frozen=True):
    """The reach of the site at its PCC, W and var in the generator reference frame; None is not known."""

    p_min: float | None = None
    p_max: float | None = None
    q_min: float | None = None
    q_max: float | None = None


class Catalogue(msgspec.Struct, frozen=True, kw_only=True):
    """The content of `birth`; `rated_power` is the agreed capacity at the PCC in W."""

    name: str
    rated_power: float
    devices: tuple[CatalogueDevice, ...]
    functions: tuple[str, ...]
    capability: Capability
    configuration: str


class MirroredQuantity(msgspec.Struct, frozen=True, kw_only=True):
    """
    One value in force.

    `source` is an activation id, `fallback`, `local` or `none`; `expires` is an RFC 3339 time; `limited_by` says what
    keeps the value from being reached. `execution` is who follows it: the gateway's control, or the devices by
    themselves; `by` is the rule that decided between several.
    """

    target: str
    quantity: str
    function: str | None = None
    value: float | None
    unit: str
    source: str
    kind: str | None = None
    priority: int | None = None
    expires: str | None = None
    limited_by: str | None = None
    execution: Literal["local", "device"] | None = None
    by: str | None = None


class Headroom(msgspec.Struct, frozen=True):
    """How far power can still move now, in W and var, each 0 or above; None is not known."""

    p_up: float | None = None
    p_down: float | None = None
    q_up: float | None = None
    q_down: float | None = None


class MirroredReserve(msgspec.Struct, frozen=True):
    """The headroom that has been ordered free, in W, and whether it is now."""

    up_w: float
    down_w: float
    kept: bool


class Mirror(msgspec.Struct, frozen=True, kw_only=True):
    """The content of `control`; `capability` is what can be reached now, `reserve` is None while none is ordered."""

    quantities: tuple[MirroredQuantity, ...] = ()
    headroom: Headroom = Headroom()
    reserve: MirroredReserve | None = None
    capability: Capability | None = None
