"""Synthetic images to train with: the network shall know how far to trust them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from monai.networks.layers import GaussianFilter

from MRISynthLib.bundles import load_bundle
from MRISynthLib.devices import choose_dtype
from MRISynthLib.prompts import for_sequence
from MRISynthLib.synthesis.base import SynthesisNetwork
from MRISynthLib.synthesis.completion import completed
from MRISynthLib.synthesis.conditioning import describe_target
from MRISynthLib.training.batches import SliceBatch

Made = tuple[torch.Tensor, torch.Tensor | None]
"""An image (batch, rows, columns) and its neighbours (batch, 2, rows, columns), if the batch has
neighbours."""

BLUR_PIXELS = (0.7, 1.6)
"""Standard deviation of what makes a real image like a synthetic one, from - to."""

BRIGHTNESS = (0.88, 1.12)
"""What the scale of a volume can be wrong by, as for images that are simulated."""


class StandIn(Protocol):
    """Makes synthetic images."""

    needs_real: bool
    """Whether the batch must hold the real image too."""

    def can(self, given: Sequence[str], target: str) -> bool:
        """Whether it makes ``target`` of the others of ``given``."""

    def make(
        self, batch: SliceBatch, given: Sequence[str], target: str, rng: np.random.Generator
    ) -> Made:
        """``target`` of the images ``given``."""


def open_stand_in(folder: str | None, device: torch.device) -> StandIn:
    """A synthesis model, or without one blurred images.

    Raises
    ------
    InputError
        If ``folder`` is no bundle of a synthesis model.
    """
    return Blurred() if folder is None else Synthesised(folder, device)


class Blurred:
    """Real images, blurred: as smooth as synthetic ones, but with all that they show."""

    needs_real = True

    def can(self, given: Sequence[str], target: str) -> bool:
        """Always."""
        return True

    def make(
        self, batch: SliceBatch, given: Sequence[str], target: str, rng: np.random.Generator
    ) -> Made:
        """The batch's own ``target``, blurred."""
        blur = GaussianFilter(2, float(rng.uniform(*BLUR_PIXELS))).to(batch.images[target].device)
        image = blur(batch.images[target][:, None])[:, 0]
        return image, None if batch.around is None else blur(batch.around[target])


class Synthesised:
    """What a synthesis model makes of the batch's other images, as the Synthesizer would."""

    needs_real = False

    def __init__(self, folder: str, device: torch.device) -> None:
        network = load_bundle(folder, "synthesis").network().eval().requires_grad_(False)
        self.network: SynthesisNetwork = network.to(device, memory_format=torch.channels_last)
        self._dtype = choose_dtype(device)

    def can(self, given: Sequence[str], target: str) -> bool:
        """Whether the model does just that."""
        others = {name for name in given if name != target}
        tasks = self.network.tasks
        return bool(others) and (
            tasks is None or any(set(names) == others and made == target for names, made in tasks)
        )

    @torch.no_grad()
    def make(
        self, batch: SliceBatch, given: Sequence[str], target: str, rng: np.random.Generator
    ) -> Made:
        """Made of the slices and, where there are any, of their neighbours too."""
        network = self.network
        images = torch.stack([batch.images[name] for name in given], 1)
        said = [batch.mentions[name] for name in given]
        plain = describe_target(for_sequence(target))
        wishes = [completed(plain, found)[0] for found in zip(*said, strict=True)]
        described = torch.stack([network.embed(each) for each in said], 1)
        wanted = network.embed(wishes)
        nearby = None
        if batch.around is not None:
            nearby = torch.stack([batch.around[name] for name in given], 1)
            images = torch.cat([images, nearby[:, :, 0], nearby[:, :, 1]])
            described, wanted = described.repeat(3, 1, 1), wanted.repeat(3, 1)
        around = None if nearby is None or not network.context else _around(images, nearby)
        with torch.autocast(
            images.device.type, self._dtype, enabled=self._dtype is not torch.float32
        ):
            features = network.encode(images, described, None, around)
            made, _ = network.decode(features, wanted)
        made = made.float().clamp_min(0) / float(rng.uniform(*BRIGHTNESS))
        if nearby is None:
            return made, None
        middle, below, above = made.chunk(3)
        # a neighbour that is not known is not known of a synthetic image either
        is_there = nearby.flatten(3).any(3).any(1)[:, :, None, None]
        return middle, torch.stack([below, above], 1) * is_there


def _around(images: torch.Tensor, nearby: torch.Tensor) -> torch.Tensor:
    """Neighbours of the slices and of their neighbours, of which one side only is known."""
    middle = images[: len(nearby)]
    nothing = torch.zeros_like(middle)
    of_below, of_above = torch.stack([nothing, middle], 2), torch.stack([middle, nothing], 2)
    return torch.cat([nearby, of_below, of_above])
