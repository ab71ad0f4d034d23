"""Smooth random fields and line filters as matrix products (PyTorch, any device).

Everything that is smooth in an image (texture, coil sensitivity, field inhomogeneity) and
everything that the scanner does to lines of k-space (truncation, filters, sub-pixel shifts) is
separable, so that it costs one product with a small matrix an axis and no Fourier transform.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch

_SPLINE_VARIANCE = 151 / 315
"""Mean of the sum of squared cubic B-spline weights: the variance of smoothed white noise."""


def spline_matrix(
    positions: np.ndarray, step: float, device: torch.device | str = "cpu"
) -> torch.Tensor:
    """Weights (len(positions), nodes) of cubic B-splines ``step`` apart at ``positions``.

    The first node lies one step before the lowest position.
    """
    u = (np.asarray(positions, float) - np.min(positions)) / step
    nodes = int(np.floor(u.max())) + 4
    distance = np.abs(u[:, None] - (np.arange(nodes)[None, :] - 1))
    near = 2 / 3 - distance**2 + distance**3 / 2
    far = np.clip(2 - distance, 0, None) ** 3 / 6
    return torch.as_tensor(np.where(distance < 1, near, far), dtype=torch.float32, device=device)


@lru_cache(maxsize=128)
def _spline_of_line(size: int, step: float, device: torch.device | str) -> torch.Tensor:
    """:func:`spline_matrix` of a whole line of pixels; the same few are needed all the time."""
    return spline_matrix(np.arange(size), step, device)


def random_field(
    size: tuple[int, int, int],
    scale: float,
    rng: torch.Generator,
    device: torch.device | str = "cpu",
    levels: np.ndarray | None = None,
) -> torch.Tensor:
    """Zero-mean random field (batch, rows, columns) of about unit variance.

    Parameters
    ----------
    size:
        (batch, rows, columns).
    scale:
        Distance over which it changes, in pixels.
    levels:
        Positions of a stack's slices, in pixels: the field then varies from slice to slice as it
        does in the plane. The batch is one such stack, or several unrelated ones after each
        other. None: slices are unrelated.
    """
    batch, rows, columns = size
    across = _spline_of_line(rows, scale, device)
    along = _spline_of_line(columns, scale, device)
    deviation = _SPLINE_VARIANCE
    if levels is None:
        shape = (batch, across.shape[1], along.shape[1])
        nodes = torch.randn(shape, generator=rng, device=device)
    else:
        through = spline_matrix(levels, scale, device)
        shape = (batch // len(levels), through.shape[1], across.shape[1], along.shape[1])
        nodes = torch.randn(shape, generator=rng, device=device)
        nodes = torch.einsum("bn,snrc->sbrc", through, nodes).flatten(0, 1)
        deviation *= math.sqrt(_SPLINE_VARIANCE)
    return across @ nodes @ along.T / deviation


@lru_cache(maxsize=128)
def gaussian_matrix(size: int, sigma: float, device: torch.device | str = "cpu") -> torch.Tensor:
    """Blurs a line of ``size`` samples by ``sigma`` samples, (size, size); edges replicated."""
    sigma = max(sigma, 1e-3)
    reach = max(1, math.ceil(3 * sigma))
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    return _as_matrix(weights / weights.sum(), size, device)


def line_filter(
    size: int,
    *,
    blur: float = 0.0,
    cutoff: float = 1.0,
    apodisation: float = 0.0,
    shift: float = 0.0,
    device: torch.device | str = "cpu",
) -> torch.Tensor:
    """What acquisition in k-space does to a line of ``size`` pixels, as (size, size).

    Parameters
    ----------
    blur:
        Standard deviation of a Gaussian point-spread function, pixels.
    cutoff:
        Share of k-space that is acquired: 1 up to the Nyquist frequency of the pixels. Below
        1 the rest is filled with zeros, which interpolates and rings (Gibbs).
    apodisation:
        Strength 0-1 of a raised-cosine filter over the acquired part: less ringing, more blur.
    shift:
        Displacement of the image, pixels, towards higher indices.

    Beyond the ends the line goes on with its last values.
    """
    length = 4 * size
    frequency = np.fft.rfftfreq(length)
    edge = 0.5 * min(cutoff, 1.0)
    spectrum = np.ones_like(frequency)
    if cutoff < 1:  # the last acquired line counts by the part of its bin that lies inside
        spectrum = np.clip((edge - frequency) * length + 0.5, 0, 1)
    if apodisation > 0:
        roll_off = 0.5 + 0.5 * np.cos(np.pi * np.clip(frequency / edge, 0, 1))
        spectrum = spectrum * (1 - apodisation + apodisation * roll_off)
    spectrum = spectrum * np.exp(-2 * (np.pi * blur * frequency) ** 2)
    spread = np.fft.irfft(spectrum * np.exp(-2j * np.pi * frequency * shift), length)
    reach = size + size // 2
    taps = np.roll(spread, reach)[: 2 * reach + 1]
    return _as_matrix(taps / taps.sum(), size, device)


def _as_matrix(taps: np.ndarray, size: int, device: torch.device | str) -> torch.Tensor:
    """Convolution by an odd number of taps; row i holds the weights of the input samples in
    output sample i, and those of samples beyond an end are folded onto the last one."""
    reach = len(taps) // 2
    padded = np.zeros(len(taps) + 2 * size)
    padded[size : size + len(taps)] = taps
    rows = np.arange(size)
    matrix = padded[rows[:, None] - rows[None, :] + reach + size]
    below = np.concatenate(([0.0], np.cumsum(taps)))
    above = below[-1] - below
    matrix[:, 0] += above[np.clip(rows + reach + 1, 0, len(taps))]
    matrix[:, -1] += below[np.clip(rows - size + 1 + reach, 0, len(taps))]
    return torch.as_tensor(matrix, dtype=torch.float32, device=device)
