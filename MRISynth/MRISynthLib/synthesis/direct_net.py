"""The plain any-to-all network: the decoder makes each target by itself, told by text at every
level. It is what the network of tissue maps is measured against."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from ..simulation.tissues import TISSUES
from .base import SynthesisNetwork
from .described import Described
from .encoder import CONTEXT, FINE, Encoder, Fusion, Trunk
from .equation_net import MAX_LOG_SCALE, MIN_LOG_SCALE
from .prompt_embedding import PromptEmbedding


class DirectNet(SynthesisNetwork):
    """Any subset of sequences in, any sequence out; parameters as of ``EquationNet``."""

    context = CONTEXT

    def __init__(
        self,
        widths: Sequence[int] = (48, 96, 144, 192),
        condition: int = 128,
        tissues: int = len(TISSUES),
    ) -> None:
        super().__init__()
        widths = tuple(widths)
        self.stride = 2 ** len(widths)
        self.prompt = PromptEmbedding(condition)
        self.encoder = Encoder(widths, condition)
        self.fusion = Fusion(widths)
        self.trunk = Trunk(widths, condition)
        self.tissue = nn.Conv2d(widths[0], tissues, 1)
        self.head = nn.Conv2d(FINE, 2, 3, padding=1)

    def embed(self, said: Sequence[Described]) -> torch.Tensor:
        """Text embedding (len(said), condition)."""
        return self.prompt([each.text for each in said], self.vectors(said))

    def look(self, images, described, around=None) -> list[torch.Tensor]:
        """Features of every input by itself, ``Encoder.forward``."""
        return self.encoder(images, described, around)

    def encode(self, images, described, valid=None, around=None) -> list[torch.Tensor]:
        """Fused features, finest first."""
        if described.dim() == 2:
            described = described.expand(len(images), *described.shape)
        return self.unite(self.look(images, described, around), images, described, valid)

    def unite(self, looks, images, described, valid=None) -> list[torch.Tensor]:
        """:meth:`encode` from the features that :meth:`look` gave."""
        return self.fusion(looks, images.shape[1])

    def decode(self, features, wanted):
        """As :meth:`SynthesisNetwork.decode`."""
        image, log_scale, _ = self.decode_with_tissue(features, wanted)
        return image, log_scale

    def decode_with_tissue(self, features, wanted):
        """As :meth:`decode`, and the logits (batch, tissues, rows / 2, columns / 2)."""
        x, coarse = self.trunk(features, wanted)
        image, log_scale = self.head(functional.silu(x)).float().unbind(1)
        return image, log_scale.clamp(MIN_LOG_SCALE, MAX_LOG_SCALE), self.tissue(coarse)
