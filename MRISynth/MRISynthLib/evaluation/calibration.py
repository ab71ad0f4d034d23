"""Does the expected error of a model mean something?

A network that gives each voxel the scale b of a Laplace distribution says that its absolute
error there is b on average, and below k * b with probability 1 - exp(-k).
"""

from __future__ import annotations

import math

import numpy as np

TIMES = (1, 2, 3)
"""Multiples of the expected error below which errors are counted."""

DECILES = 10

_MOST_VOXELS = 300_000

LAPLACE_SHARES = {str(k): 1 - math.exp(-k) for k in TIMES}
"""What the shares below k times the expected error should be."""


def calibration(
    error: np.ndarray,
    expected: np.ndarray,
    body: np.ndarray,
    regions: dict[str, np.ndarray],
) -> dict:
    """Expected against true absolute error of one image.

    Parameters
    ----------
    error, expected:
        Absolute error and what the model expected, in the same unit, (slices, rows, columns).
    body:
        Boolean: where they are compared.
    regions:
        Parts of the body whose mean is told apart.

    Returns
    -------
    ``ratio``: mean expected over mean true error, 1 where doubt is neither too large nor too
    small; ``correlation`` between both, voxel by voxel (left out where one is constant);
    ``below``: multiple -> share of voxels with a smaller error than that many times the expected
    one, to be held against :data:`LAPLACE_SHARES`; ``deciles``: decile of expected error ->
    mean expected and true error; ``regions``: of each region, and of the rest of the body.
    """
    inside = np.flatnonzero(body)
    inside = inside[:: max(1, len(inside) // _MOST_VOXELS)]
    true, said = (array.reshape(-1)[inside].astype(np.float64) for array in (error, expected))
    found = {
        "ratio": float(said.mean() / max(true.mean(), 1e-12)),
        "below": {str(k): float(np.mean(true < k * said)) for k in TIMES},
        "deciles": _deciles(true, said),
        "regions": _regions(error, expected, body, regions),
    }
    if true.std() > 0 and said.std() > 0:
        found["correlation"] = float(np.corrcoef(said, true)[0, 1])
    return found


def _deciles(true: np.ndarray, said: np.ndarray) -> dict[str, dict[str, float]]:
    parts = np.array_split(np.argsort(said, kind="stable"), DECILES)
    return {
        str(number): {"expected": float(said[part].mean()), "true": float(true[part].mean())}
        for number, part in enumerate(parts, start=1)
        if len(part)
    }


def _regions(error, expected, body, regions) -> dict[str, dict[str, float]]:
    inside = {name: mask & body for name, mask in regions.items()}
    rest = body.copy()
    for mask in inside.values():
        rest &= ~mask
    inside["rest of the body"] = rest
    return {
        name: {"expected": float(expected[mask].mean()), "true": float(error[mask].mean())}
        for name, mask in inside.items()
        if mask.any()
    }
