"""Brightness along a line through images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..volume import Volume
from .derived import brightness_range

STEP_MM = 0.5
"""Distance between samples: finer than the pixels of the images at hand."""

MOST_SAMPLES = 2000

HOUNSFIELD = "Hounsfield units"
RELATIVE = "Brightness (0 black, 1 white)"


@dataclass(frozen=True)
class Profile:
    """Images along one line.

    Attributes
    ----------
    positions:
        (n,) millimetres from the line's start.
    values:
        One array (n,) for each image, NaN where it has no voxels.
    unit:
        What the values are, for the plot's axis.
    """

    positions: np.ndarray
    values: tuple[np.ndarray, ...]
    unit: str


def line_profile(
    volumes: Sequence[Volume],
    start_lps: Sequence[float],
    end_lps: Sequence[float],
    ranges: Sequence[tuple[float, float]] | None = None,
    step_mm: float = STEP_MM,
) -> Profile:
    """Sample images along a straight line.

    CT images keep their Hounsfield units if all are CT; else values are relative brightness, as
    MR images have no unit.

    Parameters
    ----------
    start_lps, end_lps:
        Its ends in the world, LPS millimetres.
    ranges:
        What is black and white in each volume, where a caller that samples often knows it; None:
        found here by :func:`MRISynthLib.review.derived.brightness_range`.
    step_mm:
        Distance between samples, made larger for lines that would have more than
        :data:`MOST_SAMPLES`. The last sample lies on the line's end.
    """
    start, end = np.asarray(start_lps, float), np.asarray(end_lps, float)
    length = float(np.linalg.norm(end - start))
    count = int(np.clip(np.ceil(length / step_mm) + 1, 2, MOST_SAMPLES))
    shares = np.linspace(0.0, 1.0, count)
    points = start + shares[:, None] * (end - start)
    values = [sample_points(volume, points) for volume in volumes]
    if volumes and all(volume.sequence == "CT" for volume in volumes):
        return Profile(shares * length, tuple(values), HOUNSFIELD)
    ranges = [brightness_range(volume) for volume in volumes] if ranges is None else ranges
    scaled = [
        (value - low) / (high - low) for value, (low, high) in zip(values, ranges, strict=True)
    ]
    return Profile(shares * length, tuple(scaled), RELATIVE)


def sample_points(volume: Volume, points_lps: np.ndarray) -> np.ndarray:
    """The image at points of the world, linear between voxels.

    Parameters
    ----------
    points_lps:
        (n, 3) LPS millimetres.

    Returns
    -------
    (n,) float64 in the image's own values; NaN outside its voxels (half a voxel around the centres
    of the outermost).
    """
    from scipy.ndimage import map_coordinates

    to_index = np.linalg.inv(volume.index_to_world)
    index = (points_lps @ to_index[:3, :3].T + to_index[:3, 3])[:, ::-1]  # slice, row, column
    last = np.array(volume.shape) - 1
    inside = np.all((index >= -0.5) & (index <= last + 0.5), axis=1)
    # Only the neighbourhood of the line is turned into floating point.
    near = index[inside]
    values = np.full(len(index), np.nan)
    if not len(near):
        return values
    first = np.clip(np.floor(near.min(axis=0)).astype(int), 0, last)
    final = np.clip(np.ceil(near.max(axis=0)).astype(int), 0, last)
    part = volume.voxels[tuple(slice(a, b + 1) for a, b in zip(first, final, strict=True))]
    values[inside] = map_coordinates(
        part.astype(np.float64), (near - first).T, order=1, mode="nearest"
    )
    return values
