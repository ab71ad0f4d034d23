"""Labelled heads as anatomy: any folder of label maps with a small mapping file.

The mapping is described in :mod:`label_volumes`; that of heads also gives ``soft_tissue``
(labels of everything that the map does not tell apart, filled by :mod:`filling`) and, if there
is one, ``skin`` (a label that is thicker than skin is: what lies deeper is filled as well).
Temporal lobes and the pituitary gland, if it does not name them, and what lies between the gyri are
inferred (:mod:`inferred`).
"""

from __future__ import annotations

import copy
from collections.abc import Collection
from pathlib import Path

import numpy as np

from ..errors import InputError
from .anatomy import LABELLED_STRUCTURES, STRUCTURE_DTYPE, Anatomy, Canvas, bit, smooth_noise
from .atlas import AtlasSource
from .deformation import ORDINARY, Variation, random_head_coordinates
from .fields import upsample
from .filling import Surroundings, fill_soft_tissue, line_sinuses, mark_nasopharynx, paint_eyes
from .head_maps import DEPTHS_PER_MM, HeadMap, prepare_head
from .inferred import GLAND, INFERRED, flag
from .label_volumes import (
    LARGEST_LABEL,
    find_label_maps,
    nearest_index,
    read_label_map,
    read_mapping,
    tissue_lookup,
)
from .tissues import TISSUE_INDEX

SHAPE = (246, 252, 216)
ORIGIN = (-107.5, -112.0, -146.0)
"""Default grid: 1 mm voxels, from the neck to above the vertex."""

PAINTED = ("GTVp", "GTVn", "Glnd_Submand_L", "Glnd_Submand_R")
"""Structures that are painted with their tissue, and so known wherever they can be seen."""

PAINTED_WITHOUT_ATLAS = ("Parotid_L", "Parotid_R", "Glnd_Thyroid")
"""No carotids: a head's own arteries may be carotids that nothing names as such."""

_STEP = 4
_SEEN = 0.9
"""Share of an atlas structure that must lie in a head's field of view to be known there."""


