"""Left and right: mirrored images, and each side's name on its own side of the head."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from .structures import STRUCTURES

FULL = 255
"""A probability of 1; they are kept in 255 steps, since thirty-six of them must fit in memory."""

MIDLINE_MM = 8.0
"""Nearer to the estimated midline than this the network says which side is which: a turned head's
midline is not where the estimate puts it, and optic nerves begin there."""


def mirror_of(name: str) -> str:
    """The same structure on the other side; its own name if it has none."""
    return STRUCTURES[name].mirror


def mirrored_places(names: Sequence[str]) -> list[int]:
    """Of each name, the place of its mirror in ``names``, which has both sides of each pair."""
    return [names.index(mirror_of(name)) for name in names]


def sided(
    probability: Mapping[str, np.ndarray], body: np.ndarray, pixel_mm: float
) -> dict[str, np.ndarray]:
    """Paired structures with each side's name on its own side of the head.

    A network can doubt which side is which where it does not doubt the structure; position decides
    that better. The midline is a straight line through the body's centre of each slice; columns
    of the working grid run to the patient's left. Closer to it than :data:`MIDLINE_MM`, all goes
    to the side that the network thinks likelier.

    Parameters
    ----------
    probability:
        Structure -> uint8 (slices, rows, columns) on the working grid, 0 to :data:`FULL`; of a
        pair both sides are there.
    body:
        Boolean of the same shape.
    pixel_mm:
        Between two columns.

    Returns
    -------
    As ``probability``; arrays of structures without sides are the same objects.
    """
    off = np.arange(body.shape[2]) - _midline(body)[:, None]
    near = np.abs(off) * pixel_mm < MIDLINE_MM
    result = dict(probability)
    for name in probability:
        if not name.endswith("_L") or mirror_of(name) not in probability:
            continue
        left, right = probability[name], probability[mirror_of(name)]
        either = left + np.minimum(right, FULL - left)  # a sum that does not run over
        is_left = np.broadcast_to((off > 0)[:, None, :], body.shape).copy()
        for k in np.flatnonzero(near.any(1)):
            is_left[k][:, near[k]] = (left[k] >= right[k])[:, near[k]]
        result[name] = either * is_left
        result[mirror_of(name)] = either * ~is_left
    return result


def _midline(body: np.ndarray) -> np.ndarray:
    """(slices,): the column of the midline in each slice."""
    columns = np.arange(body.shape[2])
    area = body.sum((1, 2))
    filled = np.flatnonzero(area > 0.2 * area.max()) if area.any() else np.array([], int)
    if filled.size < 2:
        return np.full(body.shape[0], (body.shape[2] - 1) / 2)
    found = (body[filled].sum(1) * columns).sum(1) / area[filled]
    slope, offset = np.polyfit(filled, found, 1)
    return slope * np.arange(body.shape[0]) + offset
