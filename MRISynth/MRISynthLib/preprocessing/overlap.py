"""Whether two scans show the same region, as their headers place them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import InputError
from ..volume import Volume
from .background import body_mask

LEAST = 0.05
"""Inputs that share less of the body than this are refused: that is not one examination."""

_POINTS = 20_000


def overlap_fraction(a: Volume, b: Volume, matrix: np.ndarray | None = None) -> float:
    """Share of the smaller of both bodies that lies in the other's field of view, 0 to 1.

    ``matrix`` takes LPS points of ``a``'s frame to those of ``b``'s (None: the same frame).
    """
    forward = np.eye(4) if matrix is None else np.asarray(matrix, float)
    return max(share_inside(a, b, forward), share_inside(b, a, np.linalg.inv(forward)))


def share_inside(
    body: Volume,
    view: Volume,
    matrix: np.ndarray | None = None,
    mask: np.ndarray | None = None,
) -> float:
    """Share of the body of one volume that lies in the field of view of another.

    ``matrix`` as in :func:`overlap_fraction`; ``mask`` is the body, if it is known.
    """
    if mask is None:
        mask = body_mask(body.voxels, body.spacing)
    index = np.flatnonzero(mask)
    index = np.unravel_index(index[:: max(1, len(index) // _POINTS)], mask.shape)
    index = np.stack(index[::-1], 1)
    mapping = body.index_to_world if matrix is None else matrix @ body.index_to_world
    mapping = np.linalg.solve(view.index_to_world, mapping)
    position = index @ mapping[:3, :3].T + mapping[:3, 3]
    limit = np.array(view.shape[::-1]) - 0.5
    return float(np.mean(np.all((position >= -0.5) & (position <= limit), axis=1)))


def check_overlap(volumes: Sequence[Volume]) -> None:
    """Refuse inputs that do not show the same region as the first.

    Raises
    ------
    InputError
        If less than 5 % of the smaller body lies in the other's field of view.
    """
    reference, *others = volumes
    for volume in others:
        if volume.same_geometry(reference):
            continue
        if overlap_fraction(reference, volume) < LEAST:
            raise InputError(
                f"{label(volume)} does not overlap {label(reference)} in space; give scans of the "
                "same region from one examination, or align them first."
            )


def label(volume: Volume) -> str:
    """How messages call a volume: its sequence and its name, as far as known."""
    if volume.sequence and volume.name and volume.name != volume.sequence:
        return f"{volume.sequence} ({volume.name})"
    return volume.sequence or volume.name or "The volume"
