"""Weights in eight bits: half the size of half precision on disk, the same network when loaded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

SCALE = ".int8_scale"
"""A tensor ``name`` in eight bits has its scales beside it, under ``name`` and this."""

LEAST_NUMBERS = 4096
"""Smaller tensors stay as they are: they are no size, and norms and offsets need their digits."""

_LARGEST = 127
_LEAST_SCALE = 1e-12  # of a channel that is all zeros


def in_eight_bits(weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Every large matrix and kernel as int8 with one float32 scale for each place of its first
    axis, which is an output channel of a convolution or of a linear layer; the rest as it is.

    Symmetric per-channel quantisation of weights only (R. Krishnamoorthi, Quantizing deep
    convolutional networks for efficient inference, arXiv 1806.08342, 2018): what is computed with
    is the floating-point network of :func:`restored`.
    """
    import torch

    stored: dict[str, torch.Tensor] = {}
    for name, tensor in weights.items():
        if not tensor.is_floating_point() or tensor.ndim < 2 or tensor.numel() < LEAST_NUMBERS:
            stored[name] = tensor
            continue
        rows = tensor.float().flatten(1)
        scale = (rows.abs().amax(1) / _LARGEST).clamp_min(_LEAST_SCALE)
        numbers = (rows / scale[:, None]).round().to(torch.int8)
        stored[name] = numbers.reshape(tensor.shape).contiguous()
        stored[name + SCALE] = scale
    return stored


def restored(stored: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """What :func:`in_eight_bits` stored as float32 tensors, the rest as it is.

    Raises
    ------
    KeyError
        If there are scales without their numbers.
    """
    weights = {name: tensor for name, tensor in stored.items() if not name.endswith(SCALE)}
    for name in stored.keys() - weights.keys():
        numbers = weights[name.removesuffix(SCALE)]
        scale = stored[name].reshape(-1, *[1] * (numbers.ndim - 1))
        weights[name.removesuffix(SCALE)] = numbers.float() * scale
    return weights
