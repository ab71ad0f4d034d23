"""Training batches of simulated slices, made on the fly from a cohort's anatomies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ..simulation.anatomy import LABELLED_STRUCTURES, Anatomy
from ..simulation.imaging import Acquisition, PatientTissues, acquire, tissue_maps
from ..simulation.protocols import Mention, draw_protocol, mention
from ..simulation.signal import Protocol, signal
from ..simulation.tissues import TISSUE_INDEX, TISSUES
from .cohort import read_anatomy

SUB_SLICES = (-1, 0, 1)
"""A training slice is 3 mm thick: three sub-slices of 1 mm."""


@dataclass
class SliceBatch:
    """Slices of one or more simulated patients.

    images: sequence -> (batch, rows, columns), normalised by the volume's expected 99.5th
    percentile; mentions: sequence -> what a prompt says of it; tissue: (batch, rows,
    columns) long; structures: (batch, structures, rows, columns) bool in the order of
    ``LABELLED_STRUCTURES``; known: (batch, structures) bool.
    """

    images: dict[str, torch.Tensor]
    mentions: dict[str, list[Mention]]
    tissue: torch.Tensor
    structures: torch.Tensor
    known: torch.Tensor


def expected_scale(
    tissue_counts: np.ndarray, patient: PatientTissues, protocol: Protocol, samples: int = 32
) -> float:
    """The 99.5th percentile that ``normalise`` would find in the body of the whole volume.

    Calculated from the tissues' volumes instead of simulating the volume: the signal of each
    tissue with its texture, weighted by how much of it there is.
    """
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(len(TISSUES)).repeat_interleave(samples).view(1, 1, len(TISSUES), samples)
    spread = torch.randn(labels.shape, generator=generator)
    maps = tissue_maps(labels, patient, generator)
    maps.t1_ms = maps.t1_ms.mean(3, keepdim=True) * (1 + 0.04 * spread)
    values = signal(maps, protocol).abs().reshape(len(TISSUES), samples).numpy()
    weights = tissue_counts.astype(float).copy()
    weights[TISSUE_INDEX["air"]] = 0.0
    weights = np.repeat(weights / samples, samples)
    order = np.argsort(values.ravel())
    cumulative = np.cumsum(weights[order])
    position = np.searchsorted(cumulative, 0.995 * cumulative[-1])
    return float(max(values.ravel()[order][min(position, len(order) - 1)], 1e-4))


def normalised(image: torch.Tensor, scale: float, technique: str) -> torch.Tensor:
    """The networks' scale: CT from -1000..1500 HU to 0..1, the rest by their percentile."""
    if technique == "CT":
        return ((image + 1000.0) / 2500.0).clamp(0, 2)
    return (image / scale).clamp(0, 2)


