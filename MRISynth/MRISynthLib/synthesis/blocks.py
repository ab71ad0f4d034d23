"""Parts of the synthesis networks."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional


class PixelNorm(nn.LayerNorm):
    """Layer normalisation over the channels of each pixel (as in ConvNeXt, CVPR 2022).

    Without normalisation the features grow until an activation is shut for good; over the
    image (group, instance) it would depend on how much air is around the head, which differs
    between a training slice and a whole one.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, channels, rows, columns), channels-last in memory, to the same."""
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class ModulatedBlock(nn.Module):
    """Residual block of two 3x3 convolutions, scaled and shifted by an embedding (FiLM; Perez et
    al., AAAI 2018)."""

    def __init__(self, channels: int, condition: int) -> None:
        super().__init__()
        self.enter = PixelNorm(channels)
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm = PixelNorm(channels)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        self.film = nn.Linear(condition, 2 * channels)
        nn.init.zeros_(self.film.weight)
        nn.init.zeros_(self.film.bias)
        nn.init.zeros_(self.second.bias)
        with torch.no_grad():
            self.second.weight.mul_(0.3)

    def forward(self, x: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        scale, shift = self.film(condition)[:, :, None, None].chunk(2, 1)
        hidden = self.norm(self.first(functional.silu(self.enter(x))))
        hidden = functional.silu(hidden * (1 + scale) + shift)
        return x + self.second(hidden)


class ModulatedConv(nn.Module):
    """Convolution, scale and shift by an embedding, non-linearity: for full resolution, where
    blocks are costly."""

    def __init__(self, channels_in: int, channels: int, condition: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels, 3, padding=1)
        self.film = nn.Linear(condition, 2 * channels)

    def forward(self, x: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        scale, shift = self.film(condition)[:, :, None, None].chunk(2, 1)
        return functional.silu(self.conv(x) * (1 + scale) + shift)
