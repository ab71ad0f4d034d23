"""Losses that make an encoder see the same place in different sequences alike.

InfoNCE between sequences of a place against other places and patients (van den Oord et al.,
arXiv 1807.03748), and dense alignment at several scales, as in the any-to-all synthesis of arXiv
2602.08822.
"""

from __future__ import annotations

import torch
from torch.nn import functional

TEMPERATURE = 0.07
CELLS = 4
"""Places along each side of a slice."""

LEAST_BODY = 0.3
"""Share of a place that must be body: air looks the same everywhere."""


def place_contrast(coarse: torch.Tensor, inputs: int, body: torch.Tensor) -> torch.Tensor:
    """InfoNCE over places of the slices in a batch; 0 with a single input.

    Parameters
    ----------
    coarse:
        (batch * inputs, channels, rows, columns), the encoder's coarsest features.
    body:
        Boolean (batch, rows, columns) at any resolution.
    """
    if inputs < 2:
        return coarse.sum() * 0.0
    pooled = functional.adaptive_avg_pool2d(coarse.float(), CELLS).unflatten(0, (-1, inputs))
    places = functional.normalize(pooled, dim=2).movedim(2, -1)  # batch, inputs, cells, cells, n
    share = functional.adaptive_avg_pool2d(body[:, None].float(), CELLS)[:, 0]
    kept = share > LEAST_BODY
    if int(kept.sum()) < 2:
        return coarse.sum() * 0.0
    first = places[:, 0][kept]
    target = torch.arange(len(first), device=first.device)
    total = coarse.new_zeros((), dtype=torch.float32)
    for other in range(1, inputs):
        logits = first @ places[:, other][kept].T / TEMPERATURE
        total = total + functional.cross_entropy(logits, target)
        total = total + functional.cross_entropy(logits.T, target)
    return total / (2 * (inputs - 1))


def dense_alignment(features: list[torch.Tensor], inputs: int, body: torch.Tensor) -> torch.Tensor:
    """Mean L1 distance between the features of the first input and the others, inside the body;
    0 with a single input.

    features: tensors (batch * inputs, channels, rows, columns), one a scale; compared as unit
    vectors.
    """
    if inputs < 2:
        return features[0].sum() * 0.0
    total = features[0].new_zeros((), dtype=torch.float32)
    for level in features:
        unit = functional.normalize(level.float(), dim=1).unflatten(0, (-1, inputs))
        share = functional.adaptive_avg_pool2d(body[:, None].float(), level.shape[-2:])
        distance = (unit[:, 1:] - unit[:, :1]).abs().sum(2)
        total = total + (distance * share).sum() / (share.sum() * (inputs - 1)).clamp_min(1.0)
    return total / len(features)
