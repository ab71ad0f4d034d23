"""The segments of a segmentation node: as masks, and whether they are as they were."""

from __future__ import annotations

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from ... import mrml
from ...boxes import box_of
from ...errors import InputError
from ...volume import Volume

LABELMAP = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()


def segment_masks(node: slicer.vtkMRMLSegmentationNode) -> list[Volume]:
    """The segments of a segmentation that are not empty, as masks named like these, each on the
    part of the grid that it fills."""
    content = node.GetSegmentation()
    if content.GetNumberOfSegments() and not node.CreateBinaryLabelmapRepresentation():
        raise InputError(f"The segments of {node.GetName()} cannot be made label maps of.")
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    parts: dict = {}  # segments share label maps, and most of these is empty
    masks = []
    for segment_id in content.GetSegmentIDs():
        segment = content.GetSegment(segment_id)
        drawn = segment.GetRepresentation(LABELMAP)
        if drawn is None or drawn.IsEmpty():
            continue
        if drawn not in parts:
            parts[drawn] = _filled_part(_voxels_of(drawn))
        corner, labels = parts[drawn]
        start, mask = _filled_part(labels == segment.GetLabelValue())
        if not mask.any():
            continue
        # an empty voxel around it: the border lies between the two
        first = np.add(drawn.GetExtent()[::2], corner + start) - 1
        image = _oriented(np.pad(mask, 1), first, drawn)
        logic.ApplyParentTransformToOrientedImageData(node, image)
        voxels = _voxels_of(image) > 0
        matrix = vtk.vtkMatrix4x4()
        image.GetImageToWorldMatrix(matrix)
        place = np.array([[matrix.GetElement(r, c) for c in range(4)] for r in range(4)])
        place[:, 3] = place @ (*image.GetExtent()[::2], 1)
        name = segment.GetName()
        masks.append(Volume(voxels.astype(np.uint8), mrml.LPS_TO_RAS @ place, name=name))
    return masks


def _voxels_of(image: slicer.vtkOrientedImageData) -> np.ndarray:
    scalars = vtk_to_numpy(image.GetPointData().GetScalars())
    return scalars.reshape(image.GetDimensions()[::-1])


def _filled_part(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The index (i, j, k) of the first voxel of the part that holds something, and that part."""
    box = box_of(labels) or (slice(0, 1),) * 3
    return np.array([side.start for side in reversed(box)]), labels[box]


def _oriented(mask: np.ndarray, first, like) -> slicer.vtkOrientedImageData:
    """A mask as Slicer's image, from that index (i, j, k) of the grid of ``like`` on."""
    image, matrix = slicer.vtkOrientedImageData(), vtk.vtkMatrix4x4()
    like.GetImageToWorldMatrix(matrix)
    last = np.add(first, mask.shape[::-1]) - 1
    image.SetExtent([int(side) for pair in zip(first, last, strict=True) for side in pair])
    image.SetImageToWorldMatrix(matrix)
    voxels = np.ascontiguousarray(mask, dtype=np.uint8)
    image.GetPointData().SetScalars(numpy_to_vtk(voxels.ravel(), deep=True))
    return image


def segments_state(node: slicer.vtkMRMLSegmentationNode | None) -> tuple:
    """What changes with the segments of a segmentation, their names and their place; quick."""
    if node is None:
        return ()
    content, transform = node.GetSegmentation(), node.GetParentTransformNode()
    source = content.GetSourceRepresentationName()
    segments = [content.GetSegment(segment_id) for segment_id in content.GetSegmentIDs()]
    drawn = [segment.GetRepresentation(source) for segment in segments]
    return (
        node.GetID(),
        transform.GetTransformToWorldMTime() if transform is not None else 0,
        *(segment.GetName() for segment in segments),
        *(data.GetMTime() if data is not None else 0 for data in drawn),
    )
