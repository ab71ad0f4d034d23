"""Simulated anatomy: which tissue and which structures are where.

Head coordinates are LPS millimetres with the origin at the sella turcica: x to the
patient's left, y to posterior, z to superior. Positions of organs in these coordinates are
those of an average adult; every case is scaled, bent and roughened (see ``procedural``).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy import ndimage

from .tissues import TISSUE_INDEX

LABELLED_STRUCTURES: tuple[str, ...] = (
    "GTVp",
    "Brain",
    "Brainstem",
    "SpinalCord",
    "Eye_L",
    "Eye_R",
    "OpticNrv_L",
    "OpticNrv_R",
    "Lobe_Temporal_L",
    "Lobe_Temporal_R",
    "Parotid_L",
    "Parotid_R",
    "Bone_Mandible",
)
"""TG-263 names of the structures that simulated anatomy labels; position = bit."""


@dataclass
class Anatomy:
    """One head.

    Attributes
    ----------
    tissue:
        uint8 (slices, rows, columns), an index into ``tissues.TISSUES``.
    structures:
        uint16 of the same shape; bit n set where ``LABELLED_STRUCTURES[n]`` is.
    index_to_world:
        4x4, (column, row, slice, 1) to head coordinates (LPS mm).
    known:
        Structures whose labels can be trusted in this anatomy; the others are not learned.
    description:
        What was drawn (stage, seed, source), plain values.
    """

    tissue: np.ndarray
    structures: np.ndarray
    index_to_world: np.ndarray
    known: tuple[str, ...] = LABELLED_STRUCTURES
    description: dict = field(default_factory=dict)

    def mask(self, name: str) -> np.ndarray:
        """Boolean mask of one structure."""
        return (self.structures & bit(name)) != 0


def bit(name: str) -> np.uint16:
    """The bit of a structure in ``Anatomy.structures``."""
    return np.uint16(1 << LABELLED_STRUCTURES.index(name))


def smooth_noise(
    shape: tuple[int, int, int],
    scale_mm: float,
    rng: np.random.Generator,
    spacing_mm: float = 1.0,
) -> np.ndarray:
    """Zero-mean, unit-variance random field whose features have about ``scale_mm``.

    Cubic interpolation of a coarse grid of normal numbers; float32 (slices, rows, columns).
    """
    step = max(scale_mm / spacing_mm, 1.0)
    coarse = [int(np.ceil(n / step)) + 4 for n in shape]
    noise = rng.standard_normal(coarse).astype(np.float32)
    for axis, n in enumerate(shape):
        positions = 1.5 + np.arange(n) / step
        noise = _cubic_along(noise, positions, axis)
    return noise / max(float(noise.std()), 1e-6)


def _cubic_along(array: np.ndarray, positions: np.ndarray, axis: int) -> np.ndarray:
    """Cubic B-spline smoothing of ``array`` at fractional ``positions`` along one axis."""
    base = np.floor(positions).astype(int)
    t = (positions - base).astype(np.float32)
    weights = (
        (1 - t) ** 3 / 6,
        (3 * t**3 - 6 * t**2 + 4) / 6,
        (-3 * t**3 + 3 * t**2 + 3 * t + 1) / 6,
        t**3 / 6,
    )
    size = array.shape[axis]
    matrix = np.zeros((len(positions), size), np.float32)
    for offset, weight in zip((-1, 0, 1, 2), weights, strict=True):
        index = np.clip(base + offset, 0, size - 1)
        np.add.at(matrix, (np.arange(len(positions)), index), weight)
    moved = np.moveaxis(array, axis, 0)
    result = (matrix @ moved.reshape(size, -1)).reshape(len(positions), *moved.shape[1:])
    return np.moveaxis(result, 0, axis)


class Canvas:
    """A head being drawn: coordinates of every voxel and the maps painted so far.

    Parameters
    ----------
    tissue, structures:
        Maps to paint on, changed in place.
    coordinates:
        float32 (3, slices, rows, columns): head coordinates x, y, z of every voxel.
    roughness:
        float32 (slices, rows, columns) added to every distance, so that no edge is clean.
    """

    MARGIN_MM = 14.0

    def __init__(
        self,
        tissue: np.ndarray,
        structures: np.ndarray,
        coordinates: np.ndarray,
        roughness: np.ndarray,
    ) -> None:
        self.tissue = tissue
        self.structures = structures
        self.coordinates = coordinates
        self.roughness = roughness
        self.only: np.ndarray | None = None
        """If set, a boolean map outside which nothing is painted."""
        self._lines = [
            (coordinates[c].mean(axis=tuple(a for a in range(3) if a != axis)), axis)
            for c, axis in ((0, 2), (1, 1), (2, 0))
        ]

    def box(self, low: np.ndarray, high: np.ndarray) -> tuple[slice, slice, slice] | None:
        """Index box that holds all voxels between two corners of head coordinates."""
        slices: list[slice] = [slice(None)] * 3
        for (line, axis), lo, hi in zip(self._lines, low, high, strict=True):
            inside = np.flatnonzero((line > lo - self.MARGIN_MM) & (line < hi + self.MARGIN_MM))
            if inside.size == 0:
                return None
            slices[axis] = slice(inside[0], inside[-1] + 1)
        return tuple(slices)

    def ellipsoid(self, centre, radii, rough: float = 0.6):
        """(box, distance): signed distance (mm, negative inside) to an ellipsoid, about."""
        centre, radii = np.asarray(centre, float), np.asarray(radii, float)
        box = self.box(centre - radii, centre + radii)
        if box is None:
            return None
        x, y, z = self.coordinates[(slice(None), *box)]
        q = np.sqrt(
            ((x - centre[0]) / radii[0]) ** 2
            + ((y - centre[1]) / radii[1]) ** 2
            + ((z - centre[2]) / radii[2]) ** 2
        )
        distance = (q - 1) * float(radii.min()) * np.minimum(1.6, 0.5 + 0.5 * q)
        return box, distance + rough * self.roughness[box]

    def superellipsoid(self, centre, radii, power: float = 4.0, rough: float = 0.6):
        """(box, distance) to a rounded box."""
        centre, radii = np.asarray(centre, float), np.asarray(radii, float)
        box = self.box(centre - radii, centre + radii)
        if box is None:
            return None
        x, y, z = self.coordinates[(slice(None), *box)]
        q = (
            np.abs((x - centre[0]) / radii[0]) ** power
            + np.abs((y - centre[1]) / radii[1]) ** power
            + np.abs((z - centre[2]) / radii[2]) ** power
        ) ** (1 / power)
        return box, (q - 1) * float(radii.min()) + rough * self.roughness[box]

    def tube(self, points, radii, rough: float = 0.3, flatten=(1.0, 1.0, 1.0)):
        """(box, distance) to a chain of capsules through ``points`` with a radius at each."""
        points = np.asarray(points, float)
        radii = np.broadcast_to(np.asarray(radii, float), (len(points),))
        widest = float(radii.max())
        reach = widest * np.maximum(np.asarray(flatten, float), 1.0)
        box = self.box(points.min(0) - reach, points.max(0) + reach)
        if box is None:
            return None
        inverse = 1.0 / np.asarray(flatten, np.float32)
        position = self.coordinates[(slice(None), *box)]
        distance = np.full(position.shape[1:], np.inf, np.float32)
        for start, end, r0, r1 in zip(points[:-1], points[1:], radii[:-1], radii[1:], strict=True):
            axis = (end - start).astype(np.float32)
            length2 = float(axis @ axis) or 1e-6
            relative = position - start.astype(np.float32)[:, None, None, None]
            t = np.clip(np.tensordot(axis, relative, 1) / length2, 0, 1)
            off = (relative - axis[:, None, None, None] * t) * inverse[:, None, None, None]
            np.minimum(
                distance,
                np.sqrt((off**2).sum(0)) - (r0 + (r1 - r0) * t).astype(np.float32),
                out=distance,
            )
        return box, distance + rough * self.roughness[box]

    def paint(self, shape, tissue: str | None, structure: str | None = None, over=None) -> None:
        """Fill where the distance is negative.

        ``over`` limits the painting to voxels that now hold one of these tissues.
        """
        if shape is None:
            return
        box, distance = shape
        where = distance < 0
        if over is not None:
            wanted = [TISSUE_INDEX[name] for name in over]
            where &= np.isin(self.tissue[box], wanted)
        if self.only is not None:
            where &= self.only[box]
        if tissue is not None:
            self.tissue[box][where] = TISSUE_INDEX[tissue]
        if structure is not None:
            self.structures[box][where] |= bit(structure)


def largest_component(mask: np.ndarray) -> np.ndarray:
    """The largest connected part of a mask."""
    labels, count = ndimage.label(mask)
    if count <= 1:
        return mask
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return labels == sizes.argmax()
