"""Which business of the standard is which function of the contract; `activation` has the table for readers."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.uplink.messages.cim_xml import codes


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a series orders. `direction` None: either one, and it is the sign."""

    function: str
    business: str
    reactive: bool = False
    direction: str | None = None

    @property
    def units(self) -> dict[str, tuple[str, int]]:
        known = ("var", "%") if self.reactive else ("W", "%")
        return {code: unit for code, unit in codes.POWER_OF_TEN.items() if unit[0] in known}


MEANINGS = (
    Meaning("limit_active_power", codes.PRODUCTION_CURTAILMENT, direction=codes.DOWN),
    Meaning("limit_import", codes.CONSUMPTION_CURTAILMENT, direction=codes.UP),
    Meaning("set_active_power", codes.INTERNAL_REDISPATCH),
    Meaning("set_reactive_power", codes.INTERNAL_REDISPATCH, reactive=True),
)
FUNCTIONS = tuple(meaning.function for meaning in MEANINGS)
"""The functions of the contract that an activation document can order."""
