"""Brightness along a line as a picture in the page (SVG)."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from MRISynthLib.review.profile import Profile

WIDTH, HEIGHT = 330, 190
LEFT, RIGHT, TOP, BOTTOM = 38, 8, 34, 32
"""Of the picture, and of what lies beside the curves, in its units."""

LOOKS = (
    'stroke="rgb(var(--v-theme-primary))"',
    'stroke="rgb(var(--v-theme-warning))" stroke-dasharray="6 3"',
)
"""Of the two curves, in the colours of either theme; told apart without colours too."""


def profile_svg(profile: Profile, names: Sequence[str]) -> str:
    """Both curves with their axes; ``names`` are what the images are called."""
    low, high, ticks = _axis([value for value in profile.values if np.isfinite(value).any()])
    length = float(profile.positions[-1]) or 1.0
    inner = (WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM)

    def across(position: float) -> float:
        return LEFT + inner[0] * position / length

    def up(value: float) -> float:
        return TOP + inner[1] * (1 - (value - low) / (high - low))

    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="100%" role="img" font-size="11" '
        f'fill="currentColor" aria-label="{escape(" and ".join(names))} along the line">'
    ]
    for tick in ticks:
        y = up(tick)
        parts.append(
            f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="currentColor" opacity="0.2"/>'
            f'<text x="{LEFT - 5}" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>'
        )
    for tick in _ticks(0.0, length):
        x = across(tick)
        parts.append(
            f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 14}" text-anchor="middle">{tick:g}</text>'
        )
    parts.append(
        f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 4}" text-anchor="end">mm along the line</text>'
        f'<text x="0" y="{HEIGHT - 4}">{escape(profile.unit)}</text>'
    )
    for number, (values, name, look) in enumerate(zip(profile.values, names, LOOKS, strict=True)):
        y = 9 + 14 * number
        parts.append(
            f'<path d="M{LEFT} {y - 4}h26" fill="none" stroke-width="2" {look}/>'
            f'<text x="{LEFT + 32}" y="{y}">{escape(_short(name))}</text>'
            f'<path class="mrs-curve" d="{_curve(profile.positions, values, across, up)}" '
            f'fill="none" stroke-width="1.6" {look}/>'
        )
    return "".join((*parts, "</svg>"))


def _curve(positions: np.ndarray, values: np.ndarray, across, up) -> str:
    """A path through the points that have a value; it is broken where there is none."""
    steps, drawing = [], False
    for position, value in zip(positions, values, strict=True):
        if np.isfinite(value):
            steps.append(f"{'L' if drawing else 'M'}{across(position):.1f} {up(value):.1f}")
        drawing = bool(np.isfinite(value))
    return "".join(steps)


def _axis(curves: Sequence[np.ndarray]) -> tuple[float, float, list[float]]:
    """Lowest and highest value of the axis, and where it has numbers."""
    low = min((float(np.nanmin(values)) for values in curves), default=0.0)
    high = max((float(np.nanmax(values)) for values in curves), default=1.0)
    if high - low < 1e-6:
        low, high = low - 0.5, high + 0.5
    ticks = _ticks(low, high)
    step = ticks[1] - ticks[0] if len(ticks) > 1 else high - low
    return low - step / 4, high + step / 4, ticks


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers between two values, three to seven of them."""
    size = 10.0 ** np.floor(np.log10((high - low) / 2))
    step = next(size * n for n in (1, 2, 5, 10) if (high - low) / (size * n) <= 6)
    first = int(np.ceil(low / step - 1e-9))
    return [float(round(n * step, 6)) for n in range(first, int(high / step + 1e-9) + 1)]


def _short(name: str, most: int = 44) -> str:
    return name if len(name) <= most else name[: most - 3] + "..."
