"""Corrections by a simulated user, who always clicks into the middle of the largest error."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from MRISynthLib.volume import Volume

from ..agreement import joint_box
from .measures import dice

if TYPE_CHECKING:
    from ..click_maps import Click
    from ..segmenter import Segmenter

CLICKS = (0, 1, 3, 5)
"""After so many clicks the result is measured."""

_AS_DEEP_MM = 1e-3
""":func:`next_click` goes into the middle of the points that are deepest to this."""


def clicked(
    segmenter: Segmenter,
    volumes: Sequence[Volume],
    truths: Mapping[str, np.ndarray],
    found: Mapping[str, np.ndarray],
) -> dict[str, tuple[dict[str, float], float]]:
    """Structures corrected by simulated clicks, one structure and one click after the other.

    The simulated user is that of interactive segmentation (Xu et al., CVPR 2016, 373-381): the
    next click is the deepest point of the largest error. It ends early where none is left.

    Parameters
    ----------
    volumes:
        The images, which lie upon each other; the first is the reference.
    truths, found:
        Structure -> boolean (slices, rows, columns) on the reference's grid.

    Returns
    -------
    Structure -> (clicks -> Dice, mean seconds a click; 0 without a click).
    """
    from ..refinement import Refiner

    prepared = segmenter.prepare(list(volumes), register=False)
    refiner = Refiner(segmenter, prepared, list(volumes))
    return {
        name: click_curve(refiner, name, truth, found[name], volumes[0])
        for name, truth in truths.items()
    }


def click_curve(
    refiner, structure: str, truth: np.ndarray, found: np.ndarray, reference: Volume
) -> tuple[dict[str, float], float]:
    """One structure: (clicks -> Dice, mean seconds a click)."""
    clicks: list[Click] = []
    mask, seconds = np.asarray(found, bool), []
    curve = {"0": dice(mask, truth)}
    for number in range(1, CLICKS[-1] + 1):
        click = next_click(truth, mask, reference)
        if click is not None:
            clicks.append(click)
            begun = time.perf_counter()
            mask = np.asarray(refiner.refine(structure, mask, list(clicks)), bool)
            seconds.append(time.perf_counter() - begun)
        if number in CLICKS:
            curve[str(number)] = dice(mask, truth)
    return curve, float(np.mean(seconds)) if seconds else 0.0


def next_click(truth: np.ndarray, found: np.ndarray, reference: Volume) -> Click | None:
    """Into the voxel of the largest error that lies deepest in it; None without an error.

    Parameters
    ----------
    truth, found:
        Boolean (slices, rows, columns) on the grid of ``reference``.
    """
    from scipy import ndimage

    from ..click_maps import Click

    if not (truth ^ found).any():
        return None
    box = joint_box(truth, found)
    truth, found = truth[box], found[box]
    errors = []
    for adds, error in ((True, truth & ~found), (False, found & ~truth)):
        parts, count = ndimage.label(error)
        if count:
            sizes = np.bincount(parts.ravel())[1:]
            errors.append((int(sizes.max()), adds, parts == sizes.argmax() + 1))
    _, adds, part = max(errors, key=lambda each: each[:2])
    # beyond the image there is nothing to click on either
    depth = ndimage.distance_transform_edt(np.pad(part, 1), sampling=reference.spacing[::-1])
    depth = depth[1:-1, 1:-1, 1:-1]
    deep = np.argwhere(depth > depth.max() - _AS_DEEP_MM)
    middle = deep[np.linalg.norm(deep - deep.mean(0), axis=1).argmin()]
    index = [int(place) + side.start for place, side in zip(middle, box, strict=True)]
    point = reference.index_to_world @ (*index[::-1], 1.0)
    return Click((float(point[0]), float(point[1]), float(point[2])), adds)
