"""One patient as evaluation sees it: images in one frame, truths to compare with.

In the simulation as in a scanner every sequence but the first may be displaced, the wanted one
too, and a truth that lies elsewhere says nothing about the image that was made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from ..preprocessing.background import body_mask
from ..preprocessing.normalisation import normalise
from ..preprocessing.registration import Registration, register
from ..preprocessing.registration import Target as Fixed
from ..preprocessing.resampling import (
    COARSER,
    coarsening,
    covered,
    index_map,
    resample,
    resample_to,
)
from ..simulation.protocols import protocol_prompt
from ..simulation.tissues import TISSUE_INDEX
from ..synthesis.synthesizer import UNITS
from ..volume import Volume
from .metrics import Yardstick

if TYPE_CHECKING:
    from ..simulation.cases import VirtualPatient

LIKE_TUMOUR = ("mucosa", "lymphoid tissue")
"""Tissues that enhance as a tumour does, and are mistaken for one."""

_PURE, _MOSTLY = 0.95, 0.5
"""Shares of a voxel that a tissue must fill: to be measured, and to count as being there."""


@dataclass(frozen=True, eq=False)
class Case:
    """One patient with truth.

    Attributes
    ----------
    name, group:
        Of the patient, and of the test set ("" without sets).
    volumes:
        Sequence -> image.
    masks:
        "GTVp" and other structures, "muscle" and "mucosa", as far as they are known: boolean
        arrays on the grid of the image of ``drawn_on``.
    drawn_on:
        The sequence that lies where the masks do.
    prompts:
        Sequence -> how it was acquired, in the words of a prompt.
    clean:
        Sequence -> the image without noise and motion, where the masks are.
    displacements:
        Sequence -> 4x4 from the masks' LPS to the image's, of those where it is known exactly.
    trusted:
        Whether an image that cannot be registered is taken to lie where its header says.
    """

    name: str
    group: str
    volumes: dict[str, Volume]
    masks: dict[str, np.ndarray]
    drawn_on: str
    prompts: dict[str, str] = field(default_factory=dict)
    clean: dict[str, Volume] = field(default_factory=dict)
    displacements: dict[str, np.ndarray] = field(default_factory=dict)
    trusted: bool = True

    @classmethod
    def of_patient(cls, patient: VirtualPatient, group: str = "") -> Case:
        """A simulated patient; its first image lies where the anatomy does."""

        def tissue(names: tuple[str, ...], share: float) -> np.ndarray:
            numbers = [TISSUE_INDEX[name] for name in names]
            return np.isin(patient.tissue, numbers) & (patient.tissue_share >= share)

        masks = {
            **patient.segmentation_masks,
            "muscle": tissue(("muscle",), _PURE),
            "mucosa": tissue(LIKE_TUMOUR, _MOSTLY),
        }
        prompts = {name: protocol_prompt(value) for name, value in patient.protocols.items()}
        first = next(iter(patient.volumes))
        return cls(
            patient.name,
            group,
            patient.volumes,
            masks,
            first,
            prompts,
            patient.clean,
            patient.displacements,
        )


class Aligned:
    """A case's images where they belong, each registered at most once to another.

    As a truth an image is placed in the frame of the masks: exactly where the simulation says, or
    else by registration, as studies with real scans do. As an input it is registered to the
    reference as the product does it, with all errors that this has.

    Parameters
    ----------
    registering:
        False takes all headers as true.

    Attributes
    ----------
    failed:
        Sequence -> why it could not be registered.
    """

    def __init__(self, case: Case, registering: bool = True) -> None:
        self.case, self.registering = case, registering
        self.failed: dict[str, str] = {}
        self._fixed: dict[str, Fixed] = {}
        self._found: dict[tuple[str, str], Registration] = {}
        self._frame: Frame | None = None

    @property
    def moved_mm(self) -> list[float]:
        """How far each registration moved the middle of the body."""
        return [found.translation_mm for found in self._found.values() if found.succeeded]

    def _registered(self, sequence: str, reference: str) -> np.ndarray:
        """4x4 from the reference's LPS to that of the image; the identity where that failed."""
        if sequence == reference or not self.registering:
            return np.eye(4)
        pair = (sequence, reference)
        if pair not in self._found:
            if reference not in self._fixed:
                self._fixed[reference] = Fixed(self.case.volumes[reference])
            self._found[pair] = register(self.case.volumes[sequence], self._fixed[reference])
        if not self._found[pair].succeeded:
            self.failed[sequence] = self._found[pair].reason
        return self._found[pair].matrix

    def _move(self, sequence: str) -> np.ndarray:
        """4x4 from the LPS of the masks to that of the image."""
        if not self.registering:
            return np.eye(4)
        known = self.case.displacements.get(sequence)
        return self._registered(sequence, self.case.drawn_on) if known is None else known

    def truth(self, sequence: str) -> Volume:
        """The image with a header that places it among the masks; its voxels are untouched."""
        return _placed(self.case.volumes[sequence], self._move(sequence))

    def inputs(self, sequences: Sequence[str]) -> list[Volume]:
        """Images as the product places them: the first where it belongs, the others registered
        to it."""
        reference = sequences[0]
        move = self._move(reference)
        return [
            _placed(self.case.volumes[name], self._registered(name, reference) @ move)
            for name in sequences
        ]

    def usable(self, sequence: str) -> bool:
        """Whether the case has the image, and it lies upon the others as far as is known."""
        if sequence not in self.case.volumes:
            return False
        self._move(sequence)
        return self.case.trusted or sequence not in self.failed

    def frame(self, reference: str) -> Frame:
        """Everything on the grid of one sequence; only the last one is kept."""
        if self._frame is None or self._frame.name != reference:
            self._frame = Frame(self, reference)
        return self._frame


