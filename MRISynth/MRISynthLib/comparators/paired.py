"""What Hi-Net and the MMgSN family share: T1w and T2w in, one sequence out, an adversary."""

from __future__ import annotations

from abc import abstractmethod

import torch
from monai.networks.blocks import Convolution
from torch.nn import functional

from ..errors import InputError
from ..sequences import SEQUENCE_NAMES
from ..synthesis.adversarial import PatchCritic, critic_term, generator_term
from ..synthesis.base import Step
from .common import Comparator, as_channels, one_hot, per_image, signed, unsigned

PAIR = ("T1w", "T2w")
PLACES = [SEQUENCE_NAMES.index(name) for name in PAIR]

ADVERSARIAL_WEIGHT = 0.01
"""Against an L1 of 1: their 1 to 100, scaled so that a step is as long as other networks'."""

LEAKY = ("leakyrelu", {"negative_slope": 0.2})


class PairNetwork(Comparator):
    """One network for one task. Subclasses offer :meth:`generate` and set ``critic``.

    Parameters
    ----------
    target:
        The sequence that it makes.

    Raises
    ------
    InputError
        If there is no such sequence, or it is one of the inputs.
    """

    critic: PatchCritic

    def __init__(self, target: str) -> None:
        super().__init__()
        if target not in SEQUENCE_NAMES or target in PAIR:
            raise InputError(
                f"The target '{target}' cannot be made from {' + '.join(PAIR)}; choose one of "
                f"{', '.join(name for name in SEQUENCE_NAMES if name not in PAIR)}."
            )
        self.tasks = ((PAIR, target),)

    @abstractmethod
    def generate(self, pair: torch.Tensor) -> torch.Tensor:
        """From (batch, 2, rows, columns), as of :meth:`prepared`, to the target in -1-1 (batch, 1,
        rows, columns)."""

    def learn(self, pair: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What :meth:`generate` returns, and what a paper adds to the loss of the image."""
        return self.generate(pair), pair.new_zeros(())

    def prepared(self, pair: torch.Tensor) -> torch.Tensor:
        """T1w and T2w (batch, 2, rows, columns) on the network's own scale."""
        return signed(pair)

    def encode(self, images, described, valid=None, around=None) -> list[torch.Tensor]:
        """T1w and T2w, in this order, whatever order they came in.

        Raises
        ------
        InputError
            If either is missing.
        """
        given = one_hot(per_image(described, images.shape[0])).sum(1)
        if not bool((given[:, PLACES] == 1).all()):
            raise InputError(f"This network takes {' + '.join(PAIR)}; give both.")
        return [self.prepared(as_channels(images, described)[:, PLACES])]

    def decode(self, features, wanted) -> tuple[torch.Tensor, torch.Tensor]:
        """As :meth:`SynthesisNetwork.decode`; the whole network runs here."""
        image = unsigned(self.generate(features[0]))[:, 0]
        return image, self.doubt(image, wanted)

    def step_loss(self, step: Step) -> torch.Tensor:
        """L1 and the adversarial term of the image, and the critic's own."""
        (pair,) = self.encode(step.images, step.described)
        made, extra = self.learn(pair)
        truth = signed(step.truths[:, :1])
        image = unsigned(made)[:, 0]
        log_scale = self.doubt(image, step.wanted[0])
        return (
            functional.l1_loss(made.float(), truth)
            + ADVERSARIAL_WEIGHT * generator_term(self.critic, None, made)
            + extra
            + critic_term(self.critic, None, truth, made)
            + self.doubt_loss(image, log_scale, step.truths[:, 0], step.weights)
        )


def block(channels: int, out: int, act: str | tuple = LEAKY) -> Convolution:
    """3x3 convolution, batch normalisation, activation."""
    return Convolution(2, channels, out, kernel_size=3, norm="batch", act=act)


def mixed(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Sum, product and maximum of the features of two sequences, one behind the other."""
    return torch.cat((first + second, first * second, torch.maximum(first, second)), 1)


def doubled(x: torch.Tensor) -> torch.Tensor:
    """Twice the rows and columns."""
    return functional.interpolate(x, scale_factor=2, mode="nearest")
