"""What all synthesis networks of the product share: an encoder of any inputs and a trunk.

The form follows the any-to-all idea of arXiv 2602.08822 (a shared, modality-invariant encoder
and a text-informed decoder) in a size that a laptop's CPU carries: two-dimensional with a view of
the neighbouring slices, modulated by FiLM, inputs fused by mean and maximum so that any subset
works in any order. For the coarse features pixels are gathered two by two at the entrance, which
loses nothing and spares the costly convolutions at full resolution; edges go past them in a few
channels of their own.
"""

from __future__ import annotations

import functools
import itertools

import torch
from torch import nn
from torch.nn import functional

from .blocks import ModulatedBlock, ModulatedConv, PixelNorm, silu

CONTEXT = 1
"""Neighbouring slices on each side."""

FINE = 16
"""Channels at full resolution."""


class Encoder(nn.Module):
    """One image, described by an embedding, to features at several scales.

    Parameters
    ----------
    widths:
        Channels at 1/2, 1/4, 1/8 ... of the resolution.
    condition:
        Size of the embedding.
    """

    def __init__(self, widths: tuple[int, ...], condition: int) -> None:
        super().__init__()
        self.fine = ModulatedConv(1, FINE, condition)
        self.widths = widths
        self.stem = nn.Conv2d(4 * (1 + 2 * CONTEXT), widths[0], 3, padding=1)
        self.blocks = nn.ModuleList(ModulatedBlock(width, condition) for width in widths)
        self.down = nn.ModuleList(
            nn.Conv2d(a, b, 2, stride=2) for a, b in itertools.pairwise(widths)
        )

    def forward(
        self, images: torch.Tensor, described: torch.Tensor, around: torch.Tensor | None = None
    ) -> list[torch.Tensor]:
        """Features of every input by itself.

        images: (batch, inputs, rows, columns); described: (batch, inputs, condition); around: as
        in ``SynthesisNetwork.encode``. Returns the detail (batch * inputs, FINE, rows, columns) and
        one tensor (batch * inputs, width, rows / 2^(level + 1), columns / 2^(level + 1)) for each
        level.
        """
        batch, count, rows, columns = images.shape
        if around is None:
            around = images.new_zeros(batch, count, 2 * CONTEXT, rows, columns)
        condition = described.flatten(0, 1)
        alone = images.flatten(0, 1)[:, None].contiguous(memory_format=torch.channels_last)
        features = [self.fine(alone, condition)]
        x = torch.cat((images[:, :, None], around), 2).flatten(0, 1)
        x = functional.pixel_unshuffle(x, 2).contiguous(memory_format=torch.channels_last)
        x = self.stem(x)
        for level, block in enumerate(self.blocks):
            x = block(x if level == 0 else self.down[level - 1](x), condition)
            features.append(x)
        return features


class Fusion(nn.Module):
    """Features of any number of inputs, in whatever order they came, to those of one."""

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.mix = nn.ModuleList(nn.Conv2d(2 * width, width, 1) for width in widths)

    def forward(self, features: list[torch.Tensor], inputs: int) -> list[torch.Tensor]:
        """Tensors (batch * inputs, ...) to tensors (batch, ...); the detail has 2 * FINE
        channels."""
        detail, *levels = (_mean_and_maximum(x, inputs) for x in features)
        return [detail, *(mix(x) for mix, x in zip(self.mix, levels, strict=True))]


class Trunk(nn.Module):
    """From fused features up to full resolution, told by an embedding at every level."""

    def __init__(self, widths: tuple[int, ...], condition: int, deep: int = 2) -> None:
        super().__init__()
        self.deep = nn.ModuleList(ModulatedBlock(widths[-1], condition) for _ in range(deep))
        self.up = nn.ModuleList(
            nn.Conv2d(b, a, 3, padding=1) for a, b in itertools.pairwise(widths)
        )
        self.join = nn.ModuleList(nn.Conv2d(2 * width, width, 1) for width in widths[:-1])
        self.blocks = nn.ModuleList(ModulatedBlock(width, condition) for width in widths)
        self.finish = PixelNorm(widths[0])
        self.spread = nn.Conv2d(widths[0], 4 * FINE, 3, padding=1)
        self.blend = ModulatedConv(3 * FINE, FINE, condition)
        self.add = nn.Conv2d(FINE, FINE, 3, padding=1)

    def forward(
        self, features: list[torch.Tensor], condition: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """(batch, FINE, rows, columns), and (batch, widths[0], rows / 2, columns / 2), of which
        nothing but the detail is missing."""
        detail, *features = features
        x = self.blocks[-1](features[-1], condition)
        for block in self.deep:
            x = block(x, condition)
        for level in range(len(self.join) - 1, -1, -1):
            # before it is enlarged, where a convolution costs a quarter
            x = functional.interpolate(self.up[level](x), scale_factor=2, mode="nearest")
            x = self.join[level](torch.cat((x, features[level]), 1))
            x = self.blocks[level](x, condition)
        x = silu(self.finish(x))
        fine = functional.pixel_shuffle(self.spread(x), 2)
        return fine + self.add(self.blend(torch.cat((fine, detail), 1), condition)), x


def _mean_and_maximum(x: torch.Tensor, inputs: int) -> torch.Tensor:
    # pairwise: reducing along an axis between others is several times slower on a CPU
    each = x.unflatten(0, (-1, inputs)).unbind(1)
    mean = functools.reduce(torch.add, each) / inputs
    both = torch.cat((mean, functools.reduce(torch.maximum, each)), 1)
    return both.contiguous(memory_format=torch.channels_last)
