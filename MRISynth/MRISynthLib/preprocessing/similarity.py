"""How well two images match: mutual information on a coarse grid, quick enough to search with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ..volume import Volume
from .background import body_mask
from .resampling import index_map, resample

BINS = 32


@dataclass(frozen=True, eq=False)
class Level:
    """One image of a pyramid: isotropic voxels along the LPS axes, whatever the scan's axes.

    Attributes
    ----------
    voxels:
        float32 (slices, rows, columns), 0 to 1 between robust limits.
    body, valid:
        Boolean, same shape: inside the patient; inside the scan's field of view.
    origin:
        LPS of the first voxel.
    step:
        Millimetres between voxels.
    """

    voxels: np.ndarray
    body: np.ndarray
    valid: np.ndarray
    origin: np.ndarray
    step: float

    @property
    def index_to_world(self) -> np.ndarray:
        """4x4 from (column, row, slice, 1) to LPS."""
        matrix = np.diag((self.step, self.step, self.step, 1.0))
        matrix[:3, 3] = self.origin
        return matrix

    def coarser(self, factor: int) -> Level:
        """Smoothed, and every ``factor``-th voxel."""
        weight = ndimage.gaussian_filter(self.valid.astype(np.float32), 0.5 * factor)
        smooth = ndimage.gaussian_filter(self.voxels * self.valid, 0.5 * factor)
        smooth /= np.maximum(weight, 1e-3)
        every = (slice(None, None, factor),) * 3
        return Level(
            np.ascontiguousarray(smooth[every]),
            np.ascontiguousarray(self.body[every]),
            np.ascontiguousarray(self.valid[every]),
            self.origin,
            self.step * factor,
        )

    def points(self, mask: np.ndarray) -> np.ndarray:
        """(n, 3) LPS positions of the voxels in ``mask``."""
        return np.argwhere(mask)[:, ::-1] * self.step + self.origin


def finest_level(volume: Volume, step: float, body: np.ndarray | None = None) -> Level:
    """``volume`` on isotropic voxels of ``step`` mm along LPS, cropped to the body."""
    if body is None:
        body = body_mask(volume.voxels, volume.spacing)
    inside = volume.voxels[body]
    low, high = np.percentile(inside[:: max(1, inside.size // 200_000)], (0.5, 99.5))
    background = float(np.percentile(volume.voxels[::2, ::4, ::4], 0.5))
    low = min(float(low), max(background, float(low) - 0.2 * float(high - low)))
    scaled = (volume.voxels.astype(np.float32) - low) / max(float(high) - low, 1e-6)
    np.clip(scaled, 0.0, 1.0, out=scaled)

    first, last = _box(body, volume, margin_mm=2 * step)
    count = np.maximum(2, np.ceil((last - first) / step).astype(int) + 1)
    to_world = np.diag((step, step, step, 1.0))
    to_world[:3, 3] = first
    mapping = index_map(to_world, volume.index_to_world)
    shape = tuple(int(n) for n in count[::-1])
    valid = resample(np.ones(volume.shape, np.float32), mapping, shape, antialias=False)
    return Level(
        resample(scaled, mapping, shape, order=1, cval=0.0),
        resample(body.astype(np.float32), mapping, shape, antialias=False) > 0.5,
        valid > 0.5,
        first,
        step,
    )


def _box(body: np.ndarray, volume: Volume, margin_mm: float) -> tuple[np.ndarray, np.ndarray]:
    """LPS corners of the box around the body, no larger than the field of view needs."""
    index = np.argwhere(body)
    low, high = index.min(axis=0)[::-1] - 0.5, index.max(axis=0)[::-1] + 0.5
    margin = margin_mm / volume.spacing
    limit = np.array(volume.shape[::-1]) - 0.5
    low, high = np.maximum(low - margin, -0.5), np.minimum(high + margin, limit)
    corners = np.array([(a, b, c, 1) for a in (0, 1) for b in (0, 1) for c in (0, 1)], float)
    corners[:, :3] = low + corners[:, :3] * (high - low)
    world = (corners @ volume.index_to_world.T)[:, :3]
    return world.min(axis=0), world.max(axis=0)


class Similarity:
    """Normalised mutual information of a moving image under any pose, on a fixed one's points.

    The points are those of the fixed image's ``region``; of these, the ones that fall into the
    moving image's field of view count. Studholme's normalised form (Pattern Recognition 1999)
    changes little with the overlap itself: 1 for independent images, 2 for identical ones.
    """

    def __init__(
        self, fixed: Level, moving: Level, region: np.ndarray, most: int = 60_000, bins: int = BINS
    ) -> None:
        step = max(1, int(np.ceil(region.sum() / most)))
        chosen = np.flatnonzero(region)[::step]
        index = np.stack(np.unravel_index(chosen, region.shape), axis=1)
        self.points = index[:, ::-1] * fixed.step + fixed.origin
        self.bins = bins
        self._fixed = _binned(fixed.voxels.ravel()[chosen], bins)
        self._moving = np.where(moving.valid, moving.voxels, -1.0).astype(np.float32)
        self._to_index = np.linalg.inv(moving.index_to_world)

    def __call__(self, matrix: np.ndarray) -> tuple[float, float]:
        """(normalised mutual information, share of the points that counted) of a 4x4 pose."""
        joint, share = self.joint(matrix)
        if share < 0.05:
            return 1.0, share
        return normalised_mutual_information(joint), share

    def joint(self, matrix: np.ndarray) -> tuple[np.ndarray, float]:
        """Joint histogram (fixed, moving) and the share of points that counted."""
        mapping = self._to_index @ matrix
        index = self.points @ mapping[:3, :3].T + mapping[:3, 3]
        values = ndimage.map_coordinates(
            self._moving, index[:, ::-1].T, order=1, mode="constant", cval=-1.0, prefilter=False
        )
        counted = values >= 0
        pairs = self._fixed[counted] * self.bins + _binned(values[counted], self.bins)
        joint = np.bincount(pairs, minlength=self.bins**2).reshape(self.bins, self.bins)
        return joint.astype(float), float(counted.mean())


def normalised_mutual_information(joint: np.ndarray) -> float:
    """(H(a) + H(b)) / H(a, b) of a joint histogram; 1 if one of them is constant."""
    total = joint.sum()
    if total == 0:
        return 1.0
    both = _entropy(joint / total)
    if both == 0:
        return 1.0
    return (_entropy(joint.sum(axis=0) / total) + _entropy(joint.sum(axis=1) / total)) / both


def _entropy(share: np.ndarray) -> float:
    positive = share[share > 0]
    return float(-(positive * np.log(positive)).sum())


def _binned(values: np.ndarray, bins: int) -> np.ndarray:
    return np.minimum((np.clip(values, 0, 1) * bins).astype(np.int64), bins - 1)
