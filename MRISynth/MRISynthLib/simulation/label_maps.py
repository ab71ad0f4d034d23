"""Labelled heads as anatomy: any folder of label maps with a small mapping file.

The mapping (JSON) gives ``tissues`` (tissue name -> labels), ``soft_tissue`` (labels of
everything that the map does not tell apart; filled by :mod:`soft_tissue`), ``structures``
(TG-263 name, without side for paired ones -> labels) and ``landmarks`` (label, with L or R
appended for paired ones -> position of its centroid in head coordinates).
"""

from __future__ import annotations

import copy
import json
from collections.abc import Collection
from pathlib import Path

import numpy as np
from scipy import ndimage

from ..errors import InputError
from .anatomy import LABELLED_STRUCTURES, Anatomy, Canvas, bit, smooth_noise
from .procedural import ORIGIN, SHAPE, head_coordinates
from .soft_tissue import paint_soft_tissue
from .tissues import TISSUE_INDEX

PAINTED = ("GTVp", "Parotid_L", "Parotid_R")
"""Structures that the soft-tissue painter and the tumour add, known in every case."""


class LabelMapSource:
    """Heads from a folder of NIfTI label maps.

    Parameters
    ----------
    folder:
        Folder with ``*.nii.gz`` or ``*.nii`` label maps.
    mapping:
        Path of the mapping file; default is ``mapping.json`` in the folder.

    Raises
    ------
    InputError
        If there is no label map, no mapping, or the mapping is not usable.
    """

    def __init__(self, folder: Path, mapping: Path | None = None) -> None:
        self.folder = Path(folder)
        self.files = sorted(p for p in self.folder.glob("*.nii*") if p.is_file())
        if not self.files:
            raise InputError(f"{folder} holds no NIfTI label map; name another folder.")
        mapping = Path(mapping) if mapping else self.folder / "mapping.json"
        try:
            self.mapping = json.loads(mapping.read_text(encoding="utf-8"))
            self._lookup = self._tissue_lookup()
        except FileNotFoundError:
            raise InputError(f"The mapping file {mapping} is missing; name one.") from None
        except (KeyError, ValueError, TypeError) as error:
            raise InputError(f"The mapping file {mapping} is not usable: {error}.") from None

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

    def _tissue_lookup(self) -> np.ndarray:
        lookup = np.zeros(4096, np.uint8)
        for name, labels in self.mapping["tissues"].items():
            if name not in TISSUE_INDEX:
                raise ValueError(f"unknown tissue {name!r}")
            lookup[labels] = TISSUE_INDEX[name]
        lookup[self.mapping["soft_tissue"]] = TISSUE_INDEX["fat"]
        return lookup

    def build(
        self,
        index: int,
        rng: np.random.Generator,
        shape: tuple[int, int, int] = SHAPE,
        origin: tuple[float, float, float] = ORIGIN,
    ) -> tuple[Anatomy, np.ndarray]:
        """Head number ``index`` under a random deformation, and its head coordinates."""
        labels, to_world = _read_labels(self.files[index])
        to_head = self._fit(labels, to_world, self.files[index])
        matrix = np.eye(4)
        matrix[:3, 3] = origin
        coordinates = head_coordinates(matrix, shape, rng)
        to_index = np.linalg.inv(to_head @ to_world)
        sampled = _sample_nearest(labels, to_index, coordinates)
        tissue = self._lookup[np.clip(sampled, 0, 4095)]
        structures = np.zeros(shape, np.uint16)
        known = self._mark_structures(sampled, coordinates, structures)
        soft = np.isin(sampled, self.mapping["soft_tissue"])
        self._fill_soft_tissue(tissue, structures, soft, coordinates, rng)
        description = {"source": "label maps", "file": self.files[index].name}
        anatomy = Anatomy(tissue, structures, matrix, known, description)
        return anatomy, coordinates

    def _fit(self, labels: np.ndarray, to_world: np.ndarray, file: Path) -> np.ndarray:
        """Affine from world to head coordinates through the landmarks, least squares."""
        found, wanted = [], []
        for key, target in self.mapping["landmarks"].items():
            label = int(key.rstrip("LR"))
            points = np.argwhere(labels == label)[:, ::-1]
            if len(points) < 5:
                continue
            world = points @ to_world[:3, :3].T + to_world[:3, 3]
            if key[-1] in "LR":
                middle = np.median(world[:, 0])
                world = (
                    world[world[:, 0] > middle] if key[-1] == "L" else world[world[:, 0] <= middle]
                )
            found.append(world.mean(0))
            wanted.append(target)
        if len(found) < 5:
            raise InputError(f"{file.name} has too few landmark labels to be placed; check them.")
        found, wanted = np.array(found), np.array(wanted, float)
        centre = found.mean(0)
        # ridge towards a rigid shift: a handful of landmarks must not shear the head
        design = found - centre
        ridge = 300.0
        normal = design.T @ design + ridge * np.eye(3)
        linear = np.linalg.solve(normal, design.T @ (wanted - wanted.mean(0)) + ridge * np.eye(3)).T
        affine = np.eye(4)
        affine[:3, :3] = linear
        affine[:3, 3] = wanted.mean(0) - linear @ centre
        return affine

    def _mark_structures(self, sampled, coordinates, structures) -> tuple[str, ...]:
        known = list(PAINTED)
        for name, labels in self.mapping["structures"].items():
            where = np.isin(sampled, labels)
            if name in LABELLED_STRUCTURES:
                structures[where] |= bit(name)
                known.append(name)
            else:
                left = coordinates[0] > 0
                structures[where & left] |= bit(f"{name}_L")
                structures[where & ~left] |= bit(f"{name}_R")
                known += [f"{name}_L", f"{name}_R"]
        return tuple(name for name in LABELLED_STRUCTURES if name in known)

    def _fill_soft_tissue(self, tissue, structures, soft, coordinates, rng) -> None:
        """Subcutaneous fat, then muscles, glands and vessels in what is left."""
        shape = tissue.shape
        body = tissue != TISSUE_INDEX["air"]
        body = ndimage.binary_closing(body, iterations=2)
        outside = ~ndimage.binary_fill_holes(body)
        depth = ndimage.distance_transform_edt(~outside)
        deep = depth > rng.uniform(0.6, 1.6) * np.where(coordinates[2] > 10, 5.0, 8.0)
        patchy = smooth_noise(shape, 16, rng) > rng.uniform(-0.9, -0.3)
        tissue[soft & deep & patchy] = TISSUE_INDEX["muscle"]
        roughness = 0.6 * smooth_noise(shape, 7, rng) + 0.5 * smooth_noise(shape, 3, rng)
        canvas = Canvas(tissue, structures, coordinates, roughness)
        canvas.only = soft & (depth > 3.0)
        paint_soft_tissue(canvas, smooth_noise(shape, 20, rng), rng)
        air = tissue == TISSUE_INDEX["air"]
        inner = air & ~outside & (depth > 5)
        lining = ndimage.binary_dilation(inner, iterations=int(rng.integers(1, 4)))
        near_pharynx = (np.abs(coordinates[0]) < 32) & (coordinates[2] < -12)
        tissue[lining & soft & near_pharynx] = TISSUE_INDEX["mucosa"]


