"""The network whose decoder knows tissue, not targets.

Inputs are turned into maps of tissue parameters once; every target is then a signal equation
away, with a small network told by text for what the equation leaves out (vessels, shading, the
habits of hospitals). A prompt obeys physics at any TR and TE, and another prompt for the same
inputs costs next to nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from ..simulation.tissues import TISSUES
from .base import SynthesisNetwork
from .blocks import ModulatedConv, silu
from .conditioning import VECTOR_SIZE
from .described import Described
from .encoder import CONTEXT, FINE, Encoder, Fusion, Trunk
from .prompt_embedding import PromptEmbedding
from .rendering import MAPS, bounded, maps_of, protocol_of, render
from .screen import Screen

MIN_LOG_SCALE, MAX_LOG_SCALE = -5.0, 0.5

WIDE = 32
"""Channels of the network that corrects the equation, at full resolution."""

DARK = 0.05
"""Added to both sides of a ratio of images, so that air and noise do not decide it."""


class EquationNet(SynthesisNetwork):
    """Any subset of sequences to tissue maps, and from there to any target.

    An image of the target is made in two ways: by the signal equation alone, and by carrying an
    input over, times what the equation says that target and input differ by, which keeps the
    texture and the shading that maps do not hold. A small network told by text chooses between
    the two and corrects.

    Embeddings carry the contrast in numbers behind the text's embedding: (batch, condition +
    VECTOR_SIZE).

    Parameters
    ----------
    widths:
        Channels at 1/2, 1/4, 1/8 ... of the resolution.
    condition:
        Size of the text embedding.
    tissues:
        Number of tissues that the network learns to tell apart on the way: to enhance a tumour,
        and nothing that merely looks like it, it must know what is where.
    screen:
        Whether a :class:`Screen` comes with it, which is filled when training has ended.
    sharpness:
        How strictly what is carried over comes from the input most like the target; found when
        training has ended (:mod:`training.carrying`).
    """

    context = CONTEXT

    def __init__(
        self,
        widths: Sequence[int] = (48, 96, 144, 192),
        condition: int = 128,
        tissues: int = len(TISSUES),
        screen: bool = False,
        sharpness: float = 1.0,
    ) -> None:
        super().__init__()
        widths = tuple(widths)
        self.stride = 2 ** len(widths)
        self.condition = condition
        self.sharpness = sharpness
        self.prompt = PromptEmbedding(condition)
        self.encoder = Encoder(widths, condition)
        self.fusion = Fusion(widths)
        self.trunk = Trunk(widths, condition)
        self.neutral = nn.Parameter(torch.zeros(1, condition))
        self.tissue = nn.Conv2d(widths[0], tissues, 1)
        self.maps = nn.Conv2d(FINE, len(MAPS), 3, padding=1)
        self.kinship = nn.Sequential(
            nn.Linear(2 * (condition + VECTOR_SIZE), 64), nn.SiLU(), nn.Linear(64, 1)
        )
        self.enter = ModulatedConv(2 + 3 * FINE, WIDE, condition)
        self.correct = nn.Conv2d(WIDE, WIDE, 3, padding=1)
        self.head = nn.Conv2d(WIDE, 3, 3, padding=1)
        self.screen = Screen(widths[-1]) if screen else None
        nn.init.zeros_(self.maps.bias)
        nn.init.zeros_(self.head.bias)
        with torch.no_grad():
            self.head.weight.mul_(0.1)

    def embed(self, said: Sequence[Described]) -> torch.Tensor:
        """Text embedding with the contrast in numbers behind it."""
        vectors = self.vectors(said)
        return torch.cat((self.prompt([each.text for each in said], vectors), vectors), 1)

    def look(self, images, described, around=None) -> list[torch.Tensor]:
        """Features of every input by itself, ``Encoder.forward``; what a contrastive loss makes
        alike for sequences of the same place."""
        return self.encoder(images, described[..., : self.condition], around)

    def encode(self, images, described, valid=None, around=None) -> list[torch.Tensor]:
        """What is where, and what was given.

        Returns
        -------
        tissue parameters (batch, len(MAPS), rows, columns); features (batch, FINE, rows, columns);
        tissue logits (batch, tissues, rows / 2, columns / 2); the inputs' detail (batch, 2 * FINE,
        rows, columns); the inputs; where they have voxels; what the equation makes of the
        parameters in their place; their descriptions (batch, inputs, condition + VECTOR_SIZE).
        """
        if described.dim() == 2:
            described = described.expand(len(images), *described.shape)
        return self.unite(self.look(images, described, around), images, described, valid)

    def unite(self, looks, images, described, valid=None) -> list[torch.Tensor]:
        """:meth:`encode` from the features that :meth:`look` gave."""
        count = images.shape[1]
        fused = self.fusion(looks, count)
        x, coarse = self.trunk(fused, self.neutral)
        parameters = bounded(self.maps(functional.silu(x)))
        same = [self.physical_image(parameters, described[:, n]) for n in range(count)]
        if valid is None:
            valid = torch.ones_like(images, dtype=torch.bool)
        same = torch.stack(same, 1)
        return [parameters, x, self.tissue(coarse), fused[0], images, valid, same, described]

    def decode(self, features, wanted):
        """As :meth:`SynthesisNetwork.decode`."""
        image, log_scale, _ = self.decode_with_physical(features, wanted)
        return image, log_scale

    def decode_with_physical(self, features, wanted):
        """As :meth:`decode`, and what the equation alone makes."""
        parameters, x, _, detail, images, valid, same, described = features
        batch, count = images.shape[:2]
        told, wanted = wanted[:, : self.condition], wanted.expand(batch, -1)
        physical = self.physical_image(parameters, wanted)
        pairs = torch.cat((wanted[:, None].expand(-1, count, -1), described), 2)
        kinship = self.sharpness * self.kinship(pairs).float()
        share = kinship.softmax(1)[..., None] * valid
        ratio = ((physical[:, None] + DARK) / (same + DARK)).clamp(0.1, 10.0)
        total = share.sum(1)
        carried = (share * images.float() * ratio).sum(1) / total.clamp_min(1e-6)
        # where no input has voxels there is nothing to carry
        carried = torch.where(total > 0, carried, physical).clamp(0, 3)
        both = torch.stack((physical, carried), 1).to(x.dtype)
        # all parts channels-last: to rearrange the whole costs as much as a convolution
        both = both.contiguous(memory_format=torch.channels_last)
        hidden = self.enter(torch.cat((both, x, detail), 1), told)
        hidden = silu(self.correct(hidden))
        correction, log_scale, choice = self.head(hidden).float().unbind(1)
        image = physical + torch.sigmoid(choice) * (carried - physical) + correction
        return image, log_scale.clamp(MIN_LOG_SCALE, MAX_LOG_SCALE), physical

    def physical_image(self, parameters: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        """What the signal equation makes of tissue parameters (batch, len(MAPS), rows, columns)
        under a description each (batch, ... + VECTOR_SIZE): (batch, rows, columns)."""
        vectors = wanted[:, -VECTOR_SIZE:].detach().float().cpu().numpy()
        found, where = np.unique(vectors, axis=0, return_inverse=True)
        where = where.reshape(-1)
        with torch.autocast(parameters.device.type, enabled=False):
            images: list[torch.Tensor | None] = [None] * len(vectors)
            for number, vector in enumerate(found):
                protocol = protocol_of(vector)
                chosen = np.flatnonzero(where == number)
                some = parameters if len(found) == 1 else parameters[torch.from_numpy(chosen)]
                made = render(maps_of(some, protocol.field_t), protocol)
                for position, image in zip(chosen, made.unbind(0), strict=True):
                    images[position] = image
        return torch.stack(images).clamp(0, 3)
