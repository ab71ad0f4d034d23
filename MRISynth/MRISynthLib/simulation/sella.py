"""The pituitary gland of a labelled head whose map shows the sella turcica, but no gland.

The gland fills the hollow of the sphenoid bone between tuberculum and dorsum sellae; healthy adults
have 0.2 to 1 ml (Chen et al., J Shanghai Jiaotong Univ (Med Sci) 37(5), 2017).
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from scipy import ndimage

from .label_volumes import LabelVolume, nearest_index

LOW, HIGH = (-11.0, -26.0, -26.0), (11.0, 13.0, 7.0)
"""Corners (x, y, z; mm in head coordinates) of where the sella lies."""
GLAND_ML = (0.15, 1.2)
"""What is smaller or larger is no gland, but an error of the map."""

_STEP = 0.75
_HALF_WIDTH_MM = 8.0
_HEIGHT_MM = 8.0
_DEPTH_MM = 16.0


def pituitary_gland(
    volume: LabelVolume, bone: Collection[int], soft: Collection[int]
) -> np.ndarray:
    """Where the gland of a head is.

    Parameters
    ----------
    volume:
        Its labels; its world is head coordinates.
    bone:
        Labels of bone.
    soft:
        Labels of what may be gland: CSF and soft tissue that the map does not tell apart.

    Returns
    -------
    Bool of the labels' shape; nowhere if the map shows no such hollow.
    """
    axes = [np.arange(a, b, _STEP, dtype=np.float32) for a, b in zip(LOW, HIGH, strict=True)]
    z, y, x = np.meshgrid(*axes[::-1], indexing="ij")
    found = nearest_index(
        np.linalg.inv(volume.index_to_world), volume.labels.shape, np.stack([x, y, z])
    )
    labels = np.append(volume.labels.ravel(), 0)[found]
    hollow = _hollow(np.isin(labels, list(bone)), np.isin(labels, list(soft)), x)
    if not GLAND_ML[0] < np.count_nonzero(hollow) * _STEP**3 / 1000 < GLAND_ML[1]:
        return np.zeros(volume.labels.shape, bool)
    matrix = np.diag([_STEP, _STEP, _STEP, 1.0])
    matrix[:3, 3] = LOW
    index = np.indices(volume.labels.shape).reshape(3, -1).T
    places = volume.world(index).T.reshape(3, *volume.labels.shape).astype(np.float32)
    where = nearest_index(np.linalg.inv(matrix), hollow.shape, places)
    return np.append(hollow.ravel(), False)[where]


def _hollow(bone: np.ndarray, soft: np.ndarray, x: np.ndarray) -> np.ndarray:
    """What has bone below it, before it and behind it, and lies near its floor."""
    height, depth = int(_HEIGHT_MM / _STEP), int(_DEPTH_MM / _STEP)
    # rows run to the back, slices to the top
    closed = ndimage.binary_closing(np.pad(bone, 2), iterations=2)[2:-2, 2:-2, 2:-2]
    inside = soft & ~bone & (np.abs(x) < _HALF_WIDTH_MM)
    inside &= _within(closed, 0, height) & _within(closed, 1, depth)
    inside &= _within(closed[:, ::-1], 1, depth)[:, ::-1]
    inside = ndimage.binary_opening(inside)
    parts, count = ndimage.label(inside)
    if not count:
        return inside
    return parts == 1 + np.argmax(np.bincount(parts.ravel())[1:])


def _within(bone: np.ndarray, axis: int, steps: int) -> np.ndarray:
    """Whether there is bone among the ``steps`` voxels before each one along an axis."""
    count = np.cumsum(bone, axis)
    earlier = np.roll(count, steps, axis)
    first = [slice(None)] * 3
    first[axis] = slice(0, steps)
    earlier[tuple(first)] = 0
    return count > earlier
