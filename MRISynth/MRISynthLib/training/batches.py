"""Training batches of simulated slices, made on the fly from a cohort's anatomies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from ..simulation.acquisition import predictable
from ..simulation.anatomy import LABELLED_STRUCTURES, bit
from ..simulation.examinations import Examination, Hospital
from ..simulation.hospitals import inside_hospitals
from ..simulation.imaging import Acquisition, PatientTissues, acquire, tissue_maps
from ..simulation.protocols import Mention, Protocol, mention
from ..simulation.slabs import mean_parameters, signal_samples
from ..simulation.slices import PROFILE_REACH
from ..simulation.tissues import TISSUE_INDEX
from ..synthesis.base import NEIGHBOUR_MM
from .cohort import BODY, PHARYNX_LEVEL, read_anatomy

PLAIN = 0.4
"""Share of images of which nothing but the sequence is said."""


@dataclass
class SliceBatch:
    """Slices of one or more simulated patients.

    images: sequence -> (batch, rows, columns), normalised by the volume's expected 99.5th
    percentile; mentions: sequence -> what a prompt says of it; tissue: (batch, rows,
    columns) long; structures: (batch, structures, rows, columns) bool in the order of
    ``LABELLED_STRUCTURES``; known: (batch, structures) bool; parameters: (batch, 7, rows, columns),
    ``slabs.PARAMETERS`` of what is there, None if they were not asked for; around: sequence ->
    (batch, 2, rows, columns), the slices below and above, zero where they are not known, None if
    they were not asked for; protocols: sequence -> how it was taken, None of real images.
    """

    images: dict[str, torch.Tensor]
    mentions: dict[str, list[Mention]]
    tissue: torch.Tensor
    structures: torch.Tensor
    known: torch.Tensor
    parameters: torch.Tensor | None = None
    around: dict[str, torch.Tensor] | None = None
    protocols: dict[str, list[Protocol]] | None = None

    @classmethod
    def joined(cls, parts: Sequence[SliceBatch]) -> SliceBatch:
        """The slices of several batches, one after the other."""
        first = parts[0]

        def together(name: str) -> dict:
            return {s: torch.cat([getattr(part, name)[s] for part in parts]) for s in first.images}

        def listed(name: str) -> dict:
            return {s: [x for part in parts for x in getattr(part, name)[s]] for s in first.images}

        return cls(
            together("images"),
            listed("mentions"),
            *(torch.cat([getattr(p, n) for p in parts]) for n in ("tissue", "structures", "known")),
            None if first.parameters is None else torch.cat([part.parameters for part in parts]),
            None if first.around is None else together("around"),
            None if first.protocols is None else listed("protocols"),
        )


def expected_scale(
    tissue_counts: np.ndarray, patient: PatientTissues, protocol: Protocol, samples: int = 32
) -> float:
    """The 99.5th percentile that ``normalise`` would find in the body of the whole volume.

    Calculated from the tissues' volumes instead of simulating the volume: the signal of each
    tissue with its texture, weighted by how much of it there is.
    """
    values = signal_samples(patient, protocol, samples).abs().numpy()
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
    """Draws batches from the anatomies of a cohort, each patient examined in a hospital.

    Parameters
    ----------
    paths:
        Files of ``cohort.prepare_cohort``; kept on the device.
    size:
        (rows, columns) of a training slice.
    pixel_mm:
        In-plane pixel size.
    cases, slices:
        Patients in a batch and slices of each.
    focus:
        Share of slices that pass through a tumour or, without one, the nasopharynx.
    by_structure:
        Share of slices that pass through a structure drawn at random, however small it is.
    flip:
        Whether slices may be mirrored (not where left and right have names).
    hospitals:
        Where patients are examined; by default all those that may be trained on.
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
        hospitals: Sequence[Hospital] = (),
    ) -> None:
        self.anatomies = [_OnDevice.read(path, device) for path in paths]
        self.size, self.pixel_mm = size, pixel_mm
        self.cases, self.slices = cases, slices
        self.focus, self.by_structure = focus, by_structure
        self.flip, self.device = flip, device
        self.hospitals = tuple(hospitals) or inside_hospitals()

    def draw(
        self,
        rng: np.random.Generator,
        torch_rng: torch.Generator,
        sequences: list[str],
        clean: tuple[str, ...] = (),
        plain: float = PLAIN,
        parameters: bool = False,
        around: bool = False,
    ) -> SliceBatch:
        """One batch with an image of each of ``sequences``.

        ``plain``: share of targets of which nothing but the sequence is said; ``parameters``,
        ``around``: whether tissue parameters and the neighbouring slices of all but ``clean``
        sequences are wanted. Neighbours are given where they lie within
        :data:`base.NEIGHBOUR_MM`.

        Images of the sequences in ``clean`` (targets) are made without what cannot be predicted:
        noise, motion, failing suppression. Coil, resolution and the effects of the field stay as
        they are in that hospital.
        """
        parts = [
            self._draw_case(rng, torch_rng, sequences, clean, plain, parameters, around)
            for _ in range(self.cases)
        ]
        return SliceBatch.joined(parts)

    def _draw_case(self, rng, torch_rng, sequences, clean, plain, parameters, around) -> SliceBatch:
        anatomy = self.anatomies[int(rng.integers(len(self.anatomies)))]
        where = self.hospitals[int(rng.integers(len(self.hospitals)))]
        examination = where.draw_examination(rng)
        axial = examination.plane == "axial"
        # other planes come to the network as axial slices, about as thick as their pixels
        thickness = examination.slice_mm if axial else self.pixel_mm
        apart = thickness + examination.gap_mm if axial else self.pixel_mm
        stack = np.array((-apart, 0.0, apart) if around and apart <= NEIGHBOUR_MM else (0.0,))
        middle = len(stack) // 2
        labels, codes = self._cut(anatomy, rng, thickness, where.geometry.oblique_deg, stack)
        patient = PatientTissues.draw(rng, where.field_t)
        step = PROFILE_REACH * thickness / labels.shape[1]
        levels = stack if len(stack) > 1 else None
        whole = tissue_maps(labels, patient, torch_rng, self.pixel_mm, step, levels)
        centre = slice(middle, None, len(stack))
        maps = whole.some(centre) if len(stack) > 1 else whole
        images, mentions, protocols, nearby = {}, {}, {}, {}
        for number, sequence in enumerate(sequences):
            protocol = where.draw_protocol(sequence, rng, thickness)
            moved = number > 0 and sequence not in clean
            acquisition = where.draw_acquisition(sequence, rng, examination, moved)
            acquisition = replace(acquisition, slice_mm=thickness)
            if sequence in clean:
                acquisition = predictable(acquisition)
            if not axial:
                acquisition = _reformatted(acquisition, examination)
            seen = maps if sequence in clean else whole
            image = acquire(seen, protocol, acquisition, torch_rng)
            scale = expected_scale(anatomy.counts, patient, protocol)
            if sequence not in clean:
                scale *= float(rng.uniform(0.88, 1.12))
            image = normalised(image, scale, protocol.technique)
            if seen is whole and len(stack) > 1:
                stacked = image.unflatten(0, (-1, len(stack)))
                image, nearby[sequence] = stacked[:, middle], stacked[:, ::2]
            elif around:
                nearby[sequence] = image.new_zeros(len(image), 2, *image.shape[1:])
            images[sequence] = image
            said = mention(protocol, rng, plain if sequence in clean else PLAIN)
            mentions[sequence] = [said] * self.slices
            protocols[sequence] = [protocol] * self.slices
        return SliceBatch(
            images,
            mentions,
            maps.labels[:, labels.shape[1] // 2],
            anatomy.flags[codes[centre].long()].movedim(-1, 1),
            anatomy.known.expand(self.slices, -1),
            mean_parameters(maps, thickness) if parameters else None,
            nearby if around else None,
            protocols,
        )

    def _cut(
        self,
        anatomy: _OnDevice,
        rng: np.random.Generator,
        thickness: float,
        oblique: float,
        stack: np.ndarray,
    ):
        """(labels (slices * len(stack), sub-slices, rows, columns) long, structure codes (slices *
        len(stack), rows, columns)) under a random tilt, in-plane turn, scale and shift; ``stack``:
        where the slices of each stack lie, mm from its middle."""
        rows, columns = self.size
        count = max(3, 2 * round((PROFILE_REACH * thickness - 1) / 2) + 1)
        depths = (np.arange(count) - (count - 1) / 2) * PROFILE_REACH * thickness / count
        middle = (np.array(anatomy.tissue.shape) - 1) / 2
        view = np.array((rows, columns)) * self.pixel_mm
        slack = np.maximum(np.array(anatomy.tissue.shape[1:]) - view, 0)
        starts, down, right, through = (np.empty((self.slices, 3)) for _ in range(4))
        for n in range(self.slices):
            angles = (rng.normal(0, oblique), 0.5 * rng.normal(0, oblique), rng.normal(0, 6))
            # scipy speaks of x, y, z; the voxel axes are z, y, x
            turn = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()[::-1, ::-1]
            step = self.pixel_mm * rng.uniform(0.9, 1.1)
            mirror = -1.0 if self.flip and rng.random() < 0.5 else 1.0
            through[n], down[n], right[n] = (
                turn[:, 0],
                turn[:, 1] * step,
                turn[:, 2] * step * mirror,
            )
            centre = middle.copy()
            centre[1:] += rng.uniform(-0.5, 0.5, 2) * slack * 0.9
            centre += through[n] * ((self._place(anatomy, rng) - centre) @ through[n])
            starts[n] = centre - down[n] * (rows / 2 - 0.5) - right[n] * (columns / 2 - 0.5)

        def on_device(values) -> torch.Tensor:
            return torch.as_tensor(values, dtype=torch.float32, device=self.device)

        row = torch.arange(rows, device=self.device, dtype=torch.float32)[:, None, None]
        column = torch.arange(columns, device=self.device, dtype=torch.float32)[None, :, None]
        starts = (starts[:, None] + stack[None, :, None] * through[:, None]).reshape(-1, 3)
        down, right, through = (np.repeat(each, len(stack), 0) for each in (down, right, through))
        plane = (
            on_device(starts)[:, None, None]
            + row * on_device(down)[:, None, None]
            + column * on_device(right)[:, None, None]
        )
        depth = on_device(depths)[None, :, None] * on_device(through)[:, None]
        index = (plane[:, None] + depth[:, :, None, None]).round().int()
        size = torch.tensor(anatomy.tissue.shape, device=self.device)
        inside = ((index >= 0) & (index < size)).all(-1)
        flat = (index[..., 0] * size[1] + index[..., 1]) * size[2] + index[..., 2]
        flat = torch.where(inside, flat, 0)
        labels = torch.where(inside, anatomy.tissue.view(-1)[flat].long(), 0)
        centre, kept = flat[:, count // 2], inside[:, count // 2]
        codes = torch.where(kept, anatomy.codes.view(-1)[centre], 0)
        return labels, codes

    def _place(self, anatomy: _OnDevice, rng: np.random.Generator) -> np.ndarray:
        """A voxel (slice, row, column) through which a slice shall pass."""
        share = rng.random()
        if share < self.by_structure:
            row = anatomy.present[int(rng.integers(len(anatomy.present)))]
        elif share < self.by_structure + self.focus:
            row = anatomy.interesting
        else:
            row = BODY
        return anatomy.places[row, int(rng.integers(anatomy.places.shape[1]))].astype(float)


@dataclass
class _OnDevice:
    """An anatomy where slices are cut: tensors on the device."""

    tissue: torch.Tensor
    codes: torch.Tensor
    flags: torch.Tensor
    """(palette, structures) bool."""
    known: torch.Tensor
    counts: np.ndarray
    places: np.ndarray
    present: list[int]
    interesting: int

    @classmethod
    def read(cls, path: Path, device: str) -> _OnDevice:
        anatomy = read_anatomy(path)
        bits = np.array([bit(name) for name in LABELLED_STRUCTURES])
        present = [n for n in range(len(LABELLED_STRUCTURES)) if anatomy.places[n, 0, 0] >= 0]
        tumour = LABELLED_STRUCTURES.index("GTVp")
        return cls(
            torch.from_numpy(anatomy.tissue).to(device),
            torch.from_numpy(anatomy.codes).to(device),
            torch.from_numpy((anatomy.palette[:, None] & bits) != 0).to(device),
            torch.tensor([name in anatomy.known for name in LABELLED_STRUCTURES], device=device),
            anatomy.counts,
            anatomy.places,
            present or [BODY],
            tumour if tumour in present else PHARYNX_LEVEL,
        )


def _reformatted(acquisition: Acquisition, examination: Examination) -> Acquisition:
    """As an axial slice of a coronal or sagittal stack shows it: coarse across its slices."""
    across = 0.42 * (examination.slice_mm + examination.gap_mm)  # FWHM to standard deviation
    readout = "columns" if examination.plane == "coronal" else "rows"
    blur = float(np.hypot(acquisition.motion_mm, across))
    return replace(acquisition, motion_mm=blur, ghosts=0.0, readout=readout)


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
