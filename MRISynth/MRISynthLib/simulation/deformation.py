"""Random shape: one head becomes thousands by smooth, invertible deformations.

A deformation is an affine part (size, shear, posture) after a diffeomorphism. The latter is
the exponential of a stationary velocity field, found by scaling and squaring (Arsigny et al.,
MICCAI 2006), so that it folds nowhere however large it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from .anatomy import _cubic_along

VELOCITY_SCALES = ((70.0, 2.6), (36.0, 1.5), (18.0, 0.6))
"""(mm, mm): size of the features of the velocity field and its standard deviation."""

LARGEST_MM = 10.0
"""No voxel is displaced by more than about this by the diffeomorphic part."""

GRID_MM = 5.0
"""Spacing of the grid on which the velocity field is integrated."""

SQUARINGS = 5


@dataclass(frozen=True)
class Variation:
    """How much heads differ: standard deviations, each draw held within 2.2 of them.

    size: relative, common to all axes; proportion: relative, of each axis; shear: mm per mm;
    pitch, yaw, roll: degrees; shift_mm: of the head in the field of view; warp: factor of the
    diffeomorphic part (1 = :data:`VELOCITY_SCALES`, 0 = none).
    """

    size: float = 0.035
    proportion: float = 0.025
    shear: float = 0.02
    pitch_deg: float = 6.5
    yaw_deg: float = 2.0
    roll_deg: float = 2.0
    shift_mm: float = 2.0
    warp: float = 1.0


ORDINARY = Variation()


def _draw(rng: np.random.Generator, spread: float, size: int | None = None):
    return spread * np.clip(rng.standard_normal(size), -2.2, 2.2)


def random_affine(rng: np.random.Generator, variation: Variation = ORDINARY) -> np.ndarray:
    """4x4 from image world (LPS mm) to head coordinates (LPS mm), about the origin."""
    angles = np.deg2rad(
        [
            _draw(rng, spread)
            for spread in (variation.pitch_deg, variation.roll_deg, variation.yaw_deg)
        ]
    )
    rotation = np.eye(3)
    for axis, angle in enumerate(angles):
        turn = np.eye(3)
        first, second = (axis + 1) % 3, (axis + 2) % 3
        turn[first, first] = turn[second, second] = np.cos(angle)
        turn[first, second], turn[second, first] = -np.sin(angle), np.sin(angle)
        rotation = turn @ rotation
    scale = np.exp(_draw(rng, variation.size) + _draw(rng, variation.proportion, 3))
    shear = np.eye(3)
    shear[np.triu_indices(3, 1)] = _draw(rng, variation.shear, 3)
    affine = np.eye(4)
    affine[:3, :3] = np.diag(1 / scale) @ shear @ rotation
    affine[:3, 3] = _draw(rng, variation.shift_mm, 3)
    return affine


def exponential(velocity: np.ndarray, spacing_mm: float, squarings: int = SQUARINGS) -> np.ndarray:
    """Displacement of exp(velocity), by scaling and squaring.

    Parameters
    ----------
    velocity:
        float32 (3, planes, rows, columns), mm; component x moves along columns, y along rows,
        z along planes.
    spacing_mm:
        Of the grid, equal along all axes.

    Returns
    -------
    float32 of the same shape, mm. Beyond the border the field goes on unchanged.
    """
    displacement = (velocity / (2**squarings * spacing_mm)).astype(np.float32)
    shape = velocity.shape[1:]
    grid = np.stack(np.meshgrid(*(np.arange(n, dtype=np.float32) for n in shape), indexing="ij"))
    for _ in range(squarings):
        moved = grid + displacement[::-1]
        displacement = displacement + np.stack(
            [ndimage.map_coordinates(part, moved, order=1, mode="nearest") for part in displacement]
        )
    return displacement * np.float32(spacing_mm)


def random_displacement(
    shape: tuple[int, int, int],
    spacing_mm: tuple[float, float, float],
    rng: np.random.Generator,
    warp: float = 1.0,
) -> np.ndarray:
    """A diffeomorphic displacement on an image grid: float32 (3, slices, rows, columns), mm.

    ``shape`` and ``spacing_mm`` run (slice, row, column). Components are along columns, rows
    and slices. Deterministic for the state of ``rng``.
    """
    steps = [GRID_MM / step for step in spacing_mm]
    coarse = tuple(int(np.ceil(n / step)) + 4 for n, step in zip(shape, steps, strict=True))
    velocity = np.zeros((3, *coarse), np.float32)
    for scale, spread in VELOCITY_SCALES:
        for part in velocity:
            part += np.float32(warp * spread) * _noise(coarse, scale / GRID_MM, rng)
    largest = float(np.sqrt((velocity**2).sum(0)).max())
    if largest > LARGEST_MM:
        velocity *= LARGEST_MM / largest
    displacement = exponential(velocity, GRID_MM)
    result = np.empty((3, *shape), np.float32)
    for part, fine in zip(displacement, result, strict=True):
        for axis in np.argsort([n / c for n, c in zip(shape, coarse, strict=True)]):
            positions = 1.5 + np.arange(shape[axis]) / steps[axis]
            part = _cubic_along(part, positions, int(axis))
        fine[...] = part
    return result


def _noise(shape: tuple[int, int, int], step: float, rng: np.random.Generator) -> np.ndarray:
    """Smooth noise of unit variance on average, not forced to it: small grids differ."""
    coarse = [int(np.ceil(n / step)) + 4 for n in shape]
    noise = rng.standard_normal(coarse).astype(np.float32)
    for axis, n in enumerate(shape):
        noise = _cubic_along(noise, 1.5 + np.arange(n) / step, axis)
    # a cubic B-spline keeps this share of the variance of white noise, once per axis
    return noise / np.float32((151 / 315) ** 1.5)


def random_head_coordinates(
    index_to_world: np.ndarray,
    shape: tuple[int, int, int],
    rng: np.random.Generator,
    variation: Variation = ORDINARY,
) -> np.ndarray:
    """Head coordinates of every voxel of an image of a randomly shaped head.

    Parameters
    ----------
    index_to_world:
        4x4, (column, row, slice, 1) to world, LPS mm; the head's sella lies near the origin.
    shape:
        (slices, rows, columns).

    Returns
    -------
    float32 (3, slices, rows, columns): x, y, z in head coordinates, LPS mm. The map from
    image to head is invertible: its Jacobian is positive everywhere.
    """
    matrix = np.asarray(index_to_world, float)
    spacing = np.linalg.norm(matrix[:3, :3], axis=0)
    affine = random_affine(rng, variation)
    displacement = random_displacement(shape, tuple(spacing[::-1]), rng, variation.warp)
    directions = matrix[:3, :3] / spacing
    linear = (affine[:3, :3] @ directions).astype(np.float32)
    to_head = affine @ matrix
    k, j, i = (np.arange(n, dtype=np.float32) for n in shape)
    coordinates = np.empty((3, *shape), np.float32)
    for axis in range(3):
        row = to_head[axis].astype(np.float32)
        coordinates[axis] = (row[2] * k + row[3])[:, None, None]
        coordinates[axis] += (row[1] * j)[:, None] + row[0] * i
        for component in range(3):
            coordinates[axis] += linear[axis, component] * displacement[component]
    return coordinates
