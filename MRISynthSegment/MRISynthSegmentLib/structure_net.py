"""The segmentation network: one for automatic delineation and for corrections by clicks."""

from __future__ import annotations

import torch
from monai.networks.nets import BasicUNet
from torch import nn
from torch.nn import functional

from MRISynthLib.sequences import SEQUENCE_NAMES

FEATURES = (48, 96, 160, 224, 320, 64)

GROUPS = 8
"""Of channels that are normalised together; every number of features is a multiple of it. MONAI's
default, a group for each channel, takes a channels-last image apart and puts it together again:
a third of the time."""

EDIT_CHANNELS = 3
"""Of ``edit``: the result so far, clicks that add, clicks that take away."""


class StructureNet(nn.Module):
    """Structures from any subset of real and synthetic sequences; a missing one is zeros.

    Beside the structures it gives one more: whichever a user is correcting, after the clicks. So
    one network both delineates and corrects, as DeepEdit does (A. Diaz-Pinto et al., MICCAI
    Workshop on Data Augmentation, Labelling, and Imperfections 2022).

    MONAI's U-Net works at half resolution: pixels are gathered two by two before it and spread
    again after it. It sees the slice itself, the slices next to it averaged to half resolution,
    a copy, at half resolution, of those images that are synthetic, and the corrections. Its norm
    takes away whatever is the same everywhere in a slice; therefore what holds for the whole slice
    (which sequences there are, which are synthetic, whether something is corrected) changes gain
    and offset of its first features, after the norm.

    Parameters
    ----------
    structures:
        Number of structures; each has its own probability, since structures may overlap.
    features:
        Channels of :class:`monai.networks.nets.BasicUNet`: of its five levels, and of the end.
    """

    stride = 32
    """Rows and columns must be multiples of this."""

    context = 1
    """Neighbouring slices that it looks at on each side."""

    takes_clicks = True

    def __init__(self, structures: int, features: tuple[int, ...] = FEATURES) -> None:
        super().__init__()
        count = len(SEQUENCE_NAMES)
        self.unet = BasicUNet(
            spatial_dims=2,
            in_channels=4 * count + 2 * count + count + 4 * EDIT_CHANNELS,
            out_channels=4 * (structures + 1),
            features=tuple(features),
            norm=("group", {"num_groups": GROUPS}),
            upsample="nontrainable",
        )
        self.told = nn.Linear(2 * count + 1, 2 * features[0])
        nn.init.zeros_(self.told.weight)
        nn.init.zeros_(self.told.bias)

    def forward(
        self,
        images: dict[str, torch.Tensor],
        around: dict[str, torch.Tensor] | None = None,
        synthetic: torch.Tensor | None = None,
        edit: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Logits of every structure and, last, of the one that is corrected.

        Parameters
        ----------
        images:
            Canonical name -> (batch, rows, columns), normalised to about 0-1 inside the body.
        around:
            The same names, or some -> (batch, 2, rows, columns): the slices below and above,
            zeros where they are not known.
        synthetic:
            (batch, ``len(SEQUENCE_NAMES)``) bool or float: which images are synthetic; None says
            that all are real.
        edit:
            (batch, 3, rows, columns): probability so far of the one structure that is corrected,
            map of the clicks that add to it, map of those that take away (``click_maps``); None
            where nothing is corrected.

        Returns
        -------
        float32 (batch, structures + 1, rows, columns); the last channel means nothing without
        ``edit``.
        """
        first = next(iter(images.values()))
        gathered, told = self._given(first, images, around or {}, synthetic, edit)
        unet = self.unet
        level0 = unet.conv_0(gathered)
        gain, offset = self.told(told)[:, :, None, None].chunk(2, 1)
        level0 = torch.addcmul(offset.to(level0), level0, (1 + gain).to(level0))
        level1 = unet.down_1(level0)
        level2 = unet.down_2(level1)
        level3 = unet.down_3(level2)
        found = unet.upcat_4(unet.down_4(level3), level3)
        found = unet.upcat_3(found, level2)
        found = unet.upcat_2(found, level1)
        logits = unet.final_conv(unet.upcat_1(found, level0))
        return functional.pixel_shuffle(logits.float(), 2)

    def _given(self, first, images, around, synthetic, edit):
        """All images at half resolution, side by side, and what holds for the whole slice."""
        batch, rows, columns = first.shape
        count = len(SEQUENCE_NAMES)
        near, copies, edits = 4 * count, 6 * count, 7 * count
        gathered = first.new_zeros(batch, edits + 4 * EDIT_CHANNELS, rows // 2, columns // 2)
        told = first.new_zeros(batch, 2 * count + 1)
        if synthetic is not None:
            told[:, count : 2 * count] = synthetic.to(told)
        for place, name in enumerate(SEQUENCE_NAMES):
            if name not in images:
                told[:, count + place] = 0
                continue
            told[:, place] = 1
            image = images[name][:, None]
            gathered[:, 4 * place : 4 * place + 4] = functional.pixel_unshuffle(image, 2)
            if name in around:
                halved = functional.avg_pool2d(around[name], 2)
                gathered[:, near + 2 * place : near + 2 * place + 2] = halved
            flag = told[:, count + place, None, None]
            gathered[:, copies + place] = flag * functional.avg_pool2d(image, 2)[:, 0]
        if edit is not None:
            told[:, -1] = 1
            gathered[:, edits:] = functional.pixel_unshuffle(edit.to(gathered), 2)
        return gathered.contiguous(memory_format=torch.channels_last), told
