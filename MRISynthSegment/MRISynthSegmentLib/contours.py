"""Masks as closed planar contours on the slices of an image, and back.

A contour runs half-way between the centres of pixels that are in a mask and of those that are
not, which filling at pixel centres turns into the same mask again. Points are LPS millimetres,
(n, 3), the first one not repeated at the end (DICOM PS3.3, C.8.8.6.1).

Planning systems want a part with holes as one contour: a channel of no width, run through there
and back, joins each hole to what surrounds it (the "keyhole" of C.8.8.6.3).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from MRISynthLib.errors import InputError
from MRISynthLib.volume import Volume

Contours = dict[int, list[np.ndarray]]
"""Slice -> closed contours on it, each (n, 3) in LPS mm."""

_CHANNEL = 0.25
"""How far, in pixels, a keyhole's channel runs beside the pixels' centres: programs differ on
whether a point of a contour is inside."""

_SAME_PLANE = 0.02
"""Contours less than this part of a slice distance apart lie on one plane."""


@dataclass(frozen=True, eq=False)
class Placement:
    """Contours by the slice of an image that they lie on or next to.

    Attributes
    ----------
    contours:
        Those of the nearest plane where several have the same nearest slice.
    off_mm:
        How far off its slice the furthest point lies.
    passed_over:
        Planes left out because another one is nearer to the slice.
    skipped:
        Slices without a contour because the planes lie further apart than the slices.
    beyond_mm:
        By how much contours reach over the edges of the slices.
    """

    contours: Contours
    off_mm: float
    passed_over: int
    skipped: int
    beyond_mm: float


def contours_of(mask: np.ndarray, index_to_world: np.ndarray) -> Contours:
    """Outlines of a boolean mask (slices, rows, columns), for the slices that have any.

    Parts that touch only at a pixel's corner are separate contours, and so is an island in a
    hole. A contour runs round its part from rising columns to rising rows.

    Parameters
    ----------
    index_to_world:
        4x4 matrix that takes (column, row, slice, 1) to LPS mm, or one for each slice.
    """
    matrices = np.broadcast_to(index_to_world, (len(mask), 4, 4))
    found = {}
    for k in np.flatnonzero(mask.any(axis=(1, 2))).tolist():
        matrix = matrices[k]
        plane = matrix[:3, 2] * k + matrix[:3, 3]
        found[k] = [ring @ matrix[:3, :2].T + plane for ring in _outlines(mask[k])]
    return found


def mask_of(contours: Mapping[int, Sequence[np.ndarray]], volume: Volume) -> np.ndarray:
    """The boolean mask (slices, rows, columns) of what contours enclose on a volume's grid.

    A pixel is in the mask if its centre is inside an odd number of the contours of its slice, so
    that holes may be keyholes or contours of their own. What lies outside the image is cut off.
    """
    mask = np.zeros(volume.shape, bool)
    rings, slices = [], []
    for k, each in contours.items():
        rings += [_in_index(points, volume)[:, :2] for points in each]
        slices += [k] * len(each)
    if not rings:
        return mask
    starts = np.concatenate(rings)
    ends = np.concatenate([np.roll(ring, -1, axis=0) for ring in rings])
    of_slice = np.repeat(slices, [len(ring) for ring in rings])

    # An edge crosses a row that it begins at or before and ends after, whichever way it runs.
    forward = (starts[:, 1] <= ends[:, 1])[:, None]
    upper, lower = np.where(forward, starts, ends), np.where(forward, ends, starts)
    rows, columns = volume.shape[1:]
    first = np.clip(np.ceil(upper[:, 1]), 0, rows).astype(int)
    count = np.clip(np.ceil(lower[:, 1]), 0, rows).astype(int) - first
    edge = np.repeat(np.arange(len(count)), count)
    row = np.arange(len(edge)) - np.repeat(np.cumsum(count) - count - first, count)
    part = (row - upper[edge, 1]) / (lower[edge, 1] - upper[edge, 1])
    crossing = upper[edge, 0] + part * (lower[edge, 0] - upper[edge, 0])
    column = np.clip(np.ceil(crossing), 0, columns).astype(int)

    low, high = min(slices), max(slices) + 1
    shape = (high - low, rows, columns + 1)
    place = np.ravel_multi_index((of_slice[edge] - low, row, column), shape)
    turns = np.bincount(place, minlength=np.prod(shape)).reshape(shape)[..., :-1].astype(np.uint8)
    mask[low:high] = np.bitwise_xor.accumulate(turns & 1, axis=2)
    return mask


def on_slices(contours: Iterable[np.ndarray], volume: Volume, name: str) -> Placement:
    """Closed contours, (n, 3) LPS mm each, on the slices of an image that they are nearest to.

    Raises
    ------
    InputError
        If a contour of the structure ``name`` lies further off than half a slice distance.
    """
    contours = list(contours)
    if not contours:
        return Placement({}, 0.0, 0, 0, 0.0)
    step = _slice_distance(volume)
    indices = [_in_index(points, volume) for points in contours]
    slices = []
    off = beyond = 0.0
    for index in indices:
        k = int(np.clip(np.floor(index[:, 2].mean() + 0.5), 0, volume.shape[0] - 1))
        far = float(np.abs(index[:, 2] - k).max())
        if far > 0.5 + _SAME_PLANE:
            raise InputError(_why_not(name, volume, index[:, 2], far * step, step))
        over = np.maximum(-0.5 - index[:, :2], index[:, :2] + 0.5 - volume.shape[:0:-1])
        off = max(off, far * step)
        beyond = max(beyond, float((over * volume.spacing[:2]).max()))
        slices.append(k)

    heights = _heights(contours, indices, volume) / step
    order = np.argsort(heights)
    steps = np.diff(heights[order])
    plane_of = np.empty(len(contours), int)
    plane_of[order] = np.concatenate([[0], np.cumsum(steps > _SAME_PLANE)])
    planes: dict[int, dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
    for number, k in enumerate(slices):
        planes[k][plane_of[number]].append(number)
    placed, passed_over = {}, 0
    for k in sorted(planes):
        nearest = min(planes[k].values(), key=lambda some: _distance(indices, some, k))
        placed[k] = [contours[number] for number in nearest]
        passed_over += len(planes[k]) - 1
    return Placement(placed, off, passed_over, _skipped(np.array(slices)[order], steps), beyond)


def _skipped(slices: np.ndarray, steps: np.ndarray) -> int:
    """Slices between planes that follow each other at the usual distance; where a structure has
    several parts, there are more between those."""
    apart = steps > _SAME_PLANE
    usual = apart & (steps < 1.5 * np.median(steps[apart])) if apart.any() else apart
    return int(np.maximum(np.abs(np.diff(slices))[usual] - 1, 0).sum())


def _slice_distance(volume: Volume) -> float:
    """Millimetres between the planes of neighbouring slices."""
    axes = volume.index_to_world[:3, :3]
    normal = np.cross(axes[:, 0], axes[:, 1])
    return abs(float(axes[:, 2] @ normal)) / float(np.linalg.norm(normal))


def _heights(contours: list[np.ndarray], indices: list[np.ndarray], volume: Volume) -> np.ndarray:
    """Millimetres along the contours' own normal, the same for all on one plane."""
    if max(np.ptp(index[:, 2]) for index in indices) <= _SAME_PLANE:  # not tilted
        return np.array([index[:, 2].mean() for index in indices]) * _slice_distance(volume)
    within = np.concatenate([points - points.mean(axis=0) for points in contours])
    normal = np.linalg.eigh(within.T @ within)[1][:, 0]
    return np.array([points.mean(axis=0) @ normal for points in contours])


