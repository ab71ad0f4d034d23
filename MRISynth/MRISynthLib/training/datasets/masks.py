"""Masks from files, on the exact grid of the image that they were drawn on."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np

from ...errors import InputError
from ...preprocessing.resampling import index_map
from ...volume import Volume

GRID_TOLERANCE_MM = 0.1
"""How far a voxel may lie from the image's: headers of other programs are rounded."""

_UNREADABLE = (
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    zlib.error,
)


def read_label(path: Path) -> Volume:
    """A label image of any format; a ``.seg.nrrd`` as 0 and 1, whatever segments it holds.

    Raises
    ------
    InputError
        If the file is missing or cannot be read.
    """
    if not path.name.lower().endswith(".seg.nrrd"):
        from ...io import load_one

        return load_one(path)
    import slicerio

    if not path.is_file():
        raise InputError(f"There is no file {path}; check its name.")
    try:
        content = slicerio.read_segmentation(str(path))
        voxels = np.asarray(content["voxels"])
        matrix = np.asarray(content["ijkToLPS"], float)
    except _UNREADABLE as error:
        raise InputError(
            f"{path} is damaged or not a segmentation of 3D Slicer; export or copy it again."
        ) from error
    labelled = voxels != 0
    if labelled.ndim == 4:  # overlapping segments lie in layers
        labelled = labelled.any(axis=0)
    return Volume(labelled.transpose(2, 1, 0).astype(np.uint8), matrix, name=path.name)


def binary(voxels: np.ndarray, values: tuple[int, ...] | None) -> np.ndarray:
    """Where voxels have one of ``values``; None: above the middle of their own range.

    A constant image has no voxel above its middle, so it is empty.
    """
    if values is not None:
        return np.isin(voxels, values)
    low, high = float(voxels.min()), float(voxels.max())
    return voxels > (low + high) / 2


def on_grid(label: Volume, image: Volume, path: Path) -> np.ndarray:
    """The voxels of ``label`` in the index order of ``image``, without interpolation.

    Both must have the same voxels, however their axes are ordered and flipped; a ``.seg.nrrd``
    may also be cropped to a part of them, as 3D Slicer writes it, and is 0 elsewhere.

    Raises
    ------
    InputError
        If the grids differ; the sentence says by how much.
    """
    mapping = index_map(image.index_to_world, label.index_to_world)
    whole = np.eye(4)
    whole[:3] = np.round(mapping[:3])
    axes = whole[:3, :3]
    permuted = np.array_equal(np.abs(axes).sum(0), (1, 1, 1)) and np.array_equal(
        np.abs(axes).sum(1), (1, 1, 1)
    )
    if not permuted or _apart_mm(mapping, whole, image, label) > GRID_TOLERANCE_MM:
        raise _differs(label, image, path)
    source = np.abs(axes).argmax(axis=0)  # the label's index axis along each axis of the image
    voxels = label.voxels.transpose([2 - source[axis] for axis in (2, 1, 0)])
    places, turned = [], []
    for axis, size in zip((2, 1, 0), voxels.shape, strict=True):
        forward = axes[source[axis], axis] > 0
        offset = int(whole[source[axis], 3])
        start = -offset if forward else offset - size + 1
        places.append(slice(start, start + size))
        turned.append(slice(None, None, 1 if forward else -1))
    voxels = voxels[tuple(turned)]
    if voxels.shape == image.shape and all(place.start == 0 for place in places):
        return voxels
    within = all(p.start >= 0 and p.stop <= n for p, n in zip(places, image.shape, strict=True))
    if not within or not path.name.lower().endswith(".seg.nrrd"):
        raise _differs(label, image, path)
    found = np.zeros(image.shape, voxels.dtype)
    found[tuple(places)] = voxels
    return found


def _apart_mm(mapping: np.ndarray, whole: np.ndarray, image: Volume, label: Volume) -> float:
    """The largest distance at the image's corners between two maps of its index."""
    last = np.array(image.shape[::-1]) - 1
    corners = np.array([(a, b, c, 1) for a in (0, 1) for b in (0, 1) for c in (0, 1)], float)
    corners[:, :3] *= last
    difference = (corners @ (mapping - whole).T)[:, :3]
    return float(np.linalg.norm(difference @ label.index_to_world[:3, :3].T, axis=1).max())


def _differs(label: Volume, image: Volume, path: Path) -> InputError:
    def size(volume: Volume) -> str:
        return " x ".join(map(str, volume.shape[::-1]))

    centre = label.corners().mean(0) - image.corners().mean(0)
    return InputError(
        f"The mask {path} lies on another grid than its image {image.name} ({size(label)} voxels "
        f"instead of {size(image)}, centres {np.linalg.norm(centre):.1f} mm apart), so it is not "
        "known which voxels it means; export it again on the grid of that image."
    )
