"""The grid on which the networks work, and the exact way back to the reference."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from ..volume import Volume
from .along_axes import resample_along_axes
from .resampling import COARSER, coarsening, index_map, resample

PIXEL_MM = 1.0
SLICE_MM = (1.0, 5.0)
"""Slices keep the reference's spacing within these limits."""

_SAME = 0.01


@dataclass(frozen=True, eq=False)
class WorkingGrid:
    """Axial-like slices of the reference: 2D images as a radiologist looks at them.

    The axes are the reference's own, reordered and flipped so that columns run nearest to
    patient left, rows nearest to posterior and slices nearest to superior; an oblique reference
    keeps its obliqueness, so nothing is rotated that need not be.

    Attributes
    ----------
    shape:
        (slices, rows, columns).
    index_to_world:
        4x4: (column, row, slice, 1) of the grid to LPS millimetres.
    reference_shape, reference_to_world:
        The geometry to come back to.
    slices_coincide:
        Whether every slice of the grid is a slice of the reference, possibly in other pixels.
    """

    shape: tuple[int, int, int]
    index_to_world: np.ndarray
    reference_shape: tuple[int, int, int]
    reference_to_world: np.ndarray
    slices_coincide: bool

    @classmethod
    def for_reference(cls, reference: Volume, pixel_mm: float = PIXEL_MM) -> WorkingGrid:
        """The working grid of ``reference`` with in-plane pixels of ``pixel_mm``."""
        direction, spacing = reference.direction, reference.spacing
        # axes[a]: the reference's index axis nearest to world axis a.
        _, axes = linear_sum_assignment(-np.abs(direction))
        step = np.empty(3)
        size = np.empty(3, int)
        first = np.zeros(3)  # of each reference index, the one at the grid's first voxel
        scale = np.zeros((3, 3))  # grid index steps in reference indices
        for world, axis in enumerate(axes):
            old, count = float(spacing[axis]), reference.shape[2 - axis]
            wanted = float(np.clip(old, *SLICE_MM)) if world == 2 else pixel_mm
            step[world] = old if abs(wanted / old - 1) <= _SAME else wanted
            ratio = step[world] / old
            size[world] = max(1, int(np.ceil(count / ratio - 1e-3)))
            sign = 1.0 if direction[world, axis] >= 0 else -1.0
            scale[axis, world] = sign * ratio
            first[axis] = (count - 1) / 2 - sign * ratio * (size[world] - 1) / 2
        grid_to_reference = np.eye(4)
        grid_to_reference[:3, :3] = scale
        grid_to_reference[:3, 3] = first
        coincide = axes[2] == 2 and abs(abs(scale[2, 2]) - 1) < 1e-9
        columns, rows, slices = (int(n) for n in size)
        return cls(
            (slices, rows, columns),
            reference.index_to_world @ grid_to_reference,
            reference.shape,
            reference.index_to_world,
            bool(coincide),
        )

    @property
    def spacing(self) -> np.ndarray:
        """Millimetres along (column, row, slice)."""
        return np.linalg.norm(self.index_to_world[:3, :3], axis=0)

    def index_in(self, volume: Volume, matrix: np.ndarray | None = None) -> np.ndarray:
        """4x4 from grid index to ``volume`` index; ``matrix`` as in :meth:`to_grid`."""
        return index_map(self.index_to_world, volume.index_to_world, matrix)

    def to_grid(
        self,
        volume: Volume,
        matrix: np.ndarray | None = None,
        cval: float = 0.0,
        order: int | None = None,
    ) -> np.ndarray:
        """``volume`` on this grid as float32 (slices, rows, columns).

        ``matrix`` takes the reference's LPS points to the volume's (None: the same frame).
        ``order`` None chooses: cubic B-spline where detail is kept, linear (after smoothing
        against aliasing) where the grid is more than :data:`~.resampling.COARSER` times coarser.
        """
        mapping = self.index_in(volume, matrix)
        if order is None:
            order = 1 if coarsening(mapping).max() > COARSER else 3
        return resample(volume.voxels, mapping, self.shape, order=order, cval=cval)

    def from_grid(self, array: np.ndarray, order: int = 1) -> np.ndarray:
        """A grid array (slices, rows, columns) on the reference's exact grid, as float32."""
        self._check(array)
        mapping = index_map(self.reference_to_world, self.index_to_world)
        return resample(
            array, mapping, self.reference_shape, order=order, cval=None, antialias=False
        )

    def from_grid_mask(self, probability: np.ndarray) -> np.ndarray:
        """Boolean mask on the reference's grid from a mask or probability on this grid."""
        return self.from_grid(np.asarray(probability, np.float32)) > 0.5

    def reference_slice(self, k: int) -> int:
        """Index of the reference's slice that slice ``k`` of the grid is.

        Raises
        ------
        ValueError
            If the slices do not coincide.
        """
        self._need_coinciding()
        mapping = index_map(self.index_to_world, self.reference_to_world)
        return round(float(mapping[2, 2] * k + mapping[2, 3]))

    def slice_of_reference(self, k: int) -> int:
        """Index of the grid's slice that slice ``k`` of the reference is.

        Raises
        ------
        ValueError
            If the slices do not coincide.
        """
        self._need_coinciding()
        mapping = index_map(self.reference_to_world, self.index_to_world)
        return round(float(mapping[2, 2] * k + mapping[2, 3]))

    def slice_to_reference(
        self, image: np.ndarray, k: int, order: int = 1
    ) -> tuple[int, np.ndarray]:
        """A finished slice (rows, columns) as (slice index, image) of the reference.

        The image equals that slice of :meth:`from_grid`; with ``order`` 3 but for the cut of
        overshoot, which here goes by the slice's own range.
        """
        index = self.reference_slice(k)
        mapping = index_map(self.reference_to_world, self.index_to_world)
        mapping[2] = (0, 0, 1, 0)
        mapping[:2, 3] += mapping[:2, 2] * index
        mapping[:2, 2] = 0
        shape = (1, *self.reference_shape[1:])
        stack = np.asarray(image, np.float32)[None]
        if order == 3 and min(self.shape) < 4:
            order = 1  # as from_grid does then
        if order == 3:
            flat = resample_along_axes(stack, mapping, shape, order=3, cval=None)
            if flat is not None:
                return index, np.clip(flat[0], stack.min(), stack.max())
            # Cubic needs some slices; equal ones around it change nothing in the plane.
            stack = np.repeat(stack, 5, axis=0)
            mapping[2, 3] = 2
        flat = resample(stack, mapping, shape, order=order, cval=None, antialias=False)
        return index, flat[0]

    def _need_coinciding(self) -> None:
        if not self.slices_coincide:
            raise ValueError("the grid's slices are not slices of the reference")

    def _check(self, array: np.ndarray) -> None:
        if tuple(array.shape) != self.shape:
            raise ValueError(f"expected an array of shape {self.shape}, got {tuple(array.shape)}")
