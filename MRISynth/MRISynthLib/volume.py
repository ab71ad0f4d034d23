"""The image that travels through the whole product: voxels that know where they lie.

Coordinates are LPS millimetres (x to the patient's left, y to posterior, z to superior),
as in DICOM and ITK. Only ``io/`` and ``mrml.py`` convert to RAS.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np

from .errors import InputError
from .provenance import Provenance

GEOMETRY_TOLERANCE_MM = 1e-4
"""Two geometries are the same if no corner differs by more than this."""


@dataclass(frozen=True, eq=False)
class Volume:
    """An immutable 3D image with its geometry, its sequence and its history.

    Attributes
    ----------
    voxels:
        Array of shape (slices, rows, columns), made read-only.
    index_to_world:
        4x4 matrix that takes (column, row, slice, 1) to LPS millimetres, the point being
        the voxel's centre. Any oblique, flipped or anisotropic matrix that is not singular.
    sequence:
        Canonical name of :mod:`MRISynthLib.sequences` such as ``"T1w"``, or None if unknown.
    name:
        What the user calls it: a file, a series description, a node.
    acquisition:
        DICOM keywords of the acquisition where the source had them (``EchoTime`` and so on),
        plain Python values.
    provenance:
        None for a real image; says how a synthetic one was made.
    warnings:
        Sentences that a clinician needs to see with this image.

    Raises
    ------
    InputError
        If the voxels are not three-dimensional or the matrix is singular.
    """

    voxels: np.ndarray
    index_to_world: np.ndarray
    sequence: str | None = None
    name: str = ""
    acquisition: Mapping[str, Any] = field(default_factory=dict)
    provenance: Provenance | None = None
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        voxels = np.asarray(self.voxels).view()
        matrix = np.array(self.index_to_world, dtype=np.float64)
        label = self.name or "The volume"
        if voxels.ndim != 3 or 0 in voxels.shape:
            raise InputError(
                f"{label} has the shape {voxels.shape}; a volume needs slices, rows and columns."
            )
        if matrix.shape != (4, 4) or not np.all(np.isfinite(matrix)):
            raise InputError(f"{label} has no usable orientation; export it again with its header.")
        if not np.allclose(matrix[3], (0, 0, 0, 1)):
            raise InputError(f"{label} has a matrix that is not affine; export it again.")
        lengths = np.linalg.norm(matrix[:3, :3], axis=0)
        if np.any(lengths < 1e-6) or abs(np.linalg.det(matrix[:3, :3] / lengths)) < 1e-3:
            raise InputError(
                f"{label} has a singular orientation matrix (two axes coincide or a spacing is 0); "
                "export it again with its header."
            )
        voxels.flags.writeable = False
        matrix.flags.writeable = False
        object.__setattr__(self, "voxels", voxels)
        object.__setattr__(self, "index_to_world", matrix)
        object.__setattr__(self, "acquisition", MappingProxyType(dict(self.acquisition)))
        object.__setattr__(self, "warnings", tuple(self.warnings))

    @property
    def shape(self) -> tuple[int, int, int]:
        """(slices, rows, columns)."""
        return self.voxels.shape

    @property
    def spacing(self) -> np.ndarray:
        """Millimetres between voxel centres along (column, row, slice) indices."""
        return np.linalg.norm(self.index_to_world[:3, :3], axis=0)

    @property
    def direction(self) -> np.ndarray:
        """3x3 matrix whose columns are the unit vectors of the index axes, in LPS."""
        return self.index_to_world[:3, :3] / self.spacing

    @property
    def origin(self) -> np.ndarray:
        """LPS position of the first voxel's centre."""
        return self.index_to_world[:3, 3].copy()

    @property
    def is_synthetic(self) -> bool:
        """Whether a network made this image."""
        return self.provenance is not None and self.provenance.synthetic

    def corners(self) -> np.ndarray:
        """(8, 3) LPS positions of the centres of the eight corner voxels."""
        k, j, i = (n - 1 for n in self.shape)
        index = np.array([(a, b, c, 1) for c in (0, k) for b in (0, j) for a in (0, i)], float)
        return (index @ self.index_to_world.T)[:, :3]

    def same_geometry(self, other: Volume, tolerance_mm: float = GEOMETRY_TOLERANCE_MM) -> bool:
        """Whether both have the same grid, to ``tolerance_mm`` at every corner."""
        if self.shape != other.shape:
            return False
        return float(np.abs(self.corners() - other.corners()).max()) <= tolerance_mm

    def with_voxels(self, voxels: np.ndarray, **changes: Any) -> Volume:
        """The same grid with other voxels, which must have the same shape."""
        if tuple(voxels.shape) != self.shape:
            raise ValueError(f"expected voxels of shape {self.shape}, got {tuple(voxels.shape)}")
        return replace(self, voxels=voxels, **changes)

    def replace(self, **changes: Any) -> Volume:
        """A copy with some attributes changed; voxels are shared, not copied."""
        return replace(self, **changes)


def matrix_from_parts(
    spacing: np.ndarray | tuple[float, ...],
    direction: np.ndarray | None = None,
    origin: np.ndarray | tuple[float, ...] = (0.0, 0.0, 0.0),
) -> np.ndarray:
    """4x4 index-to-world matrix from spacing (mm), 3x3 unit-vector columns and origin (LPS mm)."""
    matrix = np.eye(4)
    axes = np.eye(3) if direction is None else np.asarray(direction, float).reshape(3, 3)
    matrix[:3, :3] = axes * np.asarray(spacing, float)
    matrix[:3, 3] = origin
    return matrix
