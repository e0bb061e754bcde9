"""Who exchanges documents, and by which names: what two market participants have agreed on beside the standard."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.uplink.messages.cim_xml.document import Element, leaf
from gateway.uplink.messages.cim_xml.schema import SEPARATOR


@dataclass(frozen=True, slots=True)
class Mrid:
    """An identification and who has coded it: A01 EIC, A10 GS1, NDE and others national."""

    text: str
    scheme: str = "A01"

    def written(self, name: str) -> Element:
        return leaf(name, self.text, codingScheme=self.scheme)


@dataclass(frozen=True, slots=True)
class Party:
    """A market participant in its role: A50 DSO, A49 TSO, A27 resource provider, A52 aggregator."""

    mrid: Mrid
    role: str

    def written(self, name: str) -> tuple[Element, Element]:
        return (
            self.mrid.written(f"{name}_MarketParticipant.mRID"),
            leaf(f"{name}_MarketParticipant.marketRole.type", self.role),
        )


@dataclass(frozen=True, slots=True)
class Agreement:
    """
    The two ends of an exchange, the area, and the registered resource that each target is.

    A target that has none is named by its own name, or (`pcc`) by leaving the registered resource out.
    """

    dso: Party
    site: Party
    domain: Mrid
    resources: Mapping[str, Mrid] = field(default_factory=dict)


def order_id(document: str, series: str = "") -> str:
    """
    The id of the order that a series of a document is; without a series, of the document itself.

    >>> order_id("ACT-1", "2"), order_id("ACT-1"), order_id("ACT#1")
    ('ACT-1#2', 'ACT-1', 'ACT#1#')
    """
    return document if not series and SEPARATOR not in document else f"{document}{SEPARATOR}{series}"


def split_id(identifier: str) -> tuple[str, str]:
    """
    The mRIDs of the document and of the series (none: empty) that an id names.

    >>> split_id("ACT-1#2"), split_id("ACT-1"), split_id("ACT#1#")
    (('ACT-1', '2'), ('ACT-1', ''), ('ACT#1', ''))
    """
    document, separator, series = identifier.rpartition(SEPARATOR)
    return (document, series) if separator else (identifier, "")
