"""Lines over time as a small SVG: panels above each other, light, with axes, units and a legend. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

WIDTH, LEFT, RIGHT, TOP, PANEL, GAP = 760, 64, 20, 30, 128, 44
LEAST_KW = 0.15
STYLE = (
    "text{font:12px sans-serif;fill:#222}.t{font-weight:bold}.a{fill:#555;font-size:11px}"
    ".m{paint-order:stroke;stroke:#fff;stroke-width:4px}.g{stroke:#e4e4e4}.l{fill:none;stroke-width:1.8;stroke-linejoin:round}"
)


@dataclass(frozen=True, slots=True)
class Line:
    """A line: its name, its colour, and its points in s and kW; `dashed` for what was asked."""

    name: str
    colour: str
    points: Sequence[tuple[float, float]]
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Panel:
    """Lines on one pair of axes, and moments to be marked, in s, with what happened."""

    title: str
    lines: Sequence[Line]
    marks: Sequence[tuple[float, str]] = ()


def svg(title: str, panels: Sequence[Panel]) -> str:
    """The whole drawing."""
    height = TOP + len(panels) * (PANEL + GAP) + 6
    body = "\n".join(_panel(panel, TOP + 18 + i * (PANEL + GAP)) for i, panel in enumerate(panels))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-label="{escape(title)}">\n'
        f'<style>{STYLE}</style><rect width="{WIDTH}" height="{height}" fill="#fff"/>\n'
        f'<text class="t" x="{LEFT}" y="18">{escape(title)}</text>\n{body}\n</svg>\n'
    )


def _panel(panel: Panel, top: float) -> str:
    powers = [power for line in panel.lines for _, power in line.points]
    end = max(moment for line in panel.lines for moment, _ in line.points)
    tick = next(step for step in (2, 5, 10, 20, 25, 50) if (max(powers) - min(powers)) / step <= 5)
    low, high = min(powers) // tick * tick, -(-max(powers) // tick) * tick

    def x(moment: float) -> float:
        return LEFT + moment / end * (WIDTH - LEFT - RIGHT)

    def y(power: float) -> float:
        return top + PANEL - (power - low) / (high - low) * PANEL

    parts = [f'<text x="{LEFT}" y="{top - 6}">{escape(panel.title)}</text>']
    for i in range(round((high - low) / tick) + 1):
        at = low + i * tick
        parts.append(f'<path class="g" d="M{LEFT} {y(at):.1f}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text class="a" x="{LEFT - 6}" y="{y(at) + 4:.1f}" text-anchor="end">{at:g} kW</text>')
    foot = top + PANEL + 14
    seconds = range(0, round(end) + 1, 10)
    parts += [f'<text class="a" x="{x(at):.1f}" y="{foot}" text-anchor="middle">{at} s</text>' for at in seconds]
    right = float(WIDTH - RIGHT)
    for line in reversed(panel.lines):
        path = "L".join(f"{x(moment):.1f} {y(power):.1f}" for moment, power in _corners(line.points))
        dashes = ' stroke-dasharray="6 4"' if line.dashed else ""
        parts.append(f'<path class="l" stroke="{line.colour}"{dashes} d="M{path}"/>')
        parts.append(
            f'<text class="a" x="{right:.0f}" y="{top - 6}" text-anchor="end" style="fill:{line.colour}">'
            f"{'┅' if line.dashed else '━'} {escape(line.name)}</text>"
        )
        right -= 26 + 6.2 * len(line.name)
    for moment, what in panel.marks:
        parts.append(f'<path stroke="#999" stroke-dasharray="2 3" d="M{x(moment):.1f} {top}V{top + PANEL}"/>')
        parts.append(f'<text class="a m" x="{x(moment) + 4:.1f}" y="{top + PANEL - 4}">{escape(what)}</text>')
    return "\n".join(parts)


def _corners(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Without the points that nobody would see missing: a next one is LEAST_KW from the last, or ends a level."""
    kept = level = points[0]
    corners = [kept]
    for before, here in pairwise(points):
        away = abs(here[1] - kept[1])
        if away < LEAST_KW / 10:
            level = here
        if away >= LEAST_KW:
            corners += [before] if abs(here[1] - before[1]) >= LEAST_KW else [level] if level > kept else []
            kept = level = here
            corners.append(kept)
    return [*corners, points[-1]]
