"""From the working grid to the reference's own voxels, only where something is."""

from __future__ import annotations

import numpy as np

from MRISynthLib.boxes import Box, box_of, covering_box, moved
from MRISynthLib.preprocessing.grid import WorkingGrid
from MRISynthLib.preprocessing.resampling import index_map, resample

from .sides import FULL

MARGIN = 2
"""Voxels of the working grid about a mask that decide where its edge lies on the reference."""


def mask_on_reference(mask: np.ndarray, probability: np.ndarray, grid: WorkingGrid) -> np.ndarray:
    """A mask of the working grid on the reference's grid.

    Its edge lies where the probability, between voxels, is one half; where mask and probability
    disagree (a hole was filled, a part left out), the mask is right.

    Parameters
    ----------
    mask:
        Boolean (slices, rows, columns).
    probability:
        uint8 of the same shape, 0 to ``sides.FULL``.

    Returns
    -------
    Boolean of the reference's shape.
    """
    result = np.zeros(grid.reference_shape, bool)
    box = box_of(mask, MARGIN)
    if box is None:
        return result
    inside, amount = mask[box], probability[box].copy()
    likely = amount > FULL // 2
    amount[inside & ~likely] = FULL
    amount[likely & ~inside] = 0
    place = reference_box(box, grid)
    if place is not None:
        result[place] = resampled(amount, box, place, grid) > FULL / 2
    return result


def reference_box(box: Box, grid: WorkingGrid, margin: int = 1) -> Box | None:
    """The voxels of the reference that a box of the working grid covers, ``margin`` more on each
    side; None if there are none."""
    to_reference = index_map(grid.index_to_world, grid.reference_to_world)
    return covering_box(box, to_reference, grid.reference_shape, margin)


def resampled(part: np.ndarray, box: Box, place: Box, grid: WorkingGrid) -> np.ndarray:
    """float32 values in ``place``, a box of the reference, of ``part``, what ``box`` of the working
    grid holds; linear between voxels, beyond the part that of its nearest voxel."""
    to_grid = index_map(grid.reference_to_world, grid.index_to_world)
    return resample(
        np.asarray(part, np.float32),
        moved(box, -1) @ to_grid @ moved(place, 1),
        tuple(side.stop - side.start for side in place),
        order=1,
        cval=None,
        antialias=False,
    )
