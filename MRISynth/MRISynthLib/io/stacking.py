"""Slices put together into a volume whose geometry is right, or refused.

Where a slice lies is taken from ImagePositionPatient alone, never from file names, instance
numbers or slice thickness.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import InputError

POSITION_TOLERANCE_MM = 0.1
"""How far a slice may lie from where an even grid puts it: headers round their positions."""

_PARALLEL = 2e-3  # about 0.1 degree between slice normals
MOST_FILLED = 3
"""With more slices missing than this a series is refused."""


@dataclass(frozen=True)
class Stack:
    """Where the slices of a volume come from.

    ``order[k]`` is the frame that is slice ``k``, or None where it is missing. ``shear`` (n, 2)
    says by how many mm each slice lies further along the column and row axes than an upright
    stack would have it; zeros without gantry tilt. ``matrix`` is that of the upright stack.
    """

    order: tuple[int | None, ...]
    matrix: np.ndarray
    shear: np.ndarray

    @property
    def tilted(self) -> bool:
        """Whether the slices are shifted against each other, as under gantry tilt."""
        return bool(np.any(self.shear))

    @property
    def missing(self) -> tuple[int, ...]:
        """Slices that no frame gives."""
        return tuple(k for k, frame in enumerate(self.order) if frame is None)


def same_position(positions: np.ndarray) -> np.ndarray:
    """A label for each of the (n, 3) positions, equal for those that coincide."""
    labels = np.full(len(positions), -1)
    for index, position in enumerate(positions):
        if labels[index] < 0:
            near = np.abs(positions - position).max(axis=1) < POSITION_TOLERANCE_MM / 2
            labels[near & (labels < 0)] = index
    return labels


def check_parallel(normals: np.ndarray, axes: np.ndarray, name: str) -> None:
    """Refuse a localizer: (n, 3) normals or (n, 2, 3) axes that are not the same all through.

    Raises
    ------
    InputError
        If the slices are not parallel.
    """
    if np.abs(axes - axes[0]).max() > _PARALLEL or np.abs(normals - normals[0]).max() > _PARALLEL:
        raise InputError(
            f"{name} is a localizer or mixes orientations: its {len(normals)} slices are not "
            "parallel; choose a series of parallel slices."
        )


def stack(
    positions: np.ndarray,
    axes: np.ndarray,
    pixel_spacing: tuple[float, float],
    slice_spacing: float | None,
    name: str,
) -> Stack:
    """Order parallel slices along their normal and check that they make an even grid.

    ``positions`` (n, 3) are LPS mm, ``axes`` (2, 3) the unit vectors of rising columns and rows.
    ``slice_spacing`` serves a single slice only.

    Raises
    ------
    InputError
        If the spacing is irregular, too many slices are missing or they do not lie in a line.
    """
    normal = np.cross(axes[0], axes[1])
    heights = positions @ normal
    order = np.argsort(heights, kind="stable")
    steps = np.diff(heights[order])
    matrix = np.eye(4)
    matrix[:3, 0] = axes[0] * pixel_spacing[0]
    matrix[:3, 1] = axes[1] * pixel_spacing[1]
    matrix[:3, 3] = positions[order[0]]
    if not len(steps):
        matrix[:3, 2] = normal * (slice_spacing or 1.0)
        return Stack((int(order[0]),), matrix, np.zeros((1, 2)))

    indices, spacing = _grid(steps, name)
    matrix[:3, 2] = normal * spacing
    slots: list[int | None] = [None] * (indices[-1] + 1)
    for frame, index in zip(order, indices, strict=True):
        slots[index] = int(frame)

    inplane = (positions[order] - positions[order[0]]) @ axes.T
    slope = inplane[-1] / indices[-1]
    if np.abs(inplane - np.outer(indices, slope)).max() > POSITION_TOLERANCE_MM:
        raise InputError(
            f"{name} has slices that are shifted sideways against each other unevenly; "
            "export the original series again."
        )
    tilted = np.abs(inplane[-1]).max() > POSITION_TOLERANCE_MM
    shear = np.outer(np.arange(len(slots)), slope if tilted else (0.0, 0.0))
    return Stack(tuple(slots), matrix, shear)


def _grid(steps: np.ndarray, name: str) -> tuple[np.ndarray, float]:
    """Slice index of every position and the spacing, from the mm between neighbours."""
    typical = float(np.median(steps))
    indices = np.concatenate([[0], np.cumsum(np.rint(steps / max(typical, 1e-6)).astype(int))])
    heights = np.concatenate([[0.0], np.cumsum(steps)])
    spacing = heights[-1] / max(indices[-1], 1)
    off = np.abs(heights - indices * spacing).max()
    gaps = np.diff(indices)
    if off > POSITION_TOLERANCE_MM or (gaps < 1).any():
        raise InputError(
            f"{name} has an irregular slice spacing (from {steps.min():.2f} to {steps.max():.2f} "
            "mm between neighbours); export it again, complete and as one series."
        )
    filled = int((gaps - 1).sum())
    if filled and (filled > MOST_FILLED or (gaps > 2).any() or 4 * filled > len(gaps)):
        raise InputError(
            f"{name} lacks {filled} of its {indices[-1] + 1} slices (gaps of up to "
            f"{steps.max():.1f} mm where {spacing:.1f} mm are usual); export it again, complete."
        )
    return indices, spacing


def fill_missing(voxels: np.ndarray, missing: tuple[int, ...]) -> np.ndarray:
    """Slices that are missing become the mean of their neighbours, which are never missing."""
    for index in missing:
        between = (voxels[index - 1].astype(np.float64) + voxels[index + 1]) / 2
        whole = voxels.dtype.kind in "iu"
        voxels[index] = np.rint(between) if whole else between
    return voxels


def upright(
    voxels: np.ndarray, matrix: np.ndarray, shear: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Undo gantry tilt: each slice is shifted within its plane, the grid grows to hold them all.

    Linear interpolation; what no slice covers gets the smallest value there is.
    """
    from scipy import ndimage

    spacing = np.linalg.norm(matrix[:3, :2], axis=0)
    offsets = shear / spacing  # pixels along (column, row)
    low = np.floor(offsets.min(axis=0)).astype(int)
    high = np.ceil(offsets.max(axis=0)).astype(int)
    slices, rows, columns = voxels.shape
    shape = (slices, rows + high[1] - low[1], columns + high[0] - low[0])
    background = float(voxels.min())
    result = np.full(shape, background, np.float32)
    for index in range(slices):
        column, row = offsets[index] - low
        result[index] = ndimage.affine_transform(
            voxels[index].astype(np.float32),
            np.eye(2),
            offset=(-row, -column),
            output_shape=shape[1:],
            order=1,
            mode="constant",
            cval=background,
        )
    moved = matrix.copy()
    moved[:3, 3] += matrix[:3, :2] @ low
    return result, moved
