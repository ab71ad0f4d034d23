"""A labelled head made ready once: cleaned, placed in head coordinates, joined to the atlas."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ..errors import InputError
from .atlas import AtlasSource, Displacement, registration_grid
from .inferred import infer_structures
from .label_volumes import LabelVolume, fit_landmarks, nearest_index

DEPTHS_PER_MM = 4
_MARGIN_VOXELS = 8
_SPECK_VOXELS = 60
_MASTOID_MM = (np.array((55.0, 30.0, -24.0)), np.array((26.0, 28.0, 30.0)))
"""Middle and half size (x, y, z) of the region on either side where bone holds air."""
_GLOBE_MM = (10.8, 12.8)
"""Least and largest radius of an eye; axial lengths of adults are 22 to 26 mm."""
_NEIGHBOURS = np.argwhere(np.ones((3, 3, 3))) - 1


@dataclass(frozen=True, eq=False)
class FieldOfView:
    """seen: bool (slices, rows, columns); to_index: 4x4 from head coordinates to its indices."""

    seen: np.ndarray
    to_index: np.ndarray

    def __call__(self, coordinates: np.ndarray) -> np.ndarray:
        """Whether head coordinates (3, slices, rows, columns) are seen."""
        index = nearest_index(self.to_index, self.seen.shape, coordinates)
        return np.append(self.seen.ravel(), False)[index]


@dataclass(frozen=True, eq=False)
class HeadMap:
    """One head.

    volume: its labels, whose world is head coordinates (LPS mm), cropped to the body;
    depth: uint8 of the same shape, quarters of a millimetre below the skin, 0 outside;
    inferred: what it does not name, as :func:`inferred.infer_structures` marks it;
    view: what the map shows (body and the air before its skin; not what lies beyond the end
    of the scan); displacement: to the atlas, if there is one; scale: millimetres of head
    coordinates for one of this person.
    """

    volume: LabelVolume
    depth: np.ndarray
    inferred: np.ndarray
    view: FieldOfView
    displacement: Displacement | None
    scale: float


def prepare_head(volume: LabelVolume, mapping: dict, atlas: AtlasSource | None) -> HeadMap:
    """Place, clean and measure a label map; register the atlas to it.

    Raises
    ------
    InputError
        If it is empty, its landmarks or its bone are missing, or it holds labels that the mapping
        lacks.
    """
    if not volume.labels.any():
        raise InputError(f"{volume.name} holds no label but 0; it must be the map of a head.")
    named = {0, *mapping["soft_tissue"], *mapping.get("skin", [])}
    named.update(label for labels in mapping["tissues"].values() for label in labels)
    unnamed = sorted(set(np.flatnonzero(np.bincount(volume.labels.ravel())).tolist()) - named)
    if unnamed:
        raise InputError(
            f"{volume.name} holds labels that its mapping does not name "
            f"({', '.join(map(str, unnamed[:6]))}); add them to a tissue (air, if they are air)."
        )
    box = _box(volume.labels > 0, _MARGIN_VOXELS)
    to_head = (
        fit_landmarks(volume, mapping.get("landmarks", {})) @ volume.index_to_world @ _shift(box)
    )
    labels = volume.labels[box].copy()
    outside = _outside(labels)
    if outside.all():
        raise InputError(f"{volume.name} holds nothing but specks; it must be the map of a head.")
    seen = _seen(labels, outside, mapping.get("skin", []))
    labels[outside] = 0
    box = _box(~outside, 1)
    outside, labels = outside[box], np.ascontiguousarray(labels[box])
    halves = np.diag((2.0, 2.0, 2.0, 1.0))
    halves[:3, 3] = 0.5  # a pair of voxels lies between their centres
    view = FieldOfView(seen, np.linalg.inv(to_head @ halves))
    to_head = to_head @ _shift(box)
    _fill_specks(labels, outside, to_head, mapping)
    scale = float(np.cbrt(abs(np.linalg.det(to_head[:3, :3])) / volume.spacing.prod()))
    _round_eyes(labels, to_head, scale, mapping)
    _close_marrow(labels, mapping)
    fine = seen.repeat(2, 0).repeat(2, 1).repeat(2, 2)
    depth = ndimage.distance_transform_edt(~(outside & fine[box]), sampling=volume.spacing)
    # the skin's surface lies half a voxel before the first voxel's centre
    depth = np.ceil(DEPTHS_PER_MM * (depth - 0.5 * volume.spacing.min()))
    depth = np.where(outside, 0, np.clip(depth, 1, 255)).astype(np.uint8)
    head = LabelVolume(labels, to_head, volume.name)
    inferred = infer_structures(head, mapping)
    displacement = None
    if atlas is not None:
        displacement = atlas.register(head, mapping["bone"], view(registration_grid()))
    return HeadMap(head, depth, inferred, view, displacement, scale)


def _box(mask: np.ndarray, margin: int) -> tuple[slice, ...]:
    """The part of an array that holds a mask, with a margin."""
    found = ndimage.find_objects(mask.astype(np.int8))[0]
    return tuple(
        slice(max(part.start - margin, 0), min(part.stop + margin, n))
        for part, n in zip(found, mask.shape, strict=True)
    )


def _shift(box: tuple[slice, ...]) -> np.ndarray:
    """4x4 from (column, row, slice) indices of a part of an array to those of the whole."""
    matrix = np.eye(4)
    matrix[:3, 3] = [part.start for part in box[::-1]]
    return matrix


def _outside(labels: np.ndarray) -> np.ndarray:
    """Air around the body; nostrils, mouth and ear canals belong to the body."""
    body = ndimage.binary_opening(labels > 0)
    found, count = ndimage.label(body)
    if count > 1:
        sizes = np.bincount(found.ravel())
        sizes[0] = 0
        body = found == sizes.argmax()
    body = ndimage.binary_dilation(body) & (labels > 0)
    closed = ndimage.binary_closing(np.pad(body, 3, mode="edge"), iterations=3)
    for plane in closed:
        ndimage.binary_fill_holes(plane, output=plane)
    return ~closed[3:-3, 3:-3, 3:-3]


def _seen(labels: np.ndarray, outside: np.ndarray, skin: list[int]) -> np.ndarray:
    """What the map shows, on every other voxel: body, and air that has skin before it.

    Air next to muscle or brain is no air: there the scan ends.
    """
    inside = ~_halved(outside)
    if not skin or inside.all() or not inside.any():
        return np.ones(inside.shape, bool)
    covered = ndimage.binary_dilation(_halved(np.isin(labels, skin)), iterations=2)
    nearest = ndimage.distance_transform_edt(~inside, return_distances=False, return_indices=True)
    return inside | covered[tuple(nearest)]


def _halved(mask: np.ndarray) -> np.ndarray:
    """Every other voxel: set where at least half of its block of eight is."""
    padded = np.pad(mask, [(0, n % 2) for n in mask.shape], mode="edge")
    blocks = [n for size in padded.shape for n in (size // 2, 2)]
    return padded.reshape(blocks).mean((1, 3, 5), dtype=np.float32) >= 0.5


def _fill_specks(
    labels: np.ndarray, outside: np.ndarray, to_head: np.ndarray, mapping: dict
) -> None:
    """Small unlabelled holes get the label around them, dark slivers along bone that of cortex.

    Airways, sinuses and the cells of the mastoid stay air.
    """
    soft = np.isin(labels, [*mapping["soft_tissue"], *mapping.get("skin", [])])
    air = (labels == 0) & ~outside
    cortex = mapping["tissues"].get("cortical bone")
    if cortex:
        share = ndimage.uniform_filter(soft.astype(np.float32), 3)
        bony = ndimage.uniform_filter(np.isin(labels, cortex).astype(np.float32), 3)
        sliver = air & ~ndimage.binary_opening(air) & (bony > 0.15) & (share > 0.15)
        labels[sliver] = cortex[0]
        air &= ~sliver
    found, count = ndimage.label(air)
    small = np.bincount(found.ravel(), minlength=count + 1) < _SPECK_VOXELS
    small[0] = False
    holes = np.argwhere(small[found])
    place = holes[:, ::-1] @ to_head[:3, :3].T + to_head[:3, 3]
    place[:, 0] = np.abs(place[:, 0])
    place = np.abs(place - _MASTOID_MM[0])
    holes = holes[(place > _MASTOID_MM[1]).any(1)]
    for _ in range(4):
        holes = holes[labels[tuple(holes.T)] == 0]
        if not len(holes):
            break
        around = np.clip(holes[:, None] + _NEIGHBOURS, 0, np.array(labels.shape) - 1)
        near = np.sort(labels[tuple(np.moveaxis(around, -1, 0))], axis=1)
        runs = (near[:, :, None] == near[:, None, :]).sum(2) * (near > 0)
        labels[tuple(holes.T)] = near[np.arange(len(near)), runs.argmax(1)]


def _round_eyes(labels: np.ndarray, to_head: np.ndarray, scale: float, mapping: dict) -> None:
    """Globes as balls: maps made by intensity leave holes in them, or miss their back.

    Centre and radius come from the height, the width and the front of what is labelled.
    """
    eyes = mapping.get("structures", {}).get("Eye", [])
    soft = mapping["soft_tissue"]
    found = np.isin(labels, eyes)
    if not eyes or not soft or not found.any():
        return
    box = _box(found, 20)
    part = labels[box]
    position = np.indices(part.shape).reshape(3, -1)[::-1]
    matrix = to_head @ _shift(box)
    x, y, z = (matrix[:3, :3] @ position + matrix[:3, 3:]).reshape(3, *part.shape)
    own = ndimage.binary_opening(found[box])
    free = np.isin(part, [0, *eyes, *soft, *mapping.get("skin", [])])
    free |= np.isin(part, mapping["tissues"].get("muscle", []))
    part[np.isin(part, eyes)] = soft[0]
    for half in (own & (x > 0), own & (x <= 0)):
        if np.count_nonzero(half) < _SPECK_VOXELS:
            continue
        low, high = np.percentile(np.stack([x[half], z[half]]), (0.5, 99.5), axis=1)
        radius = float(np.clip((high - low).min() / 2 + 0.5, *(scale * r for r in _GLOBE_MM)))
        middle = (low + high) / 2
        front = float(np.percentile(y[half], 0.5)) - 0.5
        away = (x - middle[0]) ** 2 + (y - front - radius) ** 2 + (z - middle[1]) ** 2
        part[free & (away < radius**2)] = eyes[0]


def _close_marrow(labels: np.ndarray, mapping: dict) -> None:
    """One voxel of cortical bone where marrow would touch soft tissue: no marrow lies bare."""
    bone, marrow = (mapping["tissues"].get(name) for name in ("cortical bone", "marrow"))
    if bone and marrow:
        bare = ndimage.binary_dilation(np.isin(labels, marrow))
        labels[bare & np.isin(labels, mapping["soft_tissue"])] = bone[0]
