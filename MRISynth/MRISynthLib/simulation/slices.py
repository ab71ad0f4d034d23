"""Where the slices of an examination lie, and what anatomy is in them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from .anatomy import Anatomy
from .examinations import Examination

SUB_SLICE_MM = 1.0
"""A slice is made of sub-slices about this thick, so that thick slices have partial volume."""

PROFILE_REACH = 1.25
"""Thickness of the slab that is cut for a slice, relative to the slice's own: slice profiles have
soft edges."""


@dataclass(frozen=True)
class SlicePlan:
    """A stack of slices in head coordinates.

    Attributes
    ----------
    index_to_head:
        4x4, (column, row, slice, 1) to head coordinates (LPS mm).
    shape:
        (slices, rows, columns).
    thickness_mm:
        Of a slice; the distance between slices is larger where there is a gap.
    """

    index_to_head: np.ndarray
    shape: tuple[int, int, int]
    thickness_mm: float

    @classmethod
    def tilted(
        cls,
        centre: tuple[float, float, float],
        shape: tuple[int, int, int],
        pixel_mm: float,
        slice_mm: float,
        gap_mm: float = 0.0,
        tilt_deg: tuple[float, float, float] = (0.0, 0.0, 0.0),
    ) -> SlicePlan:
        """Axial slices about ``centre`` (LPS mm), turned by ``tilt_deg`` about x, y and z."""
        turn = Rotation.from_euler("xyz", tilt_deg, degrees=True).as_matrix()
        matrix = np.eye(4)
        matrix[:3, :3] = turn * np.array((pixel_mm, pixel_mm, slice_mm + gap_mm))
        middle = (np.array(shape[::-1]) - 1) / 2
        matrix[:3, 3] = np.asarray(centre, float) - matrix[:3, :3] @ middle
        return cls(matrix, shape, slice_mm)

    @classmethod
    def of(cls, examination: Examination) -> SlicePlan:
        """The slices of a hospital's examination."""
        return cls.tilted(
            examination.centre_mm,
            examination.shape,
            examination.pixel_mm,
            examination.slice_mm,
            examination.gap_mm,
            examination.tilt_deg,
        )

    @property
    def sub_slices(self) -> int:
        """Number of sub-slices in a slab: odd, so that one lies in its middle."""
        return max(3, 2 * round((PROFILE_REACH * self.thickness_mm / SUB_SLICE_MM - 1) / 2) + 1)

    @property
    def sub_slice_mm(self) -> float:
        """Distance between sub-slices."""
        return PROFILE_REACH * self.thickness_mm / self.sub_slices

    def offsets(self) -> np.ndarray:
        """Positions of the sub-slices in slice indices, about 0."""
        count = self.sub_slices
        distance = float(np.linalg.norm(self.index_to_head[:3, 2]))
        return (np.arange(count) - (count - 1) / 2) * self.sub_slice_mm / distance


def cut(anatomy: Anatomy, plan: SlicePlan) -> tuple[np.ndarray, np.ndarray]:
    """What the plan's slices hold.

    Returns
    -------
    labels:
        uint8 (slices, sub-slices, rows, columns): the tissue of each sub-slice, air outside.
    structures:
        (slices, rows, columns) of the anatomy's structures in the middle of each slice.
    """
    depth, rows, columns = plan.shape
    to_anatomy = np.linalg.inv(anatomy.index_to_world) @ plan.index_to_head
    offsets = plan.offsets()
    labels = np.zeros((depth, len(offsets), rows, columns), np.uint8)
    structures = np.zeros(plan.shape, anatomy.structures.dtype)
    column, row = np.arange(columns)[None], np.arange(rows)[:, None]
    tissue, marks = anatomy.tissue.reshape(-1), anatomy.structures.reshape(-1)
    size = anatomy.tissue.shape
    for k in range(depth):
        for n, offset in enumerate(offsets):
            start = to_anatomy[:3, 2] * (k + offset) + to_anatomy[:3, 3]
            index = [
                np.rint(to_anatomy[a, 0] * column + to_anatomy[a, 1] * row + start[a]).astype(int)
                for a in (2, 1, 0)
            ]
            inside = np.ones((rows, columns), bool)
            for axis, length in zip(index, size, strict=True):
                inside &= (axis >= 0) & (axis < length)
            flat = (index[0] * size[1] + index[1]) * size[2] + index[2]
            flat[~inside] = 0
            labels[k, n] = np.where(inside, tissue[flat], 0)
            if n == len(offsets) // 2:
                structures[k] = np.where(inside, marks[flat], 0)
    return labels, structures


def fractions(labels: np.ndarray, profile: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Partial volume of each voxel from its sub-slices.

    Parameters
    ----------
    labels:
        uint8 (slices, sub-slices, rows, columns) of :func:`cut`.
    profile:
        Weight (sub-slices,) of each in the image (:func:`slabs.slice_profile`), sum 1.

    Returns
    -------
    first, second:
        uint8 (slices, rows, columns): the commonest tissue and the next one (the same where
        there is only one).
    share:
        float32 of the same shape, 0-1: how much of the voxel is ``first``.
    """
    depth, _, rows, columns = labels.shape
    first = np.empty((depth, rows, columns), np.uint8)
    second, share = np.empty_like(first), np.empty(first.shape, np.float32)
    for k in range(depth):
        present = np.unique(labels[k])
        amounts = np.stack([np.tensordot(profile, labels[k] == tissue, 1) for tissue in present])
        order = np.argsort(-amounts, axis=0, kind="stable")
        best = order[0]
        next_best = order[1] if len(present) > 1 else order[0]
        most = np.take_along_axis(amounts, best[None], 0)[0]
        runner_up = np.take_along_axis(amounts, next_best[None], 0)[0]
        first[k] = present[best]
        second[k] = np.where(runner_up > 0, present[next_best], first[k])
        share[k] = np.minimum(most, 1)
    return first, second, share
