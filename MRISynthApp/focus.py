"""Which place of a patient all pictures show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from MRISynthLib.volume import Volume
from MRISynthSegmentLib.segmentation import Segmentation
from MRISynthSegmentLib.structures import STRUCTURES


def place_to_show(
    image: Volume, segmentation: Segmentation | None = None, covered: np.ndarray | None = None
) -> tuple[float, float, float]:
    """LPS mm: the middle of the tumour; without one, of the image.

    Parameters
    ----------
    image:
        On whose grid ``covered`` and the segmentation are.
    covered:
        Boolean (slices, rows, columns), where every input has voxels; None is everywhere. Of the
        tumour, or of the image, only this part counts.
    """
    everywhere = covered is None or not covered.any()
    masks = {} if segmentation is None else segmentation.masks
    for name, mask in masks.items():
        if name not in STRUCTURES or not STRUCTURES[name].is_target:
            continue
        seen = mask if everywhere else mask & covered
        if seen.any():
            return _middle(seen, image)
    if everywhere:
        return tuple(float(mm) for mm in image.corners().mean(axis=0))
    return _middle(covered, image)


def covered_by_all(
    inputs: Sequence[Volume], registrations: Sequence[Mapping[str, Any]]
) -> np.ndarray | None:
    """Where on the grid of the first input all of them have voxels; None if that is everywhere.

    Parameters
    ----------
    registrations:
        Of each input but the first, as the worker tells them.
    """
    from MRISynthLib.preprocessing.resampling import covered, index_map

    reference, *others = inputs
    result = None
    for volume, found in zip(others, registrations, strict=True):
        matrix = np.array(found["matrix_lps_fixed_to_moving"])
        mapping = index_map(reference.index_to_world, volume.index_to_world, matrix)
        inside = covered(mapping, reference.shape, volume.shape)
        if inside is not None:
            result = inside if result is None else result & inside
    return result


def _middle(mask: np.ndarray, image: Volume) -> tuple[float, float, float]:
    """LPS mm of the centre of a mask."""
    index = []
    for axis in (2, 1, 0):
        weights = np.count_nonzero(mask, axis=tuple(n for n in range(3) if n != axis))
        index.append(np.average(np.arange(mask.shape[axis]), weights=weights))
    return tuple(float(mm) for mm in (image.index_to_world @ (*index, 1.0))[:3])
