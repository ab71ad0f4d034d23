"""Intensities on one scale: MR units mean nothing, Hounsfield units mean themselves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .background import body_mask

METHODS = ("robust", "zscore", "minmax", "hounsfield")

HU_RANGE = (-1000.0, 1500.0)
"""CT is mapped from this range to [0, 1]: air 0, water 0.4, dense bone 1. It is fixed, so that
the same tissue has the same value in every patient, which is what CT is good for."""

UPPER_LIMIT = 2.0
"""Values above 1 (fat beside a surface coil, vessels) stay distinguishable up to here."""

_SAMPLES = 200_000


@dataclass(frozen=True)
class Normalisation:
    """``normalised = (value - offset) / scale``, and the way back.

    Attributes
    ----------
    method:
        One of :data:`METHODS`; ``robust`` is then cut to [0, 2] and ``hounsfield`` to [0, 2].
    offset, scale:
        In the image's own units; scale is above 0.
    """

    method: str
    offset: float
    scale: float

    def apply(self, array: np.ndarray) -> np.ndarray:
        """The normalised float32 array."""
        scaled = np.subtract(array, np.float32(self.offset), dtype=np.float32)
        scaled *= np.float32(1.0 / self.scale)
        if self.method in ("robust", "hounsfield"):
            np.clip(scaled, 0.0, UPPER_LIMIT, out=scaled)
        return scaled

    def invert(self, array: np.ndarray) -> np.ndarray:
        """Back to the image's own units (what :meth:`apply` cut off stays cut off)."""
        return np.multiply(array, np.float32(self.scale), dtype=np.float32) + np.float32(
            self.offset
        )


def normalise(
    voxels: np.ndarray,
    mask: np.ndarray | None = None,
    method: str = "robust",
    sequence: str | None = None,
) -> tuple[np.ndarray, Normalisation]:
    """Bring one image to the scale that the networks work on.

    Parameters
    ----------
    voxels:
        (slices, rows, columns) or (rows, columns).
    mask:
        The body, same shape; found by :func:`body_mask` if it is None.
    method:
        ``robust`` (the networks' own): the background level to 0 and the 99.5th percentile
        inside the body to 1, cut at 0 and 2. The background of a magnitude image is 0 itself;
        only an image that lies elsewhere (z-scored, with an added constant) has its 0.5th
        percentile taken. ``zscore``: mean and standard deviation inside the body.
        ``minmax``: smallest and largest value.
    sequence:
        Canonical name. ``"CT"`` in Hounsfield units is mapped by ``robust`` from
        :data:`HU_RANGE` to [0, 1]; the returned method is then ``hounsfield``. A CT without
        values near that of air in HU (rescaled to 8 bit, say) is treated as MR is.

    Returns
    -------
    The float32 array of the same shape, and the :class:`Normalisation` that made it.

    Raises
    ------
    ValueError
        If the method is not known.
    """
    found = find_normalisation(voxels, mask, method, sequence)
    return found.apply(voxels), found


def find_normalisation(
    voxels: np.ndarray,
    mask: np.ndarray | None = None,
    method: str = "robust",
    sequence: str | None = None,
) -> Normalisation:
    """The :class:`Normalisation` of :func:`normalise` without applying it."""
    if method not in METHODS:
        raise ValueError(f"unknown normalisation {method!r}; one of {', '.join(METHODS)}")
    voxels = np.asarray(voxels)
    if method == "minmax":
        low, high = float(voxels.min()), float(voxels.max())
        return Normalisation("minmax", low, _positive(high - low))
    if method == "hounsfield" or (
        sequence == "CT" and method == "robust" and in_hounsfield(voxels)
    ):
        return Normalisation("hounsfield", HU_RANGE[0], HU_RANGE[1] - HU_RANGE[0])

    inside = _sample(voxels, body_mask(voxels) if mask is None else mask)
    if method == "zscore":
        return Normalisation("zscore", float(inside.mean()), _positive(float(inside.std())))
    low = float(np.percentile(_sample(voxels, None), 0.5))
    high = float(np.percentile(inside, 99.5))
    offset = 0.0 if -0.02 * high <= low <= 0.1 * high else low
    return Normalisation("robust", offset, _positive(high - offset))


def in_hounsfield(voxels: np.ndarray) -> bool:
    """Whether the values look like Hounsfield units: air far below 0, something above water."""
    low, high = np.percentile(_sample(np.asarray(voxels), None), (0.5, 99.5))
    return bool(low < -300 and high > -100)


def _sample(voxels: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    """At most about 200,000 values, evenly spread; all of them if the mask is empty."""
    values = voxels.ravel() if mask is None else voxels[mask]
    if values.size == 0:
        values = voxels.ravel()
    return values[:: max(1, values.size // _SAMPLES)].astype(np.float64)


def _positive(scale: float) -> float:
    return scale if scale > 0 and np.isfinite(scale) else 1.0
