"""Slices as a reader sees them: nothing but what is in the picture tells real from synthetic.

Both images of a case are brought to one grid, get the same background and the same rule for black
and white, and come out as the same kind of numbers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..preprocessing.background import body_mask
from ..preprocessing.resampling import covered, index_map, resample, resample_to
from ..provenance import Provenance
from ..review.pairing import pairs_of
from ..views import CT_WINDOW, STUDY_KIND
from ..volume import Volume
from .plan import NAME, REAL, SYNTHETIC, WHITE

LEAST_BODY = 0.5
"""A slice is shown if it has this share of the body of the fullest slice."""


class StudyCase:
    """A real image and the synthetic one of it, made alike.

    Parameters
    ----------
    key:
        What the case is called in plan and tables.
    real, synthetic:
        The images; the real one is brought to the grid of the other, where they differ.

    Attributes
    ----------
    slices:
        Indices of the slices with enough patient in them.
    resampled:
        Whether the real image had to be interpolated, which a reader might notice.

    Raises
    ------
    InputError
        If the two images do not show the same slices.
    """

    def __init__(self, key: str, real: Volume, synthetic: Volume) -> None:
        self.key = key
        # What lies around the patient is noise in a scan, and another one in what a network made.
        body = body_mask(synthetic.voxels, synthetic.spacing)
        theirs = body_mask(real.voxels, real.spacing)
        self.resampled = not real.same_geometry(synthetic)
        if self.resampled:
            grid = index_map(synthetic.index_to_world, real.index_to_world)
            theirs = resample(theirs.astype(np.float32), grid, synthetic.shape) > 0.5
            seen = covered(grid, synthetic.shape, real.shape)
            body &= True if seen is None else seen
            real = resample_to(real, synthetic, order=3, cval=float(real.voxels.min()))
        body |= theirs
        area = body.sum(axis=(1, 2))
        if not area.any():
            raise InputError(
                f"The real and the synthetic image of {key} show no slice in common; leave it out."
            )
        self.slices = tuple(int(index) for index in np.flatnonzero(area >= LEAST_BODY * area.max()))
        self._images = {
            truth: _shown(volume, body) for truth, volume in ((REAL, real), (SYNTHETIC, synthetic))
        }
        self._grid = synthetic

    def image(self, truth: str, index: int) -> Volume:
        """One slice as a volume of its own, where it lies in the patient.

        Its name, type and provenance are the same for real and synthetic images.
        """
        matrix = np.array(self._grid.index_to_world)
        matrix[:3, 3] += index * matrix[:3, 2]
        return Volume(
            self._images[truth][index][None],
            matrix,
            name=NAME,
            provenance=Provenance(synthetic=True, kind=STUDY_KIND),
        )

    @property
    def content(self) -> str:
        """A hash of both images."""
        digest = hashlib.blake2b(digest_size=8)
        for image in self._images.values():
            digest.update(np.ascontiguousarray(image))
        return digest.hexdigest()


def _shown(volume: Volume, body: np.ndarray) -> np.ndarray:
    """int16 with black 0 and white :data:`WHITE`, black around the body."""
    if volume.sequence == "CT":
        low, high = CT_WINDOW
    else:
        low, high = np.percentile(volume.voxels[body], (0.5, 99.5))
    scaled = (volume.voxels.astype(np.float32) - low) * (WHITE / max(float(high - low), 1e-6))
    scaled[~body] = 0
    return np.clip(np.rint(scaled), 0, WHITE * 3 // 2).astype(np.int16)


@dataclass(frozen=True)
class Pair:
    """A real image, the synthetic one of it, and what their case is called.

    Made cheaply; :meth:`case` takes a second or more.
    """

    key: str
    real: Volume
    synthetic: Volume

    def case(self) -> StudyCase:
        """Both as they are shown."""
        return StudyCase(self.key, self.real, self.synthetic)


def pairs_among(
    volumes: Iterable[Volume], name: str = "", whose: Sequence[tuple[str, str]] | None = None
) -> list[Pair]:
    """A pair for every synthetic image whose real one, of the same patient and study, is there too.

    ``whose`` tells for each volume its patient and study, empty where that is not known; without it
    all are of one study. ``name`` is what the cases are called after: no patient's ID, since it is
    written into the study's file.
    """
    volumes = list(volumes)
    whose = whose if whose is not None else [("", "")] * len(volumes)
    found: list[Pair] = []
    images = [_Paired(volume, *known) for volume, known in zip(volumes, whose, strict=True)]
    for real, synthetic in pairs_of(images):
        key = f"{name} {synthetic.sequence}".strip()
        again = sum(pair.key.split(" #")[0] == key for pair in found)
        key = f"{key} #{again + 1}" if again else key
        found.append(Pair(key, real.volume, synthetic.volume))
    return found


class _Paired:
    """A volume as pairing sees it."""

    def __init__(self, volume: Volume, patient: str, study: str) -> None:
        self.volume, self.sequence = volume, volume.sequence
        self.patient, self.study = patient, study
        provenance = volume.provenance
        self.synthetic = volume.is_synthetic and provenance.kind == "image"
        if volume.is_synthetic and not self.synthetic:
            self.sequence = None  # a map or an unfinished image


def patient_folders(folder: Path) -> list[Path]:
    """The folders of the patients in a folder; that itself if it has none below it.

    Raises
    ------
    InputError
        If it is no folder or cannot be read.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; choose one with a subfolder for each patient.")
    try:
        below = sorted(path for path in folder.iterdir() if path.is_dir())
    except OSError as error:
        raise InputError(f"{folder} cannot be read ({error.strerror}).") from error
    return [path for path in below if not path.name.startswith(".")] or [folder]


def patient_pairs(folder: Path) -> list[Pair]:
    """The pairs in the folder of one patient, often none.

    A synthetic image is known by what its header says, as the product writes it, or by a file name
    that begins with "synthetic" or "fake"; its real one by the sequence, or, in a folder of just
    two images, by being the other.

    Raises
    ------
    InputError
        If nothing there can be read as an image.
    """
    from ..io import load
    from ..sequences import recognise

    volumes = []
    for volume in load(folder):
        if volume.sequence is None:
            found = recognise(volume)
            volume = volume.replace(sequence=found.sequence)
        named = volume.name.lower().startswith(("synthetic", "fake"))
        if named and not volume.is_synthetic:
            volume = volume.replace(provenance=Provenance(True, sequence=volume.sequence))
        volumes.append(volume)
    if len(volumes) == 2 and sum(volume.is_synthetic for volume in volumes) == 1:
        sequence = next(volume.sequence for volume in volumes if volume.is_synthetic) or "MR"
        volumes = [volume.replace(sequence=sequence) for volume in volumes]
    return pairs_among(volumes, folder.name)
