"""From a prompt to the embedding that a network is told by."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from .conditioning import VECTOR_SIZE
from .towers import TextTower


class PromptEmbedding(nn.Module):
    """The reading of a text tower and the contrast in numbers, mixed to (n, size).

    The tower was taught, with images, what words mean (:mod:`MRISynthLib.training.text`); what
    that is worth to a network is learnt here.
    """

    def __init__(self, size: int = 128, tower: nn.Module | None = None) -> None:
        super().__init__()
        self.tower = TextTower() if tower is None else tower
        self.mix = nn.Sequential(
            nn.Linear(self.tower.size + VECTOR_SIZE, size),
            nn.SiLU(),
            nn.Linear(size, size),
            nn.SiLU(),
        )

    def forward(self, texts: Sequence[str], vectors: torch.Tensor) -> torch.Tensor:
        """vectors: (n, VECTOR_SIZE) of ``conditioning.contrast_vector``."""
        # the slices of a batch mostly say the same
        said = [(text, *values) for text, values in zip(texts, vectors.tolist(), strict=True)]
        once = list(dict.fromkeys(said))
        back = [once.index(each) for each in said]
        numbers = vectors[[said.index(each) for each in once]]
        read = self.tower([text for text, *_ in once], numbers)
        # a unit vector's numbers are far smaller than those beside it
        return self.mix(torch.cat((read * self.tower.size**0.5, numbers), 1))[back]