class SimulatedSlices:
    """Draws batches from the anatomies of a cohort.

    Parameters
    ----------
    paths:
        Files of ``cohort.prepare_cohort``; kept in memory.
    size:
        (rows, columns) of a training slice.
    pixel_mm:
        In-plane pixel size.
    cases, slices:
        Patients in a batch and slices of each.
    focus:
        Share of slices that pass through the tumour or, without one, the nasopharynx.
    by_structure:
        Share of slices that pass through a structure drawn at random, however small it is.
    flip:
        Whether slices may be mirrored (not where left and right have names).
    """

    def __init__(
        self,
        paths: list[Path],
        size: tuple[int, int],
        pixel_mm: float,
        cases: int,
        slices: int,
        focus: float = 0.5,
        by_structure: float = 0.0,
        flip: bool = True,
        device: str = "cpu",
    ) -> None:
        self.anatomies: list[Anatomy] = [read_anatomy(path) for path in paths]
        self.counts = [
            np.bincount(a.tissue.ravel(), minlength=len(TISSUES))[: len(TISSUES)]
            for a in self.anatomies
        ]
        self.levels = [_interesting_levels(a) for a in self.anatomies]
        self.bodies = [np.flatnonzero(a.tissue[:, ::4, ::4].any((1, 2))) for a in self.anatomies]
        self.size, self.pixel_mm = size, pixel_mm
        self.cases, self.slices = cases, slices
        self.focus, self.by_structure = focus, by_structure
        self.flip, self.device = flip, device
        self.structure_levels = (
            [_structure_levels(a) for a in self.anatomies] if by_structure > 0 else []
        )

    def draw(
        self,
        rng: np.random.Generator,
        torch_rng: torch.Generator,
        sequences: list[str],
        clean: tuple[str, ...] = (),
        plain: float = 0.4,
    ) -> SliceBatch:
        """One batch with an image of each of ``sequences``.

        Images of the sequences in ``clean`` (targets) are made without bias and with hardly
        any noise: neither can be predicted.
        """
        parts = [
            self._draw_case(rng, torch_rng, sequences, clean, plain) for _ in range(self.cases)
        ]
        return SliceBatch(
            {s: torch.cat([part.images[s] for part in parts]) for s in sequences},
            {s: [m for part in parts for m in part.mentions[s]] for s in sequences},
            torch.cat([part.tissue for part in parts]),
            torch.cat([part.structures for part in parts]),
            torch.cat([part.known for part in parts]),
        )

    def _draw_case(self, rng, torch_rng, sequences, clean, plain) -> SliceBatch:
        number = int(rng.integers(len(self.anatomies)))
        anatomy = self.anatomies[number]
        slabs, flags = self._cut(number, rng)
        labels = torch.from_numpy(slabs).to(self.device)
        field_t = float(rng.choice((1.5, 3.0), p=(0.4, 0.6)))
        patient = PatientTissues.draw(rng, field_t)
        maps = tissue_maps(labels, patient, torch_rng)
        images, mentions = {}, {}
        for sequence in sequences:
            protocol = draw_protocol(sequence, rng, field_t)
            if sequence in clean:
                acquisition = Acquisition(blur_mm=0.5, noise=0.003, bias=0.0)
            else:
                acquisition = Acquisition.draw(rng, moved=sequence != sequences[0])
            image = acquire(maps, protocol, acquisition, torch_rng, self.pixel_mm)
            scale = expected_scale(self.counts[number], patient, protocol)
            if sequence not in clean:
                scale *= float(rng.uniform(0.88, 1.12))
            images[sequence] = normalised(image, scale, protocol.technique)
            mentions[sequence] = [mention(protocol, rng, plain)] * len(slabs)
        structures = torch.from_numpy(flags).to(self.device)
        bits = torch.arange(len(LABELLED_STRUCTURES), device=self.device)
        masks = (structures[:, None] >> bits[None, :, None, None]) & 1
        known = torch.tensor([name in anatomy.known for name in LABELLED_STRUCTURES])
        return SliceBatch(
            images,
            mentions,
            labels[:, len(SUB_SLICES) // 2],
            masks.bool(),
            known.to(self.device).expand(len(slabs), -1),
        )

    def _cut(self, number: int, rng: np.random.Generator):
        """(labels (slices, sub-slices, rows, columns), structure bits (slices, rows, columns))
        under a random in-plane rotation, scale and shift."""
        anatomy, levels, body = self.anatomies[number], self.levels[number], self.bodies[number]
        depth, height, width = anatomy.tissue.shape
        rows, columns = self.size
        slabs = np.empty((self.slices, len(SUB_SLICES), rows, columns), np.int64)
        flags = np.empty((self.slices, rows, columns), np.int32)
        slack = np.maximum(np.array((height, width)) - np.array((rows, columns)) * self.pixel_mm, 0)
        for n in range(self.slices):
            share = rng.random()
            if share < self.by_structure:
                structures = self.structure_levels[number]
                level = rng.choice(structures[int(rng.integers(len(structures)))])
            elif share < self.by_structure + self.focus:
                level = rng.choice(levels)
            else:
                level = rng.choice(body)
            z = np.clip(level + np.array(SUB_SLICES), 0, depth - 1)
            angle = np.deg2rad(rng.normal(0, 6))
            step = self.pixel_mm * rng.uniform(0.9, 1.1)
            mirror = -1.0 if self.flip and rng.random() < 0.5 else 1.0
            centre = np.array((height, width)) / 2 + rng.uniform(-0.5, 0.5, 2) * slack * 0.9
            v = (np.arange(rows) - rows / 2 + 0.5)[:, None] * step
            u = (np.arange(columns) - columns / 2 + 0.5)[None, :] * step * mirror
            y = np.rint(centre[0] + np.cos(angle) * v - np.sin(angle) * u).astype(int)
            x = np.rint(centre[1] + np.sin(angle) * v + np.cos(angle) * u).astype(int)
            outside = (y < 0) | (y >= height) | (x < 0) | (x >= width)
            y, x = y.clip(0, height - 1), x.clip(0, width - 1)
            slab = anatomy.tissue[z[:, None, None], y[None], x[None]]
            slab[:, outside] = 0
            slabs[n] = slab
            flags[n] = np.where(outside, 0, anatomy.structures[z[1], y, x])
        return slabs, flags


def _interesting_levels(anatomy: Anatomy) -> np.ndarray:
    """Slices through the tumour; without one, those around the nasopharynx."""
    tumour = np.flatnonzero(anatomy.mask("GTVp").any((1, 2)))
    if tumour.size:
        return tumour
    level = -anatomy.index_to_world[2, 3]
    return np.arange(int(level) - 50, int(level) - 15).clip(0, anatomy.tissue.shape[0] - 1)


def _structure_levels(anatomy: Anatomy) -> list[np.ndarray]:
    """Slices through each known structure that is there, one array a structure."""
    masks = (anatomy.mask(name).any((1, 2)) for name in anatomy.known)
    return [np.flatnonzero(mask) for mask in masks if mask.any()]


def loss_weights(tissue: torch.Tensor, tumour: float = 5.0, air: float = 0.2) -> torch.Tensor:
    """Weight of every pixel: 1 in the body, ``air`` outside, ``tumour`` in the tumour, and
    half-way for the tissues that are mistaken for it."""
    weights = torch.ones_like(tissue, dtype=torch.float32)
    weights[tissue == TISSUE_INDEX["air"]] = air
    for name in ("tumour", "necrosis"):
        weights[tissue == TISSUE_INDEX[name]] = tumour
    for name in ("mucosa", "lymphoid tissue"):
        weights[tissue == TISSUE_INDEX[name]] = 0.5 * (1 + tumour)
    return weights
