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
    "GTVn",
    "Brain",
    "Brainstem",
    "SpinalCord",
    "OpticChiasm",
    "OpticNrv_L",
    "OpticNrv_R",
    "Eye_L",
    "Eye_R",
    "Lens_L",
    "Lens_R",
    "Lobe_Temporal_L",
    "Lobe_Temporal_R",
    "Hippocampus_L",
    "Hippocampus_R",
    "Cochlea_L",
    "Cochlea_R",
    "Parotid_L",
    "Parotid_R",
    "Glnd_Submand_L",
    "Glnd_Submand_R",
    "Glnd_Thyroid",
    "Glnd_Lacrimal_L",
    "Glnd_Lacrimal_R",
    "Bone_Mandible",
    "Joint_TM_L",
    "Joint_TM_R",
    "Pituitary",
    "Cavity_Oral",
    "Larynx",
    "Musc_Constrict",
    "Nasopharynx",
    "Esophagus",
    "A_Carotid_L",
    "A_Carotid_R",
)
"""TG-263 names of the structures that simulated anatomy labels; position = bit."""

STRUCTURE_DTYPE = np.uint64
"""Bit field of the structures at a voxel; they may overlap."""


@dataclass
class Anatomy:
    """One head.

    Attributes
    ----------
    tissue:
        uint8 (slices, rows, columns), an index into ``tissues.TISSUES``.
    structures:
        uint64 of the same shape; bit n set where ``LABELLED_STRUCTURES[n]`` is.
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


def bit(name: str) -> np.uint64:
    """The bit of a structure in ``Anatomy.structures``."""
    return STRUCTURE_DTYPE(1 << LABELLED_STRUCTURES.index(name))


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

    Shapes are pairs (index box, distance): signed distance in mm, negative inside, exact
    enough near the surface; None if the shape lies outside the grid.

    Parameters
    ----------
    tissue, structures:
        Maps to paint on, changed in place.
    coordinates:
        float32 (3, slices, rows, columns): head coordinates x, y, z of every voxel.
    roughness:
        float32 (slices, rows, columns) added to every distance, so that no edge is clean.
    """

    MARGIN_MM = 5.0
    """Boxes reach this far beyond a shape, for rough edges and walls painted around it."""

    _STEP = 4

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
        step = self._STEP
        self._coarse = np.ascontiguousarray(coordinates[:, ::step, ::step, ::step])
        # the range of every coordinate in each plane of voxels: a first, cheap bound
        self._ranges = [
            (c, axis, self._coarse[c].min(others), self._coarse[c].max(others))
            for c, axis in ((2, 0), (1, 1), (0, 2))
            for others in (tuple(a for a in range(3) if a != axis),)
        ]

    def box(self, low, high) -> tuple[slice, slice, slice] | None:
        """Index box that holds all voxels between two corners of head coordinates."""
        coarse: list[slice] = [slice(None)] * 3
        for c, axis, least, most in self._ranges:
            near = np.flatnonzero(
                (most > low[c] - self.MARGIN_MM) & (least < high[c] + self.MARGIN_MM)
            )
            if near.size == 0:
                return None
            coarse[axis] = slice(near[0], near[-1] + 1)
        part = self._coarse[(slice(None), *coarse)]
        inside = np.ones(part.shape[1:], bool)
        for c in range(3):
            inside &= part[c] > np.float32(low[c] - self.MARGIN_MM)
            inside &= part[c] < np.float32(high[c] + self.MARGIN_MM)
        box = []
        for axis in range(3):
            hit = np.flatnonzero(inside.any(tuple(a for a in range(3) if a != axis)))
            if hit.size == 0:
                return None
            first, last = coarse[axis].start + hit[0], coarse[axis].start + hit[-1]
            size = self.tissue.shape[axis]
            start = max(int(first - 1) * self._STEP + 1, 0)
            box.append(slice(start, min(int(last + 1) * self._STEP, size)))
        return tuple(box)

    def _points(self, low, high):
        """(box, x, y, z) of the voxels between two corners, or None."""
        box = self.box(low, high)
        return None if box is None else (box, *self.coordinates[(slice(None), *box)])

    def ellipsoid(self, centre, radii, rough: float = 0.6):
        """An ellipsoid with its axes along x, y, z."""
        centre, radii = _floats(centre), _floats(radii)
        found = self._points(*_corners(centre, radii))
        if found is None:
            return None
        box, *position = found
        q = np.sqrt(
            sum(((p - c) * (1 / r)) ** 2 for p, c, r in zip(position, centre, radii, strict=True))
        )
        # beyond the surface the longer axes count more: a step towards the true distance
        distance = (q - 1) * min(radii) * np.minimum(1.6, 0.5 + 0.5 * q)
        return box, distance + rough * self.roughness[box]

    def superellipsoid(self, centre, radii, power: float = 4.0, rough: float = 0.6):
        """A rounded box; the higher the power the sharper its corners."""
        centre, radii = _floats(centre), _floats(radii)
        found = self._points(*_corners(centre, radii))
        if found is None:
            return None
        box, *position = found
        q = sum(
            np.abs((p - c) * (1 / r)) ** power
            for p, c, r in zip(position, centre, radii, strict=True)
        ) ** (1 / power)
        return box, (q - 1) * min(radii) + rough * self.roughness[box]

    def tube(self, points, radii, rough: float = 0.3, flatten=(1.0, 1.0, 1.0)):
        """A chain of capsules through ``points`` with a radius at each.

        ``flatten`` stretches the cross-section along x, y, z.
        """
        points = np.asarray(points, float)
        radii = np.broadcast_to(np.asarray(radii, float), (len(points),))
        reach = float(radii.max()) * np.maximum(np.asarray(flatten, float), 1.0)
        box = self.box(points.min(0) - reach, points.max(0) + reach)
        if box is None:
            return None
        stretch = np.asarray(flatten, float)
        position = self.coordinates[(slice(None), *box)]
        x, y, z = (p * float(1 / s) for p, s in zip(position, stretch, strict=True))
        distance = None
        ends = zip(points[:-1] / stretch, points[1:] / stretch, strict=True)
        for (start, end), r0, r1 in zip(ends, radii[:-1], radii[1:], strict=True):
            ax, ay, az = (float(a) for a in end - start)
            dx, dy, dz = (p - float(s) for p, s in zip((x, y, z), start, strict=True))
            t = (dx * ax + dy * ay + dz * az) * (1 / max(ax * ax + ay * ay + az * az, 1e-6))
            t = np.clip(t, 0, 1)
            dx -= ax * t
            dy -= ay * t
            dz -= az * t
            part = np.sqrt(dx * dx + dy * dy + dz * dz) - (float(r0) + float(r1 - r0) * t)
            distance = part if distance is None else np.minimum(distance, part)
        return box, distance + rough * self.roughness[box]

    def strap(self, points, width, thickness, wide, rough: float = 0.4):
        """A muscle, plate or fold along ``points`` with an elliptical cross-section.

        Parameters
        ----------
        width, thickness:
            Half axes (mm) of the cross-section at each point.
        wide:
            Direction of the width (x, y, z); made perpendicular to each segment.
        """
        points = np.asarray(points, float)
        width = np.broadcast_to(np.asarray(width, float), (len(points),))
        thickness = np.broadcast_to(np.asarray(thickness, float), (len(points),))
        reach = float(max(width.max(), thickness.max()))
        box = self.box(points.min(0) - reach, points.max(0) + reach)
        if box is None:
            return None
        position = self.coordinates[(slice(None), *box)]
        distance = None
        for k in range(len(points) - 1):
            along = points[k + 1] - points[k]
            length = float(np.linalg.norm(along))
            along = along / length
            across = np.asarray(wide, float) - along * float(np.dot(wide, along))
            across /= np.linalg.norm(across)
            normal = np.cross(along, across)
            dx, dy, dz = (p - float(s) for p, s in zip(position, points[k], strict=True))

            def component(axis, d=(dx, dy, dz)):
                return d[0] * float(axis[0]) + d[1] * float(axis[1]) + d[2] * float(axis[2])

            way = component(along)
            t = np.clip(way * (1 / length), 0, 1)
            a = float(width[k]) + float(width[k + 1] - width[k]) * t
            b = float(thickness[k]) + float(thickness[k + 1] - thickness[k]) * t
            least = np.minimum(a, b)
            beyond = way - t * length
            q = (component(across) / a) ** 2 + (component(normal) / b) ** 2 + (beyond / least) ** 2
            part = (np.sqrt(q) - 1) * least
            distance = part if distance is None else np.minimum(distance, part)
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
            wanted = np.zeros(256, bool)
            wanted[[TISSUE_INDEX[name] for name in over]] = True
            where &= wanted[self.tissue[box]]
        if self.only is not None:
            where &= self.only[box]
        if tissue is not None:
            self.tissue[box][where] = TISSUE_INDEX[tissue]
        if structure is not None:
            self.structures[box][where] |= bit(structure)

    def coat(self, shape, tissue: str, thickness: float, core: str, over, structure=None) -> None:
        """Paint a shape of ``tissue`` whose inside, from ``thickness`` mm on, is ``core``."""
        if shape is None:
            return
        box, distance = shape
        self.paint(shape, tissue, structure, over)
        self.paint((box, distance + thickness), core, over=(tissue,))


def _floats(values) -> tuple[float, ...]:
    """Plain floats: numpy scalars would turn float32 arrays into float64."""
    return tuple(float(value) for value in values)


def _corners(centre, radii):
    return (
        [c - r for c, r in zip(centre, radii, strict=True)],
        [c + r for c, r in zip(centre, radii, strict=True)],
    )


def sides():
    """(sign of x, suffix of the name) of left and right; left is +x in LPS."""
    return ((1.0, "_L"), (-1.0, "_R"))


def jitter(rng: np.random.Generator, values, spread: float) -> np.ndarray:
    """Every number multiplied by its own random factor about 1."""
    values = np.asarray(values, float)
    return values * rng.normal(1.0, spread, values.shape).clip(1 - 2.5 * spread, 1 + 2.5 * spread)


def largest_component(mask: np.ndarray) -> np.ndarray:
    """The largest connected part of a mask."""
    labels, count = ndimage.label(mask)
    if count <= 1:
        return mask
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return labels == sizes.argmax()
