"""What functions that order a value have in common: the range of the value, or of each value of a schedule."""

from __future__ import annotations

from gateway.model import Activation, Band


def check_values(activation: Activation, value: float | None, allowed: Band, unit: str) -> str | None:
    """
    What is wrong with the values of an order; None: nothing is.

    Args:
        value: The order's value in *unit*; of a schedule, any one of its values.
    """
    if value is None:
        return f"found no value, accepted is {allowed.lo:g} to {allowed.hi:g} {unit}"
    if allowed.lo <= value <= allowed.hi:
        return None
    given = activation.value if activation.value is not None else value
    found = f"found {given:g} {activation.unit or unit}"
    found += f" = {value:g} {unit}" if activation.unit not in {unit, ""} and activation.value is not None else ""
    return f"{found}, accepted is {allowed.lo:g} to {allowed.hi:g} {unit}"