class LabelMapSource:
    """Heads from a folder of NIfTI label maps.

    Parameters
    ----------
    folder:
        Folder with ``*.nii.gz`` or ``*.nii`` label maps.
    mapping:
        Path of the mapping file; default is ``mapping.json`` in the folder.
    atlas:
        A second label map that fills what the heads do not tell apart.
    variation:
        How much the heads are deformed.

    Raises
    ------
    InputError
        If there is no label map, no mapping, or the mapping is not usable.
    """

    def __init__(
        self,
        folder: Path,
        mapping: Path | None = None,
        atlas: AtlasSource | None = None,
        variation: Variation = ORDINARY,
    ) -> None:
        self.folder = Path(folder)
        self.files = find_label_maps(self.folder)
        self.mapping = read_mapping(
            Path(mapping) if mapping else self.folder / "mapping.json",
            ("tissues", "soft_tissue"),
        )
        self.atlas = atlas
        self.variation = variation
        self._lookup = tissue_lookup(self.mapping)
        if atlas is not None and not self.mapping.get("bone"):
            raise InputError(
                f"The mapping of {folder} names no 'bone'; an atlas is joined by its labels."
            )
        self._heads: dict[Path, HeadMap] = {}

    def only(self, names: Collection[str]) -> LabelMapSource:
        """This source with the named files alone, so that patients can be split.

        Raises
        ------
        InputError
            If none of them is there.
        """
        files = [file for file in self.files if file.name in names]
        if not files:
            raise InputError(
                f"{self.folder} holds none of the label maps that were kept from training "
                f"({', '.join(sorted(names)) or 'none were kept'}); name their folder."
            )
        chosen = copy.copy(self)
        chosen.files = files
        return chosen

    def __len__(self) -> int:
        return len(self.files)

    def head(self, index: int) -> HeadMap:
        """Head number ``index``, made ready when it is first asked for, then kept."""
        file = self.files[index]
        if file not in self._heads:
            self._heads[file] = prepare_head(read_label_map(file), self.mapping, self.atlas)
        return self._heads[file]

    def build(
        self,
        index: int,
        rng: np.random.Generator,
        shape: tuple[int, int, int] = SHAPE,
        origin: tuple[float, float, float] = ORIGIN,
    ) -> tuple[Anatomy, np.ndarray]:
        """Head number ``index`` under a random deformation, and its head coordinates.

        Every other head, at random, is a mirror image. The grid has 1 mm voxels; ``origin`` is
        the centre of its first one. With an atlas, the coordinates follow the bones of this
        head: a place in them is the same place of the skull and neck in every head.

        Returns
        -------
        The anatomy, and float32 (3, slices, rows, columns), LPS mm.
        """
        head = self.head(index)
        matrix = np.eye(4)
        matrix[:3, 3] = origin
        coordinates = random_head_coordinates(matrix, shape, rng, self.variation)
        coordinates *= np.float32(head.scale)  # this person's own size, varied
        mirrored = bool(rng.random() < 0.5)
        if mirrored:
            np.negative(coordinates[0], out=coordinates[0])
        index_of = nearest_index(
            np.linalg.inv(head.volume.index_to_world), head.volume.labels.shape, coordinates
        )
        labels = _take(head.volume.labels, index_of)
        depth = _take(head.depth, index_of).astype(np.float32) / DEPTHS_PER_MM
        own = np.ascontiguousarray(coordinates[:, ::_STEP, ::_STEP, ::_STEP])
        joined = None
        if head.displacement is not None:
            for part, moved in zip(coordinates, head.displacement(own), strict=True):
                part += upsample(moved, _STEP, shape)
            joined = self._sample_atlas(coordinates)
        if mirrored:
            np.negative(coordinates[0], out=coordinates[0])

        tissue = self._lookup[labels]
        structures = np.zeros(shape, STRUCTURE_DTYPE)
        roughness = 0.6 * smooth_noise(shape, 7, rng) + 0.5 * smooth_noise(shape, 3, rng)
        canvas = Canvas(tissue, structures, coordinates, roughness)
        known = set(PAINTED) | self._mark_own(labels, canvas, mirrored)
        inferred = _take(head.inferred, index_of)
        known |= _mark_inferred(inferred, canvas, mirrored)
        soft = _lookup([*self.mapping["soft_tissue"], *self.mapping.get("skin", [])])[labels]
        if joined is None:
            around = Surroundings(soft, depth)
            known |= set(PAINTED_WITHOUT_ATLAS)
        else:
            names = self._atlas_structures(mirrored)
            around = Surroundings(soft, depth, joined, self.atlas.mapping, names)
            known |= self._known_of_atlas(joined, head, own, names)
        fill_soft_tissue(canvas, around, rng)
        tissue[(inferred & flag(GLAND)) != 0] = TISSUE_INDEX["pituitary"]
        line_sinuses(canvas, depth, rng)
        eyes = self.mapping.get("structures", {}).get("Eye")
        if eyes:
            known |= set(paint_eyes(canvas, _lookup(eyes)[labels], rng))
        if mark_nasopharynx(canvas, depth):
            known.add("Nasopharynx")
        structures[tissue == TISSUE_INDEX["air"]] &= bit("Nasopharynx")
        description = {
            "source": "label maps",
            "file": self.files[index].name,
            "mirrored": mirrored,
            "atlas": self.atlas.volume.name if self.atlas is not None else None,
        }
        names = tuple(name for name in LABELLED_STRUCTURES if name in known)
        return Anatomy(tissue, structures, matrix, names, description), coordinates

    def _sample_atlas(self, coordinates: np.ndarray) -> np.ndarray:
        labels = self.atlas.volume.labels
        return _take(labels, nearest_index(self.atlas.to_index, labels.shape, coordinates))

    def _mark_own(self, labels: np.ndarray, canvas: Canvas, mirrored: bool) -> set[str]:
        """Structures that the head's own map labels."""
        known = set()
        for name, wanted in self.mapping.get("structures", {}).items():
            where = _lookup(wanted)[labels]
            if name in LABELLED_STRUCTURES:
                name = _other_side(name) if mirrored else name
                canvas.structures[where] |= bit(name)
                known.add(name)
                continue
            for suffix, side in (
                ("_L", canvas.coordinates[0] > 0),
                ("_R", canvas.coordinates[0] <= 0),
            ):
                canvas.structures[where & side] |= bit(name + suffix)
                known.add(name + suffix)
        return known

    def _atlas_structures(self, mirrored: bool) -> dict[int, str]:
        """Label of the atlas -> TG-263 name, as it is called in the image."""
        return {
            label: _other_side(name) if mirrored else name
            for name, labels in self.atlas.mapping.get("structures", {}).items()
            for label in labels
        }

    def _known_of_atlas(
        self, atlas_labels: np.ndarray, head: HeadMap, own: np.ndarray, names: dict[int, str]
    ) -> set[str]:
        """Structures of the atlas that lie (almost) wholly in the head's field of view."""
        known = set()
        coarse = atlas_labels[::_STEP, ::_STEP, ::_STEP]
        seen = head.view(own)
        for name in set(names.values()):
            where = np.isin(coarse, [label for label, given in names.items() if given == name])
            if where.any() and seen[where].mean() >= _SEEN:
                known.add(name)
        return known


def _mark_inferred(inferred: np.ndarray, canvas: Canvas, mirrored: bool) -> set[str]:
    """Mark what :func:`inferred.infer_structures` found, by the names of the image's sides."""
    known = set()
    for name in INFERRED:
        where = (inferred & flag(name)) != 0
        if where.any():
            name = _other_side(name) if mirrored else name
            canvas.structures[where] |= bit(name)
            known.add(name)
    return known


def _other_side(name: str) -> str:
    """The name of the same structure in a mirror image."""
    swap = {"_L": "_R", "_R": "_L"}
    return name[:-2] + swap[name[-2:]] if name[-2:] in swap else name


def _lookup(labels: Collection[int]) -> np.ndarray:
    table = np.zeros(LARGEST_LABEL + 1, bool)
    table[list(labels)] = True
    return table


def _take(array: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Values at flat indices; 0 at -1."""
    return np.append(array.ravel(), np.zeros(1, array.dtype))[index]
