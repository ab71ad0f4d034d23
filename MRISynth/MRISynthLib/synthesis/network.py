"""The any-to-all network: one shared encoder, fusion of any inputs, a decoder told by text.

The form follows the any-to-all idea of arXiv 2602.08822 (a shared, modality-invariant
encoder and a text-informed decoder) in a size that a laptop's CPU carries: two-dimensional,
modulated by FiLM (Perez et al., AAAI 2018), inputs fused by mean and maximum so that any
subset works in any order.
"""

from __future__ import annotations

import itertools

import torch
from torch import nn
from torch.nn import functional

from ..simulation.tissues import TISSUES
from .base import SynthesisNetwork
from .blocks import ModulatedBlock, PixelNorm
from .conditioning import BUCKETS, VECTOR_SIZE, token_batch

MIN_LOG_SCALE = -5.0
MAX_LOG_SCALE = 0.5

FINE = 16
"""Channels at full resolution, before the last convolution."""


class TextTower(nn.Module):
    """Embeds a prompt: hashed words and the contrast parsed from it.

    Input: tokens (n,) and offsets (batch,) of ``conditioning.token_batch``, vectors
    (batch, VECTOR_SIZE). Output: (batch, size).
    """

    def __init__(self, size: int = 128, words: int = 48) -> None:
        super().__init__()
        self.words = nn.EmbeddingBag(BUCKETS, words, mode="mean")
        self.mix = nn.Sequential(
            nn.Linear(words + VECTOR_SIZE, size), nn.SiLU(), nn.Linear(size, size), nn.SiLU()
        )
        nn.init.normal_(self.words.weight, std=0.5)

    def forward(
        self, tokens: torch.Tensor, offsets: torch.Tensor, vectors: torch.Tensor
    ) -> torch.Tensor:
        return self.mix(torch.cat((self.words(tokens, offsets), vectors), 1))


