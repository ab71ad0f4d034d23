"""Hi-Net (Zhou et al., IEEE TMI 39(9):2772, 2020): hybrid fusion of two sequences."""

from __future__ import annotations

import itertools

import torch
from monai.networks.blocks import Convolution
from torch import nn
from torch.nn import functional

from ..synthesis.adversarial import PatchCritic
from .paired import LEAKY, PairNetwork, block, doubled, mixed

SELF_WEIGHT = 0.2
"""Of each sequence's own reconstruction, against 1 for the image's L1: their 20 to 100."""


class MixedFusion(nn.Module):
    """The mixed fusion block: sum, product and maximum of two sequences' features weighed by a
    convolution, then joined with what came before by another."""

    def __init__(self, width: int, carried: int, out: int, act: str | tuple) -> None:
        super().__init__()
        self.weigh = block(3 * width, width, act)
        self.join = block(width + carried, out, act)

    def forward(self, pair: list[torch.Tensor], *carried: torch.Tensor) -> torch.Tensor:
        """Features of both sequences, and those fused or decoded before, of the same size."""
        return self.join(torch.cat((self.weigh(mixed(*pair)), *carried), 1))


class Autoencoder(nn.Module):
    """The network of one sequence: three levels down, and back to the sequence itself."""

    def __init__(self, width: int) -> None:
        super().__init__()
        widths = (1, width, 2 * width, 4 * width)
        self.down = nn.ModuleList(
            nn.Sequential(block(a, b), block(b, b), nn.MaxPool2d(2))
            for a, b in itertools.pairwise(widths)
        )
        self.up = nn.ModuleList(
            nn.Sequential(block(a, b, "relu"), nn.Upsample(scale_factor=2))
            for a, b in itertools.pairwise((4 * width, 4 * width, 2 * width, width))
        )
        self.out = _image(width)

    def forward(self, image: torch.Tensor) -> list[torch.Tensor]:
        """Features at half, quarter and eighth resolution."""
        levels = []
        for layer in self.down:
            image = layer(image)
            levels.append(image)
        return levels

    def reconstruct(self, deepest: torch.Tensor) -> torch.Tensor:
        """The sequence (batch, 1, rows, columns) in -1-1 from its deepest features."""
        for layer in self.up:
            deepest = layer(deepest)
        return self.out(deepest)


class HiNet(PairNetwork):
    """T1w and T2w to one target by an autoencoder of each, a network that fuses their features
    level by level, and a decoder that fuses them once more.

    Learns by L1, the reconstruction of both inputs, and a least-squares critic of the image.

    Parameters
    ----------
    target:
        The sequence that it makes; the paper trains one network for each.
    width:
        Channels at full resolution.
    """

    stride = 8

    def __init__(self, target: str = "CE-T1w", width: int = 32) -> None:
        super().__init__(target)
        self.sequences = nn.ModuleList(Autoencoder(width) for _ in range(2))
        w = width
        self.fuse = nn.ModuleList(
            (
                MixedFusion(w, 0, 2 * w, LEAKY),
                MixedFusion(2 * w, 2 * w, 4 * w, LEAKY),
                MixedFusion(4 * w, 4 * w, 4 * w, LEAKY),
            )
        )
        self.latent = nn.Sequential(block(4 * w, 8 * w), block(8 * w, 4 * w, "relu"))
        self.decode_level = nn.ModuleList(
            (
                MixedFusion(4 * w, 4 * w, 2 * w, "relu"),
                MixedFusion(2 * w, 2 * w, w, "relu"),
                MixedFusion(w, w, w, "relu"),
            )
        )
        self.out = nn.Sequential(block(w, w, "relu"), _image(w))
        self.critic = PatchCritic(channels=32, layers=4, kernel_size=3)

    def generate(self, pair: torch.Tensor) -> torch.Tensor:
        """As :meth:`PairNetwork.generate`."""
        return self._decoded(self._levels(pair))

    def learn(self, pair: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The image, and how badly the deepest features give back their own sequence."""
        levels = self._levels(pair)
        error = pair.new_zeros(())
        for number, autoencoder in enumerate(self.sequences):
            again = autoencoder.reconstruct(levels[-1][number])
            error = error + functional.l1_loss(again.float(), pair[:, number : number + 1])
        return self._decoded(levels), SELF_WEIGHT * error

    def _levels(self, pair: torch.Tensor) -> list[list[torch.Tensor]]:
        """For each level the features of both sequences."""
        found = [net(pair[:, n : n + 1]) for n, net in enumerate(self.sequences)]
        return [list(level) for level in zip(*found, strict=True)]

    def _decoded(self, levels: list[list[torch.Tensor]]) -> torch.Tensor:
        fused = self.fuse[0](levels[0])
        for layer, level in zip(self.fuse[1:], levels[1:], strict=True):
            fused = layer(level, functional.max_pool2d(fused, 2))
        x = self.latent(fused)
        for layer, level in zip(self.decode_level, reversed(levels), strict=True):
            x = doubled(layer(level, x))
        return self.out(x)


def _image(width: int) -> Convolution:
    return Convolution(2, width, 1, kernel_size=3, norm=None, act="tanh")
