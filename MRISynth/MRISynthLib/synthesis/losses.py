"""Losses of synthesis, weighted so that a small tumour is not averaged away."""

from __future__ import annotations

import torch
from torch.nn import functional

from ..simulation.separable import gaussian_matrix

SSIM_SIGMA = 1.5
_C1, _C2 = 0.01**2, 0.03**2


def weighted_mean(values: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Mean of ``values`` under ``weights`` (same shape)."""
    return (values * weights).sum() / weights.sum().clamp_min(1e-6)


def gradient_difference(
    prediction: torch.Tensor, truth: torch.Tensor, weights: torch.Tensor
) -> torch.Tensor:
    """Mean absolute difference of the images' finite differences (batch, rows, columns)."""
    total = prediction.new_zeros(())
    for axis in (1, 2):
        difference = prediction.diff(dim=axis) - truth.diff(dim=axis)
        kept = weights.narrow(axis, 1, weights.shape[axis] - 1)
        total = total + weighted_mean(difference.abs(), kept)
    return total


def dissimilarity(
    prediction: torch.Tensor, truth: torch.Tensor, weights: torch.Tensor
) -> torch.Tensor:
    """Weighted mean of 1 - SSIM (Wang et al., IEEE TIP 2004) of images (batch, rows, columns)
    with a data range of 1, Gaussian window of standard deviation 1.5.

    The window is separable, so that two products with small matrices take the place of a
    convolution, which one channel makes slow.
    """
    # differences of squares: too fine for half precision
    with torch.autocast(prediction.device.type, enabled=False):
        a, b = prediction.float(), truth.float()
        rows = gaussian_matrix(a.shape[1], SSIM_SIGMA, a.device)
        columns = gaussian_matrix(a.shape[2], SSIM_SIGMA, a.device).T
        blurred = rows @ torch.stack((a, b, a * a, b * b, a * b)) @ columns
        mean_a, mean_b, square_a, square_b, product = blurred
        both = mean_a * mean_b
        squares = mean_a**2 + mean_b**2
        similarity = (2 * both + _C1) * (2 * (product - both) + _C2)
        similarity = similarity / ((squares + _C1) * (square_a + square_b - squares + _C2))
    return weighted_mean(1 - similarity, weights)


def laplace_nll(
    prediction: torch.Tensor, log_scale: torch.Tensor, truth: torch.Tensor, weights: torch.Tensor
) -> torch.Tensor:
    """Negative log-likelihood of the error under the predicted scale (Kendall and Gal, 2017).

    The prediction is detached: doubt must not buy itself a blurred image.
    """
    error = (prediction.detach() - truth).abs()
    return weighted_mean(error * torch.exp(-log_scale) + log_scale, weights)


def tissue_entropy(logits: torch.Tensor, tissue: torch.Tensor, rare: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of the tissue at half resolution.

    logits: (batch, tissues, rows / 2, columns / 2); tissue: (batch, rows, columns) long, -1
    where unknown; rare: (tissues,) weight of each.
    """
    half = tissue[:, ::2, ::2]
    if not bool((half >= 0).any()):
        return logits.sum() * 0.0
    return functional.cross_entropy(logits.float(), half, weight=rare, ignore_index=-1)