class DetailPath(nn.Module):
    """Full-resolution detail of the inputs, past the coarse features, for the decoder's end.

    What a target shares with an input (most edges) need not be learned anew.
    """

    def __init__(self, condition: int) -> None:
        super().__init__()
        self.look = nn.Conv2d(1, FINE, 3, padding=1)
        self.film = nn.Linear(condition, 2 * FINE)
        self.blend = nn.Conv2d(3 * FINE, FINE, 3, padding=1)
        self.select = nn.Linear(condition, 2 * FINE)
        self.finish = nn.Conv2d(FINE, FINE, 3, padding=1)

    def look_at(self, images: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        """(batch * inputs, 1, rows, columns) to features of the same size."""
        scale, shift = self.film(condition)[:, :, None, None].chunk(2, 1)
        return functional.silu(self.look(images) * (1 + scale) + shift)

    def forward(self, x: torch.Tensor, detail: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        scale, shift = self.select(wanted)[:, :, None, None].chunk(2, 1)
        hidden = self.blend(torch.cat((x, detail), 1))
        return x + self.finish(functional.silu(hidden * (1 + scale) + shift))


class AnyToAllNet(SynthesisNetwork):
    """Any subset of sequences in, any sequence out, with a scale of its own error.

    Parameters
    ----------
    widths:
        Channels at half, quarter and eighth resolution. Pixels are first gathered two by
        two, which loses nothing and spares the costly convolutions at full resolution.
    condition:
        Size of the text embedding.
    tissues:
        Number of tissues that the network learns to tell apart on the way.
    """

    def __init__(
        self,
        widths: tuple[int, ...] = (48, 96, 144),
        condition: int = 128,
        tissues: int = len(TISSUES),
    ) -> None:
        super().__init__()
        widths = tuple(widths)
        self.widths = widths
        self.text = TextTower(condition)
        self.stem = nn.Conv2d(4, widths[0], 3, padding=1)
        self.encoder = nn.ModuleList(ModulatedBlock(width, condition) for width in widths)
        self.down = nn.ModuleList(
            nn.Conv2d(a, b, 2, stride=2) for a, b in itertools.pairwise(widths)
        )
        self.fuse = nn.ModuleList(nn.Conv2d(2 * width, width, 1) for width in widths)
        self.decoder = nn.ModuleList(ModulatedBlock(width, condition) for width in widths)
        self.deep = nn.ModuleList(ModulatedBlock(widths[-1], condition) for _ in range(2))
        self.up = nn.ModuleList(
            nn.Conv2d(b, a, 3, padding=1) for a, b in itertools.pairwise(widths)
        )
        self.join = nn.ModuleList(nn.Conv2d(2 * width, width, 1) for width in widths[:-1])
        self.finish = PixelNorm(widths[0])
        self.spread = nn.Conv2d(widths[0], 4 * FINE, 3, padding=1)
        self.detail = DetailPath(condition)
        self.head = nn.Conv2d(FINE, 2, 3, padding=1)
        self.tissue = nn.Conv2d(widths[0], tissues, 1)

    @property
    def stride(self) -> int:
        """Rows and columns must be multiples of this."""
        return 2 ** len(self.widths)

    def embed(self, said) -> torch.Tensor:
        """Text embedding (batch, condition) of prompts or of input descriptions."""
        tokens, offsets = (
            torch.from_numpy(part).to(self.device) for part in token_batch([s.text for s in said])
        )
        return self.text(tokens, offsets, self.vectors(said))

    def encode(
        self,
        images: torch.Tensor,
        described: torch.Tensor,
        valid: torch.Tensor | None = None,
        around: torch.Tensor | None = None,
    ) -> list[torch.Tensor]:
        """Features of the inputs, fused.

        Parameters
        ----------
        images:
            (batch, inputs, rows, columns), normalised to about 0-1 inside the body.
        described:
            (inputs, condition), or (batch, inputs, condition): embedding of what each is.
        valid:
            Boolean, as ``images``: where each input has voxels; None is everywhere. Not looked
            at here, but by networks that carry an input over.

        Returns
        -------
        One tensor (batch, width, rows / 2^(level + 1), columns / 2^(level + 1)) per level, and
        last the detail (batch, 2 * FINE, rows, columns).
        """
        batch, count, rows, columns = images.shape
        if described.dim() == 2:
            described = described.expand(batch, *described.shape)
        condition = described.reshape(batch * count, -1)
        x = images.reshape(batch * count, 1, rows, columns)
        fine = self.detail.look_at(x.contiguous(memory_format=torch.channels_last), condition)
        x = functional.pixel_unshuffle(x, 2).contiguous(memory_format=torch.channels_last)
        x = self.stem(x)
        fused = []
        for level, block in enumerate(self.encoder):
            if level > 0:
                x = self.down[level - 1](x)
            x = block(x, condition)
            fused.append(self.fuse[level](_mean_and_maximum(x, batch, count)))
        return [*fused, _mean_and_maximum(fine, batch, count)]

    def decode(
        self, features: list[torch.Tensor], wanted: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """One target from fused features.

        Parameters
        ----------
        wanted:
            (batch, condition) or (1, condition): embedding of the prompt.

        Returns
        -------
        image:
            (batch, rows, columns), normalised.
        log_scale:
            The same shape: logarithm of the expected absolute error (Laplace scale).
        """
        image, log_scale, _ = self.decode_with_tissue(features, wanted)
        return image, log_scale

    def decode_with_tissue(
        self, features: list[torch.Tensor], wanted: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """As :meth:`decode`, and the logits (batch, tissues, rows / 2, columns / 2) of what the
        network takes each place for, which training asks for: to enhance a tumour, and nothing
        that merely looks like it, the decoder must know what is where."""
        *features, detail = features
        condition = wanted.expand(detail.shape[0], -1)
        x, tissue = self.trunk(features, condition)
        x = self.detail(x, detail, condition)
        image, log_scale = self.head(functional.silu(x)).float().unbind(1)
        return image, log_scale.clamp(MIN_LOG_SCALE, MAX_LOG_SCALE), tissue

    def trunk(
        self, features: list[torch.Tensor], condition: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """From fused features (coarsest last) to (batch, FINE, rows, columns), and the logits of
        the tissues."""
        x = self.decoder[-1](features[-1], condition)
        for block in self.deep:
            x = block(x, condition)
        for level in range(len(self.widths) - 2, -1, -1):
            x = self.up[level](functional.interpolate(x, scale_factor=2, mode="nearest"))
            x = self.join[level](torch.cat((x, features[level]), 1))
            x = self.decoder[level](x, condition)
        x = functional.silu(self.finish(x))
        tissue = self.tissue(x)
        return functional.pixel_shuffle(self.spread(x), 2), tissue


def _mean_and_maximum(x: torch.Tensor, batch: int, count: int) -> torch.Tensor:
    """Features of all inputs of each image, in whatever order they came."""
    grouped = x.unflatten(0, (batch, count))
    both = torch.cat((grouped.mean(1), grouped.amax(1)), 1)
    return both.contiguous(memory_format=torch.channels_last)