def _distance(indices: list[np.ndarray], some: list[int], k: int) -> float:
    return min(abs(float(indices[number][:, 2].mean()) - k) for number in some)


def _why_not(name: str, volume: Volume, heights: np.ndarray, far: float, step: float) -> str:
    image = volume.name or "the image"
    if np.ptp(heights) > 2 * _SAME_PLANE:
        return (
            f"{name} has a contour that is tilted against the slices of {image} and reaches "
            f"{far:.1f} mm off the nearest one, more than half the slice distance of "
            f"{step:.1f} mm; give the image that it was drawn on."
        )
    end = "first" if heights[0] < 0 else "last"
    return (
        f"{name} has a contour {far:.1f} mm beyond the {end} slice of {image}; give the image "
        "that it was drawn on, with all its slices."
    )


def _in_index(points: np.ndarray, volume: Volume) -> np.ndarray:
    """(n, 3) LPS mm as (column, row, slice), without the last digits that rounding left."""
    inverse = np.linalg.inv(volume.index_to_world)
    return np.round(points @ inverse[:3, :3].T + inverse[:3, 3], 6)


def _outlines(plane: np.ndarray) -> list[np.ndarray]:
    """Closed rings, (n, 2) as (column, row), one for each part of a mask (rows, columns)."""
    from scipy import ndimage
    from skimage.measure import find_contours

    rows, columns = (np.flatnonzero(plane.any(axis=axis)) for axis in (1, 0))
    box = np.pad(plane[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1], 1)
    corner = np.array([columns[0] - 1, rows[0] - 1])
    parts, count = ndimage.label(box)  # through the sides of pixels, as find_contours has it
    outer: list[np.ndarray] = [np.empty((0, 2))] * count
    holes: list[list[np.ndarray]] = [[] for _ in range(count)]
    for found in find_contours(box.astype(np.float64), 0.5):
        ring = _corners(found[:-1, ::-1])
        column, row = ring[0]  # half-way between two pixels, one of them in the part
        part = max(
            parts[int(np.floor(row)), int(np.floor(column))],
            parts[int(np.ceil(row)), int(np.ceil(column))],
        )
        if _area(ring) > 0:
            outer[part - 1] = ring
        else:
            holes[part - 1].append(ring)
    return [_keyholed(ring, inner) + corner for ring, inner in zip(outer, holes, strict=True)]


