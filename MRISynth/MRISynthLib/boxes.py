"""Boxes of voxels: the parts of arrays and grids that something is in."""

from __future__ import annotations

import numpy as np

Box = tuple[slice, slice, slice]
"""Slices, rows, columns."""


def box_of(mask: np.ndarray, margin: int = 0) -> Box | None:
    """The part of the array that holds something, ``margin`` voxels wider where there is room."""
    box, part = [], mask
    for axis in range(3):
        filled = np.flatnonzero(part.any(tuple(other for other in range(3) if other != axis)))
        if not filled.size:
            return None
        first, stop = int(filled[0]), int(filled[-1]) + 1
        part = part[(slice(None),) * axis + (slice(first, stop),)]  # all else is empty: quicker
        box.append(slice(max(first - margin, 0), min(stop + margin, mask.shape[axis])))
    return tuple(box)


def covering_box(
    box: Box, index_to_index: np.ndarray, shape: tuple[int, int, int], margin: int = 1
) -> Box | None:
    """The box of a grid of ``shape`` that covers a box of another grid, whose (column, row, slice)
    indices the 4x4 ``index_to_index`` takes to its own; None where they do not meet."""
    sides = [(side.start - 0.5, side.stop - 0.5) for side in reversed(box)]
    corners = np.array(
        [(*(sides[n][which[n]] for n in range(3)), 1) for which in np.ndindex(2, 2, 2)]
    )
    reached = (corners @ index_to_index.T)[:, :3]
    low = np.maximum(np.floor(reached.min(0)).astype(int) - margin, 0)[::-1]
    high = np.minimum(np.ceil(reached.max(0)).astype(int) + 1 + margin, shape[::-1])[::-1]
    if np.any(low >= high):
        return None
    return tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))


def moved(box: Box, sign: int) -> np.ndarray:
    """4x4 that adds (``sign`` 1) the first (column, row, slice) of a box to an index, or takes it
    away (-1)."""
    matrix = np.eye(4)
    matrix[:3, 3] = [sign * side.start for side in reversed(box)]
    return matrix
