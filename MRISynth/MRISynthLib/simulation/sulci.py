"""Fluid between gyri, which is contoured with the brain around it."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

HALF_WIDTH_MM = 4.0
"""Gaps up to twice as wide are sulci; wider ones are cisterns."""


def sulci(tissue: np.ndarray, fluid: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """Where fluid lies between parts of a tissue (closing by a ball).

    Parameters
    ----------
    tissue, fluid:
        Boolean (slices, rows, columns).
    spacing:
        Millimetres between (slices, rows, columns).
    """
    padding = [int(np.ceil(HALF_WIDTH_MM / step)) + 1 for step in spacing]
    inside = tuple(slice(n, -n) for n in padding)
    padded = np.pad(tissue, [(n, n) for n in padding])
    near = ndimage.distance_transform_edt(~padded, sampling=spacing) <= HALF_WIDTH_MM
    closed = ndimage.distance_transform_edt(near, sampling=spacing) > HALF_WIDTH_MM
    return closed[inside] & fluid & ~tissue