def _corners(ring: np.ndarray) -> np.ndarray:
    """A ring without the points that lie on the line between their neighbours."""
    before, after = ring - np.roll(ring, 1, axis=0), np.roll(ring, -1, axis=0) - ring
    return ring[before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]]


def _area(ring: np.ndarray) -> float:
    """In pixels, positive from rising columns to rising rows."""
    following = np.roll(ring, -1, axis=0)
    return float(np.sum(ring[:, 0] * following[:, 1] - ring[:, 1] * following[:, 0]) / 2)


def _keyholed(ring: np.ndarray, holes: list[np.ndarray]) -> np.ndarray:
    """One ring of an outline and its holes, which run round the other way.

    A channel leaves a hole near its last column along the row, and ends at the next outline. With
    the last hole first, that is always the outside or a hole that is joined to it already.
    """
    for hole in sorted(holes, key=lambda each: -each[:, 0].max()):
        row = hole[hole[:, 0].argmax(), 1] + _CHANNEL
        edges, columns = _crossings(hole, row)
        last = columns.argmax()
        begin = (columns[last], row)
        edges_around, columns_around = _crossings(ring, row)
        ahead = np.where(columns_around > begin[0], columns_around, np.inf).argmin()
        end = (columns_around[ahead], row)
        opened = np.roll(hole, -edges[last] - 1, axis=0)
        edge = edges_around[ahead] + 1
        ring = np.concatenate([ring[:edge], [end, begin], opened, [begin, end], ring[edge:]])
    return ring


def _crossings(ring: np.ndarray, row: float) -> tuple[np.ndarray, np.ndarray]:
    """The edges of a ring that cross a row, by their first points, and in which columns."""
    following = np.roll(ring, -1, axis=0)
    edges = np.flatnonzero((ring[:, 1] <= row) != (following[:, 1] <= row))
    start, end = ring[edges], following[edges]
    part = (row - start[:, 1]) / (end[:, 1] - start[:, 1])
    return edges, start[:, 0] + part * (end[:, 0] - start[:, 0])