def _placed(volume: Volume, matrix: np.ndarray) -> Volume:
    """``volume`` in the frame from which ``matrix`` leads to its own (LPS mm)."""
    if np.array_equal(matrix, np.eye(4)):
        return volume
    return volume.replace(index_to_world=np.linalg.solve(matrix, volume.index_to_world))


class Frame:
    """A case on the grid of one of its images, the reference."""

    def __init__(self, aligned: Aligned, name: str) -> None:
        self.name, self._aligned, self._case = name, aligned, aligned.case
        self.reference = aligned.truth(name)
        self._truths: dict[str, np.ndarray] = {}
        self._inputs: dict[str, np.ndarray] = {}
        self._yardsticks: dict[str, Yardstick] = {}

    @cached_property
    def body(self) -> np.ndarray:
        """Boolean: where the patient is in the reference."""
        return body_mask(self.reference.voxels, self.reference.spacing)

    @cached_property
    def masks(self) -> dict[str, np.ndarray]:
        """The case's masks that are not empty here."""
        drawn = self._case.volumes[self._case.drawn_on]
        here = {}
        for name, mask in self._case.masks.items():
            if not mask.any():
                continue
            if not drawn.same_geometry(self.reference):
                mask = _carried(mask, drawn, self.reference)
            if mask.any():
                here[name] = mask
        return here

    def has(self, sequence: str) -> bool:
        """Whether the case has that image, and it lies upon the reference."""
        return self._aligned.usable(sequence)

    @property
    def tumour(self) -> np.ndarray | None:
        """Where the primary tumour is, None if it is not known or there is none."""
        return self.masks.get("GTVp")

    def truth(self, sequence: str) -> np.ndarray:
        """The normalised image of a sequence where it belongs, on the reference's grid."""
        if sequence not in self._truths:
            self._truths[sequence] = self._on_grid(self._aligned.truth(sequence))
        return self._truths[sequence]

    def input(self, sequence: str) -> np.ndarray:
        """The normalised image as an input, registered to the reference as in use."""
        if sequence == self.name:
            return self.truth(sequence)
        if sequence not in self._inputs:
            volume = self._aligned.inputs((self.name, sequence))[1]
            self._inputs[sequence] = self._on_grid(volume)
        return self._inputs[sequence]

    def body_of(self, sequence: str) -> np.ndarray:
        """Where the patient is in the image of a sequence, on the reference's grid."""
        volume = self._aligned.truth(sequence)
        return _carried(body_mask(volume.voxels, volume.spacing), volume, self.reference)

    def clean(self, sequence: str) -> np.ndarray | None:
        """The normalised image without noise and motion, None where there is none."""
        volume = self._case.clean.get(sequence)
        return None if volume is None else self._on_grid(volume)

    def _on_grid(self, volume: Volume) -> np.ndarray:
        voxels = normalise(volume.voxels, sequence=volume.sequence)[0]
        # cubic: what linear interpolation blurs in a truth would be asked of no prediction
        moved = resample_to(volume.with_voxels(voxels), self.reference, order=3)
        return np.asarray(moved.voxels, np.float32)

    def as_sharp_as(self, sequence: str, image: np.ndarray) -> np.ndarray:
        """An image on the reference's grid as the scan of a sequence would show it, on that grid.

        A truth with thick slices has no more detail than these; an image that has would be told
        off for it. Along axes on which the scan is more than 1.5 times coarser the image is
        sampled as coarsely, and brought back in the way of a truth. Elsewhere it stays as it is.
        """
        volume = self._aligned.truth(sequence)
        down = index_map(volume.index_to_world, self.reference.index_to_world)
        if coarsening(down).max() <= COARSER:
            return image
        coarse = resample(image, down, volume.shape, order=3, cval=None)
        back = index_map(self.reference.index_to_world, volume.index_to_world)
        return resample(coarse, back, image.shape, order=3, antialias=False)

    def seen(self, sequence: str) -> np.ndarray | None:
        """Where the image of a sequence has voxels; None is everywhere."""
        volume = self._aligned.truth(sequence)
        grid = index_map(self.reference.index_to_world, volume.index_to_world)
        return covered(grid, self.reference.shape, volume.shape)

    def yardstick(self, target: str) -> Yardstick:
        """What predictions of a sequence are compared with."""
        if target not in self._yardsticks:
            regions = {} if self.tumour is None else {"tumour": self.tumour}
            self._yardsticks[target] = Yardstick(
                self.truth(target),
                self.body,
                regions,
                match=target not in UNITS,
                seen=self.seen(target),
            )
        return self._yardsticks[target]


def _carried(mask: np.ndarray, drawn: Volume, reference: Volume) -> np.ndarray:
    """A mask on the grid of ``drawn``, on that of ``reference``."""
    through = index_map(reference.index_to_world, drawn.index_to_world)
    return resample(mask.astype(np.float32), through, reference.shape) > 0.5
