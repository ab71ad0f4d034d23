"""Pix2Pix (Isola et al., CVPR 2017): a U-Net with a critic that sees the source as well."""

from __future__ import annotations

import torch
from monai.networks.blocks import Convolution
from torch import nn
from torch.nn import functional

from ..synthesis.adversarial import PatchCritic, critic_term, generator_term
from ..synthesis.base import Step
from .common import COUNT, Comparator, one_source_each, per_image, planes, signed, unsigned

ADVERSARIAL_WEIGHT = 0.01
"""Against an L1 of 1: the paper's 1 to 100, scaled so that a step is as long as other networks'."""

GIVEN = 1 + 2 * COUNT
"""The source, and the one-hots of source and target as constant planes."""


class SkipGenerator(nn.Module):
    """The paper's generator: 4x4 convolutions of stride 2 down and up again, with skips.

    Instance normalisation, which is what the paper's batch normalisation is at its batch size of
    1; none in the first layer, where it would take the constant planes out, nor in the deepest.
    Without the paper's dropout, meant as noise: its authors found that the network ignores it, and
    the same request shall give the same image.
    """

    def __init__(self, channels: int, width: int, levels: int) -> None:
        super().__init__()
        widths = [width * min(2**level, 8) for level in range(levels)]
        leaky = ("leakyrelu", {"negative_slope": 0.2})
        self.down = nn.ModuleList(
            Convolution(
                2, a, b, strides=2, kernel_size=4, padding=1, act=leaky,
                norm="instance" if 0 < level < levels - 1 else None,
            )
            for level, (a, b) in enumerate(zip((channels, *widths), widths, strict=False))
        )  # fmt: skip
        self.up = nn.ModuleList(
            Convolution(
                2, widths[level] * (1 if level == levels - 1 else 2),
                widths[level - 1] if level else 1,
                strides=2, kernel_size=4, padding=1, output_padding=0, is_transposed=True,
                norm="instance" if level else None, act="relu" if level else "tanh",
            )
            for level in reversed(range(levels))
        )  # fmt: skip

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, channels, rows, columns) to (batch, 1, rows, columns) in -1-1."""
        skips = []
        for layer in self.down:
            x = layer(x)
            skips.append(x)
        x = self.up[0](skips.pop())
        for layer in self.up[1:]:
            x = layer(torch.cat((x, skips.pop()), 1))
        return x


class Pix2Pix(Comparator):
    """One source to one target; of several inputs it takes the first.

    The paper trains one network for each pair. Here one serves all, by a conditional extension:
    source and target are named to generator and critic by constant planes beside the image.

    Parameters
    ----------
    width:
        Channels of the first layer, as published by default; deeper ones have up to eight times as
        many.
    levels:
        Halvings of the resolution; the paper's 8 are for 256 x 256.
    """

    def __init__(self, width: int = 64, levels: int = 5) -> None:
        super().__init__()
        self.stride = 2**levels
        self.net = SkipGenerator(GIVEN, width, levels)
        self.critic = PatchCritic(GIVEN, channels=width, norm="instance", criterion="bce")

    def encode(self, images, described, valid=None, around=None) -> list[torch.Tensor]:
        """The first input in -1-1 and its planes (batch, 1 + sequences, rows, columns)."""
        return [_source(images[:, :1], per_image(described, images.shape[0])[:, 0])]

    def decode(self, features, wanted) -> tuple[torch.Tensor, torch.Tensor]:
        """As :meth:`SynthesisNetwork.decode`; the whole network runs here."""
        image = unsigned(self.net(_with_target(features[0], wanted)))[:, 0]
        return image, self.doubt(image, wanted)

    def step_loss(self, step: Step) -> torch.Tensor:
        """L1 and the adversarial term of every target, and the critic's own."""
        source = _source(*one_source_each(step.images, step.described))
        total = step.images.new_zeros(())
        for wanted, truth in zip(step.wanted, step.truths.split(1, 1), strict=True):
            given = _with_target(source, wanted)
            made, real = self.net(given), signed(truth)
            image = unsigned(made)[:, 0]
            log_scale = self.doubt(image, wanted)
            total = total + functional.l1_loss(made.float(), real)
            total = total + ADVERSARIAL_WEIGHT * generator_term(self.critic, given, made)
            total = total + critic_term(self.critic, given, real, made)
            total = total + self.doubt_loss(image, log_scale, truth[:, 0], step.weights)
        return total / len(step.wanted)


def _source(image: torch.Tensor, described: torch.Tensor) -> torch.Tensor:
    return torch.cat((signed(image), planes(described, image)), 1)


def _with_target(source: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    return torch.cat((source, planes(wanted, source)), 1)
