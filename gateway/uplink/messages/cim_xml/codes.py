"""
The code lists of ENTSO-E that the documents use, and what we mean by the codes that we act on.

A code that its list does not have is malformed; a code that we have no word for is unsupported. Lists: ENTSO-E code
list 92, as the XSDs of the documents take them.
"""

from __future__ import annotations

from collections.abc import Mapping

from gateway.model import Kind


def _codes(runs: str) -> frozenset[str]:
    """
    The codes of runs such as `A01-A28 A30 P1`.

    >>> sorted(_codes("A08-A11 P1"))
    ['A08', 'A09', 'A10', 'A11', 'P1']
    """
    codes: set[str] = set()
    for run in runs.split():
        first, _, last = run.partition("-")
        if last:
            codes.update(f"{first[0]}{number:02d}" for number in range(int(first[1:]), int(last[1:]) + 1))
        else:
            codes.add(first)
    return frozenset(codes)


MESSAGE_TYPES = _codes("A01-A28 A30-A99 B01-B52")
PROCESS_TYPES = _codes("A01-A75")
BUSINESS_TYPES = _codes("A01-A38 A40-A99 B01-B99 C01-C95")
ROLES = _codes("A01-A59")
REASONS = _codes("999 A01-A10 A20-A30 A41-A99 B01-B82")
STATUSES = _codes("A01-A76")
DIRECTIONS = _codes("A01-A04")
CURVES = _codes("A01-A05")
QUALITIES = _codes("A01-A07")
COMMODITIES = _codes("E17-E20")
PRODUCTS = _codes(
    "8716867000016 8716867000023 8716867000030 8716867000047 8716867000115 8716867000122 8716867000139 8716867000146 "
    "8716867009911"
)
UNITS = _codes(
    "A59 A90 A97 AMP C62 CEL D54 DD E08 GWH HMQ HTZ KEL KMT KVR KVT KWH KWT MAH MAR MAW MIN MMT MQS MTQ MTR MTS MTZ "
    "MVA MWH P1 SEC WTT"
)
CODING_SCHEMES = _codes(
    "A01 A02 A03 A10 NAD NAL NAM NAT NAZ NBA NBE NBG NCH NCS NCY NCZ NDE NDK NEE NES NFI NFR NGB NGE NGI NGR NHR NHU "
    "NIE NIT NKG NKZ NLI NLT NLU NLV NMA NMD NMK NNL NNN NNO NPL NPT NRO NRU NSE NSI NSK NTR NUA"
)

MEASUREMENT = "A45"
DEACTIVATION = "A36"
REDISPATCH = "A96"
VOLTAGE_CONTROL = "B50"
ORDERS = (DEACTIVATION, "A39", "A40", REDISPATCH, VOLTAGE_CONTROL)
"""The message types that order: deactivation, tertiary reserve (scheduled, direct), redispatch, voltage control."""

KIND_OF_PROCESS: Mapping[str | None, Kind] = {
    None: Kind.DSO,
    "A41": Kind.DSO,  # redispatch
    "A40": Kind.MARKET,  # intraday
    "A47": Kind.MARKET,  # mFRR
    "A51": Kind.MARKET,  # aFRR
    "A60": Kind.MARKET,  # mFRR, scheduled
    "A61": Kind.MARKET,  # mFRR, direct
}
PROCESS_OF_KIND: Mapping[Kind, str] = {Kind.DSO: "A41", Kind.MARKET: "A40"}
"""The standard has no word for an emergency, and nothing local crosses the line."""

UP, DOWN = "A01", "A02"
ORDERED, MODIFIED, CANCELLED, WITHDRAWN = "A10", "A31", "A09", "A13"

PRODUCTION_CURTAILMENT, CONSUMPTION_CURTAILMENT, INTERNAL_REDISPATCH = "C55", "A76", "A85"

POWER_OF_TEN: Mapping[str, tuple[str, int]] = {
    "WTT": ("W", 0),
    "KWT": ("W", 3),
    "MAW": ("W", 6),
    "A90": ("W", 9),
    "KVR": ("var", 3),
    "MAR": ("var", 6),
    "P1": ("%", 0),
    "KWH": ("Wh", 3),
    "MAH": ("varh", 6),
}
"""Our unit of a unit of the standard, and by which power of ten its numbers are smaller."""
WRITTEN: Mapping[str, str] = {
    "W": "KWT",
    "var": "KVR",
    "%": "P1",
    "Wh": "KWH",
    "varh": "MAH",
}
"""The unit in which we write one of ours: that of a site, not that of a power station."""
