"""What several documents write alike: intervals and quantities."""

from __future__ import annotations

from decimal import Decimal

from gateway.uplink.messages.cim_xml.codes import POWER_OF_TEN
from gateway.uplink.messages.cim_xml.document import Element, leaf
from gateway.uplink.messages.cim_xml.times import minute


def interval(name: str, start: float, end: float) -> Element:
    """
    From *start* to *end*, UTC seconds.

    Raises:
        ValueError: One of them is not a whole minute.
    """
    return Element(name, children=[leaf("start", minute(start)), leaf("end", minute(end))])


def quantity(value: float, unit: str) -> str:
    """
    A value of ours as a decimal number in a unit of the standard, exactly.

    >>> quantity(59800.0, "KWT"), quantity(0.1, "WTT")
    ('59.8', '0.1')
    """
    text = f"{Decimal(repr(value + 0.0)).scaleb(-POWER_OF_TEN[unit][1]):f}"  # -0.0 becomes 0.0
    return text.rstrip("0").rstrip(".") if "." in text else text
