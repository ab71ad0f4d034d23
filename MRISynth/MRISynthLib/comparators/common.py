"""What the comparators share: sequences as planes, inputs as channels, a constant doubt."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from ..sequences import SEQUENCE_NAMES
from ..synthesis.base import SynthesisNetwork
from ..synthesis.described import Described
from ..synthesis.losses import laplace_nll

COUNT = len(SEQUENCE_NAMES)

FIRST_LOG_SCALE = -3.0
DOUBT_WEIGHT = 0.05


class Comparator(SynthesisNetwork):
    """A network that is told sequences, not protocols, and has one doubt for each target.

    Its embeddings are contrast vectors, of which it looks at the one-hot of the sequence alone.
    None of the papers says how sure its image is; a constant for each target, learnt beside the
    image without touching it, stands in for that.
    """

    reads_prompts = False

    def __init__(self) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.full((COUNT,), FIRST_LOG_SCALE))

    def embed(self, said: Sequence[Described]) -> torch.Tensor:
        """(len(said), VECTOR_SIZE); the first numbers are the one-hot of the sequence."""
        return self.vectors(said)

    def doubt(self, image: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        """The target's logarithm of the expected error, in the shape of ``image``."""
        log_scale = (one_hot(wanted) * self.log_scale).sum(1)
        return log_scale[:, None, None].expand_as(image)

    def doubt_loss(
        self,
        image: torch.Tensor,
        log_scale: torch.Tensor,
        truth: torch.Tensor,
        weights: torch.Tensor,
    ) -> torch.Tensor:
        """What the doubt learns from, at a small weight; parameters as of ``laplace_nll``."""
        return DOUBT_WEIGHT * laplace_nll(image, log_scale, truth, weights)


def one_hot(embedded: torch.Tensor) -> torch.Tensor:
    """(..., sequences) of embeddings (..., size)."""
    return embedded[..., :COUNT]


def per_image(described: torch.Tensor, batch: int) -> torch.Tensor:
    """(batch, inputs, size) of descriptions with or without the axis of the batch."""
    return described.expand(batch, *described.shape[-2:])


def planes(embedded: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """The one-hot of the sequence as constant images (batch, sequences, rows, columns).

    embedded: (batch, size) or (1, size); like: (batch, any, rows, columns).
    """
    values = one_hot(embedded)[:, :, None, None]
    return values.expand(like.shape[0], COUNT, *like.shape[2:])


def as_channels(images: torch.Tensor, described: torch.Tensor) -> torch.Tensor:
    """Inputs (batch, inputs, rows, columns) at the channels of their sequences, in the order of
    ``SEQUENCE_NAMES``: (batch, sequences, rows, columns); a sequence that is not given is 0."""
    places = one_hot(per_image(described, images.shape[0]))[..., None, None]
    return (places * images[:, :, None]).sum(1)


def one_source_each(
    images: torch.Tensor, described: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """For a network of one input: an input of each place (batch, 1, rows, columns) and what it
    is (batch, size). The inputs take turns, so that all of them are learnt from alike."""
    batch, count = images.shape[:2]
    places = torch.arange(batch, device=images.device)
    described = per_image(described, batch)
    return images[places, places % count][:, None], described[places, places % count]


def signed(images: torch.Tensor) -> torch.Tensor:
    """From 0-1 to the -1-1 of networks that end in a hyperbolic tangent."""
    return 2.0 * images - 1.0


def unsigned(images: torch.Tensor) -> torch.Tensor:
    """Back to 0-1, in single precision."""
    return 0.5 * (images.float() + 1.0)
