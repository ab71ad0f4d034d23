"""Masks that are boxes."""

from __future__ import annotations

import numpy as np


def box(shape: tuple[int, int, int], *sides: tuple[int, int]) -> np.ndarray:
    """Boolean of ``shape``, true from ... to ... along slices, rows, columns."""
    mask = np.zeros(shape, bool)
    mask[tuple(slice(*side) for side in sides)] = True
    return mask
