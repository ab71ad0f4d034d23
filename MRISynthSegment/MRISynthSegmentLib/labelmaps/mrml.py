"""Masks (slices, rows, columns) as Slicer's oriented images, and back; a segment at a time."""

from __future__ import annotations

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from MRISynthLib.boxes import box_of
from MRISynthLib.errors import InputError
from MRISynthLib.mrml import LPS_TO_RAS
from MRISynthLib.volume import Volume

from .. import structure_record

LABELMAP = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()

SAME_VOXEL = 0.01
"""By so many voxels two grids may differ, for rounding, and count as the same."""

FINER = 0.6
"""Of this part of a voxel's volume, or less, are finer ones: half a slice's thickness, say."""


# --- to Slicer ----------------------------------------------------------------------------


def oriented_image(mask: np.ndarray, reference: Volume) -> slicer.vtkOrientedImageData:
    """The part of a mask that holds something; an image of no extent if nothing does."""
    box = box_of(mask)
    if box is None:
        image = oriented_grid(reference)
        image.SetExtent(0, -1, 0, -1, 0, -1)
        image.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 1)
        return image
    part = np.ascontiguousarray(mask[box], dtype=np.uint8)
    image = oriented_grid(reference, [side.start for side in reversed(box)], part.shape)
    image.GetPointData().SetScalars(numpy_to_vtk(part.ravel(), deep=True))
    return image


def oriented_grid(reference: Volume, offset=(0, 0, 0), shape=None) -> slicer.vtkOrientedImageData:
    """An oriented image without voxels: ``shape`` (k, j, i) voxels from index ``offset``."""
    image = slicer.vtkOrientedImageData()
    shape = reference.shape if shape is None else shape
    extent = [v for axis in range(3) for v in (offset[axis], offset[axis] + shape[2 - axis] - 1)]
    image.SetExtent(extent)
    matrix = vtk.vtkMatrix4x4()
    matrix.DeepCopy((LPS_TO_RAS @ reference.index_to_world).ravel())
    image.SetImageToWorldMatrix(matrix)
    return image


def replace_mask(node, segment_id: str, mask: np.ndarray, grid: Volume) -> None:
    """Give a segment another mask; ``grid`` lies in the node's own frame.

    Raises
    ------
    InputError
        If Slicer cannot do it.
    """
    # from a shared label map Slicer would resample all that share it, if its grid is another
    node.GetSegmentation().SeparateSegmentLabelmap(segment_id)
    # nothing, in some voxels, empties a segment; Slicer's ClearSegment would leave its old surface
    image = oriented_image(mask, grid) if mask.any() else _nothing(grid)
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    done = logic.SetBinaryLabelmapToSegment(image, node, segment_id, logic.MODE_REPLACE)
    if not done:
        raise InputError(
            f"Slicer could not change the segment {segment_id} of {node.GetName()}; make a new "
            "segmentation."
        )


def _nothing(grid: Volume):
    image = oriented_grid(grid, shape=(2, 2, 2))  # of fewer no surface can be made
    image.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 1)
    image.GetPointData().GetScalars().Fill(0)
    return image


def in_node(node, reference: Volume) -> Volume:
    """The reference's grid as it lies in the node's own frame, before its parent transform.

    Raises
    ------
    InputError
        If that transform is not linear.
    """
    parent = node.GetParentTransformNode()
    if parent is None:
        return reference
    matrix = vtk.vtkMatrix4x4()
    if not parent.IsTransformToWorldLinear() or not parent.GetMatrixTransformFromWorld(matrix):
        raise InputError(
            f"{node.GetName()} lies under a transform that is not linear; harden it or take it "
            "away first."
        )
    inside = LPS_TO_RAS @ _array(matrix) @ LPS_TO_RAS @ reference.index_to_world
    return reference.replace(index_to_world=inside)


# --- from Slicer --------------------------------------------------------------------------


def mask_in(node, segment_id: str, reference: Volume) -> np.ndarray:
    """A segment on the grid of ``reference`` (nearest neighbour), with the node's transforms."""
    segment = node.GetSegmentation().GetSegment(segment_id)
    drawn = segment.GetRepresentation(LABELMAP)
    if drawn is None or drawn.IsEmpty():
        return np.zeros(reference.shape, bool)
    if node.GetParentTransformNode() is None:
        exact = _cut_out(drawn, segment.GetLabelValue(), reference)
        if exact is not None:
            return exact
    return _resampled(node, segment_id, reference)


