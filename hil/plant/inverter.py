"""A PV inverter: it feeds in what the sun gives, up to its limit."""

from __future__ import annotations

from dataclasses import dataclass, field

from hil.plant.converter import Band, Converter, ConverterParameters


@dataclass(slots=True)
class Inverter:
    """
    The state of a PV inverter; `available_w` is what the modules could give now, and an input.

    Its set-points stand in `converter`: limit, reactive, disconnect.
    """

    parameters: ConverterParameters = field(
        default_factory=lambda: ConverterParameters(rated_w=60_000.0, rated_va=66_000.0)
    )
    available_w: float = 0.0
    converter: Converter = field(init=False)

    def __post_init__(self) -> None:
        self.converter = Converter(self.parameters)

    def step(self, dt_s: float) -> None:
        rated_w = self.parameters.rated_w
        ceiling_w = min(self.available_w, rated_w)
        self.converter.step(Band(ceiling_w, -rated_w, rated_w, 0.0, ceiling_w), dt_s)
