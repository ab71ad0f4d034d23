"""Points of a patient as Slicer's Data Probe tells them, to and from words."""

from __future__ import annotations

import re
from collections.abc import Sequence

AXES = ("LR", "PA", "SI")
"""Of LPS millimetres: the letter of what lies above 0, and of what lies below."""

_TOLD = re.compile(
    ", ".join(rf"([{pair}]) (\d+)" for pair in AXES) + " mm",
)


def in_words(point: Sequence[float]) -> str:
    """A point in LPS mm, such as ``R 12, P 40, S 3 mm``: the side, and how far from the origin."""
    told = (
        f"{pair[int(round(step) < 0)]} {abs(round(step))}"
        for pair, step in zip(AXES, map(float, point), strict=True)
    )
    return ", ".join(told) + " mm"


def told_in(sentence: str) -> tuple[float, float, float] | None:
    """The first point that a sentence tells as :func:`in_words` does, in LPS mm; None if none."""
    found = _TOLD.search(sentence)
    if found is None:
        return None
    pairs = zip(AXES, found.groups()[::2], found.groups()[1::2], strict=True)
    return tuple(float(far) * (1 if side == pair[0] else -1) for pair, side, far in pairs)
