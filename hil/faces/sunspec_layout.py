"""
The SunSpec models a simulated device shows: points in their order on the wire, as the SunSpec Alliance publishes them.

One word a point: name, type and, where it has one, the name of its scale factor. ID and length come before each model
and are not listed.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass

Raw = int | str
"""A point as it stands on the wire; text for strings."""

_TYPES: dict[str, tuple[str, int]] = {  # how struct packs it, and what stands for "not implemented"
    "int16": (">h", -0x8000),
    "uint16": (">H", 0xFFFF),
    "enum16": (">H", 0xFFFF),
    "bitfield16": (">H", 0xFFFF),
    "sunssf": (">h", -0x8000),
    "uint32": (">I", 0xFFFFFFFF),
    "bitfield32": (">I", 0xFFFFFFFF),
    "acc32": (">I", 0),
    "acc64": (">Q", 0),
    "pad": (">H", 0),
}


@dataclass(frozen=True, slots=True)
class Point:
    """One point of a model: `size` in registers, `offset` from the ID register, `scale` the name of a scale factor."""

    name: str
    type: str
    size: int
    offset: int
    scale: str | None

    def encode(self, raw: Raw | None) -> list[int]:
        """The words of this point; None is not implemented."""
        if self.type == "string":
            data = str(raw or "").encode("ascii").ljust(2 * self.size, b"\0")
            return list(struct.unpack(f">{self.size}H", data))
        layout, sentinel = _TYPES[self.type]
        data = struct.pack(layout, sentinel if raw is None else raw)
        return list(struct.unpack(f">{self.size}H", data))

    def decode(self, words: list[int]) -> int:
        """The number that these words say; strings are never written."""
        raw: int = struct.unpack(_TYPES[self.type][0], struct.pack(f">{self.size}H", *words))[0]
        return raw


def _model(text: str) -> tuple[Point, ...]:
    points: list[Point] = []
    offset = 2
    for word in text.split():
        name, kind, *scale = word.split(":")
        kind, _, length = kind.partition("/")
        size = int(length) if length else struct.calcsize(_TYPES[kind][0]) // 2
        points.append(Point(name, kind, size, offset, scale[0] if scale else None))
        offset += size
    return tuple(points)


def scale_factor(largest: float, *, bound: int = 0x7FFF) -> int:
    """
    The smallest power of ten, 0 or above, with which `largest` still fits a register.

    >>> scale_factor(60_000), scale_factor(30_000)
    (1, 0)
    """
    return max(0, math.ceil(math.log10(largest / bound)))


MODELS: dict[int, tuple[Point, ...]] = {
    1: _model("Mn:string/16 Md:string/16 Opt:string/8 Vr:string/8 SN:string/16 DA:uint16 Pad:pad"),
    103: _model("""
        A:uint16:A_SF AphA:uint16:A_SF AphB:uint16:A_SF AphC:uint16:A_SF A_SF:sunssf
        PPVphAB:uint16:V_SF PPVphBC:uint16:V_SF PPVphCA:uint16:V_SF
        PhVphA:uint16:V_SF PhVphB:uint16:V_SF PhVphC:uint16:V_SF V_SF:sunssf
        W:int16:W_SF W_SF:sunssf Hz:uint16:Hz_SF Hz_SF:sunssf VA:int16:VA_SF VA_SF:sunssf VAr:int16:VAr_SF VAr_SF:sunssf
        PF:int16:PF_SF PF_SF:sunssf WH:acc32:WH_SF WH_SF:sunssf DCA:uint16:DCA_SF DCA_SF:sunssf DCV:uint16:DCV_SF
        DCV_SF:sunssf DCW:int16:DCW_SF DCW_SF:sunssf TmpCab:int16:Tmp_SF TmpSnk:int16:Tmp_SF TmpTrns:int16:Tmp_SF
        TmpOt:int16:Tmp_SF Tmp_SF:sunssf St:enum16 StVnd:enum16 Evt1:bitfield32 Evt2:bitfield32
        EvtVnd1:bitfield32 EvtVnd2:bitfield32 EvtVnd3:bitfield32 EvtVnd4:bitfield32"""),
    120: _model("""
        DERTyp:enum16 WRtg:uint16:WRtg_SF WRtg_SF:sunssf VARtg:uint16:VARtg_SF VARtg_SF:sunssf
        VArRtgQ1:int16:VArRtg_SF VArRtgQ2:int16:VArRtg_SF VArRtgQ3:int16:VArRtg_SF VArRtgQ4:int16:VArRtg_SF
        VArRtg_SF:sunssf ARtg:uint16:ARtg_SF ARtg_SF:sunssf
        PFRtgQ1:int16:PFRtg_SF PFRtgQ2:int16:PFRtg_SF PFRtgQ3:int16:PFRtg_SF PFRtgQ4:int16:PFRtg_SF PFRtg_SF:sunssf
        WHRtg:uint16:WHRtg_SF WHRtg_SF:sunssf AhrRtg:uint16:AhrRtg_SF AhrRtg_SF:sunssf
        MaxChaRte:uint16:MaxChaRte_SF MaxChaRte_SF:sunssf MaxDisChaRte:uint16:MaxDisChaRte_SF MaxDisChaRte_SF:sunssf
        Pad:pad"""),
    121: _model("""
        WMax:uint16:WMax_SF VRef:uint16:VRef_SF VRefOfs:int16:VRefOfs_SF VMax:uint16:VMinMax_SF VMin:uint16:VMinMax_SF
        VAMax:uint16:VAMax_SF VArMaxQ1:int16:VArMax_SF VArMaxQ2:int16:VArMax_SF VArMaxQ3:int16:VArMax_SF
        VArMaxQ4:int16:VArMax_SF WGra:uint16:WGra_SF PFMinQ1:int16:PFMin_SF PFMinQ2:int16:PFMin_SF
        PFMinQ3:int16:PFMin_SF PFMinQ4:int16:PFMin_SF VArAct:enum16 ClcTotVA:enum16 MaxRmpRte:uint16:MaxRmpRte_SF
        ECPNomHz:uint16:ECPNomHz_SF ConnPh:enum16 WMax_SF:sunssf VRef_SF:sunssf VRefOfs_SF:sunssf VMinMax_SF:sunssf
        VAMax_SF:sunssf VArMax_SF:sunssf WGra_SF:sunssf PFMin_SF:sunssf MaxRmpRte_SF:sunssf ECPNomHz_SF:sunssf"""),
    122: _model("""
        PVConn:bitfield16 StorConn:bitfield16 ECPConn:bitfield16 ActWh:acc64 ActVAh:acc64
        ActVArhQ1:acc64 ActVArhQ2:acc64 ActVArhQ3:acc64 ActVArhQ4:acc64 VArAval:int16:VArAval_SF VArAval_SF:sunssf
        WAval:uint16:WAval_SF WAval_SF:sunssf StSetLimMsk:bitfield32 StActCtl:bitfield32 TmSrc:string/4 Tms:uint32
        RtSt:bitfield16 Ris:uint16:Ris_SF Ris_SF:sunssf"""),
    123: _model("""
        Conn_WinTms:uint16 Conn_RvrtTms:uint16 Conn:enum16 WMaxLimPct:uint16:WMaxLimPct_SF WMaxLimPct_WinTms:uint16
        WMaxLimPct_RvrtTms:uint16 WMaxLimPct_RmpTms:uint16 WMaxLim_Ena:enum16 OutPFSet:int16:OutPFSet_SF
        OutPFSet_WinTms:uint16 OutPFSet_RvrtTms:uint16 OutPFSet_RmpTms:uint16 OutPFSet_Ena:enum16
        VArWMaxPct:int16:VArPct_SF VArMaxPct:int16:VArPct_SF VArAvalPct:int16:VArPct_SF VArPct_WinTms:uint16
        VArPct_RvrtTms:uint16 VArPct_RmpTms:uint16 VArPct_Mod:enum16 VArPct_Ena:enum16
        WMaxLimPct_SF:sunssf OutPFSet_SF:sunssf VArPct_SF:sunssf"""),
    124: _model("""
        WChaMax:uint16:WChaMax_SF WChaGra:uint16:WChaDisChaGra_SF WDisChaGra:uint16:WChaDisChaGra_SF
        StorCtl_Mod:bitfield16 VAChaMax:uint16:VAChaMax_SF MinRsvPct:uint16:MinRsvPct_SF ChaState:uint16:ChaState_SF
        StorAval:uint16:StorAval_SF InBatV:uint16:InBatV_SF ChaSt:enum16 OutWRte:int16:InOutWRte_SF
        InWRte:int16:InOutWRte_SF InOutWRte_WinTms:uint16 InOutWRte_RvrtTms:uint16 InOutWRte_RmpTms:uint16
        ChaGriSet:enum16 WChaMax_SF:sunssf WChaDisChaGra_SF:sunssf VAChaMax_SF:sunssf MinRsvPct_SF:sunssf
        ChaState_SF:sunssf StorAval_SF:sunssf InBatV_SF:sunssf InOutWRte_SF:sunssf"""),
}
