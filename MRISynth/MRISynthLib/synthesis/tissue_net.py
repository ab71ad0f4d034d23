"""The variant of the any-to-all network whose decoder knows tissue, not targets.

Inputs are turned into maps of tissue parameters once; every target is then a signal equation
away, with a small network told by text for what the equation leaves out (vessels, shading, the
habits of hospitals). A prompt obeys physics at any TR and TE, and another prompt for the same
inputs costs next to nothing.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from .conditioning import VECTOR_SIZE
from .network import FINE, MAX_LOG_SCALE, MIN_LOG_SCALE, AnyToAllNet
from .rendering import MAPS, parameter_maps, protocol_of, render

DARK = 0.05
"""Added to both sides of a ratio of images, so that air and noise do not decide it."""

WIDE = 32
"""Channels of the network that corrects the equation, at full resolution."""


class TissueMapNet(AnyToAllNet):
    """Any subset of sequences to tissue maps, and from there to any target.

    An image of the target is made in two ways: by the signal equation alone, and by carrying an
    input over, times what the equation says that target and input differ by, which keeps the
    texture and the shading that maps do not hold. A small network told by text chooses between
    the two and corrects.

    Parameters as :class:`AnyToAllNet`. Embeddings carry the contrast in numbers behind the text's
    embedding: (batch, condition + VECTOR_SIZE).
    """

    def __init__(self, widths=(48, 96, 144), condition: int = 128, **options) -> None:
        super().__init__(widths, condition, **options)
        self.condition = condition
        self.neutral = nn.Parameter(torch.zeros(1, condition))
        self.maps = nn.Conv2d(FINE, len(MAPS), 3, padding=1)
        self.kinship = nn.Sequential(
            nn.Linear(2 * (condition + VECTOR_SIZE), 64), nn.SiLU(), nn.Linear(64, 1)
        )
        self.enter = nn.Conv2d(2 + 3 * FINE, WIDE, 3, padding=1)
        self.tell = nn.Linear(condition, 2 * WIDE)
        self.correct = nn.Conv2d(WIDE, WIDE, 3, padding=1)
        self.head = nn.Conv2d(WIDE, 3, 3, padding=1)
        nn.init.zeros_(self.maps.bias)
        nn.init.zeros_(self.head.bias)
        with torch.no_grad():
            self.head.weight.mul_(0.1)

    def embed(self, said) -> torch.Tensor:
        """Text embedding with the vectors behind it."""
        return torch.cat((super().embed(said), self.vectors(said)), 1)

    def encode(
        self,
        images: torch.Tensor,
        described: torch.Tensor,
        valid: torch.Tensor | None = None,
        around: torch.Tensor | None = None,
    ) -> list[torch.Tensor]:
        """What is where, and what was given; parameters as :meth:`AnyToAllNet.encode`.

        Returns
        -------
        raw tissue maps (batch, len(MAPS), rows, columns); features (batch, FINE, rows, columns);
        detail of the inputs (batch, 2 * FINE, rows, columns); tissue logits (batch, tissues,
        rows / 2, columns / 2); the inputs; where they have voxels; what the equation makes of the
        maps in their place; their descriptions (batch, inputs, condition + VECTOR_SIZE).
        """
        batch, count = images.shape[:2]
        if described.dim() == 2:
            described = described.expand(batch, *described.shape)
        *features, detail = super().encode(images, described[..., : self.condition])
        neutral = self.neutral.expand(batch, -1)
        x, tissue = self.trunk(features, neutral)
        x = self.detail(x, detail, neutral)
        raw = self.maps(functional.silu(x))
        same = [self.physical_image(raw, described[:, n]) for n in range(count)]
        if valid is None:
            valid = torch.ones_like(images, dtype=torch.bool)
        return [raw, x, detail, tissue, images, valid, torch.stack(same, 1), described]

    def decode_with_tissue(self, features, wanted):
        """As :meth:`AnyToAllNet.decode_with_tissue`."""
        raw, x, detail, tissue, images, valid, same, described = features
        batch, count = images.shape[:2]
        wanted = wanted.expand(batch, -1)
        physical = self.physical_image(raw, wanted)
        pairs = torch.cat((wanted[:, None].expand(-1, count, -1), described), 2)
        share = self.kinship(pairs).float().softmax(1)[..., None]
        ratio = ((physical[:, None] + DARK) / (same + DARK)).clamp(0.1, 10.0)
        share = share * valid
        total = share.sum(1)
        carried = (share * images.float() * ratio).sum(1) / total.clamp_min(1e-6)
        # where no input has voxels there is nothing to carry
        carried = torch.where(total > 0, carried, physical).clamp(0, 3)
        both = torch.stack((physical, carried), 1).to(x.dtype)
        scale, shift = self.tell(wanted[:, : self.condition])[:, :, None, None].chunk(2, 1)
        hidden = self.enter(torch.cat((both, x, detail), 1))
        hidden = functional.silu(hidden * (1 + scale) + shift)
        hidden = functional.silu(self.correct(hidden))
        correction, log_scale, choice = self.head(hidden).float().unbind(1)
        image = physical + torch.sigmoid(choice) * (carried - physical) + correction
        return image, log_scale.clamp(MIN_LOG_SCALE, MAX_LOG_SCALE), tissue

    def physical_image(self, raw: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        """What the signal equation makes of the maps under a description each (batch, ... +
        VECTOR_SIZE): (batch, rows, columns)."""
        vectors = wanted[:, -VECTOR_SIZE:].detach().float().cpu().numpy()
        found, where = np.unique(vectors, axis=0, return_inverse=True)
        where = where.reshape(-1)
        with torch.autocast(raw.device.type, enabled=False):
            image = raw.new_zeros((raw.shape[0], *raw.shape[2:]), dtype=torch.float32)
            for number, vector in enumerate(found):
                protocol = protocol_of(vector)
                chosen = torch.from_numpy(np.flatnonzero(where == number)).to(raw.device)
                maps = parameter_maps(raw[chosen], protocol.field_t)
                image = image.index_copy(0, chosen, render(maps, protocol))
        return image.clamp(0, 3)
