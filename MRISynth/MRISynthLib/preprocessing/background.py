"""Where the patient is: the body mask that normalisation, registration and metrics share."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

_WORKING_SIZE = 128
"""The mask is found on at most this many voxels along an axis, which keeps it quick."""

_OPENING_MM = 3.0
_ASSUMED_SPACING = (4.0, 1.0, 1.0)


def body_mask(voxels: np.ndarray, spacing: np.ndarray | None = None) -> np.ndarray:
    """The body (or, where the skull was stripped, the brain) as one filled region.

    A triangle threshold (Zack, Rogers & Latt 1977) on a smoothed, subsampled copy, then the
    largest component after a small opening (which drops table, headrest and coil noise), then
    every hole that is closed in one of the three index planes: airways and sinuses count as body.

    Parameters
    ----------
    voxels:
        (slices, rows, columns), or (rows, columns) for a single slice. MR or CT, any scale.
    spacing:
        Millimetres along (column, row, slice) as in ``Volume.spacing``; 1 mm pixels and 4 mm
        slices are assumed if it is None.

    Returns
    -------
    Boolean array of the same shape. All True where nothing can be told from the background.
    """
    voxels = np.asarray(voxels)
    if voxels.ndim == 2:
        planar = None if spacing is None else (spacing[0], spacing[1], 1.0)
        return body_mask(voxels[None], planar)[0]
    steps = np.ceil(np.array(voxels.shape) / _WORKING_SIZE).astype(int)
    small = _block_mean(voxels, steps)
    millimetres = np.array(_ASSUMED_SPACING if spacing is None else np.asarray(spacing)[::-1])
    mask = _mask_of_small(small, millimetres * steps)
    return _enlarge(mask, steps, voxels.shape)


def _block_mean(voxels: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Mean over blocks of ``steps`` voxels; a rest at the far edge is repeated to fill a block."""
    small = np.nan_to_num(voxels.astype(np.float32), posinf=0.0, neginf=0.0)
    for axis, step in enumerate(steps):
        if step == 1:
            continue
        rest = -small.shape[axis] % step
        if rest:
            widths = [(0, rest if a == axis else 0) for a in range(3)]
            small = np.pad(small, widths, mode="edge")
        split = (*small.shape[:axis], -1, step, *small.shape[axis + 1 :])
        small = small.reshape(split).mean(axis=axis + 1)
    return small


def _mask_of_small(small: np.ndarray, millimetres: np.ndarray) -> np.ndarray:
    sigma = np.minimum(1.0, 1.5 / millimetres)
    smooth = ndimage.gaussian_filter(small, np.where(sigma < 0.4, 0, sigma))
    threshold = _threshold(smooth)
    mask = smooth > threshold
    if not mask.any() or mask.all():
        return np.ones(small.shape, bool)
    opened = ndimage.binary_opening(mask, _ball(_OPENING_MM, millimetres))
    if opened.any():
        # The opening only decides what hangs together; its rounding of edges is undone.
        core = _largest(opened)
        mask &= ndimage.binary_dilation(core, _ball(2 * _OPENING_MM, millimetres))
    return _without_halo(_fill(_largest(mask)), small, sigma, threshold)


def _without_halo(
    mask: np.ndarray, small: np.ndarray, sigma: np.ndarray, threshold: float
) -> np.ndarray:
    """Take away the rim that only the smoothing brought above the threshold."""
    reach = np.where(sigma < 0.4, 0, 2)
    if mask.all() or not reach.any():
        return mask
    outside = small[~mask]
    background = float(np.median(outside))
    spread = 1.48 * float(np.median(np.abs(outside - background)))
    edge = max(threshold, background + 2 * spread)
    eroded = ndimage.minimum_filter(mask.view(np.uint8), 2 * reach + 1, mode="nearest") > 0
    return mask & (eroded | (small >= edge))


def _threshold(image: np.ndarray) -> float:
    from skimage.filters import threshold_otsu, threshold_triangle

    low, high = np.percentile(image, (0.0, 99.5))
    if not high > low:
        return float(low)
    clipped = np.clip(image, low, high)
    threshold = float(threshold_triangle(clipped, nbins=256))
    share = float(np.mean(image > threshold))
    # A body that fills the field of view can itself be the histogram's peak.
    if not 0.02 < share < 0.97:
        threshold = 0.5 * float(threshold_otsu(clipped) + low)
    return threshold


def _ball(radius_mm: float, millimetres: np.ndarray) -> np.ndarray:
    reach = np.floor(radius_mm / millimetres).astype(int)
    axes = [np.arange(-r, r + 1) * step for r, step in zip(reach, millimetres, strict=True)]
    z, y, x = np.meshgrid(*axes, indexing="ij")
    return z**2 + y**2 + x**2 <= radius_mm**2 + 1e-6


def _largest(mask: np.ndarray) -> np.ndarray:
    labels, count = ndimage.label(mask)
    if count < 2:
        return mask
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return labels == sizes.argmax()


def _fill(mask: np.ndarray) -> np.ndarray:
    """Fill what is closed in a slice, a row plane or a column plane."""
    filled = mask.copy()
    for axis in range(3):
        if min(n for a, n in enumerate(mask.shape) if a != axis) < 3:
            continue
        structure = ndimage.generate_binary_structure(3, 1)
        # No connection across the planes: each of them is judged by itself.
        structure[tuple(slice(None, None, 2) if a == axis else 1 for a in range(3))] = False
        labels, count = ndimage.label(~mask, structure)
        open_labels = np.zeros(count + 1, bool)
        for other in range(3):
            if other != axis:
                for edge in (0, -1):
                    open_labels[np.take(labels, edge, axis=other)] = True
        open_labels[0] = True
        filled |= ~open_labels[labels]
    return filled


def _enlarge(mask: np.ndarray, steps: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Back to the full grid, linear between block centres so that edges are not staircases."""
    if np.all(steps == 1):
        return mask
    weights = mask.astype(np.float32)
    for axis, (step, size) in enumerate(zip(steps, shape, strict=True)):
        if step == 1:
            continue
        position = (np.arange(size) + 0.5) / step - 0.5
        position = np.clip(position, 0, weights.shape[axis] - 1)
        below = np.minimum(np.floor(position).astype(int), weights.shape[axis] - 2).clip(0)
        above = np.minimum(below + 1, weights.shape[axis] - 1)
        part = (position - below).astype(np.float32)
        part = part.reshape([-1 if a == axis else 1 for a in range(3)])
        lower = np.take(weights, below, axis=axis)
        weights = lower + part * (np.take(weights, above, axis=axis) - lower)
    return weights > 0.5
