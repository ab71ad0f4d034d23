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

    def forward(
        self,
        x: torch.Tensor,
        scale: torch.Tensor | None = None,
        shift: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """(batch, channels, rows, columns), channels-last in memory, to the same.

        scale, shift: (batch or 1, channels), of a modulation of the result; if all of the batch
        share it, it costs nothing.
        """
        x = x.permute(0, 2, 3, 1)
        if scale is None:
            x = functional.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)
        elif len(scale) == 1:
            x = self._folded(x, scale[0], shift[0])
        elif _apart(x):
            x = torch.cat([self._folded(x[n : n + 1], scale[n], shift[n]) for n in range(len(x))])
        else:
            x = functional.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)
            return modulated(x.permute(0, 3, 1, 2), scale, shift)
        return x.permute(0, 3, 1, 2)

    def _folded(self, x: torch.Tensor, scale: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
        """Scale and shift, (channels,), as part of the normalisation."""
        weight, bias = self.weight * (1 + scale), torch.addcmul(shift, self.bias, 1 + scale)
        return functional.layer_norm(x, self.normalized_shape, weight, bias, self.eps)


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
        scale, shift = self.film(condition).chunk(2, 1)
        hidden = self.first(silu(self.enter(x)))
        hidden = self.second(silu(self.norm(hidden, scale, shift)))
        return x + hidden if torch.is_grad_enabled() else hidden.add_(x)


class ModulatedConv(nn.Module):
    """Convolution, scale and shift by an embedding, non-linearity: for full resolution, where
    blocks are costly."""

    def __init__(self, channels_in: int, channels: int, condition: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels, 3, padding=1)
        self.conv.weights_change = True  # for ``convert_weights``
        self.film = nn.Linear(condition, 2 * channels)

    def forward(self, x: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        scale, shift = self.film(condition).chunk(2, 1)
        if len(scale) == 1:
            return self._folded(x, scale[0], shift[0])
        if not _apart(x):
            return silu(modulated(self.conv(x), scale, shift))
        made = [self._folded(x[n : n + 1], scale[n], shift[n]) for n in range(len(x))]
        return torch.cat(made).contiguous(memory_format=torch.channels_last)

    def _folded(self, x: torch.Tensor, scale: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
        """Scale and shift, (channels,), as part of the convolution."""
        weight = self.conv.weight * (1 + scale)[:, None, None, None]
        bias = torch.addcmul(shift, self.conv.bias, 1 + scale)
        return silu(functional.conv2d(x, weight, bias, padding=self.conv.padding))


def _apart(x: torch.Tensor) -> bool:
    """Whether images are best taken one by one: on a CPU it costs less than to scale and shift."""
    return x.device.type == "cpu" and not torch.is_grad_enabled()


def modulated(x: torch.Tensor, scale: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
    """``x (1 + scale) + shift`` for x (batch, channels, rows, columns) and (batch, channels)."""
    return x * (1 + scale)[:, :, None, None] + shift[:, :, None, None]


def silu(x: torch.Tensor) -> torch.Tensor:
    """SiLU of a tensor that nothing else uses, in its place where nothing is to be learned."""
    return functional.silu(x, inplace=not torch.is_grad_enabled())
