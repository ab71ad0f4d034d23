"""Smooth fields on voxel grids: enlarged coarse grids, folds, unions of shapes."""

from __future__ import annotations

import numpy as np


def upsample(coarse: np.ndarray, step: int, shape: tuple[int, int, int]) -> np.ndarray:
    """Linear interpolation of a field known at every ``step``-th voxel.

    float32 of ``shape``; beyond the last known voxel the field goes on along its slope.
    """
    result = coarse
    for axis, n in enumerate(shape):
        size = result.shape[axis]
        position = np.arange(n) / step
        base = np.clip(position.astype(int), 0, max(size - 2, 0))
        matrix = np.zeros((n, size), np.float32)
        matrix[np.arange(n), base] = 1 - (position - base)
        if size > 1:
            matrix[np.arange(n), base + 1] = position - base
        moved = np.moveaxis(result, axis, 0)
        grown = (matrix @ moved.reshape(size, -1)).reshape(n, *moved.shape[1:])
        result = np.moveaxis(grown, 0, axis)
    return np.ascontiguousarray(result, np.float32)


def ellipsoid(points: np.ndarray, centre, radii) -> np.ndarray:
    """Signed distance (mm, first order) of points (3, ...) to an ellipsoid."""
    scaled = [(points[a] - float(centre[a])) * float(1 / radii[a]) for a in range(3)]
    q = np.sqrt(sum(s * s for s in scaled))
    slope = np.sqrt(sum((s * float(1 / r)) ** 2 for s, r in zip(scaled, radii, strict=True)))
    return q * (q - 1) / np.maximum(slope, 1e-4)


def union(first: np.ndarray, second: np.ndarray, blend: float) -> np.ndarray:
    """Smooth minimum of two distances over ``blend`` millimetres."""
    h = np.clip(0.5 + 0.5 * (second - first) / blend, 0, 1)
    return second * (1 - h) + first * h - blend * h * (1 - h)


def cut(first: np.ndarray, second: np.ndarray, blend: float) -> np.ndarray:
    """Smooth maximum: what lies inside both distances."""
    return -union(-first, -second, blend)


def folds(
    points: np.ndarray, centre, radii, wavelength_mm: float, rng: np.random.Generator
) -> np.ndarray:
    """A band-limited random field that changes little along rays from ``centre``.

    Its zero set on an ellipsoid is a maze of lines about half a wavelength apart, as sulci
    are; carried inwards along the rays it gives sheets perpendicular to the surface. Sum of
    plane waves in random directions (Rice's model of Gaussian noise).

    Parameters
    ----------
    points:
        float32 (3, ...), mm.
    """
    scaled = [(points[a] - float(centre[a])) * float(1 / radii[a]) for a in range(3)]
    inverse = 1 / np.maximum(np.sqrt(sum(s * s for s in scaled)), 0.05)
    # not quite along the rays: sulci lean and bend on their way in
    surface = [float(r) * s * (0.65 * inverse + 0.35) for s, r in zip(scaled, radii, strict=True)]
    waves = 18
    directions = rng.standard_normal((waves, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    numbers = 2 * np.pi / wavelength_mm * rng.normal(1.0, 0.12, (waves, 1)).clip(0.7, 1.3)
    result = np.zeros(points.shape[1:], np.float32)
    for (kx, ky, kz), phase in zip(directions * numbers, rng.uniform(0, 7, waves), strict=True):
        result += np.cos(
            surface[0] * float(kx) + surface[1] * float(ky) + surface[2] * float(kz) + float(phase)
        )
    return result


def distance_to_zero(field: np.ndarray, spacing_mm: float) -> np.ndarray:
    """Signed distance (mm, first order) of each voxel from the zero set of a field, float32."""
    gradient = np.gradient(field, spacing_mm)
    slope = np.sqrt(sum(g * g for g in gradient))
    return field / np.maximum(slope, 0.4 * float(slope.mean()))
