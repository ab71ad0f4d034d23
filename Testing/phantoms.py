"""Simulated heads that can be scanned on any grid: values come from world coordinates, so a
known transform of the grid is a known transform of the patient, without interpolation."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from MRISynthLib.volume import Volume, matrix_from_parts

# centre (LPS mm), semi-axes (mm), T1w, T2w, CT (HU); later entries lie on top of earlier ones.
_PARTS = (
    ((0, 0, 0), (76, 94, 88), 850, 420, -90),  # scalp fat
    ((0, 0, 0), (72, 90, 84), 60, 40, 900),  # skull
    ((0, 4, 8), (66, 82, 72), 120, 900, 12),  # CSF
    ((0, 4, 8), (63, 79, 69), 400, 480, 38),  # cortex
    ((0, 4, 10), (54, 68, 58), 560, 330, 32),  # white matter
    ((14, -4, 16), (8, 30, 10), 120, 950, 10),  # ventricles
    ((-15, -2, 17), (10, 26, 11), 120, 950, 10),
    ((24, 0, 4), (9, 12, 8), 430, 300, 40),  # basal ganglia
    ((-24, 1, 5), (9, 13, 8), 430, 300, 40),
    ((0, 46, -34), (34, 22, 17), 430, 420, 40),  # cerebellum
    ((0, 22, -38), (12, 11, 26), 520, 340, 36),  # brainstem
    ((32, -66, -22), (12, 12, 12), 200, 980, 15),  # eyes
    ((-31, -66, -21), (12, 12, 12), 200, 980, 15),
    ((0, -62, -42), (14, 26, 16), 10, 10, -990),  # nasal cavity
    ((22, -56, -44), (11, 14, 13), 20, 30, -950),  # sinus with a cyst
    ((24, -52, -50), (5, 6, 5), 350, 900, 20),
    ((40, 30, 34), (9, 14, 7), 300, 800, 25),  # a lesion on the left
    ((-34, -40, 30), (7, 9, 12), 330, 760, 28),
)


def head(
    contrast: str,
    shape: tuple[int, int, int] = (36, 110, 96),
    spacing: tuple[float, float, float] = (2.0, 2.0, 5.0),
    direction: np.ndarray | None = None,
    motion: np.ndarray | None = None,
    noise: float = 12.0,
    seed: int = 0,
    centre: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> Volume:
    """The head as ``contrast`` (T1w, T2w or CT) on a grid around ``centre`` (LPS).

    ``motion`` is a 4x4 that moves the patient: points of the head before -> after.
    """
    axes = np.eye(3) if direction is None else np.asarray(direction, float)
    middle = (np.array(shape[::-1]) - 1) / 2
    origin = np.asarray(centre, float) - axes @ (middle * np.asarray(spacing))
    matrix = matrix_from_parts(spacing, axes, origin)
    to_head = matrix if motion is None else np.linalg.inv(motion) @ matrix
    points = _positions(shape, to_head)
    column = ("T1w", "T2w", "CT").index(contrast) + 2
    voxels = np.full(shape, -1000.0 if contrast == "CT" else 0.0, np.float32)
    for part in _PARTS:
        voxels[_inside(points, part)] = part[column]
    rng = np.random.default_rng(seed)
    if contrast == "CT":
        voxels += rng.normal(0, noise, shape)
    else:
        voxels = np.hypot(voxels + rng.normal(0, noise, shape), rng.normal(0, noise, shape))
    return Volume(voxels.astype(np.float32), matrix, sequence=contrast, name=f"{contrast} phantom")


def head_mask(volume: Volume, motion: np.ndarray | None = None) -> np.ndarray:
    """The true body of :func:`head` on the grid of ``volume``."""
    to_head = volume.index_to_world
    to_head = to_head if motion is None else np.linalg.inv(motion) @ to_head
    return _inside(_positions(volume.shape, to_head), _PARTS[0])


def _positions(shape: tuple[int, int, int], matrix: np.ndarray) -> list[np.ndarray]:
    """x, y and z (mm) of every voxel."""
    slices, rows, columns = np.ogrid[: shape[0], : shape[1], : shape[2]]
    return [
        (row[0] * columns + row[1] * rows + row[2] * slices + row[3]).astype(np.float32)
        for row in matrix[:3]
    ]


def _inside(points: list[np.ndarray], part: tuple) -> np.ndarray:
    distance = np.zeros_like(points[0])
    for place, centre, radius in zip(points, part[0], part[1], strict=True):
        distance += ((place - np.float32(centre)) / np.float32(radius)) ** 2
    return distance <= 1


def rigid(
    rng: np.random.Generator,
    centre: np.ndarray | tuple[float, float, float],
    shift_mm: float,
    turn_deg: float,
) -> np.ndarray:
    """4x4: a turn about a random axis through ``centre``, then a shift in a random direction."""
    axis, way = (v / np.linalg.norm(v) for v in rng.normal(size=(2, 3)))
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_rotvec(axis * np.deg2rad(turn_deg)).as_matrix()
    matrix[:3, 3] = np.asarray(centre) - matrix[:3, :3] @ np.asarray(centre) + way * shift_mm
    return matrix
