"""One shape for the patients of every dataset: images by sequence, labels by structure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ...errors import InputError
from ...volume import Volume
from .masks import binary, on_grid, read_label


@dataclass(frozen=True)
class LabelFile:
    """Where the mask of one structure on one image is, and how to read it.

    Attributes
    ----------
    paths:
        Files whose union is the structure: one, or its parts where they are drawn apart.
    image:
        Canonical sequence of the image on whose grid it was drawn.
    values:
        Voxel values that mean the structure; None: above the middle of each file's own range.
    file_values:
        All values that such a file may hold; empty where ``values`` is None.
    if_empty:
        What a file without any labelled voxel means. "unusable": the structure was not drawn,
        so nothing is known of it. "odd": it is absent, which is worth a look. "fine": absent.
    """

    paths: tuple[Path, ...]
    image: str
    values: tuple[int, ...] | None = None
    file_values: tuple[int, ...] = ()
    if_empty: Literal["unusable", "odd", "fine"] = "unusable"

    def read(self, image: Volume) -> list[np.ndarray]:
        """The files' voxels (slices, rows, columns) on the grid of ``image``.

        Raises
        ------
        InputError
            If a file cannot be read or lies on another grid.
        """
        return [on_grid(read_label(path), image, path) for path in self.paths]

    def mask(self, voxels: list[np.ndarray]) -> np.ndarray:
        """Boolean mask of the structure, from what :meth:`read` gave.

        Raises
        ------
        InputError
            If it is empty although the structure must be there.
        """
        found = np.logical_or.reduce([binary(part, self.values) for part in voxels])
        if self.if_empty == "unusable" and not found.any():
            raise InputError(
                f"{self.paths[0]} is an empty mask, although the structure must be there; export "
                "it again or remove the file."
            )
        return found


@dataclass(frozen=True)
class LoadedCase:
    """A case in memory.

    ``volumes``: sequence -> image, each on its own grid. ``masks``: sequence -> structure ->
    boolean array on the grid of that sequence's image; a structure that was drawn on several
    images has a mask on each of them. Nothing is registered or resampled.
    """

    case: DatasetCase
    volumes: dict[str, Volume]
    masks: dict[str, dict[str, np.ndarray]]


@dataclass(frozen=True)
class DatasetCase:
    """The images of one examination and what was drawn on them; files only, nothing loaded.

    Attributes
    ----------
    name:
        Unique in its dataset.
    patient:
        Who it is, such as ``hntsmrg/2``: the same for all examinations of one person, different
        between datasets. Splits go by it.
    images:
        Canonical sequence -> file, or folder of one DICOM series.
    labels:
        Structure -> its masks, one for each image that it was drawn on. Names are those of
        TG-263 where REFERENCE has one, else the dataset's own.
    notes:
        Sentences on what is special about this case.
    registered:
        Whether the headers place all images rightly upon each other.
    derived_from:
        Name of the case whose images were resampled to make this one; None for originals.
    acquisition:
        Sequence -> DICOM keywords that the dataset's description gives and no header does.
    tissue:
        Tissue map (numbers named by a ``.json`` of the same stem) on the grid of
        ``tissue_image``; simulated cases only.
    """

    name: str
    patient: str
    images: Mapping[str, Path]
    labels: Mapping[str, tuple[LabelFile, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    registered: bool = False
    derived_from: str | None = None
    acquisition: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    tissue: Path | None = None
    tissue_image: str | None = None

    def labels_on(self, sequence: str) -> dict[str, LabelFile]:
        """Structure -> mask, of what was drawn on the image of ``sequence``."""
        return {
            name: file
            for name, files in self.labels.items()
            for file in files
            if file.image == sequence
        }

    def image(self, sequence: str) -> Volume:
        """The image of ``sequence``, which it also says that it is.

        Raises
        ------
        InputError
            If the case has no such image or it cannot be read.
        """
        from ...io import load_one

        if sequence not in self.images:
            raise InputError(
                f"{self.name} has no {sequence} image; it has {', '.join(self.images) or 'none'}."
            )
        volume = load_one(self.images[sequence])
        known = {**volume.acquisition, **self.acquisition.get(sequence, {})}
        return volume.replace(sequence=sequence, acquisition=known)

    def load(self, sequences: Iterable[str] | None = None) -> LoadedCase:
        """Images (all, or those of ``sequences``) with the masks that were drawn on them.

        Raises
        ------
        InputError
            As :meth:`image`, :meth:`LabelFile.read` and :meth:`LabelFile.mask`;
            :func:`checks.sound_cases` takes out beforehand what would raise it.
        """
        volumes = {name: self.image(name) for name in (sequences or self.images)}
        masks = {
            name: {key: file.mask(file.read(volume)) for key, file in self.labels_on(name).items()}
            for name, volume in volumes.items()
        }
        return LoadedCase(self, volumes, masks)
