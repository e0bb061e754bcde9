"""
The SunSpec models a simulated device shows: points in their order on the wire, as the SunSpec Alliance publishes them.

One word a point: name, type and, where it has one, the name of its scale factor. ID and length come before each model
and are not listed. A point of a group is called `<group>.<point>`, of a repeating one `<group><n>.<point>` from 1 on.
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
    "int32": (">i", -(2**31)),
    "uint32": (">I", 0xFFFFFFFF),
    "uint64": (">Q", 2**64 - 1),
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


CURVES, CURVE_POINTS = 3, 8
"""How many curves a device stores, and for how many points each has room."""
TRIP_POINTS = 5
"""For how many points each curve of a protection has room."""


def _curve_model(head: str, curve: str, *, group: str = "Crv", point: str = "") -> tuple[Point, ...]:
    words = head.split()
    for number in range(1, CURVES + 1):
        words += [f"{group}{number}.{word}" for word in curve.split()]
        words += [f"{group}{number}.Pt{at}.{word}" for at in range(1, CURVE_POINTS + 1) for word in point.split()]
    return _model(" ".join(words))


def _trip_model(scale: str, point: str) -> tuple[Point, ...]:
    """With one set of curves, each with room for `TRIP_POINTS`."""
    words = f"Ena:enum16 AdptCrvReq:uint16 AdptCrvRslt:enum16 NPt:uint16 NCrvSet:uint16 {scale} Tms_SF:sunssf".split()
    words.append("Crv1.ReadOnly:enum16")
    for curve in ("MustTrip", "MayTrip", "MomCess"):
        words.append(f"Crv1.{curve}.ActPt:uint16")
        for at in range(1, TRIP_POINTS + 1):
            words += [f"Crv1.{curve}.Pt{at}.{point}", f"Crv1.{curve}.Pt{at}.Tms:uint32:Tms_SF"]
    return _model(" ".join(words))


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
    701: _model("""
        ACType:enum16 St:enum16 InvSt:enum16 ConnSt:enum16 Alrm:bitfield32 DERMode:bitfield32 W:int16:W_SF
        VA:int16:VA_SF Var:int16:Var_SF PF:int16:PF_SF A:int16:A_SF LLV:uint16:V_SF LNV:uint16:V_SF
        Hz:uint32:Hz_SF TotWhInj:uint64:TotWh_SF TotWhAbs:uint64:TotWh_SF TotVarhInj:uint64:TotVarh_SF
        TotVarhAbs:uint64:TotVarh_SF TmpAmb:int16:Tmp_SF TmpCab:int16:Tmp_SF TmpSnk:int16:Tmp_SF
        TmpTrns:int16:Tmp_SF TmpSw:int16:Tmp_SF TmpOt:int16:Tmp_SF WL1:int16:W_SF VAL1:int16:VA_SF
        VarL1:int16:Var_SF PFL1:int16:PF_SF AL1:int16:A_SF VL1L2:uint16:V_SF VL1:uint16:V_SF
        TotWhInjL1:uint64:TotWh_SF TotWhAbsL1:uint64:TotWh_SF TotVarhInjL1:uint64:TotVarh_SF
        TotVarhAbsL1:uint64:TotVarh_SF WL2:int16:W_SF VAL2:int16:VA_SF VarL2:int16:Var_SF PFL2:int16:PF_SF
        AL2:int16:A_SF VL2L3:uint16:V_SF VL2:uint16:V_SF TotWhInjL2:uint64:TotWh_SF
        TotWhAbsL2:uint64:TotWh_SF TotVarhInjL2:uint64:TotVarh_SF TotVarhAbsL2:uint64:TotVarh_SF
        WL3:int16:W_SF VAL3:int16:VA_SF VarL3:int16:Var_SF PFL3:int16:PF_SF AL3:int16:A_SF VL3L1:uint16:V_SF
        VL3:uint16:V_SF TotWhInjL3:uint64:TotWh_SF TotWhAbsL3:uint64:TotWh_SF TotVarhInjL3:uint64:TotVarh_SF
        TotVarhAbsL3:uint64:TotVarh_SF ThrotPct:uint16 ThrotSrc:bitfield32 A_SF:sunssf V_SF:sunssf
        Hz_SF:sunssf W_SF:sunssf PF_SF:sunssf VA_SF:sunssf Var_SF:sunssf TotWh_SF:sunssf TotVarh_SF:sunssf
        Tmp_SF:sunssf MnAlrmInfo:string/32"""),
    702: _model("""
        WMaxRtg:uint16:W_SF WOvrExtRtg:uint16:W_SF WOvrExtRtgPF:uint16:PF_SF WUndExtRtg:uint16:W_SF
        WUndExtRtgPF:uint16:PF_SF VAMaxRtg:uint16:VA_SF VarMaxInjRtg:uint16:Var_SF
        VarMaxAbsRtg:uint16:Var_SF WChaRteMaxRtg:uint16:W_SF WDisChaRteMaxRtg:uint16:W_SF
        VAChaRteMaxRtg:uint16:VA_SF VADisChaRteMaxRtg:uint16:VA_SF VNomRtg:uint16:V_SF VMaxRtg:uint16:V_SF
        VMinRtg:uint16:V_SF AMaxRtg:uint16:A_SF PFOvrExtRtg:uint16:PF_SF PFUndExtRtg:uint16:PF_SF
        ReactSusceptRtg:uint16:S_SF NorOpCatRtg:enum16 AbnOpCatRtg:enum16 CtrlModes:bitfield32
        IntIslandCatRtg:bitfield16 WMax:uint16:W_SF WMaxOvrExt:uint16:W_SF WOvrExtPF:uint16:PF_SF
        WMaxUndExt:uint16:W_SF WUndExtPF:uint16:PF_SF VAMax:uint16:VA_SF VarMaxInj:uint16:Var_SF
        VarMaxAbs:uint16:Var_SF WChaRteMax:uint16:W_SF WDisChaRteMax:uint16:W_SF VAChaRteMax:uint16:VA_SF
        VADisChaRteMax:uint16:VA_SF VNom:uint16:V_SF VMax:uint16:V_SF VMin:uint16:V_SF AMax:uint16:A_SF
        PFOvrExt:uint16:PF_SF PFUndExt:uint16:PF_SF IntIslandCat:bitfield16 W_SF:sunssf PF_SF:sunssf
        VA_SF:sunssf Var_SF:sunssf V_SF:sunssf A_SF:sunssf S_SF:sunssf"""),
    703: _model("""
        ES:enum16 ESVHi:uint16:V_SF ESVLo:uint16:V_SF ESHzHi:uint32:Hz_SF ESHzLo:uint32:Hz_SF
        ESDlyTms:uint32 ESRndTms:uint32 ESRmpTms:uint32 ESDlyRemTms:uint32 V_SF:sunssf Hz_SF:sunssf"""),
    704: _model("""
        PFWInjEna:enum16 PFWInjEnaRvrt:enum16 PFWInjRvrtTms:uint32 PFWInjRvrtRem:uint32 PFWAbsEna:enum16
        PFWAbsEnaRvrt:enum16 PFWAbsRvrtTms:uint32 PFWAbsRvrtRem:uint32 WMaxLimPctEna:enum16
        WMaxLimPct:uint16:WMaxLimPct_SF WMaxLimPctRvrt:uint16:WMaxLimPct_SF WMaxLimPctEnaRvrt:enum16
        WMaxLimPctRvrtTms:uint32 WMaxLimPctRvrtRem:uint32 WSetEna:enum16 WSetMod:enum16 WSet:int32:WSet_SF
        WSetRvrt:int32:WSet_SF WSetPct:int16:WSetPct_SF WSetPctRvrt:int16:WSetPct_SF WSetEnaRvrt:enum16
        WSetRvrtTms:uint32 WSetRvrtRem:uint32 VarSetEna:enum16 VarSetMod:enum16 VarSetPri:enum16
        VarSet:int32:VarSet_SF VarSetRvrt:int32:VarSet_SF VarSetPct:int16:VarSetPct_SF
        VarSetPctRvrt:int16:VarSetPct_SF VarSetEnaRvrt:enum16 VarSetRvrtTms:uint32 VarSetRvrtRem:uint32
        WRmp:uint16 WRmpRef:enum16 VarRmp:uint16 AntiIslEna:enum16 PF_SF:sunssf WMaxLimPct_SF:sunssf
        WSet_SF:sunssf WSetPct_SF:sunssf VarSet_SF:sunssf VarSetPct_SF:sunssf PFWInj.PF:uint16:PF_SF
        PFWInj.Ext:enum16 PFWInjRvrt.PF:uint16:PF_SF PFWInjRvrt.Ext:enum16 PFWAbs.PF:uint16:PF_SF
        PFWAbs.Ext:enum16 PFWAbsRvrt.PF:uint16:PF_SF PFWAbsRvrt.Ext:enum16"""),
    705: _curve_model(
        """Ena:enum16 AdptCrvReq:uint16 AdptCrvRslt:enum16 NPt:uint16 NCrv:uint16 RvrtTms:uint32 RvrtRem:uint32
        RvrtCrv:uint16 V_SF:sunssf DeptRef_SF:sunssf RspTms_SF:sunssf""",
        """ActPt:uint16 DeptRef:enum16 Pri:enum16 VRef:uint16:V_SF VRefAuto:uint16:V_SF VRefAutoEna:enum16
        VRefAutoTms:uint16 RspTms:uint32:RspTms_SF ReadOnly:enum16""",
        point="V:uint16:V_SF Var:int16:DeptRef_SF",
    ),
    706: _curve_model(
        """Ena:enum16 AdptCrvReq:uint16 AdptCrvRslt:enum16 NPt:uint16 NCrv:uint16 RvrtTms:uint32 RvrtRem:uint32
        RvrtCrv:uint16 V_SF:sunssf DeptRef_SF:sunssf RspTms_SF:sunssf""",
        "ActPt:uint16 DeptRef:enum16 RspTms:uint32:RspTms_SF ReadOnly:enum16",
        point="V:uint16:V_SF W:int16:DeptRef_SF",
    ),
    707: _trip_model("V_SF:sunssf", "V:uint16:V_SF"),
    708: _trip_model("V_SF:sunssf", "V:uint16:V_SF"),
    709: _trip_model("Hz_SF:sunssf", "Hz:uint32:Hz_SF"),
    710: _trip_model("Hz_SF:sunssf", "Hz:uint32:Hz_SF"),
    711: _curve_model(
        """Ena:enum16 AdptCtlReq:uint16 AdptCtlRslt:enum16 NCtl:uint16 RvrtTms:uint32 RvrtRem:uint32 RvrtCtl:uint16
        Db_SF:sunssf K_SF:sunssf RspTms_SF:sunssf""",
        """DbOf:uint32:Db_SF DbUf:uint32:Db_SF KOf:uint16:K_SF KUf:uint16:K_SF RspTms:uint32:RspTms_SF PMin:int16
        ReadOnly:enum16""",
        group="Ctl",
    ),
    712: _curve_model(
        """Ena:enum16 AdptCrvReq:uint16 AdptCrvRslt:enum16 NPt:uint16 NCrv:uint16 RvrtTms:uint32 RvrtRem:uint32
        RvrtCrv:uint16 W_SF:sunssf DeptRef_SF:sunssf""",
        "ActPt:uint16 DeptRef:enum16 Pri:enum16 ReadOnly:enum16",
        point="W:int16:W_SF Var:int16:DeptRef_SF",
    ),
    713: _model("""
        WHRtg:uint16:WH_SF WHAvail:uint16:WH_SF SoC:uint16:Pct_SF SoH:uint16:Pct_SF Sta:enum16 WH_SF:sunssf
        Pct_SF:sunssf"""),
    715: _model("""
        LocRemCtl:enum16 DERHb:uint32 ControllerHb:uint32 AlarmReset:uint16 OpCtl:enum16"""),
}
