"""A step as a small drawing: what was asked, what the device did, and beneath it what the meter saw. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from gateway.commissioning.result import Sample

WIDTH, HEIGHT, LEFT, GAP = 640, 110, 70, 14
POINTS_MAX = 600
"""Of one line: more than a printer shows on the width."""


class Line(NamedTuple):
    """One line of a panel: its name, colour and series."""

    name: str
    colour: str
    series: Sequence[Sample]


def svg(panels: Sequence[Sequence[Line]]) -> str:
    """Panels above each other on one axis of time; each has its own axis of power."""
    panels = [panel for panel in panels if any(line.series for line in panel)]
    end_s = max((sample.mono for panel in panels for line in panel for sample in line.series), default=0.0)
    if not panels or end_s <= 0:
        return ""
    height = len(panels) * (HEIGHT + GAP) + 18
    parts = [_panel(panel, end_s, GAP + i * (HEIGHT + GAP)) for i, panel in enumerate(panels)]
    foot = height - 4
    axis = f'<text x="{LEFT}" y="{foot}">0 s</text><text x="{WIDTH}" y="{foot}" text-anchor="end">{end_s:.0f} s</text>'
    return f'<svg viewBox="0 0 {WIDTH + 4} {height}" role="img">{"".join(parts)}{axis}</svg>'


def _panel(panel: Sequence[Line], end_s: float, top: int) -> str:
    values = [sample.value for line in panel for sample in line.series]
    low, high = min(values), max(values)
    span = high - low or 1.0

    def place(sample: Sample) -> str:
        x = LEFT + sample.mono / end_s * (WIDTH - LEFT)
        return f"{x:.1f},{top + HEIGHT - 4 - (sample.value - low) / span * (HEIGHT - 8):.1f}"

    drawn = [f'<rect x="{LEFT}" y="{top}" width="{WIDTH - LEFT}" height="{HEIGHT}" fill="none" stroke="#bbb"/>']
    for y, value in ((top + 10, high), (top + HEIGHT, low)):
        drawn.append(f'<text x="{LEFT - 6}" y="{y}" text-anchor="end">{value:.0f} W</text>')
    for i, line in enumerate(panel):
        thinned = line.series[:: max(1, -(-len(line.series) // POINTS_MAX))]
        points = " ".join(map(place, thinned))
        drawn.append(f'<polyline points="{points}" fill="none" stroke="{line.colour}" stroke-width="1.5"/>')
        drawn.append(f'<text x="{LEFT + 6 + 130 * i}" y="{top - 3}" fill="{line.colour}">{escape(line.name)}</text>')
    return "".join(drawn)
