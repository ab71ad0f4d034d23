"""Losses of synthesis, weighted so that a small tumour is not averaged away."""

from __future__ import annotations

import torch
from torch.nn import functional


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

    logits: (batch, tissues, rows / 2, columns / 2); tissue: (batch, rows, columns) long;
    rare: (tissues,) weight of each.
    """
    return functional.cross_entropy(logits.float(), tissue[:, ::2, ::2], weight=rare)
