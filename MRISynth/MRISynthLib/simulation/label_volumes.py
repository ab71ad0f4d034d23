"""Label maps as files: reading them, their mapping file, and where they lie in the head.

A mapping (JSON) gives ``tissues`` (tissue name -> labels), ``structures`` (TG-263 name -> labels;
a paired structure without its side is divided at the midline), ``muscles`` (name -> labels),
``bone`` (labels that registration goes by), ``cerebrum`` (side, L or R -> labels of cortex and
white matter, from which the temporal lobes are told), ``temporal`` (side -> labels that lie in
them) and ``landmarks`` (label -> position of its centroid in head coordinates, LPS mm; a label with
L or R appended is the half on that side).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import InputError
from .anatomy import LABELLED_STRUCTURES
from .tissues import TISSUE_INDEX

LARGEST_LABEL = 4095
_LANDMARK = re.compile("([0-9]+)[LR]?")
FARTHEST_MM = 1000.0
"""Head coordinates beyond this are no place in a head."""
RIDGE_MM2 = 300.0
"""Pull of the landmark fit towards a mere shift: a handful of points must not shear a head."""


@dataclass(frozen=True, eq=False)
class LabelVolume:
    """labels: int16 (slices, rows, columns); index_to_world: 4x4, LPS mm."""

    labels: np.ndarray
    index_to_world: np.ndarray
    name: str

    @property
    def spacing(self) -> np.ndarray:
        """Millimetres between voxels along (slices, rows, columns)."""
        return np.linalg.norm(self.index_to_world[:3, :3], axis=0)[::-1]

    def world(self, index: np.ndarray) -> np.ndarray:
        """World coordinates (n, 3) of array indices (n, 3) in (slice, row, column) order."""
        return index[:, ::-1] @ self.index_to_world[:3, :3].T + self.index_to_world[:3, 3]


def find_label_maps(folder: Path, endings: tuple[str, ...] = (".nii", ".nii.gz")) -> list[Path]:
    """Label maps of a folder by name.

    Raises
    ------
    InputError
        If there is none.
    """
    folder = Path(folder)
    files = sorted(p for p in folder.glob("*") if p.is_file() and p.name.endswith(endings))
    if not files:
        kinds = " or ".join(ending.lstrip(".") for ending in endings)
        raise InputError(f"{folder} holds no NIfTI label map ({kinds}); name another folder.")
    return files


def read_label_map(file: Path) -> LabelVolume:
    """A NIfTI or NRRD label map.

    Raises
    ------
    InputError
        If it cannot be read, is truncated, holds more than one image, or values that are no
        labels.
    """
    from ..io import load_one

    volume = load_one(file)
    labels = np.rint(volume.voxels)
    # not a number is in no range
    if not (labels.min() >= 0 and labels.max() <= LARGEST_LABEL):
        raise InputError(
            f"{file} holds values outside 0 to {LARGEST_LABEL}; it must be a map of labels."
        )
    return LabelVolume(labels.astype(np.int16), volume.index_to_world, Path(file).name)


def read_mapping(file: Path, required: tuple[str, ...]) -> dict:
    """A mapping file, checked.

    Raises
    ------
    InputError
        If it is missing, is no JSON, lacks one of ``required``, names an unknown tissue or
        structure, or holds something other than labels and positions where these belong.
    """
    try:
        mapping = json.loads(Path(file).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"The mapping file {file} is missing; name one.") from None
    except (OSError, ValueError) as error:
        raise InputError(f"The mapping file {file} is not usable: {error}.") from None
    wrong = _what_is_wrong(mapping, required)
    if wrong is not None:
        raise InputError(f"The mapping file {file} is not usable: {wrong}; correct it.")
    return mapping


def _what_is_wrong(mapping: object, required: tuple[str, ...]) -> str | None:
    """The first thing for which a mapping cannot be used, in words."""
    if not isinstance(mapping, dict):
        return "it holds no JSON object"
    for key in required:
        if key not in mapping:
            return f"it has no {key!r}"
    lists = {key: mapping[key] for key in ("bone", "soft_tissue", "skin") if key in mapping}
    for key in ("tissues", "structures", "muscles", "cerebrum", "temporal", "landmarks"):
        named = mapping.get(key, {})
        if not isinstance(named, dict):
            return f"{key!r} must be an object of names with their values, in braces"
        if key != "landmarks":
            lists |= {f"{key}: {name}": labels for name, labels in named.items()}
    for name in mapping.get("tissues", {}):
        if name not in TISSUE_INDEX:
            return f"unknown tissue {name!r}"
    for name in mapping.get("structures", {}):
        if not {name, f"{name}_L"} & set(LABELLED_STRUCTURES):
            return f"unknown structure {name!r}"
    for key in ("cerebrum", "temporal"):
        if key in mapping and set(mapping[key]) != {"L", "R"}:
            return f"{key!r} must name the labels of both sides, L and R"
    for key, labels in lists.items():
        # a bool is an int in Python, and no label
        if not (isinstance(labels, list) and all(type(n) is int and _is_label(n) for n in labels)):
            return f"{key!r} has {labels!r:.60}, no list of labels from 1 to {LARGEST_LABEL}"
    for key, place in mapping.get("landmarks", {}).items():
        label = _LANDMARK.fullmatch(key)
        if label is None or len(key) > 5 or not _is_label(int(label[1])):
            return f"the landmark {key!r} is no label from 1 to {LARGEST_LABEL}, nor a half (L, R)"
        if not (isinstance(place, list) and len(place) == 3 and all(map(_is_place, place))):
            return f"the landmark {key!r} has {place!r:.60}, not three positions in millimetres"
    return None


def _is_label(number: int) -> bool:
    return 0 < number <= LARGEST_LABEL


def _is_place(value: object) -> bool:
    return type(value) in (int, float) and abs(value) <= FARTHEST_MM


def tissue_lookup(mapping: dict) -> np.ndarray:
    """uint8 (4096,): label -> tissue index; what the mapping does not name is air."""
    lookup = np.zeros(LARGEST_LABEL + 1, np.uint8)
    for name, labels in mapping["tissues"].items():
        lookup[labels] = TISSUE_INDEX[name]
    return lookup


def fit_landmarks(volume: LabelVolume, landmarks: dict[str, list[float]]) -> np.ndarray:
    """4x4 affine from a label map's world to head coordinates, least squares with a ridge.

    Raises
    ------
    InputError
        If fewer than five of the landmarks are in the map.
    """
    found, wanted = [], []
    for key, target in landmarks.items():
        world = volume.world(np.argwhere(volume.labels == int(key.rstrip("LR"))))
        if len(world) >= 5 and key[-1] in "LR":
            # LPS: +x is left; the middle of the extent, since the halves may differ in size
            left = world[:, 0] > (world[:, 0].min() + world[:, 0].max()) / 2
            world = world[left if key[-1] == "L" else ~left]
        if len(world) >= 5:
            found.append(world.mean(0))
            wanted.append(target)
    if len(found) < 5:
        raise InputError(
            f"{volume.name} has too few landmark labels to be placed; check it and its mapping."
        )
    found, wanted = np.array(found), np.array(wanted, float)
    centre = found.mean(0)
    design = found - centre
    pull = RIDGE_MM2 * np.eye(3)
    linear = np.linalg.solve(
        design.T @ design + pull, design.T @ (wanted - wanted.mean(0)) + pull
    ).T
    affine = np.eye(4)
    affine[:3, :3] = linear
    affine[:3, 3] = wanted.mean(0) - linear @ centre
    return affine


def nearest_index(
    to_index: np.ndarray, size: tuple[int, int, int], coordinates: np.ndarray
) -> np.ndarray:
    """Flat index of the voxel nearest to each of ``coordinates``; -1 outside the array.

    Parameters
    ----------
    to_index:
        4x4 from the coordinates to (column, row, slice, 1).
    size:
        (slices, rows, columns) of the array.
    coordinates:
        float32 (3, ...), mm.
    """
    shape = coordinates.shape[1:]
    result = np.empty(shape, np.int32)
    matrix = to_index[:3].astype(np.float32)
    slices, rows, columns = size
    for k in range(shape[0]):
        x, y, z = coordinates[:, k]
        i, j, s = (
            np.rint(row[0] * x + row[1] * y + row[2] * z + row[3]).astype(np.int32)
            for row in matrix
        )
        inside = (i >= 0) & (i < columns) & (j >= 0) & (j < rows) & (s >= 0) & (s < slices)
        result[k] = np.where(inside, (s * rows + j) * columns + i, -1)
    return result