def _read_labels(file: Path) -> tuple[np.ndarray, np.ndarray]:
    """(labels (slices, rows, columns), index-to-world in LPS mm) of a NIfTI label map."""
    import nibabel

    try:
        image = nibabel.load(file)
        labels = np.asarray(image.dataobj)
    except Exception as error:
        raise InputError(f"{file} is not a readable label map ({error}).") from None
    if labels.ndim != 3:
        raise InputError(f"{file} is not three-dimensional; give one label map a file.")
    ras_to_lps = np.diag([-1.0, -1.0, 1.0, 1.0])
    return np.rint(labels).astype(np.int16).transpose(2, 1, 0), ras_to_lps @ image.affine


def _sample_nearest(labels, to_index, coordinates) -> np.ndarray:
    """Nearest label at head coordinates; 0 outside the map."""
    shape = coordinates.shape[1:]
    result = np.zeros(shape, labels.dtype)
    matrix = to_index.astype(np.float32)
    for k in range(shape[0]):
        points = coordinates[:, k].reshape(3, -1)
        index = np.rint(matrix[:3, :3] @ points + matrix[:3, 3:]).astype(int)
        limits = np.array(labels.shape[::-1])[:, None]
        inside = np.all((index >= 0) & (index < limits), axis=0)
        i, j, s = index[:, inside]
        flat = np.zeros(points.shape[1], labels.dtype)
        flat[inside] = labels[s, j, i]
        result[k] = flat.reshape(shape[1:])
    return result
