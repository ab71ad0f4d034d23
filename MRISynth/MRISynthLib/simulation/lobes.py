"""The temporal lobes of a labelled head whose map tells cortex and white matter, but no lobes.

What radiotherapy contours as temporal lobe lies below the Sylvian fissure, hippocampus and sulci
included, and ends behind where the petrous bone does (Sun et al., Radiother Oncol 110:390, 2014).
In head coordinates the fissure is a plane to within millimetres; within them the gap itself
decides, as far as the map shows it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
from scipy import ndimage

from .fields import ellipsoid
from .label_volumes import LabelVolume
from .sulci import sulci

TEMPORAL = ((41, 8, -5), (22, 42, 20))
"""Middle and half size (x, y, z) of the left lobe's ovoid, mm in head coordinates."""
REACH_MM = 5.0
"""So far beyond the ovoid the lobe may go."""
HINDMOST_MM = 54.0
"""Head coordinate y where it ends."""

SIDES = ("L", "R")

_NEAR_MM = 6.0


def above_sylvian(y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Millimetres above the plane of the Sylvian fissure, of head coordinates."""
    return 0.93 * (z - (4 + 0.42 * (y + 8)))


def temporal_lobes(
    volume: LabelVolume,
    cerebrum: Mapping[str, list[int]],
    temporal: Mapping[str, list[int]],
    fluid: Collection[int],
) -> np.ndarray:
    """Where the temporal lobes of a head are.

    Parameters
    ----------
    volume:
        Its labels; its world is head coordinates.
    cerebrum:
        "L" and "R" -> the labels of cortex and white matter on that side.
    temporal:
        "L" and "R" -> labels that lie in the temporal lobe of that side, as the hippocampus does.
    fluid:
        Labels of CSF, which fills the sulci.

    Returns
    -------
    uint8 of the labels' shape: 1 in the left lobe, 2 in the right one, 0 elsewhere.
    """
    lobes = np.zeros(volume.labels.shape, np.uint8)
    for value, side in enumerate(SIDES, 1):
        kernel = np.isin(volume.labels, temporal.get(side, []))
        tissue = np.isin(volume.labels, cerebrum.get(side, [])) | kernel
        found = ndimage.find_objects(tissue.astype(np.int8))
        if not found:
            continue
        box = found[0]
        first = np.array([part.start for part in box])
        shape = [part.stop - part.start for part in box]
        index = np.indices(shape).reshape(3, -1).T + first
        x, y, z = volume.world(index).T.reshape(3, *shape).astype(np.float32)
        wet = np.isin(volume.labels[box], list(fluid))
        lobe = _lobe(tissue[box], wet, (x if side == "L" else -x, y, z), volume.spacing)
        lobes[box][lobe | kernel[box]] = value
    return lobes


def _lobe(
    tissue: np.ndarray, wet: np.ndarray, place: tuple[np.ndarray, ...], spacing: np.ndarray
) -> np.ndarray:
    """The lobe of one side in its cerebrum. place: head coordinates, x away from the middle."""
    _, y, z = place
    height = above_sylvian(y, z)
    within = (ellipsoid(np.stack(place), *TEMPORAL) < REACH_MM) & (y < HINDMOST_MM)
    below = tissue & within & (height < -_NEAR_MM)
    above = tissue & (height > _NEAR_MM)
    open_yet = tissue & ~below & ~above & (np.abs(height) <= _NEAR_MM)
    # both grow through tissue, step by step; the fissure's fluid stops them
    for _ in range(int(2 * _NEAR_MM / spacing.min())):
        more_below = ndimage.binary_dilation(below) & open_yet & within
        more_above = ndimage.binary_dilation(above) & open_yet
        contested = more_below & more_above & (height > 0)
        below |= more_below & ~contested
        above |= more_above & ~below
        open_yet &= ~below & ~above
    return below | (sulci(below, wet, spacing) & within & (height < 0))
