"""A PV inverter: it feeds in what the sun gives, up to its limit."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from hil.plant.converter import Band, Converter, ConverterParameters


@dataclass(slots=True)
class Inverter:
    """
    The state of a PV inverter; `available_w` is what the modules could give now, and an input.

    So are `own_at_most_w` and `own_reactive_var`, what its own characteristics make of the grid's voltage and
    frequency. Its set-points stand in `converter`: limit, reactive, disconnect.
    """

    parameters: ConverterParameters = field(
        default_factory=lambda: ConverterParameters(rated_w=60_000.0, rated_va=66_000.0)
    )
    available_w: float = 0.0
    own_at_most_w: float = math.inf
    own_reactive_var: float = 0.0
    converter: Converter = field(init=False)

    def __post_init__(self) -> None:
        self.converter = Converter(self.parameters)

    def step(self, dt_s: float) -> None:
        rated_w = self.parameters.rated_w
        ceiling_w = min(self.available_w, rated_w)
        at_most_w = min(rated_w, self.own_at_most_w)
        band = Band(ceiling_w, -rated_w, at_most_w, 0.0, ceiling_w, reactive_var=self.own_reactive_var)
        self.converter.step(band, dt_s)
