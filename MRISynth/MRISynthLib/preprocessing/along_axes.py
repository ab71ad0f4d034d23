"""Resampling where axes only get other steps: one matrix product for each of them.

Interpolation by B-splines is separable (Unser, Aldroubi & Eden 1993). Where each axis of the
output runs along one of the input, as between an examination's grid and the networks', this
makes what :mod:`.resampling` otherwise asks ITK for, more than ten times as quickly.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy import ndimage

_SKEW = 1e-3
"""Voxels by which an axis may stray from that of the input, over its whole length."""

_NOTHING = 1e-9
"""A weight below it changes no float32."""


def resample_along_axes(
    voxels: np.ndarray,
    output_to_input: np.ndarray,
    shape: tuple[int, int, int],
    *,
    order: int,
    cval: float | None,
) -> np.ndarray | None:
    """As :func:`.resampling.resample` for order 1 or 3, without smoothing; overshoot is not cut.

    Returns None where the axes are turned, or a voxel is not finite: it would spoil whole lines.
    """
    matrix = np.asarray(output_to_input, float)
    source = _source_axes(matrix, shape)
    if source is None or not np.isfinite(voxels.sum(dtype=np.float64)):
        return None
    # (slices, rows, columns) of the output are the axes 2, 1, 0 of the matrix
    result = voxels.transpose([2 - source[axis] for axis in (2, 1, 0)]).astype(np.float32)
    outside = []
    for place, axis in enumerate((2, 1, 0)):
        count = result.shape[place]
        position = matrix[source[axis], axis] * np.arange(shape[place]) + matrix[source[axis], 3]
        outside.append((position < -0.5 - 1e-3) | (position > count - 0.5 + 1e-3))
        if order == 1 or cval is None:
            position = np.clip(position, 0, count - 1)
        result = _along(result, place, _weights(position, count, order))
    if cval is not None:
        result[outside[0]] = cval
        result[:, outside[1]] = cval
        result[:, :, outside[2]] = cval
    return result


def _source_axes(matrix: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray | None:
    """Input axis that each output axis (column, row, slice) runs along; None if they are turned."""
    turn = matrix[:3, :3]
    source = np.abs(turn).argmax(axis=0)
    if len(set(source)) < 3:
        return None
    rest = np.abs(turn)
    rest[source, np.arange(3)] = 0
    length = np.maximum(np.array(shape[::-1]) - 1, 0)
    return source if (rest @ length).max() <= _SKEW else None


def _weights(position: np.ndarray, count: int, order: int) -> np.ndarray | None:
    """(positions, count): what each of an axis' voxels gives at each position; None for 1 to 1."""
    if len(position) == count and np.allclose(position, np.arange(count), atol=1e-6):
        return None
    if order == 1 or count == 1:
        below = np.clip(np.floor(position).astype(int), 0, max(count - 2, 0))
        part = position - below
        weights = np.zeros((len(position), count))
        every = np.arange(len(position))
        weights[every, below] = 1 - part
        weights[every, np.minimum(below + 1, count - 1)] += part
        return weights.astype(np.float32)
    return _spline_weights(position.tobytes(), count)


@lru_cache(maxsize=16)  # of every slice of an examination they are the same
def _spline_weights(position: bytes, count: int) -> np.ndarray:
    # the response to one bright voxel after the other
    splines = ndimage.spline_filter1d(np.eye(count), 3, axis=0, mode="mirror")
    weights = _evaluated(splines, np.frombuffer(position))
    weights[np.abs(weights) < _NOTHING] = 0  # processors are slow with the smallest of numbers
    weights = weights.astype(np.float32)
    weights.flags.writeable = False  # it is shared
    return weights


def _evaluated(coefficients: np.ndarray, position: np.ndarray) -> np.ndarray:
    """Cubic B-splines (each column of coefficients) at positions, mirrored beyond the ends."""
    count = len(coefficients)
    base = np.floor(position).astype(int)
    t = (position - base)[:, None]
    basis = (
        (1 - t) ** 3 / 6,
        (3 * t**3 - 6 * t**2 + 4) / 6,
        (-3 * t**3 + 3 * t**2 + 3 * t + 1) / 6,
        t**3 / 6,
    )
    return sum(
        share * coefficients[_mirrored(base + step, count)]
        for step, share in zip((-1, 0, 1, 2), basis, strict=True)
    )


def _mirrored(index: np.ndarray, count: int) -> np.ndarray:
    period = 2 * (count - 1)
    index = np.abs(index) % period
    return np.where(index < count, index, period - index)


def _along(array: np.ndarray, axis: int, weights: np.ndarray | None) -> np.ndarray:
    if weights is None:
        return array
    if axis == 0:
        return np.tensordot(weights, array, 1)
    return weights @ array if axis == 1 else array @ weights.T
