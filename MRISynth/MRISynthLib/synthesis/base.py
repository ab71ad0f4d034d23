"""What every synthesis network offers, so that one Synthesizer, one trainer and one evaluation
serve all of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import nn

from ..bundles import CRITIC
from .conditioning import contrast_vector
from .described import Described

TRAINED_ONLY = f"{CRITIC}."
"""Parameters whose name begins so take part in training only; they are not exported."""

NEIGHBOUR_MM = 5.0
"""Slices further apart than this are not neighbours: too little of what one shows goes on in the
next."""

Task = tuple[tuple[str, ...], str]
"""(sequences given, sequence made)."""


@dataclass(frozen=True)
class Step:
    """What one training step gives a network to learn from.

    images: (batch, inputs, rows, columns), as given to ``encode``; inputs, targets: their
    sequences; described: (batch, inputs, size) and wanted: (batch, size) for each target, of
    ``embed``; truths: (batch, targets, rows, columns); weights: (batch, rows, columns), what a
    pixel counts for (little in air, much in a tumour).
    """

    images: torch.Tensor
    inputs: tuple[str, ...]
    targets: tuple[str, ...]
    described: torch.Tensor
    wanted: tuple[torch.Tensor, ...]
    truths: torch.Tensor
    weights: torch.Tensor


class SynthesisNetwork(nn.Module, ABC):
    """Any-to-any interface: embed what is given and wanted, encode once, decode each target.

    Attributes
    ----------
    stride:
        Rows and columns must be multiples of this.
    context:
        Neighbouring slices that the network looks at on each side; 0 for none.
    tasks:
        The only tasks that it can do, None where any sequence leads to any other.
    reads_prompts:
        Whether more than the wanted sequence matters to it.
    """

    stride: int = 1
    context: int = 0
    tasks: ClassVar[tuple[Task, ...] | None] = None
    reads_prompts: ClassVar[bool] = True

    @abstractmethod
    def embed(self, said: Sequence[Described]) -> torch.Tensor:
        """(len(said), size), on the network's device, for ``encode`` and ``decode``."""

    @abstractmethod
    def encode(
        self,
        images: torch.Tensor,
        described: torch.Tensor,
        valid: torch.Tensor | None = None,
        around: torch.Tensor | None = None,
    ) -> list[torch.Tensor]:
        """Features of the inputs.

        Parameters
        ----------
        images:
            (batch, inputs, rows, columns), normalised to about 0-1 inside the body.
        described:
            (inputs, size), or (batch, inputs, size): embedding of what each is.
        valid:
            Boolean, as ``images``: where each input has voxels; None is everywhere.
        around:
            (batch, inputs, 2 * context, rows, columns): the neighbouring slices, from the lowest
            to the highest; None where they are not known or too far away.

        Returns
        -------
        Tensors with the batch as their first axis, for :meth:`decode`.
        """

    @abstractmethod
    def decode(
        self, features: list[torch.Tensor], wanted: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """One target from encoded inputs.

        Parameters
        ----------
        wanted:
            (batch, size) or (1, size): embedding of the prompt.

        Returns
        -------
        image:
            (batch, rows, columns), normalised.
        log_scale:
            The same shape: logarithm of the expected absolute error (Laplace scale).
        """

    def forward(self, images, described, wanted):
        """``decode(encode(images, described), wanted)``."""
        return self.decode(self.encode(images, described), wanted)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    def vectors(self, said: Sequence[Described]) -> torch.Tensor:
        """(len(said), VECTOR_SIZE): the contrasts in numbers."""
        return contrast_vectors(said).to(self.device)


def contrast_vectors(contrasts: Sequence[Described]) -> torch.Tensor:
    """:func:`contrast_vector` of each: (len(contrasts), VECTOR_SIZE)."""
    return torch.from_numpy(np.stack([contrast_vector(each) for each in contrasts]))
