"""Between a Segmentation and a Slicer segmentation node.

The one file of this library that imports ``slicer`` and ``vtk``; for desktop Slicer and
slicer-core alike.
"""

from __future__ import annotations

import json

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from MRISynthLib.errors import InputError
from MRISynthLib.mrml import LPS_TO_RAS, WARNINGS_ATTRIBUTE, provenance_of, set_provenance
from MRISynthLib.volume import Volume

from .io import INPUTS_TAG, inputs_in_words
from .segmentation import Segmentation
from .structures import STRUCTURES
from .terminology import TAG, terminology_tag

UNKNOWN_COLOUR = (0.6, 0.6, 0.6)

FILL_OPACITY = 0.35
"""Of a structure over the image: the grey values under it must stay readable."""

ENCLOSING = {"Brain": (0.12, 0.15)}
"""Structures that enclose others -> (2D fill, 3D) opacity, so that these are seen."""

_LABELMAP = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()


def segmentation_node_from(
    segmentation: Segmentation,
    reference_node: slicer.vtkMRMLScalarVolumeNode | None = None,
    scene: slicer.vtkMRMLScene | None = None,
    *,
    name: str = "Segmentation",
    surfaces: bool = True,
) -> slicer.vtkMRMLSegmentationNode:
    """A segmentation node with every structure as a segment, shown in 2D and 3D.

    Segment ids and names are the TG-263 names; colours and coded meaning come from
    :data:`STRUCTURES`. Structures may overlap. ``reference_node`` (the node of
    ``segmentation.reference``) becomes the reference geometry. ``surfaces`` makes the closed
    surfaces for 3D views. A structure with an empty mask becomes an empty segment.
    """
    scene = scene or slicer.mrmlScene
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    node.CreateDefaultDisplayNodes()
    if reference_node is not None:
        node.SetReferenceImageGeometryParameterFromVolumeNode(reference_node)
    content = node.GetSegmentation()
    content.SetSourceRepresentationName(_LABELMAP)
    for structure_name, mask in segmentation.masks.items():
        structure = STRUCTURES.get(structure_name)
        segment = slicer.vtkSegment()
        segment.SetName(structure_name)
        segment.SetColor(*(structure.colour if structure else UNKNOWN_COLOUR))
        if structure is not None:
            segment.SetTag(TAG, terminology_tag(structure))
        if segmentation.provenance is not None:  # the node's attributes stay in the scene
            segment.SetTag(INPUTS_TAG, inputs_in_words(segmentation).replace("|", "/"))
        segment.AddRepresentation(_LABELMAP, _oriented_image(mask, segmentation.reference))
        content.AddSegment(segment, structure_name)
    content.CollapseBinaryLabelmaps(False)  # as few layers as overlaps permit
    set_provenance(node, segmentation.provenance)
    if segmentation.warnings:
        node.SetAttribute(WARNINGS_ATTRIBUTE, json.dumps(list(segmentation.warnings)))
    if surfaces and segmentation.masks:
        node.CreateClosedSurfaceRepresentation()
    set_segment_display(node)
    return node


def set_segment_display(node: slicer.vtkMRMLSegmentationNode) -> None:
    """Opacities: outlines full, fills see-through, enclosing structures nearly clear."""
    display = node.GetDisplayNode()
    display.SetVisibility(True)
    display.SetAllSegmentsVisibility(True)
    display.SetVisibility2DFill(True)
    display.SetVisibility2DOutline(True)
    display.SetVisibility3D(True)
    display.SetOpacity2DFill(1.0)
    display.SetOpacity2DOutline(1.0)
    display.SetSliceIntersectionThickness(2)
    content = node.GetSegmentation()
    for segment_id in content.GetSegmentIDs():
        name = content.GetSegment(segment_id).GetName()
        fill, solid = ENCLOSING.get(name, (FILL_OPACITY, 1.0))
        display.SetSegmentOpacity2DFill(segment_id, fill)
        display.SetSegmentOpacity2DOutline(segment_id, 1.0)
        display.SetSegmentOpacity3D(segment_id, solid)


def segmentation_from_node(node: slicer.vtkMRMLSegmentationNode, reference: Volume) -> Segmentation:
    """The node's segments as masks on the grid of ``reference`` (nearest neighbour).

    Whatever the user drew is included. Parent transforms of the node are applied; reference
    is taken as it is in the world.

    Raises
    ------
    InputError
        If the node is no segmentation, or two segments have the same name.
    """
    label = (node.GetName() if node is not None else None) or "The segmentation"
    if node is None or not node.IsA("vtkMRMLSegmentationNode"):
        raise InputError(f"{label} is not a segmentation; choose a segmentation.")
    content = node.GetSegmentation()
    if not content.ContainsRepresentation(_LABELMAP) and content.GetNumberOfSegments():
        node.CreateBinaryLabelmapRepresentation()
    grid = _oriented_grid(reference)
    masks: dict[str, np.ndarray] = {}
    for segment_id in content.GetSegmentIDs():
        name = content.GetSegment(segment_id).GetName()
        if name in masks:
            raise InputError(f"{label} has two segments named {name}; rename one of them.")
        masks[name] = _mask(node, segment_id, grid, reference.shape)
    warnings = json.loads(node.GetAttribute(WARNINGS_ATTRIBUTE) or "[]")
    return Segmentation(masks, reference, provenance_of(node), tuple(warnings))


def _mask(node, segment_id: str, grid, shape: tuple[int, int, int]) -> np.ndarray:
    drawn = slicer.vtkOrientedImageData()
    if not node.GetBinaryLabelmapRepresentation(segment_id, drawn) or drawn.IsEmpty():
        return np.zeros(shape, bool)
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    logic.ApplyParentTransformToOrientedImageData(node, drawn)
    resampled = slicer.vtkOrientedImageData()
    done = slicer.vtkOrientedImageDataResample.ResampleOrientedImageToReferenceOrientedImage(
        drawn, grid, resampled, False, False
    )
    if not done or tuple(reversed(resampled.GetDimensions())) != shape:
        return np.zeros(shape, bool)
    return vtk_to_numpy(resampled.GetPointData().GetScalars()).reshape(shape) > 0


def _oriented_grid(reference: Volume, offset=(0, 0, 0), shape=None):
    """An oriented image without voxels: ``shape`` (k, j, i) voxels from index ``offset``."""
    image = slicer.vtkOrientedImageData()
    shape = reference.shape if shape is None else shape
    extent = [v for axis in range(3) for v in (offset[axis], offset[axis] + shape[2 - axis] - 1)]
    image.SetExtent(extent)
    matrix = vtk.vtkMatrix4x4()
    matrix.DeepCopy((LPS_TO_RAS @ reference.index_to_world).ravel())
    image.SetImageToWorldMatrix(matrix)
    return image


def _oriented_image(mask: np.ndarray, reference: Volume):
    """The part of a mask that holds something; an image of no extent if nothing does."""
    filled = [np.flatnonzero(mask.any(axis=axes)) for axes in ((0, 1), (0, 2), (1, 2))]
    if not filled[0].size:
        image = _oriented_grid(reference)
        image.SetExtent(0, -1, 0, -1, 0, -1)
        image.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 1)
        return image
    i, j, k = ((int(found[0]), int(found[-1]) + 1) for found in filled)
    part = np.ascontiguousarray(mask[k[0] : k[1], j[0] : j[1], i[0] : i[1]], dtype=np.uint8)
    image = _oriented_grid(reference, (i[0], j[0], k[0]), part.shape)
    image.GetPointData().SetScalars(numpy_to_vtk(part.ravel(), deep=True))
    return image
