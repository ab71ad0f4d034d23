"""How well two masks of one structure agree: overlap, surfaces, volume, place.

Distances between surfaces are MONAI's, which needs torch; it is imported when they are measured.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from MRISynthLib.errors import InputError
from MRISynthLib.volume import GEOMETRY_TOLERANCE_MM

TOLERANCES_MM = (1.0, 2.0)
"""Of the two surface Dice coefficients."""

EMPTY_IN_BOTH, EMPTY_IN_FIRST, EMPTY_IN_SECOND = (
    "empty in both",
    "empty in the first",
    "empty in the second",
)
_SKEWED = 1e-3
"""Cosine between two axes of a grid up to which they count as being at right angles: by so much
distances would be wrong."""


@dataclass(frozen=True)
class Agreement:
    """Two masks of one structure; the first is the yardstick where one is needed.

    What cannot be measured is None, and ``reason`` says why.

    Attributes
    ----------
    dice:
        Dice coefficient of the volumes, 0 to 1.
    hd95_mm:
        The 95th percentile of the distances from the surface of one to that of the other, for
        the direction in which it is larger (a Hausdorff distance without the worst 5 %).
    mean_distance_mm:
        Mean of the distances from each surface to the other, both directions together.
    surface_dice_1mm, surface_dice_2mm:
        Share of both surfaces, by area, that lies within the tolerance of the other, 0 to 1
        (Nikolov et al., J Med Internet Res 2021;23(7):e26151).
    volume_first_ml, volume_second_ml:
        Millilitres.
    volume_error:
        (second - first) / first.
    centre_shift_lps_mm:
        From the centre of mass of the first to that of the second, LPS.
    """

    dice: float | None
    hd95_mm: float | None
    mean_distance_mm: float | None
    surface_dice_1mm: float | None
    surface_dice_2mm: float | None
    volume_first_ml: float
    volume_second_ml: float
    volume_error: float | None
    centre_shift_lps_mm: tuple[float, float, float] | None
    reason: str = ""

    @property
    def centre_shift_mm(self) -> float | None:
        """Length of the shift."""
        shift = self.centre_shift_lps_mm
        return None if shift is None else float(np.linalg.norm(shift))


def agreement(first: np.ndarray, second: np.ndarray, index_to_world: np.ndarray) -> Agreement:
    """Compare two boolean masks (slices, rows, columns) on one grid.

    For HD95 and the mean distance a surface is the set of voxels that touch the outside by a
    face, each counted once, whatever the size of its outer faces: on thick slices the flat ends
    of a structure weigh more than their area. The surface Dice counts pieces of surface between
    the voxels by their area. Where the image ends, so does a structure. Where one mask is empty
    both Dice coefficients are 0 and there are no distances; where both are there is neither.

    Parameters
    ----------
    index_to_world:
        4x4: (column, row, slice, 1) to LPS millimetres.

    Raises
    ------
    InputError
        If the grid's axes are not at right angles.
    ValueError
        If the masks have different shapes.
    """
    first, second = np.asarray(first, bool), np.asarray(second, bool)
    if first.shape != second.shape:
        raise ValueError(f"the masks have the shapes {first.shape} and {second.shape}")
    spacing = _spacing(index_to_world)
    millilitres = abs(float(np.linalg.det(np.asarray(index_to_world)[:3, :3]))) / 1000.0
    counts = int(np.count_nonzero(first)), int(np.count_nonzero(second))
    volumes = (counts[0] * millilitres, counts[1] * millilitres)
    if not all(counts):
        reason = EMPTY_IN_FIRST if counts[1] else EMPTY_IN_SECOND if counts[0] else EMPTY_IN_BOTH
        overlap = 0.0 if any(counts) else None
        error = -1.0 if counts[0] else None
        return Agreement(overlap, None, None, overlap, overlap, *volumes, error, None, reason)
    box = joint_box(first, second)
    first, second = first[box], second[box]
    dice = 2 * int(np.count_nonzero(first & second)) / sum(counts)
    moved = (np.argwhere(second).mean(0) - np.argwhere(first).mean(0))[::-1]
    shift = tuple(float(x) for x in np.asarray(index_to_world)[:3, :3] @ moved)
    surfaces = _surfaces(first, second, spacing[::-1])
    error = (counts[1] - counts[0]) / counts[0]
    return Agreement(dice, *surfaces, *volumes, error, shift)


def joint_box(first: np.ndarray, second: np.ndarray) -> tuple[slice, ...]:
    """The smallest box of an array in which either mask has anything; one of them must."""
    from scipy import ndimage

    return ndimage.find_objects((first | second).astype(np.uint8))[0]


def _spacing(index_to_world: np.ndarray) -> tuple[float, float, float]:
    """Millimetres along (column, row, slice)."""
    axes = np.asarray(index_to_world, float)[:3, :3]
    lengths = np.linalg.norm(axes, axis=0)
    cosines = (axes / lengths).T @ (axes / lengths) - np.eye(3)
    if np.abs(cosines).max() > _SKEWED:
        raise InputError(
            "The image's rows, columns and slices are not at right angles (a tilted gantry?), so "
            "distances cannot be measured on it; resample it to a straight grid first."
        )
    return tuple(float(length) for length in lengths)


def _surfaces(
    first: np.ndarray, second: np.ndarray, spacing: Sequence[float]
) -> tuple[float, float, float, float]:
    """HD95, mean distance, surface Dice at both tolerances; ``spacing`` by array axis."""
    import torch
    from monai.metrics import (
        compute_average_surface_distance,
        compute_hausdorff_distance,
        compute_surface_dice,
    )

    masks = [torch.from_numpy(np.array(mask))[None, None] for mask in (first, second)]
    known = {"include_background": True, "spacing": tuple(spacing)}
    with warnings.catch_warnings():
        # MONAI 1.5 and 1.6 warn of an argument that they give themselves.
        warnings.filterwarnings("ignore", message=".*always_return_as_numpy")
        found = [
            compute_hausdorff_distance(*masks, percentile=95, **known),
            compute_average_surface_distance(*masks, symmetric=True, **known),
        ]
        for tolerance in TOLERANCES_MM:
            # A step of exactly 1 mm must not depend on how a file rounded its spacing.
            limit = [tolerance + GEOMETRY_TOLERANCE_MM]
            found.append(
                compute_surface_dice(*masks, class_thresholds=limit, use_subvoxels=True, **known)
            )
    return tuple(float(value) for value in found)
