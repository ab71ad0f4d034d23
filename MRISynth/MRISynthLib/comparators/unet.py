"""The plain U-Net (Ronneberger et al., MICCAI 2015): every available input as a channel."""

from __future__ import annotations

import torch
from monai.networks.nets import BasicUNet
from torch.nn import functional

from ..synthesis.base import Step
from .common import COUNT, Comparator, as_channels, planes


class UNetSynthesis(Comparator):
    """Any inputs in fixed channels, absent ones 0, and the target's one-hot as constant planes.

    Learns by L1. Group normalisation, since a batch shows one task at a time: normalising over a
    batch or over each channel's image would take the constant planes out again.

    Parameters
    ----------
    width:
        Channels of the first level, a multiple of 8; the deepest has eight times as many.
    """

    stride = 16

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.net = BasicUNet(
            spatial_dims=2,
            in_channels=2 * COUNT,
            out_channels=1,
            features=(width, width, 2 * width, 4 * width, 8 * width, width),
            norm=("group", {"num_groups": 8}),
        )

    def encode(self, images, described, valid=None, around=None) -> list[torch.Tensor]:
        """The inputs as channels (batch, sequences, rows, columns)."""
        return [as_channels(images, described)]

    def decode(self, features, wanted) -> tuple[torch.Tensor, torch.Tensor]:
        """As :meth:`SynthesisNetwork.decode`; the whole network runs here."""
        (channels,) = features
        made = self.net(torch.cat((channels, planes(wanted, channels)), 1))
        image = made[:, 0].float()
        return image, self.doubt(image, wanted)

    def step_loss(self, step: Step) -> torch.Tensor:
        """L1 of every target."""
        features = self.encode(step.images, step.described)
        total = step.images.new_zeros(())
        for wanted, truth in zip(step.wanted, step.truths.unbind(1), strict=True):
            image, log_scale = self.decode(features, wanted)
            total = total + functional.l1_loss(image, truth)
            total = total + self.doubt_loss(image, log_scale, truth, step.weights)
        return total / len(step.wanted)
