"""MMgSN-Net (Li et al., IJROBP 112(4):1033, 2022; US patent 12,488,877): synergistic guidance.

Virtual contrast enhancement of nasopharyngeal carcinoma from T1w and T2w.
"""

from __future__ import annotations

import torch
from monai.networks.blocks import Convolution
from torch import nn
from torch.nn import functional

from ..synthesis.adversarial import PatchCritic
from .paired import PairNetwork, block, doubled, mixed

KEEP = 0.8
"""Share of the old statistics that the critic's batch normalisation keeps at each step."""


class SelfAttention(nn.Module):
    """Self-attention over all pixels, added by a learnt factor that begins at 0 (SAGAN; Zhang
    et al., ICML 2019).

    Computed block by block (``scaled_dot_product_attention``), so that memory grows with the
    number of pixels and not with its square; queries, keys and values have the same size for that.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.ask = nn.Conv2d(channels, 3 * (channels // 4), 1)
        self.back = nn.Conv2d(channels // 4, channels, 1)
        self.share = nn.Parameter(torch.zeros(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, channels, rows, columns) to the same."""
        # the kernel that needs no memory for pairs wants the channels of a pixel side by side
        pixels = self.ask(x).flatten(2).transpose(1, 2)[:, None].contiguous()
        attended = functional.scaled_dot_product_attention(*pixels.chunk(3, -1))
        attended = attended[:, 0].transpose(1, 2).unflatten(2, x.shape[2:])
        return x + self.share * self.back(attended)


class MMgSNNet(PairNetwork):
    """T1w + T2w to CE-T1w.

    Two encoders of three blocks; at each level the sum, product and maximum of their features go
    through a 3x3 convolution, and what it makes guides the next block of both encoders and the
    decoder. Self-attention stands between the second and the third decoder block; the outputs of
    all of them, brought to full resolution, make the image by a 1x1 convolution. Learns by L1 and
    a least-squares critic with 16 x 14 patches in an image of 256 x 224.

    Parameters
    ----------
    width:
        Channels of the first block, of which the second and third have two and four times as many;
        as published by default.
    """

    stride = 4

    def __init__(self, width: int = 64) -> None:
        super().__init__("CE-T1w")
        widths = (width, 2 * width, 4 * width)
        entering = (1, 2 * width, 4 * width)
        self.encoders = nn.ModuleList(
            nn.ModuleList(block(a, b) for a, b in zip(entering, widths, strict=True))
            for _ in range(2)
        )
        self.guide = nn.ModuleList(block(3 * each, each) for each in widths)
        self.decoder = nn.ModuleList(
            (
                block(4 * width, 2 * width),
                block(4 * width, width),
                block(2 * width, width),
            )
        )
        self.attention = SelfAttention(width)
        self.out = Convolution(2, 4 * width, 1, kernel_size=1, norm=None, act="tanh")
        self.critic = PatchCritic(
            channels=32, layers=4, kernel_size=3, norm=("batch", {"momentum": 1.0 - KEEP})
        )

    def generate(self, pair: torch.Tensor) -> torch.Tensor:
        """As :meth:`PairNetwork.generate`."""
        guides = self._guides(pair)
        coarse = self.decoder[0](guides[2])
        middle = self.decoder[1](torch.cat((doubled(coarse), guides[1]), 1))
        middle = self.attention(middle)
        fine = self.decoder[2](torch.cat((doubled(middle), guides[0]), 1))
        levels = [
            functional.interpolate(level, fine.shape[2:], mode="bilinear", align_corners=False)
            for level in (coarse, middle)
        ]
        return self.out(torch.cat((fine, *levels), 1))

    def _guides(self, pair: torch.Tensor) -> list[torch.Tensor]:
        """Fused features at full, half and quarter resolution."""
        entering = list(pair.split(1, 1))
        guides: list[torch.Tensor] = []
        for level, guide in enumerate(self.guide):
            if guides:
                entering = [
                    functional.max_pool2d(torch.cat((x, guides[-1]), 1), 2) for x in entering
                ]
            entering = [
                encoder[level](x) for encoder, x in zip(self.encoders, entering, strict=True)
            ]
            guides.append(guide(mixed(*entering)))
        return guides
