"""What one step of training learns from: slices, their neighbours, which are synthetic, truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch.nn.functional import max_pool2d

from MRISynthLib.sequences import SEQUENCE_NAMES
from MRISynthLib.simulation.anatomy import LABELLED_STRUCTURES
from MRISynthLib.training.batches import SliceBatch
from MRISynthLib.training.sources import Source

from .stand_ins import StandIn
from .structures import STRUCTURES

LEARNED = tuple(STRUCTURES)
"""What is learned, of all that the cohort labels; position = channel."""

CHANNELS = [LABELLED_STRUCTURES.index(name) for name in LEARNED]

MIRROR = [LEARNED.index(STRUCTURES[name].mirror) for name in LEARNED]
"""Channel of the same structure on the other side."""

BRAIN = LEARNED.index("Brain")

LEAST_BRAIN = 400
"""Pixels of brain below which a slice is not stripped."""

MOST_INPUTS = 4

CONTRAST = "CE-T1w"
"""The sequence that is most often synthetic: what clinics want to do without."""

CONTRAST_SHARE = 0.7

END_SHARE = 0.1
"""So often the slices are the lowest or the highest of their stack, without one neighbour."""


@dataclass(frozen=True)
class Lesson:
    """Slices as ``StructureNet.forward`` takes them, and what is there.

    images, around, synthetic: see there; truth: (batch, structures, rows, columns) bool and known:
    (batch, structures) bool, in the order of :data:`LEARNED`.
    """

    images: dict[str, torch.Tensor]
    around: dict[str, torch.Tensor] | None
    synthetic: torch.Tensor
    truth: torch.Tensor
    known: torch.Tensor

    @classmethod
    def of(cls, batch: SliceBatch, names: Sequence[str], synthetic: Sequence[str] = ()) -> Lesson:
        """The images ``names`` of a batch, those in ``synthetic`` marked."""
        images = {name: batch.images[name] for name in names}
        around = None if batch.around is None else {name: batch.around[name] for name in names}
        flags = [name in synthetic for name in SEQUENCE_NAMES]
        first = images[names[0]]
        return cls(
            images,
            around,
            torch.tensor(flags, dtype=torch.float32, device=first.device).expand(len(first), -1),
            batch.structures[:, CHANNELS],
            batch.known[:, CHANNELS],
        )

    @property
    def device(self) -> torch.device:
        """Where the slices are."""
        return self.truth.device

    def logits(self, network: torch.nn.Module, edit: torch.Tensor | None = None) -> torch.Tensor:
        """What ``network`` makes of these slices."""
        return network(self.images, self.around, self.synthetic, edit)

    def of_inputs(self, names: Sequence[str]) -> Lesson:
        """The same with fewer images."""
        around = None if self.around is None else {name: self.around[name] for name in names}
        return replace(self, images={name: self.images[name] for name in names}, around=around)

    def window(self, corners: np.ndarray, size: tuple[int, int]) -> Lesson:
        """A part of each slice. corners: int (batch, 2), its first row and column."""

        def cut(tensor: torch.Tensor) -> torch.Tensor:
            return cut_out(tensor, corners, size)

        images = {name: cut(image) for name, image in self.images.items()}
        around = self.around and {name: cut(image) for name, image in self.around.items()}
        return replace(self, images=images, around=around, truth=cut(self.truth))


def cut_out(tensor: torch.Tensor, corners: np.ndarray, size: tuple[int, int]) -> torch.Tensor:
    """(batch, ..., *size) of a (batch, ..., rows, columns): of each slice from its own corner."""
    rows, columns = size
    return torch.stack(
        [
            each[..., top : top + rows, left : left + columns]
            for each, (top, left) in zip(tensor, corners.tolist(), strict=True)
        ]
    )


def draw_lesson(
    source: Source,
    config: dict[str, Any],
    stand_in: StandIn,
    rng: np.random.Generator,
    torch_rng: torch.Generator,
) -> Lesson:
    """Slices with a random set of sequences, at times one of them synthetic.

    Parameters
    ----------
    source:
        Where patients come from.
    config:
        Settings of the run: ``input_weights``, ``synthetic_share``, ``neighbours``,
        ``stripped_share``.
    stand_in:
        Makes the synthetic images.
    """
    part = source.pick(rng)
    given, made = _draw_inputs(config, part.available(rng), rng)
    if made is not None and not stand_in.can(given, made):
        made = None
    names = [name for name in given if name != made]
    wanted = given if made is None or stand_in.needs_real else names
    around = rng.random() < float(config["neighbours"])
    batch = part.draw(rng, torch_rng, wanted, around=around)
    if made is not None:
        image, nearby = stand_in.make(batch, names, made, rng)
        batch.images[made] = image
        if nearby is not None:
            batch.around[made] = nearby
        names = [*names, made]
    lesson = Lesson.of(batch, names, () if made is None else (made,))
    if rng.random() < float(config["stripped_share"]):
        lesson = skull_stripped(lesson, rng)
    return augmented(lesson, rng)


def _draw_inputs(
    config: dict[str, Any], available: frozenset[str], rng: np.random.Generator
) -> tuple[list[str], str | None]:
    """(all sequences that the network is given, that of them which is synthetic or None)."""
    shares = {name: w for name, w in config["input_weights"].items() if name in available}
    given = [name for name in shares if rng.random() < shares[name]][:MOST_INPUTS]
    given = given or [next(iter(shares))]
    if rng.random() >= float(config["synthetic_share"]) or len(shares) < 2:
        return given, None
    if CONTRAST in shares and rng.random() < CONTRAST_SHARE:
        others = [name for name in given if name != CONTRAST]
        first = next(name for name in shares if name != CONTRAST)
        return [*(others or [first]), CONTRAST], CONTRAST
    if len(given) < 2:
        return given, None
    return given, given[int(rng.integers(len(given)))]


def skull_stripped(lesson: Lesson, rng: np.random.Generator) -> Lesson:
    """The same with nothing but the brain, as many public and archived images are.

    Slices whose brain is not known or hardly seen stay as they are, as does CT. What is left is as
    bright as if the scale had been taken from it, and what was cut away is no longer there.
    """
    brain = lesson.truth[:, BRAIN] & lesson.known[:, BRAIN, None, None]
    enough = brain.sum((1, 2)) >= LEAST_BRAIN
    if not enough.any() or "CT" in lesson.images:
        return lesson
    # sulci are closed, and tools cut now closer, now farther out
    kept = _dilated(brain[:, None].float(), int(rng.integers(3, 6)))
    kept = 1 - _dilated(1 - kept, int(rng.integers(2, 5)))
    kept = torch.where(enough[:, None, None, None], kept, torch.ones_like(kept))
    images, around = {}, lesson.around and {}
    for name, image in lesson.images.items():
        scale = torch.ones(len(image), 1, 1, device=image.device)
        for index in enough.nonzero().flatten().tolist():
            bright = float(image[index][brain[index]].float().quantile(0.99))
            scale[index] = float(rng.uniform(0.85, 1.1)) / max(bright, 0.05)
        images[name] = (image * kept[:, 0] * scale).clamp(max=2)
        if around is not None:
            around[name] = (lesson.around[name] * kept * scale[:, None]).clamp(max=2)
    return replace(lesson, images=images, around=around, truth=lesson.truth & kept.bool())


def _dilated(mask: torch.Tensor, pixels: int) -> torch.Tensor:
    return max_pool2d(mask, 2 * pixels + 1, stride=1, padding=pixels)


def augmented(lesson: Lesson, rng: np.random.Generator) -> Lesson:
    """Mirrored at times (left and right names change places), grey scales bent, at times without
    the slice on one side."""
    images, around = dict(lesson.images), lesson.around and dict(lesson.around)
    for name in images:
        power = float(rng.uniform(0.8, 1.25))
        images[name] = images[name].clamp_min(0) ** power
        if around:
            around[name] = around[name].clamp_min(0) ** power
    if around and rng.random() < END_SHARE:
        left = torch.zeros(2, device=lesson.device)
        left[int(rng.integers(2))] = 1
        around = {name: image * left[:, None, None] for name, image in around.items()}
    truth, known = lesson.truth, lesson.known
    if rng.random() < 0.5:
        images = {name: image.flip(-1) for name, image in images.items()}
        around = around and {name: image.flip(-1) for name, image in around.items()}
        truth, known = truth.flip(-1)[:, MIRROR], known[:, MIRROR]
    return Lesson(images, around, lesson.synthetic, truth, known)
