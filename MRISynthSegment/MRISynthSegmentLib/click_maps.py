"""Clicks of a user on an image, and the maps in which a network sees them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

CLICK_MM = 4.0
"""Standard deviation of a click's spot."""


@dataclass(frozen=True)
class Click:
    """One click: where (LPS mm), and whether it adds to the structure or takes away from it."""

    point: tuple[float, float, float]
    adds: bool


def click_map(
    points: Sequence[tuple[float, float, float]],
    shape: tuple[int, int, int],
    spacing: Sequence[float],
    first: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> np.ndarray:
    """A spot of height 1 at each point: exp(-d²/2σ²), d the distance in mm through space, σ
    :data:`CLICK_MM`; where spots meet, the higher counts.

    Clicks as Gaussian spots are those of DeepEdit (A. Diaz-Pinto et al., MICCAI Workshop on Data
    Augmentation, Labelling, and Imperfections 2022).

    Parameters
    ----------
    points:
        (slice, row, column) of each click, not necessarily whole or inside the map.
    shape:
        (slices, rows, columns) of the map.
    spacing:
        Millimetres between (columns, rows, slices), as ``Volume.spacing``.
    first:
        (slice, row, column) of the map's first voxel in the numbering of ``points``. One slice of a
        stack is ``shape`` (1, rows, columns) and ``first`` (its number, 0, 0).

    Returns
    -------
    float32 of ``shape``; zeros without a point.
    """
    found = np.zeros(shape, np.float32)
    for point in points:
        across = []
        for axis, step in enumerate(reversed(tuple(spacing))):
            apart = (np.arange(shape[axis]) + first[axis] - point[axis]) * float(step)
            across.append(np.exp(-0.5 * (apart / CLICK_MM) ** 2).astype(np.float32))
        along, down, right = across
        spot = along[:, None, None] * (down[:, None] * right)
        np.maximum(found, spot, out=found)
    return found
