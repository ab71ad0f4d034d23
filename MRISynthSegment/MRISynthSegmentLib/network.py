"""The segmentation network of the first models: MONAI's U-Net over one channel per sequence.

:mod:`structure_net` has the one that is trained now.
"""

from __future__ import annotations

import torch
from monai.networks.nets import BasicUNet
from torch import nn
from torch.nn import functional

from MRISynthLib.sequences import SEQUENCE_NAMES


class AnySequenceUNet(nn.Module):
    """Structures from any subset of sequences; a missing one is a channel of zeros.

    Parameters
    ----------
    structures:
        Number of structures; each has its own probability, since structures may overlap.
    features:
        Channels of :class:`monai.networks.nets.BasicUNet`, which works at half resolution:
        pixels are gathered two by two before it and spread again after it.
    """

    stride = 32
    """Rows and columns must be multiples of this."""

    context = 0
    """It looks at no neighbouring slices."""

    takes_clicks = False

    def __init__(
        self, structures: int, features: tuple[int, ...] = (32, 64, 96, 128, 160, 32)
    ) -> None:
        super().__init__()
        self.unet = BasicUNet(
            spatial_dims=2,
            in_channels=4 * len(SEQUENCE_NAMES),
            out_channels=4 * structures,
            features=tuple(features),
            upsample="nontrainable",
        )

    def forward(
        self,
        images: dict[str, torch.Tensor],
        around: dict[str, torch.Tensor] | None = None,
        synthetic: torch.Tensor | None = None,
        edit: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Logits (batch, structures, rows, columns) from canonical name -> (batch, rows,
        columns), each normalised to about 0-1 inside the body.

        ``around``, ``synthetic`` and ``edit``, which ``StructureNet`` takes, change nothing.
        """
        first = next(iter(images.values()))
        channels = [images.get(name, torch.zeros_like(first)) for name in SEQUENCE_NAMES]
        gathered = functional.pixel_unshuffle(torch.stack(channels, 1), 2)
        gathered = gathered.contiguous(memory_format=torch.channels_last)
        return functional.pixel_shuffle(self.unet(gathered).float(), 2)