def _cut_out(image, label: int, reference: Volume) -> np.ndarray | None:
    """Without resampling; None if the label map has other voxels than the reference."""
    to_reference = np.linalg.solve(LPS_TO_RAS @ reference.index_to_world, image_to_world(image))
    whole = np.eye(4)
    whole[:3, 3] = np.rint(to_reference[:3, 3])
    furthest = [*reference.shape[::-1], 1]
    if np.abs((to_reference - whole) @ furthest).max() > SAME_VOXEL:
        return None
    first = whole[:3, 3].astype(int)
    voxels = label_voxels(image)
    mask = np.zeros(reference.shape, bool)
    start = (first + image.GetExtent()[::2])[::-1]
    low = np.maximum(start, 0)
    high = np.minimum(start + voxels.shape, reference.shape)
    if np.all(low < high):
        inside = tuple(slice(a, b) for a, b in zip(low - start, high - start, strict=True))
        place = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        mask[place] = voxels[inside] == label
    return mask


def _resampled(node, segment_id: str, reference: Volume) -> np.ndarray:
    drawn = slicer.vtkOrientedImageData()
    if not node.GetBinaryLabelmapRepresentation(segment_id, drawn) or drawn.IsEmpty():
        return np.zeros(reference.shape, bool)
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    logic.ApplyParentTransformToOrientedImageData(node, drawn)
    resampled = slicer.vtkOrientedImageData()
    done = slicer.vtkOrientedImageDataResample.ResampleOrientedImageToReferenceOrientedImage(
        drawn, oriented_grid(reference), resampled, False, False
    )
    if not done or tuple(reversed(resampled.GetDimensions())) != reference.shape:
        return np.zeros(reference.shape, bool)
    scalars = vtk_to_numpy(resampled.GetPointData().GetScalars())
    return scalars.reshape(reference.shape) > 0


def own_mask(segment) -> tuple[np.ndarray, Volume]:
    """A segment's mask and its grid, in the node's own frame: no larger than what it holds."""
    image = segment.GetRepresentation(LABELMAP)
    first, mask = np.zeros(3), np.zeros((1, 1, 1), bool)
    if image is not None and not image.IsEmpty():
        whole = label_voxels(image) == segment.GetLabelValue()
        box = box_of(whole)
        if box is not None:
            first = np.array(image.GetExtent()[::2]) + [side.start for side in reversed(box)]
            mask = whole[box].copy()
    matrix = image_to_world(image) if image is not None else np.eye(4)
    matrix[:3, 3] += matrix[:3, :3] @ first
    return mask, Volume(mask, LPS_TO_RAS @ matrix)


def reaches_beyond(segment, grid: Volume) -> bool:
    """Whether a segment has voxels outside ``grid``, which lies in the node's own frame."""
    mask, own = own_mask(segment)
    to_grid = np.linalg.solve(grid.index_to_world, own.index_to_world)
    furthest = np.array(grid.shape[::-1]) - 0.5 + SAME_VOXEL

    def beyond(index: np.ndarray) -> bool:
        places = index[:, ::-1] @ to_grid[:3, :3].T + to_grid[:3, 3]
        return bool(np.any((places < -0.5 - SAME_VOXEL) | (places > furthest)))

    corners = np.array(list(np.ndindex(2, 2, 2))) * (np.array(mask.shape) - 1)
    return beyond(corners) and beyond(np.argwhere(mask))  # the corners say it of nearly all


def is_finer(segment, grid: Volume) -> bool:
    """Whether a segment is drawn in clearly smaller voxels than those of ``grid``."""
    mask, own = own_mask(segment)
    sizes = (abs(np.linalg.det(each.index_to_world[:3, :3])) for each in (own, grid))
    return bool(mask.any()) and next(sizes) < FINER * next(sizes)


def label_voxels(image) -> np.ndarray:
    """The label map (k, j, i), which several segments may share."""
    scalars = vtk_to_numpy(image.GetPointData().GetScalars())
    return scalars.reshape(image.GetDimensions()[::-1])


def image_to_world(image) -> np.ndarray:
    """4x4: index (i, j, k) to RAS millimetres."""
    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    return _array(matrix)


def look_of(segment) -> str:
    """Its name, where it lies in the node's frame, and its shape: see ``structure_record``."""
    image, name = segment.GetRepresentation(LABELMAP), segment.GetName() or ""
    if image is None or image.IsEmpty():
        return structure_record.look_of(name, np.zeros((1, 1, 1), bool), np.eye(4))
    mask = label_voxels(image) == segment.GetLabelValue()
    return structure_record.look_of(name, mask, image_to_world(image), image.GetExtent()[::2])


def tag_of(segment, name: str) -> str:
    """A tag of a segment; empty if it has none of that name."""
    text = vtk.reference("")
    return str(text) if segment.GetTag(name, text) else ""


def _array(matrix: vtk.vtkMatrix4x4) -> np.ndarray:
    return np.reshape([matrix.GetElement(i, j) for i in range(4) for j in range(4)], (4, 4))
