"""The network of the public any-to-all code for NPC: a SwinUNETR told the target as a number.

From what is published of it (arXiv 2602.08822 and its public code): a two-dimensional
SwinUNETR (Hatamizadeh et al., 2022) encodes one image, without being told which sequence it is;
an embedding of the target's number is added, through a linear layer each, to the deepest features
and after every decoder block but the last.
"""

from __future__ import annotations

import torch
from monai.networks.nets import SwinUNETR
from torch import nn
from torch.nn import functional

from ..synthesis.base import Step
from .common import COUNT, Comparator, one_hot, one_source_each, per_image

TEMPERATURE = 0.07
RECONSTRUCTION_WEIGHT = 3.0


class SwinUNETRSynthesis(Comparator):
    """One source to one target; of several inputs it takes the first.

    Learns by three times the mean squared error and, where a step has two inputs, by what makes
    the encoder blind to the sequence: InfoNCE between the deepest features, pooled, of two
    sequences of a place against the batch's other places, and the L1 distance of their features at
    the three scales above. The public code also compares image and text by a CLIP network that it
    fine-tuned; its weights are not to be had, so that term is left out. It trains the encoder
    first and the decoder second; here both learn at once, within the same budget as all others.

    Parameters
    ----------
    feature_size:
        Channels of the first level, a multiple of 12. The public code's 48 (25 M parameters) takes
        a GPU.
    """

    stride = 32

    def __init__(self, feature_size: int = 24) -> None:
        super().__init__()
        self.net = SwinUNETR(1, 1, feature_size=feature_size, spatial_dims=2)
        self.target = nn.Embedding(COUNT, feature_size)
        self.tell = nn.ModuleList(
            nn.Linear(feature_size, feature_size * scale) for scale in (16, 8, 4, 2, 1)
        )

    def encode(self, images, described, valid=None, around=None) -> list[torch.Tensor]:
        """Features of the first input, from the finest to the deepest; rows and columns at
        least 64."""
        return self._features(images[:, :1])

    def decode(self, features, wanted) -> tuple[torch.Tensor, torch.Tensor]:
        """As :meth:`SynthesisNetwork.decode`."""
        *skips, x = features
        net, number = self.net, one_hot(wanted).argmax(1)
        blocks = (net.decoder5, net.decoder4, net.decoder3, net.decoder2, net.decoder1)
        for tell, block in zip(self.tell, blocks, strict=True):
            x = x + tell(self.target(number))[:, :, None, None]
            x = block(x, skips.pop())
        image = net.out(x)[:, 0].float()
        return image, self.doubt(image, wanted)

    def step_loss(self, step: Step) -> torch.Tensor:
        """The public code's loss, without its CLIP term."""
        described = per_image(step.described, step.images.shape[0])
        source, _ = one_source_each(step.images, described)
        features = self._features(source)
        total = step.images.new_zeros(())
        for wanted, truth in zip(step.wanted, step.truths.unbind(1), strict=True):
            image, log_scale = self.decode(features, wanted)
            total = total + RECONSTRUCTION_WEIGHT * functional.mse_loss(image, truth)
            total = total + self.doubt_loss(image, log_scale, truth, step.weights)
        total = total / len(step.wanted)
        if step.images.shape[1] > 1:
            other, _ = one_source_each(step.images.roll(-1, 1), described)
            total = total + likeness_loss(features, self._features(other))
        return total

    def _features(self, images: torch.Tensor) -> list[torch.Tensor]:
        net = self.net
        hidden = net.swinViT(images, net.normalize)
        return [
            net.encoder1(images),
            net.encoder2(hidden[0]),
            net.encoder3(hidden[1]),
            net.encoder4(hidden[2]),
            hidden[3],
            net.encoder10(hidden[4]),
        ]


def likeness_loss(ones: list[torch.Tensor], others: list[torch.Tensor]) -> torch.Tensor:
    """How unlike the features of two sequences of the same places are: InfoNCE of the deepest,
    and the mean L1 distance at the three scales above."""
    *_, a, b, c, deepest = zip(ones, others, strict=True)
    pooled = [functional.normalize(one.float().mean((2, 3)), dim=1) for one in deepest]
    distances = [functional.l1_loss(x.float(), y.float()) for x, y in (a, b, c)]
    return info_nce(*pooled) + sum(distances) / len(distances)


def info_nce(ones: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    """InfoNCE (van den Oord et al., 2018) of unit vectors (places, size), row n of both being the
    same place: all other rows of both are what it must be told from."""
    places = ones.shape[0]
    with torch.autocast(ones.device.type, enabled=False):
        both = torch.cat((ones, others)).float()
        likeness = both @ both.T / TEMPERATURE
    likeness = likeness.masked_fill(
        torch.eye(2 * places, dtype=torch.bool, device=ones.device), -torch.inf
    )
    return functional.cross_entropy(
        likeness, torch.arange(2 * places, device=ones.device).roll(places)
    )
