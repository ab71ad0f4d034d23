"""Bringing a segmentation onto the grid of an image: as it is, or by the nearest voxel."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from MRISynthLib.errors import InputError
from MRISynthLib.volume import Volume

from .segmentation import Segmentation

GRID_TOLERANCE_MM = 0.01
"""How far a corner may lie from the reference's grid, for other programs' rounding."""

_POINTS = 20_000
"""Of so many voxels it is seen how much of a structure lies inside an image."""

_LOST = 0.005
"""A structure of which more lies outside the image is mentioned."""


def on_grid(
    segmentation: Segmentation, reference: Volume, name: str, *, exact: bool = False
) -> Segmentation:
    """The segmentation on the grid of ``reference``, by the nearest voxel where it has another.

    What that does to the contours is said in the result's warnings; ``name`` is for errors.

    Parameters
    ----------
    exact:
        Refuse what would change a voxel. The grid may then be a part of the reference's, go beyond
        it where nothing is drawn, and run the other way.

    Raises
    ------
    InputError
        If no structure has a voxel in the image; with ``exact`` if the voxels are not the image's,
        or some lie outside.
    """
    own = segmentation.reference
    if own.same_geometry(reference, GRID_TOLERANCE_MM):
        return replace(segmentation, reference=reference)
    from MRISynthLib.preprocessing.resampling import index_map

    label = reference.name or "the image"
    to_own = index_map(reference.index_to_world, own.index_to_world)
    inside = {
        key: _share_inside(mask, np.linalg.inv(to_own), reference.shape)
        for key, mask in segmentation.masks.items()
        if mask.any()
    }
    if inside and not any(inside.values()):
        raise InputError(
            f"Nothing of {name} lies in {label}: they do not overlap in space; give contours and "
            "an image of the same examination, or align them first."
        )
    same = _same_voxels(to_own, own, reference)
    if exact and not same:
        raise InputError(
            f"{name} was drawn on another grid than {label}; give the image on which it was "
            "drawn, or bring it onto this one in Slicer and look at it there."
        )
    masks = {key: _moved(mask, to_own, reference.shape) for key, mask in segmentation.masks.items()}
    if exact:
        drawn = {key: np.count_nonzero(mask) for key, mask in segmentation.masks.items()}
        cut = [key for key, mask in masks.items() if np.count_nonzero(mask) < drawn[key]]
        if cut:
            raise InputError(
                f"{name} has structures outside {label} ({', '.join(cut)}); give the image on "
                "which it was drawn, with all its slices."
            )
        return replace(segmentation, masks=masks, reference=reference)
    warnings = list(segmentation.warnings)
    if not same:
        warnings.append(
            f"Drawn on another grid than {label} and brought onto it by the nearest voxel: "
            "differences of about a voxel may come from that."
        )
    cut = [key for key, share in inside.items() if share < 1 - _LOST]
    if cut:
        warnings.append(f"Parts lie outside {label} and are left out: {', '.join(cut)}.")
    lost = [key for key, share in inside.items() if share and not masks[key].any()]
    if lost:
        warnings.append(f"Smaller than the voxels of {label} and lost there: {', '.join(lost)}.")
    return replace(segmentation, masks=masks, reference=reference, warnings=tuple(warnings))


def _share_inside(mask: np.ndarray, to_other: np.ndarray, shape: tuple[int, int, int]) -> float:
    """Share of a mask's voxels whose centres lie in another grid of ``shape``, 0 to 1."""
    index = np.argwhere(mask)
    index = index[:: max(1, len(index) // _POINTS), ::-1]
    position = index @ to_other[:3, :3].T + to_other[:3, 3]
    inside = (position >= -0.5) & (position <= np.array(shape[::-1]) - 0.5)
    return float(np.mean(inside.all(axis=1)))


def _moved(mask: np.ndarray, to_own: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """A mask on a grid of ``shape``; ``to_own`` takes indices of that grid to its own."""
    from scipy import ndimage

    from MRISynthLib.preprocessing.resampling import resample

    result = np.zeros(shape, bool)
    if not mask.any():
        return result
    box = ndimage.find_objects(mask.astype(np.uint8))[0]
    low = np.array([side.start for side in box])[::-1]
    high = np.array([side.stop for side in box])[::-1] - 1
    corners = [(*np.where(which, high + 0.5, low - 0.5), 1.0) for which in np.ndindex(2, 2, 2)]
    reached = (np.array(corners) @ np.linalg.inv(to_own).T)[:, :3]
    start = np.clip(np.floor(reached.min(0)), 0, shape[::-1]).astype(int)
    stop = np.clip(np.ceil(reached.max(0)) + 1, 0, shape[::-1]).astype(int)
    if np.any(stop <= start):
        return result
    before, after = np.eye(4), np.eye(4)
    before[:3, 3], after[:3, 3] = start, -low
    part = resample(
        mask[box], after @ to_own @ before, tuple(int(n) for n in (stop - start)[::-1]), order=0
    )
    place = tuple(slice(a, b) for a, b in zip(start[::-1], stop[::-1], strict=True))
    result[place] = part > 0.5
    return result


def _same_voxels(to_own: np.ndarray, own: Volume, reference: Volume) -> bool:
    """Whether the grids have the same voxel centres, but for their extent, order and direction."""
    axes = np.rint(to_own[:3, :3])
    whole = np.eye(4)
    whole[:3, :3], whole[:3, 3] = axes, np.rint(to_own[:3, 3])
    if not np.array_equal(np.sort(np.abs(axes), axis=0), [[0] * 3, [0] * 3, [1] * 3]):
        return False
    return reference.same_geometry(
        reference.replace(index_to_world=own.index_to_world @ whole), GRID_TOLERANCE_MM
    )
