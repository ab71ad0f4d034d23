"""CycleGAN (Zhu et al., ICCV 2017): two sequences into each other, learnt without pairs."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from ..errors import InputError
from ..sequences import SEQUENCE_NAMES
from ..synthesis.adversarial import PatchCritic, critic_term, generator_term
from ..synthesis.base import Step
from .common import Comparator, one_hot, per_image, signed, unsigned

CYCLE, IDENTITY, ADVERSARIAL = 1.0, 0.5, 0.1
"""The paper's 10, 5 and 1, scaled so that a step is as long as other networks'."""


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with instance normalisation, added to what came in."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.change = nn.Sequential(
            *_convolution(channels, channels, 3),
            nn.ReLU(),
            *_convolution(channels, channels, 3),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, channels, rows, columns) to the same."""
        return x + self.change(x)


def resnet_generator(width: int, blocks: int) -> nn.Sequential:
    """The paper's generator (after Johnson et al., ECCV 2016), from and to (batch, 1, rows,
    columns) in -1-1."""
    layers = [*_convolution(1, width, 7), nn.ReLU()]
    for channels in (width, 2 * width):
        layers += [*_convolution(channels, 2 * channels, 3, stride=2), nn.ReLU()]
    layers += [ResidualBlock(4 * width) for _ in range(blocks)]
    for channels in (4 * width, 2 * width):
        up = nn.ConvTranspose2d(channels, channels // 2, 3, 2, padding=1, output_padding=1)
        layers += [up, nn.InstanceNorm2d(channels // 2), nn.ReLU()]
    last = nn.Conv2d(width, 1, 7, padding=3, padding_mode="reflect")
    return nn.Sequential(*layers, last, nn.Tanh())


def _convolution(channels: int, out: int, size: int, stride: int = 1) -> tuple[nn.Module, ...]:
    """Convolution with reflected edges, and instance normalisation."""
    layer = nn.Conv2d(channels, out, size, stride, padding=size // 2, padding_mode="reflect")
    return layer, nn.InstanceNorm2d(out)


class CycleGAN(Comparator):
    """Two generators and two least-squares critics, held to each other by the way there and back
    (L1) and by leaving alone what already is of their target's sequence.

    Of each step it sees one half of the places in the first sequence and the other half in the
    second, so that it never sees a place in both; batches of one place alone would show it twice.

    Parameters
    ----------
    pair:
        The two sequences.
    width:
        Channels of generators at full resolution and of the critics first; published 64.
    blocks:
        Residual blocks; the paper's for 128 x 128.

    Raises
    ------
    InputError
        If these are not two sequences.
    """

    stride = 4

    def __init__(
        self, pair: Sequence[str] = ("T1w", "T2w"), width: int = 32, blocks: int = 6
    ) -> None:
        super().__init__()
        if len(set(pair)) != 2 or not set(pair) <= set(SEQUENCE_NAMES):
            raise InputError(
                f"The pair {list(pair)} must be two of {', '.join(SEQUENCE_NAMES)}; change it."
            )
        self.pair = tuple(pair)
        first, second = self.pair
        self.tasks = (((first,), second), ((second,), first))
        self.places = [SEQUENCE_NAMES.index(name) for name in self.pair]
        self.generators = nn.ModuleList(resnet_generator(width, blocks) for _ in range(2))
        self.critic = nn.ModuleList(PatchCritic(channels=width, norm="instance") for _ in range(2))

    def encode(self, images, described, valid=None, around=None) -> list[torch.Tensor]:
        """The first input (batch, 1, rows, columns) in -1-1.

        Raises
        ------
        InputError
            If it is neither of the pair.
        """
        given = one_hot(per_image(described, images.shape[0])[:, 0])
        if not bool(given[:, self.places].sum(1).eq(1).all()):
            raise InputError(f"This network takes {' or '.join(self.pair)}; give one of them.")
        return [signed(images[:, :1])]

    def decode(self, features, wanted) -> tuple[torch.Tensor, torch.Tensor]:
        """As :meth:`SynthesisNetwork.decode`; the whole network runs here."""
        (source,) = features
        numbers = one_hot(wanted)[:, self.places].argmax(1).expand(source.shape[0])
        made = source.new_empty(source.shape, dtype=torch.float32)
        for number in numbers.unique().tolist():
            chosen = numbers == number
            made[chosen] = self.generators[number](source[chosen]).float()
        image = unsigned(made)[:, 0]
        return image, self.doubt(image, wanted)

    def step_loss(self, step: Step) -> torch.Tensor:
        """Adversarial, cycle and identity terms of both ways, and the critics' own."""
        shown = {step.inputs[0]: step.images[:, :1], step.targets[0]: step.truths[:, :1]}
        images = [shown[name] for name in self.pair]
        count = max(step.images.shape[0] // 2, 1)
        halves = (slice(None, count), slice(-count, None))
        total = step.images.new_zeros(())
        for source, target in ((0, 1), (1, 0)):
            here, there = halves[source], halves[target]
            made, loss = self._one_way(
                source, target, signed(images[source][here]), signed(images[target][there])
            )
            # only the doubt, which does not touch the generators, is told the truth of a place
            image, truth = unsigned(made)[:, 0], images[target][here][:, 0]
            log_scale = self.log_scale[self.places[target]].expand_as(image)
            total = total + loss
            total = total + self.doubt_loss(image, log_scale, truth, step.weights[here])
        return total

    def _one_way(
        self, source: int, target: int, given: torch.Tensor, real: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The target made from ``given``, images of the source, and the loss of it; ``real`` are
        images of the target. Numbers count within the pair."""
        critic, generator = self.critic[target], self.generators[target]
        made = generator(given)
        back = self.generators[source](made)
        loss = CYCLE * functional.l1_loss(back.float(), given)
        loss = loss + IDENTITY * functional.l1_loss(generator(real).float(), real)
        loss = loss + ADVERSARIAL * generator_term(critic, None, made)
        return made, loss + critic_term(critic, None, real, made)
